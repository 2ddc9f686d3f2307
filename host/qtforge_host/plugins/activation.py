"""Start plugins when they are needed: with the host, or when something first asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Final

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.installed import InstalledDistribution
from qtforge_host.plugins.candidates import Candidate, Status
from qtforge_host.plugins.lifecycle import PluginLifecycle
from qtforge_host.plugins.offers import Offers
from qtforge_host.plugins.registry import Registry
from qtforge_sdk import HandlerInfo
from qtforge_sdk.topics import matches

__all__ = ["Activation"]

# The plugins whose start the current task belongs to.
_STARTING: Final[ContextVar[frozenset[str]]] = ContextVar("starting", default=frozenset())


class Activation:
    """Starts the plugins of a host.

    Args:
        registry: The state of each plugin.
        lifecycle: Loads and starts them.
        bus: Asks for plugins by what they answer and subscribe to.
        settled: Called with the key of each plugin that was expected, once it has started or
            failed.
        offers: What each accepted plugin offers, by its key.
        reasons: Why a plugin starts with the host, by its key; the others wait.
        in_thread: Whether the event loop continues while those that waited are imported.
    """

    def __init__(
        self,
        registry: Registry,
        lifecycle: PluginLifecycle,
        bus: MessageBus,
        settled: Callable[[str], None],
        offers: Mapping[str, Offers],
        reasons: Mapping[str, str],
        *,
        in_thread: bool = False,
    ) -> None:
        self._in_thread = in_thread
        self._registry = registry
        self._lifecycle = lifecycle
        self._settled = settled
        self._offers = offers
        self._early = tuple(one.key for one in registry.accepted if one.key in reasons)
        late = [one for one in registry.accepted if one.key not in reasons]
        self._waiting = {one.key: None for one in late}
        self._starting: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._installed: Mapping[str, InstalledDistribution] = {
            path: InstalledDistribution.read(path) for path in {one.metadata_path for one in late}
        }
        self._by_topic: dict[str, list[str]] = {}
        for one in late:
            for topic in sorted(offers[one.key].topics):
                self._by_topic.setdefault(topic, []).append(one.key)
        self._is_closed = False
        if late:
            bus.expect(
                {one.key: _handlers(one, offers[one.key]) for one in late},
                {one.key: offers[one.key].subscriptions for one in late},
                self.start_for,
                self.start_audience,
            )

    async def begin(self) -> None:
        """Start the plugins that start with the host."""
        await self._lifecycle.start(self._early)
        self._leave_out()

    async def start_for(self, topic: str) -> None:
        """Start the plugins that answer a topic or wrap its handlers."""
        await self.start(self._by_topic.get(topic, ()))

    async def start_audience(self, topic: str) -> None:
        """Start the plugins that subscribe to a topic."""
        await self.start(
            key
            for key in self._open()
            if any(matches(each, topic) for each in self._offers[key].subscriptions)
        )

    async def start_with_hook(self, hook: str) -> None:
        """Start the plugins that implement a hook."""
        await self.start(key for key in self._open() if hook in self._offers[key].hooks)

    async def start_named(self, topics: Iterable[str], plugins: Iterable[str]) -> None:
        """Start the plugins that answer some topics, and those of some names."""
        names = set(plugins)
        keys = [key for topic in topics for key in self._by_topic.get(topic, ())]
        await self.start([*keys, *(key for key in self._open() if _name(key) in names)])

    async def start_all(self) -> None:
        """Start every plugin that waits."""
        await self.start(self._open())

    async def start(self, keys: Iterable[str]) -> None:
        """Start plugins that wait, with those that they need; return when they have settled.

        A plugin that fails to start is ``broken``; that is no error here. Plugins that are being
        started by the caller's own plugin are not waited for.
        """
        wanted = self._with_needed(keys)
        inside = _STARTING.get()
        others = [self._starting[key] for key in wanted if key in self._starting.keys() - inside]
        mine = tuple(
            one.key
            for one in self._registry.accepted
            if one.key in wanted and one.key in self._waiting
        )
        if mine and not self._is_closed:
            others.append(self._claim(mine, tuple(others)))
        for each in dict.fromkeys(others):
            await asyncio.shield(each)

    async def close(self) -> None:
        """Start nothing more, and wait for the plugins that are being started."""
        self._is_closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _open(self) -> list[str]:
        """Return the plugins that have not settled."""
        return [*self._waiting, *self._starting]

    def _with_needed(self, keys: Iterable[str]) -> set[str]:
        """Return those that have not settled among plugins, and those that they need."""
        needs, found, left = self._registry.resolution.needs, set[str](), list(keys)
        while left:
            key = left.pop()
            if key not in found and (key in self._waiting or key in self._starting):
                found.add(key)
                left.extend(needs.get(key, ()))
        return found

    def _claim(
        self, keys: Sequence[str], before: Sequence[asyncio.Future[None]]
    ) -> asyncio.Task[None]:
        """Start plugins in a task of its own: the task that needs them may be cancelled."""

        async def started() -> None:
            _STARTING.set(_STARTING.get() | frozenset(keys))
            try:
                if before:
                    await asyncio.wait(before)
                await self._start(keys)
            finally:
                for key in keys:
                    self._settle(key)

        task = asyncio.create_task(started())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        for key in keys:
            del self._waiting[key]
            self._starting[key] = task
        return task

    async def _start(self, keys: Sequence[str]) -> None:
        for key in keys:
            if self._is_replaced(self._registry[key].candidate):
                self._registry.fail(key, _replaced(self._registry[key].candidate))
        await self._lifecycle.start(keys, self._settle, in_thread=self._in_thread)
        self._leave_out()

    def _leave_out(self) -> None:
        """Expect nothing of plugins that can't start any more."""
        for key in list(self._waiting):
            if not self._registry.is_waiting(key):  # it requires one that has failed
                del self._waiting[key]
                self._settled(key)

    def _settle(self, key: str) -> None:
        if self._starting.pop(key, None) is not None:
            self._settled(key)

    def _is_replaced(self, candidate: Candidate) -> bool:
        known = self._installed.get(candidate.metadata_path)
        return known is not None and known.is_changed()


def _handlers(candidate: Candidate, offers: Offers) -> list[HandlerInfo]:
    return [
        HandlerInfo(
            topic=each.topic,
            plugin=candidate.name,
            version=candidate.version,
            execution="",
            accepts=None,
            wrapper=each.wrapper,
            message_type="",
            response_type="",
        )
        for each in offers.operations
    ]


def _name(key: str) -> str:
    return key.partition(":")[2]


def _replaced(candidate: Candidate) -> Status:
    return Status(
        state="broken",
        code="plugin.replaced",
        reason=f"{candidate.distribution} {candidate.version} was replaced after this process"
        " had started, and before the plugin was needed",
        fix="start the process again",
    )
