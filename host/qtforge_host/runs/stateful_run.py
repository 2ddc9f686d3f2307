"""`StatefulRun`: a run that saves checkpoints, and waits for events between them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import msgspec

from qtforge_host.runs.amendments import as_document
from qtforge_host.runs.checkpoints import RESTORED, TIMER, renewed_checkpoint
from qtforge_host.runs.control import Rested, TimeOver
from qtforge_host.runs.run import ActiveRun
from qtforge_host.runs.waiting import Until
from qtforge_sdk.checkpoints import Checkpoint, ReceivedEvent
from qtforge_sdk.records import CheckpointSaved

__all__ = ["StatefulRun"]


class StatefulRun(ActiveRun):
    """An `ActiveRun` with checkpoints; together they implement `qtforge_sdk.Run`."""

    _waits: Mapping[str, Until] = {}  # for the timers of the last checkpoint, by name

    @property
    def checkpoint_state(self) -> Any:
        """The state of the last checkpoint; see `qtforge_sdk.Run`."""
        record = self._log.state.checkpoint
        return None if record is None else record.state

    @property
    def checkpoint_definition(self) -> Any:
        """The definition with which the work in progress was begun; see `qtforge_sdk.Run`."""
        state = self._log.state
        last, started = state.checkpoint, state.started
        if last is None or started is None:
            return self.definition
        if last.begun_with is not None:
            return self._amendments.read(last.begun_with)
        if last.outcome == RESTORED or last.definition is state.definition:
            return self.definition
        return self._amendments.read(last.definition or started.definition)

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
        definition = checkpoint.definition
        is_other = checkpoint.busy and definition not in (None, self.definition)
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
            timers_fixed=checkpoint.timers_fixed,
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
            begun_with=as_document(definition) if is_other and definition is not None else None,
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
            name, until = self._next_timer(last)
            event = self._next_event(last, name, until)
            if event is not None:
                await self.adopt_secrets(event.data, event.sender)
                if self._log.secrets.known.any_hidden:
                    data = await self._log.secrets.conceal(event.data)
                    return msgspec.structs.replace(event, data=data)
                return event
            if last is not None and self._is_outdated(last):
                await self._renew_checkpoint(last)
            elif control.may_rest and (until is None or not until.is_before_due):
                raise Rested
            else:
                await control.until_woken(until)

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

    def _next_event(
        self, last: CheckpointSaved | None, name: str, until: Until | None
    ) -> ReceivedEvent | None:
        if last is not None and last.first:
            return last.first[0]
        first = self._control.first_event()
        if until is None or until.left_s > 0 or (first is not None and first.at < until.due):
            return first
        return ReceivedEvent(
            event_id=f"{TIMER}{name}/{until.due.isoformat()}",
            name=name,
            at=until.due,
            timer=True,
            late_s=until.late_s,
        )

    def _next_timer(self, last: CheckpointSaved | None) -> tuple[str, Until | None]:
        """Return the timer that is due first, with its name; None for no timer."""
        if last is None or not last.timers:
            return "", None
        waits, known = {}, self._waits
        for name, due in last.timers.items():
            found = known.get(name)
            if found is None or found.due != due:
                found = Until(due, self._longest_s(last, name, due), self._clock)
            waits[name] = found
        self._waits = waits
        if len(waits) == 1:
            return next(iter(waits.items()))
        return min(waits.items(), key=lambda wait: (wait[1].left_s, wait[1].due))

    def _longest_s(self, last: CheckpointSaved, name: str, due: datetime.datetime) -> float | None:
        """Return how long a timer takes at most from now on; None for a time of day."""
        if name in last.timers_fixed:
            return None
        back_s = self._control.set_back_s
        longest_s = (due - last.at).total_seconds()
        if not back_s:
            return longest_s
        return min(longest_s, (due - self._clock.now()).total_seconds() - back_s)


def _without(
    first: tuple[ReceivedEvent, ...], event: ReceivedEvent | None
) -> tuple[ReceivedEvent, ...]:
    """Return the events to be handled before all others, without one that has been."""
    if event is None or not first or event.event_id != first[0].event_id:
        return first
    return first[1:]
