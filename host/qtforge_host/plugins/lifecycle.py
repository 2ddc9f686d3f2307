"""Starts and stops one plugin within its deadline; what it raises costs it alone."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback

from qtforge_host.bus.deadline import DeadlineExceeded, run_before
from qtforge_host.plugins.candidates import Candidate, Status
from qtforge_host.plugins.hooks import Hooks
from qtforge_sdk import PluginContext, QtForgeError

__all__ = ["start_failure", "start_plugin", "stop_plugin"]

_LOG = logging.getLogger("qtforge.plugins")


class StartTimeoutError(Exception):
    """A plugin's start did not end in time."""


async def start_plugin(
    hooks: Hooks, plugin: object, context: PluginContext, timeout_s: float
) -> None:
    """Call a plugin's ``qtforge_start``.

    Raises:
        StartTimeoutError: It did not end in time, and was cancelled.
        BaseException: Whatever the plugin raised.
    """
    started = hooks.call_one(plugin, "qtforge_start", context=context)
    if inspect.iscoroutine(started):
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            await run_before(deadline, started)
        except DeadlineExceeded:
            raise StartTimeoutError(f"its start did not end within {timeout_s:g} s") from None


async def stop_plugin(hooks: Hooks, plugin: object, name: str, timeout_s: float) -> None:
    """Call a plugin's ``qtforge_stop``; a failure is logged."""
    try:
        stopped = hooks.call_one(plugin, "qtforge_stop")
        if inspect.iscoroutine(stopped):
            await run_before(asyncio.get_running_loop().time() + timeout_s, stopped)
    except DeadlineExceeded:
        _LOG.warning("%s did not stop within %g s", name, timeout_s)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one plugin's stop harms nobody
        _LOG.warning("%s failed to stop: %s: %s", name, type(error).__name__, error)


def start_failure(candidate: Candidate, error: BaseException) -> Status:
    """Return the status of a plugin that could not be started."""
    if isinstance(error, QtForgeError):
        why = f"{error.what}: {error.why}" if error.why else error.what
        return Status(state="broken", code=error.code, reason=why, fix=error.fix)
    if isinstance(error, StartTimeoutError):
        return Status(
            state="broken",
            code="plugin.start_timeout",
            reason=str(error),
            fix="if it is only slow, raise start_timeout in [host]",
        )
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return Status(
        state="broken",
        code="plugin.start_failed",
        reason=f"its start raised {type(error).__name__}: {error}{place}",
        fix=f"report it to the author of {candidate.distribution} {candidate.version}",
    )
