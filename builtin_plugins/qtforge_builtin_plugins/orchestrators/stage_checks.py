"""Check stages and blocks: names, topics, workflows, durations, expressions, needs."""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from qtforge_builtin_plugins.orchestrators.needs import (
    GraphBlock,
    GraphStage,
    cycles_of,
    ends_of,
    with_ancestors,
)
from qtforge_builtin_plugins.orchestrators.stages import (
    Block,
    Stage,
    StagedDefinition,
    blocks_of,
)
from qtforge_sdk import DefinitionChecker, ErrorInfo, StepResult
from qtforge_sdk.members import ListOf, Members, Scalar, members_of
from qtforge_sdk.orchestrators import Unreachable
from qtforge_sdk.validation import did_you_mean

__all__ = ["STEP_MEMBERS", "check_stages", "result_of", "step_members"]

STEP_MEMBERS: Final = cast("Mapping[str, Members]", members_of([StepResult]))
"""What expressions can use of a stage."""


def step_members(data: Members) -> Mapping[str, Members]:
    """Return what expressions can use of a stage, from what is known of its data."""
    return STEP_MEMBERS if data is None else {**STEP_MEMBERS, "data": data}


_NUMBER: Final = members_of([int])
_TEXT: Final = members_of([str])
_EACH_MEMBERS: Final[Mapping[str, Members]] = MappingProxyType(
    {
        **STEP_MEMBERS,
        "items": dict.fromkeys(("succeeded", "failed", "skipped"), _NUMBER),
        "failures": ListOf({"index": _NUMBER, "code": _TEXT, "message": _TEXT}),
        "reduced": None,
    }
)
_NO_NAMES: Final[Mapping[str, Any]] = MappingProxyType({})
_ENDED_RUN: Final[Mapping[str, Members]] = MappingProxyType(
    {
        **dict.fromkeys(("id", "workflow", "started_at", "status"), _TEXT),
        "error": members_of([ErrorInfo]),
    }
)
_KINDS: Final = ("operation", "workflow", "block", "switch", "fail")
_OPERATION_ONLY: Final = (
    "message",
    "plugin",
    "timeout",
    "retry",
    "cache",
    "fallback",
    "compensation",
)
_PLAIN: Final = MappingProxyType({name: getattr(Stage(name=""), name) for name in _OPERATION_ONLY})
_DEEPEST: Final = 24  # blocks in each other: the interpreter's stack is finite
_OWN: Final = "its own stages have one; remove it here"


def check_stages(definition: StagedDefinition, checker: DefinitionChecker) -> Mapping[str, Any]:
    """Check every stage and block of a definition.

    Returns:
        The stages that the definition's other templates can use, with their members.
    """
    checks = _Checks(definition, checker)
    members = checks.stages(definition.stages, "stages", _NO_NAMES, _NO_NAMES)
    checks.last(definition.finally_, members)
    checks.blocks()
    return members


def result_of(
    definition: StagedDefinition,
    stages: Sequence[Stage],
    result: object,
    checker: DefinitionChecker,
) -> Members:
    """Return what is known of what stages give: their result, or without one each stage's data.

    Args:
        definition: The definition that they are of.
        stages: The stages.
        result: A template, or None.
        checker: Knows the answers of operations.
    """
    return _Checks(definition, checker).result(stages, result)


