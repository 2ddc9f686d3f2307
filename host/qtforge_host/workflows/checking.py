"""Check workflows against the host: topics, plugins, durations, expressions, input."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.workflows.catalog import Catalog
from qtforge_host.workflows.definitions import (
    Parsed,
    Problem,
    UnmetRequirement,
    Workflow,
    line_of,
)
from qtforge_host.workflows.inputs import NotAcceptedError, accept, shown, wants
from qtforge_host.workflows.inputs import members as input_members
from qtforge_host.workflows.inputs import problems as input_problems
from qtforge_host.workflows.topic_types import NO_TYPES, TopicTypes, has_template
from qtforge_sdk import Definition, HandlerInfo, InputCheck, StepResult
from qtforge_sdk.durations import Duration, DurationError, seconds
from qtforge_sdk.errors import (
    ExpressionError,
    InvalidTopicError,
    RunInputError,
    WorkflowInvalidError,
    WorkflowUnmetError,
)
from qtforge_sdk.inputs import InputSpec
from qtforge_sdk.members import Members, members_of
from qtforge_sdk.orchestrators import Unreachable
from qtforge_sdk.run_keys import MOST_TAGS, TAG_NAME
from qtforge_sdk.topics import validate_topic
from qtforge_sdk.validation import UNKNOWN_KEY, did_you_mean

__all__ = ["Checker", "WorkflowChecker", "check", "checked_input", "find_cycle"]

_MOST_PRIORITY: Final = 100
_SHOWN: Final = 200  # characters of a value
_MOST_NAMED: Final = 20  # inputs in one error
_STAGE_MEMBERS: Final = members_of([StepResult])
_RUN_MEMBERS: Final = dict.fromkeys(("id", "workflow", "started_at"), members_of([str]))


class WorkflowChecker:
    """Tells which workflows of a catalog this host can execute now, and why not the others.

    Args:
        catalog: The workflows.
        expressions: Compiles conditions and templates.
        topics: Returns the handlers of each topic, as they are now.
        unmet: Returns those of a workflow's plugin requirements that are not met.
        types: What the operations of topics take and return.
    """

    def __init__(
        self,
        catalog: Catalog,
        expressions: Expressions,
        topics: Callable[[], Mapping[str, Sequence[HandlerInfo]]],
        unmet: Callable[[Iterable[str]], Sequence[UnmetRequirement]],
        types: TopicTypes = NO_TYPES,
    ) -> None:
        self._catalog = catalog
        self._expressions = expressions
        self._topics = topics
        self._unmet = unmet
        self._types = types

    def get(self, name: str, *, files: bool = True, queued: bool = False) -> Workflow:
        """Return a workflow that can be executed now.

        Args:
            name: Its name, or the path of a TOML file.
            files: Whether a path is read.
            queued: Whether another node may execute it, with its plugins.

        Raises:
            WorkflowNotFoundError: There is none of that name.
            WorkflowUnmetError: A plugin that it requires is not active.
            WorkflowInvalidError: The definition has problems.
        """
        workflow = self._catalog.get(name, files=files)
        self.require(workflow, queued=queued)
        problems = self.check(workflow)
        if problems:
            raise WorkflowInvalidError(name, "\n".join(map(str, problems)))
        return workflow

    def require(self, workflow: Workflow, *, queued: bool = False) -> None:
        """Check that the plugins are active that a workflow requires.

        Args:
            workflow: The workflow.
            queued: Whether another node may execute it, with its plugins.

        Raises:
            WorkflowUnmetError: One is not.
        """
        found = self._unmet(workflow.definition.requires)
        unmet = [each for each in found if not (queued and each.elsewhere)]
        if unmet:
            why = "\n".join(f"{each.text}: {each.why}" for each in unmet)
            raise WorkflowUnmetError(workflow.definition.name, why, unmet[0].fix)

    def requests(self, workflow: Workflow) -> Collection[str]:
        """Return the topics that a workflow and those that it runs request, as their kinds say."""
        found, seen, waiting = set[str](), set[str](), [workflow]
        while waiting:
            each = waiting.pop()
            checker = Checker(each, self._expressions, {}, self._catalog.names())
            with contextlib.suppress(Exception):  # of a plugin's code: `check` tells it
                each.orchestrator.check(each.definition, checker)
            found |= checker.requests
            others = {name for _, name in checker.uses} - seen
            seen |= others
            waiting += filter(None, map(self._catalog.readable, others))
        return found

    def problems(self, parsed: Parsed, *, typed: bool = False) -> tuple[Problem, ...]:
        """Return every problem of a definition, including requirements that are not met.

        Args:
            parsed: The definition.
            typed: Whether to compare messages and answers with the types that operations
                declare. A run is not refused because of them: the plugins may be others when
                it requests the operation.
        """
        if parsed.workflow is None:
            return parsed.problems + (self._further(parsed) if typed else ())
        return self._unmet_problems(parsed.workflow) + self.check(parsed.workflow, typed=typed)

    def _further(self, parsed: Parsed) -> tuple[Problem, ...]:
        """Return what is wrong besides keys and types, but for what may only follow from these."""
        nearly = parsed.nearly()
        if nearly is None:
            return ()
        wrong = [each.path for each in parsed.problems]
        found = self._unmet_problems(nearly) + self.check(nearly, typed=True)
        return tuple(each for each in found if not any(_follows(each, path) for path in wrong))

    def _unmet_problems(self, workflow: Workflow) -> tuple[Problem, ...]:
        return tuple(
            Problem(
                source=workflow.source,
                line=line_of(workflow.text, "requires"),
                path=f"requires[{each.position}]",
                what=f"'{each.text}' is not met: {each.why}",
                fix=each.fix,
            )
            for each in self._unmet(workflow.definition.requires)
        )

    def check(self, workflow: Workflow, *, typed: bool = False) -> tuple[Problem, ...]:
        """Return every problem of a workflow's names and expressions; `problems` has ``typed``."""
        try:
            return check(
                workflow,
                self._expressions,
                self._topics(),
                self._catalog.names(),
                self._catalog.readable,
                self._types if typed else NO_TYPES,
            )
        except RecursionError:
            what, fix = "its values are nested too deeply", "nest them less deeply"
        except Exception as error:  # noqa: BLE001 - an orchestrator is a plugin's code
            kind = workflow.definition.kind
            what = f"the orchestrator of '{kind}' can't check it: {type(error).__name__}: {error}"
            fix = "report it to the orchestrator's author"
        return (Problem(source=workflow.source, line=None, path="", what=what, fix=fix),)


