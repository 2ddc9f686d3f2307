"""Routed documents on standard output: a table with reasons, or JSON documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from qtforge_host.cli.output import document, state, table
from qtforge_host.cli.report import error_document
from qtforge_host.runs.outcome import RunView

__all__ = ["Routed", "print_rows", "route_document"]

_DECISION: Final = "routing_decision"
_TYPE: Final = "documentType"


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What became of a file.

    Attributes:
        file: As it was given, or found in a folder.
        view: Its run.
        dry_run: Whether it was decided only.
    """

    file: str
    view: RunView
    dry_run: bool

    @property
    def decision(self) -> Mapping[str, Any]:
        """The decision; empty where there is none."""
        step = self.view.steps.get(_DECISION)
        return step.data if step is not None and isinstance(step.data, Mapping) else {}


def route_document(routed: Routed) -> dict[str, Any]:
    """Return what became of a file as ``route --json`` prints it."""
    view, decision = routed.view, routed.decision
    return document(
        file=routed.file,
        dry_run=routed.dry_run,
        run_id=None if routed.dry_run else view.run_id,
        status=view.status,
        document_type=_type(decision),
        target_pipeline=decision.get("target_pipeline"),
        confidence=decision.get("confidence"),
        reason=decision.get("reason"),
        applied_rules=decision.get("applied_rules", []),
        pipeline_parameters=decision.get("pipeline_parameters", {}),
        names=decision.get("names", {}),
        rules=decision.get("rules", []),
        error=error_document(view.error),
    )


def print_rows(rows: Sequence[Routed], *, explain: bool) -> None:
    """Print a row for each file, then why, where that is asked for."""
    run = [] if all(row.dry_run for row in rows) else ["RUN"]
    header = ["STATE", "FILE", "TYPE", "TARGET", "CONFIDENCE", *run, "REASON"]
    table(header, (_row(row) for row in rows))
    for row in rows if explain else ():
        if row.decision:
            click.echo(f"\n{row.file}: {row.decision['target_pipeline']}")
            for rule in row.decision["rules"]:
                click.echo(f"  {state(rule['outcome'])}: {rule['name']} ({rule['priority']})")
                click.echo(f"      {rule['condition']}")
                click.echo(f"      {rule['why']}")


def _row(routed: Routed) -> list[str]:
    view, decision = routed.view, routed.decision
    confidence = decision.get("confidence")
    error = view.error
    return [
        state(view.status),
        routed.file,
        str(_type(decision) or ""),
        str(decision.get("target_pipeline", "")),
        "" if confidence is None else f"{confidence:.2f}",
        *([] if routed.dry_run else [view.run_id]),
        # Last, for an error is long.
        str(decision.get("reason", "")) if error is None else f"{error.code}: {error.message}",
    ]


def _type(decision: Mapping[str, Any]) -> Any:
    return decision.get("names", {}).get(_TYPE)
