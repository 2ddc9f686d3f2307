"""How the plugins fare: each is asked now and then, and the last answer is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from qtforge_host.policies.callbacks import Callbacks
from qtforge_host.policies.health_check import HealthCheck, HealthReport, PluginCheck
from qtforge_sdk.clock import Clock

__all__ = ["HealthMonitor"]

_LOG: Final = logging.getLogger("qtforge.policies")
_INTERVAL_S: Final = 30.0
_TIMEOUT_S: Final = 5.0
_END_S: Final = 1.0  # real seconds for cancelled checks to end when the monitor closes


class HealthMonitor:
    """Asks every watched plugin at an interval, all at once; an async context manager.

    Args:
        clock: Whose time counts.
        interval_s: Seconds between the end of one round and the next; default 30.
        timeout_s: Seconds that a check may take; default 5.
    """

    def __init__(
        self, clock: Clock, *, interval_s: float = _INTERVAL_S, timeout_s: float = _TIMEOUT_S
    ) -> None:
        self._clock: Final = clock
        self._interval_s: Final = interval_s
        self._timeout_s: Final = timeout_s
        self._checks: Final[dict[str, HealthCheck]] = {}
        self._callbacks: Final = Callbacks[HealthReport]("health monitor")
        self._forgotten: Final[set[asyncio.Task[object]]] = set()
        self._rounds: asyncio.Task[None] | None = None

    def watch(self, plugin: str, check: PluginCheck) -> None:
        """Ask a plugin from the next round on; one of that name is replaced."""
        self.unwatch(plugin)
        self._checks[plugin] = HealthCheck(plugin, check, self._clock, self._timeout_s)

    def unwatch(self, plugin: str) -> None:
        """Ask a plugin no more, and forget what it said; one not watched is ignored."""
        check = self._checks.pop(plugin, None)
        task = None if check is None else check.cancel()
        if task is not None:
            self._forgotten.add(task)
            task.add_done_callback(self._forgotten.discard)

    def is_usable(self, plugin: str) -> bool:
        """Tell whether a plugin should get work: unless it is known to be unhealthy."""
        check = self._checks.get(plugin)
        return check is None or check.report is None or check.report.status != "unhealthy"

    def reports(self) -> Mapping[str, HealthReport]:
        """Return the last report of each plugin that was asked, by name."""
        return {
            name: check.report
            for name, check in sorted(self._checks.items())
            if check.report is not None
        }

    def on_change(self, callback: Callable[[HealthReport], None]) -> Callable[[], None]:
        """Call back when a plugin's status is another than before; at first than healthy.

        Args:
            callback: Must be quick; what it raises is logged and harms nobody.

        Returns:
            A function that ends it.
        """
        return self._callbacks.add(callback)

    async def ask_all(self) -> Mapping[str, HealthReport]:
        """Ask every plugin now, at once, and return the reports by name."""
        asked = [self._ask(name, check) for name, check in [*self._checks.items()]]
        await asyncio.gather(*asked)
        return self.reports()

    def start(self) -> None:
        """Begin the rounds, with one at once; once begun, this does nothing."""
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._go_round(), name="health rounds")

    async def close(self) -> None:
        """End the rounds and every check under way; the last reports stay."""
        tasks: set[asyncio.Task[object]] = {*self._forgotten}
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

    async def _go_round(self) -> None:
        while True:
            await self.ask_all()
            await self._clock.sleep(self._interval_s)

    async def _ask(self, name: str, check: HealthCheck) -> None:
        before = "healthy" if check.report is None else check.report.status
        report = await check.ask()
        if self._checks.get(name) is check and report.status != before:
            self._callbacks.tell(report)
