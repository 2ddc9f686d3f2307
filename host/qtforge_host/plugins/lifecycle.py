"""Start and stop plugins: configure, register hooks, prepare wiring, start, connect.

A plugin that fails at any of these steps is ``broken``, or ``unmet`` where it says that something
is not installed; plugins that require it are stopped or never started. The others and the host
keep running.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from qtforge_host.cancellation import DeadlineExceeded, run_or_leave
from qtforge_host.code_marks import AnyMark, CodeMarks, Place
from qtforge_host.config.settings import Settings
from qtforge_host.installed import InstalledDistribution
from qtforge_host.plugin_code import description_of, discard_awaitable, explain, is_interruption
from qtforge_host.plugins.candidates import Candidate, Status
from qtforge_host.plugins.hooks import Hooks
from qtforge_host.plugins.load_outcome import LoadOutcome
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.quarantine import FailureMemory
from qtforge_host.plugins.registry import Entry, Registry
from qtforge_host.plugins.wiring import Wired, Wiring
from qtforge_host.policies.health import HealthMonitor
from qtforge_sdk import PluginContext, QtForgeError
from qtforge_sdk.errors import ConfigError, PluginError

__all__ = ["PluginLifecycle", "start_failure", "start_plugin", "stop_plugin"]

_LOG = logging.getLogger("qtforge.host")
_UNMET: Final = "plugin.unmet"


class PluginLifecycle:
    """Starts accepted plugins of a registry, and stops them in reverse order.

    Args:
        registry: Holds state and phase of each plugin; updated at every step.
        hooks: Where each plugin's hooks are registered.
        wiring: Connects hooks to the bus.
        health: Checks each running plugin.
        context_of: Makes the context that a plugin's start receives.
        settings: The timeouts of import, start and stop.
        loader: Imports them.
        memory: Receives the failures and successes.
        marks: Notes whose code is in progress.
    """

    def __init__(
        self,
        registry: Registry,
        hooks: Hooks,
        wiring: Wiring,
        health: HealthMonitor,
        context_of: Callable[[Candidate], PluginContext],
        settings: Settings,
        loader: PluginLoader,
        memory: FailureMemory,
        marks: CodeMarks | None = None,
    ) -> None:
        self._loader = loader
        self._memory = memory
        self._loading = asyncio.Lock()
        self._marks = marks or CodeMarks()
        self._registry = registry
        self._hooks = hooks
        self._wiring = wiring
        self._health = health
        self._context_of = context_of
        self._settings = settings
        self._running: list[str] = []  # keys, in the order of their start
        self._versions: dict[str, str] | None = None  # of those; None when they have changed

    async def start(
        self,
        keys: Collection[str],
        settled: Callable[[str], None] = lambda key: None,
        *,
        in_thread: bool = False,
    ) -> None:
        """Import and start accepted plugins, requirements first.

        Args:
            keys: The plugins; none of them was imported yet.
            settled: Called with the key of each one that was imported, once it runs or has failed.
            in_thread: Whether the event loop continues while they are imported. Meanwhile the
                whole process prints to standard error.
        """
        async with self._loading:
            wanted = [each for each in self._registry.accepted if each.key in keys]
            if in_thread:
                outcome = await asyncio.to_thread(self._load, wanted)
            else:
                outcome = self._load(wanted)
            ready = self._registry.absorb(outcome)
            self._versions = None
        position = {one.key: number for number, one in enumerate(self._registry.accepted)}
        for key in ready:
            if key in keys:
                await self._start(key, position[key])
                settled(key)
        self._registry.remember(self._memory)

    def _load(self, wanted: Sequence[Candidate]) -> LoadOutcome:
        return self._loader.load(wanted, import_timeout_s=self._settings.import_timeout_s)

    async def stop_all(self) -> None:
        """Stop every running plugin, the last one started first."""
        for key in self._running[::-1]:
            await self._stop(key)

    def versions(self) -> dict[str, str]:
        """Return name and version of every plugin that runs, or starts when it is needed."""
        if self._versions is None:  # each run that is resumed asks
            usable = (
                one
                for one in self._registry.accepted
                if self._registry[one.key].phase == "running" or self._registry.is_waiting(one.key)
            )
            self._versions = {one.name: one.version for one in usable}
        return dict(self._versions)

    async def _start(self, key: str, position: int) -> None:
        if self._registry[key].phase != "loaded":
            return  # a plugin that it requires has failed meanwhile
        try:
            self._registry.configure(key)
        except ConfigError as error:
            _LOG.warning("%s is not started: %s", self._registry[key].candidate.name, error)
            return
        entry = self._registry[key]
        wired = _wired(entry)
        started = False
        try:
            self._hooks.register(entry.plugin, key, self._mark(entry, "hook"), position)
            self._wiring.prepare(wired)
            context, timeout_s = self._context_of(entry.candidate), self._settings.start_timeout_s
            with self._mark(entry, "start"):
                await start_plugin(self._hooks, entry.plugin, context, timeout_s)
            started = True
            self._wiring.connect(wired, self._mark(entry, "subscriber"))
        except BaseException as error:
            if is_interruption(error):
                raise
            _LOG.debug("%s failed to start", key, exc_info=error)
            if started:
                await self._call_stop(entry)
            await self._fail(key, start_failure(entry.candidate, error))
            return
        mark = self._mark(entry, "health check")
        check = functools.partial(_checked, self._hooks, entry.plugin, mark)
        self._health.watch(entry.candidate.name, check)
        self._registry.start_succeeded(key)
        self._running.append(key)
        self._versions = None

    async def _fail(self, key: str, status: Status) -> None:
        """Mark a plugin as failed, and stop the running plugins that require it."""
        self._versions = None
        self._disconnect(self._registry[key].plugin)
        for dependent in self._registry.fail(key, status):
            await self._stop(dependent)
        # What is not installed is no failure: the others say nothing of it either.
        level = logging.INFO if status.state == "unmet" else logging.WARNING
        _LOG.log(level, "%s is %s: %s", key, status.state, status.reason)

    async def _stop(self, key: str) -> None:
        entry = self._registry[key]
        await self._call_stop(entry)
        self._disconnect(entry.plugin)
        self._health.unwatch(entry.candidate.name)
        self._registry.stopped(key)
        self._running.remove(key)
        self._versions = None

    async def _call_stop(self, entry: Entry) -> None:
        name, timeout_s = entry.candidate.name, self._settings.stop_timeout_s
        with self._mark(entry, "stop"):
            await stop_plugin(self._hooks, entry.plugin, name, timeout_s)

    def _mark(self, entry: Entry, place: Place) -> AnyMark:
        candidate = entry.candidate
        return self._marks.mark(candidate.name, place, builtin=candidate.builtin)

    def _disconnect(self, plugin: object) -> None:
        self._hooks.unregister(plugin)
        self._wiring.disconnect(plugin)


class _StartTimeoutError(Exception):
    """A plugin's start did not end in time."""


