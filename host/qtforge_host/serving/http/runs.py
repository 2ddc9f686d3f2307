"""Endpoints of runs: start, list, show, ask."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from qtforge_host.runs.errors import RunEndedError
from qtforge_host.runs.serialization import normalize
from qtforge_host.runs.state import RunState
from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.asking import (
    BY,
    amend,
    cancel,
    pause,
    received,
    take_up,
    wait_s,
)
from qtforge_host.serving.http.requests import Answer, Call
from qtforge_host.serving.service import Service
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import Record
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import AmendmentRefusedError, WorkflowNotFoundError
from qtforge_sdk.journal import InboxMessage, RunQuery
from qtforge_sdk.journal_errors import RunExistsError
from qtforge_sdk.records import AmendmentRefused
from qtforge_sdk.run_status import RESTING

__all__ = [
    "KEY",
    "amend_run",
    "cancel_run",
    "inbox",
    "list_runs",
    "pause_run",
    "resume_run",
    "run_records",
    "send_event",
    "show_run",
    "start_run",
]

KEY: Final = "Idempotency-Key"
_KEY_CHARACTERS: Final = 255
_RESTS: Final = RESTING | {"waiting"}


async def start_run(call: Call) -> Answer:
    """Start a workflow; the same key starts it once."""
    service, asked = call.service, call.body
    workflow = _workflow(service, asked.workflow)
    run_id = _run_id_of(call.headers.get(KEY.lower()))
    try:
        run_id = await service.start(workflow, asked.input, run_id)
    except RunExistsError:
        if run_id is None:
            raise
        _check_same(workflow, asked.input, await service.durable.journal.records(run_id))
    await service.durable.supervisor.until_resting(run_id, wait_s(call))
    return await _shown(call, run_id)


async def list_runs(call: Call) -> Answer:
    """List runs."""
    asked = call.query
    query = RunQuery(
        statuses=frozenset(asked.status),
        workflow=asked.workflow,
        started_since=_utc(asked.since),
        started_until=_utc(asked.until),
        waiting_for=asked.waiting_for,
        limit=asked.limit,
    )
    found = await call.documents.runs(call.service.durable.journal, query)
    following = found[-1].started_at if len(found) == asked.limit else None
    rows = [call.documents.run_row(each) for each in found]
    return Answer(call.document(runs=rows, next=following))


async def inbox(call: Call) -> Answer:
    """List what waits for a person."""
    asked = call.query
    return Answer(
        await call.documents.inbox(call.service.durable, asked.workflow, asked.limit, asked.after)
    )


async def show_run(call: Call) -> Answer:
    """Show a run."""
    found = await call.documents.run(call.service.durable, call.path["run_id"])
    return Answer(found)


async def run_records(call: Call) -> Answer:
    """Show a run's records."""
    run_id, after, limit = call.path["run_id"], call.query.after, call.query.limit
    records = await call.service.durable.journal.records(run_id)
    page = [to_plain(record) for record in records[after : after + limit]]
    end = after + len(page)
    following = end if page and end < len(records) else None
    return Answer(call.document(run_id=run_id, records=page, next=following))


async def send_event(call: Call) -> Answer:
    """Send an event, and wait until the run has taken it in."""
    run_id, journal = call.path["run_id"], call.service.durable.journal
    history = _refuse_ended(run_id, await journal.tail(run_id))
    message = InboxMessage(
        message_id=call.body.event_id or uuid.uuid4().hex,
        kind="event",
        at=datetime.datetime.now(datetime.UTC),
        name=call.body.name,
        data=call.body.data,
        by=BY,
    )
    if history.checkpoint is not None and wait_s(call):
        kept = await call.service.durable.supervisor.send(run_id, message, timeout_s=wait_s(call))
        if kept is not None:
            return Answer(await call.documents.outcome(call.service.durable, message, kept))
    await journal.post(run_id, message)
    taken = await received(journal, run_id, message.message_id, wait_s(call))
    return Answer(
        call.document(
            run_id=run_id, event=message.name, event_id=message.message_id, received=taken
        ),
        200 if taken else 202,
    )


async def cancel_run(call: Call) -> Answer:
    """Cancel a run."""
    run_id = call.path["run_id"]
    _refuse_ended(run_id, await call.service.durable.journal.tail(run_id))
    await cancel(call.service, run_id, wait_s(call))
    return await _shown(call, run_id)


async def pause_run(call: Call) -> Answer:
    """Pause a run at its next step."""
    run_id = call.path["run_id"]
    _refuse_ended(run_id, await call.service.durable.journal.tail(run_id))
    await pause(call.service, run_id, wait_s(call))
    return await _shown(call, run_id)


async def resume_run(call: Call) -> Answer:
    """Take a run up that rests or was interrupted."""
    run_id, service = call.path["run_id"], call.service
    history = _refuse_ended(run_id, await service.durable.journal.tail(run_id))
    service.durable.engine.workflows.recorded(history)  # refused now rather than in the log
    await take_up(service, run_id)
    await service.durable.supervisor.until_resting(run_id, wait_s(call))
    return await _shown(call, run_id)


async def amend_run(call: Call) -> Answer:
    """Change a run's definition."""
    run_id, patch = call.path["run_id"], call.body.patch
    _refuse_ended(run_id, await call.service.durable.journal.tail(run_id))
    answer = await amend(call.service, run_id, patch, call.body.reason, wait_s(call))
    if isinstance(answer, AmendmentRefused):
        raise AmendmentRefusedError(run_id, answer.reason, "change what is still to come")
    made = answer is not None
    document = call.document(run_id=run_id, amended=made, patch=patch)
    return Answer(document, 200 if made else 202)


async def _shown(call: Call, run_id: str) -> Answer:
    """Answer with the run: 200 when it has ended or rests, 202 while it goes on."""
    found = await call.documents.run(call.service.durable, run_id)
    done = found["finished_at"] is not None or found["status"] in _RESTS
    return Answer(found, 200 if done else 202, {"Location": f"/v1/runs/{run_id}"})


def _workflow(service: Service, name: str) -> Workflow:
    # A name only: `Host.workflow` would read a file of that path.
    if name not in service.host.catalog.names():
        raise WorkflowNotFoundError(name, "GET /v1/workflows lists them")
    return service.host.workflow(name)


def _run_id_of(key: str | None) -> str | None:
    """Return the name of the run that a key starts: always the same."""
    if key is None:
        return None
    if not 0 < len(key) <= _KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
        raise RefusedError(
            400,
            "http.invalid_request",
            f"the {KEY} can't be used",
            f"it must be 1 to {_KEY_CHARACTERS} printable ASCII characters",
            "such as a UUID",
        )
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def _check_same(workflow: Workflow, given: Mapping[str, Any], records: Sequence[Record]) -> None:
    started = RunState.from_records(records[0].run_id, records).started
    if started is not None and started.workflow == workflow.definition.name:
        was = started.input if isinstance(started.input, Mapping) else {}
        plain = normalize(given)
        if all(key in was and was[key] == value for key, value in plain.items()):
            return
    raise RefusedError(
        422,
        "http.key_reused",
        f"the {KEY} has started another run",
        "the workflow or the input is not the same",
        "use a new key for each run",
    )


def _refuse_ended(run_id: str, records: Sequence[Record]) -> RunState:
    history = RunState.from_records(run_id, records)
    if history.finished is not None:
        raise RunEndedError(run_id, history.finished.status)
    return history


def _utc(moment: datetime.datetime | None) -> datetime.datetime | None:
    return None if moment is None else moment.astimezone(datetime.UTC)