def _follows(problem: Problem, wrong: str) -> bool:
    """Return whether a problem may only follow from a wrong key, or from what is left out for it.

    It is at that key or beneath it, at the table or the list that holds it, or names the key, as
    a stage does whose block is left out.
    """
    path = problem.path
    table, _, key = wrong.rpartition(".")
    if path in (wrong, table) or path.startswith((f"{wrong}.", f"{wrong}[")):
        return True
    return (wrong.endswith("]") and path == wrong.rpartition("[")[0]) or f"'{key}'" in problem.what


def check(
    workflow: Workflow,
    expressions: Expressions,
    topics: Mapping[str, Sequence[HandlerInfo]],
    workflows: Collection[str],
    find: Callable[[str], Workflow | None] | None = None,
    types: TopicTypes = NO_TYPES,
) -> tuple[Problem, ...]:
    """Return every problem of a workflow's names and expressions; compiles all expressions.

    Args:
        workflow: A workflow that was read without a problem.
        expressions: Compiles conditions and templates.
        topics: The handlers of each topic.
        workflows: The names of all known workflows.
        find: Returns a known workflow, or None where it has problems of its own. Without it,
            cycles through other workflows are not found.
        types: What the operations of topics take and return.
    """

    @functools.cache
    def uses(name: str) -> list[str]:
        other = None if find is None else find(name)
        if other is None:
            return []
        inner = Checker(other, expressions, topics, workflows)
        other.orchestrator.check(other.definition, inner)
        return [used for _, used in inner.uses]

    checker = Checker(workflow, expressions, topics, workflows, types, find)
    workflow.orchestrator.check(workflow.definition, checker)
    if workflow.definition.timeout is not None:
        checker.duration("timeout", workflow.definition.timeout)
    for place, each in enumerate(workflow.definition.checks):
        checker.before_start(f"checks[{place}].condition", each.condition)
    _check_inputs(workflow, checker, Evaluator(expressions))
    _check_keys(workflow.definition, checker)
    for path, name in checker.uses:
        cycle = find_cycle(workflow.definition.name, name, uses)
        if cycle is not None:
            what = f"the workflow would run itself: {' -> '.join(cycle)}"
            checker.problem(path, what, "let one of them run something else")
    return tuple(checker.problems)


