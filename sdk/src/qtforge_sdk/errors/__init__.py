"""All errors; every deliberate failure is a leaf of this tree, with a stable code.

::

    QtForgeError
    ├── OperationError        raised by a plugin, with a code of its own
    ├── BusError
    │   ├── InvalidTopicError     bus.invalid_topic
    │   ├── NoHandlerError        bus.no_handler
    │   ├── InvalidMessageError   bus.invalid_message
    │   ├── HandlerFailedError    bus.handler_failed
    │   ├── RequestTimeoutError   bus.timeout
    │   ├── OverloadedError       bus.overloaded
    │   ├── BusUnavailableError   bus.unavailable
    │   ├── NodeGoneError         bus.node_gone
    │   ├── NodeLostError         bus.node_lost
    │   └── BusClosedError        bus.closed
    ├── PolicyError
    │   ├── BreakerOpenError      policy.breaker_open
    │   └── PolicyOverloadedError policy.overloaded
    ├── ExpressionError       expression.invalid, expression.failed
    ├── WorkflowError
    │   ├── WorkflowNotFoundError workflow.not_found
    │   ├── WorkflowInvalidError  workflow.invalid
    │   ├── WorkflowUnmetError    workflow.unmet
    │   └── WorkflowVersionError  workflow.version
    ├── RunError
    │   ├── DuplicateStepError    run.duplicate_step
    │   ├── StageFailedError      run.stage_failed
    │   ├── RunDivergedError      run.diverged
    │   ├── RunInputError         run.invalid_input
    │   └── AmendmentRefusedError run.amendment_refused
    ├── PluginError           plugin.broken and the other reason codes
    ├── ConfigError           config.invalid
    └── StorageError
        └── StateDirectoryError   state.unusable

An error states what happened, why, and how to fix it. All errors take
positional arguments, so that they can be pickled and copied; ``retryable`` and ``retry_after_s``,
which some take by keyword, are plain attributes and pickle too.
"""

from __future__ import annotations

from qtforge_sdk.errors._bus import (
    BusClosedError,
    BusError,
    BusUnavailableError,
    HandlerFailedError,
    InvalidMessageError,
    InvalidTopicError,
    NodeGoneError,
    NodeLostError,
    NoHandlerError,
    OverloadedError,
    RequestTimeoutError,
)
from qtforge_sdk.errors._policies import BreakerOpenError, PolicyError, PolicyOverloadedError
from qtforge_sdk.errors._root import OperationError, QtForgeError
from qtforge_sdk.errors._runs import (
    AmendmentRefusedError,
    DuplicateStepError,
    RunDivergedError,
    RunError,
    RunInputError,
    StageFailedError,
)

__all__ = [
    "AmendmentRefusedError",
    "BreakerOpenError",
    "BusClosedError",
    "BusError",
    "BusUnavailableError",
    "ConfigError",
    "DuplicateStepError",
    "ExpressionError",
    "HandlerFailedError",
    "InvalidMessageError",
    "InvalidTopicError",
    "NoHandlerError",
    "NodeGoneError",
    "NodeLostError",
    "OperationError",
    "OverloadedError",
    "PluginError",
    "PolicyError",
    "PolicyOverloadedError",
    "QtForgeError",
    "RequestTimeoutError",
    "RunDivergedError",
    "RunError",
    "RunInputError",
    "StageFailedError",
    "StateDirectoryError",
    "StorageError",
    "WorkflowError",
    "WorkflowInvalidError",
    "WorkflowNotFoundError",
    "WorkflowUnmetError",
    "WorkflowVersionError",
]


class ExpressionError(QtForgeError):
    """A CEL expression does not compile, names something unknown, or failed.

    Args:
        expression: The source text.
        why: What is wrong with it.
        fix: The nearest known name, where there is one.
        code: ``expression.invalid`` at load, ``expression.failed`` at run time.
    """

    code = "expression.invalid"

    def __init__(
        self, expression: str, why: str, fix: str = "", code: str = "expression.invalid", /
    ) -> None:
        super().__init__(f"the expression '{expression}' can't be used", why, fix)
        self.expression = expression
        self.code = code


class WorkflowError(QtForgeError):
    """A workflow can't be found, is not valid, or lacks what it requires."""


class WorkflowNotFoundError(WorkflowError):
    """No workflow has that name.

    Args:
        name: The requested name.
        fix: The nearest name, or how to list them.
    """

    code = "workflow.not_found"
    exit_code = 3
    http_status = 404

    def __init__(self, name: str, fix: str = "", /) -> None:
        super().__init__(f"there is no workflow '{name}'", "", fix)
        self.name = name


class WorkflowInvalidError(WorkflowError):
    """A definition is not valid.

    Args:
        name: The workflow or the file.
        why: Every problem, one in a line.
    """

    code = "workflow.invalid"
    http_status = 409

    def __init__(self, name: str, why: str, /) -> None:
        super().__init__(
            f"the workflow '{name}' is not valid", why, "qtforge-host workflows validate FILE"
        )
        self.name = name


class WorkflowUnmetError(WorkflowError):
    """A plugin that the workflow requires is missing, out of range or not active.

    Args:
        name: The workflow.
        why: Every requirement that is not met, one in a line.
        fix: How to meet the first of them.
    """

    code = "workflow.unmet"
    http_status = 409

    def __init__(self, name: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the workflow '{name}' can't run here", why, fix)
        self.name = name


class WorkflowVersionError(WorkflowError):
    """A run was started with a version of its workflow that no function here continues.

    Args:
        name: The workflow.
        why: The run's version, and those that are here.
    """

    code = "workflow.version"
    http_status = 409

    def __init__(self, name: str, why: str, /) -> None:
        super().__init__(
            f"the workflow '{name}' does not continue the run",
            why,
            "install a version that does, or 'runs resume --accept-versions'",
        )
        self.name = name


class PluginError(QtForgeError):
    """A plugin can't be used.

    Args:
        plugin: Its name.
        code: The reason code that ``plugins list`` shows.
        why: The reason in words.
        fix: How to fix it.
    """

    def __init__(self, plugin: str, code: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the plugin '{plugin}' can't be used", why, fix)
        self.plugin = plugin
        self.code = code


class ConfigError(QtForgeError):
    """A configuration file can't be read, or a value in it is wrong.

    Args:
        where: The file and the key's path.
        why: What is wrong.
        fix: How to fix it.
    """

    code = "config.invalid"
    exit_code = 2

    def __init__(self, where: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the configuration is not valid at {where}", why, fix)
        self.where = where


class StorageError(QtForgeError):
    """Where runs are stored can't be used: their state directory, or a shared journal.

    Nothing was stored. What was to be stored is tried again by time, unless ``retryable`` is False.
    """

    exit_code = 4
    http_status = 503


class StateDirectoryError(StorageError):
    """The state directory can't be used.

    Args:
        path: The directory.
        why: What is wrong.
        fix: How to fix it.
    """

    code = "state.unusable"

    def __init__(self, path: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the state directory {path} can't be used", why, fix)
        self.path = path
