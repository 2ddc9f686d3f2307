"""Checks what a definition names: topics, plugins, durations, expressions."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from qtforge_host.durations import seconds
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.runs.evaluating import Evaluator
from qtforge_host.workflows.definitions import Problem, Workflow, line_of
from qtforge_sdk import HandlerInfo, InputCheck, StepResult
from qtforge_sdk.errors import ExpressionError, InvalidTopicError, RunInputError
from qtforge_sdk.topics import validate_topic

__all__ = ["Checker", "check", "checked_input", "find_cycle"]

_SHOWN: Final = 200  # characters of a value


def checked_input(
    workflow: Workflow, given: Mapping[str, Any], evaluator: Evaluator
) -> dict[str, Any]:
    """Return what a run is started with: what is given, over the definition's defaults.

    Args:
        workflow: The run's.
        given: By the caller.
        evaluator: Tells whether conditions hold.

    Raises:
        RunInputError: It is not what the definition wants; the first that is wrong is named.
    """
    definition = workflow.definition
    whole = {**definition.defaults, **given}
    if definition.inputs is not None:
        for key in whole:
            if key not in definition.inputs:
                raise _unknown(definition.name, key, definition.inputs)
    for check in definition.checks:
        if not _holds(check, whole, evaluator):
            value = _value(check.input, whole)
            found = f"can't be {value}" if value else "is missing"
            what = f"the input '{check.input}' of '{definition.name}' {found}"
            raise RunInputError(definition.name, check.input, what, f"give {check.wants}")
    return whole


def _unknown(workflow: str, key: str, known: Sequence[str]) -> RunInputError:
    near = difflib.get_close_matches(str(key), known, n=1)
    fix = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known) or 'none'}"
    return RunInputError(workflow, str(key), f"'{workflow}' has no input '{key}'", fix)


def _holds(check: InputCheck, given: Mapping[str, Any], evaluator: Evaluator) -> bool:
    try:
        return evaluator.evaluate(check.condition, {"input": given})
    except ExpressionError:
        return False  # such as: the text is none that can be read as a date


def _value(path: str, given: Mapping[str, Any]) -> str:
    value: Any = given
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return ""
        value = value[key]
    return repr(value)[:_SHOWN]


def find_cycle(name: str, first: str, uses: Callable[[str], Iterable[str]]) -> list[str] | None:
    """Return a way from a workflow through another one back to itself, or None.

    Args:
        name: The workflow.
        first: One that it runs.
        uses: Gives the workflows that a workflow runs.

    >>> find_cycle("a", "b", {"a": ["b"], "b": ["c"], "c": ["a"]}.__getitem__)
    ['a', 'b', 'c', 'a']
    """
    seen: set[str] = set()
    ways = [[name, first]]
    while ways:
        way = ways.pop()
        if way[-1] == name:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, each] for each in uses(way[-1])]
    return None


_STAGE_MEMBERS = dict.fromkeys(StepResult.__struct_fields__)


_RUN_MEMBERS = dict.fromkeys(("id", "workflow", "started_at"))


def check(
    workflow: Workflow,
    expressions: Expressions,
    topics: Mapping[str, Sequence[HandlerInfo]],
    workflows: Collection[str],
    find: Callable[[str], Workflow | None] | None = None,
) -> tuple[Problem, ...]:
    """Return everything that is wrong with a workflow; every expression is compiled by this.

    Args:
        workflow: One that was read without a problem.
        expressions: Compiles.
        topics: What the bus answers.
        workflows: The names of the known ones.
        find: Gives one of them, or None where it has problems of its own; None for no look at
            what they run in turn.
    """

    @functools.cache
    def uses(name: str) -> list[str]:
        other = None if find is None else find(name)
        if other is None:
            return []
        looker = Checker(other, expressions, topics, workflows)
        other.orchestrator.check(other.definition, looker)
        return [used for _, used in looker.uses]

    checker = Checker(workflow, expressions, topics, workflows)
    workflow.orchestrator.check(workflow.definition, checker)
    for place, each in enumerate(workflow.definition.checks):
        checker.before_start(f"checks[{place}].condition", each.condition)
    for path, name in checker.uses:
        way = find_cycle(workflow.definition.name, name, uses)
        if way is not None:
            what = f"the workflow would run itself: {' -> '.join(way)}"
            checker.problem(path, what, "let one of them run something else")
    return tuple(checker.problems)


class Checker:
    """Collects problems; implements `qtforge_sdk.DefinitionChecker`.

    Attributes:
        problems: In the order in which they were found.
        uses: Each workflow that this one runs, behind the path that names it.
    """

    def __init__(
        self,
        workflow: Workflow,
        expressions: Expressions,
        topics: Mapping[str, Sequence[HandlerInfo]],
        workflows: Collection[str],
    ) -> None:
        self.problems: list[Problem] = []
        self.uses: list[tuple[str, str]] = []
        self._workflow = workflow
        self._expressions = expressions
        self._topics = topics
        self._workflows = workflows

    def problem(self, path: str, what: str, fix: str = "") -> None:
        """Record a problem."""
        self.problems.append(
            Problem(
                source=self._workflow.source,
                line=line_of(self._workflow.text, path),
                path=path,
                what=what,
                fix=fix,
            )
        )

    def topic(self, path: str, topic: str) -> None:
        """Check that an active plugin answers a topic."""
        try:
            validate_topic(topic)
        except InvalidTopicError as error:
            self.problem(path, f"{error.what}: {error.why}", error.fix)
            return
        if not self._plugins_of(topic):
            near = difflib.get_close_matches(topic, self._topics, n=1)
            fix = f"did you mean '{near[0]}'?" if near else "qtforge-host bus topics shows them"
            self.problem(path, f"no active plugin answers '{topic}'", fix)

    def plugin(self, path: str, plugin: str, topic: str) -> None:
        """Check that a plugin is among those that answer a topic."""
        names = self._plugins_of(topic)
        if names and plugin not in names:  # without any, the topic itself is the problem
            near = difflib.get_close_matches(plugin, names, n=1) or names
            fix = f"did you mean '{near[0]}'?"
            self.problem(path, f"the plugin '{plugin}' does not answer '{topic}'", fix)

    def duration(self, path: str, text: str) -> None:
        """Check a duration."""
        try:
            seconds(text)
        except ValueError as error:
            self.problem(path, str(error))

    def workflow(self, path: str, name: str) -> None:
        """Check that a workflow of that name is known, and is not this one."""
        if name == self._workflow.definition.name:
            self.problem(path, f"'{name}' would run itself", "name another workflow")
        elif name not in self._workflows:
            near = difflib.get_close_matches(name, self._workflows, n=1)
            fix = f"did you mean '{near[0]}'?" if near else "qtforge-host workflows list shows them"
            self.problem(path, f"there is no workflow '{name}'", fix)
        else:
            self.uses.append((path, name))

    def condition(
        self,
        path: str,
        expression: str,
        stages: Iterable[str],
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """Check a CEL condition that may use these stages and names."""
        try:
            self._expressions.compile(expression, self._scope(stages, names))
        except ExpressionError as error:
            self._bad_expression(path, error)

    def before_start(self, path: str, expression: str) -> None:
        """Check a CEL condition that may use nothing but the input."""
        try:
            self._expressions.compile(expression, ["input"])
        except ExpressionError as error:
            self._bad_expression(path, error)

    def template(
        self,
        path: str,
        value: object,
        stages: Iterable[str],
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """Check every ``${...}`` in a value; they may use these stages and names."""
        try:
            compiled = self._expressions.template(value)
        except ExpressionError as error:
            self._bad_expression(path, error)
            return
        for inner, expression in compiled.expressions():
            try:
                expression.check(self._scope(stages, names))
            except ExpressionError as error:
                self._bad_expression(path + inner, error)

    def _plugins_of(self, topic: str) -> list[str]:
        return sorted({each.plugin for each in self._topics.get(topic, ()) if not each.wrapper})

    def _scope(
        self, stages: Iterable[str], names: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        members = dict.fromkeys(stages, _STAGE_MEMBERS)
        return {"input": None, "run": _RUN_MEMBERS, "stages": members, **(names or {})}

    def _bad_expression(self, path: str, error: ExpressionError) -> None:
        self.problem(path, f"in '{error.expression}': {error.why}", error.fix)
