"""Runs that keep their state: what they keep, and the events that they wait for."""

from __future__ import annotations

import datetime
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from qtforge_host.runs.children import Children, ParentStep
from qtforge_host.runs.control import Control, Rested
from qtforge_host.runs.interrupting import TimeOver
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.replay import ReplayGuard
from qtforge_host.runs.serialization import normalize
from qtforge_host.runs.steps import Amends, Answer, Publish, StepCall
from qtforge_sdk import Compensation, Template
from qtforge_sdk.checkpoints import Checkpoint, ReceivedEvent
from qtforge_sdk.clock import Clock
from qtforge_sdk.records import CheckpointSaved

__all__ = ["TIMER", "Keeps", "renewed_checkpoint"]

TIMER: Final = "timer/"
"""How the ids of timers' events begin."""


class Keeps:
    """What `ActiveRun` inherits; its own file, because keeping is an idea of its own."""

    id: str
    _log: RunLog
    _control: Control
    _clock: Clock
    _children: Children
    _claims: ReplayGuard
    _publish: Publish
    _amending: Amends

    @property
    def checkpoint_state(self) -> Any:
        """What was kept last; see `qtforge_sdk.Run`."""
        record = self._log.state.checkpoint
        return None if record is None else record.state

    def now(self) -> datetime.datetime:
        """Return the time; see `qtforge_sdk.Run`."""
        return self._clock.now()

    async def checkpoint(self, kept: Checkpoint) -> None:
        """Keep the run's state; see `qtforge_sdk.Run`."""
        last = self._log.state.checkpoint
        timers = {} if last is None else dict(last.timers)
        for name in kept.timers_gone:
            timers.pop(name, None)
        timers.update(kept.timers_set)
        event = kept.event
        # What came another way than by the inbox leaves that as far as it was.
        position = max(self._log.state.inbox, 0 if event is None else event.position)
        record = CheckpointSaved(
            run_id=self.id,
            at=self._clock.now(),
            state=kept.state,
            label=kept.label,
            event="" if event is None else event.name,
            event_id="" if event is None else event.event_id,
            event_data=None if event is None else event.data,
            by="" if event is None else event.by,
            late_s=0.0 if event is None else event.late_s,
            outcome=kept.outcome,
            trace=kept.trace,
            timers=timers,
            timers_set=tuple(kept.timers_set),
            timers_gone=kept.timers_gone,
            accepts=kept.accepts,
            key=kept.key,
            busy=kept.busy,
            inbox=position,
            handled=self._control.ignored,
            definition=self._log.state.definition,
            failed=kept.failed,
            first=() if last is None else _others(last.first, event),
            timed_from=self._log.state.reset_at,
        )
        await self._keep(record)

    async def _keep(self, record: CheckpointSaved) -> None:
        await self._log.append(record)
        self._claims.forget()
        self._log.state.steps.clear()  # what lives long would hold more and more of them
        self._control.checkpoint_saved(record)

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

    async def publish(self, step: str, topic: str, message: object) -> None:
        """Do a step: publish; see `qtforge_sdk.Run`."""

        async def send(attempt: int) -> Answer:
            value = self.render(message.value) if isinstance(message, Template) else message
            await self._publish(topic, value)
            return None, None

        await self._do(StepCall(step=step, topic=topic, send=send), None, None)

    async def start_workflow(
        self, name: str, given: Mapping[str, Any], *, step: str, event: str
    ) -> str:
        """Do a step: start another workflow, and go on; see `qtforge_sdk.Run`."""

        async def send(attempt: int) -> Answer:
            known = None
            if self._log.state.resumed:
                known = await self._children.find(self.id, step, ())
            depth = self._log.state.depth
            parent = ParentStep(run_id=self.id, step=step, depth=depth, notify=event)
            child = known or await self._children.start(parent, name, normalize(given))
            return child, None

        child: str = await self._do(StepCall(step=step, topic="", send=send), None, None)
        return child

    def _is_outdated(self, last: CheckpointSaved) -> bool:
        """Tell whether the run was paused, blocked, interrupted or amended since."""
        amended = last.definition is not self._log.state.definition
        return amended or self._log.state.status != "waiting"

    async def _renew_checkpoint(self, last: CheckpointSaved) -> None:
        state = self._log.state
        accepts = last.accepts
        if last.definition is not state.definition:
            found = self._amending.accepts(last.state)
            accepts = accepts if found is None else found
        again = renewed_checkpoint(last, accepts, state.definition, self._clock.now())
        await self._keep(msgspec.structs.replace(again, handled=self._control.ignored))

    def _next_event(self, last: CheckpointSaved | None) -> ReceivedEvent | None:
        if last is not None and last.first:
            return last.first[0]
        return self._timer_event() or self._control.first_event()

    def _timer_event(self) -> ReceivedEvent | None:
        """Return the timer that is due, the earliest first, unless an event was sent before."""
        record = self._log.state.checkpoint
        if record is None or not record.timers:
            return None
        name, due = min(record.timers.items(), key=lambda timer: timer[1])
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

    @abstractmethod
    def render(self, template: object, names: Mapping[str, Any] | None = None) -> Any:
        """Return a template's value now."""

    @abstractmethod
    async def _do(
        self, call: StepCall, compensation: Compensation | None, response_type: Any
    ) -> Any:
        """Do a step."""


def renewed_checkpoint(
    last: CheckpointSaved,
    accepts: tuple[str, ...],
    definition: dict[str, Any] | None,
    at: datetime.datetime,
) -> CheckpointSaved:
    """Return the record that says that a run waits in the state that it has kept.

    Args:
        last: What it kept last.
        accepts: What it waits for now.
        definition: Its definition after the last amendment; None when there was none.
        at: Now, in UTC.
    """
    return CheckpointSaved(
        run_id=last.run_id,
        at=at,
        state=last.state,
        label=last.label,
        timers=last.timers,
        accepts=accepts,
        key=last.key,
        handled=last.handled,
        definition=definition,
        timed_from=last.timed_from,
    )


def _others(
    first: tuple[ReceivedEvent, ...], event: ReceivedEvent | None
) -> tuple[ReceivedEvent, ...]:
    """Return what is still to be handled before all else, once an event has been."""
    if event is None or not first or event.event_id != first[0].event_id:
        return first
    return first[1:]
