"""Endpoints of runs."""

from __future__ import annotations

import datetime
from typing import Final

from qtforge_host.api.bulk import Selection
from qtforge_host.api.client import RunClient
from qtforge_host.api.documents import Imported, Replays
from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.api.store import RunFilters
from qtforge_host.api.tags import tags_of
from qtforge_host.runs.versions import VersionPolicy
from qtforge_host.serving.http.requests import ARCHIVE, Answer, Call, invalid_request, wait_s
from qtforge_host.serving.http.schemas import GRAPH_TYPES
from qtforge_host.serving.http.sse import LAST_ID, EventStream
from qtforge_sdk.durations import seconds

__all__ = [
    "KEY",
    "amend_run",
    "cancel_run",
    "cancel_runs",
    "count_runs",
    "draw_run",
    "export_run",
    "follow_logs",
    "fork_run",
    "import_run",
    "list_inbox",
    "list_logs",
    "list_records",
    "list_runs",
    "pause_run",
    "pause_runs",
    "plan_run",
    "prune_runs",
    "replay_archive",
    "replay_runs",
    "rerun_run",
    "resume_run",
    "resume_runs",
    "retry_run",
    "retry_runs",
    "send_event",
    "show_run",
    "start_run",
    "tag_run",
]

KEY: Final = "Idempotency-Key"
_DIGITS: Final = 17  # of a position in a log, fewer than 2 ** 53 has


async def start_run(call: Call) -> Answer:
    """Start a workflow; the same key starts it once."""
    given = call.body
    key, queue = call.headers.get(KEY.lower()), given.queue
    if queue is None:
        run_id = await _client(call).start(given.workflow, given.input, key=key, tags=given.tags)
    else:
        run_id = await _client(call).enqueue(
            given.workflow,
            given.input,
            pool=queue.pool,
            priority=queue.priority,
            not_before=queue.not_before,
            key=key,
            tags=given.tags,
        )
    return await _awaited(call, run_id)


async def list_runs(call: Call) -> Answer:
    """List runs."""
    query = call.query
    return Answer(
        await _client(call).list(
            **_filters(call), workflow_version=query.workflow_version, limit=query.limit
        )
    )


async def count_runs(call: Call) -> Answer:
    """Count runs."""
    return Answer(await _client(call).count(**_filters(call)))


def _filters(call: Call) -> RunFilters:
    query = call.query
    return RunFilters(
        statuses=query.status,
        workflow=query.workflow,
        pool=query.pool,
        needs=query.needs,
        waiting_for=query.waiting_for,
        tags=tags_of(query.tag),
        schedule=query.schedule,
        error_code=query.error_code,
        plugin=query.plugin,
        parent=query.parent,
        search=query.search,
        since=query.since,
        until=query.until,
    )


async def list_inbox(call: Call) -> Answer:
    """List the runs that wait for a person."""
    query = call.query
    return Answer(
        await _client(call).inbox(workflow=query.workflow, limit=query.limit, after=query.after)
    )


async def show_run(call: Call) -> Answer:
    """Show a run."""
    return Answer((await _client(call).show(_run_id(call))).document())


async def draw_run(call: Call) -> Answer:
    """Draw a run's workflow with the run's state and path."""
    language = call.query.format
    text = await _client(call).draw(_run_id(call), language)
    return Answer(text, media_type=GRAPH_TYPES[language])


async def list_records(call: Call) -> Answer:
    """Show a run's records."""
    query = call.query
    return Answer(await _client(call).records(_run_id(call), after=query.after, limit=query.limit))


async def list_logs(call: Call) -> Answer:
    """Show what a run has logged."""
    query = call.query
    return Answer(
        await _client(call).logs(
            _run_id(call), after=query.after, step=query.step, level=query.level, limit=query.limit
        )
    )


async def follow_logs(call: Call) -> EventStream:
    """Follow what a run logs."""
    query, last = call.query, call.headers.get(LAST_ID.lower(), "")
    after = int(last) if last.isascii() and last.isdigit() and len(last) < _DIGITS else query.after
    run_id, client = _run_id(call), _client(call)
    await client.logs(run_id, limit=1)  # whether there is such a run
    rows = client.follow_logs(run_id, after=after, step=query.step, level=query.level)
    return EventStream(call.service.streams.open_log(rows, str(after)))


async def send_event(call: Call) -> Answer:
    """Send an event, and wait until the run has handled it."""
    event = call.body
    outcome = await _client(call).send(
        _run_id(call), event.name, event.data, event_id=event.event_id, timeout=wait_s(call)
    )
    return Answer(outcome.document(), 200 if outcome.received else 202)


async def cancel_run(call: Call) -> Answer:
    """Cancel a run."""
    run = await _client(call).cancel(_run_id(call), reason=call.body.reason, timeout=wait_s(call))
    return _shown(run, done=run.ended)


async def pause_run(call: Call) -> Answer:
    """Pause a run before its next step."""
    run = await _client(call).pause(_run_id(call), reason=call.body.reason, timeout=wait_s(call))
    return _shown(run, done=run.stands_still)


async def cancel_runs(call: Call) -> Answer:
    """Cancel all runs that have something in common."""
    given = call.body
    return Answer(
        await _client(call).cancel_all(_selection(call), reason=given.reason, dry_run=given.dry_run)
    )


async def pause_runs(call: Call) -> Answer:
    """Pause all runs that have something in common."""
    given = call.body
    return Answer(
        await _client(call).pause_all(_selection(call), reason=given.reason, dry_run=given.dry_run)
    )


