"""What restarts a process that stays up: signals, another configuration, replaced distributions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, Protocol

from qtforge_host.app import Host
from qtforge_host.config.settings import Settings
from qtforge_host.event_loop import end_watch
from qtforge_host.installed import ImportedDistributions
from qtforge_host.schedules.schedule import Schedule
from qtforge_host.serving.config_watcher import Watch
from qtforge_sdk.errors import QtForgeError

__all__ = ["Configuration", "Restarts", "Served", "Stop", "signals"]

_LOG: Final = logging.getLogger("qtforge.serve")
_RESTART: Final = "the imported code is used until the process is restarted"

Configuration = tuple[Settings, Sequence[Schedule]]
_Next = Configuration | Literal["replace"] | None
"""The next configuration, that the process is to be replaced, or that it is to end."""


class Served(Protocol):
    """What serves one configuration.

    Attributes:
        host: The host.
        is_last: Whether nothing follows it in this process, nor in one that replaces it.
    """

    host: Host
    is_last: bool

    def leave(self) -> None:
        """Take nothing more."""

    def hurry(self) -> None:
        """Do not wait for what is in progress when it ends."""


class Stop:
    """The signals that have arrived.

    Attributes:
        ending: Set when the process is to end.
        reload: Set when the configuration is to be read again.
        served: Is notified of the first signal that ends the process, and of the second.
    """

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self.reload = asyncio.Event()
        self.served: Served | None = None

    def end(self) -> None:
        """Take a signal that ends the process."""
        served = self.served
        if served is not None and self.ending.is_set():
            served.hurry()
        elif served is not None:
            served.leave()  # at once, so that nothing more begins
        self.ending.set()


@contextlib.contextmanager
def signals(grace_s: float) -> Iterator[Stop]:
    """Take SIGTERM, SIGINT and SIGHUP within the context.

    Args:
        grace_s: How long what is in progress may take at the end, in seconds.
    """
    stop = Stop()
    if (end := end_watch()) is not None:
        end.grace_s = grace_s
    loop = asyncio.get_running_loop()
    handled = {signal.SIGINT: stop.end, signal.SIGTERM: stop.end}
    if hasattr(signal, "SIGHUP"):
        handled[signal.SIGHUP] = stop.reload.set
    added = []
    for each, handler in handled.items():
        with contextlib.suppress(NotImplementedError):  # Windows: there Ctrl-C ends the loop
            loop.add_signal_handler(each, handler)
            added.append(each)
    try:
        yield stop
    finally:
        for each in added:
            loop.remove_signal_handler(each)


class Restarts:
    """Serves one configuration after the other, until the process is to end or to be replaced.

    Made before the process imports plugins.

    Args:
        read: Reads the configuration, as it is now.
        stop: The signals.
        reexec: Whether the process is replaced when an imported distribution was.
    """

    def __init__(self, read: Callable[[], Configuration], stop: Stop, *, reexec: bool) -> None:
        self._read = read
        self._stop = stop
        self._reexec = reexec
        self._imported = ImportedDistributions(sys.path)
        self._is_outdated = False  # what is installed is not what was imported

    async def serve(
        self,
        first: Configuration,
        make: Callable[[Configuration], AbstractAsyncContextManager[Served]],
        ready: Callable[[Served], None],
    ) -> bool:
        """Serve one configuration after the other.

        Args:
            first: The first one.
            make: Makes what serves one; it is entered and left here.
            ready: Called once, when the first one is served.

        Returns:
            Whether the process is to be replaced, and not to end.

        Raises:
            QtForgeError: The first one can't be served.
        """
        configuration, before = first, None
        is_ready = False
        while True:
            watch = Watch(configuration[0])  # before it starts, which takes a while
            async with contextlib.AsyncExitStack() as stack:
                try:
                    served = await stack.enter_async_context(make(configuration))
                except QtForgeError as error:
                    if before is None:
                        raise
                    _LOG.error("the host does not start with the new configuration: %s", error)
                    configuration, before = before, None
                    continue
                self._stop.served = served
                await asyncio.to_thread(self._imported.add, served.host.imported())
                if not is_ready:
                    ready(served)
                    is_ready = True
                found = await self._next(watch)
                served.is_last = found is None
            if not isinstance(found, tuple):
                return found is not None
            configuration, before = found, configuration

    async def _next(self, watch: Watch) -> _Next:
        """Wait for a valid configuration that is another, or the time to end or be replaced."""
        while True:
            self._stop.reload.clear()
            replaced = asyncio.create_task(self._until_replaced())
            waits: list[asyncio.Task[Any]] = [
                asyncio.create_task(self._stop.ending.wait()),
                asyncio.create_task(self._stop.reload.wait()),
                asyncio.create_task(watch.changed()),
                replaced,
            ]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                is_replaced = replaced.done()
                for wait in waits:
                    wait.cancel()
                await asyncio.wait(waits)
            if self._stop.ending.is_set():
                return None
            if is_replaced and self._says_replaced(replaced.result()):
                return "replace"
            if is_replaced:
                continue
            changed = await asyncio.to_thread(self._imported.changed)
            if self._is_outdated or changed:
                # A restarted host would import nothing again, and record the new version.
                if not self._reexec:
                    await asyncio.to_thread(watch.look)
                    _LOG.error("the new configuration is not used: %s", _RESTART)
                continue
            # After a signal it would notice the same change once more.
            await asyncio.to_thread(watch.look)
            try:
                found = self._read()
            except QtForgeError as error:
                _LOG.error("the new configuration is not used: %s", error)
                continue
            _LOG.warning("the configuration has changed: the host restarts with it")
            return found

    async def _until_replaced(self) -> list[str]:
        if self._is_outdated:
            await asyncio.Event().wait()
        return await self._imported.until_replaced()

    def _says_replaced(self, distributions: list[str]) -> bool:
        """Log that distributions were replaced; return whether to replace the process, too."""
        names = ", ".join(distributions)
        if self._reexec:
            _LOG.warning(
                "an imported distribution was reinstalled (%s): this process restarts with it",
                names,
            )
            return True
        _LOG.warning("an imported distribution was reinstalled (%s): %s", names, _RESTART)
        self._is_outdated = True
        return False
