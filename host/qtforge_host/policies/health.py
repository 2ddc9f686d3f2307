"""Health checks of plugins, at an interval; the last report of each plugin is kept."""

from __future__ import annotations

import asyncio
import datetime
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, get_args

import msgspec

from qtforge_host.plugin_code import (
    clean_text,
    discard_awaitable,
    explain,
    is_interruption,
)
from qtforge_host.policies.callbacks import Callbacks
from qtforge_host.policies.limits import wait_until
from qtforge_sdk import Health
from qtforge_sdk.clock import Clock
from qtforge_sdk.health import HealthStatus

__all__ = ["HealthCheck", "HealthMonitor", "HealthReport", "PluginCheck"]

PluginCheck = Callable[[], Awaitable[Health] | Health | None]
"""A plugin's hook ``qtforge_health``."""

Observation = Callable[[str], Health | None]
"""Given a plugin's name, returns what the host noticed about its health, or None."""

_BADNESS: Final[tuple[HealthStatus, ...]] = ("healthy", "degraded", "unhealthy")
_LOG: Final = logging.getLogger("qtforge.policies")
_INTERVAL_S: Final = 30.0
_TIMEOUT_S: Final = 5.0
_END_S: Final = 1.0  # real seconds for cancelled checks to end when the monitor closes


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a plugin's last health check.

    Attributes:
        plugin: The plugin's name.
        status: ``healthy``, ``degraded`` or ``unhealthy``.
        text: The plugin's explanation, or "".
        latency_s: How long the check took, in seconds.
        checked_at: When the check began, in UTC.
        since: When the status last changed, in UTC.
    """

    plugin: str
    status: HealthStatus
    text: str
    latency_s: float
    checked_at: datetime.datetime
    since: datetime.datetime


class HealthCheck:
    """The health check of one plugin; never runs twice at a time.

    Args:
        plugin: The plugin's name.
        check: The plugin's hook.
        clock: Measures the timeout.
        timeout_s: How long a check may take, in seconds.
        observed: Given the plugin's name, returns what was noticed about it, or None.

    Attributes:
        report: The last report; None before the first.
    """

    def __init__(
        self,
        plugin: str,
        check: PluginCheck,
        clock: Clock,
        timeout_s: float,
        observed: Observation,
    ) -> None:
        self._plugin: Final = plugin
        self._check: Final = check
        self._clock: Final = clock
        self._timeout_s: Final = timeout_s
        self._observed: Final = observed
        self._task: asyncio.Task[Health] | None = None
        self.report: HealthReport | None = None

    async def run(self) -> HealthReport:
        """Check the plugin, and return the report; a check that raises or hangs is unhealthy."""
        checked_at, started_s = self._clock.now(), self._clock.monotonic()
        health = await self._health(started_s + self._timeout_s)
        noticed = self._observed(self._plugin)
        if noticed is not None and _BADNESS.index(noticed.status) > _BADNESS.index(health.status):
            health = noticed
        before = self.report
        self.report = HealthReport(
            plugin=self._plugin,
            status=health.status,
            text=health.text,
            latency_s=self._clock.monotonic() - started_s,
            checked_at=checked_at,
            since=before.since if before and before.status == health.status else checked_at,
        )
        return self.report

    def cancel(self) -> asyncio.Task[Health] | None:
        """Cancel the check in progress; return its task, which may not end at once, or None."""
        if self._task is None or self._task.done():
            return None
        self._task.cancel()
        return self._task

    async def _health(self, deadline_s: float) -> Health:
        if self._task is not None and not self._task.done():
            # It ignored its cancellation; another check would hang as well.
            return Health("unhealthy", "an earlier health check still hangs")
        self._task = asyncio.create_task(_result_of(self._check), name=f"health {self._plugin}")
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


class HealthMonitor:
    """Checks all watched plugins at an interval, concurrently; an async context manager.

    Args:
        clock: Measures interval and timeout.
        interval_s: Seconds between the end of one round and the next; default 30.
        timeout_s: Seconds that a check may take; default 5.
        observed: Given a plugin's name, returns what was noticed about it, or None.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        interval_s: float = _INTERVAL_S,
        timeout_s: float = _TIMEOUT_S,
        observed: Observation = lambda plugin: None,
    ) -> None:
        self._observed: Final = observed
        self._clock: Final = clock
        self._interval_s: Final = interval_s
        self._timeout_s: Final = timeout_s
        self._checks: Final[dict[str, HealthCheck]] = {}
        self._callbacks: Final = Callbacks[HealthReport]("health monitor")
        self._unwatched: Final[set[asyncio.Task[object]]] = set()
        self._rounds: asyncio.Task[None] | None = None

    def watch(self, plugin: str, check: PluginCheck) -> None:
        """Check a plugin from the next round on; one of that name is replaced."""
        self.unwatch(plugin)
        self._checks[plugin] = HealthCheck(
            plugin, check, self._clock, self._timeout_s, self._observed
        )

    def unwatch(self, plugin: str) -> None:
        """Stop checking a plugin, and drop its report; a plugin not watched is ignored."""
        check = self._checks.pop(plugin, None)
        task = None if check is None else check.cancel()
        if task is not None:
            self._unwatched.add(task)
            task.add_done_callback(self._unwatched.discard)

    def is_usable(self, plugin: str) -> bool:
        """Return False when a plugin is known to be unhealthy."""
        noticed = self._observed(plugin)
        if noticed is not None and noticed.status == "unhealthy":
            return False
        check = self._checks.get(plugin)
        return check is None or check.report is None or check.report.status != "unhealthy"

    def reports(self) -> Mapping[str, HealthReport]:
        """Return the last report of each plugin, by name."""
        return {
            name: check.report
            for name, check in sorted(self._checks.items())
            if check.report is not None
        }

    def on_change(self, callback: Callable[[HealthReport], None]) -> Callable[[], None]:
        """Call a function when a plugin's status changes; the initial status is healthy.

        Args:
            callback: Must be quick; what it raises is logged.

        Returns:
            A function that ends the subscription.
        """
        return self._callbacks.add(callback)

    async def check_all(self) -> Mapping[str, HealthReport]:
        """Check every plugin now, concurrently, and return the reports by name."""
        checks = [self._check(name, check) for name, check in [*self._checks.items()]]
        await asyncio.gather(*checks)
        return self.reports()

    def start(self) -> None:
        """Start the rounds, the first one at once; does nothing when they are started."""
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._run_rounds(), name="health rounds")

    async def close(self) -> None:
        """End the rounds and every check in progress; the last reports remain."""
        tasks: set[asyncio.Task[object]] = {*self._unwatched}
        if self._rounds is not None:
            self._rounds.cancel()
            tasks.add(self._rounds)
            self._rounds = None
        tasks.update(task for check in self._checks.values() if (task := check.cancel()))
        if not tasks:
            return
        _, stuck = await asyncio.wait(tasks, timeout=_END_S)
        for each in stuck:
            _LOG.warning("the %s did not end when it was cancelled", each.get_name())

    async def __aenter__(self) -> HealthMonitor:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run_rounds(self) -> None:
        while True:
            await self.check_all()
            await self._clock.sleep(self._interval_s)

    async def _check(self, name: str, check: HealthCheck) -> None:
        before = "healthy" if check.report is None else check.report.status
        report = await check.run()
        if self._checks.get(name) is check and report.status != before:
            self._callbacks.notify(report)


async def _result_of(check: PluginCheck) -> Health:
    # What the check raises is its result; otherwise the task's exception might never be read.
    try:
        found = check()
        answer: object = await found if inspect.isawaitable(found) else found
    except BaseException as error:
        if is_interruption(error):
            raise
        return Health("unhealthy", f"its health check raised {explain(error)}")
    if answer is None:
        return Health()
    if isinstance(answer, Health) and answer.status in get_args(HealthStatus):
        return Health(answer.status, clean_text(answer.text))
    discard_awaitable(answer)
    kind = type(answer).__name__
    return Health("unhealthy", f"its health check answered with {kind} instead of Health")
