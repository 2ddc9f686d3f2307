"""Connect a machine with a run: events in, checkpoints and requests out."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    CancelAction,
    MessageAction,
    PluginCallAction,
    SendAction,
)
from qtforge_builtin_plugins.orchestrators.reactive.actions_runner import Call, Sent
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_builtin_plugins.orchestrators.reactive.machine import Machine
from qtforge_builtin_plugins.orchestrators.reactive.microstep import Planner
from qtforge_builtin_plugins.orchestrators.reactive.snapshot import Event, Snapshot, Trace
from qtforge_sdk import Run
from qtforge_sdk.checkpoints import Checkpoint, Ended, ReceivedEvent
from qtforge_sdk.errors import ExpressionError, OperationError, QtForgeError, StageFailedError

__all__ = ["Instance"]

T = TypeVar("T")

_CHILD: Final = "workflow."
_PATHS: Final = re.compile(r"\b(?:event|data|instance)(?:\.[A-Za-z_]\w*+)+(?!\s*\()")
_BUILTIN: Final = (bytes, datetime.datetime)
_SHOWN: Final = 200  # characters of a value
_EARLIER: Final = datetime.timedelta(milliseconds=1)  # more than a journal's rounding


class Instance:
    """Handle a run's events one after the other, with a checkpoint after each.

    Args:
        run: The run.
        planner_of: Returns the planner of a definition.
    """

    def __init__(self, run: Run, planner_of: Callable[[ReactiveDefinition], Planner]) -> None:
        self._run = run
        self._planner_of = planner_of
        self._definition: ReactiveDefinition = run.definition
        self._about = {
            "id": run.id,
            "workflow": self._definition.name,
            "started_at": run.render("${run.started_at}"),
            "parent": run.parent_id or "",
        }
        self._machine = self._make()
        self._accepted: dict[tuple[str, ...], tuple[str, ...]] = {}  # by the active states
        self._busy = False  # in the last checkpoint
        self._key = ""

    async def live(self) -> Ended:
        """Continue from the last checkpoint until the machine ends.

        Raises:
            OperationError: ``machine.failed``: an action failed, and no transition took the
                error event.
        """
        key = self._definition.key
        if key is not None:
            self._key = str(await self._run.compute(lambda: self._run.render(key)))
        if self._run.checkpoint_state is None:
            trace = Trace()
            data = await self._run.compute(lambda: self._run.render(self._definition.data))
            snapshot = self._machine.start(data, trace)
            call = await self._advance(snapshot, trace)
            await self._settle(snapshot, trace, None, "started", call)
        else:
            snapshot = msgspec.convert(self._run.checkpoint_state, Snapshot)
            self._busy = bool(snapshot.pending or snapshot.queue) or _is_over(snapshot)
            if self._busy:  # an amendment holds from the next event on
                self._adopt(self._run.checkpoint_definition)
            trace = Trace()
            call = await self._advance(snapshot, trace)
            await self._settle(snapshot, trace, None, "", call)
        while not _is_over(snapshot):
            received = await self._run.next_event()
            self._adopt(self._run.definition)  # it may have been amended
            trace = Trace()
            outcome, call = await self._handle(snapshot, received, trace)
            await self._settle(snapshot, trace, received, outcome, call)
        if snapshot.failed is not None:
            code = snapshot.code or "machine.failed"
            raise OperationError(code, snapshot.failed, retryable=False)
        return await self._ended(snapshot)

    def _adopt(self, definition: ReactiveDefinition) -> None:
        if definition is not self._definition:
            self._definition = definition
            self._machine = self._make()
            self._accepted.clear()

    async def _ended(self, snapshot: Snapshot) -> Ended:
        names = self._names(snapshot, snapshot.event)
        final = self._planner_of(self._definition).chart.nodes[snapshot.finished or ""].state
        if final is None or final.result is None:
            result = {"state": snapshot.finished, "data": snapshot.data}
            return Ended(result=result, names=names)
        own = await self._run.compute(lambda: self._run.render(final.result, names))
        return Ended(result=own, names=names, goes_first=True)

    def _make(self) -> Machine:
        run = self._run
        return Machine(
            self._definition, run, self._about, run.now, self._planner_of(self._definition)
        )

    async def _handle(
        self, snapshot: Snapshot, received: ReceivedEvent, trace: Trace
    ) -> tuple[str, Call | None]:
        """Take an event and advance; return its outcome, and the call to make."""
        is_end = received.name.startswith(_CHILD) and isinstance(received.data, dict)
        if is_end and self._machine.is_cancelled(snapshot, received.data.get("run_id")):
            outcome = "the machine had cancelled the workflow"
            return outcome, await self._advance(snapshot, trace)
        event = _event(snapshot, received, trace)
        if event is None:
            outcome = "the timer was cancelled or replaced before it fired"
            return outcome, await self._advance(snapshot, trace)

        def handle() -> tuple[str, Call | None]:
            if self._machine.take(snapshot, event, trace):
                outcome = "taken"
            else:
                outcome = self._explain_rejection(snapshot, event)
            return outcome, self._machine.advance(snapshot, trace)

        try:
            return await self._run.compute(_Repeatable(snapshot, trace, handle))
        except ExpressionError as error:
            outcome = f"cannot evaluate {error.expression}: {error.why}"
            return outcome, await self._advance(snapshot, trace)

    async def _settle(
        self,
        snapshot: Snapshot,
        trace: Trace,
        received: ReceivedEvent | None,
        outcome: str,
        call: Call | None,
    ) -> None:
        """Make calls until the machine is stable, with a checkpoint before each and at the end."""
        saved = outcome == ""  # nothing has happened since the last checkpoint
        while True:
            # An ended machine is busy until its run ends: if the process dies before, another
            # process must resume the run.
            busy = call is not None or _is_over(snapshot)
            if not saved or busy != self._busy or trace != Trace():
                await self._checkpoint(snapshot, trace, received, outcome, busy)
                saved, received, trace, outcome = True, None, Trace(), "taken"
            if call is None:
                return
            await self._make_call(snapshot, call, trace)
            call = await self._advance(snapshot, trace)

    async def _advance(self, snapshot: Snapshot, trace: Trace) -> Call | None:
        return await self._run.compute(
            _Repeatable(snapshot, trace, lambda: self._machine.advance(snapshot, trace))
        )

    async def _make_call(self, snapshot: Snapshot, call: Call, trace: Trace) -> None:
        try:
            answer = await self._carry_out(call)
        except StageFailedError as error:
            self._machine.failed(snapshot, call, _failure(error), trace)
            return
        try:
            self._machine.answered(snapshot, call, answer)
        except OperationError as error:  # the data has no place for the answer
            description = {"code": error.code, "message": str(error)}
            self._machine.failed(snapshot, call, description, trace)

    async def _carry_out(self, call: Call) -> Any:
        action = call.action
        if isinstance(action, MessageAction):
            await self._run.publish(call.step, action.topic, call.message)
            return None
        if isinstance(action, PluginCallAction):
            return await self._run.request(
                call.step,
                action.operation,
                call.message,
                timeout=action.timeout,
                plugin=action.plugin,
                retry=action.retry,
            )
        if isinstance(action, SendAction):
            sent: Sent = call.message
            await self._run.send_event(sent.run_ids, sent.event, sent.data, step=call.step)
            return None
        if isinstance(action, CancelAction):
            await self._run.cancel_workflows(call.message, step=call.step)
            return None
        return await self._run.start_workflow(
            action.workflow,
            call.message,
            step=call.step,
            event=_CHILD + call.name,
            independent=action.keep,
        )

    async def _checkpoint(
        self,
        snapshot: Snapshot,
        trace: Trace,
        received: ReceivedEvent | None,
        outcome: str,
        busy: bool,
    ) -> None:
        self._busy = busy
        if not busy:
            self._adopt(self._run.definition)  # the events that it accepts now are the new ones
        gone = [name for name in trace.cancelled if name not in snapshot.timers]
        if _is_over(snapshot):
            snapshot.timers = {}
        await self._run.checkpoint(
            Checkpoint(
                state=msgspec.to_builtins(snapshot, builtin_types=_BUILTIN),
                label=", ".join(snapshot.active),
                event=received,
                outcome=outcome,
                trace=msgspec.to_builtins(trace),
                timers_set={
                    name: snapshot.timers[name].due for name in trace.set if name in snapshot.timers
                },
                timers_gone=tuple(gone),
                timers_fixed=tuple(name for name, each in snapshot.timers.items() if each.fixed),
                accepts=self._accepts(snapshot),
                key=self._key,
                busy=busy,
                definition=self._definition,
                failed=snapshot.failed is not None,
            )
        )

    def _accepts(self, snapshot: Snapshot) -> tuple[str, ...]:
        found = self._accepted.get(snapshot.active)
        if found is None:
            triggers = {trigger for trigger, _, _ in self._machine.accepts(snapshot)}
            found = self._accepted[snapshot.active] = tuple(sorted(triggers))
        return found

    def _explain_rejection(self, snapshot: Snapshot, event: Event) -> str:
        """Say why no transition took an event, with the values in the conditions."""
        why = self._machine.explain_rejection(snapshot, event)
        names = self._names(snapshot, event)
        values = []
        for path in dict.fromkeys(_PATHS.findall(why)):
            try:
                value = repr(self._run.render("${" + path + "}", names))[:_SHOWN]
            except QtForgeError:
                value = "missing"
            values.append(f"{path} is {value}")
        return f"{why} ({', '.join(values)})" if values else why

    def _names(self, snapshot: Snapshot, event: Event | None) -> dict[str, Any]:
        instance = {**self._about, "states": list(snapshot.active)}
        return {"data": snapshot.data, "event": event, "instance": instance}


class _Repeatable(Generic[T]):
    """A function that changes a snapshot and a trace, which each further call sets back first."""

    __slots__ = ("_before", "_function", "_snapshot", "_trace", "_was_called")

    def __init__(self, snapshot: Snapshot, trace: Trace, function: Callable[[], T]) -> None:
        self._snapshot = snapshot
        self._trace = trace
        self._function = function
        self._before = snapshot.copied(), trace.lengths()
        self._was_called = False

    def __call__(self) -> T:
        if self._was_called:
            self._snapshot.set_back(self._before[0])
            self._trace.set_back(self._before[1])
        self._was_called = True
        return self._function()


def _is_over(snapshot: Snapshot) -> bool:
    return snapshot.finished is not None or snapshot.failed is not None


def _event(snapshot: Snapshot, received: ReceivedEvent, trace: Trace) -> Event | None:
    at = received.at.isoformat()
    if received.timer:
        timer = snapshot.timers.get(received.name)
        if timer is not None and received.at < timer.due - _EARLIER:
            return None  # it fired before it was replaced
        trace.cancelled.append(received.name)
        if timer is None:
            return None
        snapshot.timers = {
            name: each for name, each in snapshot.timers.items() if name != received.name
        }
        return Event(
            name=timer.event, data=timer.data, id=received.event_id, at=at, late_s=received.late_s
        )
    name = received.name
    if name.startswith(_CHILD) and isinstance(received.data, dict):
        ended = "done" if received.data.get("status") == "succeeded" else "error"
        name = f"{ended}.{name}"
    return Event(name=name, data=received.data, id=received.event_id, at=at, sender=received.sender)


def _failure(error: StageFailedError) -> dict[str, Any]:
    cause = error.__cause__
    code = cause.code if isinstance(cause, QtForgeError) else error.code
    return {"code": code, "message": str(cause or error)}
