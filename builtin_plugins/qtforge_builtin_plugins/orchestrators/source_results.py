"""The outcomes of the sources of a parallel workflow, and the check for a quorum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from qtforge_builtin_plugins.aggregation.messages import SourceRows
from qtforge_builtin_plugins.orchestrators.sources import Source
from qtforge_sdk import ErrorInfo, StepResult
from qtforge_sdk.conversion import convert
from qtforge_sdk.errors import OperationError
from qtforge_sdk.messages import Dataset, SourceWarning

__all__ = ["Outcome", "SourceResult", "check_enough", "needed", "outcome_of"]

_SHOWN_ROWS: Final = 100
_NO_ROWS: Final = "aggregation.not_rows"


class SourceResult(msgspec.Struct, frozen=True, kw_only=True):
    """A source's outcome, with the original's names.

    Attributes:
        source_name: The source.
        success: Whether it returned rows in time.
        status: ``succeeded``, ``failed``, ``late`` (the common deadline had passed) or
            ``not_needed`` (enough other sources had succeeded).
        data: Its rows, the first 100 at most; None unless it succeeded.
        complete: Whether ``data`` has all of its rows.
        dataset: The file with its rows, when there are many.
        count: The number of its rows.
        truncated: Whether it had more rows than a limit allowed.
        warnings: What its collector warned of, and ``rows.truncated``.
        error: Why it failed, or None.
        collection_time: The duration of its last attempt, in seconds.
        attempts: The number of attempts.
        plugin: The plugin that answered, or None.
    """

    source_name: str
    success: bool
    status: Literal["succeeded", "failed", "late", "not_needed"]
    data: list[dict[str, Any]] | None = None
    complete: bool = True
    dataset: Dataset | None = None
    count: int = 0
    truncated: bool = False
    warnings: tuple[SourceWarning, ...] = ()
    error: ErrorInfo | None = None
    collection_time: float = 0.0
    attempts: int = 0
    plugin: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """A source's result, and its rows for the aggregation; None where there are none."""

    result: SourceResult
    rows: SourceRows | None


class _Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an answer that are used; it may have more."""

    rows: list[dict[str, Any]] | None = None
    dataset: Dataset | None = None
    count: int | None = None
    truncated: bool = False
    warnings: tuple[SourceWarning, ...] = ()


def outcome_of(source: Source, step: StepResult) -> Outcome:
    """Return the outcome of a source.

    Args:
        source: The source.
        step: Its step, which has ended.
    """
    common: dict[str, Any] = {
        "source_name": source.name,
        "collection_time": step.duration_s,
        "attempts": step.attempts,
        "plugin": step.plugin,
    }
    if step.status == "skipped":
        return Outcome(SourceResult(success=False, status="not_needed", **common), None)
    if step.status != "succeeded":
        late = step.error is not None and step.error.code == "run.late"
        status: Literal["late", "failed"] = "late" if late else "failed"
        return Outcome(SourceResult(success=False, status=status, error=step.error, **common), None)
    try:
        answer = {"rows": step.data} if isinstance(step.data, list) else step.data
        found: _Rows = convert(answer, _Rows)
    except msgspec.ValidationError as error:
        return Outcome(_no_rows(common, step, str(error)), None)
    if found.rows is None and found.dataset is None:
        return Outcome(_no_rows(common, step, "it has neither rows nor a dataset"), None)
    count = found.dataset.rows if found.dataset else len(found.rows or ())
    warnings = found.warnings
    if found.truncated:
        message = f"it has more than the {count:,} rows that a limit allows"
        warnings = (*warnings, SourceWarning(code="rows.truncated", message=message))
    rows = SourceRows(
        name=source.name,
        rows=None if found.dataset else found.rows,
        dataset=found.dataset,
        count=count,
        warnings=warnings,
    )
    shown = (found.rows or [])[:_SHOWN_ROWS]
    result = SourceResult(
        success=True,
        status="succeeded",
        data=shown,
        complete=len(shown) == count,
        dataset=found.dataset,
        count=count,
        truncated=found.truncated,
        warnings=warnings,
        **common,
    )
    return Outcome(result, rows)


def needed(quorum: object, of: int) -> int | None:
    """Return the number of sources that must succeed.

    Args:
        quorum: A number, a share from 0 to 1 as a float, a share as text (``60%``), or None.
        of: The number of all sources.

    >>> [needed(quorum, 5) for quorum in (2, 0.5, "60%", "4", 1.0, None)]
    [2, 3, 3, 4, 5, None]

    Raises:
        OperationError: ``aggregation.invalid``.
    """
    if quorum is None:
        return None
    found = _share(quorum, of)
    if found is None or not 1 <= found <= of:
        why = f"quorum is {quorum!r}, of {of} sources"
        raise OperationError(
            "aggregation.invalid",
            "the quorum can't be met",
            why,
            'write a number of sources (2), or a share of them (0.6 or "60%")',
            retryable=False,
        )
    return found


def check_enough(results: Sequence[SourceResult], quorum: int | None) -> None:
    """Check that enough sources have succeeded.

    Raises:
        OperationError: ``aggregation.none_succeeded`` or ``aggregation.quorum_missed``.
    """
    succeeded = sum(each.success for each in results)
    if succeeded and succeeded >= (quorum or 1):
        return
    why = "\n".join(
        f"{each.source_name}: {each.error.message if each.error else each.status}"
        for each in results
        if not each.success
    )
    fix = "fix the failed sources; 'qtforge-host runs retry RUN' requests them again"
    if not succeeded:
        what = f"none of the {len(results)} sources succeeded"
        raise OperationError("aggregation.none_succeeded", what, why, fix)
    what = f"{succeeded} of {len(results)} sources succeeded, and {quorum} must"
    raise OperationError("aggregation.quorum_missed", what, why, fix)


def _share(quorum: object, of: int) -> int | None:
    if isinstance(quorum, bool):
        return None
    if isinstance(quorum, int):
        return quorum
    if isinstance(quorum, float):
        return math.ceil(quorum * of - 1e-9) if 0 < quorum <= 1 else None
    try:
        if isinstance(quorum, str) and quorum.endswith("%"):
            return _share(float(quorum[:-1]) / 100, of)
        return int(str(quorum))
    except ValueError:
        return None


def _no_rows(common: Mapping[str, Any], step: StepResult, why: str) -> SourceResult:
    message = f"the answer has no rows: {why.replace('`', '')}"
    error = ErrorInfo(
        code=_NO_ROWS,
        message=message,
        stage=step.name,
        plugin=step.plugin,
        plugin_version=step.plugin_version,
    )
    return SourceResult(success=False, status="failed", error=error, **common)
