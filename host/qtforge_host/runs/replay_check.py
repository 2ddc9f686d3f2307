"""Replay a run's journal against the code that is here, without requesting anything."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Literal, NoReturn, cast

import msgspec

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.plugin_code import description_of
from qtforge_host.runs.amendments import Amendments
from qtforge_host.runs.children import Children
from qtforge_host.runs.control import Control
from qtforge_host.runs.deaths import CRASH_LIMIT
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.replay import PATCH
from qtforge_host.runs.run_secrets import RunSecrets
from qtforge_host.runs.state import RunState
from qtforge_host.runs.stateful_run import StatefulRun
from qtforge_host.runs.steps import StepCall, StepRequester
from qtforge_sdk import Record
from qtforge_sdk.clock import Alarm
from qtforge_sdk.errors import QtForgeError, RunDivergedError, WorkflowError
from qtforge_sdk.journal import Journal, Ownership
from qtforge_sdk.records import (
    CompensationStarted,
    RunCancelRequested,
    RunFinished,
    RunReset,
    StepFailed,
    StepSucceeded,
)
from qtforge_sdk.secrets import Secrets

__all__ = ["Replayed", "Replayer", "Verdict"]

_LIMIT_S: Final = 20.0  # of real time, for the code of one run
_QUIET_PASSES: Final = 30  # of the event loop without a step, after which no branch gets further
_ENDS: Final = (RunFinished, CompensationStarted, RunCancelRequested)

Verdict = Literal["same", "continues", "asks more", "diverged"]
"""The verdict of a replay; only ``diverged`` keeps a run from being continued."""


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What the code that is here does with a run.

    Attributes:
        run_id: The run.
        workflow: The workflow's name.
        verdict: ``same``: it does the steps of the journal, and the run has ended.
            ``continues``: it does them, and then the next step. ``asks more``: the run has ended,
            and the code would do another step. ``diverged``: it does other steps.
        step: The next step, or where it diverged; "" for the end of the run.
        topic: What the next step requests, or "".
        detail: What the journal holds and what the code requests; "" where it did not diverge.
    """

    run_id: str
    workflow: str
    verdict: Verdict
    step: str = ""
    topic: str = ""
    detail: str = ""

    def __str__(self) -> str:
        """Return the verdict as a line, such as ``continues at ship (stock.ship)``."""
        match self.verdict:
            case "same":
                return "same"
            case "continues":
                return f"continues at {self._next}" if self.step else "continues to its end"
            case "asks more":
                return f"asks more: {self._next}" if self.step else "no longer fails"
            case _:
                where = f" at {self.step}" if self.step else ""
                return f"diverged{where}: {self.detail}"

    @property
    def _next(self) -> str:
        return f"{self.step} ({self.topic})" if self.topic else self.step


