"""Run a machine's actions: local ones at once, the others as a call for the run to make."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    Action,
    CancelAction,
    ForeachAction,
    IfAction,
    MessageAction,
    PluginCallAction,
    RaiseAction,
    ScriptAction,
    SendAction,
    SetAction,
    TimerAction,
    WorkflowAction,
    is_template,
)
from qtforge_builtin_plugins.orchestrators.reactive.chart import Chart
from qtforge_builtin_plugins.orchestrators.reactive.paths import with_value
from qtforge_builtin_plugins.orchestrators.reactive.snapshot import (
    Event,
    Loop,
    Snapshot,
    Timer,
    Trace,
)
from qtforge_builtin_plugins.orchestrators.reactive.times import due_time
from qtforge_sdk.errors import OperationError
from qtforge_sdk.runs import EvaluationScope

__all__ = ["ActionRunner", "Call", "Evaluator", "Sent"]

_STATE_TIMER: Final = "state:"
_ITEMS: Final = 1_000
_EVENT_NAME: Final = 1_000  # characters


class Evaluator(Protocol):
    """Evaluate a definition's expressions over ``event``, ``data`` and ``instance``."""

    def prepare(self, names: Mapping[str, Any]) -> EvaluationScope:
        """Prepare a scope of names for many conditions.

        Raises:
            ExpressionError: A value has no CEL type.
        """

    def render(self, template: object, names: Mapping[str, Any]) -> Any:
        """Return a template's value.

        Raises:
            ExpressionError: It can't be evaluated.
        """


class Sent(NamedTuple):
    """An event for other runs.

    Attributes:
        run_ids: The ids of the runs.
        event: The event's name.
        data: The event's data.
    """

    run_ids: list[str]
    event: str
    data: Any


class Call(NamedTuple):
    """An action that the run carries out before the machine continues.

    Attributes:
        name: The action's name.
        action: A message, a plugin call, a workflow, the cancelling of workflows, or an event for
            other runs.
        message: The rendered message or input; the ids of the runs to cancel; or a `Sent`.
        step: The step's name, unique in the instance.
    """

    name: str
    action: MessageAction | PluginCallAction | WorkflowAction | CancelAction | SendAction
    message: Any
    step: str


