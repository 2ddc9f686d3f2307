"""``[retention]``: how long runs stay after their end."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import msgspec

from qtforge_host.validation import convert_table, field_errors
from qtforge_sdk.durations import Duration, DurationError, duration_text, seconds
from qtforge_sdk.run_status import RunStatus
from qtforge_sdk.validation import FieldError

__all__ = ["RetentionRule", "RetentionSettings", "RetentionTable", "read_retention"]

_FOREVER: Final = "forever"
_LEAST_S: Final = 60.0  # a client that waits for a run reads its result after its end
_MOST_KEPT: Final = 10_000


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    """How long the runs of a workflow stay after their end; a status without an age for ever.

    Attributes:
        succeeded: The age of those that succeeded: a length of time, or ``forever``.
        failed: Of those that failed.
        compensated: Of those that failed and were undone; as ``failed`` when left out.
        cancelled: Of those that were cancelled.
        keep_last: So many that ended and were started last stay, whatever their age.
    """

    succeeded: Duration | None = None
    failed: Duration | None = None
    compensated: Duration | None = None
    cancelled: Duration | None = None
    keep_last: Annotated[int, msgspec.Meta(ge=0, le=_MOST_KEPT)] | None = None


class RetentionTable(_Rule, frozen=True, kw_only=True):
    """The table ``[retention]``.

    Attributes:
        workflows: Other ages for the workflows whose names a pattern fits; the first pattern that
            fits counts, and what it leaves out is as above.
    """

    workflows: dict[str, _Rule] = {}


_STATUSES: Final[tuple[RunStatus, ...]] = ("succeeded", "failed", "compensated", "cancelled")


class RetentionRule(msgspec.Struct, frozen=True, kw_only=True):
    """When the runs of a workflow are deleted.

    Attributes:
        ages_s: How long after its end a run of a status is deleted, in seconds; a status that is
            not there is kept for ever.
        keep_last: So many that ended and were started last stay, whatever their age.
    """

    ages_s: Mapping[RunStatus, float] = MappingProxyType({})
    keep_last: int = 0


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When runs are deleted.

    Attributes:
        rule: That of all workflows that no pattern fits.
        workflows: Patterns (fnmatch) of the names of workflows, each with its rule.
    """

    rule: RetentionRule = RetentionRule()
    workflows: tuple[tuple[str, RetentionRule], ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is ever deleted."""
        return bool(self.shortest_s < math.inf)

    @property
    def shortest_s(self) -> float:
        """The shortest age of all rules, in seconds; infinite where everything is kept."""
        rules = (self.rule, *(rule for _, rule in self.workflows))
        return min((age for rule in rules for age in rule.ages_s.values()), default=math.inf)

    def of(self, workflow: str) -> RetentionRule:
        """Return the rule of a workflow."""
        fitting = (rule for each, rule in self.workflows if fnmatch.fnmatchcase(workflow, each))
        return next(fitting, self.rule)


def read_retention(table: Mapping[str, Any], path: Path) -> RetentionSettings:
    """Return what ``[retention]`` says.

    Args:
        table: The table, as tomllib read it.
        path: The file that it is from.

    Raises:
        ConfigError: It is not valid, with every error.
    """
    found = RetentionTable()
    if table:
        found = convert_table(table, RetentionTable, str(path), "retention")
    errors: list[FieldError] = []
    rule = _rule(found, RetentionRule(), "retention", errors)
    workflows = []
    for pattern, each in found.workflows.items():
        where = f'retention.workflows."{pattern}"'
        workflows.append((pattern, _rule(each, rule, where, errors)))
    settings = RetentionSettings(rule=rule, workflows=tuple(workflows))
    if table and not errors and not settings:
        what = "nothing is ever deleted: no status has an age"
        errors.append(FieldError(path="retention", what=what, fix='such as succeeded = "30d"'))
    field_errors(errors, str(path))
    return settings


def _rule(
    given: _Rule, above: RetentionRule, where: str, errors: list[FieldError]
) -> RetentionRule:
    ages = dict(above.ages_s)
    for status in _STATUSES:
        age: Duration | None = getattr(given, status)
        if age is None and status == "compensated":
            age = given.failed
        if age is None:
            continue
        if age == _FOREVER:
            ages.pop(status, None)
            continue
        try:
            ages[status] = _age_s(age)
        except DurationError as error:
            key = f"{where}.{status}"
            if FieldError(path=f"{where}.failed", what=error.why, fix=error.fix) not in errors:
                errors.append(FieldError(path=key, what=error.why, fix=error.fix))
    keep_last = above.keep_last if given.keep_last is None else given.keep_last
    return RetentionRule(ages_s=MappingProxyType(ages), keep_last=keep_last)


def _age_s(age: Duration) -> float:
    try:
        found = seconds(age)
    except DurationError as error:
        raise DurationError(error.why, 'such as 30d or 12h, or "forever"') from error
    if found < _LEAST_S:
        why = f"{duration_text(age)} is too short: the result of a run is read after its end"
        raise DurationError(why, "at least 1m")
    return found
