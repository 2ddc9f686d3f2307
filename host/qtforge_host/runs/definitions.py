"""Workflow definitions: TOML in, a checked `Workflow` or every `Problem` out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from qtforge_host.runs.problems import Problem, line_of
from qtforge_host.shapes import misfits
from qtforge_sdk import Definition, Orchestrator

__all__ = ["Parsed", "Workflow", "parse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A definition and the orchestrator that runs it.

    Attributes:
        definition: An instance of the orchestrator's ``definition_type``.
        orchestrator: What executes it.
        source: The file, or who contributed it.
        text: The TOML that it was read from.
    """

    definition: Definition
    orchestrator: Orchestrator
    source: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What came of a TOML text: a workflow, or problems; and its name as far as it is known."""

    name: str
    source: str
    workflow: Workflow | None
    problems: tuple[Problem, ...]


def parse(text: str, source: str, orchestrators: Mapping[str, Orchestrator]) -> Parsed:
    """Read a definition; types and keys are checked, names and expressions are not yet.

    Args:
        text: TOML.
        source: The file, or who contributed it.
        orchestrators: Each kind's.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _refused("", source, [_syntax_problem(error, source)])
    name = table.get("name") if isinstance(table.get("name"), str) else ""
    found = [
        Problem(
            source=source,
            line=line_of(text, misfit.path),
            path=misfit.path,
            what=misfit.what,
            fix=misfit.fix,
        )
        for misfit in misfits(table, _type_for(table, orchestrators))
    ]
    kind = table.get("kind")
    if isinstance(kind, str) and kind not in orchestrators:
        known = ", ".join(sorted(orchestrators)) or "none is installed"
        found = [
            Problem(
                source=source,
                line=line_of(text, "kind"),
                path="kind",
                what=f"no orchestrator is of the kind '{kind}'",
                fix=f"known are {known}",
            )
        ]
    if found:
        return _refused(str(name), source, found)
    orchestrator = orchestrators[table["kind"]]
    definition = msgspec.convert(table, orchestrator.definition_type)
    workflow = Workflow(definition=definition, orchestrator=orchestrator, source=source, text=text)
    return Parsed(name=definition.name, source=source, workflow=workflow, problems=())


class _Header(Definition, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What can be said of a definition whose kind is not known."""


def _type_for(table: Mapping[str, Any], orchestrators: Mapping[str, Orchestrator]) -> type:
    kind = table.get("kind")
    if isinstance(kind, str) and kind in orchestrators:
        return orchestrators[kind].definition_type
    return _Header


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
