"""The sequential orchestrator on the real engine and bus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.clock import SystemClock
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.policies.cache import ResultCache
from qtforge_host.policies.memory_cache import MemoryCache
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Workflow, parse
from qtforge_sdk import (
    OperationContext,
    OperationError,
    Plugin,
    operation,
)
from qtforge_sdk.errors import WorkflowNotFoundError
from qtforge_sdk.records import AmendmentRefused, RunAmended
from qtforge_sdk.runs import AmendingAnswer, Amendment

HEAD = 'name = "w"\nkind = "sequential"\n'


class Steps(Plugin):
    """Answers `step.*`; what it did stands in ``done``."""

    def __init__(self) -> None:
        self.done: list[str] = []

    @operation("step.do")
    async def do(self, message: Mapping[str, Any], context: OperationContext) -> dict[str, Any]:
        self.done.append(f"do {message.get('what')} {context.idempotency_key}")
        return {"made": message.get("what"), "size": 3}

    @operation("step.fail")
    async def fail(self, message: Mapping[str, Any]) -> None:
        self.done.append("fail")
        raise OperationError("step.refused", "it can't be done", "it never can", "give up")

    @operation("step.shorten")
    async def shorten(self, message: Mapping[str, Any]) -> AmendingAnswer:
        change = Amendment(patch=[{"op": "remove", "path": message["path"]}], reason="too long")
        return AmendingAnswer(answer="shortened", amendments=[change])

    @operation("step.hang")
    async def hang(self, message: Mapping[str, Any]) -> None:
        await asyncio.sleep(3600)

    @operation("step.undo")
    async def undo(self, message: Mapping[str, Any]) -> str:
        self.done.append(f"undo {message.get('what')}")
        return "undone"

    @operation("step.undo_badly")
    async def undo_badly(self, message: Mapping[str, Any]) -> None:
        self.done.append("undo badly")
        raise ValueError("it is stuck")


def stage(name: str, operation: str = "step.do", *lines: str) -> str:
    return "\n".join(["\n[[stages]]", f'name = "{name}"', f'operation = "{operation}"', *lines, ""])


def execute(
    bench: Any, text: str, given: Mapping[str, Any] | None = None
) -> tuple[RunState, Steps, Sequence[Any]]:
    async def main() -> tuple[RunState, Steps, Sequence[Any]]:
        async with bench() as it:
            steps = await it.add(Steps(), "steps", "1.4.0")
            journal = MemoryJournal()
            await journal.open()
            cache = ResultCache(MemoryCache(), SystemClock())
            engine = Engine(it.bus, it.parts.expressions, journal, no_workflows(), cache=cache)
            parsed = parse(HEAD + text, "w.toml", {"sequential": SequentialOrchestrator()})
            assert parsed.workflow is not None, parsed.problems
            state = await engine.execute(parsed.workflow, given or {})
            return state, steps, await journal.records(state.run_id)

    return asyncio.run(main())


def no_workflows() -> RecordedWorkflows:
    def named(name: str) -> Workflow:
        raise WorkflowNotFoundError(name)

    return RecordedWorkflows({"sequential": SequentialOrchestrator()}, named, lambda workflow: [])


def statuses(state: RunState) -> dict[str, str]:
    return {name: step.status for name, step in state.steps.items()}


def test_stages_run_in_order_and_each_sees_the_results_before_it(bench: Any) -> None:
    text = stage("one", "step.do", 'message = { what = "${input.word}" }') + stage(
        "two", "step.do", 'message = { what = "${stages.one.data.made}-${stages.one.data.size}" }'
    )
    state, steps, _ = execute(bench, text, {"word": "apple"})
    assert state.status == "succeeded"
    assert steps.done == [f"do apple {state.run_id}/one", f"do apple-3 {state.run_id}/two"]
    assert state.result == {
        "one": {"made": "apple", "size": 3},
        "two": {"made": "apple-3", "size": 3},
    }


def test_a_stages_result_has_data_duration_plugin_and_version(bench: Any) -> None:
    began = time.monotonic()
    state, _, _ = execute(bench, stage("one"))
    took_s = time.monotonic() - began
    one = state.steps["one"]
    assert (one.data, one.plugin, one.plugin_version, one.attempts) == (
        {"made": None, "size": 3}, "steps", "1.4.0", 1,
    )  # fmt: skip
    assert 0 < one.duration_s <= took_s


def test_result_and_summary_are_rendered_from_the_stages(bench: Any) -> None:
    text = (
        'summary = "made ${stages.one.data.made} in ${run.workflow}"\n'
        'result = { size = "${stages.one.data.size * 2}" }\n'
        + stage("one", "step.do", 'message = { what = "a" }')
    )
    state, _, _ = execute(bench, text)
    assert (state.result, state.summary) == ({"size": 6}, "made a in w")


def test_a_required_stage_that_fails_compensates_the_completed_ones_in_reverse(bench: Any) -> None:
    undo = 'compensation = { operation = "step.undo", message = { what = "%s" } }'
    text = (
        stage("one", "step.do", undo % "one")
        + stage("two", "step.do", undo % "${stages.two.data.size}")
        + stage("three", "step.fail", undo % "three")
        + stage("four")
    )
    state, steps, _ = execute(bench, text)
    assert state.status == "compensated"
    assert steps.done[2:] == ["fail", "undo 3", "undo one"]
    assert statuses(state) == {"one": "succeeded", "two": "succeeded", "three": "failed"}
    assert [(name, each.status) for name, each in state.compensations.items()] == [
        ("two", "succeeded"),
        ("one", "succeeded"),
    ]
    assert state.error is not None
    error = state.error
    assert (error.code, error.stage) == ("step.refused", "three")
    assert (error.plugin, error.plugin_version) == ("steps", "1.4.0")
    assert (state.error.message, state.error.fix) == ("it can't be done: it never can", "give up")


def test_a_compensation_that_fails_makes_the_run_failed_and_both_errors_are_kept(
    bench: Any,
) -> None:
    text = (
        stage("one", "step.do", 'compensation = { operation = "step.undo" }')
        + stage("two", "step.do", 'compensation = { operation = "step.undo_badly" }')
        + stage("three", "step.fail")
    )
    state, steps, _ = execute(bench, text)
    assert state.status == "failed"
    assert steps.done[3:] == ["undo badly", "undo None"]  # the first failure stops no other
    assert state.error is not None
    assert state.error.code == "step.refused"
    undone = state.compensations["two"]
    assert undone.error is not None
    assert "ValueError: it is stuck" in undone.error.message


def test_a_failure_with_nothing_to_compensate_is_failed(bench: Any) -> None:
    state, _, _ = execute(bench, stage("one", "step.fail"))
    assert (state.status, state.compensations) == ("failed", {})


def test_a_failed_stage_is_compensated_itself_where_its_definition_says_so(bench: Any) -> None:
    text = stage(
        "one", "step.fail",
        'compensation = { operation = "step.undo", message = { what = "${run.id}" },'
        " on_failure = true }",
    )  # fmt: skip
    state, steps, _ = execute(bench, text)
    assert state.status == "compensated"
    assert steps.done == ["fail", f"undo {state.run_id}"]


def test_an_optional_stage_that_fails_is_a_warning_and_the_run_goes_on_degraded(
    bench: Any,
) -> None:
    text = stage("one", "step.fail", "required = false") + stage(
        "two", "step.do", 'message = { what = "${stages.one.data}" }'
    )
    state, _, _ = execute(bench, text)
    assert (state.status, state.degraded) == ("succeeded", True)
    assert statuses(state) == {"one": "warning", "two": "succeeded"}
    assert state.steps["one"].warning == "it can't be done: it never can"


def test_a_stage_whose_condition_does_not_hold_is_skipped(bench: Any) -> None:
    text = stage("one", "step.do", 'when = "input.n > 3"') + stage("two")
    state, steps, _ = execute(bench, text, {"n": 1})
    assert statuses(state) == {"one": "skipped", "two": "succeeded"}
    assert state.steps["one"].warning == "when = input.n > 3"
    assert len(steps.done) == 1
    assert state.degraded is False


def test_a_stage_that_is_too_late_fails_with_a_timeout_that_names_the_plugin(bench: Any) -> None:
    state, _, _ = execute(bench, stage("one", "step.hang", 'timeout = "50ms"'))
    assert state.status == "failed"
    assert state.error is not None
    assert (state.error.code, state.error.plugin) == ("bus.timeout", "steps")


@pytest.mark.parametrize("line", ['when = "input.nosuch > 1"', 'message = { a = "${input.b.c}" }'])
def test_an_expression_that_fails_names_its_stage(bench: Any, line: str) -> None:
    state, steps, _ = execute(bench, stage("one", "step.do", line))
    assert state.status == "failed"
    assert state.error is not None
    assert (state.error.code, state.error.stage) == ("expression.failed", "one")
    assert steps.done == []


def test_the_same_question_is_asked_once_where_its_answers_are_cached(bench: Any) -> None:
    lines = ('cache = { ttl = "1m" }', 'message = { what = "x" }')
    text = stage("one", "step.do", *lines) + stage("two", "step.do", *lines) + stage("three")
    state, steps, _ = execute(bench, text)
    assert len(steps.done) == 2  # one and three: the answer to one is two's, too
    assert state.steps["two"].data == state.steps["one"].data
    assert (state.steps["two"].plugin, state.steps["two"].plugin_version) == ("steps", "1.4.0")


def test_a_fallback_answers_for_a_stage_that_failed_and_the_run_is_degraded(bench: Any) -> None:
    text = (
        stage("one", "step.fail", 'fallback = { value = "none" }')
        + stage("two", "step.fail", 'fallback = { topic = "step.do", message = { what = "b" } }')
        + stage("three", "step.do", 'message = { what = "${stages.one.data}" }')
    )
    state, _, _ = execute(bench, text)
    assert (state.status, state.degraded) == ("succeeded", True)
    assert state.result["two"] == {"made": "b", "size": 3}
    assert state.result["three"]["made"] == "none"
    assert state.steps["one"].warning == "step.refused: it can't be done: it never can"


def test_a_stage_is_tried_again_as_its_policy_says(bench: Any) -> None:
    retry = 'retry = { max_attempts = 3, initial_delay = "1ms" }'
    state, steps, _ = execute(bench, stage("one", "step.fail", retry))
    assert (state.status, steps.done) == ("failed", ["fail", "fail", "fail"])
    assert state.steps["one"].attempts == 3


def test_defaults_stand_where_the_input_says_nothing(bench: Any) -> None:
    text = 'defaults = { word = "pear" }\n' + stage(
        "one", "step.do", 'message = { what = "${input.word}" }'
    )
    assert execute(bench, text)[0].result["one"]["made"] == "pear"
    assert execute(bench, text, {"word": "fig"})[0].result["one"]["made"] == "fig"


def test_an_operation_changes_what_its_own_run_has_still_to_do(bench: Any) -> None:
    text = stage("one", "step.shorten", 'message = { path = "/stages/1" }') + stage("two")
    state, _, records = execute(bench, text + stage("three"))
    assert state.status == "succeeded"
    assert statuses(state) == {"one": "succeeded", "three": "succeeded"}
    assert state.steps["one"].data == "shortened"
    (amended,) = [record for record in records if isinstance(record, RunAmended)]
    assert (amended.by, amended.reason) == ("steps 1.4.0 in one", "too long")


def test_an_operation_cannot_change_what_has_begun(bench: Any) -> None:
    text = stage("one", "step.shorten", 'message = { path = "/stages/0" }') + stage("two")
    state, _, records = execute(bench, text)
    assert statuses(state) == {"one": "succeeded", "two": "succeeded"}
    (refused,) = [record for record in records if isinstance(record, AmendmentRefused)]
    assert "the stage 'one' has begun" in refused.reason


def test_the_journals_records_alone_tell_the_same_run(bench: Any) -> None:
    text = stage("one", "step.do", 'compensation = { operation = "step.undo" }') + stage(
        "two", "step.fail"
    )
    state, _, records = execute(bench, text)
    again = RunState.from_records(state.run_id, records)
    assert (again.status, again.steps, again.compensations, again.error, again.duration_s) == (
        state.status, state.steps, state.compensations, state.error, state.duration_s,
    )  # fmt: skip
    assert [type(record).__name__ for record in records] == [
        "RunStarted", "StepStarted", "StepSucceeded", "StepStarted", "StepFailed",
        "CompensationStarted", "CompensationSucceeded", "RunFinished",
    ]  # fmt: skip


def test_a_cancelled_run_says_so_in_its_journal(bench: Any) -> None:
    async def main() -> RunState:
        async with bench() as it:
            await it.add(Steps(), "steps")
            journal = MemoryJournal()
            seen: list[RunState] = []

            class Listener:
                def on_record(self, state: RunState, record: object) -> None:
                    seen.append(state)

                def on_progress(self, *_: object) -> None: ...

            await journal.open()
            engine = Engine(it.bus, it.parts.expressions, journal, no_workflows())
            parsed = parse(
                HEAD + stage("one", "step.hang"), "w", {"sequential": SequentialOrchestrator()}
            )
            assert parsed.workflow is not None
            task = asyncio.create_task(engine.execute(parsed.workflow, {}, Listener()))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return RunState.from_records(seen[0].run_id, await journal.records(seen[0].run_id))

    state = asyncio.run(main())
    assert state.status == "cancelled"
    assert state.error is not None
    assert state.error.code == "run.cancelled"
    assert statuses(state) == {"one": "failed"}
