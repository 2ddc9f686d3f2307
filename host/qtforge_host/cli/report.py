"""Print a run: a few lines for people, or one JSON document."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from qtforge_host.api.snapshots import RunSnapshot, document_name, run_outcome
from qtforge_host.cli.output import print_json, state
from qtforge_host.cli.runs.state_machine import machine_lines
from qtforge_host.cli.terminal import echo
from qtforge_host.runs.accepted_events import Offer
from qtforge_host.runs.state import RunState
from qtforge_sdk import ErrorInfo, StepResult

__all__ = ["awaited", "print_run", "print_snapshot", "run_lines"]

_WARNINGS: Final = 5  # shown of one step
_COMPENSATIONS: Final = {"succeeded": "compensated", "running": "compensating"}


def print_run(run: RunState, *, as_json: bool, offers: Sequence[Offer] = ()) -> None:
    """Print a run as it is now."""
    if as_json:
        print_json(run_outcome(run, offers), one_line=True)
        return
    for line in run_lines(run, offers=offers):
        echo(line)


def print_snapshot(run: RunSnapshot, *, as_json: bool) -> None:
    """Print a run that a command has changed."""
    if as_json:
        print_json(run.outcome(), one_line=True)
        return
    for line in run_lines(run.state, offers=run.offers, tags=run.tags, held_by=run.held_by):
        echo(line)


def run_lines(
    run: RunState,
    *,
    status: str | None = None,
    offers: Sequence[Offer] = (),
    tags: Mapping[str, str] | None = None,
    held_by: Sequence[str] = (),
) -> list[str]:
    """Return a run for people: its status, its stages, its error.

    Args:
        run: The run.
        status: The status to show; None for the run's own.
        offers: The events that it accepts now.
        tags: Its tags; None for those with which it was started.
        held_by: The runs that hold the places of its concurrency key, while it waits for one.
    """
    took = f"{run.duration_s:.2f} s" if run.duration_s is not None else ""
    about = "  ".join(filter(None, (run.workflow, document_name(run), took)))
    degraded = ", degraded" if run.degraded else ""
    lines = [f"{state(status or run.status)}{degraded}  {about}  run {run.run_id}"]
    if run.title and run.title != document_name(run):
        lines.append(f"  {run.title}")
    shown = run.tags if tags is None else tags
    if shown:
        lines.append(f"  tags: {', '.join(f'{name}={value}' for name, value in shown.items())}")
    if held_by:
        lines.append(f"  waits for a place, held by {', '.join(held_by)}")
    # A state machine may have done thousands of steps; its history has them.
    steps = run.steps if run.checkpoint is None else {}
    names = max((len(name) for name in steps), default=0)
    states = max((len(step.status) for step in steps.values()), default=0)
    reported: set[str] = set()
    for step in steps.values():
        lines.append(f"  {_step(step, states, names)}")
        lines += [f"    warning: {each}" for each in _new_warnings(step, reported)]
    if run.finished_at is None:
        lines += machine_lines(run, offers)
        lines += _awaited_lines(run)
    for undone in run.compensations.values():
        word = _COMPENSATIONS.get(undone.status, undone.status)
        lines.append(f"  {state(word)} {undone.name}{_reason(undone.error)}")
    if run.error is not None:
        lines += _error_lines(run.error)
    if run.summary:
        lines.append(f"  {run.summary}")
    return lines


def awaited(run: RunState) -> list[tuple[str, str]]:
    """Return the events that the code of a run waits for, with the command for each."""
    if run.checkpoint is not None or run.status != "waiting":
        return []
    return [
        (event, shlex.join(["qtforge-host", "send", run.run_id, event])) for event in run.accepts
    ]


def _awaited_lines(run: RunState) -> list[str]:
    found = awaited(run)
    width = max((len(event) for event, _ in found), default=0)
    return [f"  waits for {event:<{width}}  {command}" for event, command in found]


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


def _new_warnings(step: StepResult, reported: set[str]) -> list[str]:
    """Return the ``warnings`` of a step's answer, texts or objects with a ``message``.

    Args:
        step: The step.
        reported: The warnings of other steps, which are not repeated; the new ones are added.
    """
    given = step.data.get("warnings") if isinstance(step.data, Mapping) else None
    texts = [_warning(each) for each in given] if isinstance(given, list | tuple) else []
    new = [each for each in dict.fromkeys(texts) if each and each not in reported]
    reported.update(new)
    more = [f"and {len(new) - _WARNINGS:,} more; see --json"] if len(new) > _WARNINGS else []
    return new[:_WARNINGS] + more


def _warning(given: object) -> str:
    if not isinstance(given, Mapping):
        return given if isinstance(given, str) else ""
    count = given.get("count")
    times = f" ({count:,} times)" if isinstance(count, int) and count > 1 else ""
    return f"{given.get('code', '')}: {given.get('message', '')}{times}"


def _reason(error: ErrorInfo | None) -> str:
    return f": {error.code}: {error.message}" if error else ""


def _error_lines(error: ErrorInfo) -> list[str]:
    where = f" in {error.stage}" if error.stage else ""
    who = f" ({error.plugin} {error.plugin_version})" if error.plugin else ""
    lines = [f"  error[{error.code}]{where}{who}: {error.message}"]
    lines += [f"  at: {error.place}"] if error.place else []
    return [*lines, f"  fix: {error.fix}"] if error.fix else lines
