"""Stages that run workflows, and stages that are done for each item of a list."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.catalog import Catalog, Contribution
from qtforge_host.workflows.checking import check
from qtforge_host.workflows.definitions import Problem
from qtforge_sdk import OperationContext, OperationError, Plugin, operation
from qtforge_sdk.journal import RunQuery

DOUBLE = """
name = "double"
kind = "sequential"
[[stages]]
name = "twice"
operation = "number.double"
message = { number = "${input.number}" }
[result]
number = "${stages.twice.data}"
"""


def outer(stages: str) -> str:
    return f'name = "outer"\nkind = "sequential"\n{stages}\n'


class Numbers(Plugin):
    """Doubles numbers below 100, and tells how many it did at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.undone: list[Any] = []

    @operation("number.double")
    async def double(self, message: Mapping[str, Any], context: OperationContext) -> int:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001 * (10 - message["number"] % 10))  # later ones end earlier
        self.now -= 1
        if message["number"] >= 100:
            raise OperationError("number.too_large", "it is too large", retryable=False)
        return int(message["number"]) * 2

    @operation("number.undo")
    async def undo(self, message: Mapping[str, Any]) -> None:
        self.undone.append(message["number"])

    @operation("number.fail")
    async def fail(self, message: Mapping[str, Any]) -> None:
        raise OperationError("number.refused", "no")


def execute(
    bench: Any, text: str, given: Mapping[str, Any]
) -> tuple[RunState, Numbers, MemoryJournal]:
    async def main() -> tuple[RunState, Numbers, MemoryJournal]:
        async with bench() as it:
            numbers = await it.add(Numbers(), "numbers")
            journal = MemoryJournal()
            await journal.open()
            kinds = {"sequential": SequentialOrchestrator()}
            catalog = Catalog(kinds)
            catalog.add(Contribution(content=each, contributor="t") for each in (DOUBLE, text))
            workflows = RecordedWorkflows(kinds, catalog.get, lambda workflow: [])
            engine = Engine(it.bus, it.parts.expressions, journal, workflows)
            state = await engine.execute(catalog.get("outer"), given)
            return state, numbers, journal

    return asyncio.run(main())


def problems(bench: Any, text: str) -> Sequence[Problem]:
    async def main() -> Sequence[Problem]:
        async with bench() as it:
            await it.add(Numbers(), "numbers")
            catalog = Catalog({"sequential": SequentialOrchestrator()})
            catalog.add(Contribution(content=each, contributor="t") for each in (DOUBLE, text))
            known = it.bus.topics()
            return check(catalog.get("outer"), it.parts.expressions, known, catalog.names())

    return asyncio.run(main())


def test_a_stage_runs_a_workflow_and_takes_its_result(bench: Any) -> None:
    text = outer(
        '[[stages]]\nname = "child"\nworkflow = "double"\ninput = { number = "${input.start}" }\n'
        '[[stages]]\nname = "again"\noperation = "number.double"\n'
        'message = { number = "${stages.child.data.number}" }'
    )
    state, _, _ = execute(bench, text, {"start": 3})
    assert state.status == "succeeded"
    assert state.result == {"child": {"number": 6}, "again": 12}


def test_an_operation_is_done_for_each_item_with_the_results_in_their_order(bench: Any) -> None:
    text = outer(
        '[[stages]]\nname = "each"\noperation = "number.double"\nforeach = "${input.numbers}"\n'
        'concurrency = 3\nmessage = { number = "${item + index}" }'
    )
    state, numbers, _ = execute(bench, text, {"numbers": list(range(8))})
    assert state.result == {"each": [2 * (number + number) for number in range(8)]}
    assert numbers.most == 3
    assert [name for name in state.steps if name.startswith("each[")] == [
        f"each[{index}]" for index in range(8)
    ]


def test_a_workflow_is_run_for_each_item_as_a_run_of_its_own(bench: Any) -> None:
    text = outer(
        '[[stages]]\nname = "each"\nworkflow = "double"\nforeach = "${input.numbers}"\n'
        'input = { number = "${item}" }'
    )
    state, _, journal = execute(bench, text, {"numbers": [1, 2]})
    assert state.result == {"each": [{"number": 2}, {"number": 4}]}
    assert len(journal_children(journal, state.run_id)) == 2


def test_no_items_are_an_empty_list(bench: Any) -> None:
    text = outer(
        '[[stages]]\nname = "each"\noperation = "number.double"\nforeach = "${input.numbers}"\n'
        'message = { number = "${item}" }'
    )
    state, _, _ = execute(bench, text, {"numbers": []})
    assert (state.status, state.result) == ("succeeded", {"each": []})


