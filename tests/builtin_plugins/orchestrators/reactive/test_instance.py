"""A machine's life in a run: what is kept when, what is asked, and how timers come."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
import pytest
from tests.builtin_plugins.orchestrators.reactive.driving import NOW, Evaluator
from tests.builtin_plugins.orchestrators.reactive.machines import APPROVAL, END, machine, made

from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator
from qtforge_sdk import Run
from qtforge_sdk.checkpoints import Checkpoint, Ended, ReceivedEvent
from qtforge_sdk.errors import OperationError, StageFailedError


class Rest(Exception):
    """The run rests: there is no event."""


class FakeRun(Evaluator):
    """Keeps what it is given as a journal would, and forgets everything else.

    Args:
        definition: The machine.
        bad: Steps that fail.
    """

    id = "r1"
    parent_id: str | None = "r0"

    def __init__(self, definition: ReactiveDefinition, bad: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.definition = definition
        self.bad = bad
        self.events: list[ReceivedEvent] = []
        self.records: list[Checkpoint] = []
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {}
        self.at = NOW

    @property
    def checkpoint_state(self) -> Any:
        return msgspec.msgpack.decode(self.packed) if self.records else None

    @property
    def checkpoint_definition(self) -> ReactiveDefinition:
        return self.definition

    @property
    def packed(self) -> bytes:
        return msgspec.msgpack.encode(self.records[-1].state)

    def now(self) -> datetime.datetime:
        return self.at

    async def compute(self, function: Callable[[], Any]) -> Any:
        function()  # as where a costly expression was evaluated elsewhere in between
        return function()

    def render(self, template: object, names: Any = None) -> Any:
        run = {"id": self.id, "workflow": "m", "started_at": NOW.isoformat()}
        return super().render(template, {"input": {"document": "d"}, "run": run, **(names or {})})

    async def checkpoint(self, kept: Checkpoint) -> None:
        self.records.append(kept)

    async def next_event(self) -> ReceivedEvent:
        if not self.events:
            raise Rest
        return self.events.pop(0)

    async def request(self, step: str, topic: str, message: Any, **options: Any) -> Any:
        return self._answer(step, topic, message)

    async def publish(self, step: str, topic: str, message: Any) -> None:
        self._answer(step, topic, message)

    async def start_workflow(
        self, name: str, given: Any, *, step: str, event: str, independent: bool
    ) -> str:
        self._answer(step, name, given)
        return f"child for {event}"

    async def cancel_workflows(self, run_ids: Sequence[str], *, step: str) -> None:
        self._answer(step, "cancel", list(run_ids))

    async def send_event(
        self, run_ids: Sequence[str], event: str, data: Any = None, *, step: str
    ) -> None:
        self._answer(step, event, {"to": list(run_ids), "data": data})

    def _answer(self, step: str, topic: str, message: Any) -> Any:
        if step not in self.answers:
            self.asked.append((step, message))
            if step.partition(".")[2] in self.bad:
                raise StageFailedError(step, "no") from OperationError("x.bad", "it was bad")
            self.answers[step] = f"answer of {topic}"
        return self.answers[step]

    def send(self, name: str, data: Any = None, **more: Any) -> ReceivedEvent:
        event = ReceivedEvent(
            event_id=f"e{len(self.records)}", name=name, data=data, at=self.at, **more
        )
        self.events.append(event)
        return event

    def live(self) -> Ended | None:
        """Go on in a new process until there is nothing to do; return its end, if any."""

        async def main() -> Ended | None:
            try:
                return cast(Ended, await ReactiveOrchestrator().execute(cast(Run, self)))
            except Rest:
                return None

        return asyncio.run(main())


def test_what_led_to_a_state_is_kept_with_it() -> None:
    run = FakeRun(machine(APPROVAL))
    assert run.live() is None
    *_, last = run.records
    assert (last.label, last.event, last.busy) == ("under_review", None, False)
    assert last.accepts == ("review.overdue", "review.reminder", "user.action")
    assert {name for each in run.records for name in each.timers_set} == {
        "state:under_review",
        "reminder",
    }
    sent = run.send("user.action", {"action": "request_changes"})
    assert run.live() is None
    last = run.records[-1]
    assert (last.event, last.outcome) == (sent, "taken")
    assert last.trace["transitions"] == ["request_changes"]
    assert set(last.timers_gone) == {"state:under_review", "reminder"}
    assert set(last.timers_set) == {"state:changes_requested"}


def test_a_machine_that_ends_at_once_is_kept_and_gives_its_result() -> None:
    run = FakeRun(made({"a": {}, **END}, {"from": "a", "to": "end"}))
    ended = run.live()
    assert ended is not None
    assert ended.result == {"state": "end", "data": {}}
    assert ended.names["instance"]["states"] == ["end"]
    assert len(run.records) == 1


def test_a_run_that_died_before_its_end_was_recorded_ends_again() -> None:
    run = FakeRun(made({"a": {}, **END}, {"from": "a", "to": "end"}))
    first = run.live()
    assert run.live() == first
    assert len(run.records) == 1


def test_the_event_is_kept_with_the_call_that_follows_before_it_is_made() -> None:
    actions: Any = {"ask": {"type": "plugin_call", "operation": "o", "result": "got"}}
    way = {"from": "a", "to": "end", "trigger": "go", "actions": ["ask"]}
    run = FakeRun(made({"a": {}, **END}, way, actions=actions))
    run.live()
    sent = run.send("go")
    run.live()
    (busy,) = run.records[1:]  # and nothing after it: a run that ends says so itself
    assert (busy.event, busy.busy) == (sent, True)
    ended = run.live()
    assert ended is not None
    assert ended.result["data"] == {"got": "answer of o"}
    assert run.asked == [("1.ask", {})]


def test_an_event_that_nothing_takes_is_kept_with_the_reason_and_the_values() -> None:
    run = FakeRun(machine(APPROVAL))
    run.live()
    run.send("user.action", {"action": "dance"})
    run.send("elsewhere")
    run.send("user.action", {})
    run.live()
    values, nowhere, untold = (each.outcome for each in run.records[-3:])
    assert "'approve' requires event.data.action == 'approve'" in values
    assert "(event.data.action is 'dance')" in values
    assert "no transition from 'under_review' takes 'elsewhere'" in nowhere
    assert "cannot evaluate" in untold
    assert [each.label for each in run.records[-3:]] == ["under_review"] * 3


def test_a_value_is_shown_without_the_function_that_a_condition_calls_on_it() -> None:
    condition = "event.data.names.contains('x')"
    way = {"from": "a", "to": "end", "trigger": "go", "condition": condition}
    run = FakeRun(made({"a": {}, **END}, way))
    run.live()
    run.send("go", {"names": ["y"]})
    run.live()
    assert run.records[-1].outcome.endswith("(event.data.names is ['y'])")


def test_a_timer_that_is_due_raises_its_event_once_and_says_how_late_it_is() -> None:
    states = {"a": {"timeout": "1h"}, **END}
    way = {"from": "a", "to": "end", "trigger": "timer", "condition": "event.late_s > 5.0"}
    run = FakeRun(made(states, way))
    run.live()
    due = run.records[-1].timers_set["state:a"]
    run.at = due
    run.send("state:a", timer=True, late_s=1.0)
    run.send("state:a", timer=True, late_s=9.0)
    assert run.live() is None
    early, again = run.records[-2:]
    assert "requires event.late_s > 5.0" in early.outcome
    assert early.timers_gone == ("state:a",)
    assert again.outcome == "the timer was cancelled or replaced before it fired"


def test_a_late_timer_is_an_event_like_any_other() -> None:
    way = {"from": "a", "to": "end", "trigger": "timer", "condition": "event.late_s > 5.0"}
    run = FakeRun(made({"a": {"timeout": "1h"}, **END}, way))
    run.live()
    run.at = run.records[-1].timers_set["state:a"]
    run.send("state:a", timer=True, late_s=9.0)
    ended = run.live()
    assert ended is not None
    assert ended.names["event"].data == {"state": "a", "timer_id": "state:a"}


def test_a_timer_that_was_set_anew_is_not_fired_by_its_old_time() -> None:
    run = FakeRun(made({"a": {"timeout": "1h"}, **END}, ("a", "again", "a"), ("a", "timer", "end")))
    run.live()
    old = run.records[-1].timers_set["state:a"]
    run.at += datetime.timedelta(minutes=30)
    run.send("again")
    run.live()
    assert run.records[-1].timers_gone == ()
    run.at = old
    run.send("state:a", timer=True)
    assert run.live() is None
    assert run.records[-1].timers_gone == ()
    assert "state:a" in run.checkpoint_state["timers"]


def test_a_failing_call_that_no_transition_takes_fails_the_run() -> None:
    run = FakeRun(machine(APPROVAL), bad=("archive",))
    run.live()
    run.send("user.action", {"action": "approve"})
    with pytest.raises(OperationError, match=r"archive failed: .*bad") as caught:
        run.live()
    assert caught.value.code == "machine.failed"


def test_a_message_that_can_not_be_published_is_an_error_event_with_its_code() -> None:
    actions: Any = {"tell": {"type": "message", "topic": "t"}}
    way = {"from": "a", "trigger": "go", "actions": ["tell"]}
    run = FakeRun(
        made({"a": {}, **END}, way, ("a", "error.tell", "end"), actions=actions), ("tell",)
    )
    run.live()
    run.send("go")
    ended = run.live()
    assert ended is not None
    assert ended.names["event"].data["code"] == "x.bad"


@pytest.mark.parametrize(("status", "end"), [("succeeded", "end"), ("failed", "bad_end")])
def test_the_end_of_a_workflow_that_it_started_is_an_event(status: str, end: str) -> None:
    actions: Any = {"child": {"type": "workflow", "workflow": "other", "result": "child"}}
    states = {"a": {"entry": ["child"]}, **END, "bad_end": {"final": True}}
    ways = [("a", "done.workflow.child", "end"), ("a", "error.workflow.child", "bad_end")]
    run = FakeRun(made(states, *ways, actions=actions))
    run.live()
    run.send("workflow.child", {"run_id": "r2", "status": status})
    ended = run.live()
    assert ended is not None
    assert ended.result == {"state": end, "data": {"child": "child for workflow.child"}}


def test_an_amended_definition_holds_from_the_next_event_on() -> None:
    run = FakeRun(made({"a": {}, **END}, ("a", "go", "end")))
    run.live()

    def amended() -> Callable[[], Any]:
        receive = run.next_event

        async def next_event() -> ReceivedEvent:
            run.definition = made({"a": {}, **END}, ("a", "stop", "end"))
            return await receive()

        return next_event

    run.next_event = amended()  # type: ignore[method-assign]
    run.send("go")
    run.send("stop")
    ended = run.live()
    assert ended is not None
    assert "no transition from 'a' takes 'go'" in run.records[-2].outcome
