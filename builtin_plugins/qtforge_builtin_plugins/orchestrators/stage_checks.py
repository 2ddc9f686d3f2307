"""Check stages: names, topics, workflows, durations, expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from qtforge_builtin_plugins.orchestrators.stages import Stage
from qtforge_sdk import DefinitionChecker

__all__ = ["check_stages"]

_EACH: Final[Mapping[str, Any]] = MappingProxyType({"item": None, "index": None})
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
_OWN: Final = "its own stages have one; remove it here"


def check_stages(stages: Sequence[Stage], checker: DefinitionChecker) -> list[str]:
    """Check every stage, which may use the earlier ones; return their names."""
    before: list[str] = []
    for position, stage in enumerate(stages):
        path = f"stages[{position}]"
        if stage.name in before:
            checker.problem(f"{path}.name", f"there are two stages '{stage.name}'")
        if not stage.name.isidentifier():
            fix = "use letters, digits and _, so that expressions can name it"
            checker.problem(f"{path}.name", f"'{stage.name}' is not a name", fix)
        names = None if stage.foreach is None else _EACH
        _check_work(stage, path, before, names, checker)
        checker.template(f"{path}.foreach", stage.foreach, before)
        if stage.when is not None:
            checker.condition(f"{path}.when", stage.when, before)
        _check_fallback(stage, path, before, checker)
        before = [*before, stage.name]
        if stage.compensation is not None:
            known = before if names is None else before[:-1]
            _check_compensation(stage, f"{path}.compensation", known, names, checker)
    return before


def _check_work(
    stage: Stage,
    path: str,
    before: list[str],
    names: Mapping[str, Any] | None,
    checker: DefinitionChecker,
) -> None:
    if (stage.operation is None) == (stage.workflow is None):
        fix = "give the topic of a request, or the workflow to run"
        checker.problem(path, "a stage has 'operation' or 'workflow', and not both", fix)
        return
    if stage.workflow is not None:
        checker.workflow(f"{path}.workflow", stage.workflow)
        checker.template(f"{path}.input", stage.input, before, names)
        for key in _OPERATION_ONLY:
            if getattr(stage, key) != _PLAIN[key]:
                checker.problem(f"{path}.{key}", f"a workflow has no '{key}'", _OWN)
        return
    assert stage.operation is not None  # noqa: S101 - one of them is given
    if stage.pool is not None:
        fix = "remove it, or let the stage run a workflow"
        checker.problem(f"{path}.pool", "an operation has no 'pool'", fix)
    if stage.input:
        checker.problem(f"{path}.input", "an operation takes a 'message'", "rename it")
    checker.topic(f"{path}.operation", stage.operation)
    if stage.plugin is not None:
        checker.plugin(f"{path}.plugin", stage.plugin, stage.operation)
    checker.duration(f"{path}.timeout", stage.timeout)
    checker.template(f"{path}.message", stage.message, before, names)


def _check_fallback(stage: Stage, path: str, before: list[str], checker: DefinitionChecker) -> None:
    if stage.fallback is not None and stage.fallback.topic is not None:
        checker.topic(f"{path}.fallback.topic", stage.fallback.topic)
        checker.template(f"{path}.fallback.message", stage.fallback.message, before)


def _check_compensation(
    stage: Stage,
    path: str,
    stages: list[str],
    names: Mapping[str, Any] | None,
    checker: DefinitionChecker,
) -> None:
    compensation = stage.compensation
    assert compensation is not None  # noqa: S101 - the caller has checked it
    checker.topic(f"{path}.operation", compensation.operation)
    checker.duration(f"{path}.timeout", compensation.timeout)
    checker.template(f"{path}.message", compensation.message, stages, names)
