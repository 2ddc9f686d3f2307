"""The semantics: run to completion, one event at a time, without input or output.

W3C SCXML (1 September 2015), appendix D, with two additions: transitions have priorities, and
the machine stops at a call (`Call`) and handles nothing else until it is answered.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.orchestrators.reactive.actions import (
    CancelAction,
    PluginCallAction,
    WorkflowAction,
)
from qtforge_builtin_plugins.orchestrators.reactive.actions_runner import (
    ActionRunner,
    Call,
    Evaluator,
)
from qtforge_builtin_plugins.orchestrators.reactive.chart import Chart, Transition
from qtforge_builtin_plugins.orchestrators.reactive.configuration import select
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_builtin_plugins.orchestrators.reactive.microstep import Plan, Planner, Work
from qtforge_builtin_plugins.orchestrators.reactive.paths import with_value
from qtforge_builtin_plugins.orchestrators.reactive.snapshot import (
    Event,
    Snapshot,
    StartedWorkflow,
    Trace,
)
from qtforge_sdk.errors import ExpressionError, OperationError
from qtforge_sdk.runs import EvaluationScope

__all__ = ["Machine"]

_MICROSTEPS: Final = 10_000
_ROUNDS: Final = 10_000  # of `if` and `foreach`, between two calls


class Machine:
    """A machine; instances are `Snapshot`s, which its methods change in place.

    Args:
        definition: A valid definition.
        evaluator: Evaluates conditions and templates.
        instance: The value of ``instance`` in expressions, without ``states``.
        now: Returns the time, in UTC.
        planner: The definition's planner, if there is one already.
    """

    def __init__(
        self,
        definition: ReactiveDefinition,
        evaluator: Evaluator,
        instance: Mapping[str, Any],
        now: Callable[[], datetime.datetime],
        planner: Planner | None = None,
    ) -> None:
        self._continues = definition.on_failure == "continue"
        self._unreadable: set[str] = set()  # conditions whose failures were raised, by transition
        self._rounds = 0
        self._chart = Chart(definition) if planner is None else planner.chart
        self._planner = planner or Planner(self._chart)
        self._evaluator = evaluator
        self._actions = ActionRunner(definition.actions, self._chart, evaluator, instance, now)

    def start(self, data: dict[str, Any], trace: Trace) -> Snapshot:
        """Return a new instance; `advance` enters its first states."""
        snapshot = Snapshot(data=data, event=Event(name="workflow.started", data=data))
        self._begin(snapshot, self._planner.initial(), trace)
        return snapshot

    def take(self, snapshot: Snapshot, event: Event, trace: Trace) -> bool:
        """Take an external event; `advance` carries out its effects.

        Args:
            snapshot: A stable one: `advance` has returned None.
            event: The event.
            trace: Collects what happens.

        Returns:
            Whether a transition takes the event.

        Raises:
            ExpressionError: A condition can't be evaluated; the snapshot is unchanged.
        """
        if event.name == "":
            return False  # an empty trigger means that a transition needs no event
        configuration = self._planner.named(snapshot.active)
        self._unreadable.clear()
        before, snapshot.event = snapshot.event, event
        try:
            transitions = select(
                configuration, event.name, self._holder(snapshot), self._memory(snapshot)
            )
        except ExpressionError:
            snapshot.event = before
            raise
        if not transitions:
            return False
        plan = self._planner.plan(configuration, transitions, self._memory(snapshot))
        self._begin(snapshot, plan, trace)
        return True

    def advance(self, snapshot: Snapshot, trace: Trace) -> Call | None:
        """Run until a call has to be made, or the machine is stable.

        Returns:
            The call, which `answered` or `failed` completes; None when the machine is stable
            or has ended.

        Raises:
            OperationError: ``machine.endless``: it takes transitions or repeats actions forever
                without an event.
        """
        self._rounds = 0
        for _ in range(_MICROSTEPS):
            call = self._work(snapshot, trace)
            if call is not None:
                return call
            if snapshot.finished is not None or snapshot.failed is not None:
                self._end(snapshot, trace)
                return None
            if not self._microstep(snapshot, trace):
                return None
        raise OperationError(
            "machine.endless",
            f"the machine took {_MICROSTEPS} steps without an event and did not become stable",
            f"it is in {', '.join(snapshot.active)}",
            "check its transitions without a trigger, and the events that it raises itself",
            retryable=False,
        )

    def answered(self, snapshot: Snapshot, call: Call, answer: Any) -> None:
        """Complete a call: store its answer in ``data`` if the action has a ``result``.

        Raises:
            OperationError: ``machine.path``: the data has no place for it; `failed` completes the
                call.
        """
        action = call.action
        if isinstance(action, WorkflowAction):
            state = "" if action.keep else snapshot.pending[0].state
            started = StartedWorkflow(run_id=answer, action=call.name, state=state)
            snapshot.started = [*snapshot.started, started]
        elif isinstance(action, CancelAction):
            snapshot.started = [
                msgspec.structs.replace(each, cancelled=True)
                if each.run_id in call.message
                else each
                for each in snapshot.started
            ]
        if isinstance(action, PluginCallAction | WorkflowAction) and action.result is not None:
            snapshot.data = with_value(snapshot.data, action.result, answer)
        snapshot.pending.pop(0)
        snapshot.calls += 1  # only now: a checkpoint before the answer makes the same call again

    def failed(
        self, snapshot: Snapshot, call: Call, error: Mapping[str, Any], trace: Trace
    ) -> None:
        """Complete a call that failed: skip the rest of its block."""
        snapshot.calls += 1
        self._fail(snapshot, call.name, dict(error), trace)

    def is_cancelled(self, snapshot: Snapshot, run_id: object) -> bool:
        """Note that a workflow has ended; return whether the machine had cancelled it."""
        ended = [each for each in snapshot.started if each.run_id == run_id]
        if ended:
            snapshot.started = [each for each in snapshot.started if each.run_id != run_id]
        return any(each.cancelled for each in ended)

    def accepts(self, snapshot: Snapshot) -> list[tuple[str, str, str | None]]:
        """Return (trigger, transition, condition) of what can be taken now, innermost first."""
        transitions = self._planner.named(snapshot.active).transitions()
        return [
            (transition.trigger, transition.name, transition.condition)
            for transition in transitions
            if transition.trigger
        ]

    def explain_rejection(self, snapshot: Snapshot, event: Event) -> str:
        """Return a sentence that says why no transition takes an event."""
        configuration = self._planner.named(snapshot.active)
        where = ", ".join(configuration.names)
        transitions = {
            transition.name: transition
            for each in configuration.candidates(event.name)
            for transition in each
        }
        if not transitions:
            known = sorted(
                {
                    transition.trigger
                    for transition in configuration.transitions()
                    if transition.trigger
                }
            )
            accepts = f"it accepts {', '.join(known)}" if known else "it accepts no event"
            return f"no transition from '{where}' takes '{event.name}'; {accepts}"
        reasons = [
            f"'{name}' requires {transition.condition}" for name, transition in transitions.items()
        ]
        return f"in '{where}' no condition holds: {'; '.join(reasons)}"

    def _microstep(self, snapshot: Snapshot, trace: Trace) -> bool:
        """Start the next microstep that needs no external event; return whether there is one."""
        configuration = self._planner.named(snapshot.active)
        memory, holds = self._memory(snapshot), self._holder(snapshot)
        try:
            transitions = select(configuration, "", holds, memory)
            while not transitions and snapshot.queue:
                snapshot.event = event = snapshot.queue.pop(0)
                transitions = select(configuration, event.name, holds, memory)
                if not transitions:
                    self._ignore(snapshot, event, trace)
                    transitions = select(configuration, "", holds, memory)  # may use the event
        except ExpressionError as error:
            snapshot.failed = str(error)
            return True
        if transitions:
            self._begin(snapshot, self._planner.plan(configuration, transitions, memory), trace)
            return True
        return snapshot.failed is not None

    def _end(self, snapshot: Snapshot, trace: Trace) -> None:
        """Drop timers and events; an unhandled error event makes the end a failure."""
        snapshot.timers = {}
        decided = snapshot.failed
        while snapshot.queue:
            self._ignore(snapshot, snapshot.queue.pop(0), trace)
        if decided is not None:
            snapshot.failed = decided
        if snapshot.failed is not None:
            snapshot.finished = None

    def _ignore(self, snapshot: Snapshot, event: Event, trace: Trace) -> None:
        if event.name.startswith("error."):
            message = event.data.get("message", "") if isinstance(event.data, dict) else ""
            name = event.name.removeprefix("error.")
            if self._continues:
                trace.warnings.append(f"{name}: {message}")
                return
            snapshot.failed = f"{name} failed: {message}"
            snapshot.queue.clear()
        else:
            trace.ignored.append(event.name)

    def _begin(self, snapshot: Snapshot, plan: Plan, trace: Trace) -> None:
        if self._unreadable:
            self._unreadable.clear()
        trace.transitions.extend(plan.transitions)
        trace.exited.extend(plan.exited)
        trace.entered.extend(plan.entered)
        snapshot.active = plan.after.names
        if plan.memory:
            snapshot.memory = {**snapshot.memory, **plan.memory}
        if plan.work:
            snapshot.pending.extend(plan.work)
        if plan.finished is not None:
            snapshot.pending.append(Work("finish", plan.finished, -1))

    def _work(self, snapshot: Snapshot, trace: Trace) -> Call | None:
        while snapshot.pending:
            work = snapshot.pending[0]
            if work.kind == "do":
                try:
                    found = self._actions.do(work.name, snapshot, trace)
                except (ExpressionError, OperationError) as error:
                    self._fail(snapshot, work.name, _told(error), trace)
                    continue
                if found is not None:
                    if isinstance(found, Call):
                        return found
                    self._splice(snapshot, found, work, ())
                    continue
                if snapshot.loops and self._actions.is_loop(work.name):
                    self._splice(snapshot, (), work, (work._replace(kind="next"),))
                    continue
            elif work.kind == "next":
                try:
                    actions = self._actions.next_item(work.name, snapshot)
                except OperationError as error:
                    self._fail(snapshot, work.name, _told(error), trace)
                    continue
                if actions is not None:
                    self._splice(snapshot, actions, work, (work,))
                    continue
            elif work.kind == "cancel":
                call = self._actions.cancel_started(work.name, snapshot)
                if call is not None:
                    return call
            elif work.kind == "raise":
                self._raise_done(snapshot, work)
            elif work.kind == "set_timeout":
                try:
                    self._actions.set_timeout(work.name, snapshot, trace)
                except (ExpressionError, OperationError) as error:
                    self._skip_block(snapshot, work.name, _told(error))
                    continue
            elif work.kind == "clear_timeout":
                self._actions.cancel_timeout(work.name, snapshot, trace)
            else:
                self._finish(snapshot, work.name)
            snapshot.pending.pop(0)
        return None

    def _splice(
        self, snapshot: Snapshot, actions: Sequence[str], work: Work, then: Sequence[Work]
    ) -> None:
        """Put actions, and other work after them, in the place of the first pending work.

        Raises:
            OperationError: ``machine.endless``: that was done too often without a call.
        """
        self._rounds += 1
        if self._rounds > _ROUNDS:
            raise OperationError(
                "machine.endless",
                f"the machine repeated actions {_ROUNDS} times without an event",
                f"the last one was '{work.name}'",
                "check its actions of the types 'if' and 'foreach'; one must not lead to itself",
                retryable=False,
            )
        own = [Work("do", name, work.block, work.state) for name in actions]
        snapshot.pending[0:1] = [*own, *then]

    def _raise_done(self, snapshot: Snapshot, work: Work) -> None:
        """Raise the event of the end of a state; its data is the result of the final state."""
        data = None
        if work.state:
            try:
                data = self._actions.result_of(work.state, snapshot)
            except ExpressionError as error:
                snapshot.queue.append(_failure(work.state, _told(error)))
        snapshot.queue.append(Event(name=work.name, data=data, type="platform"))

    def _finish(self, snapshot: Snapshot, final: str) -> None:
        """End the machine in a final state, which may fail the run."""
        node = self._chart.nodes[final]
        fails = None if node.state is None else node.state.fail
        snapshot.finished = final
        if fails is not None:
            snapshot.code = fails.code
            try:
                message = self._evaluator.render(fails.message, self._actions.names(snapshot))
            except ExpressionError as error:
                message = f"{fails.message} ({error})"
            snapshot.failed = str(message)

    def _fail(self, snapshot: Snapshot, action: str, error: dict[str, Any], trace: Trace) -> None:
        """Raise SCXML's error event and skip the rest of the block, or only warn."""
        if not self._actions.is_required(action):
            trace.warnings.append(f"{action}: {error.get('message', '')}")
            snapshot.pending.pop(0)
            return
        self._skip_block(snapshot, action, error)

    def _skip_block(self, snapshot: Snapshot, name: str, error: dict[str, Any]) -> None:
        block = snapshot.pending[0].block
        snapshot.pending = [
            work
            for work in snapshot.pending[1:]
            if work.block != block or work.kind not in ("do", "next")
        ]
        snapshot.loops = ()  # each is of this block: another one begins after it
        snapshot.queue.append(_failure(name, error))

    def _holder(self, snapshot: Snapshot) -> Callable[[Transition], bool]:
        ready: list[tuple[Event | None, EvaluationScope]] = []  # and its event

        def holds(transition: Transition) -> bool:
            if not ready or ready[0][0] is not snapshot.event:
                ready[:] = [
                    (snapshot.event, self._evaluator.prepare(self._actions.names(snapshot)))
                ]
            assert transition.condition is not None  # noqa: S101 - `select` has checked it
            return ready[0][1].holds(transition.condition)

        def holds_or_raises(transition: Transition) -> bool:
            try:
                return holds(transition)
            except ExpressionError as error:
                if transition.name not in self._unreadable:  # else it would be raised forever
                    self._unreadable.add(transition.name)
                    snapshot.queue.append(_failure(transition.name, _told(error)))
                return False

        return holds_or_raises if self._continues else holds

    def _memory(self, snapshot: Snapshot) -> Mapping[str, Any]:
        if not snapshot.memory:
            return snapshot.memory
        nodes = self._chart.nodes
        return {name: [nodes[each] for each in kept] for name, kept in snapshot.memory.items()}


def _told(error: ExpressionError | OperationError) -> dict[str, Any]:
    return {"code": error.code, "message": str(error)}


def _failure(name: str, error: Mapping[str, Any]) -> Event:
    """Return SCXML's error event of what failed: an action, a state or a condition."""
    return Event(name=f"error.{name}", data={**error, "action": name}, type="platform")
