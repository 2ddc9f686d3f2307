"""What is asked of a run, whoever executes it: this process, another, or nobody."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from qtforge_host.runs.amendments import amend as amended
from qtforge_host.runs.amendments import amend_resting, amendment_outcome
from qtforge_host.runs.children import cancel_family
from qtforge_host.runs.state import RunState
from qtforge_host.serving.http.requests import Call
from qtforge_host.serving.service import Service
from qtforge_sdk import Record
from qtforge_sdk.journal import InboxMessage, Journal, MessageKind
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.records import AmendmentRefused, RunAmended, RunPaused

__all__ = ["BY", "amend", "cancel", "pause", "received", "take_up", "wait_s"]

BY: Final = "the HTTP interface"
_POLL_S: Final = 0.05
_STEP_S: Final = 0.005
_TAKE_UP_S: Final = 10.0

T = TypeVar("T")


def wait_s(call: Call) -> float:
    """Return how long the client wants to wait, in seconds."""
    return float(call.query.wait.removesuffix("s"))


async def received(journal: Journal, run_id: str, message_id: str, within_s: float) -> bool:
    """Wait until a run has taken a message in; return whether it did in time."""

    def settled(records: Sequence[Record]) -> bool | None:
        return message_id in RunState.from_records(run_id, records).handled or None

    return bool(await _settled(journal, run_id, within_s, settled))


async def cancel(service: Service, run_id: str, within_s: float) -> None:
    """End a run, and wait for its end."""
    journal = service.durable.journal
    await journal.post(run_id, _message("cancel"))
    if not await take_up(service, run_id):
        await _cancel_as_it_is(service, run_id)
    await _settled(journal, run_id, within_s, _ended)


async def take_up(service: Service, run_id: str) -> bool:
    """Take a run up, and return whether somebody executes it now, or did to its end.

    Then what was sent to it is dealt with.
    """
    supervisor, journal = service.durable.supervisor, service.durable.journal
    supervisor.wake(run_id)
    deadline = asyncio.get_running_loop().time() + _TAKE_UP_S
    await asyncio.sleep(0)  # in which the engine's task begins
    while supervisor.executes(run_id) and supervisor.active_runs.get(run_id) is None:
        if asyncio.get_running_loop().time() >= deadline:
            return True
        await asyncio.sleep(_STEP_S)
    if supervisor.executes(run_id) or _ended(await journal.records(run_id)):
        return True
    try:
        with supervisor.reserved(run_id):
            await journal.release(await journal.claim(run_id))
    except RunOwnedError:
        return True  # another process finds it in the run's inbox
    return False  # its plugins or its workflow are gone


async def _cancel_as_it_is(service: Service, run_id: str) -> None:
    """End a run whose plugins or workflow are gone, unless it has to be undone with them."""
    journal = service.durable.journal
    if _ended(await journal.records(run_id)):
        return
    with contextlib.suppress(RunOwnedError), service.durable.supervisor.reserved(run_id):
        at = datetime.datetime.now(datetime.UTC)
        await cancel_family(journal, run_id, by=BY, reason="", at=at)


async def pause(service: Service, run_id: str, within_s: float) -> None:
    """Let a run rest at its next step, and wait until it does."""
    journal = service.durable.journal
    message = _message("pause")
    try:
        with service.durable.supervisor.reserved(run_id):
            await _pause_here(journal, run_id, message)
    except RunOwnedError:
        await journal.post(run_id, message)
    await _settled(journal, run_id, within_s, lambda records: _rests(run_id, records))


async def _pause_here(journal: Journal, run_id: str, message: InboxMessage) -> None:
    ownership = await journal.claim(run_id)
    try:
        view = RunState.from_records(run_id, await journal.records(run_id))
        if view.finished_at is None and view.status != "paused":
            paused = RunPaused(run_id=run_id, at=message.at, by=BY, message_id=message.message_id)
            await journal.append(ownership, [paused])
    finally:
        await journal.release(ownership)


async def amend(
    service: Service,
    run_id: str,
    patch: Sequence[dict[str, Any]],
    reason: str,
    within_s: float,
) -> RunAmended | AmendmentRefused | None:
    """Change a run's definition, and return what became of it; None while that is open.

    Raises:
        AmendmentRefusedError: It can't be made.
        RunEndedError: The run has ended, perhaps before it came to the amendment.
        WorkflowError: The run's workflow is not here.
    """
    journal = service.durable.journal
    _checked(service, run_id, await journal.records(run_id), patch)  # a refusal is immediate
    message = _message("amend", {"patch": list(patch), "reason": reason})
    durable = service.durable
    with contextlib.suppress(RunOwnedError), durable.supervisor.reserved(run_id):
        workflows = durable.engine.workflows
        return await amend_resting(journal, workflows, run_id, patch, message, reason)
    await journal.post(run_id, message)
    return await _settled(
        journal,
        run_id,
        within_s,
        lambda records: amendment_outcome(run_id, records, message.message_id),
    )


def _checked(
    service: Service, run_id: str, records: Sequence[Record], patch: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    workflows = service.durable.engine.workflows
    workflow = workflows.recorded(RunState.from_records(run_id, records))
    steps = RunState.from_records(run_id, records).steps
    _, definition = amended(run_id, workflow, patch, steps, workflows.check)
    return definition


def _message(kind: MessageKind, data: Any = None) -> InboxMessage:
    at = datetime.datetime.now(datetime.UTC)
    return InboxMessage(message_id=uuid.uuid4().hex, kind=kind, at=at, data=data, by=BY)


def _ended(records: Sequence[Record]) -> bool | None:
    return RunState.from_records(records[0].run_id, records).finished is not None or None


def _rests(run_id: str, records: Sequence[Record]) -> bool | None:
    view = RunState.from_records(run_id, records)
    return view.rests or view.finished_at is not None or None


async def _settled(
    journal: Journal,
    run_id: str,
    within_s: float,
    settled: Callable[[Sequence[Record]], T | None],
) -> T | None:
    """Wait until a run's records tell something; None when the time was over first."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        found = settled(await journal.records(run_id))
        left_s = deadline - asyncio.get_running_loop().time()
        if found is not None or left_s <= 0:
            return found
        await asyncio.sleep(min(_POLL_S, left_s))
