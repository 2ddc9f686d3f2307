"""Random programs of steps, killed at random writes, beside a model of what must come out."""

from __future__ import annotations

import asyncio
import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.runs.definitions import Workflow
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.outcome import RunView
from qtforge_host.runs.recorded import RecordedWorkflows
from qtforge_sdk import (
    Compensation,
    Definition,
    DefinitionChecker,
    OperationContext,
    OperationError,
    Plugin,
    Record,
    Run,
    operation,
)
from qtforge_sdk.journal import Journal, Ownership
from qtforge_sdk.policies import Fallback, Retry
from qtforge_sdk.records import (
    CompensationFailed,
    CompensationSucceeded,
    RunFinished,
    RunStarted,
    StepFailed,
    StepSkipped,
    StepSucceeded,
)

WAIT_S = 10
FOR_GOOD = 99  # fails more often than anybody tries


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """How a step is undone: it fails so often, and is tried so often."""

    fails: int
    tries: int
    on_failure: bool


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A step that fails so often, and is tried so often."""

    fails: int
    tries: int
    required: bool
    fallback: Literal["value", "topic", "broken topic"] | None
    undo: Undo | None


Step = Request | Literal["skip", "sleep"]
Program = list[list[Step]]  # a group of more than one is done in parallel


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """The process dies before or after its n-th write."""

    write: int
    after: bool


@dataclass(slots=True)
class Expected:
    """What must come out."""

    status: str = "succeeded"
    degraded: bool = False
    steps: dict[str, tuple[str, int]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    undone: dict[str, bool] = field(default_factory=dict)
    slept_s: float = 0.0


def numbered(program: Program) -> list[list[tuple[str, Step]]]:
    numbers = iter(range(sum(map(len, program))))
    return [[(f"s{next(numbers)}", step) for step in group] for group in program]


def tries_made(fails: int, tries: int) -> int:
    return min(tries, fails + 1)


def expect(program: Program) -> Expected:
    """Say what a program does, as the documentation of `Run` has it."""
    it = Expected()
    to_undo: list[tuple[str, Undo]] = []
    for name, step in (each for group in numbered(program) for each in group):
        if step == "skip":
            it.steps[name] = ("skipped", 0)
        elif step == "sleep":
            it.slept_s += 5
        elif not expect_request(it, name, step, to_undo):
            for undone, undo in to_undo[::-1]:
                made = tries_made(undo.fails, undo.tries)
                it.calls.update(f"{undone}/compensation#{n + 1}" for n in range(made))
                it.undone[undone] = undo.fails < undo.tries
            sound = bool(to_undo) and all(it.undone.values())
            it.status = "compensated" if sound else "failed"
            break
    return it


def expect_request(it: Expected, name: str, step: Request, to_undo: list[tuple[str, Undo]]) -> bool:
    """Say what a request does; return whether the run goes on."""
    made = tries_made(step.fails, step.tries)
    it.calls.update(f"{name}#{n + 1}" for n in range(made))
    it.slept_s += sum(10 * 2**n for n in range(made - 1))
    good = step.fails < step.tries
    if not good and step.fallback is not None:
        good = step.fallback != "broken topic"
        it.degraded |= good
        if step.fallback != "value":
            it.calls[f"{name}/fallback#1"] += 1
    it.degraded |= not good and not step.required
    failure = "failed" if step.required else "warning"
    it.steps[name] = ("succeeded" if good else failure, made)
    if step.undo is not None and (good or step.undo.on_failure):
        to_undo.append((name, step.undo))
    return good or not step.required


class Crash(BaseException):
    """The process died."""


class InstantClock:
    """Nobody waits: time passes for whoever sleeps."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(
            seconds=self.passed_s
        )

    def monotonic(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        self.passed_s += max(0.0, seconds)
        await asyncio.sleep(0)


class MortalJournal:
    """A memory journal whose process dies at a write, and does nothing afterwards."""

    def __init__(self, store: MemoryStore, kill: Kill | None) -> None:
        self.inner = MemoryJournal(store=store)
        self.dead = False
        self._kill = kill
        self._writes = 0

    async def create(self, started: RunStarted) -> Ownership:
        self._write(after=False)
        ownership = await self.inner.create(started)
        self._write(after=True)
        return ownership

    async def append(self, ownership: Ownership, records: Sequence[Record]) -> None:
        if records:
            self._write(after=False)
        await self.inner.append(ownership, records)
        if records:
            self._write(after=True)

    def __getattr__(self, name: str) -> Any:
        if self.dead:
            raise Crash
        return getattr(self.inner, name)

    def _write(self, *, after: bool) -> None:
        self._writes += not after
        if self._kill == Kill(write=self._writes, after=after):
            self.dead = True
        if self.dead:
            raise Crash


class Doing(Plugin):
    """Answers ``model.do``; an attempt's outcome depends on its number alone."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    @operation("model.do")
    async def do(self, message: Mapping[str, Any], context: OperationContext) -> str:
        key = (context.idempotency_key or "").partition("/")[2]
        self.calls[f"{key}#{context.attempt}"] += 1
        if context.attempt <= message["fails"]:
            raise OperationError("model.refused", "no")
        return key


class Programmed:
    """The orchestrator of a program."""

    kind: ClassVar[str] = "model"
    definition_type: ClassVar[type[Definition]] = Definition

    def __init__(self, program: Program) -> None:
        self._program = program

    def check(self, definition: Any, checker: DefinitionChecker) -> None:
        """Nothing can be wrong with it."""

    async def execute(self, run: Run) -> None:
        for group in numbered(self._program):
            if len(group) > 1:
                await run.gather(*(self._do(run, name, step) for name, step in group))
            else:
                await self._do(run, *group[0])

    async def _do(self, run: Run, name: str, step: Step) -> None:
        if step == "skip":
            await run.skip(name, "as the program says")
        elif step == "sleep":
            await run.sleep(5, name=name)
        else:
            await self._request(run, name, step)

    async def _request(self, run: Run, name: str, step: Request) -> None:
        undo = None
        if step.undo is not None:
            undo = Compensation(
                topic="model.do",
                message={"fails": step.undo.fails},
                on_failure=step.undo.on_failure,
                retry=patient(step.undo.tries),
            )
        await run.request(
            name,
            "model.do",
            {"fails": step.fails},
            required=step.required,
            retry=patient(step.tries),
            fallback=fallback(step.fallback),
            compensation=undo,
        )


def patient(tries: int) -> Retry:
    return Retry(max_attempts=tries, initial_delay="10s", backoff=2, max_delay="1h", jitter=0)


def fallback(kind: str | None) -> Fallback | None:
    if kind is None:
        return None
    if kind == "value":
        return Fallback(value="instead")
    fails = FOR_GOOD if kind == "broken topic" else 0
    return Fallback(topic="model.do", message={"fails": fails})


@dataclass(slots=True)
class Outcome:
    """What came out."""

    view: RunView
    records: Sequence[Record]
    calls: Counter[str]
    slept_s: float
    kills: int


async def play(bench: Any, program: Program, kills: Sequence[Kill]) -> Outcome:
    """Execute a program; a process follows each that is killed."""
    workflow = Workflow(
        definition=Definition(name="w", kind="model"),
        orchestrator=Programmed(program),
        source="test",
        text="",
    )
    store, clock, left, died = MemoryStore(), InstantClock(), list(kills), 0
    async with bench() as it:
        doing = await it.add(Doing(), "doing", "1.0.0")
        while True:
            journal = MortalJournal(store, left.pop(0) if left else None)
            engine = Engine(
                it.bus,
                it.parts.expressions,
                cast(Journal, journal),
                RecordedWorkflows({}, lambda name: workflow, lambda workflow: []),
                plugins=lambda: {"doing": "1.0.0"},
                clock=clock,
            )
            run_id = next(iter(store.runs), None)
            work = engine.resume(run_id) if run_id else engine.execute(workflow, {})
            try:
                view = await asyncio.wait_for(work, WAIT_S)
            except Crash:
                died += 1
                continue
            finally:
                await engine.close()
                await journal.inner.close()
            records = store.runs[view.run_id].read()
            return Outcome(view, records, doing.calls, clock.passed_s, died)


def check_outcome(program: Program, found: Outcome) -> None:
    """Compare everything that no kill may change."""
    expected = expect(program)
    view = found.view
    assert (view.status, view.degraded) == (expected.status, expected.degraded)
    assert {
        name: (step.status, step.attempts) for name, step in view.steps.items()
    } == expected.steps
    assert {
        name: step.status == "succeeded" for name, step in view.compensations.items()
    } == expected.undone
    assert set(found.calls) == set(expected.calls)
    check_history(found, expected)
    undoes_patiently = any(key.endswith("/compensation#2") for key in expected.calls)
    if max(map(len, program)) == 1 and not undoes_patiently:
        assert found.slept_s == pytest.approx(expected.slept_s)  # killed or not


def check_history(found: Outcome, expected: Expected) -> None:
    """Check the journal: each outcome once, undone in reverse, and one end, which is last."""
    assert sum(isinstance(each, RunFinished) for each in found.records) == 1
    assert isinstance(found.records[-1], RunFinished)
    ends = [
        each
        for each in found.records
        if isinstance(each, StepSucceeded | StepSkipped)
        or (isinstance(each, StepFailed) and not each.will_retry)
    ]
    ended = [each.step for each in ends]
    assert sorted(ended) == sorted(expected.steps)
    undone = [
        each.step
        for each in found.records
        if isinstance(each, CompensationSucceeded | CompensationFailed)
    ]
    assert undone == [step for step in ended[::-1] if step in expected.undone]


def check_calls(program: Program, found: Outcome) -> None:
    """Check that a kill costs at most what was in hand."""
    expected = expect(program).calls
    again = {key: count - expected[key] for key, count in found.calls.items()}
    assert all(0 <= more <= found.kills for more in again.values())
    in_hand = max(map(len, program)) * 2  # an attempt and its fallback
    steps_again = sum(more for key, more in again.items() if "/compensation" not in key)
    assert steps_again <= found.kills * in_hand


FAILS = st.sampled_from([0, 0, 0, 1, 2, FOR_GOOD])
TRIES = st.integers(1, 3)
UNDOS = st.builds(
    Undo, fails=st.sampled_from([0, 0, 1, FOR_GOOD]), tries=TRIES, on_failure=st.booleans()
)
FALLBACKS: Any = st.sampled_from([None, None, None, "value", "topic", "broken topic"])


def requests(required: st.SearchStrategy[bool]) -> st.SearchStrategy[Request]:
    return st.builds(
        Request,
        fails=FAILS,
        tries=TRIES,
        required=required,
        fallback=FALLBACKS,
        undo=UNDOS | st.none(),
    )


SINGLE: Any = requests(st.booleans()) | st.sampled_from(["skip", "sleep"])
# A required step that fails cancels those beside it, wherever they are: no model can tell.
PARALLEL: Any = requests(st.just(False))
GROUPS: Any = st.lists(
    st.lists(SINGLE, min_size=1, max_size=1) | st.lists(PARALLEL, min_size=2, max_size=3),
    min_size=1,
    max_size=5,
)
FAILING = Request(fails=FOR_GOOD, tries=1, required=True, fallback=None, undo=None)
PROGRAMS: Any = GROUPS | GROUPS.map(lambda groups: [*groups, [FAILING]])  # so that much is undone
KILLS = st.lists(st.builds(Kill, write=st.integers(1, 12), after=st.booleans()), max_size=5)


@given(program=PROGRAMS, kills=KILLS)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_run_ends_as_the_model_says_however_often_it_is_killed(
    bench: Any, tmp_path: Path, program: Program, kills: list[Kill]
) -> None:
    found = asyncio.run(play(bench, program, kills))
    event(f"kills: {found.kills}")
    event(f"status: {found.view.status}")
    check_outcome(program, found)
    check_calls(program, found)


def test_the_model_is_tried_at_every_write_of_one_program_that_has_everything(bench: Any) -> None:
    undo = Undo(fails=1, tries=2, on_failure=True)
    good = Request(fails=1, tries=2, required=True, fallback=None, undo=undo)
    spared = Request(fails=FOR_GOOD, tries=2, required=False, fallback="topic", undo=undo)
    bad = Request(fails=FOR_GOOD, tries=2, required=True, fallback="broken topic", undo=undo)
    beside = msgspec.structs.replace(good, required=False)
    program: Program = [[good], [beside, spared], ["skip"], ["sleep"], [bad]]
    write, died = 0, True
    while died:
        write += 1
        for after in (False, True):
            found = asyncio.run(play(bench, program, [Kill(write=write, after=after)]))
            died = found.kills == 1
            check_outcome(program, found)
            check_calls(program, found)
    assert write > 15  # it has that many writes
