"""What can be done with a run: each action with its command, and with words for what it did."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.serving.web.actions import Action
from qtforge_host.serving.web.steps import Step
from qtforge_host.serving.web.visit import Answered, Done, Notice, Page, Visit

__all__ = ["PAGES", "actions_of"]

_MOST_STEPS: Final = 200  # that can be chosen
_WAIT_S: Final = 5.0
_RETRIABLE: Final = frozenset({"failed", "compensated", "cancelled"})
_RESUMABLE: Final = frozenset({"paused", "blocked", "interrupted"})


class ReasonForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A form with a reason."""

    reason: str = ""


class FromForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A form with the step to begin with, and a reason."""

    from_step: str | None = None
    reason: str = ""


class EmptyForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A form without fields."""


def actions_of(run: RunSnapshot, steps: Sequence[Step]) -> list[Action]:
    """Return what can be done with a run as it is now, the most likely first."""
    run_id, status = run.run_id, run.status
    names = [each.name for each in steps if each.kind == "step" and not each.group][:_MOST_STEPS]
    found = []
    if status in _RETRIABLE:
        failed = run.error.stage if run.error is not None and run.error.stage else ""
        found.append(
            Action(
                name="retry",
                label="Retry",
                icon="again",
                tone="primary",
                title="Retry this run?",
                text="What failed is done again, and what depends on it. What succeeded stays.",
                command=_command("retry", run_id),
                steps=names,
                first_choice=f"Where it failed{f' ({failed})' if failed else ''}",
            )
        )
    if status in _RESUMABLE:
        found.append(
            Action(
                name="resume",
                label="Resume",
                icon="play",
                tone="primary",
                title="Resume this run?",
                text="It continues where it stands. What it has done is not done again.",
                command=_command("resume", run_id),
            )
        )
    if run.ended:
        found.append(
            Action(
                name="rerun",
                label="Run again",
                icon="play",
                title="Start a new run with this input?",
                text="The workflow as it is now runs from its beginning. This run stays as it is.",
                command=_command("rerun", run_id),
            )
        )
    elif status not in ("paused", "queued"):
        found.append(
            Action(
                name="pause",
                label="Pause",
                icon="pause",
                title="Pause this run?",
                text="The step in progress ends; the next one begins when the run is resumed.",
                command=_command("pause", run_id),
                has_reason=True,
            )
        )
    if names and run.state.checkpoint is None and run.ended:
        found.append(
            Action(
                name="fork",
                label="Fork",
                icon="flow",
                title="Fork this run?",
                text="A new run keeps the results before a step, and does the rest."
                " This run stays as it is.",
                command=_command("fork", run_id),
                steps=names,
                first_choice="From the beginning, without results",
            )
        )
    if not run.ended:
        found.append(
            Action(
                name="cancel",
                label="Cancel",
                confirm="Cancel run",
                icon="fail",
                tone="bad",
                title="Cancel this run?",
                text="It ends. What it has done is undone where its workflow says so,"
                " and the runs that it has started are cancelled with it.",
                command=_command("cancel", run_id),
                has_reason=True,
            )
        )
    return found


def _command(what: str, run_id: str) -> str:
    return shlex.join(["qtforge-host", "runs", what, run_id])


async def _cancel(visit: Visit) -> Done:
    form = visit.form(ReasonForm)
    run = await visit.client.cancel(visit.path["run_id"], reason=form.reason, timeout=_WAIT_S)
    text = "The run was cancelled." if run.ended else "The run is asked to end; it still executes."
    return _done(visit, text)


async def _pause(visit: Visit) -> Done:
    form = visit.form(ReasonForm)
    run = await visit.client.pause(visit.path["run_id"], reason=form.reason, timeout=_WAIT_S)
    if run.ended:
        return _done(visit, f"The run has ended meanwhile: {run.status}.")
    text = (
        "The run is paused." if run.stands_still else "The run pauses after the step in progress."
    )
    return _done(visit, text)


async def _resume(visit: Visit) -> Done:
    visit.form(EmptyForm)
    await visit.client.resume(visit.path["run_id"], timeout=0)
    return _done(visit, "The run continues.")


async def _retry(visit: Visit) -> Done:
    form = visit.form(FromForm)
    again = await visit.client.retry(
        visit.path["run_id"], from_step=form.from_step, reason=form.reason
    )
    steps = ", ".join(again)
    return _done(visit, "The run is retried.", f"Done again: {steps}." if steps else "")


async def _rerun(visit: Visit) -> Done:
    visit.form(EmptyForm)
    return _started(await visit.client.rerun(visit.path["run_id"]), "A new run was started.")


async def _fork(visit: Visit) -> Done:
    form = visit.form(FromForm)
    new_id = await visit.client.fork(visit.path["run_id"], from_step=form.from_step)
    return _started(new_id, "The run was forked: this is the new one.")


def _done(visit: Visit, text: str, detail: str = "") -> Done:
    run_id = visit.path["run_id"]
    return Done(notice=Notice(text=text, detail=detail), to=_path(run_id))


def _started(run_id: str, text: str) -> Done:
    return Done(notice=Notice(text=text), to=_path(run_id))


def _path(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


_HANDLERS: Final[tuple[tuple[str, Callable[[Visit], Awaitable[Answered]]], ...]] = (
    ("cancel", _cancel), ("pause", _pause), ("resume", _resume), ("retry", _retry),
    ("rerun", _rerun), ("fork", _fork),
)  # fmt: skip
PAGES: Final = tuple(
    Page(path=f"/runs/{{run_id}}/{name}", scope="operate", act=act) for name, act in _HANDLERS
)
