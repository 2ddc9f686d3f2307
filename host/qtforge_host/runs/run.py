"""`ActiveRun`: the `Run` that an orchestrator drives."""

from __future__ import annotations

import asyncio
import datetime
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from qtforge_host.cancellation import LET_CANCELLATION_OUT, CoroutineLeft, attend
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.plugin_code import (
    NO_AUTHOR,
    Author,
    PluginCodeError,
    clean_text,
    description_of,
    is_own_code,
    is_sound,
    place_of,
)
from qtforge_host.runs.abandoned_calls import AbandonedCalls
from qtforge_host.runs.amendments import Amendments
from qtforge_host.runs.children import ChildLeftError, Children, ParentStep
from qtforge_host.runs.compensation import Compensator
from qtforge_host.runs.context import STEP
from qtforge_host.runs.control import Control, PauseRequested, TimeOver
from qtforge_host.runs.gather_scope import (
    Branch,
    BranchCut,
    GatherScope,
    WaitCutError,
    is_cut_off,
)
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.replay import PATCH, ReplayGuard
from qtforge_host.runs.serialization import normalize
from qtforge_host.runs.steps import (
    Answer,
    RecordedFailureError,
    StepCall,
    StepMaker,
    StepRequest,
    StepRequester,
    StepRunner,
)
from qtforge_host.runs.waiting import LOOK_S, Until, Wait
from qtforge_sdk import Compensation, ErrorInfo, StepResult, Template
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import convert
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import (
    OperationError,
    QtForgeError,
    RunDivergedError,
    StageFailedError,
)
from qtforge_sdk.journal import InboxMessage
from qtforge_sdk.policies import Cache, Fallback, Retry
from qtforge_sdk.records import (
    CHILD_ENDED,
    ChildStarted,
    QueueEntry,
    StepFailed,
    StepSkipped,
    StepSucceeded,
    TimerFired,
    TimerSet,
)
from qtforge_sdk.runs import CONCLUSION, EvaluationScope
from qtforge_sdk.shielding import wait_shielded

__all__ = ["ActiveRun"]

T = TypeVar("T")

_STEP_TIMEOUT_S: Final = 30.0
_POLL_CHILD_S: Final = 0.5  # how often to look whether another process still executes a child
_CUT: Final = object()  # the result of a branch that was cut off
_PATCH_NAME: Final = 200  # characters of the name of a patch
_FAIL_S: Final = 1.0  # within which the failure of a parallel step ends this one too