class Replayer:
    """Executes the code of runs up to where their journals end.

    No operation is requested, nothing is published, and nothing is written. Code of a workflow
    in Python outside its steps is executed.

    Args:
        bus: Says which topics are answered.
        expressions: For templates and conditions.
        workflows: Finds the workflows of runs.
    """

    def __init__(
        self, bus: MessageBus, expressions: Expressions, workflows: RecordedWorkflows
    ) -> None:
        self._evaluator = Evaluator(expressions)
        self._requester = StepRequester(bus, None, CRASH_LIMIT)
        self._workflows = workflows

    async def replay(self, run_id: str, records: Sequence[Record]) -> Replayed:
        """Replay a run up to its end, or to where it began to be undone.

        Args:
            run_id: The run.
            records: All its records, oldest first.
        """
        known, end = _until_end(records)
        state = RunState.from_records(run_id, known)
        state.resumed = True  # so that no branch is executed before all have looked at the journal
        name = state.workflow
        try:
            workflow = self._workflows.recorded(state)
        except WorkflowError as error:
            return _diverged(state, "", str(error))
        if workflow.orchestrator.stateful:  # it is continued from its checkpoint
            if end is not None:
                return Replayed(run_id=run_id, workflow=name, verdict="same")
            return Replayed(run_id=run_id, workflow=name, verdict="continues", step=state.label)
        recording = _Recording()
        log = RunLog(
            cast(Journal, _EndedJournal(recording)),
            Ownership(run_id=run_id, owner="replay", epoch=0),
            state,
            _NoListener(),
            None,
            RunSecrets(run_id, cast(Journal, _EndedJournal(recording)), Secrets(lambda name: None)),
        )
        clock = _StoppedClock(known[-1].at, recording)
        amendments = Amendments(log, workflow, clock, self._workflows.check)
        control = Control(log, amendments.apply)
        run = StatefulRun(
            log,
            control,
            amendments=amendments,
            requester=self._requester,
            evaluator=self._evaluator,
            clock=clock,
            children=cast(Children, _NoChildren()),
            author=workflow.author,
            runner=_EndedRunner(recording),
        )
        code = asyncio.ensure_future(workflow.orchestrator.execute(run))
        try:
            in_time = await _until_quiet(code, recording, run)
            if code.done():  # a branch that was cut off may have come to an end of its own
                recording.next, recording.sleeps = None, False
        finally:
            control.is_stopped = True  # so that its end is not recorded
            code.cancel()
            await asyncio.wait({code}, timeout=_LIMIT_S)
        return _verdict(run, state, end, recording, code, in_time=in_time)


def _until_end(records: Sequence[Record]) -> tuple[Sequence[Record], Record | None]:
    """Return the records up to the run's end, and the one that ends it or begins to undo it."""
    resets = [at for at, record in enumerate(records) if isinstance(record, RunReset)]
    first = resets[-1] if resets else 0
    for at in range(first, len(records)):
        if isinstance(records[at], _ENDS):
            return records[:at], records[at]
    return records, None


def _verdict(
    run: StatefulRun,
    state: RunState,
    end: Record | None,
    recording: _Recording,
    code: asyncio.Future[Any],
    *,
    in_time: bool,
) -> Replayed:
    """Return how the code continued the run."""
    if not in_time:
        why = "the code waits for something that is neither a step, nor time, nor an event"
        return _diverged(state, run.replay_guard.last, why)
    step, topic = recording.next or ("", "")
    if not step and recording.sleeps:
        over = {*state.fired, *state.outcomes}  # a wait for an event has a timer of its step's name
        step = next((name for name in state.due if name not in over), "")
    if not step:
        try:
            code.result()
            run.check_replayed()
        except RunDivergedError as error:
            return _diverged(state, error.step, error.difference)
        except BaseException as error:  # noqa: BLE001 - of the workflow's code, which it describes
            if not _has_failed(state, end):
                return _diverged(state, run.replay_guard.last, f"the code fails: {_said(error)}")
            return _ended(state, end)
        if isinstance(end, CompensationStarted) or (
            isinstance(end, RunFinished) and end.status in ("failed", "compensated")
        ):
            return Replayed(run_id=state.run_id, workflow=state.workflow, verdict="asks more")
        return _ended(state, end)
    if (missing := run.replay_guard.missing()) is not None and missing != step:
        what = f"the journal holds the step '{missing}' here, the code requests '{step}'"
        return _diverged(state, step, what)
    ended = isinstance(end, RunFinished | CompensationStarted) and not _was_cut_short(end)
    return Replayed(
        run_id=state.run_id,
        workflow=state.workflow,
        verdict="asks more" if ended else "continues",
        step=step,
        topic=topic,
    )


def _ended(state: RunState, end: Record | None) -> Replayed:
    verdict: Verdict = "continues" if end is None else "same"
    return Replayed(run_id=state.run_id, workflow=state.workflow, verdict=verdict)


def _diverged(state: RunState, step: str, why: str) -> Replayed:
    return Replayed(
        run_id=state.run_id, workflow=state.workflow, verdict="diverged", step=step, detail=why
    )


