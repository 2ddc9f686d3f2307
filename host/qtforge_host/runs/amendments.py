"""Change a run's definition by a JSON Patch (RFC 6902), checked before it counts."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.runs.accepted_events import accepted_events
from qtforge_host.runs.checkpoints import renewed_checkpoint
from qtforge_host.runs.errors import RunEndedError
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Problem, Workflow
from qtforge_sdk import Definition, Record, StepResult
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import AmendmentRefusedError
from qtforge_sdk.journal import InboxMessage, Journal
from qtforge_sdk.records import AmendmentRefused, CheckpointSaved, RunAmended
from qtforge_sdk.runs import Amendment
from qtforge_sdk.validation import did_you_mean, validation_errors

__all__ = [
    "Amended",
    "Amendments",
    "Check",
    "Operation",
    "PatchBuilder",
    "amend",
    "amend_resting",
    "amendment_outcome",
    "apply_patch",
    "as_document",
]

_LONGEST_TEXT: Final = 100  # characters of an error of the library

Operation = dict[str, Any]
"""One operation of a JSON Patch: ``op``, ``path``, and ``value`` or ``from``."""


def apply_patch(run_id: str, plain: Any, patch: Iterable[Mapping[str, Any]]) -> Any:
    """Return a definition after a patch; neither of the given ones is changed.

    Raises:
        AmendmentRefusedError: The patch is malformed, or does not fit the definition.
    """
    import jsonpatch  # slow to import, and only an amendment needs it
    import jsonpointer

    after = copy.deepcopy(plain)
    for number, each in enumerate(patch, 1):
        try:
            # A copy: the library puts the value itself into the definition, where a later
            # operation may change it.
            operation = copy.deepcopy(dict(each))
            after = jsonpatch.JsonPatch([operation]).apply(after, in_place=True)
        except jsonpatch.JsonPatchTestFailed as error:
            why = f"the definition is not the one that the patch was made for: {_brief(error)}"
            raise AmendmentRefusedError(run_id, why) from error
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
            why = f"operation {number} of the patch does not apply: {_brief(error)}"
            raise AmendmentRefusedError(run_id, why) from error
        except (TypeError, ValueError, AttributeError, KeyError) as error:  # not a patch at all
            why = f"it is not a JSON Patch: {_brief(error)}"
            raise AmendmentRefusedError(
                run_id, why, "write a list of operations, see RFC 6902"
            ) from error
    return after


def _brief(error: Exception) -> str:
    """Return an error's text without the whole definition, which some of them quote."""
    text = str(error)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