class ActiveRun:
    """A run in progress: steps, waits, children, and what undoes them.

    Args:
        log: Appends the run's records.
        control: The requests to the run.
        amendments: Hold the run's definition, and change it.
        requester: Requests topics, and publishes.
        evaluator: For templates and conditions.
        clock: The time.
        children: Executes other workflows.
        author: The plugin whose code executes the run; empty where none is known.
        unpauses: Whether a paused child is resumed with the run.
        runner: Does the steps; None for a `StepRunner`.
    """

    def __init__(
        self,
        log: RunLog,
        control: Control,
        *,
        amendments: Amendments,
        requester: StepRequester,
        evaluator: Evaluator,
        clock: Clock,
        children: Children,
        author: Author = NO_AUTHOR,
        unpauses: bool = True,
        runner: StepMaker | None = None,
    ) -> None:
        self._author = author
        self._unpauses = unpauses
        self.id = log.state.run_id
        self._amendments = amendments
        self._log = log
        self._control = control
        self._requester = requester
        self._evaluator = evaluator
        self._clock = clock
        self._children = children
        self._runner = runner or StepRunner(log, clock, amendments, requester)
        self._calls = AbandonedCalls()
        self._compensator = Compensator(log, clock, requester, self._calls)
        state = log.state
        begun = [step for step in state.begun if not step.startswith(CONCLUSION)]
        self._replay = ReplayGuard(
            [step for step in state.outcomes if not step.startswith(CONCLUSION)],
            begun,
            [step for step in begun if state.topics.get(step) or step in state.children],
            [step for step, outcome in state.outcomes.items() if is_cut_off(outcome)],
        )
        self._gathering = 0  # how many `gather` calls are in progress
        self._deadlines = 0  # how many of them had a deadline
        self._timers = 0
        self._patches: dict[str, bool] = {}
        self._taken = log.state.taken_events()
        self._left_children = False  # whether a child may rest while this process awaits it

    @property
    def definition(self) -> Any:
        """The workflow's definition, as amended until now."""
        return self._amendments.definition

    @property
    def replay_guard(self) -> ReplayGuard:
        """Compares the steps of the code with those of the journal."""
        return self._replay

    @property
    def input(self) -> Mapping[str, Any]:
        """The run's input."""
        found: Mapping[str, Any] = self._log.state.input
        return found

    @property
    def steps(self) -> Mapping[str, StepResult]:
        """The steps so far."""
        return self._log.state.steps

    @property
    def names(self) -> Mapping[str, Any]:
        """The names that templates and conditions may use, with their values."""
        state = self._log.state
        started_at = state.started_at
        about = {
            "id": self.id,
            "workflow": state.workflow,
            "started_at": None if started_at is None else started_at.isoformat(),
        }
        return {"input": state.input, "run": about, "stages": state.steps}

    def render(self, template: object, names: Mapping[str, Any] | None = None) -> Any:
        """Return a template's value now; see `qtforge_sdk.Run`."""
        return self._evaluator.render(template, {**self.names, **(names or {})})

    def evaluate(self, condition: str, names: Mapping[str, Any] | None = None) -> bool:
        """Return whether a condition holds now; see `qtforge_sdk.Run`."""
        return self._evaluator.evaluate(condition, {**self.names, **(names or {})})

    def prepare(self, names: Mapping[str, Any]) -> EvaluationScope:
        """Prepare names for many conditions; see `qtforge_sdk.Run`."""
        return self._evaluator.prepare(names, self.names)

    def compute(self, function: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Return what a function that evaluates expressions returns; see `qtforge_sdk.Run`."""
        return self._evaluator.compute(function)

    def topics(self) -> frozenset[str]:
        """Return the topics that are answered now; see `qtforge_sdk.Run`."""
        return self._requester.topics()

    def now(self) -> datetime.datetime:
        """Return the time; see `qtforge_sdk.Run`."""
        return self._clock.now()

    async def request(
        self,
        step: str,
        topic: str,
        message: object,
        *,
        timeout: Duration | None = None,
        plugin: str | None = None,
        required: bool = True,
        retry: Retry | None = None,
        cache: Cache | None = None,
        fallback: Fallback | None = None,
        compensation: Compensation | None = None,
        response_type: Any = None,
    ) -> Any:
        """Do a step: request a topic; see `qtforge_sdk.Run`."""
        timeout_s = _STEP_TIMEOUT_S if timeout is None else wait_seconds(timeout)

        outgoing = _Outgoing(self, message)

        def send(attempt: int) -> Awaitable[Answer]:
            return self._send(step, topic, outgoing.message, timeout_s, plugin, attempt, cache)

        async def fall_back(given: Fallback) -> Answer:
            if given.topic is None:
                return given.value, None
            names = message.names if isinstance(message, Template) else None
            other = message if given.message is None else Template(given.message, names)
            return await self._send(f"{step}/fallback", given.topic, other, timeout_s, None, 1)

        call = StepCall(
            step=step,
            topic=topic,
            send=send,
            message=outgoing.render,
            plugin=plugin,
            is_work=True,
            required=required,
            retry=retry,
            fallback=fallback,
            fall_back=fall_back,
            undoable=compensation is not None,
        )
        return await self._do(call, compensation, response_type)

    async def step(
        self,
        name: str,
        function: Callable[[], Any],
        *,
        required: bool = True,
        response_type: Any = None,
    ) -> Any:
        """Do a step of the orchestrator's own; see `qtforge_sdk.Run`."""

        async def send(attempt: int) -> Answer:
            try:
                result = function()
                if inspect.iscoroutine(result):
                    return await attend(result, self._author, name, function), None
                return (await result if inspect.isawaitable(result) else result), None
            except BaseException as error:
                if self._control.is_interruption(error):
                    raise
                failure = self._own_failure("run.step_failed", error, function)
                if failure is error:  # not its own cause: the cause has the code
                    raise
                raise failure from error

        call = StepCall(
            step=name,
            topic="",
            send=send,
            is_work=True,
            required=required,
            author=self._author,
        )
        return await self._do(call, None, response_type)

    async def publish(self, step: str, topic: str, message: object) -> None:
        """Do a step: publish; see `qtforge_sdk.Run`."""
        outgoing = _Outgoing(self, message)

        async def send(attempt: int) -> Answer:
            await self._requester.publish(self.id, step, topic, outgoing.message)
            return None, None

        call = StepCall(step=step, topic=topic, send=send, message=outgoing.render)
        await self._do(call, None, None)

    async def patched(self, name: str) -> bool:
        """Tell whether the run does what a change has added; see `qtforge_sdk.Run`."""
        if not isinstance(name, str) or not (name.isprintable() and 0 < len(name) <= _PATCH_NAME):
            raise ValueError(
                f"{name!r:.100} is no name of a patch: 1 to {_PATCH_NAME} printable characters are"
            )
        step = f"{PATCH}{name}"
        if (answered := self._patches.get(name)) is not None:
            return answered
        state = self._log.state
        known = state.outcomes.get(step)
        ahead = self._replay.is_ahead(state.due)
        self._replay.claim(step)
        answer = known.data is True if isinstance(known, StepSucceeded) else not ahead
        self._patches[name] = answer  # before the write: a branch beside this one gets the same
        if known is None and not self._control.winds_down:
            await self._log.append(
                StepSucceeded(
                    run_id=self.id,
                    at=self._clock.now(),
                    step=step,
                    data=answer,
                    plugin=None,
                    plugin_version=None,
                    duration_s=0.0,
                )
            )
        return answer

    async def skip(self, step: str, reason: str) -> None:
        """Record a step that is left out; see `qtforge_sdk.Run`."""
        if self._enter(step, None) is None:
            await self._begin(step)
            await self._log.append(
                StepSkipped(run_id=self.id, at=self._clock.now(), step=step, reason=reason)
            )
            await self._control.amend()

    async def gather(
        self,
        *steps: Awaitable[Any],
        deadline: Duration | None = None,
        first: int | None = None,
        concurrency: int | None = None,
        name: str | None = None,
    ) -> list[Any]:
        """Execute branches at once; see `qtforge_sdk.Run`."""
        if deadline is None and first is None and concurrency is None:
            return await self._all(steps)
        waits = self._control.waits
        scope = GatherScope(self.id, first, concurrency, waits, resumed=self._log.state.resumed)
        if deadline is None:
            return await self._all(steps, scope)
        self._deadlines += 1
        timer = f"gather {self._deadlines}" if name is None else name
        try:
            deadline_s = wait_seconds(deadline)
            self._replay.claim(timer)
            until = await self._until(timer, deadline_s)
        except BaseException:
            for step in steps:
                if inspect.iscoroutine(step):
                    step.close()  # so that Python does not warn of it
            raise
        scope.due = until.due
        if until.left_s <= 0:  # it passed while no process executed the run
            scope.end_late(deadline_s)
        timekeeper = asyncio.ensure_future(self._end_when_due(scope, until, deadline_s))
        try:
            with self._control.waits.ending_by(until):
                answers = await self._all(steps, scope)
        finally:
            timekeeper.cancel()
            await asyncio.wait([timekeeper])
        if scope.late and timer not in self._log.state.fired:
            # After the late steps: a retry that redoes one of them redoes the deadline as well.
            now = self._clock.now()
            await self._log.append(
                TimerFired(run_id=self.id, at=now, name=timer, late_s=until.late_s)
            )
        return answers

    async def sleep(self, duration: Duration, *, name: str | None = None) -> None:
        """Wait on the run's clock; see `qtforge_sdk.Run`."""
        seconds = wait_seconds(duration)
        self._timers += 1
        timer = f"timer {self._timers}" if name is None else name
        self._replay.claim(timer)
        state, branch = self._log.state, Branch.current(self.id)
        if timer in state.fired:
            if branch is not None and timer in state.cut_timers:
                raise BranchCut
            return
        with self._control.waits.working():
            if self._control.winds_down:
                await self._wind_down(timer)
            cut = await self._sleep_until(timer, await self._until(timer, seconds), branch)
        if cut:
            raise BranchCut

    async def _sleep_until(self, timer: str, until: Until, branch: Branch | None) -> bool:
        """Sleep, record how that ended, and return whether it was cut off."""

        async def sleep() -> None:
            while (left_s := until.left_s) > 0:
                changed = self._control.changed
                with self._control.waits.waiting(Wait(until=until)):
                    await self._sleep_or(changed, left_s)

        cut = False
        try:
            if branch is None:
                await sleep()
            else:
                await branch.scope.wait(until.due, sleep, self._replay.until_replayed)
        except WaitCutError:
            cut = True
        now = self._clock.now()
        await self._log.append(
            TimerFired(run_id=self.id, at=now, name=timer, late_s=until.late_s, cut=cut)
        )
        return cut

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
            until = None if timeout_s is None else await self._until(step, timeout_s)
            while True:
                changed = self._control.changed
                for event in self._log.state.events:
                    if event.name == name and event.event_id not in self._taken:
                        self._taken.add(event.event_id)
                        await self.adopt_secrets(event.data, event.sender)
                        return {"event_id": event.event_id, "data": event.data}, None
                waiting = self._control.waits.waiting(Wait(event=name, until=until))
                if until is None:
                    with waiting:
                        await self._control.wait(changed)
                elif (left_s := until.left_s) > 0:
                    with waiting:
                        await self._sleep_or(changed, left_s)
                else:
                    what = f"the event '{name}' did not come within {timeout_s:g} s"
                    raise OperationError("run.event_timeout", what)

        found = await self._do(StepCall(step=step, topic="", send=send), None, None)
        if found is None:  # the journal holds a step of that name that was left out
            return None
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
        pool: str | None = None,
        priority: int = 0,
        response_type: Any = None,
    ) -> Any:
        """Run another workflow as a child; see `qtforge_sdk.Run`."""
        queue = None if pool is None else QueueEntry(pool=pool, priority=priority)
        step = name if step is None else step

        async def on_started(child: str) -> None:
            await self._log.append(
                ChildStarted(run_id=self.id, at=self._clock.now(), step=step, child_run_id=child)
            )

        async def send(attempt: int) -> Answer:
            known = self._log.state.children.get(step)
            begun = await self._child_of(step)
            if begun is not None and known is None:
                await on_started(begun)
            parent = ParentStep(
                run_id=self.id,
                step=step,
                depth=self._log.state.depth,
                notify="" if self._control.stateful else CHILD_ENDED,
                secrets=self._log.secrets.referred(given),
            )
            wakes: bool | None = None
            # Known before the child begins: the run may be cancelled just as the child rests.
            if queue is not None or self._children.may_leave(self._control):
                self._left_children = True
            unpauses = self._unpauses
            while True:
                changed = self._control.changed
                try:
                    result = await self._children.result(
                        parent,
                        name,
                        given,
                        begun,
                        on_started,
                        self._control,
                        unpauses,
                        queue,
                    )
                except ChildLeftError as left:
                    begun, self._left_children = left.run_id, True
                    unpauses = False  # of a child that is paused later, nobody has said that
                    if wakes is None:
                        wakes = await self._children.wakes_parent(begun)
                    # Where no recovery loop continues a child that its process has left, its
                    # parent does, and so looks often whether it may.
                    waits = queue is not None or self._children.may_leave(self._control)
                    look_s = LOOK_S if wakes and waits else _POLL_CHILD_S
                    wait = Wait(child=begun, wakes=wakes)
                    with self._control.waits.waiting(wait):
                        await self._sleep_or(changed, look_s)
                else:
                    child = self._log.state.children.get(step)
                    if child is not None:
                        await self._log.secrets.adopt(child, result)
                    return result, None

        call = StepCall(step=step, topic="", send=send, required=required)
        try:
            return await self._do(call, None, response_type)
        finally:
            await self._cancel_orphan(step)

    async def start_workflow(
        self,
        name: str,
        given: Mapping[str, Any],
        *,
        step: str,
        event: str,
        independent: bool = True,
        pool: str | None = None,
        priority: int = 0,
    ) -> str:
        """Do a step: start another workflow in the background; see `qtforge_sdk.Run`."""

        async def send(attempt: int) -> Answer:
            known = None
            if self._log.state.resumed:
                known = await self._children.find(self.id, step, ())
            depth = self._log.state.depth
            parent = ParentStep(
                run_id=self.id,
                step=step,
                depth=depth,
                notify=event,
                independent=independent,
                secrets=self._log.secrets.referred(given),
            )
            if known is not None:
                return known, None
            queue = None if pool is None else QueueEntry(pool=pool, priority=priority)
            return await self._children.start(parent, name, normalize(given), queue), None

        child: str = await self._do(StepCall(step=step, topic="", send=send), None, None)
        return child

    async def adopt_secrets(self, data: Any, sender: str = "") -> None:
        """Take over the secrets that an event of another run, or its end, refers to."""
        if sender:
            await self._log.secrets.adopt(sender, data)
        elif isinstance(data, Mapping) and isinstance(run_id := data.get("run_id"), str):
            await self._log.secrets.adopt(run_id, data)

    async def cancel_workflows(self, run_ids: Sequence[str], *, step: str) -> None:
        """Do a step: request that started workflows end; see `qtforge_sdk.Run`."""

        async def send(attempt: int) -> Answer:
            await self._children.request_cancel(self.id, run_ids)
            return None, None

        await self._do(StepCall(step=step, topic="", send=send), None, None)

    @property
    def parent_id(self) -> str | None:
        """The id of the run that has started this one; None for none."""
        started = self._log.state.started
        return None if started is None else started.parent

    async def send_event(
        self, run_ids: Sequence[str], event: str, data: Any = None, *, step: str
    ) -> None:
        """Do a step: send an event to other runs; see `qtforge_sdk.Run`."""

        async def send(attempt: int) -> Answer:
            message = InboxMessage(
                message_id=f"{self.id}/{step}",
                kind="event",
                at=self._clock.now(),
                name=event,
                data=normalize(data),
                by=f"the run {self.id}",
                sender=self.id,
            )
            await self._children.send(run_ids, message)
            return None, None

        await self._do(StepCall(step=step, topic="", send=send), None, None)

    @property
    def abandoned_calls(self) -> AbandonedCalls:
        """The calls that were cut off, and have not really ended."""
        return self._calls

    async def compensate(self) -> tuple[bool, bool]:
        """Undo what was done; see `Compensator.compensate`."""
        return await self._compensator.compensate(self._undo, self._rendered)

    def begin_conclusion(self) -> None:
        """Let the run's last steps be done, whatever was requested or undone before."""
        self._control.concludes = True
        self._replay.forget()  # the code has reached what it could

    async def cancel_children(self) -> None:
        """Cancel the children that the run began and has not resumed."""
        state = self._log.state
        left = self._left_children or state.resumed
        if left or state.checkpoint is not None:  # else they ended with their steps
            await self._children.cancel(self.id)

    def check_replayed(self) -> None:
        """Check that the code did every step that the journal holds, and may succeed.

        Raises:
            RunDivergedError: It did not, or the journal says that the run had failed.
            asyncio.CancelledError: The run was cancelled, and is half undone.
        """
        self._replay.check_all()
        if self._log.state.compensating:
            if self._control.cancel_requested is not None:
                raise asyncio.CancelledError
            raise RunDivergedError(
                self._replay.last, "the run had failed after it, and the code no longer fails"
            )

    async def _do(
        self, call: StepCall, compensation: Compensation | None, response_type: Any
    ) -> Any:
        outcome: StepSucceeded | StepFailed | StepSkipped | QtForgeError | None
        outcome = self._enter(call.step, call.topic)
        branch = Branch.current(self.id)
        if outcome is None:
            if not self._control.is_clear or call.step in self._log.state.begun:
                await self._begin(call.step, call, compensation)
            began_s = self._clock.monotonic()
            token = STEP.set(call.step)
            self._control.waits.begin()
            try:
                if branch is None:
                    outcome = await self._runner.make(call, self._sleep)
                else:
                    outcome = await self._make_in(branch.scope, call)
            except asyncio.CancelledError as cut:
                if not self._control.is_stopped:
                    why = cut.why if isinstance(cut, CoroutineLeft) else ""
                    await self._cut(call, compensation, self._clock.monotonic() - began_s, why)
                raise
            finally:
                self._control.waits.end()
                STEP.reset(token)
            if self._control.amendments:
                await self._control.amend()
        if branch is not None:
            branch.note(succeeded=isinstance(outcome, StepSucceeded))
        if isinstance(outcome, StepSucceeded):
            if compensation is not None:
                self._compensator.add(call.step, compensation)
            if response_type is None:
                return outcome.data
            return convert(outcome.data, response_type)
        if isinstance(outcome, StepSkipped):
            if outcome.cut:
                self._compensator.add_unknown(call.step, compensation)
            if branch is not None and is_cut_off(outcome):
                raise BranchCut
            return None
        if compensation is not None and compensation.on_failure:
            self._compensator.add(call.step, compensation)
        if self._log.secrets.known.any_hidden:  # the error as it is recorded, without them
            recorded = self._log.state.outcomes.get(call.step)
            outcome = recorded if isinstance(recorded, StepFailed) else outcome
        error = RecordedFailureError(outcome.error) if isinstance(outcome, StepFailed) else outcome
        if call.required:
            raise StageFailedError(call.step, str(error)) from error
        return None

    async def _cut(
        self, call: StepCall, compensation: Compensation | None, duration_s: float, why: str = ""
    ) -> None:
        """Record that a step was cut off, unless it had ended, and note how it is undone.

        Args:
            call: The step.
            compensation: What undoes it, or None.
            duration_s: How long it took, in seconds.
            why: Whose code did not end when it was cancelled, or "".
        """
        state, step = self._log.state, call.step
        shown = state.steps.get(step)
        if shown is not None and shown.status == "running":
            what = "it was cut off while it was in progress: its effect is not known"
            record = StepFailed(
                run_id=self.id,
                at=self._clock.now(),
                step=step,
                error=ErrorInfo(
                    code="run.step_cut",
                    message=f"{what}; {why}, and was abandoned" if why else what,
                    stage=step,
                    fix=LET_CANCELLATION_OUT if why else None,
                ),
                required=call.required,
                duration_s=max(0.0, duration_s),
                attempt=max(1, shown.attempts),
                cut=True,
            )
            # The step may be undone only once the journal says that it was cut off.
            writing = asyncio.ensure_future(self._log.append(record))
            await wait_shielded(writing)  # the caller raises its cancellation itself
            writing.result()
        outcome = state.outcomes.get(step)
        if isinstance(outcome, StepSucceeded):
            self._compensator.add(step, compensation)  # it was recorded meanwhile
        elif isinstance(outcome, StepFailed) and step in state.begun:
            self._compensator.add_unknown(step, compensation)
        elif isinstance(outcome, StepFailed) and compensation and compensation.on_failure:
            self._compensator.add(step, compensation)

    async def _make_in(
        self, scope: GatherScope, call: StepCall
    ) -> StepSucceeded | StepSkipped | QtForgeError:
        begun = call.step in self._log.state.begun
        outcome = await scope.make(
            call,
            self._runner,
            self._sleep,
            self._control.check,
            self._replay.until_replayed,
            self._clock,
            begun=begun,
        )
        if isinstance(outcome, StepSkipped):
            await self._log.append(outcome)
        return outcome

    def _enter(
        self, step: str, topic: str | None
    ) -> StepSucceeded | StepFailed | StepSkipped | None:
        """Claim a step's name; return the outcome that the journal holds, or None."""
        self._replay.claim(step)
        state = self._log.state
        known, requested = state.outcomes.get(step), state.topics.get(step)
        if topic and requested and requested != topic:
            raise RunDivergedError(
                step, f"the journal requested '{requested}', the code requests '{topic}'"
            )
        if known is not None and step not in state.begun:
            self._replay.mark_replayed(step)
            return known
        if not self._gathering:
            self._replay.check_new(step)
        return None

    async def _begin(
        self, step: str, call: StepCall | None = None, compensation: Compensation | None = None
    ) -> None:
        """Pass the boundary before a step that is to be done now.

        Raises:
            PauseRequested: The run is to rest.
        """
        if self._control.concludes:
            return
        if call is not None and step in self._log.state.begun:  # when the last process ended
            await self._begin_again(call, compensation)
        if self._control.winds_down:
            await self._wind_down(step)
        if self._control.is_cut:  # the code swallowed its cancellation
            await asyncio.sleep(0)
            raise asyncio.CancelledError
        self._control.check()

    async def _begin_again(self, call: StepCall, compensation: Compensation | None) -> None:
        """Decide about a step that an earlier process began, and whose effect is unknown.

        It is done again, unless the run winds down or what cut the step off comes again.
        """
        step, state = call.step, self._log.state
        if self._control.winds_down:
            await self._cut(call, compensation, 0.0)
            self._replay.mark_replayed(step)
        elif step in state.outcomes:  # it was cut off, and that is what the journal says
            self._compensator.add_unknown(step, compensation)
            self._replay.mark_replayed(step)
            await self._replay.until_replayed()
            await asyncio.sleep(_FAIL_S)
            self._compensator.discard(step)
        else:
            self._replay.mark_replayed(step)

    async def _wind_down(self, step: str) -> None:
        """Leave the code where it would do what it had not done when it was interrupted.

        First it has to reach every step that the journal holds, wherever that is in parallel:
        a step that it has not reached can't be undone.

        Raises:
            asyncio.CancelledError: The run was cancelled.
            TimeOver: It has no time left.
            RunDivergedError: It is being undone because of a failure that does not come again.
        """
        await self._replay.until_replayed()
        if self._control.cancel_requested is not None:
            raise asyncio.CancelledError
        if self._log.state.compensating:
            await asyncio.sleep(_FAIL_S)
        if self._control.is_over:
            raise TimeOver
        raise RunDivergedError(
            step, "the run had failed before it, and the code no longer fails there"
        )

    def _send(
        self,
        step: str,
        topic: str,
        message: object,
        timeout_s: float,
        plugin: str | None,
        attempt: int,
        cache: Cache | None = None,
    ) -> Awaitable[Answer]:
        if isinstance(message, Template):
            return self._send_rendered(step, topic, message, timeout_s, plugin, attempt, cache)

        def on_progress(done: float, total: float | None, text: str) -> None:
            if not _are_numbers(done, 0.0 if total is None else total):
                raise TypeError(f"progress takes numbers, not {done!r} of {total!r}")
            shown = self._log.secrets.mask(clean_text(text))
            self._log.listener.on_progress(self._log.state, step, done, total, shown)

        request = StepRequest(
            run_id=self.id,
            step=step,
            topic=topic,
            message=message,
            timeout_s=timeout_s,
            plugin=plugin,
            attempt=attempt,
            cache=cache,
            secrets=self._log.secrets,
            versions=self._log.state.served_by,
        )
        return self._requester.request(request, on_progress)

    async def _send_rendered(
        self,
        step: str,
        topic: str,
        template: Template,
        timeout_s: float,
        plugin: str | None,
        attempt: int,
        cache: Cache | None,
    ) -> Answer:
        message = await self.compute(lambda: self.render(template.value, template.names))
        return await self._send(step, topic, message, timeout_s, plugin, attempt, cache)

    def _undo(self, step: str, compensation: Compensation, attempt: int) -> Awaitable[Answer]:
        return self._send(
            f"{step}/compensation",
            compensation.topic,
            compensation.message,
            wait_seconds(compensation.timeout),
            None,
            attempt,
        )

    async def _rendered(self, compensation: Compensation) -> Compensation:
        message = await _Outgoing(self, compensation.message).render()
        return replace(compensation, message=message)

    async def _child_of(self, step: str) -> str | None:
        """Return the child that a step began, in this process or in one before it."""
        state = self._log.state
        begun = state.children.get(step)
        if begun is None and state.resumed:
            begun = await self._children.find(self.id, step, state.all_children)
        return begun

    async def _cancel_orphan(self, step: str) -> None:
        """Cancel the child of a step that ended without it, such as while no process ran."""
        outcome = self._log.state.outcomes.get(step)
        left = self._left_children or self._log.state.resumed
        if isinstance(outcome, StepFailed | StepSkipped) and left:
            begun = await self._child_of(step)
            if begun is not None:
                await self._children.cancel(self.id, begun)

    async def _all(
        self, steps: tuple[Awaitable[Any], ...], scope: GatherScope | None = None
    ) -> list[Any]:
        """Return the results of branches; None for one that was cut off.

        Raises:
            BranchCut: The gathering itself is in a branch that was cut off, and its own branches
                with it.
        """
        tasks = [asyncio.ensure_future(self._contained(step, scope)) for step in steps]
        self._gathering += 1
        try:
            answers = list(await asyncio.gather(*tasks))
        except PauseRequested:
            # The others come to their own boundary, so that none of their work is lost.
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for step in steps:
                if inspect.iscoroutine(step):
                    step.close()  # of a task that was cancelled before it began
            raise
        finally:
            self._gathering -= 1
        if any(answer is _CUT for answer in answers):
            ended_itself = scope is not None and (scope.late or scope.has_enough)
            if not ended_itself and Branch.current(self.id) is not None:
                raise BranchCut
        return [None if answer is _CUT else answer for answer in answers]

    async def _contained(self, step: Awaitable[Any], scope: GatherScope | None) -> Any:
        """Await a branch; what its code raises must not end the event loop."""
        branch = None
        if scope is not None:
            branch = Branch(scope)
            branch.enter()
        try:
            if inspect.iscoroutine(step) and is_own_code(step.cr_code):
                answer = await attend(step, self._author, step.__name__, step)
            else:
                answer = await step
            if branch is not None:
                branch.returned()
            return answer
        except Exception:
            raise
        except BranchCut:
            return _CUT
        except BaseException as error:
            if self._control.is_interruption(error):
                raise
            raise self._own_failure("run.step_failed", error, None) from error

    def _own_failure(self, code: str, error: BaseException, function: object) -> QtForgeError:
        """Return the error for what the workflow's own code raised."""
        said = description_of(error)
        if isinstance(error, QtForgeError):
            if is_sound(error):
                return error
            return OperationError(said.code or code, said.what, said.why, said.fix)
        return PluginCodeError(code, self._author, said.what, place_of(error, function))

    async def _end_when_due(self, scope: GatherScope, until: Until, deadline_s: float) -> None:
        while (left_s := until.left_s) > 0:
            sleeping = asyncio.ensure_future(self._clock.sleep(left_s))
            try:
                await asyncio.wait([sleeping], timeout=LOOK_S)
            finally:
                sleeping.cancel()
        scope.end_late(deadline_s)

    async def _until(self, timer: str, seconds: float) -> Until:
        """Return when a named timer ends; set it unless the journal holds it."""
        due = self._log.state.due.get(timer)
        if due is None:
            now = self._clock.now()
            due = now + datetime.timedelta(seconds=seconds)
            await self._log.append(TimerSet(run_id=self.id, at=now, name=timer, due=due))
        elif back_s := self._control.set_back_s:
            seconds = min(seconds, (due - self._clock.now()).total_seconds() - back_s)
        return Until(due, seconds, self._clock)

    async def _sleep(self, seconds: float) -> None:
        """Wait between two attempts of a step; the journal holds when the next one begins."""
        due = self._clock.now() + datetime.timedelta(seconds=seconds)
        until = Until(due, seconds, self._clock)
        with self._control.waits.waiting(Wait(until=until)):
            while not await self._sleep_or(self._control.changed, until.left_s):
                pass  # something was sent that does not end the wait

    async def _sleep_or(self, changed: asyncio.Event, seconds: float) -> bool:
        """Sleep until something is sent, or for a while; return whether the time was over."""
        waiting = asyncio.ensure_future(self._control.wait(changed))
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            either: set[asyncio.Future[None]] = {sleeping, waiting}
            await asyncio.wait(either, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()  # raises when the run is to rest
            return sleeping.done()
        finally:
            sleeping.cancel()
            waiting.cancel()


def _are_numbers(*values: object) -> bool:
    return all(isinstance(value, int | float) for value in values)


class _Outgoing:
    """The message of one step, as its attempts send it.

    Args:
        run: The run, which renders templates.
        given: What the step was given.

    Attributes:
        message: The message; it is rendered before each attempt.
    """

    __slots__ = ("_given", "_run", "message")

    def __init__(self, run: ActiveRun, given: object) -> None:
        self._run = run
        self._given = given
        self.message = given

    async def render(self) -> Any:
        """Return the message of the next attempt."""
        given, run = self._given, self._run
        if isinstance(given, Template):
            self.message = await run.compute(lambda: run.render(given.value, given.names))
        return self.message
