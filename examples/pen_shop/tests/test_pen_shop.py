"""An order over a day, through every crash, and through a change of the code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pen_shop import PenShop

from qtforge_host.testing import WorkflowKit
from qtforge_sdk import Run, workflow

RUNS = Path(__file__).parent / "runs"


@pytest.fixture
def shop(workflows: WorkflowKit) -> PenShop:
    shop = PenShop()
    workflows.add(shop)
    return shop


def test_an_order_that_is_paid_within_a_day_is_shipped(
    workflows: WorkflowKit, shop: PenShop
) -> None:
    run = workflows.run("pen-order", {"item": "pen"})
    assert (run.status, run.waits_for) == ("waiting", ["paid"])
    workflows.advance("23h")  # takes no time
    run.send("paid", amount=3)
    assert run.result == "shipped"
    assert [*shop.done.values()] == ["reserved pen", "wrapped pen", "shipped pen"]


def test_an_order_that_is_not_paid_is_given_up_after_a_day(
    workflows: WorkflowKit, shop: PenShop
) -> None:
    run = workflows.run("pen-order", {"item": "pen"})
    workflows.advance("1d")
    assert run.result == "not paid"
    assert [*shop.done.values()] == ["reserved pen", "released pen"]


def test_a_crash_at_any_moment_ships_one_pen(workflows: WorkflowKit, shop: PenShop) -> None:
    report = workflows.crash_at_every_write(
        "pen-order",
        {"item": "pen"},
        story=lambda run: run.send("paid", amount=3),
        effects=lambda: sorted(shop.done.values()),
        before_each=shop.done.clear,
    )
    report.check()
    assert report.result == "shipped"
    assert report.repeated <= {"pens.reserve", "pens.wrap", "pens.ship"}  # so they look at the key


def test_the_code_continues_the_orders_of_version_1_0(
    workflows: WorkflowKit, shop: PenShop
) -> None:
    workflows.replay(RUNS / "*.qtforge-run").check()
    workflows.replay(RUNS / "waiting.qtforge-run").expect(next_step="event paid")


def test_a_step_that_is_put_before_the_wait_without_patched_is_found(
    workflows: WorkflowKit,
) -> None:
    @workflow("pen-order", version="1.2.0")
    async def careless(run: Run, given: Mapping[str, Any]) -> str:
        await run.request("check the price", "pens.price", given)
        await run.request("reserve", "pens.reserve", {"item": given["item"]})
        await run.wait_event("paid", timeout="1d")
        return "shipped"

    workflows.add(careless)
    with pytest.raises(AssertionError, match="check the price"):
        workflows.replay(RUNS / "*.qtforge-run").check()
