"""Connect the hooks of plugins to the host: bus handlers, subscriptions, contributions."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from qtforge_host.bus.handler import Handler
from qtforge_host.bus.message_bus import MessageBus, Observers
from qtforge_host.bus.policy import RequestPolicy
from qtforge_host.bus.processes import ProcessWorkers
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.cancellation import DeadlineExceeded, run_before
from qtforge_host.code_marks import UNMARKED, AnyMark
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.installed import InstalledDistribution
from qtforge_host.loop_watch import LoopWatch
from qtforge_host.plugin_code import (
    Author,
    clean_text,
    discard_awaitable,
    explain,
    is_interruption,
)
from qtforge_host.plugins.extensions import add_orchestrator
from qtforge_host.plugins.hooks import Hooks, OperationHook
from qtforge_host.workflows.catalog import Contribution, located
from qtforge_sdk import Orchestrator, Record
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import ExpressionError, PluginError
from qtforge_sdk.operations import handler_signature
from qtforge_sdk.workflows import PythonWorkflow

__all__ = ["ContributedCommand", "Contributions", "Wired", "Wiring"]

_LOG = logging.getLogger("qtforge.host")
_OBSERVING: Final = frozenset(
    (
        "qtforge_before_request",
        "qtforge_after_request",
        "qtforge_on_request_error",
        "qtforge_on_run_event",
    )
)


class Wired(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin as the bus knows it.

    Attributes:
        plugin: The object.
        name: The plugin's name.
        version: Its distribution's version.
        target: Where a worker process imports its class, ``module:attribute``.
        installed: Its distribution as it was when it was imported; None where that is unknown.
        builtin: Whether it is part of the host's distribution.
    """

    plugin: object
    name: str
    version: str
    target: str
    installed: InstalledDistribution | None = None
    builtin: bool = False

    @property
    def author(self) -> Author:
        """Name and version, as the author of code."""
        return Author(self.name, self.version)


"""Given an operation's method, its spec and its signature, returns what is called instead."""