def test_what_is_no_list_fails_the_stage_and_says_so(bench: Any) -> None:
    text = outer(
        '[[stages]]\nname = "each"\noperation = "number.double"\nforeach = "${input.numbers}"\n'
        'message = { number = "${item}" }'
    )
    state, _, _ = execute(bench, text, {"numbers": 7})
    assert state.status == "failed"
    assert state.error is not None
    assert "foreach must be a list, not int" in state.error.message


def test_an_item_that_fails_is_null_when_the_stage_is_optional(bench: Any) -> None:
    text = outer(
        '[[stages]]\nname = "each"\noperation = "number.double"\nforeach = "${input.numbers}"\n'
        'required = false\nmessage = { number = "${item}" }\n'
        '[[stages]]\nname = "child"\nworkflow = "double"\nrequired = false\n'
        "input = { number = 100 }"
    )
    state, _, _ = execute(bench, text, {"numbers": [1, 100, 2]})
    assert (state.status, state.degraded) == ("succeeded", True)
    assert state.result == {"each": [2, None, 4], "child": None}
    assert state.steps["each[1]"].status == "warning"
    assert state.steps["child"].status == "warning"


def test_an_item_that_fails_fails_a_required_stage_and_undoes_the_others(bench: Any) -> None:
    text = outer(
        '[[stages]]\nname = "each"\noperation = "number.double"\nforeach = "${input.numbers}"\n'
        'message = { number = "${item}" }\n'
        'compensation = { operation = "number.undo", message = { number = "${item}" } }\n'
        '[[stages]]\nname = "last"\noperation = "number.fail"'
    )
    state, numbers, _ = execute(bench, text, {"numbers": [1, 2]})
    assert state.status == "compensated"
    assert sorted(numbers.undone) == [1, 2]


def test_what_does_not_go_together_is_a_problem(bench: Any) -> None:
    both = '[[stages]]\nname = "a"\nworkflow = "double"\noperation = "number.double"'
    policies = '[[stages]]\nname = "a"\nworkflow = "double"\ntimeout = "3s"'
    unknown = '[[stages]]\nname = "a"\nworkflow = "dubble"'
    itself = '[[stages]]\nname = "a"\nworkflow = "outer"'
    item = '[[stages]]\nname = "a"\noperation = "number.double"\nmessage = { number = "${item}" }'
    found = [problems(bench, outer(each)) for each in (both, policies, unknown, itself, item)]
    assert [each[0].what for each in found] == [
        "a stage has one of 'operation', 'workflow', 'block', 'switch' and 'fail'",
        "a workflow has no 'timeout'",
        "there is no workflow 'dubble'",
        "'outer' would run itself",
        "in 'item': 'item' is not known",
    ]
    assert found[2][0].fix == "did you mean 'double'?"


def journal_children(journal: MemoryJournal, parent: str) -> Sequence[Any]:
    return asyncio.run(_runs(journal, RunQuery(parent=parent)))


async def _runs(journal: MemoryJournal, query: Any) -> Sequence[Any]:
    return await journal.runs(query)


def test_workflows_that_run_each_other_are_a_problem_that_shows_the_circle(bench: Any) -> None:
    def of(name: str, runs: str) -> str:
        return f'name = "{name}"\nkind = "sequential"\n[[stages]]\nname = "a"\nworkflow = "{runs}"'

    async def main() -> Sequence[Problem]:
        async with bench() as it:
            catalog = Catalog({"sequential": SequentialOrchestrator()})
            texts = (of("outer", "middle"), of("middle", "inner"), of("inner", "outer"))
            catalog.add(Contribution(content=each, contributor="t") for each in texts)
            expressions, names = it.parts.expressions, catalog.names()
            return check(catalog.get("outer"), expressions, {}, names, catalog.readable)

    found = asyncio.run(main())
    assert [each.what for each in found] == [
        "the workflow would run itself: outer -> middle -> inner -> outer"
    ]
    assert found[0].path == "stages[0].workflow"


def test_runs_that_start_each_other_end_at_a_depth(bench: Any) -> None:
    text = outer('[[stages]]\nname = "again"\nworkflow = "outer"')  # nobody has checked it
    state, _, _journal = execute(bench, text, {})
    assert state.status == "failed"
    assert state.error is not None
    assert state.error.code == "run.too_deep"
    assert "33 runs deep, and 32 is the limit" in state.error.message
