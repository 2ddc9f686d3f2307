"""Changing a run's definition while it runs: a JSON Patch (RFC 6902), checked before it counts."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from qtforge_host.runs.definitions import Workflow
from qtforge_host.runs.keeping import kept_again
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.offers import accepted_events
from qtforge_host.runs.outcome import fold
from qtforge_host.runs.patches import apply_patch
from qtforge_host.runs.problems import Problem
from qtforge_host.shapes import misfits
from qtforge_sdk import Definition, Record, StepResult
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import AmendmentRefusedError
from qtforge_sdk.journal import InboxMessage
from qtforge_sdk.records import AmendmentRefused, RunAmended, StateKept
from qtforge_sdk.runs import Amendment

__all__ = ["Amended", "Amending", "Check", "amend", "as_document", "still_waiting"]

Check = Callable[[Workflow], Sequence[Problem]]
"""Gives everything that is wrong with a workflow's names and expressions."""

Amended = tuple[Definition, dict[str, Any]]
"""A definition after an amendment, as its type and as plain values."""


def amend(
    run_id: str,
    workflow: Workflow,
    patch: Sequence[Mapping[str, Any]],
    steps: Mapping[str, StepResult],
    check: Check,
    *,
    fix: str = "change what is still to come",
) -> Amended:
    """Apply a patch to a run's definition.

    Args:
        run_id: For the error.
        workflow: With the definition as it is now.
        patch: The operations, in order.
        steps: What the run has begun; none of it may be changed.
        check: Checks topics and expressions.
        fix: What whoever changes what has been done can do instead.

    Raises:
        AmendmentRefusedError: It can't be applied, gives no valid definition, or changes what
            has been done.
    """
    before = workflow.definition
    after_plain = apply_patch(run_id, as_document(before), patch)
    found = [f"{each.path}: {each.what}" for each in misfits(after_plain, type(before))]
    if found:
        raise AmendmentRefusedError(run_id, "\n".join(found), "see docs/workflows.md")
    after = msgspec.convert(after_plain, type(before))
    reasons = [
        f"'{field}' can't be changed"
        for field in ("name", "kind", "version")
        if getattr(before, field) != getattr(after, field)
    ]
    check_amendment = getattr(workflow.orchestrator, "check_amendment", None)
    if check_amendment is None:
        reasons.append(f"a workflow of the kind '{before.kind}' can't be amended")
    else:
        reasons += check_amendment(before, after, steps)
    if not reasons:
        reasons += map(str, check(dataclasses.replace(workflow, definition=after, text="")))
    if reasons:
        raise AmendmentRefusedError(run_id, "\n".join(reasons), fix)
    return after, after_plain


def as_document(definition: Definition) -> dict[str, Any]:
    """Return a definition as mappings, lists and scalars, which a patch can change."""
    document: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(to_plain(definition)))
    return document


def still_waiting(
    workflow: Workflow, records: Sequence[Record], amended: RunAmended
) -> tuple[StateKept, ...]:
    """Return what says for which events a run waits now that nobody executes; none for others.

    Args:
        workflow: The run's, with the definition after the amendment.
        records: The run's, before the amendment.
        amended: The amendment.
    """
    view = fold(amended.run_id, records)
    if view.status != "waiting" or view.kept is None:
        return ()
    accepts = accepted_events(workflow, view.kept.state)
    if accepts is None:
        return ()
    return (kept_again(view.kept, accepts, amended.definition, amended.at),)


class Amending:
    """Applies the amendments of one live run.

    Args:
        log: The run's end of the journal.
        workflow: What it runs.
        clock: The time.
        check: Checks topics and expressions.
    """

    def __init__(self, log: RunLog, workflow: Workflow, clock: Clock, check: Check) -> None:
        self._log = log
        self._workflow = workflow
        self._clock = clock
        self._check = check

    @functools.cached_property
    def _turn(self) -> asyncio.Lock:
        """Held from reading the definition until the change of it counts."""
        return asyncio.Lock()

    @property
    def definition(self) -> Definition:
        """The definition as it is now."""
        return self._workflow.definition

    def accepts(self, state: Any) -> tuple[str, ...] | None:
        """Return the events that a kept state accepts by the definition as it is now."""
        return accepted_events(self._workflow, state)

    async def apply(self, message: InboxMessage) -> None:
        """Amend the run as somebody asked, or record why it can't be done."""
        data = message.data if isinstance(message.data, dict) else {}
        patch = data.get("patch")
        asked = Amendment(
            patch=patch if isinstance(patch, list) else [], reason=str(data.get("reason", ""))
        )
        await self.append([asked], by=message.by, message_id=message.message_id)

    async def append(
        self,
        amendments: Sequence[Amendment],
        *,
        by: str,
        message_id: str = "",
        before: Record | None = None,
    ) -> None:
        """Keep each amendment, or its refusal, and let the run go on with what is kept.

        Each is made to what the one before it leaves, also where parallel steps and the inbox
        bring them at the same moment.

        Args:
            amendments: In order.
            by: Who asked.
            message_id: The message that brought them, or "".
            before: A record that is kept with them, before them.
        """
        async with self._turn:
            records = self._records_of(amendments, by, message_id)
            await self._log.append(*([] if before is None else [before]), *records)
            for record in records:
                self._adopt(record)

    def _records_of(
        self, amendments: Sequence[Amendment], by: str, message_id: str
    ) -> list[RunAmended | AmendmentRefused]:
        run_id, now, steps = self._log.view.run_id, self._clock.now(), self._log.view.steps
        workflow = self._workflow
        records: list[RunAmended | AmendmentRefused] = []
        for each in amendments:
            try:
                after, plain = amend(run_id, workflow, each.patch, steps, self._check)
            except AmendmentRefusedError as error:
                refused = AmendmentRefused(
                    run_id=run_id, at=now, message_id=message_id, reason=error.why, by=by
                )
                records.append(refused)
                continue
            workflow = dataclasses.replace(workflow, definition=after)
            records.append(
                RunAmended(
                    run_id=run_id,
                    at=now,
                    patch=each.patch,
                    definition=plain,
                    by=by,
                    reason=each.reason,
                    message_id=message_id,
                )
            )
        return records

    def _adopt(self, record: RunAmended | AmendmentRefused) -> None:
        if isinstance(record, RunAmended):
            kind = self._workflow.orchestrator.definition_type
            definition = msgspec.convert(record.definition, kind)
            self._workflow = dataclasses.replace(self._workflow, definition=definition)
