"""Requests that a run's present state does not allow.

::

    QtForgeError
    ├── CallNotEndedError      run.call_not_ended
    └── RunError
        ├── RunKeysError       run.keys_invalid
        ├── StatefulRunError   run.stateful
        ├── RunEndedError      run.ended
        ├── RunNotEndedError   run.not_ended
        ├── RunSucceededError  run.succeeded
        └── UnknownStepError   run.unknown_step
"""

from __future__ import annotations

from qtforge_sdk.errors import QtForgeError, RunError

__all__ = [
    "CallNotEndedError",
    "RunEndedError",
    "RunKeysError",
    "RunNotEndedError",
    "RunSucceededError",
    "StatefulRunError",
    "UnknownStepError",
]


class CallNotEndedError(QtForgeError):
    """A step can't be undone yet: its own call was cut off, and still runs in a thread.

    Args:
        step: The step.
        timeout_s: How long its end was awaited, in seconds.
    """

    code = "run.call_not_ended"
    retryable = True
    http_status = 409

    def __init__(self, step: str, timeout_s: float, /) -> None:
        super().__init__(
            f"'{step}' was not undone: its call had not ended within {timeout_s:g} s",
            "a thread can't be stopped, and what it still does could not be undone",
            "undo it by hand; or give the operation execution='process', or the compensation a"
            " longer timeout or a retry",
        )


class RunKeysError(RunError):
    """The title, a key or the priority of a new run has a value that can't be used.

    Args:
        workflow: The workflow.
        path: The key of the definition.
        value: The value, in one line.
        why: Why it can't be used.
    """

    code = "run.keys_invalid"
    exit_code = 2
    http_status = 422

    def __init__(self, workflow: str, path: str, value: str, why: str, /) -> None:
        super().__init__(
            f"'{path}' of '{workflow}' can't be {value!a}",
            why,
            "give another input, or change the definition",
        )
        self.workflow = workflow
        self.path = path


class StatefulRunError(RunError):
    """The run is stateful, so it can't be redone from a stage of the caller's choice.

    Args:
        run_id: The run.
    """

    code = "run.stateful"
    http_status = 409

    def __init__(self, run_id: str, /) -> None:
        super().__init__(
            f"the run '{run_id}' can't be redone from a stage",
            "it is a state machine, which continues from its checkpoints",
            f"qtforge-host runs retry {run_id}, without --from, redoes what failed",
        )
        self.run_id = run_id


class RunEndedError(RunError):
    """The run has ended, and the request needs one that has not.

    Args:
        run_id: The run.
        status: How it ended.
    """

    code = "run.ended"
    http_status = 409

    def __init__(self, run_id: str, status: str, /) -> None:
        fork = f"qtforge-host runs fork {run_id} makes a new run of it"
        retry = f"qtforge-host runs retry {run_id} opens it again, amended if need be"
        fix = fork if status == "succeeded" else f"{retry}; {fork}"
        super().__init__(f"the run '{run_id}' has already ended", f"it is {status}", fix)
        self.run_id = run_id
        self.status = status


class RunNotEndedError(RunError):
    """The run has not ended, so there is nothing to redo.

    Args:
        run_id: The run.
    """

    code = "run.not_ended"
    http_status = 409

    def __init__(self, run_id: str, /) -> None:
        super().__init__(
            f"the run '{run_id}' has not ended",
            "only a run that failed, was compensated or was cancelled is retried",
            f"qtforge-host runs resume {run_id}, or cancel it first",
        )
        self.run_id = run_id


class RunSucceededError(RunError):
    """The run succeeded, so a retry would only repeat it.

    Args:
        run_id: The run.
    """

    code = "run.succeeded"
    http_status = 409

    def __init__(self, run_id: str, /) -> None:
        super().__init__(
            f"the run '{run_id}' has succeeded",
            "there is nothing to retry",
            f"qtforge-host runs fork {run_id} makes a new run of it",
        )
        self.run_id = run_id


class UnknownStepError(RunError):
    """The run has not begun a step of that name.

    Args:
        run_id: The run.
        step: The name.
        fix: The nearest name, or all there are.
    """

    code = "run.unknown_step"
    exit_code = 3
    http_status = 422

    def __init__(self, run_id: str, step: str, fix: str, /) -> None:
        super().__init__(f"the run '{run_id}' has begun no stage '{step}'", "", fix)
        self.run_id = run_id
        self.step = step
