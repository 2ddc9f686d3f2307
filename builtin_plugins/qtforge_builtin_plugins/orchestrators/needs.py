"""Stages that need others: which may begin, and in which order.

Which stages may begin follows from what the journal holds alone, so a resumed run begins the
same ones: a stage begins when every stage that it needs has ended, and after a failure a stage
begins only if it had begun before the run was resumed.
"""

from __future__ import annotations

import asyncio
import collections
import graphlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal, cast

from qtforge_builtin_plugins.orchestrators.stage_runner import (
    Execute,
    Outcome,
    Stages,
    StageScope,
)
from qtforge_builtin_plugins.orchestrators.stages import Block, Stage
from qtforge_sdk import OperationError
from qtforge_sdk.errors import StageFailedError

__all__ = [
    "Ancestors",
    "GraphBlock",
    "GraphStage",
    "by_needs",
    "cycle_of",
    "ends_of",
    "with_ancestors",
]


class GraphStage(Stage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stage of a graph.

    Attributes:
        needs: The stages that must have ended before it begins: succeeded, skipped, or failed
            where they are not required. Its expressions can use these, and those that they need.
        on_skipped: Whether to skip it, too, when a stage that it needs was skipped or is a
            warning; ``run`` does it all the same.
    """

    needs: tuple[str, ...] = ()
    on_skipped: Literal["run", "skip"] = "run"


class GraphBlock(Block, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A block of a graph.

    Attributes:
        stages: The stages; may be empty.
        first: How many of its ends, the stages that no other one needs, must succeed; the others
            are cut off then. None for all stages.
    """

    stages: tuple[GraphStage, ...] = ()
    first: int | None = None


def ends_of(stages: Sequence[GraphStage]) -> list[str]:
    """Return the names of the stages that no other one needs."""
    needed = {name for stage in stages for name in stage.needs}
    return [stage.name for stage in stages if stage.name not in needed]


def cycle_of(stages: Sequence[GraphStage]) -> list[str]:
    """Return the names along a cycle of needs, each needing the next; [] without one.

    >>> cycle_of([GraphStage(name="a", needs=("b",)), GraphStage(name="b", needs=("a",))])
    ['a', 'b', 'a']
    """
    names = {stage.name for stage in stages}
    needs = {stage.name: [each for each in stage.needs if each in names] for stage in stages}
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        found: list[str] = error.args[1][::-1]
        first = min(range(len(found) - 1), key=lambda place: found[place])
        return [*found[first:-1], *found[: first + 1]]
    return []


class Ancestors(Collection[str]):
    """The names of the stages that a stage needs, directly or not.

    Args:
        names: The names of all stages.
        bits: Which of them, as the bits of a number: a graph may have thousands of stages.
    """

    def __init__(self, names: Mapping[str, int], bits: int) -> None:
        self._names = names
        self.bits = bits

    def __contains__(self, name: object) -> bool:
        place = self._names.get(str(name))
        return place is not None and bool(self.bits >> place & 1)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if name in self)

    def __len__(self) -> int:
        return self.bits.bit_count()


def with_ancestors(stages: Sequence[GraphStage]) -> Iterator[tuple[GraphStage, Ancestors]]:
    """Yield each stage after those that it needs, with all that it needs, directly or not.

    Args:
        stages: Without a cycle; names that no stage has are left out.
    """
    table = {stage.name: stage for stage in stages}
    places = {name: place for place, name in enumerate(table)}
    needs = {name: [n for n in stage.needs if n in table] for name, stage in table.items()}
    found: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(needs).static_order():
        bits = 0
        for need in needs[name]:
            bits |= found[need] | 1 << places[need]
        found[name] = bits
        yield table[name], Ancestors(places, bits)


def by_needs(concurrency: int) -> Execute:
    """Return what runs the stages of a scope as soon as those that they need have ended.

    Args:
        concurrency: The most stages of a scope at once.
    """

    async def execute(scope: StageScope, stages: Stages, block: Block | None) -> None:
        first = block.first if isinstance(block, GraphBlock) else None
        await _Scheduler(scope, stages, concurrency, first).execute()

    return execute


