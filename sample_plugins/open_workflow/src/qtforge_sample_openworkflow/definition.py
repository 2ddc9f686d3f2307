"""A definition: the specification's YAML within ours, and what can be found wrong in it."""

from __future__ import annotations

import datetime
import functools
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import yaml

from qtforge_sample_openworkflow import expressions
from qtforge_sdk import Definition, DefinitionChecker
from qtforge_sdk.errors import InvalidTopicError
from qtforge_sdk.topics import validate_topic

__all__ = ["NAMES", "OpenWorkflow", "check_document", "duration_of", "read_document", "tasks_of"]

NAMES: Final = frozenset({"context", "error", "input", "output", "runtime", "task", "workflow"})
"""The variables that every expression may use."""

# Before "do" what has a "do" of its own.
KINDS: Final = (
    "for", "try", "do", "call", "emit", "fork", "listen", "raise", "run", "set", "switch", "wait",
)  # fmt: skip
_PROTOCOLS: Final = ("a2a", "asyncapi", "grpc", "mcp", "openapi")
_ISO: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)
_LARGEST: Final = 100_000  # values of a document
_UNITS: Final = ("days", "hours", "minutes", "seconds", "milliseconds")
_DIRECTIVES: Final = ("continue", "end", "exit")


class OpenWorkflow(Definition, frozen=True, kw_only=True):
    """``kind = "open-workflow"``.

    Attributes:
        source: The workflow in YAML or JSON, as the specification has it.
    """

    source: str


@functools.lru_cache(maxsize=64)
def read_document(source: str) -> dict[str, Any]:
    """Return the document.

    Raises:
        ValueError: It is not YAML, or no workflow.
    """
    try:
        document = yaml.safe_load(source)
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or not isinstance(document.get("document"), dict):
        raise ValueError("it has no 'document'")
    if not isinstance(document.get("do"), list):
        raise ValueError("it has no list 'do'")
    if _size(document, {}) > _LARGEST:
        raise ValueError(f"with its aliases it has more than {_LARGEST:,} values")
    return document