async def start_plugin(
    hooks: Hooks, plugin: object, context: PluginContext, timeout_s: float
) -> None:
    """Call a plugin's ``qtforge_start``.

    Raises:
        BaseException: Whatever the plugin raised; `start_failure` explains it. A start that
            exceeds its timeout is cancelled and raises too.
    """
    started = hooks.call_one(plugin, "qtforge_start", context=context)
    if inspect.iscoroutine(started):
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            discard_awaitable(await run_or_leave(deadline, started))
        except DeadlineExceeded:
            raise _StartTimeoutError(f"its start did not end within {timeout_s:g} s") from None


async def _checked(hooks: Hooks, plugin: object, mark: AnyMark) -> Any:
    """Return what a plugin's ``qtforge_health`` answers, or None where it has none."""
    with mark:
        answer = hooks.call_one(plugin, "qtforge_health")
        return await answer if inspect.isawaitable(answer) else answer


async def stop_plugin(hooks: Hooks, plugin: object, name: str, timeout_s: float) -> None:
    """Call a plugin's ``qtforge_stop``; a failure is logged."""
    try:
        stopped = hooks.call_one(plugin, "qtforge_stop")
        if inspect.iscoroutine(stopped):
            deadline = asyncio.get_running_loop().time() + timeout_s
            discard_awaitable(await run_or_leave(deadline, stopped))
    except DeadlineExceeded:
        _LOG.warning("%s did not stop within %g s", name, timeout_s)
    except BaseException as error:
        if is_interruption(error):
            raise
        _LOG.warning("%s failed to stop: %s", name, explain(error, plugin))


def start_failure(candidate: Candidate, error: BaseException) -> Status:
    """Return the status of a plugin whose start raised an exception.

    A plugin that finds that something is not installed, such as a program, says so by a
    `PluginError` with the code ``plugin.unmet``. It is then no failure to remember, since that is
    installed without the plugin.
    """
    if isinstance(error, PluginError) and error.code == _UNMET:
        return Status(state="unmet", code=_UNMET, reason=error.why, fix=error.fix)
    if isinstance(error, QtForgeError):
        said = description_of(error)
        return Status(state="broken", code=said.code, reason=said.text, fix=said.fix)
    if isinstance(error, _StartTimeoutError):
        return Status(
            state="broken",
            code="plugin.start_timeout",
            reason=str(error),
            fix="if it is only slow, raise start_timeout in [host]",
        )
    return Status(
        state="broken",
        code="plugin.start_failed",
        reason=f"its start raised {explain(error)}",
        fix=f"report it to the author of {candidate.distribution} {candidate.version}",
    )


def _wired(entry: Entry) -> Wired:
    point = entry.candidate.entry_point
    return Wired(
        plugin=entry.plugin,
        name=entry.candidate.name,
        version=entry.candidate.version,
        target=f"{point.module}:{point.attr}",
        installed=InstalledDistribution.read(entry.candidate.metadata_path),
        builtin=entry.candidate.builtin,
    )