def _check_inputs(workflow: Workflow, checker: Checker, evaluator: Evaluator) -> None:
    definition = workflow.definition
    if isinstance(definition.inputs, Mapping):
        for name, spec in definition.inputs.items():
            for problem in input_problems(name, spec, evaluator):
                checker.problem(*problem)
    if definition.inputs is not None:
        for name in definition.defaults:
            if name not in definition.inputs:
                fix = did_you_mean(name, definition.inputs, otherwise="add it to inputs")
                checker.problem(f"defaults.{name}", f"'{name}' is none of the inputs", fix)
    for place, name in enumerate(definition.secret_inputs):
        path = f"secret_inputs[{place}]"
        key = name if name in (definition.inputs or ()) else name.partition(".")[0]
        if definition.inputs is not None and key not in definition.inputs:
            fix = did_you_mean(name, definition.inputs, otherwise="add it to inputs")
            checker.problem(path, f"'{name}' is none of the inputs", fix)
        if _has(definition.defaults, name):
            what = f"'{name}' has a default, which everybody can read in the definition"
            checker.problem(path, what, "remove the default, or use ${secret.NAME} instead")


def _check_keys(definition: Definition, checker: Checker) -> None:
    """Check the tags, the title and the keys of runs."""
    for name, value in definition.tags.items():
        path = f"tags.{name}"
        if re.fullmatch(TAG_NAME, name) is None:
            what = f"'{name}' is no name of a tag"
            checker.problem(path, what, "at most 63 letters, digits, '.', '-' and '_'")
        checker.start_template(path, value)
    if len(definition.tags) > MOST_TAGS:
        what = f"{len(definition.tags)} tags are too many"
        checker.problem("tags", what, f"a run has at most {MOST_TAGS}")
    checker.start_template("title", definition.title)
    if isinstance(definition.priority, str):
        checker.start_template("priority", definition.priority)
        if "${" not in definition.priority:
            checker.problem("priority", "a text is no priority", "write a number, or ${...}")
    elif not -_MOST_PRIORITY <= definition.priority <= _MOST_PRIORITY:
        what = f"{definition.priority} is no priority"
        checker.problem("priority", what, f"from -{_MOST_PRIORITY} to {_MOST_PRIORITY}")
    if definition.unique is not None:
        checker.start_template("unique.key", definition.unique.key)
        if definition.unique.within is not None:
            checker.duration("unique.within", definition.unique.within)
    if definition.concurrency_key is not None:
        checker.start_template("concurrency_key.key", definition.concurrency_key.key)


def _has(table: object, path: str) -> bool:
    """Return whether a table has a key, or the path of one; lists are looked into."""
    if isinstance(table, list | tuple):
        return any(_has(each, path) for each in table)
    if not isinstance(table, Mapping):
        return False
    first, _, rest = path.partition(".")
    return path in table or (bool(rest) and _has(table.get(first), rest))