class _Scheduler:
    """Runs the stages of one scope.

    Args:
        scope: The scope.
        stages: Returns the stages as they are now.
        concurrency: The most stages at once.
        first: How many ends must succeed, or None.
    """

    def __init__(
        self, scope: StageScope, stages: Stages, concurrency: int, first: int | None
    ) -> None:
        self._scope = scope
        self._work = scope.work
        self._stages = cast("Callable[[], Sequence[GraphStage]]", stages)
        self._first = first
        self._places = _Places(concurrency)
        self._planned: Sequence[GraphStage] = ()
        self._table: dict[str, GraphStage] = {}
        self._ready: dict[str, asyncio.Future[None]] = {}  # of each stage that was ever planned
        self._missing: dict[str, int] = {}  # how many needs of a stage have not ended
        self._dependents: dict[str, list[str]] = {}
        self._running: set[str] = set()
        self._ended: dict[str, Outcome] = {}
        self._failures: dict[str, StageFailedError] = {}
        self._broken = False  # whether the run is left: it is paused, cancelled or cut off
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._had_failed = False  # according to the journal, which the code may reach later
        if self._work.resumed:
            steps, prefix = scope.work.run.steps, scope.prefix
            known = (steps.get(prefix + stage.name) for stage in self._stages())
            self._had_failed = any(step is not None and step.status == "failed" for step in known)

    async def execute(self) -> None:
        """Run all stages.

        Raises:
            StageFailedError: A required stage failed; the first in the definition's order.
            OperationError: ``run.too_few_succeeded``: fewer ends than ``first`` says.
        """
        run, names = self._work.run, self._plan()
        if self._first is None:
            await run.gather(*(self._branch(name) for name in names))
        elif names:
            await run.gather(*(self._branch(name) for name in names), first=self._first)
        self._scope.leave_out(self._planned)
        if self._first is not None:
            self._check_ends(self._first)
        elif self._failures:
            raise next(
                self._failures[each.name] for each in self._planned if each.name in self._failures
            )

    def _check_ends(self, first: int) -> None:
        ends = ends_of(self._planned)
        succeeded = sum(self._ended.get(name) == "succeeded" for name in ends)
        if succeeded < first:
            failure = next(iter(self._failures.values()), None)
            what = f"{succeeded} of the {len(ends)} ends succeeded, and {first} must"
            why = "" if failure is None else str(failure)
            raise OperationError("run.too_few_succeeded", what, why, retryable=False)

    def _plan(self) -> list[str]:
        """Note what each stage needs, and return the names of the stages that are new."""
        self._planned = stages = self._stages()
        self._table = {stage.name: stage for stage in stages}
        loop = asyncio.get_running_loop()
        fresh = [name for name in self._table if name not in self._ready]
        for name in fresh:
            self._ready[name] = loop.create_future()
        self._dependents = collections.defaultdict(list)
        for name, stage in self._table.items():
            if name in self._ended or name in self._running:
                continue
            missing = [need for need in dict.fromkeys(stage.needs) if need not in self._ended]
            self._missing[name] = len(missing)
            for need in missing:
                self._dependents[need].append(name)
            if not missing:
                self._release(name)
            elif self._ready[name].done():  # an amendment has added one
                self._ready[name] = loop.create_future()
        for name in self._ready.keys() - self._table.keys():  # removed by an amendment
            self._missing[name] = 0
            self._release(name)
        return fresh

    def _release(self, name: str) -> None:
        if not self._ready[name].done():
            self._ready[name].set_result(None)

    async def _branch(self, name: str) -> None:
        outcome = await self._when_ready(name)
        while self._stages() is not self._planned:
            fresh = self._plan()
            await self._work.run.gather(*(self._branch(each) for each in fresh))
        if self._first is not None and (
            outcome != "succeeded" or name not in ends_of(self._planned)
        ):
            await self._over  # else the branch would count as one that has succeeded

    async def _when_ready(self, name: str) -> Outcome:
        while True:
            await self._ready[name]
            step = self._scope.prefix + name
            await self._places.take(at_once=self._broken or self._work.has_begun(step))
            try:
                if self._broken or not self._missing[name]:
                    self._running.add(name)
                    return await self._ending(name, step)
            finally:
                self._places.give()

    async def _ending(self, name: str, step: str) -> Outcome:
        """Do a stage that may begin, as far as its needs go, and note how it ended."""
        outcome: Outcome = "left out"
        try:
            if not self._broken and name in self._table:
                outcome = await self._do(self._table[name], step)
        except StageFailedError as error:
            if self._work.on_failure == "cancel" and self._first is None:
                self._leave()
                raise
            self._failures[name], outcome = error, "failed"
        except BaseException:
            self._leave()
            raise
        finally:
            self._ended[name] = outcome
            for each in self._dependents.get(name, ()):
                self._missing[each] -= 1
                if not self._missing[each]:
                    self._release(each)
            if len(self._ended) == len(self._ready) and not self._over.done():
                self._over.set_result(None)
        return outcome

    async def _do(self, stage: GraphStage, step: str) -> Outcome:
        outcomes = [(need, self._ended[need]) for need in stage.needs]
        if any(outcome in ("failed", "left out") for _, outcome in outcomes):
            return "left out"
        if not self._may_begin(step):
            return "left out"
        if stage.on_skipped == "skip":
            for need, outcome in outcomes:
                if outcome != "succeeded":
                    how = "was skipped" if outcome == "skipped" else "failed"
                    await self._scope.skip(stage, f"'{need}' {how}")
                    return "skipped"
        if self._first is None:
            return await self._scope.do(stage)
        # Another end may succeed, so that none of the stages is required.
        outcome = await self._scope.do(stage, required=False)
        return "failed" if outcome == "warning" and stage.required else outcome

    def _may_begin(self, step: str) -> bool:
        if self._first is not None or self._work.on_failure != "stop":
            return True
        return self._work.has_begun(step) or not (self._failures or self._had_failed)

    def _leave(self) -> None:
        """Let every stage that waits come to its end without being done."""
        self._broken = True
        for name in self._ready:
            self._release(name)
        self._places.free_all()
        if not self._over.done():
            self._over.set_result(None)


class _Places:
    """Room for so many stages at once, first come, first served."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    async def take(self, *, at_once: bool) -> None:
        """Take a place, when there is one or, if so, at once."""
        if at_once or self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """Give a place back."""
        self._free += 1
        while self._free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                self._free -= 1
                turn.set_result(None)

    def free_all(self) -> None:
        """Give a place to everyone who waits."""
        self._free += len(self._waiting)
        self.give()
        self._free -= 1
