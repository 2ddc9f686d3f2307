"""``workflows.crash_at_every_write``: what it finds, and what it leaves alone."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.runs.errors import RunEndedError
from qtforge_host.testing import WorkflowKit, WorkflowRun
from qtforge_sdk import (
    Compensation,
    OperationContext,
    OperationError,
    Plugin,
    PluginContext,
    Run,
    operation,
)
from qtforge_sdk.policies import Retry
from qtforge_sdk.workflows import workflow

DOOR = """
name = "door"
kind = "reactive"
initial = "closed"
result = { opened = "${data.opened}" }
data = { opened = 0 }

[states.closed]
[states.open]
timeout = "1h"
entry = ["count", "book"]
[states.gone]
final = true

[[transitions]]
name = "push"
from = "closed"
to = "open"
trigger = "door.push"

[[transitions]]
name = "shut"
from = "open"
to = "closed"
trigger = "timer.expired"

[[transitions]]
name = "break"
from = "closed"
to = "gone"
trigger = "door.break"

[actions.count]
type = "set"
values = { opened = "${data.opened + 1}" }

[actions.book]
type = "plugin_call"
operation = "stock.book"
message = { item = "hinge" }
"""


class Stock(Plugin):
    """Books what is asked for, once for each key; a careless one books it each time."""

    def __init__(self, *, careful: bool = True) -> None:
        self.careful = careful
        self.booked: list[str] = []

    @operation("stock.book")
    async def book(self, message: Mapping[str, Any], context: OperationContext) -> dict[str, Any]:
        key = (context.idempotency_key or "").partition("/")[2]
        if not self.careful or key not in self.booked:
            self.booked.append(key)
        return {"key": key}

    @operation("stock.return")
    def give_back(self, message: Mapping[str, Any]) -> None:
        time.sleep(0.001)  # in a thread
        while message["key"] in self.booked:
            self.booked.remove(message["key"])

    def contents(self) -> list[str]:
        return sorted(self.booked)


@workflow("order")
async def order(run: Run, given: Mapping[str, Any]) -> Any:
    undo = Compensation(topic="stock.return", message={"key": "book"}, on_failure=True)
    await run.request("book", "stock.book", {"item": given["item"]}, compensation=undo)
    retry = Retry(max_attempts=3, initial_delay="1h")
    await run.request("charge", "card.charge", {}, retry=retry)
    await run.run_workflow("parcel", {}, step="parcel")
    paid = await run.wait_event("paid", timeout="2d")
    await run.sleep("1h")
    if paid["amount"] < 2:
        raise OperationError("order.unpaid", "too little")
    await run.gather(*(run.request(name, "stock.book", {"item": name}) for name in "ab"))
    return run.now().isoformat()


@workflow("parcel")
async def parcel(run: Run) -> Any:
    await run.step("weigh", lambda: 3)


BUSY = OperationError("card.busy", "busy", retryable=True)


@pytest.mark.parametrize(("amount", "status"), [(3, "succeeded"), (1, "compensated")])
def test_a_run_that_survives_every_crash_is_not_reported(
    workflows: WorkflowKit, amount: int, status: str
) -> None:
    stock = Stock()
    workflows.add(order, parcel, stock)
    workflows.fake("card.charge", BUSY, {"ok": True})

    def story(run: WorkflowRun) -> None:
        workflows.advance("23h")
        run.send("paid", amount=amount)

    report = workflows.crash_at_every_write(
        "order",
        {"item": "pen"},
        story=story,
        effects=stock.contents,
        before_each=stock.booked.clear,
    )
    report.check()
    assert report.status == status
    assert report.points > 20
    assert report.repeated <= {"stock.book", "card.charge", "stock.return"}
    assert "before run_started" in report.died
    assert "after step_succeeded of 'book'" in report.died
    assert (report.error is None) == (amount == 3)


def test_effects_that_a_crash_repeats_are_reported_with_the_moment(workflows: WorkflowKit) -> None:
    stock = Stock(careful=False)
    workflows.add(order, parcel, stock)
    workflows.fake("card.charge", {"ok": True})
    report = workflows.crash_at_every_write(
        "order",
        {"item": "pen"},
        story=lambda run: run.send("paid", amount=3),
        effects=stock.contents,
        before_each=stock.booked.clear,
    )
    with pytest.raises(AssertionError, match=r"before step_succeeded of 'b.*effects is") as caught:
        report.check()
    assert "'order' ends otherwise after a crash" in str(caught.value)
    assert "stock.book" in report.repeated


def test_a_machine_is_led_to_its_end_after_every_crash(workflows: WorkflowKit) -> None:
    stock = Stock()
    workflows.add(DOOR, stock)

    def story(run: WorkflowRun) -> None:
        for _ in range(2):
            run.send("door.push")
            workflows.advance("61m")
        run.send("door.break")

    report = workflows.crash_at_every_write(
        "door", story=story, effects=stock.contents, before_each=stock.booked.clear
    )
    report.check()
    assert (report.status, report.result) == ("succeeded", {"opened": 2})
    assert report.points > 10


def test_a_workflow_that_asks_chance_outside_a_step_is_found_with_the_step(
    workflows: WorkflowKit,
) -> None:
    chance = random.Random(3)

    @workflow("dice")
    async def dice(run: Run) -> Any:
        await run.request("roll", "stock.book", {})
        await run.request(f"paint {chance.randrange(1_000_000)}", "stock.book", {})

    workflows.add(dice, Stock())
    report = workflows.crash_at_every_write("dice")
    with pytest.raises(AssertionError, match=r"run\.diverged: .*'paint \d+'"):
        report.check()


def test_a_message_that_depends_on_chance_is_found_with_the_step(workflows: WorkflowKit) -> None:
    chance = random.Random(3)

    @workflow("dice")
    async def dice(run: Run) -> Any:
        await run.request("roll", "stock.book", {"number": chance.randrange(1_000_000)})

    workflows.add(dice, Stock())
    report = workflows.crash_at_every_write("dice")
    with pytest.raises(AssertionError, match=r"the step 'roll' asked 'stock.book' for .* chance"):
        report.check()


def test_the_other_runs_of_a_test_are_left_alone(workflows: WorkflowKit) -> None:
    workflows.add(order, parcel, Stock())
    workflows.fake("card.charge", BUSY, {"ok": True})
    mine = workflows.run("order", {"item": "pen"})
    calls = len(workflows.calls("card.charge"))
    workflows.crash_at_every_write(
        "order", {"item": "cup"}, story=lambda run: run.send("paid", amount=3)
    ).check()
    assert len(workflows.calls("card.charge")) == calls
    assert [run.workflow for run in workflows.runs] == ["order", "parcel"]
    mine.send("paid", amount=3)
    assert mine.status == "succeeded"


def test_a_story_that_fails_says_where_the_process_died(workflows: WorkflowKit) -> None:
    tellings: list[str] = []

    def story(run: WorkflowRun) -> None:
        tellings.append(run.id)
        assert len(tellings) < 3

    workflows.add(parcel)
    with pytest.raises(AssertionError) as caught:
        workflows.crash_at_every_write("parcel", story=story)
    assert "the one that died before" in caught.value.__notes__[0]
    assert workflows.run("parcel").status == "succeeded"


def test_a_story_whose_undisturbed_run_has_ended_can_not_send_it_an_event(
    workflows: WorkflowKit,
) -> None:
    workflows.add(parcel)
    with pytest.raises(RunEndedError):
        workflows.crash_at_every_write("parcel", story=lambda run: run.send("paid"))


class Ledger(Plugin):
    """Writes each booking to a file, once for each key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.starts = 0

    async def start(self, context: PluginContext) -> None:
        self.starts += 1

    @operation("stock.book")
    def book(self, message: Mapping[str, Any], context: OperationContext) -> dict[str, Any]:
        key = (context.idempotency_key or "").partition("/")[2]
        if key not in self.lines():
            with self.path.open("a") as file:
                file.write(f"{key}\n")
        return {"key": key, "starts": self.starts}

    @operation("stock.return")
    def give_back(self, message: Mapping[str, Any]) -> None:
        kept = [line for line in self.lines() if line != message["key"]]
        self.path.write_text("".join(f"{line}\n" for line in kept))

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGKILL and no fork")
def test_processes_that_are_killed_for_real_leave_no_trace_in_the_outcome(
    workflows: WorkflowKit, tmp_path: Path
) -> None:
    @workflow("order")
    async def code(run: Run, given: Mapping[str, Any]) -> Any:
        retry = Retry(max_attempts=2, initial_delay="1h", jitter=0)
        await run.request("charge", "card.charge", {}, retry=retry)
        paid = await run.wait_event("paid")
        await run.request("book", "stock.book", {"item": given["item"]})
        return {"amount": paid["amount"], "at": run.now()}

    ledger = Ledger(tmp_path / "ledger")
    workflows.add(code, ledger)
    workflows.fake("card.charge", BUSY, {"ok": True})

    def story(run: WorkflowRun) -> None:
        workflows.advance("23h")
        run.send("paid", amount=3)

    report = workflows.crash_at_every_write(
        "order",
        {"item": "pen"},
        story=story,
        effects=ledger.lines,
        before_each=lambda: ledger.path.unlink(missing_ok=True),
        for_real=True,
    )
    report.check()
    assert (report.status, report.result["amount"]) == ("succeeded", 3)
    assert report.points > 10
    assert report.repeated <= {"stock.book", "card.charge"}
    assert ledger.starts == 1  # of this process


@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGKILL and no fork")
def test_a_story_that_fails_in_a_killed_process_is_an_error_of_the_test(
    workflows: WorkflowKit, capfd: pytest.CaptureFixture[str]
) -> None:
    def story(run: WorkflowRun) -> None:
        raise ValueError("the story is wrong")

    workflows.add(parcel)
    with pytest.raises(AssertionError, match="the process ended with 1"):
        workflows.crash_at_every_write("parcel", story=story, for_real=True)
    assert "the story is wrong" in capfd.readouterr().err
