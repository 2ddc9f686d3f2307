"""Parse workflow definitions: TOML into a `Workflow`, or into every `Problem` of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar

import msgspec

from qtforge_host import toml
from qtforge_host.plugin_code import NO_AUTHOR, Author
from qtforge_host.workflows.mending import mended
from qtforge_sdk import Definition, Orchestrator
from qtforge_sdk.validation import did_you_mean, validation_errors

__all__ = [
    "AttributedOrchestrator",
    "Parsed",
    "Problem",
    "UnmetRequirement",
    "Workflow",
    "line_of",
    "parse",
    "parse_header",
]

D = TypeVar("D", bound=Definition)

# Compiled when it is first used, which most commands never do.
_HEADER: Final = r"\s*\[\[?([\w.\s\"'-]+)\]\]?\s*(?:#.*)?$"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of a definition.

    Attributes:
        source: The file, or the plugin that contributed the definition.
        line: Counted from 1; None where it is not known.
        path: The key's path, such as ``stages[2].when``; "" for the whole file.
        what: What is wrong.
        fix: The nearest known name, or what to do; may be "".
    """

    source: str
    line: int | None
    path: str
    what: str
    fix: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        text = f"{place}: {self.path}: {self.what}" if self.path else f"{place}: {self.what}"
        return f"{text} (fix: {self.fix})" if self.fix else text


