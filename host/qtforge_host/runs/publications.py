"""Pass publications on to the process that listens, and receive those of other processes.

They go through the journal: `PublicationSender` stores what its process publishes for each
listener with a matching topic, and `PublicationReceiver` is such a listener.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from qtforge_host.bus.message_bus import MessageBus, Relay
from qtforge_host.runs.active_runs import ActiveRuns
from qtforge_host.runs.run_secrets import without_known
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import check_keys, to_plain
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Journal, Publication
from qtforge_sdk.journal_errors import RecordNotStorableError
from qtforge_sdk.secrets import Secrets

__all__ = ["PublicationReceiver", "PublicationSender"]

_LOG = logging.getLogger("qtforge.bus")
_LISTENER: Final = "serve"  # one process of a state directory executes runs by itself
_AT_ONCE: Final = 100  # publications before they are removed
_HANDLED_S: Final = 60.0  # in which subscribers handle these
_POLL_S: Final = 1.0  # after which changed subscriptions are noticed
_LOOK_S: Final = 60.0  # between two looks that no change of the journal has led to
_AGAIN_S: Final = 1.0  # before the journal is tried again


class PublicationSender:
    """Stores what this process publishes for the listeners of other processes.

    Args:
        journal: The journal.
        clock: The time.
        secrets: Those that this process knows: in what is stored, ``${secret.NAME}`` stands for
            the value of a named one, and ``***`` for that of another.

    Attributes:
        listens: Whether this process is the listener: what it publishes, it has.
    """

    def __init__(self, journal: Journal, clock: Clock, secrets: Secrets) -> None:
        self._journal = journal
        self._clock = clock
        self._secrets = secrets
        self.listens = False

    async def send(self, topic: str, message: Any, message_id: str, lasting: bool) -> None:
        """Store a publication for the listeners of its topic.

        Raises:
            StateDirectoryError: The journal can't be written.
            RecordNotStorableError: There is a listener, and the message can't be stored.
        """
        if self.listens:
            return
        try:
            check_keys(message)
            plain = to_plain(message)
        except TypeError as error:
            raise RecordNotStorableError(topic, "publication", str(error)) from error
        if self._secrets.any_hidden:
            plain = without_known(plain, self._secrets, self._without_secrets)
        await self._journal.publish(
            Publication(message_id=message_id, topic=topic, message=plain, at=self._clock.now())
        )

    def _without_secrets(self, text: str) -> str:
        return self._secrets.replace(text, lambda name, _: f"${{secret.{name}}}" if name else "***")


class PublicationReceiver:
    """Receives what other processes publish, for the subscribers and triggers of this one.

    Each publication is received at least once: it is removed from the journal when it has been
    handled. It has the id under which it was published.

    Args:
        bus: Its subscribers receive the publications.
        journal: Where they are stored.
        active_runs: Notifies of changes of the journal.
        sender: Sends nothing while this process listens.
        handlers: Called with each publication, besides the subscribers.
        topics: Returns the patterns that the handlers handle.
        capacity: So many publications wait; the oldest of more are dropped.
    """

    def __init__(
        self,
        bus: MessageBus,
        journal: Journal,
        active_runs: ActiveRuns,
        sender: PublicationSender,
        handlers: Sequence[Relay],
        topics: Callable[[], Sequence[str]],
        capacity: int = 10_000,
    ) -> None:
        self._capacity = capacity
        self._bus = bus
        self._journal = journal
        self._active_runs = active_runs
        self._sender = sender
        self._handlers = handlers
        self._topics = topics
        self._listened: list[str] | None = None
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Listen from now on.

        Raises:
            StateDirectoryError: The journal can't be written.
        """
        self._sender.listens = True
        await self._listen()

    async def run(self) -> None:
        """Receive publications until cancelled."""
        self._active_runs.on_change.add(self._changed.set)
        failure = ""
        looked_s = -_LOOK_S
        try:
            while True:
                if time.monotonic() >= looked_s + _LOOK_S:
                    self._changed.set()
                try:
                    if await self._listen():
                        self._changed.set()
                    if self._changed.is_set():  # an idle process asks the journal for nothing
                        looked_s = time.monotonic()
                        self._changed.clear()
                        if await self._receive():
                            self._changed.set()
                            continue
                    failure = ""
                except QtForgeError as error:  # such as a store that fails for a while
                    if str(error) != failure:  # it may last for days
                        _LOG.warning("what other processes publish can't be received: %s", error)
                    failure = str(error)
                    self._changed.set()
                    await asyncio.sleep(_AGAIN_S)
                    continue
                try:
                    async with asyncio.timeout(_POLL_S):
                        await self._changed.wait()
                except TimeoutError:
                    pass
        finally:
            self._active_runs.on_change.discard(self._changed.set)

    async def stop(self) -> None:
        """Receive what is stored, and stop listening.

        Raises:
            StateDirectoryError: The journal can't be read or written.
        """
        while await self._receive():
            pass
        self._listened = None
        await self._journal.listen(_LISTENER, [])

    async def _listen(self) -> bool:
        """Listen to what is subscribed to now; return whether that has changed."""
        topics = sorted({*self._bus.patterns(), *self._topics()})
        if topics != self._listened:
            await self._journal.listen(_LISTENER, topics, self._capacity)
            self._listened = topics
            return True
        return False

    async def _receive(self) -> bool:
        """Deliver some of what is stored; return whether there was any."""
        found = await self._journal.publications(_LISTENER, _AT_ONCE)
        if not found:
            return False
        for _, publication in found:
            if publication is not None:  # else it is damaged, as `doctor` says
                await self._deliver(publication)
        if not await self._bus.drain(_HANDLED_S):
            _LOG.warning("some subscribers have not finished within %g s", _HANDLED_S)
        await self._journal.remove_publications(_LISTENER, found[-1].position)
        return True

    async def _deliver(self, publication: Publication) -> None:
        topic, message, message_id = (
            publication.topic,
            publication.message,
            publication.message_id,
        )
        await self._bus.deliver(topic, message, message_id)
        for handle in self._handlers:
            await handle(topic, message, message_id, True)