class PatchBuilder:
    """Collects changes of a definition, each applied to the result of the one before.

    A stage is any table with a ``name`` in a list of the definition. Each change begins with a
    ``test`` of the stage's name: when another amendment has shifted the positions, the patch is
    refused instead of changing another stage.

    Args:
        run_id: For errors.
        definition: As it is now, as plain values.
    """

    def __init__(self, run_id: str, definition: Mapping[str, Any]) -> None:
        self._run_id = run_id
        self._after: Any = copy.deepcopy(dict(definition))
        self._operations: list[Operation] = []

    @property
    def operations(self) -> list[Operation]:
        """The patch so far."""
        return list(self._operations)

    def insert_after(self, stage: str, table: Mapping[str, Any]) -> None:
        """Insert a new stage after another.

        Raises:
            AmendmentRefusedError: There is no such stage; this holds for every change.
        """
        key, position = self._find(stage)
        self._change(key, position, {"op": "add", "path": _pointer(key, position + 1)}, table)

    def replace(self, stage: str, table: Mapping[str, Any]) -> None:
        """Replace a stage by a new one."""
        key, position = self._find(stage)
        self._change(key, position, {"op": "replace", "path": _pointer(key, position)}, table)

    def remove(self, stage: str) -> None:
        """Remove a stage."""
        key, position = self._find(stage)
        self._change(key, position, {"op": "remove", "path": _pointer(key, position)})

    def skip(self, stage: str) -> None:
        """Leave a stage in the definition, and never do it."""
        self.set(stage, ["when"], "false")

    def set(self, stage: str, keys: Sequence[str], value: Any) -> None:
        """Set one key of a stage.

        Args:
            stage: Its name.
            keys: The key, and those within it; tables on the way are made where they lack.
            value: A plain value.
        """
        key, position = self._find(stage)
        table = self._after[key][position]
        for depth, name in enumerate(keys[:-1]):
            inner = table.get(name)
            if inner is None:
                for missing in reversed(keys[depth + 1 :]):
                    value = {missing: value}
                keys = keys[: depth + 1]
                break
            if not isinstance(inner, dict):
                path = ".".join(keys[: depth + 1])
                raise AmendmentRefusedError(
                    self._run_id, f"'{path}' of the stage '{stage}' is a value, not a table"
                )
            table = inner
        self._change(key, position, {"op": "add", "path": _pointer(key, position, *keys)}, value)

    def extend(self, operations: Iterable[Mapping[str, Any]]) -> None:
        """Add operations as they are.

        Raises:
            AmendmentRefusedError: They are malformed, or do not fit the definition.
        """
        made = [dict(each) if isinstance(each, Mapping) else {} for each in operations]
        self._after = apply_patch(self._run_id, self._after, made)
        self._operations += made

    def _change(self, key: str, position: int, operation: Operation, value: Any = None) -> None:
        name = self._after[key][position]["name"]
        if operation["op"] != "remove":
            operation["value"] = value
        test = {"op": "test", "path": _pointer(key, position, "name"), "value": name}
        self.extend([test, operation])

    def _find(self, stage: str) -> tuple[str, int]:
        known = []
        for key, value in self._after.items():
            for position, each in enumerate(value if isinstance(value, list) else ()):
                if isinstance(each, dict) and "name" in each:
                    if each["name"] == stage:
                        return key, position
                    known.append(str(each["name"]))
        fix = did_you_mean(stage, known) if known else "it has no stages"
        raise AmendmentRefusedError(self._run_id, f"the definition has no stage '{stage}'", fix)


def _pointer(*parts: str | int) -> str:
    import jsonpointer

    return str(jsonpointer.JsonPointer.from_parts(parts).path)


