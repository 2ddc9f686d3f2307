"""Which steps are done again, and what a fork takes along."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from typing import Any

import pytest

from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.runs.errors import RunNotEndedError, RunSucceededError, UnknownStepError
from qtforge_host.runs.reset import forked, reset_run, steps_again
from qtforge_host.runs.state import RunState
from qtforge_sdk import ErrorInfo, Record, Run
from qtforge_sdk.records import (
    AmendmentRefused,
    CompensationStarted,
    CompensationSucceeded,
    EventReceived,
    RunAmended,
    RunCancelRequested,
    RunFinished,
    RunReset,
    RunResumed,
    RunStarted,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TimerFired,
    TimerSet,
)

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=1)
ERROR = ErrorInfo(code="it.broke", message="it broke")
Checkpoint = dict[str, Any]


def _at() -> Checkpoint:
    return {"run_id": "r", "at": NOW}


def started(**given: Any) -> RunStarted:
    return RunStarted(
        **_at(), workflow="w", kind="k", workflow_version="1", input=given, plugins={},
        parent="p", parent_step="s",
    )  # fmt: skip


def begun(step: str) -> StepStarted:
    return StepStarted(**_at(), step=step, topic="t")


def done(step: str, data: Any = None) -> StepSucceeded:
    return StepSucceeded(
        **_at(), step=step, data=data, plugin="p", plugin_version="1", duration_s=1.0
    )


def failed(step: str, *, required: bool = True, will_retry: bool = False) -> StepFailed:
    return StepFailed(
        **_at(), step=step, error=ERROR, required=required, duration_s=1.0, will_retry=will_retry
    )


def undone(step: str) -> list[Record]:
    succeeded = CompensationSucceeded(
        **_at(), step=step, data=None, plugin="p", plugin_version="1", duration_s=1.0
    )
    return [CompensationStarted(**_at(), step=step, topic="u"), succeeded]


def finished(status: str) -> RunFinished:
    return RunFinished(**_at(), status=status, degraded=False, result=None, summary="", error=ERROR)


FAILED: list[Record] = [
    started(a=1), begun("one"), done("one"), begun("two"), done("two"), begun("three"),
    failed("three"), finished("failed"),
]  # fmt: skip


def test_without_a_stage_it_is_the_one_that_failed() -> None:
    assert steps_again("r", FAILED) == ["three"]


def test_from_a_stage_on_it_is_that_and_all_that_ended_after_it() -> None:
    assert steps_again("r", FAILED, "two") == ["two", "three"]


def test_of_parallel_steps_those_that_ended_before_the_stage_are_kept() -> None:
    records: list[Record] = [
        started(), begun("slow"), begun("quick"), done("quick"), begun("stage"), done("stage"),
        done("slow"), finished("failed"),
    ]  # fmt: skip
    assert steps_again("r", records, "stage") == ["stage", "slow"]


def test_what_was_undone_is_done_again_with_all_after_it_whatever_the_stage() -> None:
    records: list[Record] = [*FAILED[:-1], *undone("one"), finished("compensated")]
    assert steps_again("r", records) == ["one", "two", "three"]
    assert steps_again("r", records, "three") == ["one", "two", "three"]


def test_what_may_have_been_undone_counts_as_undone() -> None:
    records: list[Record] = [*FAILED[:-1], CompensationStarted(**_at(), step="two", topic="u")]
    assert steps_again("r", records) == ["two", "three"]


def test_a_step_that_never_ended_is_done_again_and_its_attempts_are_forgotten() -> None:
    records: list[Record] = [
        started(), begun("one"), done("one"), begun("two"), failed("two", will_retry=True),
        begun("two"), finished("cancelled"),
    ]  # fmt: skip
    assert steps_again("r", records) == ["two"]


def test_a_warning_alone_is_not_done_again() -> None:
    records: list[Record] = [
        started(),
        failed("extra", required=False),
        begun("one"),
        failed("one"),
    ]
    assert steps_again("r", records) == ["one"]


def test_timers_behind_the_stage_are_set_anew() -> None:
    timer = TimerSet(**_at(), name="timer 1", due=NOW)
    fired = TimerFired(**_at(), name="timer 1")
    records: list[Record] = [started(), done("one"), timer, fired, failed("two")]
    again = steps_again("r", records, "one")
    assert again == ["one", "timer 1", "two"]
    state = RunState.from_records("r", [started(), timer, fired, RunReset(**_at(), steps=again)])
    assert (state.due, state.fired) == ({}, set())


def test_what_was_rewound_before_does_not_count() -> None:
    records: list[Record] = [
        *FAILED,
        RunReset(**_at(), steps=["three"]),
        done("three"),
        failed("four"),
    ]
    assert steps_again("r", records) == ["four"]


def test_an_unknown_stage_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownStepError, match="did you mean 'three'") as raised:
        steps_again("r", FAILED, "tree")
    assert raised.value.code == "run.unknown_step"
    with pytest.raises(UnknownStepError, match="use one of one, two, three"):
        steps_again("r", FAILED, "xyz")


def test_a_run_is_no_longer_degraded_by_what_is_done_again() -> None:
    records: list[Record] = [
        started(),
        failed("extra", required=False),
        done("one"),
        finished("failed"),
    ]
    assert RunState.from_records("r", records[:2]).degraded
    assert not RunState.from_records(
        "r", [*records[:2], RunReset(**_at(), steps=["extra"])]
    ).degraded


def test_a_run_that_is_opened_again_is_no_longer_being_cancelled() -> None:
    records: list[Record] = [
        started(),
        RunCancelRequested(**_at(), message_id="m"),
        finished("cancelled"),
    ]
    opened = RunState.from_records("r", [*records, RunReset(**_at(), steps=[])])
    assert opened.finished is None
    assert "m" in opened.handled


async def _journal(records: list[Record]) -> MemoryJournal:
    journal = MemoryJournal()
    first = records[0]
    assert isinstance(first, RunStarted)
    ownership = await journal.create(first)
    await journal.append(ownership, records[1:])
    return journal


def test_rewinding_opens_the_run_again_and_keeps_nobody_else_out() -> None:
    async def main() -> list[Record]:
        journal = await _journal(FAILED)
        assert await reset_run(journal, "r", at=LATER, by="me") == ["three"]
        ownership = await journal.claim("r")
        resumed = RunResumed(run_id="r", at=LATER, owner="o", plugins={})
        await journal.append(ownership, [resumed])
        return list(await journal.records("r"))

    records = asyncio.run(main())
    assert records[-2] == RunReset(run_id="r", at=LATER, steps=["three"], by="me")
    assert list(RunState.from_records("r", records).outcomes) == ["one", "two"]
    assert RunState.from_records("r", records).status == "running"


@pytest.mark.parametrize("known", [0, 2, len(FAILED)])
def test_a_reset_reads_each_record_once(known: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        journal = await _journal(FAILED)
        read = 0
        records_of = journal.records

        async def counted(
            run_id: str, after: int = 0, limit: int | None = None
        ) -> Sequence[Record]:
            nonlocal read
            found = await records_of(run_id, after, limit)
            read += len(found)
            return found

        monkeypatch.setattr(journal, "records", counted)
        monkeypatch.setattr(journal, "tail", None)
        assert await reset_run(journal, "r", at=LATER, records=FAILED[:known]) == ["three"]
        return read

    assert asyncio.run(main()) == len(FAILED) - known


@pytest.mark.parametrize(
    ("records", "error"),
    [
        (FAILED[:-1], RunNotEndedError),
        ([*FAILED[:-3], finished("succeeded")], RunSucceededError),
    ],
)
def test_only_a_run_that_ended_without_success_is_rewound(
    records: list[Record], error: type[Exception]
) -> None:
    async def main() -> int:
        journal = await _journal(records)
        with pytest.raises(error):
            await reset_run(journal, "r", at=LATER)
        return len(await journal.records("r"))

    assert asyncio.run(main()) == len(records)


@pytest.mark.parametrize("kind", ["cancel", "pause", "amend"])
def test_a_request_that_came_as_the_run_ended_does_not_count_after_a_retry(
    play: Any, kind: str
) -> None:
    async def work(run: Run) -> str:
        await run.request("one", "do.ok", {})
        return "done"

    async def case(lab: Any) -> None:
        lab.desk.failures["one"] = 1
        state = await lab.engine.execute(lab.script(work), {})
        assert state.status == "failed"
        late = await lab.post(state.run_id, kind, data={"patch": []})
        await reset_run(lab.client(), state.run_id, at=LATER)
        (reset,) = await lab.records(state.run_id, RunReset)
        assert reset.handled == (late.message_id,)
        again = await lab.resume(state.run_id)
        assert (again.status, again.result, again.amendments) == ("succeeded", "done", 0)
        assert not await lab.records(state.run_id, AmendmentRefused)

    play(case)


def test_a_cancel_that_comes_after_the_retry_counts(play: Any) -> None:
    async def work(run: Run) -> None:
        await run.request("one", "do.ok", {})

    async def case(lab: Any) -> None:
        lab.desk.failures["one"] = 1
        state = await lab.engine.execute(lab.script(work), {})
        await reset_run(lab.client(), state.run_id, at=LATER)
        await lab.post(state.run_id, "cancel")
        assert (await lab.resume(state.run_id)).status == "cancelled"

    play(case)


def test_a_fork_has_a_new_name_and_input_and_no_parent_and_keeps_what_was_before_the_stage() -> (
    None
):
    first, copies = forked(FAILED, "new", {"a": 2}, at=LATER, stage="two")
    assert (first.run_id, first.at, first.input) == ("new", LATER, {"a": 2})
    assert (first.parent, first.parent_step) == (None, None)
    assert [(type(each), each.run_id, each.at) for each in copies] == [
        (StepStarted, "new", LATER), (StepSucceeded, "new", LATER),
    ]  # fmt: skip
    assert list(RunState.from_records("new", [first, *copies]).steps) == ["one"]


def test_a_fork_without_a_stage_begins_anew_with_the_definition_as_amended() -> None:
    amended = RunAmended(**_at(), patch=[], definition={"x": 1})
    _, copies = forked([*FAILED[:3], amended, *FAILED[3:]], "new", {}, at=LATER)
    assert [type(each) for each in copies] == [RunAmended]


def test_a_fork_takes_only_the_events_along_that_kept_steps_have_taken() -> None:
    def event(event_id: str) -> EventReceived:
        return EventReceived(**_at(), name="go", event_id=event_id)

    records: list[Record] = [
        started(), event("1"), done("event go", {"event_id": "1", "data": None}), event("2"),
        done("second", {"event_id": "2", "data": None}), failed("last"),
    ]  # fmt: skip
    first, copies = forked(records, "new", {}, at=LATER, stage="second")
    assert [event.event_id for event in RunState.from_records("new", [first, *copies]).events] == [
        "1"
    ]


def test_a_fork_leaves_out_what_had_been_rewound() -> None:
    records: list[Record] = [
        started(), done("one", 1), failed("two"), finished("failed"),
        RunReset(**_at(), steps=["one", "two"]), done("one", 2), StepSkipped(**_at(), step="s",
        reason="no"), failed("two"), finished("failed"),
    ]  # fmt: skip
    first, copies = forked(records, "new", {}, at=LATER, stage="two")
    assert [getattr(each, "data", "skipped") for each in copies] == [2, "skipped"]
    assert list(RunState.from_records("new", [first, *copies]).steps) == ["one", "s"]


@pytest.mark.parametrize("dies_at", ["the reset", "its end"])
def test_a_run_whose_process_dies_just_after_the_reset_is_executed_by_another(
    play: Any, dies_at: str
) -> None:
    async def work(run: Run) -> str:
        await run.request("one", "do.ok", {})
        return "done"

    async def case(lab: Any) -> None:
        lab.desk.failures["one"] = 1
        run_id = (await lab.engine.execute(lab.script(work), {})).run_id
        if dies_at == "the reset":  # so that the run is not released
            await lab.start(lambda it: isinstance(it, RunReset), after=True)
            await lab.dies(reset_run(lab.mortal, run_id, at=LATER))
        else:
            await reset_run(lab.journal, run_id, at=LATER)
        await lab.start()
        assert (await lab.journal.summary(run_id)).status == "running"
        async with lab.dispatching():
            await lab.has(run_id, "succeeded")

    play(case)
