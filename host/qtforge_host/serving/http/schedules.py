"""Endpoints of schedules."""

from __future__ import annotations

from qtforge_host.api.schedules import ScheduleClient, times_of_cron
from qtforge_host.serving.http.requests import Answer, Call, invalid_request, wait_s
from qtforge_sdk.errors import ConfigError

__all__ = [
    "backfill_schedule",
    "list_schedules",
    "pause_schedule",
    "planned_times",
    "resume_schedule",
    "show_schedule",
    "trigger_schedule",
]


async def list_schedules(call: Call) -> Answer:
    """List schedules."""
    return Answer(await _schedules(call).list())


async def show_schedule(call: Call) -> Answer:
    """Show a schedule."""
    return Answer(await _schedules(call).show(call.path["name"]))


async def pause_schedule(call: Call) -> Answer:
    """Pause a schedule."""
    given = call.body
    return Answer(await _schedules(call).pause(call.path["name"], reason=given.reason))


async def resume_schedule(call: Call) -> Answer:
    """Resume a schedule."""
    given = call.body
    return Answer(await _schedules(call).resume(call.path["name"], catch_up=given.catch_up))


async def trigger_schedule(call: Call) -> Answer:
    """Queue a run of a schedule now."""
    given = call.body
    return Answer(await _schedules(call).trigger(call.path["name"], force=given.force), status=202)


async def backfill_schedule(call: Call) -> Answer:
    """Queue the runs of planned times of the past."""
    given = call.body
    found = await _schedules(call).backfill(
        call.path["name"],
        since=given.since,
        until=given.until,
        dry_run=given.dry_run,
        again=given.again,
        jobs=given.jobs,
        timeout=wait_s(call),
    )
    return Answer(found, status=200 if given.dry_run else 202)


async def planned_times(call: Call) -> Answer:
    """Show the next times of a cron expression.

    Raises:
        RefusedError: The expression or the time zone is not one.
    """
    asked = call.query
    try:
        return Answer(times_of_cron(asked.cron, asked.timezone, asked.count))
    except ConfigError as error:  # of what the client has sent, and of no file
        raise invalid_request(f"query: {error.why}; {error.fix}") from error


def _schedules(call: Call) -> ScheduleClient:
    return call.service.client.schedules
