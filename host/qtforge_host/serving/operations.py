"""The process of `worker --operations-only`: it answers other nodes, and executes no run."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from qtforge_host.app import Host
from qtforge_host.config.settings import Settings
from qtforge_host.nodes.node_bus import Answering
from qtforge_host.serving.restarts import Configuration, Restarts, Served, signals
from qtforge_sdk.errors import ConfigError, PluginError
from qtforge_sdk.validation import did_you_mean

__all__ = ["answer_operations"]


class _Answerer:
    """Answers other nodes with one configuration; implements `Served`."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.is_last = False

    def leave(self) -> None:
        """Nothing: other nodes learn that this one stops when its host does."""

    def hurry(self) -> None:
        """End the process at once."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


async def answer_operations(
    read_settings: Callable[[], Settings],
    plugins: Sequence[str],
    answering: Answering,
    say: Callable[[str], None],
    *,
    reexec: bool,
) -> bool:
    """Answer what other nodes ask the plugins of this process, until SIGTERM or SIGINT.

    Requests in progress may take the grace at the end; a second signal ends the process at once.

    Args:
        read_settings: Reads the configuration, as it is now: with a bus.
        plugins: The plugins that alone are started; none for all.
        answering: How other nodes are answered.
        say: Called when it begins and ends.
        reexec: Whether the process is replaced when an imported distribution was.

    Returns:
        Whether the process is to be replaced, and not to end.

    Raises:
        ConfigError: The configuration names no bus, or one that can't be used.
        PluginError: A named plugin is not installed, or not active.
    """

    def read() -> Configuration:
        settings = read_settings()
        if not settings.bus:
            raise ConfigError(
                settings.bus_source,
                "a process that executes no runs is asked over a bus, and there is none",
                "give one, such as --bus nats://HOST:4222",
            )
        if plugins:
            settings = msgspec.structs.replace(settings, only=frozenset(plugins))
        return settings, ()

    @contextlib.asynccontextmanager
    async def answerer(configuration: Configuration) -> AsyncIterator[_Answerer]:
        settings, _ = configuration
        async with Host(settings, answering=answering) as host:
            for name in plugins:
                _check_active(host, name)
            yield _Answerer(host)

    def ready(served: Served) -> None:
        topics = {handler.topic for handler in served.host.bus.handlers()}
        count = "1 topic" if len(topics) == 1 else f"{len(topics)} topics"
        say(f"answering {count}; end it with SIGTERM or Ctrl-C")

    first = read()
    with signals(answering.grace_s) as stop:
        is_replaced = await Restarts(read, stop, reexec=reexec).serve(first, answerer, ready)
    say("executing itself again" if is_replaced else "ended")
    return is_replaced


def _check_active(host: Host, name: str) -> None:
    found = host.registry.named(name)
    if not found:
        names = sorted({entry.candidate.name for entry in host.registry})
        fix = did_you_mean(name, names, "pip install what provides it")
        raise PluginError(name, "plugin.not_found", "it is not installed", fix)
    if not any(entry.status.state == "active" for entry in found):
        status = found[0].status
        raise PluginError(name, status.code, status.reason, status.fix)
