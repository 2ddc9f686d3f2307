"""Let a run's process die before and after every write, and compare how the run ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from qtforge_host.runs.state import RunState
from qtforge_host.testing.traffic import Call
from qtforge_sdk import ErrorInfo
from qtforge_sdk.conversion import to_plain

__all__ = ["Case", "CrashReport", "Kill", "outcome_of", "sweep"]

_SHOWN: Final = 10  # differences in the text of an error
_LONGEST: Final = 200  # characters of a value in the text of an error

Kill = tuple[int, bool]
"""The process dies before its n-th write, or if the second is true after it."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    Attributes:
        outcome: All that must not depend on where the process died, by what it is.
        error: Why the run failed or is blocked, or None.
        died: The moment at which the process died, in words; "" where it did not.
        calls: Every request, also of the process that died.
    """

    outcome: dict[str, Any]
    error: ErrorInfo | None
    died: str
    calls: list[Call]


class CrashReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of a run whose process died before and after each of its writes.

    Attributes:
        workflow: The workflow's name.
        status: How the run ended when its process did not die.
        result: Its result then.
        error: Why it failed then, or None.
        died: Each moment at which the process died, in words.
        different: Where the run then ended otherwise, and how, in words.
        repeated: The topics that were asked twice for one attempt of a step: what answers them
            must be idempotent.
    """

    workflow: str
    status: str
    result: Any
    error: ErrorInfo | None
    died: list[str]
    different: list[str]
    repeated: frozenset[str]

    @property
    def points(self) -> int:
        """At how many moments the process died."""
        return len(self.died)

    def check(self) -> None:
        """Check that the run ended each time as it did without a crash.

        Raises:
            AssertionError: It did not; with the moments, and what was different.
        """
        if not self.different:
            return
        shown = self.different[:_SHOWN]
        if len(shown) < len(self.different):
            shown.append(f"and {len(self.different) - len(shown)} more")
        lines = "".join(f"\n  {line}" for line in shown)
        raise AssertionError(
            f"'{self.workflow}' ends otherwise after a crash ({self.points} were tried):{lines}"
        )


def outcome_of(state: RunState, status: str, workflows: Iterable[str]) -> dict[str, Any]:
    """Return what a crash must not change.

    Args:
        state: The run's.
        status: Its status.
        workflows: The names of the workflows of all runs.
    """
    return {
        "status": status,
        "degraded": state.degraded,
        "result": state.result,
        "error": None if state.error is None else (state.error.code, state.error.stage),
        "state": state.label,
        "steps": sorted((name, step.status) for name, step in state.steps.items()),
        "compensations": sorted((name, step.status) for name, step in state.compensations.items()),
        "runs": sorted(workflows),
    }


def sweep(workflow: str, play: Callable[[Kill | None], Case]) -> CrashReport:
    """Execute a run undisturbed, and then once for each moment at which its process may die.

    Args:
        workflow: The workflow's name.
        play: Executes the run in a process that dies at a moment, and in one that follows it.
    """
    undisturbed = play(None)
    died, different, repeated = [], [], set()
    for after in (False, True):
        for write in itertools.count(1):
            case = play((write, after))
            if not case.died:
                break
            died.append(case.died)
            different += [f"{case.died}: {text}" for text in _differences(undisturbed, case)]
            repeated |= {call.topic for call, _ in _repeated(case.calls)}
    return CrashReport(
        workflow=workflow,
        status=undisturbed.outcome["status"],
        result=undisturbed.outcome["result"],
        error=undisturbed.error,
        died=died,
        different=different,
        repeated=frozenset(repeated),
    )


def _differences(undisturbed: Case, case: Case) -> Iterable[str]:
    for what, before in undisturbed.outcome.items():
        now = case.outcome[what]
        if now != before:
            why = ""
            if what == "status" and case.error is not None:
                why = f" ({case.error.code}: {case.error.message})"
            yield f"{what} is {_shown(now)} instead of {_shown(before)}{why}"
    for first, second in _repeated(case.calls):
        if to_plain(first.message) != to_plain(second.message):
            yield (
                f"the step '{first.step}' asked '{first.topic}' for {_shown(first.message)} and"
                f" after the crash for {_shown(second.message)}: its message depends on chance or"
                " the time, which only a step may read"
            )


def _repeated(calls: Iterable[Call]) -> Iterable[tuple[Call, Call]]:
    """Give each request that was made again, with the first one."""
    first: dict[tuple[str | None, str | None, int, str], Call] = {}
    for call in calls:
        key = (call.run_id, call.step, call.attempt, call.topic)
        if call.run_id is None:
            continue
        if key in first:
            yield first[key], call
        else:
            first[key] = call


def _shown(value: object) -> str:
    text = repr(dict(value) if isinstance(value, Mapping) else value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
