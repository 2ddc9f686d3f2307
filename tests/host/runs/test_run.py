"""`ActiveRun`: times in every form, and results of the type that the caller names."""

from __future__ import annotations

import datetime

import msgspec
import pytest

from qtforge_host.testing import WorkflowKit
from qtforge_sdk import Duration, Run, workflow

HOUR = ("1h", 3600, 3600.0, datetime.timedelta(hours=1))


class Total(msgspec.Struct, frozen=True):
    amount: float


@pytest.mark.parametrize("hour", HOUR, ids=repr)
def test_a_wait_is_as_long_as_its_duration_says_in_every_form(
    workflows: WorkflowKit, hour: Duration
) -> None:
    @workflow("w")
    async def waits(run: Run) -> float:
        begun = run.now()
        await run.sleep(hour)
        return (run.now() - begun).total_seconds()

    workflows.add(waits)
    assert workflows.run("w").result == 3600.0


@pytest.mark.parametrize("hour", HOUR, ids=repr)
def test_a_deadline_and_a_timeout_are_over_when_their_duration_is(
    workflows: WorkflowKit, hour: Duration
) -> None:
    @workflow("slow")
    async def slow(run: Run) -> None:
        await run.sleep("1d")

    @workflow("w")
    async def waits(run: Run) -> str:
        begun = run.now()
        late = await run.gather(run.run_workflow("slow", {}, required=False), deadline=hour)
        return f"{late} after {run.now() - begun}"

    @workflow("e")
    async def expects(run: Run) -> None:
        await run.wait_event("paid", timeout=hour)

    workflows.add(slow, waits, expects)
    assert workflows.run("w").result == "[None] after 1:00:00"
    run = workflows.run("e")
    workflows.advance("59m")
    assert run.status == "waiting"
    workflows.advance("1m")
    assert run.error is not None
    assert run.error.code == "run.event_timeout"


@pytest.mark.parametrize("over", [0, -5, datetime.timedelta(seconds=-1), "0s"], ids=repr)
def test_a_wait_that_is_past_is_over_at_once(workflows: WorkflowKit, over: Duration) -> None:
    @workflow("w")
    async def waits(run: Run) -> float:
        begun = run.now()
        await run.sleep(over)
        return (run.now() - begun).total_seconds()

    workflows.add(waits)
    assert workflows.run("w").result == 0.0


@pytest.mark.parametrize("call", ["sleep", "request", "gather", "wait_event"])
def test_what_is_no_duration_fails_the_run_and_names_what_is_accepted(
    workflows: WorkflowKit, call: str
) -> None:
    @workflow("w")
    async def waits(run: Run) -> None:
        match call:
            case "sleep":
                await run.sleep("30 sec")
            case "request":
                await run.request("one", "shop.total", {}, timeout="30 sec")
            case "gather":
                await run.gather(run.skip("one", "not needed"), deadline="30 sec")
            case _:
                await run.wait_event("paid", timeout="30 sec")

    workflows.fake("shop.total", {"amount": 1.0})
    workflows.add(waits)
    done = workflows.run("w")
    assert done.status == "failed"
    assert done.error is not None
    assert "'30 sec' is not a duration: write it as seconds" in done.error.message


def test_every_result_has_the_type_that_the_caller_names(workflows: WorkflowKit) -> None:
    @workflow("child")
    async def child(run: Run) -> dict[str, float]:
        return {"amount": 3.0}

    @workflow("w")
    async def adds(run: Run) -> float:
        found = [
            await run.request("one", "shop.total", {}, response_type=Total),
            await run.step("two", lambda: {"amount": 2.0}, response_type=Total),
            await run.run_workflow("child", {}, response_type=Total),
            await run.wait_event("paid", response_type=Total),
        ]
        assert all(isinstance(each, Total) for each in found)
        return sum(each.amount for each in found)

    workflows.fake("shop.total", {"amount": 1.0})
    workflows.add(child, adds)
    run = workflows.run("w")
    assert run.status == "waiting"
    run.send("paid", amount=4.0)
    assert run.result == 10.0


def test_a_result_that_does_not_fit_the_type_names_the_field(workflows: WorkflowKit) -> None:
    @workflow("w")
    async def adds(run: Run) -> float:
        total = await run.request("one", "shop.total", {}, response_type=Total)
        return total.amount

    workflows.fake("shop.total", {"amont": 1.0})
    workflows.add(adds)
    done = workflows.run("w")
    assert done.status == "failed"
    assert done.error is not None
    assert "amount" in done.error.message