def _size(value: object, known: dict[int, float]) -> float:
    """Return how many values there are where each alias counts as what it stands for."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf  # what holds itself
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(each, known) for each in parts)
    return known[id(value)]


def tasks_of(given: object) -> list[tuple[str, dict[str, Any]]]:
    """Return the tasks of a list, each with its name.

    Raises:
        ValueError: An entry is not a mapping of one name to a task.
    """
    found = []
    for entry in given if isinstance(given, list) else [given]:
        if not isinstance(entry, dict) or len(entry) != 1:
            raise ValueError("a task is a mapping of its name to what it does")
        [(name, task)] = entry.items()
        if not isinstance(task, dict):
            raise ValueError(f"the task '{name}' is no mapping")
        found.append((str(name), task))
    return found


def duration_of(given: object) -> float:
    """Return a length of time in seconds: ISO 8601, or a mapping of units.

    >>> duration_of("PT1H30M"), duration_of({"minutes": 2})
    (5400.0, 120.0)

    Raises:
        ValueError: It is neither.
    """
    parts: Mapping[str, Any] = {}
    if isinstance(given, dict) and given and set(given) <= set(_UNITS):
        parts = given
    elif isinstance(given, str) and (found := _ISO.fullmatch(given)) and any(found.groups()):
        parts = {unit: int(number) for unit, number in found.groupdict().items() if number}
    if not parts or not all(isinstance(each, (int, float)) for each in parts.values()):
        raise ValueError(f"{given!r} is no length of time such as PT15M or {{minutes: 15}}")
    return datetime.timedelta(**parts).total_seconds()


def check_document(document: Mapping[str, Any], checker: DefinitionChecker) -> None:
    """Report every problem of a document, each with the JSON pointer of its task."""
    _check_flow(document, "", checker, NAMES)
    _check_tasks(document["do"], "/do", checker, NAMES)


def _check_tasks(
    given: object, at: str, checker: DefinitionChecker, names: Collection[str]
) -> None:
    try:
        tasks = tasks_of(given)
    except ValueError as error:
        checker.problem(f"source{at}", str(error))
        return
    known = {name for name, _ in tasks}
    for index, (name, task) in enumerate(tasks):
        here = f"{at}/{index}/{name}"
        for then in _directives(task):
            if then not in _DIRECTIVES and then not in known:
                fix = f"name one of {', '.join(sorted(known))}, or {', '.join(_DIRECTIVES)}"
                checker.problem(f"source{here}", f"there is no task '{then}' beside it", fix)
        _check_task(task, here, checker, names)


def _directives(task: Mapping[str, Any]) -> Iterator[str]:
    yield str(task.get("then", "continue"))
    cases = task.get("switch", [])
    for case in cases if isinstance(cases, list) else []:
        for each in case.values() if isinstance(case, dict) else []:
            if isinstance(each, dict):
                yield str(each.get("then", "continue"))


def _check_task(
    task: Mapping[str, Any], at: str, checker: DefinitionChecker, names: Collection[str]
) -> None:
    kind = next((each for each in KINDS if each in task), None)
    if kind is None:
        checker.problem(f"source{at}", "it does nothing", f"give it one of {', '.join(KINDS)}")
        return
    _check_flow(task, at, checker, names)
    if kind in ("for", "try", "do", "fork"):
        for place, tasks, further in _inner(kind, task):
            _check_tasks(tasks, f"{at}/{place}", checker, {*names, *further})
        return
    body = task[kind]
    if kind == "call":
        _check_call(task, at, checker)
    elif kind == "run" and not (isinstance(body, dict) and set(body) <= {"workflow", "await"}):
        checker.problem(f"source{at}", "only workflows can be run", "run: { workflow: ... }")
    elif kind == "wait":
        try:
            duration_of(body)
        except ValueError as error:
            checker.problem(f"source{at}/wait", str(error))
    for problem in expressions.check([body, task.get("with")], names):
        checker.problem(f"source{at}", problem)


def _inner(kind: str, task: Mapping[str, Any]) -> Iterator[tuple[str, object, tuple[str, ...]]]:
    """Yield where a task's own tasks are, the tasks, and the further names that they may use."""
    body = task[kind]
    if kind == "for":
        each = body if isinstance(body, dict) else {}
        yield "for", task.get("do"), (each.get("each", "item"), each.get("at", "index"))
    elif kind == "fork":
        yield "fork", body.get("branches") if isinstance(body, dict) else None, ()
    else:
        yield kind, body, ()
    caught = task.get("catch")
    if kind == "try" and isinstance(caught, dict) and "do" in caught:
        yield "catch", caught["do"], (str(caught.get("as", "error")),)


def _check_call(task: Mapping[str, Any], at: str, checker: DefinitionChecker) -> None:
    call = task["call"]
    if call in _PROTOCOLS:
        checker.problem(f"source{at}", f"'call: {call}' is not supported", "call http or a topic")
    elif call == "http":
        if not isinstance(task.get("with"), dict) or "endpoint" not in task["with"]:
            checker.problem(f"source{at}", "it has no endpoint", "with: { endpoint: https://... }")
        checker.topic(f"source{at}", "http.request")
    else:
        try:
            checker.topic(f"source{at}", validate_topic(str(call)))
        except InvalidTopicError as error:
            checker.problem(f"source{at}", str(error))


def _check_flow(
    task: Mapping[str, Any], at: str, checker: DefinitionChecker, names: Collection[str]
) -> None:
    """Check the expressions that every task, and the workflow, may have."""
    moved = [
        task.get("if"),
        *(task.get(part, {}).get(key) if isinstance(task.get(part), dict) else None
          for part, key in (("input", "from"), ("output", "as"), ("export", "as"))),
    ]  # fmt: skip
    for each in moved:
        given = expressions.whole(each) if isinstance(each, str) else each
        for problem in expressions.check(given, names):
            checker.problem(f"source{at}", problem)
    for part in ("input", "output", "export"):
        if isinstance(task.get(part), dict) and "schema" in task[part]:
            checker.problem(f"source{at}/{part}", "a schema is not supported", "leave it out")