def _selection(call: Call) -> Selection:
    given = call.body
    return Selection(
        workflow=given.workflow,
        statuses=frozenset(given.status),
        tags=given.tags,
        schedule=given.schedule,
        error_code=given.error_code,
        plugin=given.plugin,
    )


async def resume_run(call: Call) -> Answer:
    """Resume a run."""
    run = await _client(call).resume(_run_id(call), versions=_versions(call), timeout=wait_s(call))
    return _shown(run, done=run.rests)


async def resume_runs(call: Call) -> Answer:
    """Resume all runs that have something in common, or all that have something to do."""
    selection = _selection(call)
    return Answer(
        await _client(call).resume_all(
            selection if selection.is_given else None,
            versions=_versions(call),
            dry_run=call.body.dry_run,
        )
    )


async def retry_runs(call: Call) -> Answer:
    """Retry all runs that did not succeed and have something in common."""
    given = call.body
    return Answer(
        await _client(call).retry_all(
            _selection(call),
            from_step=given.from_step,
            patch=given.patch,
            reason=given.reason,
            versions=_versions(call),
            dry_run=given.dry_run,
        )
    )


async def retry_run(call: Call) -> Answer:
    """Retry a run that did not succeed."""
    given, run_id = call.body, _run_id(call)
    await _client(call).retry(
        run_id,
        from_step=given.from_step,
        patch=given.patch,
        reason=given.reason,
        versions=_versions(call),
    )
    return await _awaited(call, run_id)


async def fork_run(call: Call) -> Answer:
    """Make a new run of another, and execute it."""
    given = call.body
    new_id = await _client(call).fork(
        _run_id(call), from_step=given.from_step, given=given.input, versions=_versions(call)
    )
    return await _awaited(call, new_id)


async def rerun_run(call: Call) -> Answer:
    """Start a new run with the input of another."""
    given = call.body
    new_id = await _client(call).rerun(_run_id(call), given.input, tags=given.tags)
    return await _awaited(call, new_id)


async def tag_run(call: Call) -> Answer:
    """Change the tags of a run."""
    return Answer(await _client(call).tag(_run_id(call), call.body.tags))


async def plan_run(call: Call) -> Answer:
    """Tell what the start of a run would do."""
    given = call.body
    return Answer(await _client(call).plan(given.workflow, given.input, tags=given.tags))


async def amend_run(call: Call) -> Answer:
    """Change a run's definition."""
    given = call.body
    amended = await _client(call).amend(
        _run_id(call), given.patch, reason=given.reason, timeout=wait_s(call)
    )
    return Answer(amended, 200 if amended.amended else 202)


async def prune_runs(call: Call) -> Answer:
    """Delete the runs that ended long ago, or have something in common."""
    given, selection = call.body, _selection(call)
    selected = selection if selection.is_given else None
    if given.policy and given.older_than is not None:
        raise invalid_request("body: give policy, whose ages are in [retention], or older_than")
    if given.policy:
        return Answer(await _client(call).apply_retention(selected, dry_run=given.dry_run))
    if given.older_than is None and selected is None:
        keys = "policy, older_than, workflow, status, tags, schedule, error_code or plugin"
        raise invalid_request(f"body: give {keys}")
    before: datetime.datetime | None = None
    if given.older_than is not None:
        try:
            age = datetime.timedelta(seconds=seconds(given.older_than))
            before = datetime.datetime.now(datetime.UTC) - age
        except (ValueError, OverflowError) as error:
            raise invalid_request(f"body: older_than: {error}") from error
    return Answer(await _client(call).prune(before, selected, dry_run=given.dry_run))


async def export_run(call: Call) -> Answer:
    """Give a run as an archive."""
    run_id = _run_id(call)
    archive = await _client(call).export(run_id)
    # An id that was not made here may hold characters that a header may not.
    name = run_id if run_id.isascii() and run_id.replace("-", "").isalnum() else "run"
    headers = {"Content-Disposition": f'attachment; filename="{name}.qtforge-run"'}
    return Answer(archive, headers=headers, media_type=ARCHIVE)


async def import_run(call: Call) -> Answer:
    """Add a run from an archive."""
    return Answer(Imported(run_id=await _client(call).import_(call.body)))


async def replay_runs(call: Call) -> Answer:
    """Tell what the installed code does with runs."""
    given = call.body
    return Answer(
        await _client(call).host.replay_page(
            given.workflow, unfinished=given.unfinished, limit=given.limit, after=given.after
        )
    )


async def replay_archive(call: Call) -> Answer:
    """Tell what the installed code does with an exported run."""
    return Answer(Replays(runs=[await _client(call).host.replay_export(call.body)]))


def _client(call: Call) -> RunClient:
    return call.service.client


def _run_id(call: Call) -> str:
    return call.path["run_id"]


def _versions(call: Call) -> VersionPolicy:
    return "any" if call.body.accept_versions else "same-major"


async def _awaited(call: Call, run_id: str) -> Answer:
    """Wait as long as the client wants for a run to end or rest, and answer with it."""
    run = await _client(call).wait(run_id, wait_s(call))
    return _shown(run, done=run.rests)


def _shown(run: RunSnapshot, *, done: bool) -> Answer:
    """Answer with a run: 200 when the request is done, 202 while it is pending."""
    headers = {"Location": f"/v1/runs/{run.run_id}"}
    return Answer(run.document(), 200 if done else 202, headers)
