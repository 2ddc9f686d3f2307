"""A run's outcome on standard output: a few lines for people, or one JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from qtforge_host.cli.output import document, print_json, state
from qtforge_host.cli.runs.state_machine import machine_document, machine_lines
from qtforge_host.runs.accepted_events import Offer
from qtforge_host.runs.state import RunState
from qtforge_sdk import Document, ErrorInfo, StepResult
from qtforge_sdk.conversion import to_plain

__all__ = ["document_name", "error_document", "print_run", "run_document", "run_lines"]

_COMPENSATIONS: Final = {"succeeded": "compensated", "running": "compensating"}


def document_name(view: RunState) -> str:
    """Return the name of the document that a run is about, or ""."""
    given = view.input.get("document") if isinstance(view.input, Mapping) else None
    if isinstance(given, Document):
        return given.name
    return str(given.get("name", "")) if isinstance(given, Mapping) else ""


def print_run(view: RunState, *, as_json: bool, offers: Sequence[Offer] = ()) -> None:
    """Print how a run ended, or what it waits for."""
    if as_json:
        print_json(run_document(view, offers), one_line=True)
        return
    for line in run_lines(view, offers=offers):
        click.echo(line)


def run_lines(
    view: RunState, *, status: str | None = None, offers: Sequence[Offer] = ()
) -> list[str]:
    """Return a run for people: how it stands, its stages, its error.

    Args:
        view: The run.
        status: What to call its status; None for the view's own.
        offers: The events that it would take now.
    """
    took = f"{view.duration_s:.2f} s" if view.duration_s is not None else ""
    about = "  ".join(filter(None, (view.workflow, document_name(view), took)))
    degraded = ", degraded" if view.degraded else ""
    lines = [f"{state(status or view.status)}{degraded}  {about}  run {view.run_id}"]
    # What keeps its state may have done thousands of steps; its history has them.
    steps = view.steps if view.checkpoint is None else {}
    names = max((len(name) for name in steps), default=0)
    states = max((len(step.status) for step in steps.values()), default=0)
    lines += [f"  {_step(step, states, names)}" for step in steps.values()]
    if view.finished_at is None:
        lines += machine_lines(view, offers)
    for undone in view.compensations.values():
        word = _COMPENSATIONS.get(undone.status, undone.status)
        lines.append(f"  {state(word)} {undone.name}{_reason(undone.error)}")
    if view.error is not None:
        lines += _error_lines(view.error)
    if view.summary:
        lines.append(f"  {view.summary}")
    return lines


def run_document(view: RunState, offers: Sequence[Offer] = ()) -> dict[str, Any]:
    """Return a run as ``run --json`` prints it (the design's shape, and what came later)."""
    return document(
        run_id=view.run_id,
        workflow=view.workflow,
        kind=view.kind,
        document=document_name(view) or None,
        status=view.status,
        started_at=view.started_at,
        finished_at=view.finished_at,
        duration_s=view.duration_s,
        degraded=view.degraded,
        result=_plain(view.result),
        stages=[_stage(step) for step in view.steps.values()],
        compensations=[_stage(step) for step in view.compensations.values()],
        error=error_document(view.error),
        machine=machine_document(view, offers),
    )


def _plain(value: Any) -> Any:
    try:
        return to_plain(value)
    except TypeError:  # something that has no plain form; its text still tells what it was
        return str(value)


def _stage(step: StepResult) -> dict[str, Any]:
    return {
        "name": step.name,
        "status": step.status,
        "attempts": step.attempts,
        "duration_s": round(step.duration_s, 6),
        "plugin": step.plugin,
        "plugin_version": step.plugin_version,
        "warning": step.warning,
        "error": error_document(step.error),
    }


def error_document(error: ErrorInfo | None) -> dict[str, Any] | None:
    """Return an error as JSON documents have it."""
    if error is None:
        return None
    return {
        "code": error.code,
        "message": error.message,
        "stage": error.stage,
        "plugin": error.plugin,
        "plugin_version": error.plugin_version,
        "fix": error.fix,
    }


def _step(step: StepResult, states: int, names: int) -> str:
    padding = " " * (states - len(step.status))
    text = f"{state(step.status)}{padding}  {step.name:<{names}}"
    if step.status == "skipped":
        return f"{text}  {step.warning}"
    if step.status == "running":
        again = f"attempt {step.attempts}" if step.attempts > 1 else ""
        return f"{text}  {again}{_reason(step.error)}".rstrip()
    who = f"  {step.plugin} {step.plugin_version}" if step.plugin else ""
    tries = f"  {step.attempts} attempts" if step.attempts > 1 else ""
    reason = _reason(step.error) if step.status == "warning" else ""
    return f"{text}  {step.duration_s:7.3f} s{who}{tries}{reason}"


def _reason(error: ErrorInfo | None) -> str:
    return f": {error.code}: {error.message}" if error else ""


def _error_lines(error: ErrorInfo) -> list[str]:
    where = f" in {error.stage}" if error.stage else ""
    who = f" ({error.plugin} {error.plugin_version})" if error.plugin else ""
    lines = [f"  error[{error.code}]{where}{who}: {error.message}"]
    return [*lines, f"  fix: {error.fix}"] if error.fix else lines
