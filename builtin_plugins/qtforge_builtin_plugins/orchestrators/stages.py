"""Stages: the parts that workflows of several kinds consist of, and blocks of them.

The fields are those of the original's WorkflowStage (QtForge's DocumentProcessingOrchestrator):
name, plugin, operation, message (there: parameters), timeout of 30 s, required. New are all
others. Their words are those of GitHub Actions (``needs``), Argo and Step Functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from qtforge_builtin_plugins.orchestrators.failing import Fail
from qtforge_sdk import Definition, Duration
from qtforge_sdk.policies import Cache, Fallback, Retry
from qtforge_sdk.records import POOL_NAME

__all__ = [
    "Block",
    "Case",
    "OnFailure",
    "Reduce",
    "Repeat",
    "Stage",
    "StageCompensation",
    "StagedDefinition",
    "blocks_of",
]

OnFailure = Literal["stop", "cancel", "continue"]
"""What happens to the other stages, and items, when one fails.

``stop``: those in progress end, and no other begins. ``cancel``: those in progress are cut off.
``continue``: those that do not need the failed one are executed.
"""

_SHARE: Final = r"^[0-9]{1,3}(\.[0-9]+)?%(?!\n)$"


class StageCompensation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request that undoes a completed stage when a later required stage fails.

    Attributes:
        operation: The topic of the request; its operation must be idempotent.
        message: A template; it may use this stage's result.
        timeout: A duration.
        on_failure: Whether to undo the stage also when it failed itself, since its effects
            are unknown then.
        retry: The retry policy, or None.
    """

    operation: str
    message: dict[str, Any] = {}
    timeout: Duration = "30s"
    on_failure: bool = False
    retry: Retry | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of a ``switch``.

    Attributes:
        when: The condition; None for the way that is taken when no other holds.
        block: The block to do; or
        workflow: The workflow to run, as a run of its own.
        input: A template of the workflow's input.
    """

    when: str | None = None
    block: str | None = None
    workflow: str | None = None
    input: dict[str, Any] = {}


class Repeat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Do a stage again until a condition holds.

    Attributes:
        until: The condition; it may use ``data``, the stage's answer, and ``iteration``.
        every: The time between an answer and the next iteration, a duration; None for none.
        max: The most iterations.
    """

    until: str
    every: Duration | None = None
    max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


class Reduce(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make one value of the results of a ``foreach``.

    Attributes:
        initial: A template of the first ``total``.
        value: A template of the next ``total``; it may use ``total``, ``item``, a result, and
            ``index``.
    """

    initial: Any = None
    value: Any


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of the sequence, or several: of a block, for each item, until a condition holds.

    Attributes:
        name: Unique in the workflow.
        operation: The topic of the request; or
        workflow: The workflow to run, as a run of its own; or
        block: The block to do; or
        switch: The ways of which the first is taken whose condition holds; or
        fail: That the run fails.
        foreach: A template of a list: the stage runs for each of its items, and its result is
            the list of their results, in that order; templates may use ``item`` and
            ``index``. None to run it once.
        tolerate: With ``foreach``, how many items may fail, or a share of them such as
            ``10%``. None for none, or for all where the stage is not required.
        reduce: With ``foreach``, makes one value of the results, or None.
        repeat: Until when it is done again, or None. With ``foreach`` that holds for each item.
        pool: The pool whose processes may execute the workflow; None for the run's own process.
        concurrency: With ``foreach``, the most items at once.
        plugin: The only plugin that may answer, or None.
        message: A template of the operation's message; it may use the earlier stages.
        input: A template of the workflow's input, likewise.
        timeout: A duration: for each attempt of the operation, 30 s where it is None; for all
            of a block, without a limit where it is None. A workflow has one of its own.
        required: When false, a failure is a warning and the run continues, degraded.
        when: A condition; the stage is skipped when it does not hold.
        retry: The retry policy, or None.
        cache: The cache policy, or None.
        fallback: The answer when all attempts failed, or None; its message is a template.
        compensation: The request that undoes it, or None. With ``foreach`` each item is
            undone; its message may use ``item`` and ``index`` then, and not the stage's result.
    """

    name: str
    operation: str | None = None
    workflow: str | None = None
    block: str | None = None
    switch: tuple[Case, ...] = ()
    fail: Fail | None = None
    foreach: Any = None
    tolerate: (
        Annotated[int, msgspec.Meta(ge=0)]
        | Annotated[str, msgspec.Meta(pattern=_SHARE, examples=["10%"])]
        | None
    ) = None
    reduce: Reduce | None = None
    repeat: Repeat | None = None
    pool: (
        Annotated[str, msgspec.Meta(pattern=rf"^{POOL_NAME}(?!\n)$", examples=["default"])] | None
    ) = None
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 8
    plugin: str | None = None
    message: dict[str, Any] = {}
    input: dict[str, Any] = {}
    timeout: Duration | None = None
    required: bool = True
    when: str | None = None
    retry: Retry | None = None
    cache: Cache | None = None
    fallback: Fallback | None = None
    compensation: StageCompensation | None = None


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stages that one stage does, within the same run.

    Attributes:
        stages: The stages, in order; may be empty.
        result: A template of the block's result; None means every stage's data by name.
    """

    stages: Sequence[Stage] = ()
    result: Any = None


class StagedDefinition(Definition, frozen=True, kw_only=True):
    """What the definitions of all kinds of workflow have that have stages.

    Attributes:
        stages: The stages.
        blocks: The blocks by their names.
        on_failure: What happens to the other items, and stages, when one fails.
        finally_: ``finally``: the stages that are done last, in order, however the run ends.
    """

    stages: tuple[Stage, ...] = ()
    blocks: Mapping[str, Block] = msgspec.field(default_factory=dict)
    on_failure: OnFailure = "stop"
    finally_: tuple[Stage, ...] = msgspec.field(default=(), name="finally")


def blocks_of(stage: Stage) -> list[str]:
    """Return the names of the blocks that a stage may do."""
    found = [stage.block, *(case.block for case in stage.switch)]
    return [name for name in found if name is not None]