class UnmetRequirement(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin requirement of a workflow that is not met.

    Attributes:
        position: Its index in ``requires``.
        text: The requirement as written.
        why: Why it is not met.
        fix: What would meet it.
        elsewhere: Whether a plugin on another node meets it.
    """

    position: int
    text: str
    why: str
    fix: str
    elsewhere: bool = False


def line_of(text: str, path: str) -> int | None:
    r"""Return the line on which a key stands, found by table headers and keys.

    >>> line_of('name = "a"\n[[stages]]\nname = "b"\ntimeout = "3"', "stages[0].timeout")
    4
    """
    words = re.findall(r"([\w-]+)(?:\[(\d+)\])?", path)
    lines = text.splitlines()
    headers = [(at, _header(line)) for at, line in enumerate(lines) if re.match(_HEADER, line)]
    start, end, table = 0, len(lines), ""
    found: int | None = None
    for name, index in words:
        table = f"{table}.{name}" if table else name
        within = [(at, header) for at, header in headers if start <= at < end]
        places = [at for at, header in within if header == table]
        if len(places) > int(index or 0):
            start = places[int(index or 0)] + 1
            found = start
            others = (at for at, each in headers if at >= start and not _is_in(each, table))
            end = next(others, len(lines))
            continue
        key = re.compile(rf"\s*(?:\"{re.escape(name)}\"|{re.escape(name)})\s*=")
        last = within[0][0] if within else end
        line = next((at for at in range(start, last) if key.match(lines[at])), None)
        if line is not None:
            found, start, end = line + 1, line, line + 1
        elif not any(_is_in(header, table) for _, header in within):
            break  # else a table whose parts alone have headers
    return found


def _header(line: str) -> str:
    """Return the name in the header of a table, without quotes and spaces."""
    name = re.match(_HEADER, line)
    return "" if name is None else re.sub(r"[\s\"']", "", name[1])


def _is_in(header: str, table: str) -> bool:
    return header.startswith(f"{table}.")


class AttributedOrchestrator(Orchestrator[D]):
    """An orchestrator whose code is known to be a plugin's.

    Attributes:
        identity: The plugin; empty where there is none.
        function: The function that executes runs; None where a class does.
    """

    identity: Author = NO_AUTHOR
    function: Callable[..., Any] | None = None


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A definition and the orchestrator that runs it.

    Attributes:
        definition: An instance of the orchestrator's ``definition_type``.
        orchestrator: Executes it.
        source: The file, or the plugin that contributed it.
        text: The TOML that it was read from; "" for a Python function.
    """

    definition: Definition
    orchestrator: Orchestrator[Any]
    source: str
    text: str

    @property
    def author(self) -> Author:
        """The plugin whose code executes it; empty where none is known."""
        found = self.orchestrator
        return found.identity if isinstance(found, AttributedOrchestrator) else NO_AUTHOR

    @property
    def function(self) -> Callable[..., Any] | None:
        """The function that executes it; None where the orchestrator does."""
        found = self.orchestrator
        return found.function if isinstance(found, AttributedOrchestrator) else None


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of parsing a definition.

    Attributes:
        name: The workflow's name, or "" when it could not be read.
        source: The file, or the plugin that contributed it.
        workflow: The workflow; None when there are problems.
        problems: Everything that is wrong.
        header: The keys that every definition has, where they were read without its
            orchestrator and nothing is wrong with them.
        nearly: Where keys have problems: makes a workflow without these, to find further
            problems, or None where there is none that is near.
    """

    name: str
    source: str
    workflow: Workflow | None
    problems: tuple[Problem, ...]
    header: Definition | None = None
    nearly: Callable[[], Workflow | None] = lambda: None


def parse(text: str, source: str, orchestrators: Mapping[str, Orchestrator[Any]]) -> Parsed:
    """Parse a definition; keys and types are checked, names and expressions are not.

    Args:
        text: TOML.
        source: The file, or the plugin that contributed it.
        orchestrators: The orchestrator of each kind.
    """
    return _guarded(source, lambda: _parse(text, source, orchestrators))


def parse_header(text: str, source: str, kinds: Collection[str]) -> Parsed:
    """Find what is wrong with a definition without its orchestrator: its syntax and common keys.

    Args:
        text: TOML.
        source: The file, or the plugin that contributed it.
        kinds: The kinds of workflow that orchestrators execute.

    Returns:
        Its name and problems, or its common keys, and never a workflow.
    """

    def parsed() -> Parsed:
        table = toml.read(text)
        problems = _problems(table, text, source, kinds, lambda kind: _Header)
        if problems:
            return _refused(_name_of(table), source, problems)
        header = msgspec.convert(table, _Header)
        return Parsed(name=header.name, source=source, workflow=None, problems=(), header=header)

    return _guarded(source, parsed)


def _guarded(source: str, read: Callable[[], Parsed]) -> Parsed:
    try:
        return read()
    except toml.TomlLimitError as error:
        what, fix = str(error), error.fix
    except tomllib.TOMLDecodeError as error:
        return _refused("", source, [_syntax_problem(error, source)])
    except RecursionError:  # msgspec descends once for each level
        what, fix = "its tables or arrays are nested too deeply", "nest them less deeply"
    except Exception as error:  # noqa: BLE001 - a plugin's types
        what, fix = f"it can't be read: {type(error).__name__}: {error}", ""
    return _refused("", source, [Problem(source=source, line=None, path="", what=what, fix=fix)])


def _parse(text: str, source: str, orchestrators: Mapping[str, Orchestrator[Any]]) -> Parsed:
    table = toml.read(text)

    def type_of(kind: str) -> type[Definition]:
        return orchestrators[kind].definition_type

    problems = _problems(table, text, source, orchestrators, type_of)

    def made(found: Mapping[str, Any]) -> Workflow:
        orchestrator = orchestrators[found["kind"]]
        definition = msgspec.convert(found, orchestrator.definition_type)
        return Workflow(definition=definition, orchestrator=orchestrator, source=source, text=text)

    def nearly() -> Workflow | None:
        kind = str(table.get("kind"))
        found = mended(table, type_of(kind)) if kind in orchestrators else None
        return None if found is None else made(found)

    if problems:
        return msgspec.structs.replace(_refused(_name_of(table), source, problems), nearly=nearly)
    workflow = made(table)
    return Parsed(name=workflow.definition.name, source=source, workflow=workflow, problems=())


def _name_of(table: Mapping[str, Any]) -> str:
    name = table.get("name")
    return name if isinstance(name, str) else ""


def _problems(
    table: Mapping[str, Any],
    text: str,
    source: str,
    kinds: Collection[str],
    type_of: Callable[[str], type[Definition]],
) -> list[Problem]:
    """Return what is wrong with a table; of `kinds` only its own is asked for, if it is one."""
    kind = table.get("kind")
    if isinstance(kind, str) and kind not in kinds:
        return [
            Problem(
                source=source,
                line=line_of(text, "kind"),
                path="kind",
                what=f"no orchestrator is of the kind '{kind}'",
                fix=did_you_mean(kind, sorted(kinds)) or "install one that executes it",
            )
        ]
    return [
        Problem(
            source=source,
            line=line_of(text, error.path),
            path=error.path,
            what=error.what,
            fix=error.fix,
        )
        for error in validation_errors(table, type_of(kind) if isinstance(kind, str) else _Header)
    ]


class _Header(Definition, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The keys of every definition, for one whose kind is unknown."""


def _syntax_problem(error: tomllib.TOMLDecodeError, source: str) -> Problem:
    what, _, place = str(error).partition(" (at line ")
    line = place.partition(",")[0]
    return Problem(
        source=source,
        line=int(line) if line.isdigit() else None,
        path="",
        what=f"it is not TOML: {what}",
        fix="",
    )


def _refused(name: str, source: str, problems: list[Problem]) -> Parsed:
    return Parsed(name=name, source=source, workflow=None, problems=tuple(problems))
