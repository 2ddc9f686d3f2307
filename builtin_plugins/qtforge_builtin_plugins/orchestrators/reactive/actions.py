"""What a machine can do on its way: the actions of a definition, by their type."""

from __future__ import annotations

from typing import Any

import msgspec

from qtforge_sdk import Duration
from qtforge_sdk.policies import Retry

__all__ = [
    "Action",
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
        topic: Where.
        message: A template.
    """

    topic: str
    message: dict[str, Any] = {}


class PluginCallAction(_Action, frozen=True, kw_only=True, tag="plugin_call"):
    """Ask an operation; the machine goes on when it is answered.

    Attributes:
        operation: The topic to ask.
        plugin: Ask only this plugin, or None.
        message: A template.
        result: The key of ``data`` that takes the answer; None to drop it.
        timeout: For each attempt, a duration.
        retry: When to try again; None means never.
        required: When true, a failure raises the event ``error.<action>``, and the run fails
            when no transition takes it; when false, it is a warning.
    """

    operation: str
    plugin: str | None = None
    message: dict[str, Any] = {}
    result: str | None = None
    timeout: Duration = "30s"
    retry: Retry | None = None
    required: bool = True


class TimerAction(_Action, frozen=True, kw_only=True, tag="timer"):
    """Set a timer, or cancel it; setting one that runs sets it anew.

    Attributes:
        timer: Its name in the instance; None for the action's name.
        after: How long from now, a duration or a template of one; or
        at: When, a template of a date and time (RFC 3339).
        event: What it raises.
        data: The event's data, a template; ``timer_id`` is added.
        cancel: Cancel it instead.
    """

    timer: str | None = None
    after: Duration | None = None
    at: str | None = None
    event: str = "timer.expired"
    data: dict[str, Any] = {}
    cancel: bool = False


class WorkflowAction(_Action, frozen=True, kw_only=True, tag="workflow"):
    """Start another workflow, and go on; its end comes as an event.

    The event is ``done.workflow.<action>`` or ``error.workflow.<action>``, its data
    ``run_id``, ``status``, ``result`` and ``error``.

    Attributes:
        workflow: Its name.
        input: A template of its input.
        result: The key of ``data`` that takes the run's id at once; None to drop it.
    """

    workflow: str
    input: dict[str, Any] = {}
    result: str | None = None


class ScriptAction(_Action, frozen=True, kw_only=True, tag="script"):
    """Compute new data: a CEL expression that gives a mapping, whose keys are set in ``data``."""

    expression: str


class SetAction(_Action, frozen=True, kw_only=True, tag="set"):
    """Set keys of ``data`` to the values of templates, one after the other."""

    values: dict[str, Any]


class RaiseAction(_Action, frozen=True, kw_only=True, tag="raise"):
    """Raise an event for the machine itself, handled before any from outside.

    Attributes:
        event: Its name.
        data: A template.
    """

    event: str
    data: dict[str, Any] = {}


Action = (
    MessageAction
    | PluginCallAction
    | TimerAction
    | WorkflowAction
    | ScriptAction
    | SetAction
    | RaiseAction
)
