"""The actions of a machine, by type."""

from __future__ import annotations

from typing import Any

import msgspec

from qtforge_sdk import Duration
from qtforge_sdk.policies import Retry

__all__ = [
    "Action",
    "CancelAction",
    "MessageAction",
    "PluginCallAction",
    "RaiseAction",
    "ScriptAction",
    "SetAction",
    "TimerAction",
    "WorkflowAction",
]


class _Action(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"
):
    pass


class MessageAction(_Action, frozen=True, kw_only=True, tag="message"):
    """Publish a message.

    Attributes:
        topic: The topic.
        message: A template.
    """

    topic: str
    message: dict[str, Any] = {}


class PluginCallAction(_Action, frozen=True, kw_only=True, tag="plugin_call"):
    """Call an operation; the machine waits for the answer.

    Attributes:
        operation: The topic of the request.
        plugin: The only plugin that may answer, or None.
        message: A template.
        result: The key of ``data`` that stores the answer; None to drop it.
        timeout: For each attempt, a duration.
        retry: The retry policy; None for no retry.
        required: When true, a failure raises the event ``error.<action>``, and the run fails
            when no transition takes that event; when false, a failure is a warning.
    """

    operation: str
    plugin: str | None = None
    message: dict[str, Any] = {}
    result: str | None = None
    timeout: Duration = "30s"
    retry: Retry | None = None
    required: bool = True


class TimerAction(_Action, frozen=True, kw_only=True, tag="timer"):
    """Set a timer, or cancel it; setting a running timer replaces it.

    Attributes:
        timer: The timer's name in the instance; None for the action's name.
        after: The time until it is due, a duration or a template of one; or
        at: The time when it is due, a template of a date and time (RFC 3339).
        event: The event that it raises.
        data: A template of the event's data; ``timer_id`` is added.
        cancel: Whether to cancel the timer instead.
    """

    timer: str | None = None
    after: Duration | None = None
    at: str | None = None
    event: str = "timer.expired"
    data: dict[str, Any] = {}
    cancel: bool = False


class WorkflowAction(_Action, frozen=True, kw_only=True, tag="workflow"):
    """Start another workflow without waiting; its end raises an event.

    The event is ``done.workflow.<action>`` or ``error.workflow.<action>``, its data
    ``run_id``, ``status``, ``result`` and ``error``. As SCXML's invoke, a workflow that a state's
    ``entry`` has started is cancelled when the state is left; it raises no event then.

    Attributes:
        workflow: The workflow's name.
        input: A template of its input.
        result: The key of ``data`` that stores the run's id at once; None to drop it.
        keep: Whether it continues when the state is left, and also when the machine fails or is
            cancelled.
    """

    workflow: str
    input: dict[str, Any] = {}
    result: str | None = None
    keep: bool = False


class CancelAction(_Action, frozen=True, kw_only=True, tag="cancel"):
    """Cancel what an action of the type ``workflow`` has started; it raises no event then.

    Attributes:
        action: The name of that action.
    """

    action: str


class ScriptAction(_Action, frozen=True, kw_only=True, tag="script"):
    """Compute data: a CEL expression for a mapping, whose keys are set in ``data``."""

    expression: str


class SetAction(_Action, frozen=True, kw_only=True, tag="set"):
    """Set keys of ``data`` to the values of templates, one after the other."""

    values: dict[str, Any]


class RaiseAction(_Action, frozen=True, kw_only=True, tag="raise"):
    """Raise an internal event, which is handled before any external one.

    Attributes:
        event: The event's name.
        data: A template of the event's data.
    """

    event: str
    data: dict[str, Any] = {}


Action = (
    MessageAction
    | PluginCallAction
    | TimerAction
    | WorkflowAction
    | CancelAction
    | ScriptAction
    | SetAction
    | RaiseAction
)
