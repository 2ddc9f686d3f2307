"""The parallel orchestrator on the real engine and bus, with the real aggregation."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from qtforge_builtin_plugins.aggregation.aggregator import AggregatorConfig, DataAggregator
from qtforge_builtin_plugins.orchestrators.parallel import ParallelOrchestrator
from qtforge_builtin_plugins.orchestrators.source_results import needed
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.reset import forked, reset_run
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.checking import check
from qtforge_host.workflows.definitions import Workflow, parse
from qtforge_sdk import OperationContext, OperationError, Plugin, operation
from qtforge_sdk.errors import WorkflowNotFoundError
from qtforge_sdk.messages import Collected, CollectRequest
from qtforge_sdk.records import StepFailed, StepSucceeded
from qtforge_sdk.testing import VirtualClock

KINDS = {"parallel": ParallelOrchestrator()}
HEAD = 'name = "w"\nkind = "parallel"\nsources = "${input.sources}"\n'
UNION = '\naggregation = { method = "union" }\n'


class Shelf(Plugin):
    """Sources of rows of several habits; ``asked`` names them as they are asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.mended = False

    @operation("file.read")
    async def read(self, request: CollectRequest, context: OperationContext) -> Collected:
        self.asked.append(request.name)
        rows = request.parameters.get("rows", [{"from": request.endpoint}])
        return Collected(rows=rows, count=len(rows))

    @operation("http.request")
    async def fetch(self, request: CollectRequest) -> list[dict[str, Any]]:
        self.asked.append(request.name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        return [{"from": request.endpoint}]

    @operation("broken.read")
    async def broken(self, request: CollectRequest) -> list[Any]:
        self.asked.append(request.name)
        if not self.mended:
            raise OperationError("shelf.broken", "the shelf is broken", "", "mend it")
        return [{"from": "mended"}]

    @operation("slow.read")
    async def slow(self, request: CollectRequest) -> None:
        self.asked.append(request.name)
        await asyncio.sleep(1000)

    @operation("odd.read")
    async def odd(self, request: CollectRequest) -> str:
        return "no rows"


class Table:
    """An engine with the parallel kind, its sources and a virtual clock."""

    def __init__(self, it: Any, shelf: Shelf) -> None:
        self.it, self.shelf, self.clock = it, shelf, VirtualClock()
        self.workflows: dict[str, Workflow] = {}
        self.store = MemoryStore()
        self.journal = MemoryJournal(store=self.store)
        self.engine = Engine(
            it.bus,
            it.parts.expressions,
            self.journal,
            RecordedWorkflows(KINDS, self._named, lambda workflow: []),
            clock=self.clock,
        )

    async def run(self, text: str = "", **given: Any) -> RunState:
        async with self.clock.auto():
            execution = self.engine.execute(read(HEAD + text), given)
            return await asyncio.wait_for(execution, 60)

    def _named(self, name: str) -> Workflow:
        if name not in self.workflows:
            raise WorkflowNotFoundError(name)
        return self.workflows[name]


def read(text: str) -> Workflow:
    parsed = parse(text, "w.toml", KINDS)
    assert parsed.workflow is not None, parsed.problems
    return parsed.workflow


@pytest.fixture
def play(bench: Any) -> Any:
    """A function that plays a case at a `Table`."""

    def run(case: Any) -> None:
        async def main() -> None:
            async with bench() as it:
                shelf = await it.add(Shelf(), "shelf", "1.0.0")
                aggregator = DataAggregator()
                aggregator.config = AggregatorConfig(memory_mib=256)
                await it.add(aggregator, "data-aggregator")
                table = Table(it, shelf)
                await table.journal.open()
                await case(table)
                await table.engine.close()

        asyncio.run(main())

    return run


def source(name: str, type_: str = "file", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, "endpoint": f"at {name}", **more}


def statuses(state: RunState) -> dict[str, str]:
    return {each["source_name"]: each["status"] for each in state.result["source_results"]}


def test_all_sources_are_asked_and_one_result_is_made_of_them(play: Any) -> None:
    async def case(table: Table) -> None:
        state = await table.run(UNION, sources=[source("a"), source("b", "http")])
        assert state.status == "succeeded", state.error
        result = state.result
        assert result["aggregated"]["rows"] == [{"from": "at a"}, {"from": "at b"}]
        first = result["source_results"][0]
        assert (first["source_name"], first["success"], first["count"]) == ("a", True, 1)
        assert first["data"] == [{"from": "at a"}]
        assert first["plugin"] == "shelf"
        assert result["succeeded"] == 2

    play(case)


def test_what_fails_is_told_and_the_rest_is_kept(play: Any) -> None:
    async def case(table: Table) -> None:
        sources = [source("a"), source("b", "broken"), source("c", "odd")]
        state = await table.run(UNION, sources=sources)
        assert (state.status, state.degraded) == ("succeeded", True)
        assert statuses(state) == {"a": "succeeded", "b": "failed", "c": "failed"}
        _, broken, odd = state.result["source_results"]
        assert (broken["error"]["code"], broken["data"]) == ("shelf.broken", None)
        assert odd["error"]["code"] == "aggregation.not_rows"
        assert state.result["aggregated"]["sources"] == {"a": 1}

    play(case)


def test_a_late_source_is_given_up_at_the_deadline_of_all(play: Any) -> None:
    async def case(table: Table) -> None:
        slow = source("s", "slow", timeout="1h")
        state = await table.run('deadline = "3s"' + UNION, sources=[slow, source("a")])
        assert statuses(state) == {"s": "late", "a": "succeeded"}
        assert table.clock.monotonic() == pytest.approx(3)
        assert state.result["late"] == 1

    play(case)


def test_the_first_are_enough_and_the_others_are_not_needed(play: Any) -> None:
    async def case(table: Table) -> None:
        sources = [source("s", "slow", timeout="1h"), source("a"), source("b"), source("t", "slow")]
        state = await table.run("first = 2" + UNION, sources=sources)
        assert list(statuses(state).values()) == [
            "not_needed",
            "succeeded",
            "succeeded",
            "not_needed",
        ]
        assert not state.degraded

    play(case)


@pytest.mark.parametrize(
    ("quorum", "code"), [('"60%"', "aggregation.quorum_missed"), ("0.5", None), ("1", None)]
)
def test_a_quorum_decides_whether_the_run_succeeds(play: Any, quorum: str, code: str) -> None:
    async def case(table: Table) -> None:
        sources = [source("a"), source("b", "broken")]
        state = await table.run(f"quorum = {quorum}" + UNION, sources=sources)
        assert (state.error and state.error.code) == code
        if state.error is not None:
            assert "1 of 2 sources succeeded, and 2 must" in state.error.message

    play(case)


def test_none_that_succeeds_is_an_error_that_names_each_reason(play: Any) -> None:
    async def case(table: Table) -> None:
        state = await table.run(UNION, sources=[source("a", "broken"), source("b", "broken")])
        assert state.error is not None
        assert state.error.code == "aggregation.none_succeeded"
        assert "a: the shelf is broken\nb: the shelf is broken" in state.error.message

    play(case)


def test_a_run_that_missed_its_quorum_asks_again_what_failed_when_it_is_retried(play: Any) -> None:
    async def case(table: Table) -> None:
        text = 'quorum = 2\ndeadline = "1m"' + UNION
        state = await table.run(text, sources=[source("a"), source("b", "broken")])
        assert state.status == "failed"
        table.shelf.mended = True
        await table.clock.advance(3600)
        await reset_run(table.journal, state.run_id, at=table.clock.now())
        state = await table.engine.resume(state.run_id)
        assert state.status == "succeeded", state.error
        assert table.shelf.asked == ["a", "b", "b"]

    play(case)


def test_a_retry_reads_again_every_source_that_failed_and_no_other(play: Any) -> None:
    async def case(table: Table) -> None:
        sources = [source("b", "broken"), source("a"), source("c", "broken"), source("d", "http")]
        state = await table.run('quorum = 4\ndeadline = "1m"' + UNION, sources=sources)
        assert state.status == "failed"
        table.shelf.mended = True
        table.shelf.asked.clear()
        workflow = read(HEAD + "quorum = 4" + UNION)
        await reset_run(table.journal, state.run_id, at=table.clock.now(), workflow=workflow)
        state = await table.engine.resume(state.run_id)
        assert state.status == "succeeded", state.error
        assert sorted(table.shelf.asked) == ["b", "c"]

    play(case)


def test_a_fork_from_a_source_reads_it_again_and_no_other(play: Any) -> None:
    async def case(table: Table) -> None:
        state = await table.run(UNION, sources=[source("a"), source("b"), source("c", "broken")])
        records = await table.journal.records(state.run_id)
        workflow = read(HEAD + UNION)
        _, copies = forked(records, "new", {}, at=table.clock.now(), stage="a", workflow=workflow)
        kept = {each.step for each in copies if isinstance(each, StepSucceeded | StepFailed)}
        assert kept == {"b", "c"}

    play(case)


def test_a_required_source_that_fails_fails_the_run(play: Any) -> None:
    async def case(table: Table) -> None:
        for kind, code in (("broken", "shelf.broken"), ("odd", "aggregation.not_rows")):
            sources = [source("a"), source("b", kind, required=True)]
            state = await table.run(UNION, sources=sources)
            assert (state.status, state.error and state.error.code) == ("failed", code)

    play(case)


def test_no_more_are_asked_at_once_than_may_be(play: Any) -> None:
    async def case(table: Table) -> None:
        sources = [source(f"s{number}", "http") for number in range(20)]
        state = await table.run("concurrency = 3" + UNION, sources=sources)
        assert state.result["succeeded"] == 20
        assert table.shelf.most_at_once == 3

    play(case)


def test_a_source_may_be_a_workflow_with_a_time_limit(play: Any) -> None:
    async def case(table: Table) -> None:
        # Without a thread, in which time would go on.
        inner = HEAD + 'aggregation = { method = "merge" }\n'
        inner += 'result = "${stages.aggregate.data.by_source.x}"'
        table.workflows["inner"] = read(inner)
        child = {"name": "child", "workflow": "inner", "input": {"sources": [source("x")]}}
        slow = [source("y", "slow", timeout="1h")]
        late = {"name": "late", "workflow": "inner", "input": {"sources": slow}, "timeout": "9s"}
        state = await table.run(UNION, sources=[child, late, {"name": "no", "workflow": "nothing"}])
        assert state.status == "succeeded", (state.error, state.steps)
        assert state.result["aggregated"]["rows"] == [{"from": "at x"}]
        assert statuses(state) == {"child": "succeeded", "late": "late", "no": "failed"}
        assert table.clock.monotonic() == pytest.approx(9)

    play(case)


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        ({"sources": []}, "aggregation.no_sources", "there are no sources"),
        ({"sources": "a.csv"}, "aggregation.invalid_sources", "a list of tables is expected"),
        ({"sources": [{"name": "a"}]}, "aggregation.invalid_sources", "a type or a workflow"),
        ({"sources": [source("a"), source("a")]}, "aggregation.invalid_sources", "two sources 'a'"),
        ({"sources": [source("aggregate")]}, "aggregation.invalid_sources", "choose another"),
        (
            {"sources": [source("a"), source("b", timeout="soon")]},
            "aggregation.invalid_sources",
            "sources[1].timeout: 'soon' is not a duration",
        ),
        (
            {"sources": [source("a", tpye="x")]},
            "aggregation.invalid_sources",
            "sources[0].tpye: unknown key; did you mean 'type'?",
        ),
        (
            {"sources": [source("a"), source("b", "flie")]},
            "aggregation.unknown_source_type",
            "has the type 'flie'",
        ),
        ({"sources": [source("a")], "how": {"method": "x"}}, "aggregation.unknown_method", "'x'"),
        (
            {"sources": [source("a")], "how": {"method": "union", "kye": 1}},
            "aggregation.invalid",
            "did you mean 'key'?",
        ),
        ({"sources": [source("a")], "quorum": 2}, "aggregation.invalid", "quorum is 2, of 1"),
        ({"sources": [source("a", required=True)], "first": 1}, "aggregation.invalid", "required"),
        ({"sources": [source("a")], "first": 0}, "aggregation.invalid", "first can't be used"),
        ({"sources": [source("a")], "deadline": "x"}, "aggregation.invalid", "deadline can't"),
    ],
)
def test_what_can_not_be_done_is_said_before_anybody_is_asked(
    play: Any, given: Mapping[str, Any], code: str, told: str
) -> None:
    text = """
aggregation = "${input.how}"
quorum = "${has(input.quorum) ? input.quorum : null}"
first = "${has(input.first) ? input.first : null}"
deadline = "${has(input.deadline) ? input.deadline : null}"
defaults = { how = { method = "union" } }
"""

    async def case(table: Table) -> None:
        state = await table.run(text, **given)
        assert state.error is not None
        assert (state.error.code, told in state.error.message) == (code, True), state.error.message
        assert table.shelf.asked == []

    play(case)


