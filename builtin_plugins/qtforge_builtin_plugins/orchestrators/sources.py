"""The sources of a parallel workflow: their strict reading, and the topic of each.

The fields are those of the original's DataSource (QtForge's DataAggregationOrchestrator):
name, type, endpoint, parameters, timeout of 30 s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from qtforge_sdk import Duration
from qtforge_sdk.durations import seconds
from qtforge_sdk.errors import OperationError
from qtforge_sdk.policies import Cache, Retry
from qtforge_sdk.validation import did_you_mean, validation_errors

__all__ = [
    "DEFAULT_TIMEOUT",
    "RESERVED",
    "Source",
    "check_types",
    "name_problem",
    "read_sources",
    "timeout_of",
    "topic_of",
]

RESERVED: Final = ("aggregate", "deadline")
"""Names of the kind's own steps and timers, which no source may have."""

DEFAULT_TIMEOUT: Final = "30s"

_TOPICS: Final[Mapping[str, str]] = {
    "api": "http.request",
    "database": "database.query",
    "http": "http.request",
}


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source of rows: of some type, or another workflow.

    Attributes:
        name: Unique in the run; it is the step's name.
        type: ``database``, ``http`` (or ``api``), ``file``, ``stream``, or any other ``T``
            whose topic ``T.read`` a plugin answers.
        workflow: A workflow whose result is rows, instead of a type.
        input: The workflow's input.
        endpoint: Where it is.
        parameters: The parameters of the type.
        plugin: The only plugin that may answer, or None.
        timeout: A duration, for each attempt.
        required: When true, its failure fails the run. Default false: the results of the
            others are kept.
        retry: The retry policy, or None.
        cache: The cache policy, or None.
    """

    name: str
    type: str | None = None
    workflow: str | None = None
    input: dict[str, Any] = {}
    endpoint: str = ""
    parameters: dict[str, Any] = {}
    plugin: str | None = None
    timeout: Duration = DEFAULT_TIMEOUT
    required: bool = False
    retry: Retry | None = None
    cache: Cache | None = None

    def __post_init__(self) -> None:
        if (self.type is None) == (self.workflow is None):
            raise ValueError("a source has either a type or a workflow")
        idle = ("endpoint", "parameters", "plugin", "retry", "cache")
        given = [name for name in idle if getattr(self, name)]
        if self.workflow is not None and given:
            raise ValueError(f"a source that is a workflow has no {given[0]}")
        if self.workflow is None and self.input:
            raise ValueError(
                "only a source that is a workflow has an input; others have parameters"
            )


def topic_of(type_: str) -> str:
    """Return the topic that reads a source of this type.

    >>> topic_of("database"), topic_of("api"), topic_of("file"), topic_of("calendar")
    ('database.query', 'http.request', 'file.read', 'calendar.read')
    """
    return _TOPICS.get(type_, f"{type_}.read")


def read_sources(given: Any) -> list[Source]:
    """Return sources as their type.

    Raises:
        OperationError: ``aggregation.no_sources``, or ``aggregation.invalid_sources`` with
            every problem and its path.
    """
    if given is None or (isinstance(given, Sequence) and not given):
        fix = 'name at least one: [[sources]] name = "sales", type = "file", endpoint = "a.csv"'
        raise OperationError("aggregation.no_sources", "there are no sources", "", fix)
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise _invalid([f"sources: a list of tables is expected, not {type(given).__name__}"])
    found: dict[str, Source] = {}
    problems: list[str] = []
    for position, table in enumerate(given):
        path = f"sources[{position}]"
        written = isinstance(table, Source)  # from the definition, where it was checked
        wrong = [] if written else [str(each) for each in validation_errors(table, Source, path)]
        if not wrong:
            source = table if written else msgspec.convert(table, Source)
            problem = name_problem(source.name, found)
            wrong = [f"{path}.name: {problem}"] if problem else []
            wrong += _timeout_errors(source, path)
            found[source.name] = source
        problems += wrong
    if problems:
        raise _invalid(problems)
    return list(found.values())


def name_problem(name: str, before: Collection[str]) -> str:
    """Return why a source's name is not valid, or ""."""
    if name in before:
        return f"there are two sources '{name}'"
    if name in RESERVED:
        return f"'{name}' is a step of every parallel workflow; choose another name"
    if not name or not name.isprintable() or "/" in name or len(name) > 100:
        return "a name has 1 to 100 characters, all printable, and no /"
    return ""


def timeout_of(name: str) -> str:
    """Return the name of the timer that ends a source which is a workflow."""
    return f"timeout/{name}"


def check_types(sources: Sequence[Source], topics: Collection[str]) -> None:
    """Check that a plugin answers the topic of every source.

    Args:
        sources: The sources that are still to be read.
        topics: The topics that plugins answer.

    Raises:
        OperationError: ``aggregation.unknown_source_type``, with the nearest known type.
    """
    for source in sources:
        if source.type is not None and topic_of(source.type) not in topics:
            known = {name for name, topic in _TOPICS.items() if topic in topics}
            known |= {topic.removesuffix(".read") for topic in topics if topic.endswith(".read")}
            raise OperationError(
                "aggregation.unknown_source_type",
                f"the source '{source.name}' has the type '{source.type}', which is not known here",
                f"no active plugin answers '{topic_of(source.type)}'",
                did_you_mean(source.type, sorted(known)) or "install a plugin that reads them",
                retryable=False,
            )


def _timeout_errors(source: Source, path: str) -> list[str]:
    if source.timeout != DEFAULT_TIMEOUT:
        try:
            seconds(source.timeout)
        except ValueError as error:
            return [f"{path}.timeout: {error}"]
    return []


def _invalid(problems: list[str]) -> OperationError:
    return OperationError(
        "aggregation.invalid_sources",
        "the sources can't be read",
        "\n".join(problems),
        retryable=False,
    )
