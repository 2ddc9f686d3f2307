"""Runs that live long: what they keep between two events, and the events themselves.

Such a run (a state machine) does not replay its history. It keeps its whole state with
every event, and a resumed run goes on from what was kept last.
"""

from __future__ import annotations

import datetime
from typing import Any, Protocol

import msgspec

__all__ = ["AcceptedEvent", "Accepting", "Checkpoint", "Ended", "ReceivedEvent"]


class ReceivedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a run is to handle next.

    Attributes:
        event_id: Unique; the same event is given once.
        name: The event's name; for a timer, the timer's.
        data: As plain values.
        at: When it was sent, or when the timer was due, in UTC.
        timer: Whether it is one of the run's timers, which is due.
        late_s: For a timer: how many seconds ago it was due.
        by: Who sent it, in words.
        position: Its place in the run's inbox; 0 where it came another way.
    """

    event_id: str
    name: str
    data: Any = None
    at: datetime.datetime
    timer: bool = False
    late_s: float = 0.0
    by: str = ""
    position: int = 0


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A run's state, and how it came to it; one record, all or nothing.

    Attributes:
        state: All that the run needs to go on, as plain values.
        label: The state in a word, for people.
        event: The event that led to it, which is done with by this; None at the start, or
            after a step.
        outcome: What became of the event: ``taken``, or why nothing did.
        trace: What happened on the way, for people.
        timers_set: Timers that run from now on, by name, with when they are due, in UTC.
        timers_gone: Names of timers that don't any more.
        accepts: Names of the events that it waits for.
        key: What events from the bus are correlated with, or "".
        busy: Whether there is something to do before the next event: then the run is
            ``running``, and a process that dies leaves it to the next; else it is ``waiting``.
        failed: Whether the run is about to fail in this state; who retries it goes on from the
            state before it.
    """

    state: Any
    label: str = ""
    event: ReceivedEvent | None = None
    outcome: str = "taken"
    trace: dict[str, Any] = {}
    timers_set: dict[str, datetime.datetime] = {}
    timers_gone: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()
    key: str = ""
    busy: bool = False
    failed: bool = False


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What an orchestrator's ``execute`` may return instead of its bare result.

    Attributes:
        result: The result, where the definition has no template of its own.
        names: What the definition's ``result`` and ``summary`` may use besides the usual.
    """

    result: Any
    names: dict[str, Any]


class AcceptedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that may be taken in a state, and where it leads.

    Attributes:
        event: Its name, or the first words of names; ``*`` for every event.
        transition: What takes it.
        condition: What has to hold for that, in CEL; None for nothing.
        targets: The states that it leads to; empty when it stays.
        from_within: Whether it is the run itself that raises it: a timer, or what failed.
    """

    event: str
    transition: str
    condition: str | None = None
    targets: tuple[str, ...] = ()
    from_within: bool = False


class Accepting(Protocol):
    """What an orchestrator has besides, when it can tell what its runs wait for."""

    def accepts(self, definition: Any, state: Any) -> list[AcceptedEvent]:
        """Return what may be taken now, in the order in which it is tried.

        Args:
            definition: The run's.
            state: What it kept last, as plain values.
        """
