"""Run a machine's actions: local ones at once, the others as a call for the run to make."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    Action,
    CancelAction,
    MessageAction,
    PluginCallAction,
    RaiseAction,
    ScriptAction,
    SetAction,
    TimerAction,
    WorkflowAction,
)
from qtforge_builtin_plugins.orchestrators.reactive.chart import Chart
from qtforge_builtin_plugins.orchestrators.reactive.snapshot import (
    Event,
    Snapshot,
    Timer,
    Trace,
)
from qtforge_builtin_plugins.orchestrators.reactive.times import due_time
from qtforge_sdk.errors import OperationError
from qtforge_sdk.runs import EvaluationScope

__all__ = ["ActionRunner", "Call", "Evaluator"]

_STATE_TIMER: Final = "state:"


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


class Call(NamedTuple):
    """An action that the run carries out before the machine continues.

    Attributes:
        name: The action's name.
        action: A message, a plugin call, a workflow, or the cancelling of workflows.
        message: The rendered message or input; the ids of the runs to cancel.
        step: The step's name, unique in the instance.
    """

    name: str
    action: MessageAction | PluginCallAction | WorkflowAction | CancelAction
    message: Any
    step: str


class ActionRunner:
    """Run actions, which change a `Snapshot`.

    Args:
        actions: The actions by name.
        chart: The machine's states.
        evaluator: Evaluates templates.
        instance: The value of ``instance`` in expressions, without ``states``.
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

    def do(self, name: str, snapshot: Snapshot, trace: Trace) -> Call | None:
        """Run an action, or return its call.

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
                snapshot.data = {**snapshot.data, key: render(template, names)}
                names["data"] = snapshot.data
        elif isinstance(action, ScriptAction):
            found = render("${" + action.expression + "}", names)
            if not isinstance(found, Mapping):
                why = f"it returned {type(found).__name__}"
                raise OperationError("machine.script", f"'{name}' must return a mapping", why)
            snapshot.data = {**snapshot.data, **found}
        elif isinstance(action, RaiseAction):
            snapshot.queue.append(Event(name=action.event, data=render(action.data, names)))
        elif isinstance(action, TimerAction):
            self._timer(name, action, snapshot, trace)
        elif isinstance(action, CancelAction):
            started = [each.run_id for each in snapshot.started if each.action == action.action]
            return _cancel_call(name, action, snapshot, started)
        else:
            given = action.input if isinstance(action, WorkflowAction) else action.message
            message = render(given, names)
            return Call(name, action, message, f"{snapshot.calls + 1}.{name}")
        return None

    def _timer(self, name: str, action: TimerAction, snapshot: Snapshot, trace: Trace) -> None:
        timer = action.timer or name
        if action.cancel:
            self._cancel(timer, snapshot, trace)
            return
        names = self.names(snapshot)
        render = self._evaluator.render
        due = due_time(render(action.after, names), render(action.at, names), self._now())
        data = {**render(action.data, names), "timer_id": timer}
        fixed = action.at is not None
        set_timer = Timer(due=due, event=action.event, data=data, fixed=fixed)
        self._set(timer, set_timer, snapshot, trace)

    def set_timeout(self, state: str, snapshot: Snapshot, trace: Trace) -> None:
        """Set the timeout of a state that is entered."""
        timeout = self._chart.nodes[state].timeout
        assert timeout is not None  # noqa: S101 - the plan has checked it
        due = due_time(timeout.after, None, self._now())
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
