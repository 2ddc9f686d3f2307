"""The steps of a run that wait: for a time, for an event, for another run."""

from __future__ import annotations

import asyncio
import datetime
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

from qtforge_host.runs.children import ChildOwnedError, Children, ParentStep
from qtforge_host.runs.control import Control
from qtforge_host.runs.interrupting import TimeOver
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.replay import ReplayGuard
from qtforge_host.runs.steps import Answer, StepCall
from qtforge_sdk import Compensation
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import convert
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import OperationError, RunDivergedError
from qtforge_sdk.records import ChildStarted, StepFailed, StepSkipped, TimerFired, TimerSet

__all__ = ["Waits"]

_OWNED_S: Final = 0.5  # how often a child is looked at that another process executes
_FAIL_S = 1.0  # in which what failed beside a step ends that step too


class Waits:
    """What `ActiveRun` inherits; its own file, because waiting is an idea of its own."""

    id: str
    _log: RunLog
    _control: Control
    _clock: Clock
    _children: Children
    _timers: int
    _taken: set[str]
    _claims: ReplayGuard

    async def sleep(self, duration: Duration, *, name: str | None = None) -> None:
        """Wait on the run's clock; see `qtforge_sdk.Run`."""
        seconds = wait_seconds(duration)
        self._timers += 1
        timer = f"timer {self._timers}" if name is None else name
        self._claims.claim(timer)
        if self._control.winds_down and timer not in self._log.state.fired:
            await self._wind_down(timer)
        due = await self._due(timer, seconds)
        while (left := (due - self._clock.now()).total_seconds()) > 0:
            await self._sleep_or(self._control.changed, left)
        if timer not in self._log.state.fired:
            fired = TimerFired(run_id=self.id, at=self._clock.now(), name=timer, late_s=-left)
            await self._log.append(fired)

    async def wait_event(
        self,
        name: str,
        *,
        timeout: Duration | None = None,
        step: str | None = None,
        response_type: Any = None,
    ) -> Any:
        """Wait for an event; see `qtforge_sdk.Run`."""
        timeout_s = None if timeout is None else wait_seconds(timeout)
        step = f"event {name}" if step is None else step

        async def send(attempt: int) -> Answer:
            due = None if timeout_s is None else await self._due(step, timeout_s)
            while True:
                changed = self._control.changed
                for event in self._log.state.events:
                    if event.name == name and event.event_id not in self._taken:
                        self._taken.add(event.event_id)
                        return {"event_id": event.event_id, "data": event.data}, None
                if due is None:
                    with self._control.awaiting(name):
                        await self._control.wait(changed)
                elif (left := (due - self._clock.now()).total_seconds()) > 0:
                    with self._control.awaiting(name):
                        await self._sleep_or(changed, left)
                else:
                    what = f"the event '{name}' did not come within {timeout_s:g} s"
                    raise OperationError("run.event_timeout", what)

        found = await self._do(StepCall(step=step, topic="", send=send), None, None)
        self._taken.add(found["event_id"])
        data = found["data"]
        return data if response_type is None else convert(data, response_type)

    async def run_workflow(
        self,
        name: str,
        given: Mapping[str, Any],
        *,
        step: str | None = None,
        required: bool = True,
        response_type: Any = None,
    ) -> Any:
        """Run another workflow as a child; see `qtforge_sdk.Run`."""
        step = name if step is None else step

        async def started(child: str) -> None:
            await self._log.append(
                ChildStarted(run_id=self.id, at=self._clock.now(), step=step, child_run_id=child)
            )

        async def send(attempt: int) -> Answer:
            known = self._log.state.children.get(step)
            begun = await self._begun(step)
            if begun is not None and known is None:
                await started(begun)
            parent = ParentStep(run_id=self.id, step=step, depth=self._log.state.depth)
            while True:
                try:
                    result = await self._children.result(
                        parent, name, given, begun, started, self._control.is_to_stop
                    )
                except ChildOwnedError:
                    await self._sleep(_OWNED_S)
                else:
                    return result, None

        call = StepCall(step=step, topic="", send=send, required=required)
        try:
            return await self._do(call, None, response_type)
        finally:
            await self._let_go(step)

    async def _begun(self, step: str) -> str | None:
        """Return the child that a step began, in this process or in one before it."""
        state = self._log.state
        begun = state.children.get(step)
        if begun is None and state.resumed:
            begun = await self._children.find(self.id, step, state.all_children)
        return begun

    async def _let_go(self, step: str) -> None:
        """Cancel the child of a step that ended without it, such as while nobody ran it."""
        outcome = self._log.state.outcomes.get(step)
        if isinstance(outcome, StepFailed | StepSkipped) and self._log.state.resumed:
            begun = await self._begun(step)
            if begun is not None:
                await self._children.cancel(self.id, begun)

    async def cancel_children(self) -> None:
        """Cancel the runs that this one began and has not taken up again."""
        state = self._log.state
        if state.resumed or state.checkpoint is not None:  # else they ended with their steps
            await self._children.cancel(self.id)

    async def _begin(self, step: str) -> None:
        """Come to the boundary before a step that is to be done now.

        Raises:
            PauseRequested: The run is to rest.
        """
        if self._control.winds_down:
            await self._wind_down(step)
        self._control.check()

    async def _wind_down(self, step: str) -> None:
        """Leave the code where it would do what it had not done when it was interrupted.

        First it has to ask for all that the journal holds, wherever that is in parallel: what
        it has not asked for can't be undone.

        Raises:
            asyncio.CancelledError: The run was cancelled.
            TimeOver: It has no time left.
            RunDivergedError: It is being undone because of a failure that does not come again.
        """
        await self._claims.all_found()
        if self._control.cancel_requested is not None:
            raise asyncio.CancelledError
        if self._log.state.compensating:
            await asyncio.sleep(_FAIL_S)
        if self._control.is_over:
            raise TimeOver
        raise RunDivergedError(step, "it had failed before it, and does not any more")

    async def _due(self, timer: str, seconds: float) -> datetime.datetime:
        due = self._log.state.due.get(timer)
        if due is None:
            now = self._clock.now()
            due = now + datetime.timedelta(seconds=seconds)
            await self._log.append(TimerSet(run_id=self.id, at=now, name=timer, due=due))
        return due

    async def _sleep(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while not await self._sleep_or(self._control.changed, until - self._clock.monotonic()):
            pass  # something was sent that does not end the wait

    async def _sleep_or(self, changed: asyncio.Event, seconds: float) -> bool:
        """Sleep until something is sent; return whether the time was over."""
        waiting = asyncio.ensure_future(self._control.wait(changed))
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            either: set[asyncio.Future[None]] = {sleeping, waiting}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()  # raises when the run is to rest
            return sleeping.done()
        finally:
            sleeping.cancel()
            waiting.cancel()

    @abstractmethod
    async def _do(
        self, call: StepCall, compensation: Compensation | None, response_type: Any
    ) -> Any:
        """Do a step."""