def _has_failed(state: RunState, end: Record | None) -> bool:
    """Return whether the journal holds a failure, so that the code may fail as well."""
    if isinstance(end, CompensationStarted) or (
        isinstance(end, RunFinished) and end.status != "succeeded"
    ):
        return True
    return end is None and any(
        isinstance(each, StepFailed) and each.required for each in state.outcomes.values()
    )


def _was_cut_short(end: Record) -> bool:
    """Return whether the run ended in the middle of its code."""
    return isinstance(end, RunFinished) and (
        end.status == "cancelled" or (end.error is not None and end.error.code == "run.timeout")
    )


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, QtForgeError) else description_of(error).text


async def _until_quiet(code: asyncio.Future[Any], recording: _Recording, run: StatefulRun) -> bool:
    """Wait until the code has ended, or all its branches are where the journal ends.

    Returns:
        Whether that was within the time limit.
    """
    try:
        async with asyncio.timeout(_LIMIT_S):
            ended = asyncio.ensure_future(recording.reached.wait())
            try:
                await asyncio.wait({code, ended}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended.cancel()
            quiet, before = 0, -1
            while not code.done() and quiet < _QUIET_PASSES:
                await asyncio.sleep(0)
                now = run.replay_guard.claims
                quiet, before = (quiet + 1, before) if now == before else (0, now)
    except TimeoutError:
        return False
    return True


class _Recording:
    """Where the code comes to the end of the journal.

    Attributes:
        next: The first step that the journal does not hold, with the topic that it requests.
        sleeps: Whether the code waits for a time.
        reached: Set when it is either.
    """

    def __init__(self) -> None:
        self.next: tuple[str, str] | None = None
        self.sleeps = False
        self.reached = asyncio.Event()

    async def end_at(self, step: str, topic: str = "") -> NoReturn:
        """Note a step that the journal does not hold, and wait for ever."""
        if self.next is None:
            self.next = (step, topic)
        self.reached.set()
        await _for_ever()

    async def end_at_time(self) -> NoReturn:
        """Note that the code sleeps, and wait for ever."""
        self.sleeps = True
        self.reached.set()
        await _for_ever()


async def _for_ever() -> NoReturn:
    while True:
        await asyncio.get_running_loop().create_future()


class _EndedRunner:
    """Does no step; implements `qtforge_host.runs.steps.StepMaker`."""

    def __init__(self, recording: _Recording) -> None:
        self._recording = recording

    def make(
        self, call: StepCall, sleep: Callable[[float], Awaitable[None]]
    ) -> Coroutine[Any, Any, Any]:
        """Note the step."""
        return self._recording.end_at(call.step, call.topic)


class _EndedJournal:
    """Takes no record but the answer of `Run.patched`, which has no effect."""

    def __init__(self, recording: _Recording) -> None:
        self._recording = recording

    async def append(
        self, ownership: Ownership, records: Sequence[Record], posts: object = ()
    ) -> None:
        """Note the step or the timer of the first record."""
        first = records[0] if records else None
        if isinstance(first, StepSucceeded) and first.step.startswith(PATCH):
            return
        await self._recording.end_at(getattr(first, "step", "") or getattr(first, "name", ""))


class _NoChildren:
    """Finds no child, and starts none: the steps that would are not done."""

    async def find(self, *args: object) -> None:
        """Find no child."""

    async def cancel(self, *args: object) -> None:
        """Cancel nothing."""


class _NoListener:
    """A listener that ignores everything."""

    def on_record(self, state: RunState, record: Record) -> None:
        """Do nothing."""

    def on_progress(
        self, state: RunState, step: str, done: float, total: float | None, text: str
    ) -> None:
        """Do nothing."""


class _StoppedClock:
    """A clock that stands where the journal ends."""

    def __init__(self, now: datetime.datetime, recording: _Recording) -> None:
        self._now = now
        self._recording = recording

    def now(self) -> datetime.datetime:
        """Return when the journal ends, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return 0."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Wait for ever, unless there is nothing to wait for."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            await self._recording.end_at_time()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        """Never call."""
        return _NoAlarm()


class _NoAlarm:
    def cancel(self) -> None:
        """Do nothing."""
