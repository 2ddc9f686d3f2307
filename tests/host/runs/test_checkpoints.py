"""State machines that failed, and are done again from before what failed."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

from qtforge_host.runs.checkpoints import restored
from qtforge_host.runs.errors import StatefulRunError
from qtforge_host.runs.reset import ResetAmendment, forked, reset_run
from qtforge_sdk.journal import InboxEntry, InboxMessage
from qtforge_sdk.records import (
    CheckpointSaved,
    RunAmended,
    RunReset,
    RunStarted,
    StepStarted,
    StepSucceeded,
)

MACHINE = """
initial = "idle"
data = { seen = [], divisor = 0 }
[states.idle]
entry = ["hello"]
[states.busy]
entry = ["one", "two", "three"]
[states.end]
final = true
[[transitions]]
name = "go"
from = "idle"
to = "busy"
trigger = "go"
actions = ["note"]
[[transitions]]
name = "mend"
from = "idle"
trigger = "mend"
actions = ["note", "repair"]
[[transitions]]
name = "divide"
from = "idle"
trigger = "divide"
actions = ["note", "quotient"]
[[transitions]]
name = "leave"
from = "busy"
to = "end"
trigger = "leave"
[actions.note]
type = "set"
values = { seen = "${data.seen + [event.name]}" }
[actions.repair]
type = "set"
values = { divisor = 2 }
[actions.quotient]
type = "set"
values = { quotient = "${4 / data.divisor}" }
[actions.hello]
type = "plugin_call"
operation = "do.ok"
[actions.one]
type = "plugin_call"
operation = "do.ok"
[actions.two]
type = "plugin_call"
operation = "do.ok"
[actions.three]
type = "plugin_call"
operation = "do.ok"
"""
ENDLESS = """
initial = "idle"
data = { on = false }
[states.idle]
timeout = { after = "1h", event = "late" }
[states.end]
final = true
[[transitions]]
name = "turn"
from = "idle"
condition = "data.on"
[[transitions]]
name = "go"
from = "idle"
trigger = "go"
actions = ["set"]
[[transitions]]
name = "late"
from = "idle"
to = "end"
trigger = "late"
actions = ["%s"]
[actions.set]
type = "set"
values = { on = true }
[actions.fail]
type = "plugin_call"
operation = "do.wrong"
"""


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


async def begun(lab: Any, text: str) -> str:
    state = await asyncio.wait_for(lab.engine.execute(lab.machine(text), {}), 60)
    return str(state.run_id)


async def again(lab: Any, run_id: str) -> list[str]:
    return await reset_run(lab.client(), run_id, at=lab.clock.now())


def test_a_call_that_failed_is_made_again_and_those_before_it_are_not(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.failures["3.two"] = 1
        run_id = await begun(lab, MACHINE)
        await lab.post(run_id, "event", "go")
        state = await lab.resume(run_id)
        assert (state.status, state.error.code) == ("failed", "machine.failed")
        assert await again(lab, run_id) == ["3.two"]
        assert await lab.status(run_id) == "running"
        assert (await lab.resume(run_id, note="retried")).status == "waiting"
        assert lab.desk.asked == ["1.hello", "2.one", "3.two", "3.two", "4.three"]
        kept = await lab.kept(run_id)
        assert (kept.label, kept.state["data"]["seen"]) == ("busy", ["go"])
        await lab.post(run_id, "event", "leave")
        assert (await lab.resume(run_id)).status == "succeeded"

    play(case)


def test_a_call_that_failed_is_made_again_as_an_amendment_of_the_retry_says(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.failures["3.two"] = 1
        run_id = await begun(lab, MACHINE)
        await lab.post(run_id, "event", "go")
        assert (await lab.resume(run_id)).status == "failed"
        workflows = lab.engine.workflows
        patch = [{"op": "replace", "path": "/actions/two/message", "value": {"n": 2}}]
        changes = ResetAmendment(workflows.recorded, patch, workflows.check)
        await reset_run(lab.client(), run_id, at=lab.clock.now(), amend=changes)
        assert (await lab.resume(run_id, note="retried")).status == "waiting"
        answers = {each.step: each.data for each in await lab.records(run_id, StepSucceeded)}
        assert answers["3.two"]["n"] == 2

    play(case)


def test_what_a_retry_repeats_is_as_it_began_though_the_run_is_amended_meanwhile(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.failures["3.two"] = 1
        run_id = await begun(lab, MACHINE)
        await lab.post(run_id, "event", "go")
        assert (await lab.resume(run_id)).status == "failed"
        workflows = lab.engine.workflows
        patch = [{"op": "replace", "path": "/actions/two/message", "value": {"n": 2}}]
        changes = ResetAmendment(workflows.recorded, patch, workflows.check)
        await reset_run(lab.client(), run_id, at=lab.clock.now(), amend=changes)
        later = [
            {"op": "replace", "path": "/actions/two/message/n", "value": 3},
            {"op": "replace", "path": "/actions/three/message", "value": {"n": 3}},
        ]
        await lab.post(run_id, "amend", data={"patch": later})
        await lab.start(lambda it: isinstance(it, StepStarted), after=True)
        await lab.dies(lab.engine.resume(run_id))
        assert len(await lab.records(run_id, RunAmended)) == 2
        assert (await lab.resume(run_id)).status == "waiting"
        answers = {each.step: each.data for each in await lab.records(run_id, StepSucceeded)}
        assert (answers["3.two"]["n"], "n" in answers["4.three"]) == (2, False)

    play(case)


def test_an_event_that_failed_before_any_call_is_handled_again_before_others(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, MACHINE)
        await lab.post(run_id, "event", "divide", {"n": 1})
        await lab.post(run_id, "event", "mend")
        assert (await lab.resume(run_id)).status == "failed"
        found = await again(lab, run_id)
        assert found == ["the event divide", "the event mend"]
        assert (await lab.resume(run_id)).status == "failed"  # nothing has changed
        assert lab.desk.asked == ["1.hello"]
        assert await again(lab, run_id) == found

    play(case)


def test_what_was_sent_to_a_machine_that_failed_is_handled_once_it_is_retried(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.failures["1.hello"] = 1
        run_id = await begun(lab, MACHINE)
        assert await lab.status(run_id) == "failed"
        await lab.post(run_id, "event", "mend", message_id="one")
        await lab.post(run_id, "event", "divide")
        assert await again(lab, run_id) == ["1.hello", "the event mend", "the event divide"]
        assert (await lab.resume(run_id)).status == "waiting"
        data = (await lab.kept(run_id)).state["data"]
        assert (data["seen"], data["quotient"]) == (["mend", "divide"], 2)
        await lab.post(run_id, "event", "mend", message_id="one")
        await lab.resume(run_id)
        assert (await lab.kept(run_id)).state["data"]["seen"] == ["mend", "divide"]

    play(case)


def test_a_process_that_dies_after_a_retry_neither_loses_nor_repeats_an_event(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.failures["1.hello"] = 1
        run_id = await begun(lab, MACHINE)
        for name in ("mend", "divide", "mend"):
            await lab.post(run_id, "event", name)
        await again(lab, run_id)
        for after in (False, True):
            await lab.start(
                lambda it: isinstance(it, CheckpointSaved) and bool(it.event), after=after
            )
            await lab.dies(lab.engine.resume(run_id))
        await lab.resume(run_id)
        assert (await lab.kept(run_id)).state["data"]["seen"] == ["mend", "divide", "mend"]

    play(case)


def test_a_machine_that_failed_as_it_began_begins_anew(play: Any) -> None:
    async def case(lab: Any) -> None:
        text = MACHINE.replace('entry = ["hello"]', 'entry = ["quotient"]')
        run_id = await begun(lab, text)
        assert await lab.status(run_id) == "failed"
        assert await again(lab, run_id) == []
        kept = await lab.kept(run_id)
        assert (kept.state, kept.label) == (None, "")
        assert (await lab.resume(run_id)).status == "failed"

    play(case)


def test_a_timer_that_failed_fires_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, ENDLESS % "fail")
        await lab.clock.advance(7200)
        state = await lab.resume(run_id)
        assert state.status == "failed"
        assert await again(lab, run_id) == ["1.fail"]
        assert (await lab.resume(run_id)).status == "failed"

    play(case)


def test_a_timer_whose_action_had_no_value_fires_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        text = ENDLESS.replace("values = { on = true }", 'values = { on = "${1 / 0}" }')
        run_id = await begun(lab, text % "set")
        await lab.clock.advance(7200)
        assert (await lab.resume(run_id)).status == "failed"
        assert await again(lab, run_id) == []
        assert list((await lab.kept(run_id)).timers) == ["state:idle"]
        assert (await lab.resume(run_id)).status == "failed"
        outcomes = [each.event for each in await lab.records(run_id, CheckpointSaved)]
        assert outcomes == ["", "state:idle", "", "state:idle"]

    play(case)


def test_an_event_that_led_round_in_circles_is_handled_again(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, ENDLESS % "fail")
        await lab.post(run_id, "event", "go")
        state = await lab.resume(run_id)
        assert state.error.code == "machine.endless"
        assert await again(lab, run_id) == ["the event go"]
        assert (await lab.resume(run_id)).error.code == "machine.endless"

    play(case)


def test_a_cancelled_machine_goes_on_where_it_waited(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, ENDLESS % "fail")
        await lab.post(run_id, "cancel")
        assert (await lab.resume(run_id)).status == "cancelled"
        assert await again(lab, run_id) == []
        state = await lab.resume(run_id)
        assert (state.status, state.label, list(state.timers)) == (
            "waiting",
            "idle",
            ["state:idle"],
        )
        assert await lab.journal.next_due(lab.clock.now()) == state.timers["state:idle"]

    play(case)


def test_a_retried_machine_has_its_whole_time_again_also_after_the_next_event(play: Any) -> None:
    async def case(lab: Any) -> None:
        run_id = await begun(lab, 'timeout = "30m"\n' + MACHINE)
        await lab.clock.advance(3600)
        await lab.post(run_id, "event", "mend")
        assert (await lab.resume(run_id)).error.code == "run.timeout"
        await reset_run(lab.client(), run_id, at=lab.clock.now())
        assert (await lab.resume(run_id)).status == "waiting"
        await lab.post(run_id, "event", "divide")
        assert (await lab.resume(run_id)).status == "waiting"
        assert (await lab.kept(run_id)).state["data"]["seen"] == ["mend", "divide"]

    play(case)


def test_a_cancel_that_came_as_a_machine_ended_does_not_count_after_a_retry(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.failures["1.hello"] = 1
        run_id = await begun(lab, MACHINE)
        assert await lab.status(run_id) == "failed"
        await lab.post(run_id, "cancel")
        await again(lab, run_id)
        assert (await lab.resume(run_id)).status == "waiting"
        assert not await lab.journal.pending(run_id)
        assert (await lab.resume(run_id)).status == "waiting"
        await lab.post(run_id, "cancel")
        assert (await lab.resume(run_id)).status == "cancelled"

    play(case)


def test_a_machine_is_neither_retried_nor_forked_from_a_stage(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.failures["1.hello"] = 1
        run_id = await begun(lab, MACHINE)
        with pytest.raises(StatefulRunError, match="a state machine"):
            await reset_run(lab.client(), run_id, "1.hello", at=now())
        records = await lab.journal.records(run_id)
        with pytest.raises(StatefulRunError):
            forked(records, "new", {}, at=now(), stage="1.hello")
        assert not await lab.records(run_id, RunReset)

    play(case)


def test_the_answers_that_stay_are_kept_behind_the_restored_state(play: Any) -> None:
    async def case(lab: Any) -> None:
        lab.desk.failures["4.three"] = 1
        run_id = await begun(lab, MACHINE)
        await lab.post(run_id, "event", "go")
        await lab.resume(run_id)
        assert await again(lab, run_id) == ["4.three"]
        tail = await lab.journal.tail(run_id)
        assert [each.step for each in tail if isinstance(each, StepSucceeded)] == ["2.one", "3.two"]

    play(case)


def test_a_retry_of_an_imported_machine_gives_no_event_again_that_it_had_handled() -> None:
    # Another journal counted its messages, so that their positions here are higher.
    at = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    start = RunStarted(
        run_id="run", at=at, workflow="m", kind="reactive", workflow_version="1.0.0", input={},
        plugins={},
    )  # fmt: skip
    good = CheckpointSaved(run_id="run", at=at, state={}, event="go", event_id="m1", inbox=1)
    bad = CheckpointSaved(
        run_id="run", at=at, state={}, event="divide", event_id="m2", inbox=2, failed=True
    )
    inbox = [
        InboxEntry(100 + number, InboxMessage(message_id=f"m{number}", kind="event", at=at))
        for number in (1, 2, 3)
    ]
    found = restored([start, good, bad], inbox, (), at)
    assert found is not None
    assert [each.event_id for each in found.checkpoint.first] == ["m2", "m3"]