class ActionRunner:
    """Run actions, which change a `Snapshot`.

    Args:
        actions: The actions by name.
        chart: The machine's states.
        evaluator: Evaluates templates.
        instance: The value of ``instance`` in expressions, without ``states``; ``parent`` is the
            id of the run that has started it, or "".
        now: Returns the time, in UTC.
    """

    def __init__(
        self,
        actions: Mapping[str, Action],
        chart: Chart,
        evaluator: Evaluator,
        instance: Mapping[str, Any],
        now: Callable[[], datetime.datetime],
    ) -> None:
        self._actions = actions
        self._chart = chart
        self._evaluator = evaluator
        self._instance = instance
        self._now = now

    def is_required(self, name: str) -> bool:
        """Whether an action's failure is more than a warning."""
        action = self._actions.get(name)
        return not isinstance(action, PluginCallAction) or action.required

    def is_loop(self, name: str) -> bool:
        """Whether an action is a ``foreach``."""
        return isinstance(self._actions.get(name), ForeachAction)

    def do(self, name: str, snapshot: Snapshot, trace: Trace) -> Call | tuple[str, ...] | None:
        """Run an action; return its call, the actions to do in its place, or None.

        For a ``foreach``, the snapshot's last loop is its list, and no action is returned.

        Raises:
            ExpressionError: A template can't be evaluated.
            OperationError: The action fails.
        """
        action = self._actions.get(name)
        if action is None:  # the definition was amended in the middle of a microstep
            raise OperationError("machine.action", f"the action '{name}' no longer exists", "")
        names = self.names(snapshot)
        render = self._evaluator.render
        if isinstance(action, SetAction):
            for key, template in action.values.items():
                value = render(template, names)
                path = str(render(key, names)) if "${" in key else key
                snapshot.data = with_value(snapshot.data, path, value)
                names["data"] = snapshot.data
        elif isinstance(action, ScriptAction):
            found = render("${" + action.expression + "}", names)
            if not isinstance(found, Mapping):
                why = f"it returned {type(found).__name__}"
                raise OperationError("machine.script", f"'{name}' must return a mapping", why)
            snapshot.data = {**snapshot.data, **found}
        elif isinstance(action, RaiseAction):
            event = self._event_name(action.event, names)
            data = render(action.data, names)
            snapshot.queue.append(Event(name=event, data=data, type="internal"))
        elif isinstance(action, TimerAction):
            self._timer(name, action, snapshot, trace)
        elif isinstance(action, CancelAction):
            started = [each.run_id for each in snapshot.started if each.action == action.action]
            return _cancel_call(name, action, snapshot, started)
        elif isinstance(action, IfAction):
            holds = self._evaluator.prepare(names).holds(action.condition)
            return action.then if holds else action.otherwise
        elif isinstance(action, ForeachAction):
            self._begin_loop(name, action, snapshot, names)
        elif isinstance(action, SendAction):
            return self._send(name, action, snapshot, names)
        else:
            given = action.input if isinstance(action, WorkflowAction) else action.message
            message = render(given, names)
            return Call(name, action, message, f"{snapshot.calls + 1}.{name}")
        return None

    def next_item(self, name: str, snapshot: Snapshot) -> tuple[str, ...] | None:
        """Put the next item of the last loop into the data; return the actions for it.

        Returns:
            None after the last item: the loop is over, and removed.

        Raises:
            OperationError: The action is no ``foreach`` any more, or the item can't be stored.
        """
        loop = snapshot.loops[-1]
        if loop.position >= len(loop.items):
            snapshot.loops = snapshot.loops[:-1]
            return None
        action = self._actions.get(name)
        if not isinstance(action, ForeachAction):  # the definition was amended meanwhile
            raise OperationError("machine.action", f"'{name}' is no longer a foreach", "")
        snapshot.data = with_value(snapshot.data, action.item, loop.items[loop.position])
        if action.index is not None:
            snapshot.data = with_value(snapshot.data, action.index, loop.position)
        further = Loop(items=loop.items, position=loop.position + 1)
        snapshot.loops = (*snapshot.loops[:-1], further)
        return action.actions

    def _begin_loop(
        self, name: str, action: ForeachAction, snapshot: Snapshot, names: Mapping[str, Any]
    ) -> None:
        items = self._evaluator.render(action.items, names)
        if not isinstance(items, list | tuple):
            what = f"'{name}' must have a list of items"
            raise OperationError("machine.foreach", what, f"it is {type(items).__name__}")
        if len(items) > _ITEMS:
            raise OperationError(
                "machine.foreach",
                f"'{name}' has {len(items)} items",
                f"a foreach of a machine has at most {_ITEMS}",
                "start a workflow whose stage has the foreach",
                retryable=False,
            )
        snapshot.loops = (*snapshot.loops, Loop(items=list(items)))

    def _send(
        self, name: str, action: SendAction, snapshot: Snapshot, names: Mapping[str, Any]
    ) -> Call | None:
        event = self._event_name(action.event, names)
        target = str(self._evaluator.render(action.target, names))
        data = self._evaluator.render(action.data, names)
        if target == "#internal":
            snapshot.queue.append(Event(name=event, data=data, type="internal"))
            return None
        sent = Sent(self._targets(name, target, snapshot), event, data)
        return Call(name, action, sent, f"{snapshot.calls + 1}.{name}")

    def _targets(self, name: str, target: str, snapshot: Snapshot) -> list[str]:
        word = target.removeprefix("#")
        if target == "#self":
            found = [str(self._instance["id"])]
        elif target == "#parent":
            found = [parent] if (parent := self._instance.get("parent")) else []
        elif target.startswith("#") and isinstance(self._actions.get(word), WorkflowAction):
            own = [each for each in snapshot.started if each.action == word]
            found = [each.run_id for each in own if not each.cancelled]
        else:
            found = [word] if word else []
        if not found:
            raise OperationError(
                "machine.no_target",
                f"'{name}' has nobody to send to",
                f"there is no run for {target!r:.100}",
                "give the id of a run, #parent, or the name of an action that starts a workflow",
                retryable=False,
            )
        return found

    def _event_name(self, event: str, names: Mapping[str, Any]) -> str:
        """Return the name of an event to be raised or sent.

        Raises:
            ExpressionError: Its template can't be evaluated.
            OperationError: ``machine.event``: the result is no name.
        """
        if not is_template(event):
            return event
        found = self._evaluator.render(event, names)
        if not isinstance(found, str) or not found or len(found) > _EVENT_NAME:
            raise OperationError(
                "machine.event",
                f"'{event}' is not the name of an event",
                f"it is {found!r:.100}",
                "a name is words joined by dots, such as order.paid",
                retryable=False,
            )
        return found

    def _timer(self, name: str, action: TimerAction, snapshot: Snapshot, trace: Trace) -> None:
        names = self.names(snapshot)
        render = self._evaluator.render
        timer = action.timer or name
        if is_template(timer):
            timer = str(render(timer, names))
        if action.cancel:
            self._cancel(timer, snapshot, trace)
            return
        due = due_time(render(action.after, names), render(action.at, names), self._now())
        data = {**render(action.data, names), "timer_id": timer}
        fixed = action.at is not None
        event = self._event_name(action.event, names)
        set_timer = Timer(due=due, event=event, data=data, fixed=fixed)
        self._set(timer, set_timer, snapshot, trace)

    def set_timeout(self, state: str, snapshot: Snapshot, trace: Trace) -> None:
        """Set the timeout of a state that is entered.

        Raises:
            ExpressionError: The template of the time can't be evaluated.
            OperationError: ``machine.timer``: its value is no duration.
        """
        timeout = self._chart.nodes[state].timeout
        assert timeout is not None  # noqa: S101 - the plan has checked it
        after = timeout.after
        if is_template(after):
            after = self._evaluator.render(after, self.names(snapshot))
        due = due_time(after, None, self._now())
        timer = _STATE_TIMER + state
        data = {"state": state, "timer_id": timer}
        self._set(timer, Timer(due=due, event=timeout.event, data=data), snapshot, trace)

    def _set(self, name: str, timer: Timer, snapshot: Snapshot, trace: Trace) -> None:
        snapshot.timers = {**snapshot.timers, name: timer}
        trace.set.append(name)

    def cancel_timeout(self, state: str, snapshot: Snapshot, trace: Trace) -> None:
        """Cancel the timeout of a state that is left."""
        self._cancel(_STATE_TIMER + state, snapshot, trace)

    def _cancel(self, name: str, snapshot: Snapshot, trace: Trace) -> None:
        if name in snapshot.timers:
            snapshot.timers = {key: each for key, each in snapshot.timers.items() if key != name}
            trace.cancelled.append(name)

    def cancel_started(self, state: str, snapshot: Snapshot) -> Call | None:
        """Return the call that cancels what the entry of a state that is left has started."""
        started = [each.run_id for each in snapshot.started if each.state == state]
        return _cancel_call(state, CancelAction(action=""), snapshot, started)

    def result_of(self, state: str, snapshot: Snapshot) -> Any:
        """Return the value of a final state's ``result``.

        Raises:
            ExpressionError: It can't be evaluated.
        """
        found = self._chart.nodes[state].state
        return None if found is None else self._evaluator.render(found.result, self.names(snapshot))

    def names(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return the names for conditions and templates, with their current values."""
        instance = {**self._instance, "states": list(snapshot.active)}
        return {"event": snapshot.event, "data": snapshot.data, "instance": instance}


def _cancel_call(
    name: str, action: CancelAction, snapshot: Snapshot, run_ids: list[str]
) -> Call | None:
    cancelled = {each.run_id for each in snapshot.started if each.cancelled}
    found = [each for each in run_ids if each not in cancelled]
    return Call(name, action, found, f"{snapshot.calls + 1}.{name}") if found else None
