"""What started plugins contribute by hooks: commands, workflows, kinds of workflow."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any

from qtforge_host.bus.deadline import DeadlineExceeded, run_before
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.hooks import Hooks
from qtforge_host.wiring import Wired, Wiring

__all__ = ["Contributions"]

_LOG = logging.getLogger("qtforge.host")


class Contributions:
    """Asks the plugins; one that raises or never returns costs itself alone.

    Args:
        hooks: Who implements what.
        wiring: Who a plugin object is.
        threads: Where the hooks run.
        timeout_s: How long one may take, in seconds.
    """

    def __init__(
        self, hooks: Hooks, wiring: Wiring, threads: WorkerThreads, timeout_s: float
    ) -> None:
        self._hooks = hooks
        self._wiring = wiring
        self._threads = threads
        self._timeout_s = timeout_s

    async def collect(self, hook: str) -> list[tuple[Wired, list[Any]]]:
        """Return what each plugin gives, in pluggy's order."""
        found = []
        for plugin, call in self._hooks.collect(hook):
            wired = self._wiring.describe(plugin)
            if wired is None:
                continue
            deadline = asyncio.get_running_loop().time() + self._timeout_s
            work = self._threads.run(functools.partial(_listed, call))
            try:
                found.append((wired, await run_before(deadline, work)))
            except DeadlineExceeded:
                _LOG.warning("%s did not return from %s in time", wired.name, hook)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - costs that plugin alone
                kind = type(error).__name__
                _LOG.warning("%s failed in %s: %s: %s", wired.name, hook, kind, error)
        return found

    async def commands(self) -> dict[str, Any]:
        """Return the click commands, by name; of two with one name, the first."""
        found: dict[str, Any] = {}
        for wired, offered in await self.collect("qtforge_commands"):
            for command in offered:
                name = getattr(command, "name", None)
                if not name or name in found:
                    _LOG.warning("%s offers a command that can't be used: %r", wired.name, command)
                    continue
                found[name] = command
        return found


def _listed(call: Callable[[], Any]) -> list[Any]:
    return list(call() or ())