Check = Callable[[Workflow], Sequence[Problem]]
"""Returns everything that is wrong with a workflow's names and expressions."""


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
        steps: The steps that have begun; none of them may be changed.
        check: Checks topics and expressions.
        fix: What to do instead of changing a step that has begun.

    Raises:
        AmendmentRefusedError: It can't be applied, leads to an invalid definition, or changes
            a step that has begun.
    """
    before = workflow.definition
    after_plain = apply_patch(run_id, as_document(before), patch)
    found = [f"{each.path}: {each.what}" for each in validation_errors(after_plain, type(before))]
    if found:
        raise AmendmentRefusedError(run_id, "\n".join(found), "see docs/workflows.md")
    after = msgspec.convert(after_plain, type(before))
    reasons = [
        f"'{field}' can't be changed"
        for field in ("name", "kind", "version")
        if getattr(before, field) != getattr(after, field)
    ]
    reasons += [
        f"'{field}' was evaluated when the run was started; "
        + ("qtforge-host runs tag changes its tags" if field == "tags" else "start another run")
        for field in ("tags", "title", "priority", "unique", "concurrency_key")
        if getattr(before, field) != getattr(after, field)
    ]
    reasons += workflow.orchestrator.check_amendment(before, after, steps)
    if not reasons:
        reasons += map(str, check(msgspec.structs.replace(workflow, definition=after, text="")))
    if reasons:
        raise AmendmentRefusedError(run_id, "\n".join(reasons), fix)
    return after, after_plain


def as_document(definition: Definition) -> dict[str, Any]:
    """Return a definition as mappings, lists and scalars, to which a patch applies."""
    document: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(to_plain(definition)))
    return document


async def amend_resting(
    journal: Journal,
    workflows: RecordedWorkflows,
    run_id: str,
    patch: Sequence[Mapping[str, Any]],
    message: InboxMessage,
    reason: str,
) -> RunAmended:
    """Amend a run that no process executes.

    Args:
        journal: Holds the run.
        workflows: Find its workflow, and check the amendment.
        run_id: The run.
        patch: The operations, in order.
        message: The request; it need not be posted.
        reason: Why, for the run's history.

    Returns:
        The record of the amendment.

    Raises:
        AmendmentRefusedError: The amendment is not possible.
        RunEndedError: The run has ended, perhaps a moment ago.
        RunOwnedError: A process executes it: post the message instead.
        WorkflowError: Its workflow is not here.
    """
    ownership = await journal.claim(run_id)
    try:
        records = await journal.tail(run_id)
        state = RunState.from_records(run_id, records)
        if state.finished is not None:
            raise RunEndedError(run_id, state.finished.status)
        workflow = workflows.recorded(state)
        after, document = amend(run_id, workflow, patch, state.steps, workflows.check)
        amended = RunAmended(
            run_id=run_id,
            at=message.at,
            patch=[dict(each) for each in patch],
            definition=document,
            by=message.by,
            reason=reason,
            message_id=message.message_id,
        )
        workflow = msgspec.structs.replace(workflow, definition=after)
        await journal.append(ownership, [amended, *_renewed(workflow, state, amended)])
    finally:
        await journal.release(ownership)
    return amended


def amendment_outcome(
    records: Iterable[Record], message_id: str
) -> RunAmended | AmendmentRefused | None:
    """Return the answer to an amendment that was posted to a run; None while there is none.

    Args:
        records: The run's, or those since its last checkpoint.
        message_id: The posted message.
    """
    for record in records:
        if isinstance(record, RunAmended | AmendmentRefused) and record.message_id == message_id:
            return record
    return None


def _renewed(
    workflow: Workflow, state: RunState, amended: RunAmended
) -> tuple[CheckpointSaved, ...]:
    """Return the checkpoint that tells for which events an amended run waits, if it does."""
    if state.status != "waiting" or state.checkpoint is None:
        return ()
    accepts = accepted_events(workflow, state.checkpoint.state)
    if accepts is None:
        return ()
    return (renewed_checkpoint(state.checkpoint, accepts, amended.definition, amended.at),)


class Amendments:
    """Holds the definition of one executing run, and applies amendments to it.

    Args:
        log: Appends the run's records.
        workflow: The run's workflow.
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
        """Held from reading the definition until its change is recorded."""
        return asyncio.Lock()

    @property
    def definition(self) -> Definition:
        """The definition as it is now."""
        return self._workflow.definition

    def read(self, document: Any) -> Definition:
        """Return the definition of a document that a record holds."""
        return msgspec.convert(document, self._workflow.orchestrator.definition_type)

    def accepts(self, state: Any) -> tuple[str, ...] | None:
        """Return the events that a checkpoint's state accepts with the present definition."""
        return accepted_events(self._workflow, state)

    async def apply(self, message: InboxMessage) -> None:
        """Apply a requested amendment, or record why it is refused."""
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
        """Record each amendment, or its refusal, and adopt the new definition.

        Each is applied to the result of the one before, even when parallel steps and the inbox
        deliver amendments at the same time.

        Args:
            amendments: In order.
            by: Who asked.
            message_id: The id of the message that requested them, or "".
            before: A record to append together with them, before them.
        """
        async with self._turn:
            records = self._records_of(amendments, by, message_id)
            await self._log.append(*([] if before is None else [before]), *records)
            for record in records:
                self._adopt(record)

    def _records_of(
        self, amendments: Sequence[Amendment], by: str, message_id: str
    ) -> list[RunAmended | AmendmentRefused]:
        run_id, now, steps = self._log.state.run_id, self._clock.now(), self._log.state.steps
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
            workflow = msgspec.structs.replace(workflow, definition=after)
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
            definition = self.read(record.definition)
            self._workflow = msgspec.structs.replace(self._workflow, definition=definition)
