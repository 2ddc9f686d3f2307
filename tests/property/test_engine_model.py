"""Random programs of steps, killed at random writes, beside a model of what must come out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import (
    Compensation,
    Definition,
    DefinitionChecker,
    OperationContext,
    OperationError,
    Orchestrator,
    Plugin,
    Run,
    operation,
)
from qtforge_sdk.policies import Fallback, Retry
from qtforge_sdk.records import (
    CompensationFailed,
    CompensationSucceeded,
    RunFinished,
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
Kill = tuple[int, bool]  # the process dies before, or if so after, its n-th write


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


def waits_s(made: int) -> float:
    return sum(10.0 * n for n in (1, 2, 4)[: made - 1])


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
                it.slept_s += waits_s(made)
                it.undone[undone] = undo.fails < undo.tries
            sound = bool(to_undo) and all(it.undone.values())
            it.status = "compensated" if sound else "failed"
            break
    return it


def expect_request(it: Expected, name: str, step: Request, to_undo: list[tuple[str, Undo]]) -> bool:
    """Say what a request does; return whether the run goes on."""
    made = tries_made(step.fails, step.tries)
    it.calls.update(f"{name}#{n + 1}" for n in range(made))
    it.slept_s += waits_s(made)
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


class Programmed(Orchestrator[Any]):
    """The orchestrator of a program."""

    kind: ClassVar[str] = "model"

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
class Played:
    """What came out, and every call by its key and attempt."""

    ended: Any
    calls: Counter[str]


async def play(processes: Any, program: Program, kills: Sequence[Kill]) -> Played:
    """Execute a program; a process follows each that is killed."""
    workflow = Workflow(
        definition=Definition(name="w", kind="model"),
        orchestrator=Programmed(program),
        source="test",
        text="",
    )
    doing = Doing()
    return Played(await processes(workflow, doing, kills), doing.calls)


def check_outcome(program: Program, found: Played) -> None:
    """Compare everything that no kill may change."""
    expected = expect(program)
    state = found.ended.state
    assert (state.status, state.degraded) == (expected.status, expected.degraded)
    assert {
        name: (step.status, step.attempts) for name, step in state.steps.items()
    } == expected.steps
    assert {
        name: step.status == "succeeded" for name, step in state.compensations.items()
    } == expected.undone
    assert set(found.calls) == set(expected.calls)
    check_history(found, expected)
    if max(map(len, program)) == 1:
        assert found.ended.slept_s == pytest.approx(expected.slept_s)  # killed or not


def check_history(found: Played, expected: Expected) -> None:
    """Check the journal: each outcome once, undone in reverse, and one end, which is last."""
    assert sum(isinstance(each, RunFinished) for each in found.ended.records) == 1
    assert isinstance(found.ended.records[-1], RunFinished)
    ends = [
        each
        for each in found.ended.records
        if isinstance(each, StepSucceeded | StepSkipped)
        or (isinstance(each, StepFailed) and not each.will_retry)
    ]
    ended = [each.step for each in ends]
    assert sorted(ended) == sorted(expected.steps)
    undone = [
        each.step
        for each in found.ended.records
        if isinstance(each, CompensationSucceeded)
        or (isinstance(each, CompensationFailed) and not each.will_retry)
    ]
    assert undone == [step for step in ended[::-1] if step in expected.undone]


def check_calls(program: Program, found: Played) -> None:
    """Check that a kill costs at most what was in hand."""
    expected = expect(program).calls
    again = {key: count - expected[key] for key, count in found.calls.items()}
    assert all(0 <= more <= found.ended.kills for more in again.values())
    in_hand = max(map(len, program)) * 2  # an attempt and its fallback
    steps_again = sum(more for key, more in again.items() if "/compensation" not in key)
    assert steps_again <= found.ended.kills * in_hand


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
KILLS = st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=5)


@given(program=PROGRAMS, kills=KILLS)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_run_ends_as_the_model_says_however_often_it_is_killed(
    processes: Any, tmp_path: Path, program: Program, kills: list[Kill]
) -> None:
    found = asyncio.run(play(processes, program, kills))
    event(f"kills: {found.ended.kills}")
    event(f"status: {found.ended.state.status}")
    check_outcome(program, found)
    check_calls(program, found)


def test_the_model_is_tried_at_every_write_of_one_program_that_has_everything(
    processes: Any,
) -> None:
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
            found = asyncio.run(play(processes, program, [(write, after)]))
            died = found.ended.kills == 1
            check_outcome(program, found)
            check_calls(program, found)
    assert write > 15  # it has that many writes
