"""The process of `worker --operations-only`: it answers other nodes, and executes no run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence

import msgspec

from qtforge_host.app import Host
from qtforge_host.config.settings import Settings
from qtforge_host.event_loop import end_watch
from qtforge_host.nodes.node_bus import Answering
from qtforge_sdk.errors import ConfigError, PluginError
from qtforge_sdk.validation import did_you_mean

__all__ = ["answer_operations"]


async def answer_operations(
    settings: Settings,
    plugins: Sequence[str],
    answering: Answering,
    say: Callable[[str], None],
) -> None:
    """Answer what other nodes ask the plugins of this process, until SIGTERM or SIGINT.

    Requests in progress may take the grace at the end; a second signal ends the process at once.

    Args:
        settings: The configuration, with a bus.
        plugins: The plugins that alone are started; none for all.
        answering: How other nodes are answered.
        say: Called when it begins and ends.

    Raises:
        ConfigError: The configuration names no bus, or one that can't be used.
        PluginError: A named plugin is not installed, or not active.
    """
    if not settings.bus:
        raise ConfigError(
            settings.bus_source,
            "a process that executes no runs is asked over a bus, and there is none",
            "give one, such as --bus nats://HOST:4222",
        )
    if plugins:
        settings = msgspec.structs.replace(settings, only=frozenset(plugins))
    if (end := end_watch()) is not None:
        end.grace_s = answering.grace_s
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        ending.set()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)  # another one ends the process at once

    async with Host(settings, answering=answering) as host:
        for name in plugins:
            _check_active(host, name)
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, stop)
        topics = {handler.topic for handler in host.bus.handlers()}
        say(f"answering {len(topics)} topics; end it with SIGTERM or Ctrl-C")
        await ending.wait()
    say("ended")


def _check_active(host: Host, name: str) -> None:
    found = host.registry.named(name)
    if not found:
        names = sorted({entry.candidate.name for entry in host.registry})
        fix = did_you_mean(name, names, "pip install what provides it")
        raise PluginError(name, "plugin.not_found", "it is not installed", fix)
    if not any(entry.status.state == "active" for entry in found):
        status = found[0].status
        raise PluginError(name, status.code, status.reason, status.fix)