def test_an_unknown_type_is_told_with_those_that_are_known_here(play: Any) -> None:
    async def case(table: Table) -> None:
        state = await table.run(UNION, sources=[source("a", "flie")])
        assert state.error is not None
        assert state.error.fix == "did you mean 'file'?"

    play(case)


def test_a_definition_names_everything_that_is_wrong_with_it(play: Any) -> None:
    text = """
name = "w"
kind = "parallel"
deadline = "soon"
aggregation = { method = "unoin" }
summary = "${stages.a.data.cuont} ${stages.b}"
[[sources]]
name = "a"
type = "fiel"
[[sources]]
name = "child"
workflow = "other"
[[sources]]
name = "a"
type = "file"
timeout = "-1s"
endpoint = "${imput.x}"
"""

    async def case(table: Table) -> None:
        found = check(read(text), Expressions(), table.it.bus.topics(), ["w"])
        by_path = {each.path: each for each in found}
        assert {each.path: each.fix for each in found} == {
            "sources[0].type": "did you mean 'file.read'?",
            "sources[2].name": "",
            "sources[2].timeout": "write it as seconds, or as text such as 30s or 1h30m",
            "sources[2].endpoint": "did you mean 'input'?",
            "sources[1].workflow": by_path["sources[1].workflow"].fix,
            "deadline": "write it as seconds, or as text such as 30s or 1h30m",
            "aggregation": "did you mean 'union'?",
            "summary": by_path["summary"].fix,
        }

    play(case)


@pytest.mark.parametrize(
    "quorum", [0, -1, 6, "0%", "120%", "x", "", 0.0, 1.5, True, [], "nan%", float("nan")]
)
def test_a_quorum_that_can_not_be_met_is_refused(quorum: object) -> None:
    with pytest.raises(OperationError, match="the quorum can't be met"):
        needed(quorum, 5)