class _Checks(msgspec.Struct):
    """The checks of one definition.

    Attributes:
        definition: The definition.
        checker: Collects the problems.
        results: By block, what is known of its result; None while that is being found.
        uses: By block, what expressions can use where stages do it: stages, and other names.
    """

    definition: StagedDefinition
    checker: DefinitionChecker
    uses: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = msgspec.field(
        default_factory=dict
    )
    results: dict[str, Members] = msgspec.field(default_factory=dict)

    def result(self, stages: Sequence[Stage], result: object) -> Members:
        """Return what is known of what stages give; see `result_of`."""
        members = {stage.name: self._members(stage) for stage in stages}
        if result is not None:
            return self.checker.members(result, {"stages": members})
        return {name: each["data"] for name, each in members.items()}

    def stages(
        self,
        stages: Sequence[Stage],
        path: str,
        outer: Mapping[str, Any],
        names: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Check stages, and return what can be used after all of them."""
        table = {stage.name: self._members(stage) for stage in stages}
        self._names(stages, path, outer)
        places = {id(stage): f"{path}[{place}]" for place, stage in enumerate(stages)}
        if not all(isinstance(stage, GraphStage) for stage in stages):
            before = dict(outer)
            for stage in stages:
                known = dict(before) if blocks_of(stage) else before
                self._stage(stage, places[id(stage)], known, names)
                before[stage.name] = table[stage.name]
                self._compensation(stage, places[id(stage)], before, names)
            return before
        ordered = self._needs([each for each in stages if isinstance(each, GraphStage)], path)
        for stage, ancestors in ordered:
            reach = _Reach(stage.name, table, ancestors, outer)
            self._stage(stage, places[id(stage)], reach, names)
            after = _Reach("", table, {*ancestors, stage.name}, outer) if stage.compensation else {}
            self._compensation(stage, places[id(stage)], after, names)
        return {**outer, **table}

    def last(self, stages: Sequence[Stage], members: Mapping[str, Any]) -> None:
        """Check the stages that are done last; they know how the run ends."""
        self.stages(stages, "finally", members, {"run": _ENDED_RUN})
        for place, stage in enumerate(stages):
            path = f"finally[{place}]"
            if stage.compensation is not None:
                what = "nothing undoes a stage that is done last"
                self.checker.problem(f"{path}.compensation", what, "remove it")

    def blocks(self) -> None:
        """Check every block, after the stages that do it."""
        blocks = self.definition.blocks
        users: dict[str, set[str]] = {name: set() for name in blocks}
        for name, block in blocks.items():
            for used in {each for stage in block.stages for each in blocks_of(stage)}:
                if used in users:
                    users[used].add(name)
        try:
            order = list(graphlib.TopologicalSorter(users).static_order())
        except graphlib.CycleError as error:
            way = " -> ".join(error.args[1])
            what, fix = f"the block would do itself: {way}", "let one of them do something else"
            self.checker.problem(f"blocks.{error.args[1][0]}", what, fix)
            return
        depths = dict.fromkeys(blocks, 1)
        for name in order:  # a block comes after those that do it
            depths[name] += max((depths[each] for each in users[name]), default=0)
            if depths[name] == _DEEPEST + 1:
                what = f"it is within {_DEEPEST} other blocks"
                self.checker.problem(f"blocks.{name}", what, "nest them less deeply")
            self._block(name, blocks[name])

    def _block(self, name: str, block: Block) -> None:
        path, uses = f"blocks.{name}", self.uses.get(name, [])
        if not name.isidentifier():
            self.checker.problem(path, f"'{name}' is not a name", "use letters, digits and _")
        if not uses:
            fix = f'remove it, or let a stage do it: block = "{name}"'
            self.checker.problem(path, "no stage does this block", fix)
        outer, names = _common(uses)
        members = self.stages(block.stages, f"{path}.stages", outer, names)
        self.checker.template(f"{path}.result", block.result, (), {**names, "stages": members})
        if isinstance(block, GraphBlock) and block.first is not None:
            most = len(ends_of(block.stages))
            if not 1 <= block.first <= most:
                what = f"{block.first} of {most} ends can't succeed"
                fix = f"write a number from 1 to {most}" if most else "give it stages"
                self.checker.problem(f"{path}.first", what, fix)

    def _names(self, stages: Sequence[Stage], path: str, outer: Mapping[str, Any]) -> None:
        seen: set[str] = set()
        for place, stage in enumerate(stages):
            where = f"{path}[{place}].name"
            if stage.name in seen:
                self.checker.problem(where, f"there are two stages '{stage.name}'")
            elif stage.name in outer:
                what = f"there is another stage '{stage.name}' that its expressions can use"
                self.checker.problem(where, what, "give it another name")
            if not stage.name.isidentifier():
                fix = "use letters, digits and _, so that expressions can name it"
                self.checker.problem(where, f"'{stage.name}' is not a name", fix)
            seen.add(stage.name)

    def _needs(
        self, stages: Sequence[GraphStage], path: str
    ) -> Iterator[tuple[GraphStage, Collection[str]]]:
        names = {stage.name for stage in stages}
        for place, stage in enumerate(stages):
            for position, need in enumerate(stage.needs):
                if need not in names:
                    others = [each.name for each in stages if each.name != stage.name]
                    fix = did_you_mean(need, others)
                    where = f"{path}[{place}].needs[{position}]"
                    self.checker.problem(where, f"there is no stage '{need}'", fix)
        cycles = cycles_of(stages)
        places = {stage.name: place for place, stage in enumerate(stages)}
        for cycle in cycles:
            what = f"the stages need each other: {' -> '.join(cycle)}"
            fix = "remove one of these needs"
            self.checker.problem(f"{path}[{places[cycle[0]]}].needs", what, fix)
        if cycles:
            everything = frozenset(names)
            return iter([(stage, everything) for stage in stages])
        return iter(with_ancestors(stages))

    def _stage(
        self, stage: Stage, path: str, stages: Mapping[str, Any], names: Mapping[str, Any]
    ) -> None:
        checker, known = self.checker, {**names, "stages": stages}
        checker.template(f"{path}.foreach", stage.foreach, (), known)
        given = None if stage.foreach is None else checker.members(stage.foreach, known)
        if isinstance(given, Scalar | Mapping):
            is_what = given.what if isinstance(given, Scalar) else "a table"
            fix = "give a list, or a template of one"
            checker.problem(f"{path}.foreach", f"it is {is_what}, and no list", fix)
        if stage.when is not None:
            checker.condition(f"{path}.when", stage.when, (), known)
        inner = self._with_repeat(stage, self._with_item(stage, known))
        self._work(stage, path, inner)
        self._loops(stage, path, known)
        if stage.fallback is not None and stage.fallback.topic is not None:
            checker.topic(f"{path}.fallback.topic", stage.fallback.topic)
            checker.template(f"{path}.fallback.message", stage.fallback.message, (), inner)
            checker.message(
                f"{path}.fallback.message", stage.fallback.topic, stage.fallback.message
            )

    def _work(self, stage: Stage, path: str, names: Mapping[str, Any]) -> None:
        checker = self.checker
        given = [kind for kind in _KINDS if getattr(stage, kind) not in (None, ())]
        if len(given) != 1:
            what = "a stage has one of 'operation', 'workflow', 'block', 'switch' and 'fail'"
            fix = "give the topic of a request, the workflow to run, or the block to do"
            checker.problem(path, what, fix)
            return
        self._keys(stage, path, given[0])
        if stage.workflow is not None:
            checker.workflow(f"{path}.workflow", stage.workflow, stage.input, f"{path}.input")
            checker.template(f"{path}.input", stage.input, (), names)
        elif stage.block is not None:
            self._use(stage.block, f"{path}.block", names)
        elif stage.fail is not None:
            checker.template(f"{path}.fail.message", stage.fail.message, (), names)
        elif stage.switch:
            self._switch(stage, path, names)
        else:
            assert stage.operation is not None  # noqa: S101 - one of them is given
            checker.topic(f"{path}.operation", stage.operation)
            if stage.plugin is not None:
                checker.plugin(f"{path}.plugin", stage.plugin, stage.operation)
            checker.template(f"{path}.message", stage.message, (), names)
            checker.message(f"{path}.message", stage.operation, stage.message, stage.plugin)
        if stage.timeout is not None and given[0] in ("operation", "block", "switch"):
            checker.duration(f"{path}.timeout", stage.timeout)

    def _keys(self, stage: Stage, path: str, kind: str) -> None:
        """Check that a stage has no keys that are of another kind of stage."""
        runs_workflow = kind == "workflow" or any(case.workflow for case in stage.switch)
        if stage.pool is not None and not runs_workflow:
            fix = "remove it, or let the stage run a workflow"
            self.checker.problem(f"{path}.pool", f"{_with_article(kind)} has no 'pool'", fix)
        if stage.input and kind != "workflow":
            what = f"{_with_article(kind)} has no 'input'"
            what, fix = (
                ("an operation takes a 'message'", "rename it")
                if kind == "operation"
                else (what, "remove it; a workflow has one")
            )
            self.checker.problem(f"{path}.input", what, fix)
        if kind == "operation":
            return
        for key in _OPERATION_ONLY:
            if key == "timeout" and kind in ("block", "switch"):
                continue
            if getattr(stage, key) != _PLAIN[key]:
                fix = "remove it" if kind == "fail" else _OWN
                self.checker.problem(f"{path}.{key}", f"{_with_article(kind)} has no '{key}'", fix)

    def _switch(self, stage: Stage, path: str, names: Mapping[str, Any]) -> None:
        for place, case in enumerate(stage.switch):
            where = f"{path}.switch[{place}]"
            if (case.block is None) == (case.workflow is None):
                what, fix = "a case has a 'block' or a 'workflow', and not both", "give one of them"
                self.checker.problem(where, what, fix)
            if case.when is not None:
                self.checker.condition(f"{where}.when", case.when, (), names)
            elif place < len(stage.switch) - 1:
                what = "it holds always, so that the cases after it are never taken"
                self.checker.problem(where, what, "give it a 'when', or put it last")
            if case.block is not None:
                self._use(case.block, f"{where}.block", names)
                if case.input:
                    fix = "remove it; a block uses the stages before it"
                    self.checker.problem(f"{where}.input", "a block has no 'input'", fix)
            if case.workflow is not None:
                self.checker.workflow(
                    f"{where}.workflow", case.workflow, case.input, f"{where}.input"
                )
                self.checker.template(f"{where}.input", case.input, (), names)

    def _loops(self, stage: Stage, path: str, names: Mapping[str, Any]) -> None:
        checker = self.checker
        for key in ("tolerate", "reduce"):
            if stage.foreach is None and getattr(stage, key) is not None:
                what = f"'{key}' is about the items of a 'foreach', and there is none"
                checker.problem(f"{path}.{key}", what, "add foreach, or remove it")
        if isinstance(stage.tolerate, str) and float(stage.tolerate.removesuffix("%")) > 100:
            what = f"{stage.tolerate} is more than all items"
            checker.problem(f"{path}.tolerate", what, "write 100% or less")
        if stage.reduce is not None:
            known = {**names, "total": None, "item": self._answer(stage), "index": _NUMBER}
            checker.template(f"{path}.reduce.initial", stage.reduce.initial, (), names)
            checker.template(f"{path}.reduce.value", stage.reduce.value, (), known)
        if stage.repeat is not None:
            known = {**self._with_item(stage, names), "data": self._answer(stage)}
            known["iteration"] = _NUMBER
            checker.condition(f"{path}.repeat.until", stage.repeat.until, (), known)
            if stage.repeat.every is not None:
                checker.duration(f"{path}.repeat.every", stage.repeat.every)

    def _compensation(
        self, stage: Stage, path: str, after: Mapping[str, Any], names: Mapping[str, Any]
    ) -> None:
        compensation, where = stage.compensation, f"{path}.compensation"
        if compensation is None:
            return
        if stage.foreach is not None or stage.repeat is not None:
            after = {name: members for name, members in after.items() if name != stage.name}
        known = self._with_repeat(stage, self._with_item(stage, {**names, "stages": after}))
        self.checker.topic(f"{where}.operation", compensation.operation)
        self.checker.duration(f"{where}.timeout", compensation.timeout)
        self.checker.template(f"{where}.message", compensation.message, (), known)
        self.checker.message(f"{where}.message", compensation.operation, compensation.message)

    def _members(self, stage: Stage) -> Mapping[str, Members]:
        """Return what expressions can use of a stage."""
        if stage.foreach is not None:
            return {**_EACH_MEMBERS, "data": ListOf(self._answer(stage))}
        return step_members(self._answer(stage))

    def _answer(self, stage: Stage) -> Members:
        """Return what is known of the data of a stage, or of one of its items."""
        if stage.operation is not None:
            return None if stage.fallback else self.checker.answer(stage.operation, stage.plugin)
        if stage.switch:
            cases = [self._outcome(case.block, case.workflow) for case in stage.switch]
            return cast("Members", _shared(cases))
        return self._outcome(stage.block, stage.workflow)

    def _outcome(self, block: str | None, workflow: str | None) -> Members:
        """Return what is known of the result of a block or a workflow."""
        if workflow is not None:
            return self.checker.result(workflow)
        if block is None or (found := self.definition.blocks.get(block)) is None:
            return None
        if block not in self.results:
            self.results[block] = None  # for a block that does itself, which is a problem
            self.results[block] = self.result(found.stages, found.result)
        return self.results[block]

    def _with_repeat(self, stage: Stage, names: Mapping[str, Any]) -> Mapping[str, Any]:
        if stage.repeat is None:
            return names
        return {**names, "iteration": _NUMBER, "last": self._answer(stage)}

    def _with_item(self, stage: Stage, names: Mapping[str, Any]) -> Mapping[str, Any]:
        if stage.foreach is None:
            return names
        given = self.checker.members(stage.foreach, names)
        item = given.items if isinstance(given, ListOf) else None
        return {**names, "item": item, "index": _NUMBER}

    def _use(self, block: str, path: str, names: Mapping[str, Any]) -> None:
        if block not in self.definition.blocks:
            fix = did_you_mean(block, self.definition.blocks, f"add [blocks.{block}]")
            self.checker.problem(path, f"there is no block '{block}'", fix)
            return
        others = {name: members for name, members in names.items() if name != "stages"}
        self.uses.setdefault(block, []).append((names["stages"], others))


class _Reach(Mapping[str, Any]):
    """The stages of a graph that a stage can use; it explains why it can't use the others."""

    def __init__(
        self,
        own: str,
        table: Mapping[str, Any],
        ancestors: Collection[str],
        outer: Mapping[str, Any],
    ) -> None:
        self._own = own
        self._table = table
        self._ancestors = ancestors
        self._outer = outer

    def __getitem__(self, name: str) -> Any:
        if name in self._ancestors:
            return self._table[name]
        if name == self._own:
            return Unreachable(f"'{name}' has no result before it has ended", "")
        if name in self._table:
            return Unreachable(f"'{name}' may end later", f'add "{name}" to needs')
        return self._outer[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._ancestors
        yield from self._outer

    def __len__(self) -> int:
        return len(self._ancestors) + len(self._outer)


def _with_article(kind: str) -> str:
    word = {"fail": "stage that fails the run"}.get(kind, kind)
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _common(
    uses: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what can be used wherever a block is done."""
    if not uses:
        return {}, {}
    stages, names = uses[0]
    if len(uses) > 1:
        shared = set(stages).intersection(*(set(use) for use, _ in uses))
        stages = {
            name: {key: _shared([use[name].get(key) for use, _ in uses]) for key in stages[name]}
            for name in stages
            if name in shared
        }
        names = {
            name: _shared([use[name] for _, use in uses])
            for name in names
            if all(name in use for _, use in uses)
        }
    return stages, names


def _shared(values: Sequence[Any]) -> Any:
    """Return what is known of a value that is one of several: what is the same of all, or None."""
    return values[0] if all(each == values[0] for each in values) else None
