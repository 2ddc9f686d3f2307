"""Errors of runs."""

from __future__ import annotations

from qtforge_sdk.errors._root import QtForgeError

__all__ = [
    "AmendmentRefusedError",
    "DuplicateStepError",
    "RunDivergedError",
    "RunError",
    "RunInputError",
    "StageFailedError",
]


class RunError(QtForgeError):
    """A run failed for a reason that is not a plugin's."""


class DuplicateStepError(RunError):
    """Two steps of a run have the same name.

    Args:
        step: The name.
    """

    code = "run.duplicate_step"

    def __init__(self, step: str, /) -> None:
        super().__init__(
            f"the run already has a step '{step}'", "step names are unique in a run", "rename one"
        )
        self.step = step


class StageFailedError(RunError):
    """A required stage failed; the reason is the ``__cause__``.

    Args:
        stage: The stage's name.
        why: The cause in words.
    """

    code = "run.stage_failed"

    def __init__(self, stage: str, why: str, /) -> None:
        super().__init__(f"the stage '{stage}' failed", why)
        self.stage = stage


class RunDivergedError(RunError):
    """The workflow's code requests other steps than its journal holds.

    Args:
        step: The step that differs.
        why: What the journal holds, and what the code requests.
    """

    code = "run.diverged"

    def __init__(self, step: str, why: str, /) -> None:
        super().__init__(
            f"the workflow's code does not fit the run's journal at the step '{step}'",
            f"{why}; the code has changed since, or depends on more than its steps",
            "install code that fits it, such as with run.patched, and 'runs resume' it; or 'runs "
            "cancel' it",
        )
        self.step = step
        self.difference = why


class RunInputError(RunError):
    """A workflow's input does not meet its definition; no run was started.

    Args:
        workflow: The workflow.
        key: The key of the input that is wrong; of several, the first.
        what: What is wrong with it.
        fix: What is accepted.
        why: Where several are wrong: each of them, one in a line.
    """

    code = "run.invalid_input"
    exit_code = 2
    http_status = 422

    def __init__(self, workflow: str, key: str, what: str, fix: str, why: str = "", /) -> None:
        super().__init__(what, why, fix)
        self.workflow = workflow
        self.key = key


class AmendmentRefusedError(RunError):
    """A run's definition can't be amended this way; nothing was changed.

    Args:
        run_id: The run.
        why: Every reason, one in a line.
        fix: What is possible instead.
    """

    code = "run.amendment_refused"
    http_status = 409

    def __init__(self, run_id: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the run '{run_id}' can't be amended so", why, fix)
        self.run_id = run_id
