"""The schedules, and one of them with its planned times."""

from __future__ import annotations

import asyncio
import datetime
import shlex
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from qtforge_host.api.documents import PlannedRow, RunRow, ScheduleRow
from qtforge_host.api.schedules import cron_in_words
from qtforge_host.serving.web.actions import Action, Check
from qtforge_host.serving.web.visit import Done, Notice, Page, View, Visit
from qtforge_host.serving.web.words import length_text

__all__ = ["PAGES", "ScheduleLine", "SchedulePage", "SchedulesPage"]

_MOST: Final = 500  # in one list
_RUNS: Final = 30  # of which the status is looked up: more than the planned times that are shown
_MINUTE_S: Final = 60
_LOOKED: Final = 20  # lists of runs that are asked for at once
# The colour of what became of a planned time; that of a run is the run's.
_OUTCOMES: Final = {"skipped": "skipped", "missed": "warning", "queued": "queued"}


class ScheduleLine(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as lists show it.

    Attributes:
        name: Its name.
        workflow: The workflow that it starts.
        when: When it starts runs, in words.
        timezone: Whose clock counts.
        status: For the colour of its state.
        state: Its state, in a word.
        paused_at: Since when it is paused; None where it is not.
        paused_why: Why it is paused, or "".
        next: Its next planned time; None for none.
        last: Its latest run; None for none.
        actions: What can be done with it.
    """

    name: str
    workflow: str
    when: str
    timezone: str
    status: str
    state: str
    paused_at: datetime.datetime | None
    paused_why: str
    next: datetime.datetime | None
    last: RunRow | None
    actions: Sequence[Action]


class SchedulesPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the list shows.

    Attributes:
        rows: The schedules.
        left_out: How many more there are.
    """

    rows: Sequence[ScheduleLine]
    left_out: int


class PlannedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A planned time that has passed.

    Attributes:
        at: The time, in the schedule's time zone.
        status: For its colour.
        text: What became of it, in a word.
        run_id: Its run, or "".
        known: Whether the run is there, and its status is known.
        why: Why there is none, or "".
    """

    at: datetime.datetime
    status: str
    text: str
    run_id: str
    known: bool
    why: str


class SchedulePage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a schedule shows.

    Attributes:
        schedule: The schedule.
        line: The same, in words.
        past: Its last planned times, the latest first.
        coming: Its next ones, in its time zone.
        rules: What else it is told to do, each with its name.
    """

    schedule: ScheduleRow
    line: ScheduleLine
    past: Sequence[PlannedLine]
    coming: Sequence[datetime.datetime]
    rules: Sequence[tuple[str, str]]


class PauseForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A form with a reason."""

    reason: str = ""


class ResumeForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A form that tells whether times that have passed are made up."""

    catch_up: bool = False


class TriggerForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A form that tells whether an unfinished run is no reason to wait."""

    force: bool = False


async def show_schedules(visit: Visit) -> View:
    """Show all schedules."""
    visit.query(_NoQuery)
    schedules = (await visit.client.schedules.list()).schedules
    shown = schedules[:_MOST]
    gate = asyncio.Semaphore(_LOOKED)

    async def last(name: str) -> RunRow | None:
        async with gate:
            runs = (await visit.client.list(schedule=name, limit=1)).runs
        return runs[0] if runs else None

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(last(each.name)) for each in shown]
    may = visit.person.may("operate")
    page = SchedulesPage(
        rows=[
            _line(each, found.result(), _actions(each)[:1] if may else ())
            for each, found in zip(shown, asked, strict=True)
        ],
        left_out=len(schedules) - len(shown),
    )
    return View(
        title="Schedules",
        section="schedules",
        template="schedules.html",
        data=page,
        fragment="_schedules.html",
    )


async def show_schedule(visit: Visit) -> View:
    """Show one schedule with its planned times."""
    visit.query(_NoQuery)
    name = visit.path["name"]
    found = await visit.client.schedules.show(name)
    schedule = found.schedule
    runs = (await visit.client.list(schedule=name, limit=_RUNS)).runs
    statuses = {each.run_id: each.status for each in runs}
    zone = ZoneInfo(schedule.timezone)
    page = SchedulePage(
        schedule=schedule,
        line=_line(
            schedule,
            runs[0] if runs else None,
            _actions(schedule) if visit.person.may("operate") else (),
        ),
        past=[_planned(each, statuses, zone) for each in found.past],
        coming=[each.astimezone(zone) for each in found.coming],
        rules=_rules(schedule),
    )
    return View(
        title=name,
        section="schedules",
        template="schedule.html",
        data=page,
        fragment="_schedule.html",
    )


class _NoQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


async def _trigger(visit: Visit) -> Done:
    form = visit.form(TriggerForm)
    found = await visit.client.schedules.trigger(visit.path["name"], force=form.force)
    run_id = found.runs[0].run_id or ""
    return _done(visit, "A run was queued; it begins as soon as there is a place.", run_id=run_id)


async def _pause(visit: Visit) -> Done:
    form = visit.form(PauseForm)
    await visit.client.schedules.pause(visit.path["name"], reason=form.reason)
    return _done(visit, "The schedule is paused: it starts nothing until it is resumed.")


async def _resume(visit: Visit) -> Done:
    form = visit.form(ResumeForm)
    found = await visit.client.schedules.resume(visit.path["name"], catch_up=form.catch_up)
    following = found.schedule.next
    detail = "" if following is None else f"Its next time is {following:%Y-%m-%d %H:%M %Z}."
    return _done(visit, "The schedule is resumed.", detail)


def _done(visit: Visit, text: str, detail: str = "", *, run_id: str = "") -> Done:
    notice = Notice(
        text=text,
        detail=detail,
        link=f"/runs/{quote(run_id, safe='')}" if run_id else "",
        link_text="See the run",
    )
    return Done(notice=notice, to=f"/schedules/{quote(visit.path['name'], safe='')}")


def _line(schedule: ScheduleRow, last: RunRow | None, actions: Sequence[Action]) -> ScheduleLine:
    if schedule.paused_at is not None:
        status, state = "paused", "paused"
    elif not schedule.enabled:
        status, state = "skipped", "switched off"
    elif schedule.next is None:
        status, state = "skipped", "over"
    else:
        status, state = "succeeded", "active"
    return ScheduleLine(
        name=schedule.name,
        workflow=schedule.workflow,
        when=_when(schedule),
        timezone=schedule.timezone,
        status=status,
        state=state,
        paused_at=schedule.paused_at,
        paused_why=schedule.paused_why,
        next=schedule.next,
        last=last,
        actions=actions,
    )


def _when(schedule: ScheduleRow) -> str:
    if schedule.every_s is not None:
        every_s = schedule.every_s
        return f"Every {every_s:g} s" if every_s < _MINUTE_S else f"Every {length_text(every_s)}"
    return "; ".join(cron_in_words(each) for each in schedule.cron.split("; "))


def _actions(schedule: ScheduleRow) -> list[Action]:
    """Return what can be done with a schedule, the most likely first."""
    name = schedule.name
    found = [
        Action(
            name="trigger",
            label="Start now",
            icon="play",
            tone="" if schedule.paused_at is not None else "primary",
            title=f"Start {name} now?",
            text=f"One run of {schedule.workflow} is queued at once, with the input that the"
            " schedule gives. Its planned times stay as they are.",
            command=_command("trigger", name),
            check=None
            if schedule.overlap == "allow"
            else Check(
                name="force", label="Also while a run of it is unfinished", flag="--force"
            ),
        )
    ]  # fmt: skip
    if schedule.paused_at is not None:
        found.append(
            Action(
                name="resume",
                label="Resume",
                icon="again",
                tone="primary",
                title=f"Resume {name}?",
                text="It starts runs at its planned times again.",
                command=_command("resume", name),
                check=Check(
                    name="catch_up", label="Make up what it has missed meanwhile",
                    flag="--catch-up",
                ),
            )
        )  # fmt: skip
    else:
        found.append(
            Action(
                name="pause",
                label="Pause",
                icon="pause",
                title=f"Pause {name}?",
                text="It starts nothing until it is resumed. Runs that it has started go on.",
                command=_command("pause", name),
                has_reason=True,
            )
        )
    return found


def _command(what: str, name: str) -> str:
    return shlex.join(["qtforge-host", "schedules", what, name])


def _planned(each: PlannedRow, statuses: Mapping[str, str], zone: datetime.tzinfo) -> PlannedLine:
    run_id = each.run_id or ""
    status = statuses.get(run_id, "") or _OUTCOMES.get(each.outcome, "pending")
    text = {"started": "on time", "triggered": "started by hand", "there": "was there"}
    return PlannedLine(
        at=each.at.astimezone(zone),
        status=status,
        text=text.get(each.outcome, each.outcome),
        run_id=run_id,
        known=run_id in statuses,
        why=each.why,
    )


def _rules(schedule: ScheduleRow) -> list[tuple[str, str]]:
    """Return what a schedule does besides starting at its times."""
    overlap = {
        "skip": "the next time is left out",
        "queue": "the next one waits for its end",
        "cancel": "it is cancelled for the next one",
        "allow": "the next one starts beside it",
    }
    missed = {"none": "are left out", "last": "only the last is made up", "all": "are made up"}
    pairs = [
        ("While a run is unfinished", overlap.get(schedule.overlap, schedule.overlap)),
        ("Missed times", missed.get(schedule.catch_up, schedule.catch_up)),
    ]
    if schedule.jitter_s:
        pairs.append(("Spread", f"up to {length_text(schedule.jitter_s)} later"))
    if schedule.pause_after is not None:
        pairs.append(("Pauses", f"after {schedule.pause_after} failures in a row"))
    if schedule.pool != "default":
        pairs.append(("Pool", schedule.pool))
    for name, at in (("Begins", schedule.start), ("Ends", schedule.end)):
        if at is not None:
            pairs.append((name, f"{at:%Y-%m-%d %H:%M %Z}"))
    return pairs


PAGES: Final = (
    Page(path="/schedules", show=show_schedules),
    Page(path="/schedules/{name}", show=show_schedule),
    Page(path="/schedules/{name}/trigger", scope="operate", act=_trigger),
    Page(path="/schedules/{name}/pause", scope="operate", act=_pause),
    Page(path="/schedules/{name}/resume", scope="operate", act=_resume),
)
