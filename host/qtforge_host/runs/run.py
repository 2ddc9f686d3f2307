"""`ActiveRun`: the `Run` that an orchestrator drives."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.runs.children import Children
from qtforge_host.runs.compensation import Compensator
from qtforge_host.runs.context import STEP
from qtforge_host.runs.control import Control
from qtforge_host.runs.evaluating import Evaluates
from qtforge_host.runs.gather_scope import Gathering, Gathers, gathering_of
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.replay import ReplayGuard
from qtforge_host.runs.stateful_run import Keeps
from qtforge_host.runs.steps import (
    Amends,
    Answer,
    Ask,
    AskCall,
    Publish,
    RecordedFailureError,
    StepCall,
    StepRunner,
)
from qtforge_sdk import Compensation, StepResult, Template
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import convert
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import (
    OperationError,
    QtForgeError,
    RunDivergedError,
    StageFailedError,
)
from qtforge_sdk.policies import Cache, Fallback, Retry
from qtforge_sdk.records import (
    StepFailed,
    StepSkipped,
    StepSucceeded,
)

__all__ = ["ActiveRun"]

_STEP_TIMEOUT_S = 30.0


class ActiveRun(Gathers, Evaluates, Keeps):
    """A run in progress; implements `qtforge_sdk.Run`.

    Args:
        log: Its end of the journal.
        control: What others ask of it.
        amending: Has its definition, and changes it.
        ask: Asks the bus.
        publish: Publishes on the bus.
        evaluator: For templates and conditions.
        clock: The time.
        children: Runs other workflows.
    """

    def __init__(
        self,
        log: RunLog,
        control: Control,
        *,
        amending: Amends,
        ask: Ask,
        publish: Publish,
        evaluator: Evaluator,
        clock: Clock,
        children: Children,
    ) -> None:
        self.id = log.state.run_id
        self._amending = amending
        self._log = log
        self._control = control
        self._ask = ask
        self._publish = publish
        self._evaluator = evaluator
        self._clock = clock
        self._children = children
        self._attempts = StepRunner(log, clock, amending)
        self._compensator = Compensator(log, clock)
        self._claims = ReplayGuard(log.state.outcomes)
        self._gathering = 0
        self._gathers = 0
        self._timers = 0
        self._taken = log.state.taken_events()

    @property
    def definition(self) -> Any:
        """The workflow's definition, as amended until now."""
        return self._amending.definition

    @property
    def input(self) -> Mapping[str, Any]:
        """What the run was started with."""
        found: Mapping[str, Any] = self._log.state.input
        return found

    @property
    def steps(self) -> Mapping[str, StepResult]:
        """The steps so far."""
        return self._log.state.steps

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
        """Do a step; see `qtforge_sdk.Run`."""
        timeout_s = _STEP_TIMEOUT_S if timeout is None else wait_seconds(timeout)

        def send(attempt: int) -> Awaitable[Answer]:
            return self._send(step, topic, message, timeout_s, plugin, attempt, cache)

        async def fall_back(given: Fallback) -> Answer:
            if given.topic is None:
                return given.value, None
            other = message if given.message is None else Template(given.message)
            return await self._send(f"{step}/fallback", given.topic, other, timeout_s, None, 1)

        call = StepCall(
            step=step,
            topic=topic,
            send=send,
            required=required,
            retry=retry,
            fallback=fallback,
            fall_back=fall_back,
        )
        return await self._do(call, compensation, response_type)

    async def step(
        self, name: str, function: Callable[[], Any], *, response_type: Any = None
    ) -> Any:
        """Do a step of the orchestrator's own; see `qtforge_sdk.Run`."""

        async def send(attempt: int) -> Answer:
            try:
                result = function()
                return (await result if inspect.isawaitable(result) else result), None
            except QtForgeError:
                raise
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise OperationError("run.step_failed", what) from error

        return await self._do(StepCall(step=name, topic="", send=send), None, response_type)

    def topics(self) -> frozenset[str]:
        """Return the topics that are answered now; see `qtforge_sdk.Run`."""
        return self._ask.topics()

    async def skip(self, step: str, reason: str) -> None:
        """Record a step that is left out; see `qtforge_sdk.Run`."""
        if self._enter(step, None) is None:
            await self._begin(step)
            await self._log.append(
                StepSkipped(run_id=self.id, at=self._clock.now(), step=step, reason=reason)
            )
            await self._control.amend()

    async def compensate(self) -> tuple[bool, bool]:
        """Undo what was done; see `Compensator.compensate`."""
        return await self._compensator.compensate(self._undo)

    def check_all_claimed(self) -> None:
        """Check that the code asked for every step that the journal holds, and may end well.

        Raises:
            RunDivergedError: It did not, or the journal says that it had failed.
            asyncio.CancelledError: What was cancelled is half undone.
        """
        self._claims.check_all()
        if self._log.state.compensating:
            if self._control.cancel_requested is not None:
                raise asyncio.CancelledError
            raise RunDivergedError(self._claims.last, "it had failed, and does not any more")

    async def _do(
        self, call: StepCall, compensation: Compensation | None, response_type: Any
    ) -> Any:
        outcome: StepSucceeded | StepFailed | StepSkipped | QtForgeError | None
        outcome = self._enter(call.step, call.topic)
        gathering = gathering_of(self.id)
        if outcome is None:
            await self._begin(call.step)
            token = STEP.set(call.step)
            try:
                if gathering is None:
                    outcome = await self._attempts.make(call, self._sleep)
                else:
                    outcome = await self._make_in(gathering, call)
            except asyncio.CancelledError:
                if isinstance(self._log.state.outcomes.get(call.step), StepSucceeded):
                    self._compensator.add(call.step, compensation)  # while that was recorded
                raise
            finally:
                STEP.reset(token)
            await self._control.amend()
        if isinstance(outcome, StepSucceeded):
            if gathering is not None:
                gathering.count()
            if compensation is not None:
                self._compensator.add(call.step, compensation)
            if response_type is None:
                return outcome.data
            return convert(outcome.data, response_type)
        if isinstance(outcome, StepSkipped):
            return None
        if compensation is not None and compensation.on_failure:
            self._compensator.add(call.step, compensation)
        error = RecordedFailureError(outcome.error) if isinstance(outcome, StepFailed) else outcome
        if call.required:
            raise StageFailedError(call.step, str(error)) from error
        return None

    async def _make_in(
        self, gathering: Gathering, call: StepCall
    ) -> StepSucceeded | StepSkipped | QtForgeError:
        outcome = await gathering.make(
            call, self._attempts, self._sleep, self._control.check, self._clock
        )
        if isinstance(outcome, StepSkipped):
            await self._log.append(outcome)
        return outcome

    def _enter(
        self, step: str, topic: str | None
    ) -> StepSucceeded | StepFailed | StepSkipped | None:
        """Claim a step; return what the journal holds of it."""
        self._claims.claim(step)
        state = self._log.state
        known, asked = state.outcomes.get(step), state.topics.get(step)
        if topic and asked and asked != topic:
            raise RunDivergedError(step, f"the journal asked '{asked}', the code asks '{topic}'")
        if known is not None:
            self._claims.found(step)
            return known
        if not self._gathering:
            self._claims.check_new(step)
        return None

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
            message = self.render(message.value)

        def listen(done: float, total: float | None, text: str) -> None:
            self._log.listener.on_progress(self._log.state, step, done, total, text)

        call = AskCall(
            run_id=self.id,
            step=step,
            topic=topic,
            message=message,
            timeout_s=timeout_s,
            plugin=plugin,
            attempt=attempt,
            cache=cache,
        )
        return self._ask(call, listen)

    def _undo(self, step: str, compensation: Compensation, attempt: int) -> Awaitable[Answer]:
        return self._send(
            f"{step}/compensation",
            compensation.topic,
            compensation.message,
            wait_seconds(compensation.timeout),
            None,
            attempt,
        )
