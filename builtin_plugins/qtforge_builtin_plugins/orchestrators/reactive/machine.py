"""The semantics: run to completion, an event at a time, without any input or output.

W3C SCXML (1 September 2015), appendix D. Ours: transitions have priorities; a call that is
answered later (`Call`) holds the machine where it is, and nothing else is handled until then.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Final

from qtforge_builtin_plugins.orchestrators.reactive.actions import MessageAction
from qtforge_builtin_plugins.orchestrators.reactive.actions_runner import Call, Evaluator, Performer
from qtforge_builtin_plugins.orchestrators.reactive.chart import Arrow, Chart
from qtforge_builtin_plugins.orchestrators.reactive.configuration import select
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_builtin_plugins.orchestrators.reactive.microstep import Plan, Planner, Work
from qtforge_builtin_plugins.orchestrators.reactive.snapshot import Event, Snapshot, Trace
from qtforge_sdk.errors import ExpressionError, OperationError
from qtforge_sdk.runs import EvaluationScope

__all__ = ["Machine"]

_MICROSTEPS: Final = 10_000


class Machine:
    """A machine; instances are `Snapshot`s, which its methods change in place.

    Args:
        definition: A valid one.
        evaluator: For conditions and templates.
        instance: What expressions see as ``instance``, besides ``states``.
        now: The time, in UTC.
    """

    def __init__(
        self,
        definition: ReactiveDefinition,
        evaluator: Evaluator,
        instance: Mapping[str, Any],
        now: Callable[[], datetime.datetime],
        planner: Planner | None = None,
    ) -> None:
        self._chart = Chart(definition) if planner is None else planner.chart
        self._planner = planner or Planner(self._chart)
        self._evaluator = evaluator
        self._performer = Performer(definition.actions, self._chart, evaluator, instance, now)

    def start(self, data: dict[str, Any], trace: Trace) -> Snapshot:
        """Return a new instance, about to enter its first states; `advance` does so."""
        snapshot = Snapshot(data=data, event=Event(name="workflow.started", data=data))
        self._begin(snapshot, self._planner.initial(), trace)
        return snapshot

    def take(self, snapshot: Snapshot, event: Event, trace: Trace) -> bool:
        """Take an event from outside; `advance` does what it causes.

        Args:
            snapshot: Stable: `advance` has returned None.
            event: What happened.
            trace: Hears of it.

        Returns:
            Whether a transition takes it.

        Raises:
            ExpressionError: A condition can't be told; the snapshot is as it was.
        """
        if event.name == "":
            return False  # no name is how a transition says that it needs no event
        configuration = self._planner.named(snapshot.active)
        before, snapshot.event = snapshot.event, event
        try:
            arrows = select(
                configuration, event.name, self._holder(snapshot), self._memory(snapshot)
            )
        except ExpressionError:
            snapshot.event = before
            raise
        if not arrows:
            return False
        plan = self._planner.plan(configuration, arrows, self._memory(snapshot))
        self._begin(snapshot, plan, trace)
        return True

    def advance(self, snapshot: Snapshot, trace: Trace) -> Call | None:
        """Go on until a call has to be made, or nothing is left to do.

        Returns:
            The call, which `answered` or `failed` ends; None when the machine is stable or
            has ended.

        Raises:
            OperationError: ``machine.endless``: it goes round and round without an event.
        """
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
            f"the machine took {_MICROSTEPS} steps without an event and did not come to rest",
            f"it is in {', '.join(snapshot.active)}",
            "look at its transitions without a trigger, and at the events that it raises itself",
            retryable=False,
        )

    def answered(self, snapshot: Snapshot, call: Call, answer: Any) -> None:
        """Go on behind a call: its answer goes into ``data`` where the action says so."""
        result = None if isinstance(call.action, MessageAction) else call.action.result
        if result is not None:
            snapshot.data = {**snapshot.data, result: answer}
        snapshot.pending.pop(0)
        snapshot.calls += 1  # not before: what was kept in the middle makes the same call again

    def failed(
        self, snapshot: Snapshot, call: Call, error: Mapping[str, Any], trace: Trace
    ) -> None:
        """Go on behind a call that failed: the rest of its block is left out."""
        snapshot.calls += 1
        self._fail(snapshot, call.name, dict(error), trace)

    def accepts(self, snapshot: Snapshot) -> list[tuple[str, str, str | None]]:
        """Return (trigger, transition, condition) of what may be taken now, innermost first."""
        arrows = self._planner.named(snapshot.active).arrows()
        return [(arrow.trigger, arrow.name, arrow.condition) for arrow in arrows if arrow.trigger]

    def explain_rejection(self, snapshot: Snapshot, event: Event) -> str:
        """Return in words why no transition takes an event."""
        configuration = self._planner.named(snapshot.active)
        where = ", ".join(configuration.names)
        arrows = {
            arrow.name: arrow for each in configuration.candidates(event.name) for arrow in each
        }
        if not arrows:
            known = sorted({arrow.trigger for arrow in configuration.arrows() if arrow.trigger})
            accepts = f"it accepts {', '.join(known)}" if known else "it accepts no event"
            return f"no transition from '{where}' takes '{event.name}'; {accepts}"
        reasons = [f"'{name}' wants {arrow.condition}" for name, arrow in arrows.items()]
        return f"in '{where}' no condition holds: {'; '.join(reasons)}"

    def _microstep(self, snapshot: Snapshot, trace: Trace) -> bool:
        """Begin the next microstep that needs no event from outside; return whether there is."""
        configuration = self._planner.named(snapshot.active)
        memory, holds = self._memory(snapshot), self._holder(snapshot)
        try:
            arrows = select(configuration, "", holds, memory)
            while not arrows and snapshot.queue:
                snapshot.event = event = snapshot.queue.pop(0)
                arrows = select(configuration, event.name, holds, memory)
                if not arrows:
                    self._unheard(snapshot, event, trace)
                    arrows = select(configuration, "", holds, memory)  # they may look at it
        except ExpressionError as error:
            snapshot.failed = str(error)
            return True
        if arrows:
            self._begin(snapshot, self._planner.plan(configuration, arrows, memory), trace)
            return True
        return snapshot.failed is not None

    def _end(self, snapshot: Snapshot, trace: Trace) -> None:
        """Give up what is left; an error that was not handled before the end is a failure."""
        snapshot.timers = {}
        while snapshot.queue:
            self._unheard(snapshot, snapshot.queue.pop(0), trace)
        if snapshot.failed is not None:
            snapshot.finished = None

    def _unheard(self, snapshot: Snapshot, event: Event, trace: Trace) -> None:
        if event.name.startswith("error."):
            message = event.data.get("message", "") if isinstance(event.data, dict) else ""
            snapshot.failed = f"{event.name.removeprefix('error.')} failed: {message}"
            snapshot.queue.clear()
        else:
            trace.ignored.append(event.name)

    def _begin(self, snapshot: Snapshot, plan: Plan, trace: Trace) -> None:
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
                    call = self._performer.do(work.name, snapshot, trace)
                except (ExpressionError, OperationError) as error:
                    self._fail(
                        snapshot, work.name, {"code": error.code, "message": str(error)}, trace
                    )
                    continue
                if call is not None:
                    return call
            elif work.kind == "raise":
                snapshot.queue.append(Event(name=work.name))
            elif work.kind == "set_timeout":
                self._performer.set_timeout(work.name, snapshot, trace)
            elif work.kind == "clear_timeout":
                self._performer.cancel_timeout(work.name, snapshot, trace)
            else:
                snapshot.finished = work.name
            snapshot.pending.pop(0)
        return None

    def _fail(self, snapshot: Snapshot, action: str, error: dict[str, Any], trace: Trace) -> None:
        """Raise SCXML's error event and leave the rest of the block out, or only warn."""
        if not self._performer.is_required(action):
            trace.warnings.append(f"{action}: {error.get('message', '')}")
            snapshot.pending.pop(0)
            return
        block = snapshot.pending[0].block
        rest = [work for work in snapshot.pending[1:] if work.kind != "do" or work.block != block]
        snapshot.pending = rest
        snapshot.queue.append(Event(name=f"error.{action}", data={**error, "action": action}))

    def _holder(self, snapshot: Snapshot) -> Callable[[Arrow], bool]:
        ready: list[tuple[Event | None, EvaluationScope]] = []  # of the event that it was made for

        def holds(arrow: Arrow) -> bool:
            if not ready or ready[0][0] is not snapshot.event:
                ready[:] = [
                    (snapshot.event, self._evaluator.prepare(self._performer.names(snapshot)))
                ]
            assert arrow.condition is not None  # noqa: S101 - `select` has looked
            return ready[0][1].holds(arrow.condition)

        return holds

    def _memory(self, snapshot: Snapshot) -> Mapping[str, Any]:
        if not snapshot.memory:
            return snapshot.memory
        nodes = self._chart.nodes
        return {name: [nodes[each] for each in kept] for name, kept in snapshot.memory.items()}
