"""Asking one plugin how it fares, within a deadline, whatever it does."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from qtforge_host.policies.waiting import wait_until
from qtforge_sdk import Health
from qtforge_sdk.clock import Clock
from qtforge_sdk.health import HealthStatus

__all__ = ["HealthCheck", "HealthReport", "PluginCheck"]

PluginCheck = Callable[[], Awaitable[Health] | Health | None]
"""A plugin's hook ``qtforge_health``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """What is known of a plugin's health.

    Attributes:
        plugin: Its name.
        status: ``healthy``, ``degraded`` or ``unhealthy``.
        text: Why; "" where there is nothing to say.
        latency_s: How long the check took, in seconds.
        checked_at: When it was asked, in UTC.
        since: Since when it has had this status, in UTC.
    """

    plugin: str
    status: HealthStatus
    text: str
    latency_s: float
    checked_at: datetime.datetime
    since: datetime.datetime


class HealthCheck:
    """Asks one plugin; never two of its checks at a time.

    Args:
        plugin: Its name.
        check: Its hook.
        clock: Whose time counts.
        timeout_s: How long it may take, in seconds.
    """

    def __init__(self, plugin: str, check: PluginCheck, clock: Clock, timeout_s: float) -> None:
        self._plugin: Final = plugin
        self._check: Final = check
        self._clock: Final = clock
        self._timeout_s: Final = timeout_s
        self._task: asyncio.Task[Health] | None = None
        self.report: HealthReport | None = None

    async def ask(self) -> HealthReport:
        """Ask, and return what came of it; a check that raises or hangs is unhealthy."""
        asked_at, started_s = self._clock.now(), self._clock.monotonic()
        health = await self._health(started_s + self._timeout_s)
        before = self.report
        self.report = HealthReport(
            plugin=self._plugin,
            status=health.status,
            text=health.text,
            latency_s=self._clock.monotonic() - started_s,
            checked_at=asked_at,
            since=before.since if before and before.status == health.status else asked_at,
        )
        return self.report

    def cancel(self) -> asyncio.Task[Health] | None:
        """Cancel the check under way; return it, for it may take its time, or None."""
        if self._task is None or self._task.done():
            return None
        self._task.cancel()
        return self._task

    async def _health(self, deadline_s: float) -> Health:
        if self._task is not None and not self._task.done():
            # It did not heed being cancelled; another one would only pile up.
            return Health("unhealthy", "an earlier health check still hangs")
        self._task = asyncio.create_task(_answer(self._check), name=f"health {self._plugin}")
        try:
            is_done = await wait_until(self._clock, self._task, deadline_s)
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if is_done and self._task.cancelled():
            return Health("unhealthy", "its health check was cancelled")
        if is_done:
            return self._task.result()
        self._task.cancel()
        return Health("unhealthy", f"its health check did not answer within {self._timeout_s:g} s")


async def _answer(check: PluginCheck) -> Health:
    # Whatever it raises is an answer, so that no task ends with an exception nobody reads.
    try:
        found = check()
        if found is None or isinstance(found, Health):
            return found or Health()
        answer: object = await found
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the plugin's own code
        return Health("unhealthy", f"its health check raised {type(error).__name__}: {error}")
    if answer is None or isinstance(answer, Health):
        return answer or Health()
    kind = type(answer).__name__
    return Health("unhealthy", f"its health check answered with {kind} instead of Health")
