"""How a run handled an event that was sent to it."""

from __future__ import annotations

from typing import Any, Self

import msgspec

from qtforge_host.api.documents import EventSent
from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.api.timeline import move_of
from qtforge_sdk.journal import InboxMessage
from qtforge_sdk.records import CheckpointSaved

__all__ = ["EventOutcome"]


class EventOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run handled an event.

    Attributes:
        run_id: The run.
        event: The event's name.
        event_id: The event's id.
        received: Whether the run has received it.
        checkpoint: Of a state machine: the state that the event led to; else None.
        run: Of a state machine: the run after that; else None.
        paused: Whether the run is paused, and handles the event once it is resumed.
        waits_for: The events that the run waited for when it was sent.
    """

    run_id: str
    event: str
    event_id: str
    received: bool
    checkpoint: CheckpointSaved | None = None
    run: RunSnapshot | None = None
    paused: bool = False
    waits_for: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        run_id: str,
        message: InboxMessage,
        *,
        received: bool,
        checkpoint: CheckpointSaved | None = None,
        run: RunSnapshot | None = None,
        paused: bool = False,
        waits_for: tuple[str, ...] = (),
    ) -> Self:
        """Return the outcome of a message that holds an event; see the class."""
        return cls(
            run_id=run_id,
            event=message.name,
            event_id=message.message_id,
            received=received,
            checkpoint=checkpoint,
            run=run,
            paused=paused,
            waits_for=waits_for,
        )

    def document(self) -> EventSent:
        """Return it as ``send --json`` prints it."""
        facts: dict[str, Any] = {"waits_for": [*self.waits_for]} if self.waits_for else {}
        if self.checkpoint is not None and self.run is not None:
            move = move_of(self.checkpoint)
            facts = {
                "taken": move.taken,
                "reason": move.reason or None,
                "transitions": move.transitions,
                "left": move.left,
                "entered": move.entered,
                "run": self.run.outcome(),
            }
        return EventSent(
            run_id=self.run_id,
            event=self.event,
            event_id=self.event_id,
            received=self.received,
            **facts,
        )
