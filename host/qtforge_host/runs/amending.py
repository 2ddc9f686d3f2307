"""Changing a run's definition while it runs: a JSON Patch (RFC 6902), checked before it counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonpatch
import jsonpointer
import msgspec

from qtforge_host.runs.active import ActiveRun
from qtforge_host.runs.definitions import Workflow
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.problems import Problem
from qtforge_host.shapes import misfits
from qtforge_sdk import Definition, StepResult
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import AmendmentRefusedError
from qtforge_sdk.journal import InboxMessage
from qtforge_sdk.records import AmendmentRefused, RunAmended

__all__ = ["Amended", "Amending", "Check", "amend"]

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
) -> Amended:
    """Apply a patch to a run's definition.

    Args:
        run_id: For the error.
        workflow: With the definition as it is now.
        patch: The operations, in order.
        steps: What the run has begun; none of it may be changed.
        check: Checks topics and expressions.

    Raises:
        AmendmentRefusedError: It can't be applied, gives no valid definition, or changes what
            has been done.
    """
    before = workflow.definition
    after_plain = _patched(run_id, to_plain(before), patch)
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
        raise AmendmentRefusedError(run_id, "\n".join(reasons), "change what is still to come")
    return after, after_plain


def _patched(run_id: str, plain: Any, patch: Sequence[Mapping[str, Any]]) -> Any:
    try:
        return jsonpatch.JsonPatch([dict(each) for each in patch]).apply(plain)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise AmendmentRefusedError(run_id, f"the patch does not apply: {error}") from error
    except (TypeError, ValueError, AttributeError, KeyError) as error:  # not a patch at all
        raise AmendmentRefusedError(
            run_id, f"it is not a JSON Patch: {error}", "a list of operations, see RFC 6902"
        ) from error


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
        self._run: ActiveRun | None = None

    def attach(self, run: ActiveRun) -> None:
        """Say which run's definition changes."""
        self._run = run

    def detach(self) -> None:
        """Let go of the run that has ended: the cycle through it would wait for a collection."""
        self._run = None

    async def apply(self, message: InboxMessage) -> None:
        """Amend the run, or record why it can't be done."""
        run_id = self._log.view.run_id
        data = message.data if isinstance(message.data, dict) else {}
        patch, reason = data.get("patch"), str(data.get("reason", ""))
        try:
            after, plain = amend(
                run_id,
                self._workflow,
                patch if isinstance(patch, list) else [],
                self._log.view.steps,
                self._check,
            )
        except AmendmentRefusedError as error:
            await self._log.append(
                AmendmentRefused(
                    run_id=run_id,
                    at=self._clock.now(),
                    message_id=message.message_id,
                    reason=error.why,
                    by=message.by,
                )
            )
            return
        await self._log.append(
            RunAmended(
                run_id=run_id,
                at=self._clock.now(),
                patch=patch if isinstance(patch, list) else [],
                definition=plain,
                by=message.by,
                reason=reason,
                message_id=message.message_id,
            )
        )
        self._workflow = dataclasses.replace(self._workflow, definition=after)
        if self._run is not None:
            self._run.definition = after
