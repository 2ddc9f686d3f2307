"""Steps whose process died: how often, and when such a step fails instead of starting again.

A step that ends its process, with ``os._exit`` or a crash in C code, has no outcome, so the next
process does it again. It fails when as many processes have died in it as the configuration
allows (``[host] step_crash_limit``). Before the last of them it is done alone: steps that were
only in progress at the same time have not ended their process, and succeed then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Final

from qtforge_sdk import StepResult
from qtforge_sdk.errors import HandlerFailedError, OperationError, QtForgeError

__all__ = ["CRASH_LIMIT", "Deaths", "compensation_key", "killed_its_process"]

CRASH_LIMIT: Final = 3  # what the configuration says unless it is changed


class Deaths:
    """The deaths of a run's owners, and of other nodes, by the step that was in progress.

    Made when a run is resumed, or a node is lost, for the first time: most runs never have any.
    """

    __slots__ = ("_any", "_before", "_counts", "_outcomes", "_unrecorded")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._before: dict[str, StepResult] = {}  # began under an earlier owner
        self._outcomes = 0
        self._any = False
        # The start of a quick step may not be recorded when it ends its process.
        self._unrecorded = 0

    def add_owner(
        self,
        died: bool,
        steps: Mapping[str, StepResult],
        compensations: Mapping[str, StepResult],
        outcomes: Sized,
    ) -> None:
        """Add an owner of the run.

        Args:
            died: Whether the owner before died.
            steps: The steps of the run.
            compensations: Its compensations, by the step that they undo.
            outcomes: The steps that have ended.
        """
        running = {key: step for key, step in steps.items() if _in_progress(step)}
        for key, step in compensations.items():
            if _in_progress(step):
                running[compensation_key(key)] = step
        began = [key for key, step in running.items() if step is not self._before.get(key)]
        if len(outcomes) != self._outcomes:
            self._unrecorded = 0
        if died:
            self._any = True
            for key in began:
                self._counts[key] = self._counts.get(key, 0) + 1
            if not began and not self._counts:
                self._unrecorded = 1
        self._before = running
        self._outcomes = len(outcomes)

    def add_loss(self, key: str) -> None:
        """Add another node that was lost while it did a step."""
        self._counts[key] = self._counts.get(key, 0) + 1

    def of(self, key: str) -> int:
        """Return how many owners and other nodes died in a step."""
        count = self._counts.get(key, 0)
        return count + self._unrecorded if count else 0

    def needs_record(self, outcomes: Sized) -> bool:
        """Return whether the start of a step has to be recorded before the step starts.

        It has to after a death, until a step has ended: the death may be that of the same step.
        """
        return self._any and len(outcomes) == self._outcomes


def compensation_key(step: str) -> str:
    """Return the key under which the compensation of a step is counted."""
    return f"{step}/compensation"


def killed_its_process(
    what: str, count: int, topic: str, by: tuple[str, str] | None
) -> QtForgeError:
    """Return the error of a step in which too many processes died.

    Args:
        what: The step, in words.
        count: How many.
        topic: What it requests, or "".
        by: The plugin that answers it and its version, or None.
    """
    code = "run.step_killed_its_process"
    why = f"{count} processes died while they did {what}, so it is not done again"
    if by is None:
        fix = "find what ends the process in the workflow's code; runs retry does the step again"
        return OperationError(code, why, "", fix, retryable=False)
    plugin, version = by
    fix = (
        f'report it to the author of {plugin} {version}: with execution="process" it would end'
        " a worker process alone; runs retry does the step again"
    )
    return HandlerFailedError(topic, plugin, version, why, code, fix, retryable=False)


def _in_progress(step: StepResult) -> bool:
    return step.status == "running" and step.error is None
