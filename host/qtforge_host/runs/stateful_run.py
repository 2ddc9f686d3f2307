"""`StatefulRun`: a run that saves checkpoints, and waits for events between them."""

from __future__ import annotations

from typing import Any

import msgspec

from qtforge_host.runs.checkpoints import TIMER, renewed_checkpoint
from qtforge_host.runs.control import Rested, TimeOver
from qtforge_host.runs.run import ActiveRun
from qtforge_sdk.checkpoints import Checkpoint, ReceivedEvent
from qtforge_sdk.records import CheckpointSaved

__all__ = ["StatefulRun"]


class StatefulRun(ActiveRun):
    """An `ActiveRun` with checkpoints; together they implement `qtforge_sdk.Run`."""

    @property
    def checkpoint_state(self) -> Any:
        """The state of the last checkpoint; see `qtforge_sdk.Run`."""
        record = self._log.state.checkpoint
        return None if record is None else record.state

    async def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Save the run's state; see `qtforge_sdk.Run`."""
        last = self._log.state.checkpoint
        timers = {} if last is None else dict(last.timers)
        for name in checkpoint.timers_gone:
            timers.pop(name, None)
        timers.update(checkpoint.timers_set)
        event = checkpoint.event
        # An event that was not sent through the inbox leaves that handled as far as it was.
        position = max(self._log.state.inbox, 0 if event is None else event.position)
        now, state = self._clock.now(), self._log.state
        is_new = checkpoint.label != state.label or bool(checkpoint.trace.get("entered"))
        record = CheckpointSaved(
            run_id=self.id,
            at=now,
            state=checkpoint.state,
            label=checkpoint.label,
            event="" if event is None else event.name,
            event_id="" if event is None else event.event_id,
            event_data=None if event is None else event.data,
            by="" if event is None else event.by,
            late_s=0.0 if event is None else event.late_s,
            outcome=checkpoint.outcome,
            trace=checkpoint.trace,
            timers=timers,
            timers_set=tuple(checkpoint.timers_set),
            timers_gone=checkpoint.timers_gone,
            accepts=checkpoint.accepts,
            key=checkpoint.key,
            busy=checkpoint.busy,
            inbox=position,
            handled=self._control.ignored,
            definition=self._log.state.definition,
            failed=checkpoint.failed,
            first=() if last is None else _without(last.first, event),
            timed_from=self._log.state.reset_at,
            label_since=now if is_new else state.label_since,
        )
        await self._save(record)

    async def next_event(self) -> ReceivedEvent:
        """Return the next event, or rest; see `qtforge_sdk.Run`."""
        control = self._control
        while True:
            await control.amend()
            control.check()
            if control.is_over:
                raise TimeOver
            last = self._log.state.checkpoint
            event = self._next_event(last)
            if event is not None:
                return event
            if last is not None and self._is_outdated(last):
                await self._renew_checkpoint(last)
            elif control.may_rest:
                raise Rested
            else:
                due = None if last is None or not last.timers else min(last.timers.values())
                await control.until_woken(due)

    async def _save(self, record: CheckpointSaved) -> None:
        await self._log.append(record)
        self._replay.forget()
        self._log.state.steps.clear()  # a long run would hold more and more of them
        self._control.checkpoint_saved(record)

    def _is_outdated(self, last: CheckpointSaved) -> bool:
        """Return whether the run was paused, blocked, interrupted or amended since."""
        amended = last.definition is not self._log.state.definition
        return amended or self._log.state.status != "waiting"

    async def _renew_checkpoint(self, last: CheckpointSaved) -> None:
        definition = self._log.state.definition
        accepts = last.accepts
        if last.definition is not definition:
            found = self._amendments.accepts(last.state)
            accepts = accepts if found is None else found
        again = renewed_checkpoint(last, accepts, definition, self._clock.now())
        await self._save(msgspec.structs.replace(again, handled=self._control.ignored))

    def _next_event(self, last: CheckpointSaved | None) -> ReceivedEvent | None:
        if last is not None and last.first:
            return last.first[0]
        return self._timer_event(last) or self._control.first_event()

    def _timer_event(self, last: CheckpointSaved | None) -> ReceivedEvent | None:
        """Return the timer that is due, the earliest first, unless an event was sent before."""
        if last is None or not last.timers:
            return None
        name, due = min(last.timers.items(), key=lambda timer: timer[1])
        now = self._clock.now()
        first = self._control.first_event()
        if due > now or (first is not None and first.at < due):
            return None
        return ReceivedEvent(
            event_id=f"{TIMER}{name}/{due.isoformat()}",
            name=name,
            at=due,
            timer=True,
            late_s=(now - due).total_seconds(),
        )


def _without(
    first: tuple[ReceivedEvent, ...], event: ReceivedEvent | None
) -> tuple[ReceivedEvent, ...]:
    """Return the events to be handled before all others, without one that has been."""
    if event is None or not first or event.event_id != first[0].event_id:
        return first
    return first[1:]
