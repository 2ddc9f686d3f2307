from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from typing import Any

import pytest

from qtforge_host.policies.health import HealthMonitor, HealthReport
from qtforge_sdk import Health, Plugin
from qtforge_sdk.testing import VirtualClock


class Patient:
    """A plugin whose health a test sets."""

    def __init__(self, clock: VirtualClock, answer: Any = None, takes_s: float = 0.0) -> None:
        self.asked_at_s: list[float] = []
        self.answer = answer
        self.takes_s = takes_s
        self._clock = clock

    async def health(self) -> Any:
        self.asked_at_s.append(self._clock.monotonic())
        await self._clock.sleep(self.takes_s)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def only(monitor: HealthMonitor) -> HealthReport:
    (report,) = monitor.reports().values()
    return report


async def asked_once(answer: Any, takes_s: float = 0.0) -> HealthReport:
    clock = VirtualClock()
    monitor = HealthMonitor(clock)
    monitor.watch("plug", Patient(clock, answer, takes_s).health)
    async with clock.auto():
        await monitor.check_all()
    await monitor.close()
    return only(monitor)


def test_a_plugin_is_healthy_unless_it_says_otherwise() -> None:
    async def scenario() -> None:
        monitor = HealthMonitor(VirtualClock())
        plugin: Any = Plugin()
        monitor.watch("plug", plugin.qtforge_health)
        monitor.watch("sync", lambda: Health("degraded", "slow"))
        monitor.watch("silent", lambda: None)
        reports = await monitor.check_all()
        assert {name: (each.status, each.text) for name, each in reports.items()} == {
            "plug": ("healthy", ""),
            "sync": ("degraded", "slow"),
            "silent": ("healthy", ""),
        }

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "takes_s", "text"),
    [
        (Health("unhealthy", "the disk is full"), 0.0, "the disk is full"),
        (ZeroDivisionError("by zero"), 0.0, "its health check raised ZeroDivisionError: by zero"),
        (SystemExit(3), 0.0, "its health check raised SystemExit: 3"),
        (asyncio.CancelledError(), 0.0, "its health check raised CancelledError"),
        ("fine", 0.0, "its health check answered with str instead of Health"),
        (Health(), 5.5, "its health check did not answer within 5 s"),
        (Health(), float("inf"), "its health check did not answer within 5 s"),
    ],
)
def test_one_that_says_so_raises_lies_or_hangs_is_unhealthy_with_the_reason(
    answer: Any, takes_s: float, text: str
) -> None:
    report = asyncio.run(asked_once(answer, takes_s))
    assert report.status == "unhealthy"
    place = rf" \({re.escape(__file__)}:\d+\)"
    assert re.fullmatch(rf"{re.escape(text)}({place})?", report.text)


def test_the_latency_is_measured() -> None:
    assert asyncio.run(asked_once(Health(), 1.25)).latency_s == 1.25


def test_all_plugins_are_checked_at_the_interval_and_a_slow_one_delays_the_others_little() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        quick, slow = Patient(clock, Health()), Patient(clock, Health(), 60.0)
        monitor = HealthMonitor(clock)
        monitor.watch("quick", quick.health)
        monitor.watch("slow", slow.health)
        async with monitor:
            await clock.advance(80)
        assert quick.asked_at_s == [0.0, 35.0, 70.0]
        assert slow.asked_at_s == quick.asked_at_s
        assert (monitor.is_usable("quick"), monitor.is_usable("slow")) == (True, False)

    asyncio.run(scenario())


def test_only_unhealthy_plugins_are_unusable() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        patient = Patient(clock)
        monitor = HealthMonitor(clock)
        monitor.watch("plug", patient.health)
        usable = [monitor.is_usable("plug"), monitor.is_usable("not watched")]
        for status in ("unhealthy", "degraded"):
            patient.answer = Health(status)
            async with clock.auto():
                await monitor.check_all()
            usable.append(monitor.is_usable("plug"))
        assert usable == [True, True, False, True]

    asyncio.run(scenario())


def test_since_is_the_time_of_the_last_change_and_each_change_is_reported_once() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        patient = Patient(clock, Health())
        monitor = HealthMonitor(clock, interval_s=10)
        told: list[HealthReport] = []
        dispose = monitor.on_change(told.append)
        monitor.watch("plug", patient.health)
        async with monitor:
            await clock.advance(15)
            patient.answer = Health("unhealthy", "torn")
            await clock.advance(20)
            report = only(monitor)
            assert [each.text for each in told] == ["torn"]
            assert (report.checked_at - report.since).total_seconds() == 10
            dispose()
            patient.answer = Health()
            await clock.advance(20)
        assert len(told) == 1

    asyncio.run(scenario())


def test_a_callback_that_raises_does_not_end_the_rounds(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        patient = Patient(clock, Health("degraded"))
        monitor = HealthMonitor(clock, interval_s=10)

        def broken(report: HealthReport) -> None:
            raise ZeroDivisionError

        monitor.on_change(broken)
        monitor.watch("plug", patient.health)
        async with monitor:
            await clock.advance(25)
        assert len(patient.asked_at_s) == 3

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert caplog.text.count("Traceback") == 1


def test_closing_in_the_middle_of_a_check_leaves_no_task_and_no_sleeper() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        monitor = HealthMonitor(clock)
        for name in ("a", "b"):
            monitor.watch(name, Patient(clock, Health(), 3.0).health)
        async with monitor:
            await clock.advance(1)
            monitor.unwatch("b")
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert clock.waiting == 0
        await monitor.close()

    asyncio.run(scenario())


def test_a_check_that_does_not_heed_being_cancelled_is_not_asked_twice_at_a_time() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        begun = 0
        release = asyncio.Event()

        async def stubborn() -> Health:
            nonlocal begun
            begun += 1
            while not release.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await release.wait()
            return Health()

        monitor = HealthMonitor(clock, interval_s=10)
        monitor.watch("plug", stubborn)
        async with monitor:
            await clock.advance(16)
            assert (begun, only(monitor).text) == (1, "an earlier health check still hangs")
            release.set()
            await clock.advance(10)
            assert (begun, only(monitor).status) == (2, "healthy")

    asyncio.run(scenario())


def test_the_report_of_a_replaced_or_unwatched_plugin_is_dropped() -> None:
    async def scenario() -> None:
        monitor = HealthMonitor(VirtualClock())
        monitor.watch("plug", lambda: Health("unhealthy"))
        await monitor.check_all()
        monitor.watch("plug", lambda: Health())
        assert monitor.is_usable("plug")
        monitor.unwatch("plug")
        monitor.unwatch("plug")
        assert monitor.reports() == {}

    asyncio.run(scenario())
