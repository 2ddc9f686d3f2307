"""The error tree: every deliberate failure is a leaf of it, with a stable code.

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
    │   └── BusClosedError        bus.closed
    ├── ExpressionError       expression.invalid, expression.failed
    ├── WorkflowError
    │   ├── WorkflowNotFoundError workflow.not_found
    │   ├── WorkflowInvalidError  workflow.invalid
    │   └── WorkflowUnmetError    workflow.unmet
    ├── RunError
    │   ├── DuplicateStepError    run.duplicate_step
    │   └── StageFailedError      run.stage_failed
    ├── PluginError           plugin.broken and the other reason codes
    ├── ConfigError           config.invalid
    └── StateDirectoryError   state.unusable

An error says what happened, why, and how to mend it. All of them take
positional arguments only, so that they pickle and copy.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BusClosedError",
    "BusError",
    "ConfigError",
    "DuplicateStepError",
    "ExpressionError",
    "HandlerFailedError",
    "InvalidMessageError",
    "InvalidTopicError",
    "NoHandlerError",
    "OperationError",
    "OverloadedError",
    "PluginError",
    "QtForgeError",
    "RequestTimeoutError",
    "RunError",
    "StageFailedError",
    "StateDirectoryError",
    "WorkflowError",
    "WorkflowInvalidError",
    "WorkflowNotFoundError",
    "WorkflowUnmetError",
]


class QtForgeError(Exception):
    """The root of every deliberate failure.

    Args:
        what: What happened, in one line.
        why: The cause, where it is known and not already in ``what``.
        fix: What the reader can do about it.

    >>> error = QtForgeError("no such file", "a.pdf is missing", "check the name")
    >>> print(error)
    no such file: a.pdf is missing (fix: check the name)
    """

    code: str = "qtforge.error"

    def __init__(self, what: str, why: str = "", fix: str = "", /) -> None:
        # Exception.__init__ is not called: BaseException.__new__ has already kept
        # the positional arguments in `args`, and a leaf's own must stay there.
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        text = f"{self.what}: {self.why}" if self.why else self.what
        return f"{text} (fix: {self.fix})" if self.fix else text


class OperationError(QtForgeError):
    """What a plugin raises when an operation can't be done; it names its own code.

    Args:
        code: ``<subject>.<what is wrong>``, such as ``document.encrypted``. Stable.
        what: What happened, in one line.
        why: The cause.
        fix: What the caller can do about it.

    >>> OperationError("document.empty", "a.pdf has no content", "", "check the file").code
    'document.empty'
    """

    def __init__(self, code: str, what: str, why: str = "", fix: str = "", /) -> None:
        super().__init__(what, why, fix)
        self.code = code


class BusError(QtForgeError):
    """A message could not be delivered or answered."""


class InvalidTopicError(BusError):
    """A topic or pattern is not well formed.

    Args:
        topic: The text that was given.
        why: The rule that it breaks.
    """

    code = "bus.invalid_topic"

    def __init__(self, topic: str, why: str, /) -> None:
        super().__init__(
            f"'{topic}' is not a topic", why, "use words joined by dots, such as document.parse"
        )
        self.topic = topic


class NoHandlerError(BusError):
    """No plugin answers the topic, or none accepts this message.

    Args:
        topic: The topic that was asked.
        why: What was tried.
        fix: What would give it a handler.
    """

    code = "bus.no_handler"

    def __init__(self, topic: str, why: str = "", fix: str = "", /) -> None:
        super().__init__(f"no plugin answers '{topic}'", why, fix)
        self.topic = topic


class InvalidMessageError(BusError):
    """A message or a response does not fit the declared type.

    Args:
        topic: The topic.
        why: The first field that does not fit, with its path.
        role: ``"message"`` or ``"response"``.
    """

    code = "bus.invalid_message"

    def __init__(self, topic: str, why: str, role: str = "message", /) -> None:
        super().__init__(f"the {role} of '{topic}' does not fit", why)
        self.topic = topic
        self.role = role


class HandlerFailedError(BusError):
    """A plugin's handler raised; the exception is the ``__cause__``.

    Args:
        topic: The topic that was asked.
        plugin: The plugin whose handler failed.
        version: That plugin's version.
        why: The cause in words.
        cause_code: The cause's own code when it was a QtForgeError, else "".
        fix: The cause's own fix, where it has one.
    """

    code = "bus.handler_failed"

    def __init__(
        self,
        topic: str,
        plugin: str,
        version: str,
        why: str,
        cause_code: str = "",
        fix: str = "",
        /,
    ) -> None:
        super().__init__(f"{plugin} {version} failed on '{topic}'", why, fix)
        self.topic = topic
        self.plugin = plugin
        self.version = version
        self.cause_code = cause_code


class RequestTimeoutError(BusError):
    """A handler did not answer in time; it has been cancelled or ended.

    Args:
        topic: The topic that was asked.
        timeout_s: The time that it had, in seconds.
        plugin: The plugin that was asked, or "" when none had begun.
        version: That plugin's version.
    """

    code = "bus.timeout"

    def __init__(
        self, topic: str, timeout_s: float, plugin: str = "", version: str = "", /
    ) -> None:
        who = f"{plugin} {version}" if plugin else "no handler"
        super().__init__(
            f"{who} did not answer '{topic}' within {timeout_s:g} s", "", "give it a longer timeout"
        )
        self.topic = topic
        self.timeout_s = timeout_s
        self.plugin = plugin
        self.version = version


class OverloadedError(BusError):
    """A handler's queue is full; nothing was done.

    Args:
        topic: The topic that was asked.
        plugin: The plugin whose queue is full.
        version: That plugin's version.
        capacity: How many calls the queue holds.
    """

    code = "bus.overloaded"

    def __init__(self, topic: str, plugin: str, version: str, capacity: int, /) -> None:
        super().__init__(
            f"{plugin} {version} has {capacity} calls waiting on '{topic}'",
            "its queue is full",
            "send fewer at once, or try again later",
        )
        self.topic = topic
        self.plugin = plugin
        self.version = version
        self.capacity = capacity


class BusClosedError(BusError):
    """The host is stopping or has stopped."""

    code = "bus.closed"


class ExpressionError(QtForgeError):
    """A CEL expression does not compile, names something unknown, or failed.

    Args:
        expression: The source text.
        why: What is wrong with it.
        fix: The nearest right name, where there is one.
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
        name: The name that was asked for.
        fix: The nearest name, or how to list them.
    """

    code = "workflow.not_found"

    def __init__(self, name: str, fix: str = "", /) -> None:
        super().__init__(f"there is no workflow '{name}'", "", fix)
        self.name = name


class WorkflowInvalidError(WorkflowError):
    """A definition is not valid.

    Args:
        name: The workflow or the file.
        why: Every problem, a line each.
    """

    code = "workflow.invalid"

    def __init__(self, name: str, why: str, /) -> None:
        super().__init__(
            f"the workflow '{name}' is not valid", why, "qtforge-host workflows validate FILE"
        )
        self.name = name


class WorkflowUnmetError(WorkflowError):
    """A plugin that the workflow requires is missing, out of range or not active.

    Args:
        name: The workflow.
        why: Every requirement that is not met, a line each.
        fix: What would meet the first of them.
    """

    code = "workflow.unmet"

    def __init__(self, name: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the workflow '{name}' can't run here", why, fix)
        self.name = name


class RunError(QtForgeError):
    """A run went wrong in a way that is its orchestrator's, not a plugin's."""


class DuplicateStepError(RunError):
    """Two steps of one run have one name.

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


class PluginError(QtForgeError):
    """A plugin can't be used.

    Args:
        plugin: Its name.
        code: The reason code that ``plugins list`` shows.
        why: The reason in words.
        fix: What would mend it.
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
        fix: What would mend it.
    """

    code = "config.invalid"

    def __init__(self, where: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the configuration is not valid at {where}", why, fix)
        self.where = where


class StateDirectoryError(QtForgeError):
    """The state directory can't be used.

    Args:
        path: The directory.
        why: What is wrong.
        fix: What would mend it.
    """

    code = "state.unusable"
    exit_code: ClassVar[int] = 4

    def __init__(self, path: str, why: str, fix: str = "", /) -> None:
        super().__init__(f"the state directory {path} can't be used", why, fix)
        self.path = path
