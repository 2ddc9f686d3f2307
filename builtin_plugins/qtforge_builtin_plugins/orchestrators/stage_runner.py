"""Run stages: one after the other, for each item, until a condition holds, or of a block.

A step's name is its stage's, with the place before it: ``each[3].load`` is the stage ``load`` of
the block that the stage ``each`` does for its item 3, ``poll#2`` a second iteration. A stage that
consists of others has a step of its own, too, recorded last, with its result or its failure. So
the journal always holds which stages and items have failed, and a resumed run begins none that
was not to begin after that.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from qtforge_builtin_plugins.orchestrators.failing import Fail
from qtforge_builtin_plugins.orchestrators.stages import (
    Block,
    Case,
    OnFailure,
    Reduce,
    Stage,
    StagedDefinition,
)
from qtforge_sdk import Compensation, ErrorInfo, OperationError, Run, StepResult, Template
from qtforge_sdk.errors import ExpressionError, StageFailedError
from qtforge_sdk.runs import CONCLUSION

__all__ = [
    "Execute",
    "Outcome",
    "StageScope",
    "Stages",
    "conclude_stages",
    "in_order",
    "parts_of",
    "run_stages",
    "stage_of",
]

Outcome = Literal["succeeded", "skipped", "warning", "failed", "left out"]
"""How a stage ended; ``left out`` is one that did not begin, since others had failed."""

Stages = Callable[[], Sequence[Stage]]
"""Returns the stages as they are now: an amendment may have changed those to come."""

Execute = Callable[["StageScope", Stages, Block | None], Awaitable[None]]
"""Runs all stages of a scope, of a block or of the run, in the order of the kind."""

_NO_NAMES: Final[Mapping[str, Any]] = MappingProxyType({})
_ITEM: Final = re.compile(r"\[\d+\]")
_PART: Final = re.compile(r"[.\[#/]")
_FOLDED_AT_ONCE: Final = 1000  # results, between which the event loop gets its turn
_YIELDED_AFTER: Final = 256  # items, likewise
_FAILURES: Final = (StageFailedError, ExpressionError, OperationError)


class StageScope:
    """Stages that see each other: those of a run, or those of a block that a stage does.

    Args:
        work: The run's.
        prefix: What the names of the scope's steps begin with.
        outer: The scope of the stage that does the block, or None.
        names: What expressions can use besides ``input``, ``run`` and ``stages``.

    Attributes:
        work: The run's.
        prefix: As given.
        names: What expressions can use besides ``input`` and ``run``.
        seen: The `StepResult` of each stage that expressions can use now; of one with
            ``foreach`` a mapping that has ``items``, ``failures`` and ``reduced`` as well.
    """

    def __init__(
        self,
        work: RunWork,
        prefix: str = "",
        outer: StageScope | None = None,
        names: Mapping[str, Any] = _NO_NAMES,
    ) -> None:
        self.work = work
        self.prefix = prefix
        self.seen: dict[str, Any] = {} if outer is None else dict(outer.seen)
        self.names: Mapping[str, Any] = {**names, "stages": self.seen}
        self._run = work.run
        self._more: dict[str, dict[str, Any]] = {}
        self._left_out: dict[str, StepResult] = {}

    async def do(self, stage: Stage, *, required: bool | None = None) -> Outcome:
        """Do a stage, or skip it.

        Args:
            stage: The stage.
            required: Whether its failure is raised; None for what the stage says.

        Raises:
            StageFailedError: It failed, and the journal holds its step as failed.
        """
        step = self.prefix + stage.name
        try:
            if stage.when is not None:
                holds = await self._holds_when(stage.when, step, required is not False)
                if holds is None:
                    return "warning"
                if not holds:
                    await self._run.skip(step, f"when = {stage.when}")
                    return "skipped"
            is_required = stage.required if required is None else required
            if stage.foreach is None:
                await self._one(stage, step, self.names, is_required)
            else:
                await self._settled(step, self._each(stage, step, is_required), is_required)
        finally:
            self._show(stage.name, step)
        return "warning" if self._run.steps[step].status == "warning" else "succeeded"

    async def skip(self, stage: Stage, reason: str) -> None:
        """Skip a stage."""
        step = self.prefix + stage.name
        await self._run.skip(step, reason)
        self._show(stage.name, step)

    def leave_out(self, stages: Sequence[Stage]) -> None:
        """Let expressions and `data` have the stages that did not begin, as skipped."""
        for stage in stages:
            if self.prefix + stage.name not in self._run.steps:
                left_out = StepResult(name=stage.name, status="skipped")
                self.seen[stage.name] = self._left_out[stage.name] = left_out

    def data(self, stages: Sequence[Stage]) -> dict[str, Any]:
        """Return the data of each of these stages that has ended, by its name."""
        steps, left_out = self._run.steps, self._left_out
        named = [(s.name, steps.get(self.prefix + s.name) or left_out.get(s.name)) for s in stages]
        return {name: step.data for name, step in named if step is not None}

    def recall(self, stages: Sequence[Stage]) -> None:
        """Let expressions see stages as the journal has them; those that did not begin as skipped.

        Args:
            stages: Stages that were done before, also by another process.
        """
        steps = self._run.steps
        for stage in stages:
            step = self.prefix + stage.name
            if stage.foreach is not None:
                count = sum(
                    _ITEM.fullmatch(each, len(step)) is not None
                    for each in steps
                    if each.startswith(step)
                )
                self._more[stage.name] = _Items(self.work, step, count, 0).summary()
                if (reduced := steps.get(f"{step}/reduced")) is not None:
                    self._more[stage.name]["reduced"] = reduced.data
            self._show(stage.name, step)
        self.leave_out(stages)

    async def rendered(self, template: Any, names: Mapping[str, Any] | None = None) -> Any:
        """Return a template's value.

        Raises:
            ExpressionError: An expression in it failed.
        """
        used = self.names if names is None else names
        return await self._run.compute(lambda: self._run.render(template, used))

    def _show(self, name: str, step: str) -> None:
        result = self._run.steps.get(step)
        if result is None:
            return
        more = self._more.get(name)
        self.seen[name] = result if more is None else {**msgspec.structs.asdict(result), **more}

    async def _holds(self, condition: str, names: Mapping[str, Any]) -> bool:
        return await self._run.compute(lambda: self._run.evaluate(condition, names))

    async def _holds_when(self, condition: str, step: str, required: bool) -> bool | None:
        """Return whether a stage is to be done; None where that failed, and is a warning."""
        try:
            return await self._holds(condition, self.names)
        except ExpressionError as error:
            await self._settled(step, _raise(error), required)
            return None

    async def _settled(self, step: str, work: Awaitable[Any], required: bool) -> Any:
        """Record what a part came to that consists of others, or that failed before its step."""
        try:
            data = await work
        except _FAILURES as error:
            failure = error
        else:
            return await self._run.step(step, lambda: data)

        async def fail() -> None:
            raise failure

        return await self._run.step(step, fail, required=required)

    async def _one(self, stage: Stage, step: str, names: Mapping[str, Any], required: bool) -> Any:
        if stage.repeat is None:
            return await self._once(stage, step, names, required)
        return await self._settled(step, self._repeat(stage, step, names), required)

    async def _once(self, stage: Stage, step: str, names: Mapping[str, Any], required: bool) -> Any:
        if stage.operation is not None:
            return await self._request(stage, stage.operation, step, names, required)
        if stage.switch:
            return await self._switch(stage, step, names, required)
        if stage.workflow is not None:
            return await self._child(stage.workflow, stage.input, stage.pool, step, names, required)
        if stage.fail is not None:
            return await self._settled(step, self._fail(stage.fail, names), required)
        assert stage.block is not None  # noqa: S101 - `check_stages` has checked it
        return await self._settled(step, self._block(stage, stage.block, step, names), required)

    async def _request(
        self, stage: Stage, topic: str, step: str, names: Mapping[str, Any], required: bool
    ) -> Any:
        undo, compensation = stage.compensation, None
        if undo is not None:
            compensation = Compensation(
                topic=undo.operation,
                message=Template(undo.message, names),
                timeout=undo.timeout,
                on_failure=undo.on_failure,
                retry=undo.retry,
            )
        return await self._run.request(
            step,
            topic,
            Template(stage.message, names),
            timeout=stage.timeout,
            plugin=stage.plugin,
            required=required,
            retry=stage.retry,
            cache=stage.cache,
            fallback=stage.fallback,
            compensation=compensation,
        )

    async def _child(
        self,
        workflow: str,
        template: Mapping[str, Any],
        pool: str | None,
        step: str,
        names: Mapping[str, Any],
        required: bool,
    ) -> Any:
        try:
            given = await self.rendered(template, names)
        except ExpressionError as error:
            return await self._settled(step, _raise(error), required)
        return await self._run.run_workflow(
            workflow, given, step=step, required=required, pool=pool
        )

    async def _fail(self, given: Fail, names: Mapping[str, Any]) -> None:
        message = await self.rendered(given.message, names)
        raise OperationError(given.code, str(message), retryable=False)

    async def _switch(
        self, stage: Stage, step: str, names: Mapping[str, Any], required: bool
    ) -> Any:
        def decide() -> Awaitable[dict[str, Any]]:
            return self._run.compute(lambda: self._decision(stage.switch, names))

        try:
            decision = await self._run.step(f"{step}/decision", decide)
        except StageFailedError as error:
            return await self._settled(step, _raise(error), required)
        case = stage.switch[decision["case"]]
        if case.workflow is not None:
            return await self._child(case.workflow, case.input, stage.pool, step, names, required)
        assert case.block is not None  # noqa: S101 - `check_stages` has checked it
        return await self._settled(step, self._block(stage, case.block, step, names), required)

    def _decision(self, cases: Sequence[Case], names: Mapping[str, Any]) -> dict[str, Any]:
        for place, case in enumerate(cases):
            if case.when is None or self._run.evaluate(case.when, names):
                way = {"workflow": case.workflow} if case.block is None else {"block": case.block}
                return {"case": place, "when": case.when, **way}
        what, fix = "no case of the switch holds", "add a case without 'when'"
        raise OperationError("switch.no_match", what, "", fix, retryable=False)

    async def _block(self, stage: Stage, name: str, step: str, names: Mapping[str, Any]) -> Any:
        if stage.timeout is None:
            return await self._in_block(name, step, names)

        async def whole() -> tuple[Any]:
            return (await self._in_block(name, step, names),)

        (answer,) = await self._run.gather(whole(), deadline=stage.timeout, name=f"{step}/timeout")
        if answer is None:  # it was waiting
            what = f"the block '{name}' did not end within {stage.timeout}"
            raise OperationError("run.late", what, "", "give it a longer timeout", retryable=False)
        return answer[0]

    async def _in_block(self, name: str, step: str, names: Mapping[str, Any]) -> Any:
        block = self.work.block(name)
        scope = StageScope(self.work, f"{step}.", self, names)
        await self.work.execute(scope, lambda: block.stages, block)
        if block.result is None:
            return scope.data(block.stages)
        return await scope.rendered(block.result)

    async def _repeat(self, stage: Stage, step: str, names: Mapping[str, Any]) -> Any:
        repeat, data = stage.repeat, None
        assert repeat is not None  # noqa: S101 - only then it is called
        for count in range(1, repeat.max + 1):
            if count > 1 and repeat.every is not None:
                await self._run.sleep(repeat.every, name=f"{step}#{count - 1}/every")
            known = {**names, "iteration": count, "last": data}
            data = await self._once(stage, f"{step}#{count}", known, required=True)
            if await self._holds(repeat.until, {**names, "iteration": count, "data": data}):
                return data
        what = f"'{repeat.until}' did not hold after {repeat.max} iterations"
        raise OperationError("run.repeat_exhausted", what, retryable=False)

    async def _each(self, stage: Stage, step: str, required: bool) -> list[Any]:
        items = await self.rendered(stage.foreach)
        if not isinstance(items, list | tuple):
            what = f"foreach must be a list, not {type(items).__name__}"
            raise OperationError("run.not_a_list", what, retryable=False)
        tolerated = _tolerated(stage, len(items), required=required)
        progress = _Items(self.work, step, len(items), tolerated)
        steps = self._run.steps
        answers: list[Any] = [None] * len(items)
        left = iter(range(len(items)))

        async def work() -> None:
            """Do one item after the other, always the first that has not been taken."""
            for index in left:
                if index % _YIELDED_AFTER == _YIELDED_AFTER - 1:
                    await asyncio.sleep(0)  # what the journal holds, or memory, never waits
                own = f"{step}[{index}]"
                if not progress.may_begin(own):
                    continue
                names = {**self.names, "item": items[index], "index": index}
                try:
                    answer = await self._one(stage, own, names, required=not tolerated)
                except StageFailedError as error:
                    progress.failed(index, error)
                    continue
                if steps[own].status == "warning":
                    progress.failed(index, None)
                else:
                    answers[index] = answer

        try:
            workers = min(stage.concurrency, len(items))
            await self._run.gather(*(work() for _ in range(workers)))
        finally:
            self._more[stage.name] = progress.summary()
        progress.check()
        if stage.reduce is not None:
            self._more[stage.name]["reduced"] = await self._reduced(
                stage.reduce, step, [(i, each) for i, each in enumerate(answers) if progress.has(i)]
            )
        return answers

    async def _reduced(self, reduce: Reduce, step: str, results: Sequence[tuple[int, Any]]) -> Any:
        async def fold() -> Any:
            total = await self.rendered(reduce.initial)
            for first in range(0, len(results), _FOLDED_AT_ONCE):
                for index, item in results[first : first + _FOLDED_AT_ONCE]:
                    names = {**self.names, "total": total, "item": item, "index": index}
                    total = await self.rendered(reduce.value, names)
                await asyncio.sleep(0)
            return total

        return await self._run.step(f"{step}/reduced", fold)


class RunWork:
    """What all scopes of a run share.

    Args:
        run: The run, before its first step.
        execute: Runs the stages of a scope.

    Attributes:
        run: As given.
        execute: As given.
        on_failure: What happens to the other stages and items when one fails.
        resumed: Whether the journal held steps already.
    """

    def __init__(self, run: Run, execute: Execute) -> None:
        self.run = run
        self.execute = execute
        self.on_failure: OnFailure = run.definition.on_failure
        self.resumed = bool(run.steps)
        self._begun = frozenset(part for step in run.steps for part in parts_of(step))

    def block(self, name: str) -> Block:
        """Return a block of the definition."""
        found: Block = self.run.definition.blocks[name]
        return found

    def has_begun(self, step: str) -> bool:
        """Return whether the journal held a step, or one within it, when the code began."""
        return step in self._begun


class _Items:
    """The items of a ``foreach``: which have failed, and whether others may begin."""

    def __init__(self, work: RunWork, step: str, count: int, tolerated: int) -> None:
        self._work = work
        self._step = step
        self._count = count
        self._tolerated = tolerated
        self._failed: dict[int, StageFailedError | None] = {}
        self._known = 0  # how many the journal held as failed, which the code may reach later
        if work.resumed:
            self._known = sum(self._status(index) in _UNSUCCESSFUL for index in range(count))

    def has(self, index: int) -> bool:
        """Return whether an item has a result."""
        return self._status(index) == "succeeded"

    def may_begin(self, own: str) -> bool:
        """Return whether an item may begin: few enough have failed, or it had begun."""
        if self._work.on_failure != "stop" or self._work.has_begun(own):
            return True
        return max(self._known, len(self._failed)) <= self._tolerated

    def failed(self, index: int, error: StageFailedError | None) -> None:
        """Note that an item has failed.

        Raises:
            StageFailedError: The others are to be cut off.
            OperationError: Likewise.
        """
        self._failed[index] = error
        if self._work.on_failure == "cancel":
            self.check()

    def check(self) -> None:
        """Check that no more items have failed than may.

        Raises:
            StageFailedError: None may, and this is the failure of the first.
            OperationError: ``run.too_many_failed``.
        """
        if len(self._failed) <= self._tolerated:
            return
        first = min(self._failed)
        if (error := self._failed[first]) is not None:
            raise error
        count, why = len(self._failed), ""
        if (info := self._work.run.steps[f"{self._step}[{first}]"].error) is not None:
            why = f"[{first}]: {info.message}"
        what = f"{count} of {self._count} items failed, and {self._tolerated} may"
        raise OperationError("run.too_many_failed", what, why, retryable=False)

    def summary(self) -> dict[str, Any]:
        """Return how the items ended, as expressions see it."""
        statuses = [self._status(index) for index in range(self._count)]
        succeeded = statuses.count("succeeded")
        failures = []
        for index, status in enumerate(statuses):
            error = self._work.run.steps[f"{self._step}[{index}]"].error if status else None
            if status in _UNSUCCESSFUL and error is not None:
                failures.append({"index": index, "code": error.code, "message": error.message})
        counts = {"succeeded": succeeded, "failed": len(failures)}
        counts["skipped"] = self._count - succeeded - len(failures)
        return {"items": counts, "failures": failures, "reduced": None}

    def _status(self, index: int) -> str:
        found = self._work.run.steps.get(f"{self._step}[{index}]")
        return "" if found is None else found.status


_UNSUCCESSFUL: Final = ("failed", "warning")


async def in_order(scope: StageScope, stages: Stages, block: Block | None = None) -> None:
    """Run stages one after the other.

    Raises:
        StageFailedError: A required stage failed.
    """
    done: set[str] = set()
    planned: Sequence[Stage] | None = None
    place = 0
    while True:
        if (now := stages()) is not planned:
            planned, place = now, 0
        while place < len(now) and now[place].name in done:
            place += 1
        if place == len(now):
            return
        stage = now[place]
        done.add(stage.name)
        await scope.do(stage)


async def run_stages(run: Run, execute: Execute = in_order) -> StageScope:
    """Run the stages of a run's definition.

    Args:
        run: The run; its definition is a `StagedDefinition`.
        execute: Runs the stages of a scope.

    Returns:
        The scope with their results.

    Raises:
        StageFailedError: A required stage failed.
    """
    scope = StageScope(RunWork(run, execute))
    await execute(scope, lambda: run.definition.stages, None)
    return scope


async def conclude_stages(
    run: Run, status: str, error: ErrorInfo | None, execute: Execute = in_order
) -> None:
    """Do the stages that are done last, one after the other; their failures are warnings.

    Args:
        run: The run; its definition is a `StagedDefinition`.
        status: How it ends, for expressions: ``run.status``.
        error: Why it did not succeed, or None: ``run.error``.
        execute: Runs the stages of blocks.
    """
    definition: StagedDefinition = run.definition
    # In the journal first: a resumed run tells the same, whatever was sent to it meanwhile.
    ends = await run.step(f"{CONCLUSION}run/status", lambda: {"status": status, "error": error})
    about = {**run.render("${run}"), **ends}
    work = RunWork(run, execute)
    main = StageScope(work)
    main.recall(definition.stages)
    scope = StageScope(work, CONCLUSION, main, {"run": about})
    for stage in definition.finally_:
        await scope.do(stage, required=False)


async def _raise(error: Exception) -> None:
    raise error


def parts_of(step: str) -> list[str]:
    """Return a step's name and those of the stages and items that it is a part of.

    >>> parts_of("each[3].load")
    ['each', 'each[3]', 'each[3].load']
    """
    return [*(step[: found.start()] for found in _PART.finditer(step)), step]


def stage_of(step: str) -> str:
    """Return the stage of the run to which a step belongs.

    >>> [stage_of(step) for step in ("each[3].load", "way/decision", "poll#2", "a")]
    ['each', 'way', 'poll', 'a']
    """
    found = _PART.search(step)
    return step if found is None else step[: found.start()]


def _tolerated(stage: Stage, count: int, *, required: bool) -> int:
    """Return how many items of a stage may fail."""
    if stage.tolerate is None:
        return 0 if required else count
    if isinstance(stage.tolerate, str):
        return int(count * float(stage.tolerate.removesuffix("%")) / 100 + 1e-9)
    return stage.tolerate
