"""Random trees of gatherings: killed at any write, a run sees the same, and undoes all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
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
from qtforge_sdk.records import StepFailed, StepSkipped, StepSucceeded

Tree = tuple[Any, ...]
STUCK_S = 0.02  # what does not wait for others, or on the clock, ends before

LEAVES = st.sampled_from(
    [("book",), ("stuck",), ("refused",), ("sleep", 0.5), ("sleep", 30.0), ("event",), ("plain",)]
)
MODES = st.sampled_from([{}, {"first": 1}, {"first": 2}, {"deadline": 20.0}, {"concurrency": 1}])


def _larger(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(trees, min_size=1, max_size=3)
    return st.tuples(st.just("branch"), several) | st.tuples(st.just("gather"), several, MODES)


TREES = st.recursive(LEAVES, _larger, max_leaves=7)


class World(Plugin):
    """Bookings, by their step."""

    def __init__(self) -> None:
        self.booked: set[str] = set()

    @operation("model.book")
    async def book(self, message: Mapping[str, Any], context: OperationContext) -> str:
        self.booked.add(context.step or "")
        return context.step or ""

    @operation("model.stuck")
    async def stuck(self, message: Mapping[str, Any], context: OperationContext) -> None:
        self.booked.add(context.step or "")
        await asyncio.sleep(STUCK_S)
        raise OperationError("model.stuck", "it takes long, and fails")

    @operation("model.refused")
    async def refused(self, message: Mapping[str, Any]) -> None:
        raise OperationError("model.refused", "no")

    @operation("model.undo")
    async def undo(self, message: Mapping[str, Any]) -> None:
        self.booked.discard(message["name"])


class Code(Orchestrator[Any]):
    """Does a tree, looks at its outcome, and fails."""

    kind: ClassVar[str] = "model"

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.found: list[Any] = []  # by each process that came so far
        self.seen: list[Any] = []

    def check(self, definition: Any, checker: DefinitionChecker) -> None:
        """Nothing can be wrong with it."""

    async def execute(self, run: Run) -> None:
        found = await run.gather(self._branch(run, self.tree, "n"))
        self.found.append(found)
        self.seen.append(await run.step("seen", lambda: found))
        await run.request("bad", "model.refused", {})

    def _branch(self, run: Run, tree: Tree, name: str) -> Any:
        """Return the coroutine of a tree, whose name its steps' names begin with."""
        kind = tree[0]
        if kind == "sleep":
            return run.sleep(tree[1], name=name)
        if kind == "event":
            return _event(run, name)
        if kind == "plain":
            return asyncio.sleep(0, "plain")
        if kind == "gather":
            within = [self._branch(run, each, f"{name}.{at}") for at, each in enumerate(tree[1])]
            return run.gather(*within, **tree[2], name=name)
        if kind == "branch":
            return self._sequence(run, tree[1], name)
        undo = Compensation(topic="model.undo", message={"name": name}, on_failure=True)
        how: dict[str, Any] = {"required": False, "compensation": undo, "timeout": 50}
        return run.request(name, f"model.{kind}", {}, **how)

    async def _sequence(self, run: Run, trees: list[Tree], name: str) -> list[Any]:
        return [await self._branch(run, tree, f"{name}.{at}") for at, tree in enumerate(trees)]


async def _event(run: Run, name: str) -> Any:
    try:
        return await run.wait_event("never", timeout=40.0, step=name)
    except Exception:  # noqa: BLE001 - it did not come in time
        return "late"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=TREES)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_killed_run_sees_again_what_won_and_what_was_cut_off(processes: Any, tree: Tree) -> None:
    async def play(kills: list[tuple[int, bool]]) -> tuple[Any, Code, World]:
        world, code = World(), Code(tree)
        definition = Definition(name="w", kind="model")
        workflow = Workflow(definition=definition, orchestrator=code, source="test", text="")
        return await processes(workflow, world, kills), code, world

    write, died = 0, True
    while died:
        write += 1
        # A second process dies soon after the first: what it did counts as well.
        ended, code, world = asyncio.run(play([(write, write % 2 == 0), (write // 2 + 1, True)]))
        died = ended.kills > 0
        where = f"killed at write {write}: {ended.state.error}"
        assert ended.state.error.code == "model.refused", where
        assert code.found, where
        assert code.found[-1] == code.seen[-1], where
        assert world.booked == set(), where
        kinds = (StepSucceeded, StepFailed, StepSkipped)
        ends = [each.step for each in ended.records if isinstance(each, kinds)]
        assert len(ends) == len(set(ends)), where
