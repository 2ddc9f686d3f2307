"""`PluginTestHost`: a host that holds just what a test adds."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

import msgspec

from qtforge_sdk.bus import Bus, Published
from qtforge_sdk.conversion import convert
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import BusClosedError, ConfigError, PluginError
from qtforge_sdk.plugin import PluginContext
from qtforge_sdk.secrets import Secrets
from qtforge_sdk.testing._bus import DEFAULT_TIMEOUT_S, InMemoryBus
from qtforge_sdk.testing._calls import DeadlineError, within
from qtforge_sdk.testing._messages import RecordedMessage
from qtforge_sdk.testing._plugins import LocalPlugins

__all__ = ["PluginTestHost"]

P = TypeVar("P")
T = TypeVar("T")

_LOG: Final = logging.getLogger("qtforge.testing")
_LIFECYCLE_TIMEOUT_S: Final = 10.0
_CANCEL_TIMEOUT_S: Final = 2.0
_NOTHING: Final[Mapping[str, object]] = {}


class PluginTestHost:
    """Runs the plugins that a test adds, and nothing else.

    Its methods are synchronous: it has an event loop of its own, which runs only while one
    of them does. Operations with ``execution="process"`` run in a thread here. It does not
    look at what is installed, nor at ``requires`` and ``after``. Every wait has an end.

    Args:
        data_dir: The plugins' folders are made below it.

    Attributes:
        secrets: What plugins are given; there are none until you set your own before `add`.

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
        self.secrets = Secrets(lambda name: None)
        self._record: list[RecordedMessage] = []
        self._plugins = LocalPlugins()
        self._bus = InMemoryBus(self._plugins, self._record)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._added: list[tuple[str, object]] = []
        self._closed = False
        self._runner_closed = False

    @property
    def bus(self) -> Bus:
        """The bus that plugins get; its coroutines are for `run`."""
        return self._bus

    @property
    def hooks(self) -> Any:
        """Pluggy's hooks: ``host.hooks.qtforge_workflows()`` is a list, an item per plugin."""
        return self._plugins.hook

    @property
    def messages(self) -> tuple[RecordedMessage, ...]:
        """Everything requested, answered, failed, published and delivered, in that order."""
        return tuple(self._record)

    def add(
        self,
        plugin: P,
        name: str | None = None,
        version: str = "0.0.0",
        config: object = None,
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
                ``plugin.invalid_handler``, or ``plugin.broken`` when its start failed.
            ExpressionError: An ``accepts`` or a ``where`` does not compile.
        """
        return self.run(self.add_async(plugin, name, version, config))

    async def add_async(
        self, plugin: P, name: str | None = None, version: str = "0.0.0", config: object = None
    ) -> P:
        """Do what `add` does, on a loop that runs already."""
        name = name or _words(type(plugin).__name__)
        _configure(plugin, name, config)
        self._plugins.register(plugin, name, version)
        context = PluginContext(
            name=name,
            version=version,
            bus=self._bus,
            data_dir=self.data_dir / name,
            host_version="0.0.0",
            secrets=self.secrets,
            runs_dir=self.data_dir / "run-files",
        )
        try:
            await self._call_hook(plugin, "qtforge_start", context=context)
        except (Exception, SystemExit) as error:
            self._plugins.unregister(name)
            why = "it did not start in time" if isinstance(error, DeadlineError) else (
                f"its start failed: {type(error).__name__}: {error}"
            )  # fmt: skip
            raise PluginError(name, "plugin.broken", why) from error
        self._bus.attach(name)
        self._added.append((name, plugin))
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
        return self.run(
            self._bus.request(
                topic, message, timeout=timeout, response_type=response_type, plugin=plugin
            ),
            timeout=2 * _LIFECYCLE_TIMEOUT_S
            + (DEFAULT_TIMEOUT_S if timeout is None else wait_seconds(timeout)),
        )

    def publish(self, topic: str, message: object, *, timeout: Duration = 5.0) -> Published:
        """Publish a message, and return once its subscribers have handled it.

        What they publish in turn is waited for, too.

        Args:
            topic: Under which topic.
            message: What.
            timeout: A duration; then it returns although some have not.
        """
        timeout_s = wait_seconds(timeout)

        async def publish_and_drain() -> Published:
            published = await self._bus.publish(topic, message)
            await self._bus.drain(timeout_s)
            return published

        return self.run(publish_and_drain(), timeout=timeout_s + _LIFECYCLE_TIMEOUT_S)

    def run(self, coroutine: Coroutine[Any, Any, T], *, timeout: Duration = 60.0) -> T:
        """Run a coroutine on the host's loop and return its result.

        Args:
            coroutine: What to run, such as ``host.bus.request(...)``.
            timeout: A duration, such as seconds.

        Raises:
            TimeoutError: It was not done in time, and has been cancelled.
            BusClosedError: The host is closed.
        """
        timeout_s = wait_seconds(timeout)

        async def bounded() -> Any:
            try:
                return await within(coroutine, timeout_s)
            except DeadlineError:
                raise TimeoutError(f"not done within {timeout_s:g} s") from None

        if self._runner_closed:
            coroutine.close()
            raise BusClosedError("the test host is closed", "its test is over")
        result: T = self._runner.run(bounded())
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
        timeout_s = 60.0 + 2 * _LIFECYCLE_TIMEOUT_S * len(self._added)
        errors: list[Exception] = [*self.run(self.close_async(), timeout=timeout_s)]
        left = self._runner.run(_cancel_the_rest())
        self._runner_closed = True
        if left:  # the runner's own close would wait for them without end
            self._runner.get_loop().close()
            errors.append(TimeoutError(f"still running, although cancelled: {', '.join(left)}"))
        else:
            self._runner.close()
        if errors:
            raise ExceptionGroup("the test host could not be closed cleanly", errors)

    async def close_async(self) -> list[PluginError]:
        """Stop the plugins, last first, on a loop that runs already; return what went wrong."""
        await self._bus.drain(_LIFECYCLE_TIMEOUT_S)
        errors: list[PluginError] = []
        while self._added:
            name, plugin = self._added.pop()
            self._bus.detach(name)
            try:
                await self._call_hook(plugin, "qtforge_stop")
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's; reported below
                why = f"its stop failed: {type(error).__name__}: {error}"
                failure = PluginError(name, "plugin.broken", why)
                failure.__cause__ = error
                errors.append(failure)
        self._bus.close()
        return errors

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def _call_hook(self, plugin: object, hook: str, **arguments: object) -> None:
        for implementation in self._plugins.implementations(plugin, hook):
            given = (arguments[name] for name in implementation.argnames)
            result: object = implementation.function(*given)
            if inspect.isawaitable(result):
                await within(result, _LIFECYCLE_TIMEOUT_S)


async def _cancel_the_rest() -> list[str]:
    """Cancel every other task, and return the names of those that go on regardless."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    pending = (await asyncio.wait(rest, timeout=_CANCEL_TIMEOUT_S))[1] if rest else set()
    return sorted(getattr(each.get_coro(), "__qualname__", each.get_name()) for each in pending)


def _words(class_name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name).lower()


def _configure(plugin: object, name: str, config: object) -> None:
    config_type = getattr(plugin, "Config", None)
    if config_type is None:
        if config is not None:
            raise ConfigError(f"plugins.{name}.config", "the plugin takes no configuration")
        return
    try:
        value = convert(_NOTHING if config is None else config, config_type)
    except msgspec.ValidationError as error:
        raise ConfigError(f"plugins.{name}.config", str(error)) from error
    plugin.config = value  # type: ignore[attr-defined]  # whoever has Config has config