class _Open(dict[str, Any]):
    """Members of a name that may have any others besides."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> None:
        return None


def _hide(members: dict[str, Any], path: Sequence[str], why: Unreachable) -> None:
    """Make a member of a name unreachable; the other members on the way stay."""
    if len(path) == 1:
        members[path[0]] = why
        return
    inner = members.get(path[0])
    inner = inner if isinstance(inner, _Open) else _Open()
    _hide(inner, path[1:], why)
    members[path[0]] = inner


def _is_secret(path: str, secret_inputs: Iterable[str]) -> bool:
    """Return whether an input is one of the secret ones, is within one, or has one within it."""
    return any(
        f"{path}.".startswith(f"{each}.") or f"{each}.".startswith(f"{path}.")
        for each in secret_inputs
    )


class Checker:
    """Collects the problems of one definition; implements `qtforge_sdk.DefinitionChecker`.

    Attributes:
        problems: In the order in which they were found.
        uses: The path and the name of each workflow that this one runs.
        requests: The topics that it requests.
    """

    def __init__(
        self,
        workflow: Workflow,
        expressions: Expressions,
        topics: Mapping[str, Sequence[HandlerInfo]],
        workflows: Collection[str],
        types: TopicTypes = NO_TYPES,
        find: Callable[[str], Workflow | None] | None = None,
    ) -> None:
        self.problems: list[Problem] = []
        self.uses: list[tuple[str, str]] = []
        self.requests: set[str] = set()
        self._workflow = workflow
        self._expressions = expressions
        self._topics = topics
        self._workflows = workflows
        self._types = types
        self._find = find
        self._within: tuple[str, ...] = (workflow.definition.name,)

    @property
    def is_typed(self) -> bool:
        """Whether members of values are compared with what is declared of them."""
        return self._types is not NO_TYPES

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
        """Check that an active plugin handles a topic."""
        self.requests.add(topic)
        try:
            validate_topic(topic)
        except InvalidTopicError as error:
            self.problem(path, f"{error.what}: {error.why}", error.fix)
            return
        if not self._plugins_of(topic):
            fix = did_you_mean(topic, self._topics, "qtforge-host bus topics shows them")
            self.problem(path, f"no active plugin answers '{topic}'", fix)

    def plugin(self, path: str, plugin: str, topic: str) -> None:
        """Check that a plugin is one of those that handle a topic."""
        names = self._plugins_of(topic)
        if names and plugin not in names:  # without any, the topic itself is the problem
            fix = did_you_mean(plugin, names)
            self.problem(path, f"the plugin '{plugin}' does not answer '{topic}'", fix)

    def message(self, path: str, topic: str, message: object, plugin: str | None = None) -> None:
        """Check the keys and the literal values of a message against its type."""
        for each in self._types.message_errors(topic, plugin, message, path):
            what = each.what
            if what == UNKNOWN_KEY:
                what = f"'{topic}' does not know this key"
            elif what == "is missing":
                what = f"it is missing, and '{topic}' needs it"
            self.problem(each.path, what, each.fix)

    def answer(self, topic: str, plugin: str | None = None) -> Members:
        """Return what is known of a topic's answer."""
        self.requests.add(topic)
        return self._types.answer(topic, plugin)

    def result(self, workflow: str) -> Members:
        """Return what is known of another workflow's result."""
        if not self.is_typed or self._find is None or workflow in self._within:
            return None
        found = self._find(workflow)
        if found is None:
            return None
        inner = Checker(
            found, self._expressions, self._topics, self._workflows, self._types, self._find
        )
        inner._within = (*self._within, workflow)
        return found.orchestrator.result_members(found.definition, inner)

    def members(self, value: object, names: Mapping[str, Any]) -> Members:
        """Return what is known of what a template gives."""
        try:
            return self._expressions.template(value).members(self._scope((), names))
        except ExpressionError:
            return None

    def duration(self, path: str, duration: Duration) -> None:
        """Check that a value is a duration above zero."""
        try:
            seconds(duration)
        except DurationError as error:
            self.problem(path, error.why, error.fix)

    def workflow(
        self,
        path: str,
        name: str,
        given: Mapping[str, object] | None = None,
        given_path: str = "",
    ) -> None:
        """Check that a workflow of that name is known, is not this one, and takes an input."""
        if name == self._workflow.definition.name:
            self.problem(path, f"'{name}' would run itself", "name another workflow")
        elif name not in self._workflows:
            fix = did_you_mean(name, self._workflows, "qtforge-host workflows list shows them")
            self.problem(path, f"there is no workflow '{name}'", fix)
        else:
            self.uses.append((path, name))
            if given is not None:
                self._given(given_path, name, given)

    def _given(self, path: str, name: str, given: Mapping[str, object]) -> None:
        """Check the keys and the literal values of another workflow's input."""
        found = self._find(name) if self.is_typed and self._find is not None else None
        if found is None or found.definition.inputs is None:
            return
        inputs = found.definition.inputs
        for key in given:
            if key not in inputs:
                fix = did_you_mean(key, inputs, "remove it")
                self.problem(f"{path}.{key}", f"'{name}' has no input '{key}'", fix)
        if not isinstance(inputs, Mapping):
            return
        evaluator = Evaluator(self._expressions)
        whole = {**found.definition.defaults, **given}
        for key, spec in inputs.items():
            if has_template(whole.get(key)):
                continue
            try:
                _accepted(found.definition, key, spec, whole, evaluator)
            except RunInputError as error:
                self.problem(f"{path}.{key}" if key in given else path, error.what, error.fix)
            except ExpressionError:
                continue  # its pattern is too costly for it

    def condition(
        self,
        path: str,
        expression: str,
        stages: Iterable[str],
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """Check a CEL condition that may use these stages and names."""
        self._expression(path, expression, self._scope(stages, names))

    def before_start(self, path: str, expression: str) -> None:
        """Check a CEL condition that may use only the input."""
        self._expression(path, expression, {"input": self._inputs()})

    def start_template(self, path: str, value: str) -> None:
        """Check every ``${...}`` in a text; it may use the input but for secrets."""
        definition = self._workflow.definition
        inputs = dict(self._inputs() or {})
        for name in definition.secret_names:
            what = f"the input '{name}' is secret, and '{path}' is shown to everybody"
            _hide(inputs, name.split("."), Unreachable(what, "use another input"))
        early = Unreachable("the run has not begun when it is evaluated", "use the input")
        known = definition.inputs is not None
        scope: dict[str, Any] = {"run": early, "stages": early}
        scope["input"] = inputs if known else _Open(inputs) if inputs else None
        self._check_template(path, value, scope)

    def template(
        self,
        path: str,
        value: object,
        stages: Iterable[str],
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """Check every ``${...}`` in a value; it may use these stages and names."""
        self._check_template(path, value, self._scope(stages, names))

    def _check_template(self, path: str, value: object, scope: Mapping[str, Any]) -> None:
        try:
            compiled = self._expressions.template(value)
        except ExpressionError as error:
            self._bad_expression(path, error)
            return
        for inner, expression in compiled.expressions():
            for each in expression.problems(scope):
                self._bad_expression(path + inner, each)

    def _expression(self, path: str, source: str, scope: Mapping[str, Any]) -> None:
        try:
            expression = self._expressions.compile(source)
        except ExpressionError as error:
            self._bad_expression(path, error)
            return
        for each in expression.problems(scope):
            self._bad_expression(path, each)

    def _plugins_of(self, topic: str) -> list[str]:
        return sorted({each.plugin for each in self._topics.get(topic, ()) if not each.wrapper})

    def _scope(
        self, stages: Iterable[str], names: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        members = dict.fromkeys(stages, _STAGE_MEMBERS)
        inputs = self._inputs()
        return {"input": inputs, "run": _RUN_MEMBERS, "stages": members, **(names or {})}

    def _inputs(self) -> Mapping[str, Any] | None:
        """Return the inputs that there may be; None for any."""
        inputs = self._workflow.definition.inputs
        if isinstance(inputs, Mapping) and self.is_typed:
            return {name: input_members(spec) for name, spec in inputs.items()}
        return None if inputs is None else dict.fromkeys(inputs)

    def _bad_expression(self, path: str, error: ExpressionError) -> None:
        self.problem(path, f"in '{error.expression}': {error.why}", error.fix)


def checked_input(
    definition: Definition, given: Mapping[str, Any], evaluator: Evaluator
) -> dict[str, Any]:
    """Return the input of a new run: the given values, and defaults for the others.

    Args:
        definition: The workflow of the run.
        given: The caller's values.
        evaluator: Evaluates the conditions of the definition's checks.

    Raises:
        RunInputError: Inputs are unknown, missing or not accepted; all of them are named.
        ExpressionError: A condition is too costly.
    """
    whole = {**definition.defaults, **given}
    wrong: list[RunInputError] = []
    if definition.inputs is not None:
        known = [*definition.inputs]
        wrong = [_unknown(definition.name, key, known) for key in whole if key not in known]
    if isinstance(definition.inputs, Mapping):
        kept = {}
        for name, spec in definition.inputs.items():
            try:
                kept[name] = _accepted(definition, name, spec, whole, evaluator)
            except RunInputError as error:
                wrong.append(error)
        whole = kept
    if not wrong:  # a check presumes that there are the inputs, of their types
        wrong = [*_failed_checks(definition, whole, evaluator)]
    if len(wrong) > 1:
        name = definition.name
        lines = [f"{each.what}: {each.fix}" for each in wrong[:_MOST_NAMED]]
        if len(wrong) > _MOST_NAMED:
            lines.append(f"and {len(wrong) - _MOST_NAMED} more")
        what = f"{len(wrong)} inputs of '{name}' are not accepted"
        raise RunInputError(name, wrong[0].key, what, "", "\n".join(lines))
    if wrong:
        raise wrong[0]
    return whole


def _failed_checks(
    definition: Definition, given: Mapping[str, Any], evaluator: Evaluator
) -> Iterator[RunInputError]:
    """Give the first failure of each input; a part of one that has failed is not looked at."""
    failed: list[str] = []
    for check in definition.checks:
        if any(f"{check.input}.".startswith(f"{each}.") for each in failed):
            continue
        if _holds(check, given, evaluator):
            continue
        failed.append(check.input)
        is_secret = _is_secret(check.input, definition.secret_names)
        value = "this value" if is_secret else _value(check.input, given)
        found = f"can't be {value}" if value else "is missing"
        what = f"the input '{check.input}' of '{definition.name}' {found}"
        yield RunInputError(definition.name, check.input, what, f"give {check.wants}")


def _accepted(
    definition: Definition,
    name: str,
    spec: InputSpec,
    given: Mapping[str, Any],
    evaluator: Evaluator,
) -> Any:
    value = given.get(name)
    try:
        return accept(spec, value, evaluator)
    except NotAcceptedError as error:
        found = error.why or f"can't be {shown(value)}"
        if value is None:
            found = "is missing"
        elif _is_secret(name, definition.secret_names):
            found = "can't be this value"
        what = f"the input '{name}' of '{definition.name}' {found}"
        raise RunInputError(definition.name, name, what, f"give {wants(spec)}") from None


def find_cycle(name: str, first: str, uses: Callable[[str], Iterable[str]]) -> list[str] | None:
    """Return a path from a workflow through another one back to itself, or None.

    Args:
        name: The workflow.
        first: A workflow that it runs.
        uses: Returns the workflows that a workflow runs.

    >>> find_cycle("a", "b", {"a": ["b"], "b": ["c"], "c": ["a"]}.__getitem__)
    ['a', 'b', 'c', 'a']
    """
    seen: set[str] = set()
    paths = [[name, first]]
    while paths:
        path = paths.pop()
        if path[-1] == name:
            return path
        if path[-1] not in seen:
            seen.add(path[-1])
            paths += [[*path, each] for each in uses(path[-1])]
    return None


def _unknown(workflow: str, key: str, known: Sequence[str]) -> RunInputError:
    fix = did_you_mean(key, known) if known else "give none"
    return RunInputError(workflow, str(key), f"'{workflow}' has no input '{key}'", fix)


def _holds(check: InputCheck, given: Mapping[str, Any], evaluator: Evaluator) -> bool:
    try:
        return evaluator.evaluate(check.condition, {"input": given})
    except ExpressionError as error:
        if error.code in ("expression.too_costly", "expression.too_large"):
            raise  # it says nothing about the input
        return False  # such as a text that can't be parsed as a date


def _value(path: str, given: Mapping[str, Any]) -> str:
    value: Any = given
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return ""
        value = value[key]
    return repr(value)[:_SHOWN]
