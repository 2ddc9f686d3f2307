"""The actions of a machine, by type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from qtforge_sdk import Duration
from qtforge_sdk.policies import Retry

__all__ = [
    "Action",
    "CancelAction",
    "ForeachAction",
    "IfAction",
    "MessageAction",
    "PluginCallAction",
    "RaiseAction",
    "ScriptAction",
    "SendAction",
    "SetAction",
    "TimerAction",
    "WorkflowAction",
    "is_template",
    "nested_actions",
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
        result: The key of ``data`` that stores the answer, or a path; None to drop it.
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
        timer: The timer's name in the instance, or a template of it; None for the action's name.
        after: The time until it is due, a duration or a template of one; or
        at: The time when it is due, a template of a date and time (RFC 3339).
        event: The event that it raises, or a template of its name.
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
        result: The key of ``data`` that stores the run's id at once, or a path; None to drop it.
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
    """Compute data: a CEL expression for a mapping, whose keys are set in ``data``.

    Attributes:
        expression: The expression; it knows ``data``, ``event``, ``input`` and ``run``.
    """

    expression: str


class SetAction(_Action, frozen=True, kw_only=True, tag="set"):
    """Set keys of ``data`` to the values of templates, one after the other.

    Attributes:
        values: The templates by key, or by a path below it such as ``order.items[0].count``;
            ``${...}`` in a path is evaluated first. What is above the last part of a path must
            be there.
    """

    values: dict[str, Any]


class RaiseAction(_Action, frozen=True, kw_only=True, tag="raise"):
    """Raise an internal event, which is handled before any external one.

    Attributes:
        event: The event's name, or a template of it.
        data: A template of the event's data.
    """

    event: str
    data: Any = {}


class SendAction(_Action, frozen=True, kw_only=True, tag="send"):
    """Send an event to another run, which handles it once like any event from outside.

    Attributes:
        event: The event's name, or a template of it.
        target: A template of the run's id, which may have ``#`` before it; or ``#parent``, the run
            that has started this one; ``#self``; ``#internal``, as the type ``raise``; or
            ``#NAME``, what the action of the type ``workflow`` with that name has started, and
            has not ended.
        data: A template of the event's data.
    """

    event: str
    target: str = "#self"
    data: Any = {}


class IfAction(_Action, frozen=True, kw_only=True, tag="if", rename={"otherwise": "else"}):
    """Do some actions when a condition holds, and others when it does not.

    Attributes:
        condition: CEL over ``event``, ``data`` and ``instance``.
        then: The actions when it holds, in order.
        otherwise: ``else``: the actions when it does not.
    """

    condition: str
    then: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()


class ForeachAction(_Action, frozen=True, kw_only=True, tag="foreach"):
    """Do actions once for each item of a list, one item after the other.

    Attributes:
        items: A template of the list; what the actions do to the list does not change it.
        item: The key of ``data`` for the item, or a path.
        index: The key of ``data`` for its place, from 0, or a path; None for none.
        actions: The actions for each item, in order.
    """

    items: Any
    item: str = "item"
    index: str | None = None
    actions: tuple[str, ...] = ()


Action = (
    MessageAction
    | PluginCallAction
    | TimerAction
    | WorkflowAction
    | CancelAction
    | ScriptAction
    | SetAction
    | RaiseAction
    | SendAction
    | IfAction
    | ForeachAction
)


def nested_actions(action: Action | None) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the actions that an action does, by its key."""
    if isinstance(action, IfAction):
        return {"then": action.then, "else": action.otherwise}
    return {"actions": action.actions} if isinstance(action, ForeachAction) else {}


def is_template(value: object) -> bool:
    """Whether a text has a ``${...}`` to be evaluated."""
    return isinstance(value, str) and "${" in value
