"""`PluginTestHost`: a host that holds just what a test adds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

from qtforge_host.cancellation import LONGEST_CLEANUP_S
from qtforge_host.testing.bench import LIFECYCLE_TIMEOUT_S, Bench, default_name
from qtforge_host.testing.traffic import RecordedMessage
from qtforge_sdk.bus import Bus, Published
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import BusClosedError
from qtforge_sdk.secrets import Secrets

__all__ = ["PluginTestHost"]

P = TypeVar("P")
T = TypeVar("T")

_REQUEST_TIMEOUT_S: Final = 30.0
_CANCEL_TIMEOUT_S: Final = 2.0
_LATE_S: Final = LONGEST_CLEANUP_S + 5.0  # for a late handler to take in its cancellation


class PluginTestHost:
    """Runs the plugins that a test adds, and nothing else, on the host's own bus.

    Its methods are synchronous: it has an event loop of its own, which runs only while one
    of them does. Operations with ``execution="process"`` run in a thread here. It does not
    look at what is installed, nor at ``requires`` and ``after``. Every wait has an end.

    Args:
        data_dir: The plugins' folders are made below it.

    >>> import tempfile
    >>> from qtforge_sdk import Plugin, operation
    >>> class Greeter(Plugin):
    ...     @operation("greeting.make")
    ...     async def make(self, request: dict[str, str]) -> str:
    ...         return f"Hello, {request['name']}"
    >>> with tempfile.TemporaryDirectory() as folder, PluginTestHost(Path(folder)) as host:
    ...     greeter = host.add(Greeter())
    ...     host.request("greeting.make", {"name": "Ada"})
    'Hello, Ada'
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._bench = Bench(data_dir)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._plugins = 0
        self._closed = False
        self._runner_closed = False

    @property
    def bench(self) -> Bench:
        """The parts of the host."""
        return self._bench

    @property
    def bus(self) -> Bus:
        """The bus that plugins get; its coroutines are for `run`."""
        return self._bench.parts.bus

    @property
    def hooks(self) -> Any:
        """Pluggy's hooks: ``host.hooks.qtforge_workflows()`` is a list, an item per plugin."""
        return self._bench.parts.hooks.relay

    @property
    def messages(self) -> tuple[RecordedMessage, ...]:
        """Everything requested, answered, failed, published and delivered, in that order."""
        return tuple(self._bench.traffic.messages)

    @property
    def secrets(self) -> Secrets:
        """What plugins are given; there are none until you set your own before `add`."""
        return self._bench.secrets

    @secrets.setter
    def secrets(self, secrets: Secrets) -> None:
        self._bench.secrets = self._bench.parts.secrets = secrets

    def add(
        self, plugin: P, name: str | None = None, version: str = "0.0.0", config: object = None
    ) -> P:
        """Register a plugin, configure it and start it.

        Args:
            plugin: A `Plugin`, or any object with hook implementations.
            name: None for the class's name in words: ``AuditLog`` is ``audit-log``.
            version: Shown in errors.
            config: An instance of the plugin's ``Config``, or a mapping that is validated
                as one; None for one without any keys.

        Returns:
            The plugin.

        Raises:
            ConfigError: The configuration does not fit.
            PluginError: ``plugin.conflict``, ``plugin.invalid_hook``,
                ``plugin.invalid_handler``, ``plugin.invalid_condition`` when an ``accepts``
                or a ``where`` does not compile, or ``plugin.broken`` when its start failed.
        """
        self.run(self._bench.add(plugin, name or default_name(plugin), version, config))
        self._plugins += 1
        return plugin

    @overload
    def request(
        self, topic: str, message: object, *, timeout: Duration | None = None,
        response_type: type[T], plugin: str | None = None,
    ) -> T: ...  # fmt: skip

    @overload
    def request(
        self, topic: str, message: object, *, timeout: Duration | None = None,
        response_type: None = None, plugin: str | None = None,
    ) -> Any: ...  # fmt: skip

    def request(
        self, topic: str, message: object, *, timeout: Duration | None = None,
        response_type: Any = None, plugin: str | None = None,
    ) -> Any:  # fmt: skip
        """Ask a topic and return the answer; arguments and errors are `Bus.request`'s."""
        limit_s = _REQUEST_TIMEOUT_S if timeout is None else wait_seconds(timeout)
        return self.run(
            self._bench.parts.bus.request(
                topic, message, timeout=limit_s, response_type=response_type, plugin=plugin
            ),
            timeout=limit_s + _LATE_S,
        )

    def publish(self, topic: str, message: object, *, timeout: Duration = 5.0) -> Published:
        """Publish a message, and return once its subscribers have handled it.

        Messages that they publish in turn are waited for, too.

        Args:
            topic: The topic.
            message: The message.
            timeout: A duration; then it returns although some have not.
        """
        timeout_s = wait_seconds(timeout)

        async def publish_and_drain() -> Published:
            bus, deadline = self._bench.parts.bus, time.monotonic() + timeout_s
            published = await bus.publish(topic, message)
            while bus.undelivered and (left_s := deadline - time.monotonic()) > 0:
                await bus.drain(left_s)
            return published

        return self.run(publish_and_drain(), timeout=timeout_s + LIFECYCLE_TIMEOUT_S)

    def run(self, coroutine: Coroutine[Any, Any, T], *, timeout: Duration = 60.0) -> T:
        """Run a coroutine on the host's loop and return its result.

        Args:
            coroutine: What to run, such as ``host.bus.request(...)``.
            timeout: A duration of real time.

        Raises:
            TimeoutError: It was not done in time, and has been cancelled.
            BusClosedError: The host is closed.
        """
        if self._runner_closed:
            coroutine.close()
            raise BusClosedError("the test host is closed", "its test is over")
        result: T = self._runner.run(_within(coroutine, wait_seconds(timeout)))
        return result

    def close(self) -> None:
        """Stop the plugins, last first, and the loop; again does nothing.

        Raises:
            ExceptionGroup: Of a `PluginError` (``plugin.broken``) for each whose stop failed,
                and a TimeoutError for handlers that ignore their cancellation.
        """
        if self._closed:
            return
        self._closed = True
        timeout_s = 60.0 + 2 * LIFECYCLE_TIMEOUT_S * self._plugins
        errors: list[Exception] = [*self.run(self._bench.close(), timeout=timeout_s)]
        left = self._runner.run(_cancel_the_rest())
        self._runner_closed = True
        if left:  # the runner's own close would wait for them without end
            self._runner.get_loop().close()
            errors.append(TimeoutError(f"still running, although cancelled: {', '.join(left)}"))
        else:
            self._runner.close()
        if errors:
            raise ExceptionGroup("the test host could not be closed cleanly", errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


async def _within(coroutine: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
    """Await a coroutine for at most so many seconds.

    It runs as a task of its own, so that one that ignores its cancellation can be left.
    """
    task = asyncio.ensure_future(coroutine)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
        if task.done():
            return task.result()
        raise TimeoutError(f"not done within {timeout_s:g} s")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_TIMEOUT_S)
            # Its outcome is of no use, and asyncio warns of one that is never retrieved.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _cancel_the_rest() -> list[str]:
    """Cancel every other task, and return the names of those that run regardless."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    pending = (await asyncio.wait(rest, timeout=_CANCEL_TIMEOUT_S))[1] if rest else set()
    return sorted(getattr(each.get_coro(), "__qualname__", each.get_name()) for each in pending)
