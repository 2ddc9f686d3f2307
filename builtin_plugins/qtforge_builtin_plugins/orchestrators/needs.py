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

from qtforge_builtin_plugins.orchestrators.places import Places
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
    "cycles_of",
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


def cycles_of(stages: Sequence[GraphStage]) -> list[list[str]]:
    """Return cycles of needs, the names along each, every one needing the next.

    Each stage is in one of them at most, and without the needs that close them there are none.

    >>> cycles_of([GraphStage(name="a", needs=("b",)), GraphStage(name="b", needs=("a", "b"))])
    [['b', 'b'], ['a', 'b', 'a']]
    """
    names = {stage.name for stage in stages}
    needs = {stage.name: [each for each in stage.needs if each in names] for stage in stages}
    cycles = [[name, name] for name, needed in needs.items() if name in needed]
    for name, _ in cycles:
        needs[name] = [each for each in needs[name] if each != name]
    while True:
        try:
            graphlib.TopologicalSorter(needs).prepare()
        except graphlib.CycleError as error:
            found: list[str] = error.args[1][::-1]
            first = min(range(len(found) - 1), key=lambda place: found[place])
            cycles.append([*found[first:-1], *found[: first + 1]])
            for name in found:  # what is left has the other ones
                needs.pop(name, None)
            continue
        return cycles


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

    A stage that has become ready is done where the last stage that it needs has ended, and beside
    others where several have.

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
        self._concurrency = concurrency
        self._places = Places(concurrency)
        self._planned: Sequence[GraphStage] = ()
        self._table: dict[str, GraphStage] = {}
        self._missing: dict[str, int] = {}  # how many needs of a stage have not ended
        self._dependents: dict[str, list[str]] = {}
        self._taken: set[str] = set()  # the stages that are done now, or wait for that
        self._ready: collections.deque[str] = collections.deque()  # what no worker has taken
        self._busy = 0  # workers
        self._idle: collections.deque[asyncio.Future[None]] = collections.deque()
        self._ended: dict[str, Outcome] = {}
        self._failures: dict[str, StageFailedError] = {}
        # Why the scope is left: the run is paused, cancelled or cut off. What the journal holds is
        # done all the same: it may have to be undone.
        self._left_by: BaseException | None = None
        self._turns: dict[str, asyncio.Future[None]] = {}  # of ends, where some are enough
        self._over: asyncio.Future[None] | None = None
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
        if self._first is None:
            await self._all(self._plan())
        else:
            await self._until_enough(self._first)
        self._scope.leave_out(self._planned)
        if self._first is not None:
            self._check_ends(self._first)
        elif self._failures:
            raise next(
                self._failures[each.name] for each in self._planned if each.name in self._failures
            )

    async def _until_enough(self, first: int) -> None:
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        self._turns = {name: loop.create_future() for name in ends_of(self._stages())}
        ready = self._plan()
        if self._table:
            ends = (self._end(name) for name in self._turns)
            await self._work.run.gather(self._others(ready), *ends, first=first)

    async def _others(self, ready: Sequence[str]) -> None:
        """Do the stages that are no ends; it returns last, so that it does not count as one."""
        await self._all(ready)
        await self._until_over()

    async def _end(self, name: str) -> None:
        """Do an end; it returns before the others only where it has succeeded."""
        await self._turns[name]
        await self._do(name)
        if self._ended[name] != "succeeded":
            await self._until_over()

    async def _until_over(self) -> None:
        if self._over is not None:
            await self._over
        if self._left_by is not None:  # else the branch would count as one that has succeeded
            raise self._left_by

    def _check_ends(self, first: int) -> None:
        ends = ends_of(self._planned)
        succeeded = sum(self._ended.get(name) == "succeeded" for name in ends)
        if succeeded < first:
            failure = next(iter(self._failures.values()), None)
            what = f"{succeeded} of the {len(ends)} ends succeeded, and {first} must"
            why = "" if failure is None else str(failure)
            raise OperationError("run.too_few_succeeded", what, why, retryable=False)

    def _plan(self) -> list[str]:
        """Note what each stage needs, and return the stages that are ready."""
        self._planned = stages = self._stages()
        self._table = {stage.name: stage for stage in stages}
        self._dependents = collections.defaultdict(list)
        ready = []
        for name, stage in self._table.items():
            if name in self._ended:
                continue
            missing = [need for need in dict.fromkeys(stage.needs) if need not in self._ended]
            self._missing[name] = len(missing)
            for need in missing:
                self._dependents[need].append(name)
            if not missing and name not in self._taken:
                ready.append(name)
        return self._routed(ready)

    def _routed(self, ready: list[str]) -> list[str]:
        """Let the ends begin that are ready, where some are enough; return the other stages."""
        if not self._turns:
            return ready
        for name in ready:
            if name in self._turns and not self._turns[name].done():
                self._turns[name].set_result(None)
        return [name for name in ready if name not in self._turns]

    async def _all(self, ready: Sequence[str]) -> None:
        """Do these stages, and all that become ready by their ends."""
        while len(ready) == 1:
            ready = await self._do(ready[0])
        if not ready:
            return
        if self._first is not None or self._work.resumed:
            # What the journal holds is done at once, however many there are.
            await self._work.run.gather(*(self._all([name]) for name in ready))
            return
        self._enqueue(ready)
        workers = min(self._concurrency, len(self._table) - len(self._ended))
        await self._work.run.gather(*(self._work_off() for _ in range(workers)))

    def _enqueue(self, ready: Sequence[str]) -> None:
        self._ready += ready
        self._taken.update(ready)

    async def _work_off(self) -> None:
        """Do one ready stage after the other, until nothing can become ready any more."""
        while True:
            while self._ready:
                self._busy += 1
                try:
                    ready = await self._do(self._ready.popleft())
                finally:
                    self._busy -= 1
                if ready:
                    self._enqueue(ready)
                    self._wake(len(self._ready) - 1)  # this one does the first itself
            if not self._busy or self._left_by is not None:
                self._wake(len(self._idle))
                return
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(turn)
            await turn

    def _wake(self, count: int) -> None:
        """Let so many idle workers look again."""
        while count > 0 and self._idle:
            turn = self._idle.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1

    async def _do(self, name: str) -> list[str]:
        """Do a stage that is ready; return those that are ready since it has ended."""
        if name in self._ended:
            return []
        step = self._scope.prefix + name
        begun = self._work.has_begun(step)
        self._taken.add(name)
        if not self._places.take(at_once=begun or self._left_by is not None):
            await self._places.wait()
        outcome: Outcome = "left out"
        try:
            stage = self._table.get(name)
            if stage is not None and self._missing[name]:
                self._taken.discard(name)  # an amendment has added a need
                return []
            if stage is not None and (begun or self._left_by is None):
                outcome = await self._outcome(stage, step, begun=begun)
        except StageFailedError as error:
            if self._work.on_failure == "cancel" and self._first is None:
                self._leave(name, error)
                raise
            self._failures[name], outcome = error, "failed"
        except BaseException as error:
            self._leave(name, error)
            raise
        finally:
            self._places.give()
        return self._ready_after(name, outcome)

    def _ready_after(self, name: str, outcome: Outcome) -> list[str]:
        """Note how a stage has ended, and return those that are ready now."""
        self._ended[name] = outcome
        over = self._over
        if over is not None and len(self._ended) == len(self._table) and not over.done():
            over.set_result(None)
        if self._stages() is not self._planned:
            return self._plan()
        ready = []
        for each in self._dependents.get(name, ()):
            self._missing[each] -= 1
            if not self._missing[each]:
                ready.append(each)
        return self._routed(ready)

    async def _outcome(self, stage: GraphStage, step: str, *, begun: bool) -> Outcome:
        ended = self._ended
        for need in stage.needs:
            if ended[need] in ("failed", "left out"):
                return "left out"
        if not begun and (self._failures or self._had_failed) and self._is_closed:
            return "left out"
        if stage.on_skipped == "skip":
            for need in stage.needs:
                if (outcome := ended[need]) != "succeeded":
                    how = "was skipped" if outcome == "skipped" else "failed"
                    await self._scope.skip(stage, f"'{need}' {how}")
                    return "skipped"
        if self._first is None:
            return await self._scope.do(stage)
        # Another end may succeed, so that none of the stages is required.
        outcome = await self._scope.do(stage, required=False)
        return "failed" if outcome == "warning" and stage.required else outcome

    @property
    def _is_closed(self) -> bool:
        """Whether no stage may begin, since one has failed, that has not begun."""
        return self._first is None and self._work.on_failure == "stop"

    def _leave(self, name: str, error: BaseException) -> None:
        """Leave out the stages that have not begun, since one was left by an exception."""
        self._left_by = self._left_by or error
        left = [name]
        while left:
            name = left.pop()
            if name not in self._ended:
                self._ended[name] = "left out"
                self._routed([name])
                left += self._dependents.get(name, ())
        self._places.free_all()
        self._wake(len(self._idle))
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