class Wiring:
    """Compiles each plugin's handlers once, and keeps the routes of the bus up to date.

    Args:
        hooks: The registered hooks, in pluggy's order.
        bus: Receives routes and subscriptions.
        expressions: Compiles ``accepts``.
        threads: Run ``def`` handlers.
        processes: The most worker processes of each plugin; None for the number of CPUs, 0 for
            none: process operations then run in threads.
        process_memory_bytes: How much memory each of them may take, with its children.
        policy_of: Returns the policy of a topic with that many handlers, or None for none.
        mask: Removes secrets from an error's text.
        watch: Knows when the event loop was blocked, or None.
    """

    def __init__(
        self,
        hooks: Hooks,
        bus: MessageBus,
        expressions: Expressions,
        threads: WorkerThreads,
        processes: int | None,
        process_memory_bytes: int,
        policy_of: Callable[[str, int], RequestPolicy | None] = lambda topic, handlers: None,
        mask: Callable[[str], str] = str,
        watch: LoopWatch | None = None,
    ) -> None:
        self._watch = watch
        self._hooks = hooks
        self._bus = bus
        self._expressions = expressions
        self._threads = threads
        self._policy_of = policy_of
        self._mask = mask
        self._processes = (os.cpu_count() or 1) if processes is None else processes
        self._process_memory_bytes = process_memory_bytes
        self._wired: dict[int, Wired] = {}
        self._handlers: dict[object, Handler] = {}  # by the key of the hook
        self._keys: dict[int, list[object]] = {}  # of each plugin's handlers
        self._hooks_of: dict[int, tuple[str, ...]] = {}  # of each prepared plugin
        self._workers: dict[int, ProcessWorkers] = {}
        self._mailboxes: dict[int, list[Any]] = {}
        self._run_observer: Callable[..., None] | None = None

    def prepare(self, wired: Wired) -> None:
        """Compile a registered plugin's operations; the bus is not changed.

        Raises:
            PluginError: An operation's signature or condition can't be used.
        """
        hooks = self._hooks.operations(wired.plugin)
        handlers = {hook.key: self._handler(wired, hook) for hook in hooks}
        self._hooks_of[id(wired.plugin)] = self._hooks.hooks_of(wired.plugin)
        for subscriber in self._hooks.subscribers(wired.plugin):
            handler_signature(subscriber.method, wired.name, extra=0)
        self._handlers.update(handlers)
        self._keys[id(wired.plugin)] = list(handlers)
        self._wired[id(wired.plugin)] = wired

    def connect(self, wired: Wired, mark: AnyMark = UNMARKED) -> None:
        """Let a prepared plugin receive requests and publications.

        Args:
            wired: The plugin.
            mark: Marks that its subscribers are called.

        Raises:
            PluginError: A subscriber's condition can't be used.
        """
        mailboxes = self._mailboxes.setdefault(id(wired.plugin), [])
        for subscriber in self._hooks.subscribers(wired.plugin):
            spec = subscriber.spec
            try:
                mailbox = self._bus.add_subscriber(
                    spec.pattern,
                    subscriber.method,
                    wired.name,
                    wired.version,
                    where=spec.where,
                    capacity=spec.capacity,
                    mark=mark,
                )
            except ExpressionError as error:
                raise _bad_condition(wired, error) from error
            mailboxes.append(mailbox)
        self._compile(self._hooks_of[id(wired.plugin)])

    def disconnect(self, plugin: object) -> None:
        """Remove a plugin from the bus; its hooks must be unregistered already."""
        for mailbox in self._mailboxes.pop(id(plugin), []):
            mailbox.close()
        for key in self._keys.pop(id(plugin), ()):
            self._handlers.pop(key, None)
        self._compile(self._hooks_of.pop(id(plugin), ()))

    def settle(self, key: str) -> None:
        """Expect a plugin no more: it has started, or can't; see `MessageBus.expect`."""
        self._bus.settle(key, self._policy_of)

    def _compile(self, hooks: Sequence[str]) -> None:
        """Compile the routes of some hooks again from pluggy's order.

        Only a plugin's own topics change with it: all routes at each plugin would take a time
        that grows with the square of their number.
        """
        handlers = self._handlers
        routes = {
            topic: [handlers[key] for key in self._hooks.calling_order(topic) if key in handlers]
            for topic in hooks
        }
        self._bus.set_routes(routes, self._policy_of)
        if not _OBSERVING.isdisjoint(hooks):
            self._bus.observe(self._observers())
            self._run_observer = self._hooks.observer("qtforge_on_run_event")

    def observe_run(self, record: Record) -> None:
        """Call the plugins' ``qtforge_on_run_event`` hooks with a record."""
        if self._run_observer is not None:
            self._run_observer(event=record)

    def describe(self, plugin: object) -> Wired | None:
        """Return name and version of a plugin object; None when it was never prepared."""
        return self._wired.get(id(plugin))

    def author_of_package(self, package: str) -> Author | None:
        """Return the prepared plugin whose class is in a top-level package.

        None where there is none, or where several plugins share the package.
        """
        found = {
            wired.author
            for wired in tuple(self._wired.values())
            if wired.target.partition(":")[0].partition(".")[0] == package
        }
        return found.pop() if len(found) == 1 else None

    async def close(self) -> None:
        """End every worker process."""
        for workers in self._workers.values():
            await workers.close()

    def _observers(self) -> Observers:
        return Observers(
            before=self._hooks.observer("qtforge_before_request"),
            after=self._hooks.observer("qtforge_after_request"),
            error=self._hooks.observer("qtforge_on_request_error"),
        )

    def _handler(self, wired: Wired, hook: OperationHook) -> Handler:
        spec = hook.spec
        try:
            accepts = (
                None
                if spec.accepts is None
                else self._expressions.compile(spec.accepts, ("message",))
            )
        except ExpressionError as error:
            raise _bad_condition(wired, error) from error
        signature = handler_signature(hook.method, wired.name, extra=2 if spec.wrapper else 1)
        return Handler(
            wired.name,
            wired.version,
            hook.method,
            spec,
            signature,
            accepts,
            hook.rank,
            self._threads,
            self._workers_of(wired) if spec.execution == "process" and self._processes else None,
            self._mask,
            self._watch,
        )

    def _workers_of(self, wired: Wired) -> ProcessWorkers:
        key = id(wired.plugin)
        if key not in self._workers:
            config = getattr(wired.plugin, "config", None)
            plain = None if config is None else to_plain(config)
            self._workers[key] = ProcessWorkers(
                wired.target,
                plain,
                self._processes,
                memory_bytes=self._process_memory_bytes,
                installed=wired.installed,
            )
        return self._workers[key]


class ContributedCommand(msgspec.Struct, frozen=True):
    """A click command of a plugin.

    Attributes:
        command: The command.
        author: The plugin.
    """

    command: Any
    author: Author


class Contributions:
    """Calls the contributing hooks; a plugin that raises or never returns loses only its own.

    Args:
        hooks: The registered hooks.
        wiring: Names the plugin of a hook.
        threads: Run the hooks.
        timeout_s: How long one hook may take, in seconds.
    """

    def __init__(
        self, hooks: Hooks, wiring: Wiring, threads: WorkerThreads, timeout_s: float
    ) -> None:
        self._hooks = hooks
        self._wiring = wiring
        self._threads = threads
        self._timeout_s = timeout_s

    async def commands(self) -> dict[str, ContributedCommand]:
        """Return the click commands by name; the first one with a name is kept."""
        found: dict[str, ContributedCommand] = {}
        for wired, commands in await self._collect("qtforge_commands"):
            for command in commands:
                name = _name_of(command)
                if not name or name in found:
                    kind = type(command).__name__
                    _LOG.warning("%s offers a command that can't be used: %s", wired.name, kind)
                    continue
                found[name] = ContributedCommand(command, wired.author)
        return found

    async def orchestrators(
        self, known: Mapping[str, Orchestrator[Any]]
    ) -> dict[str, Orchestrator[Any]]:
        """Return an orchestrator of each contributed kind, by kind.

        Args:
            known: The kinds that exist already; these are not replaced.
        """
        contributed = await self._collect("qtforge_orchestrators")
        if not contributed:
            return {}  # without importing all that are known
        found = dict(known)
        for wired, classes in contributed:
            for orchestrator in classes:
                try:
                    add_orchestrator(found, orchestrator(), wired.author)
                except BaseException as error:
                    if is_interruption(error):
                        raise
                    named = orchestrator if isinstance(orchestrator, type) else type(orchestrator)
                    kind = clean_text(named.__qualname__)
                    _LOG.warning("%s: %s can't be made: %s", wired.name, kind, explain(error))
        return {kind: found[kind] for kind in found if kind not in known}

    async def workflows(self) -> list[Contribution]:
        """Return the contributed workflow definitions, not yet parsed."""
        found = []
        for wired, contents in await self._collect("qtforge_workflows"):
            for content in contents:
                if isinstance(content, str | Path | PythonWorkflow):
                    found.append(
                        Contribution(
                            content=located(content, wired.plugin),
                            contributor=str(wired.author),
                            author=wired.author,
                            builtin=wired.builtin,
                        )
                    )
                else:
                    kind = type(content).__name__
                    _LOG.warning("%s offers a workflow that is a %s", wired.name, kind)
        return found

    async def _collect(self, hook: str) -> list[tuple[Wired, list[Any]]]:
        """Return what each plugin's hook returned, in pluggy's order."""
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
            except BaseException as error:
                if is_interruption(error):
                    raise
                _LOG.warning("%s failed in %s: %s", wired.author, hook, explain(error, plugin))
        return found


def _bad_condition(wired: Wired, error: ExpressionError) -> PluginError:
    return PluginError(
        wired.name, "plugin.invalid_condition", f"in '{error.expression}': {error.why}", error.fix
    )


def _listed(call: Callable[[], Any]) -> list[Any]:
    answer = call()
    if discard_awaitable(answer):
        raise TypeError("it returned a coroutine: the hook must not be async")
    if isinstance(answer, str | Path | PythonWorkflow):
        kind = type(answer).__name__
        raise TypeError(f"it returned one {kind}, not a list: write return [...]")
    return list(answer or ())


def _name_of(command: object) -> str:
    try:
        name = getattr(command, "name", None)
    except BaseException as error:
        if is_interruption(error):
            raise
        return ""
    return name if isinstance(name, str) and hasattr(command, "make_context") else ""
