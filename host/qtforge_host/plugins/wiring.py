"""Turns the hooks of started plugins into the bus's handlers and subscriptions."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtforge_host.bus.deadline import DeadlineExceeded, run_before
from qtforge_host.bus.guard import Guard
from qtforge_host.bus.handler import Handler
from qtforge_host.bus.message_bus import MessageBus, Observers
from qtforge_host.bus.processes import ProcessWorkers
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.plugins.hooks import Hooks, OperationHook
from qtforge_sdk import Record
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import ExpressionError, PluginError
from qtforge_sdk.operations import OperationSpec, Signature, handler_signature

__all__ = ["Contributions", "Decorate", "Wired", "Wiring"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """What the bus is told of a plugin: the object, who it is, where a worker imports it."""

    plugin: object
    name: str
    version: str
    target: str


Decorate = Callable[[Callable[..., Any], OperationSpec, Signature], Callable[..., Any]]
"""Given an operation's method, its spec and its signature, returns what is called instead."""


class Wiring:
    """Compiles handlers once for each plugin, and tells the bus who answers what.

    Args:
        hooks: Who implements what, in which order.
        bus: What is told.
        expressions: Compiles ``accepts``.
        threads: Where ``def`` handlers run.
        processes: How many worker processes each plugin may have; None for the CPUs' count,
            0 for none: process operations run in threads then.
        guard_of: Gives the policies of a topic with so many handlers, or None for none.
        mask: Takes secrets out of an error's text.
        decorate: Given an operation's method, returns what is called in its place.
    """

    def __init__(
        self,
        hooks: Hooks,
        bus: MessageBus,
        expressions: Expressions,
        threads: WorkerThreads,
        processes: int | None,
        guard_of: Callable[[str, int], Guard | None] = lambda topic, handlers: None,
        mask: Callable[[str], str] = str,
        decorate: Decorate | None = None,
    ) -> None:
        self._hooks = hooks
        self._bus = bus
        self._expressions = expressions
        self._threads = threads
        self._guard_of = guard_of
        self._mask = mask
        self._decorate = decorate
        self._processes = (os.cpu_count() or 1) if processes is None else processes
        self._wired: dict[int, Wired] = {}
        self._handlers: dict[int, dict[Callable[..., Any], Handler]] = {}
        self._workers: dict[int, ProcessWorkers] = {}
        self._mailboxes: dict[int, list[Any]] = {}
        self._tell_of_run: Callable[..., None] | None = None

    def prepare(self, wired: Wired) -> None:
        """Compile a registered plugin's operations, and leave the bus as it is.

        Raises:
            PluginError: An operation's signature or condition can't be used.
        """
        handlers = {}
        for operations in self._hooks.operations().values():
            for hook in operations:
                if hook.plugin is wired.plugin:
                    handlers[hook.method] = self._handler(wired, hook)
        for subscriber in self._hooks.subscribers(wired.plugin):
            handler_signature(subscriber.method, wired.name, extra=0)
        self._handlers[id(wired.plugin)] = handlers
        self._wired[id(wired.plugin)] = wired

    def connect(self, wired: Wired) -> None:
        """Let a prepared plugin answer and hear.

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
                )
            except ExpressionError as error:
                raise _bad_condition(wired, error) from error
            mailboxes.append(mailbox)
        self.refresh()

    def disconnect(self, plugin: object) -> None:
        """Take a plugin off the bus; its hooks must be unregistered already."""
        for mailbox in self._mailboxes.pop(id(plugin), []):
            mailbox.close()
        self._handlers.pop(id(plugin), None)
        self.refresh()

    def refresh(self) -> None:
        """Compile the routes anew from pluggy's order."""
        routes = {}
        for topic, operations in self._hooks.operations().items():
            found = [
                self._handlers.get(id(hook.plugin), {}).get(hook.method) for hook in operations
            ]
            connected = [handler for handler in found if handler is not None]
            if connected:
                routes[topic] = connected
        self._bus.set_routes(routes, self._observers(), self._guard_of)
        self._tell_of_run = self._hooks.observer("qtforge_on_run_event")

    def observe_run(self, record: Record) -> None:
        """Tell the plugins that want to hear of runs; compiled with the routes, not each time."""
        if self._tell_of_run is not None:
            self._tell_of_run(event=record)

    def describe(self, plugin: object) -> Wired | None:
        """Return who a plugin object is; None when it was never prepared."""
        return self._wired.get(id(plugin))

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
        method = hook.method
        if self._decorate is not None:
            method = self._decorate(method, spec, signature)
        return Handler(
            wired.name,
            wired.version,
            method,
            spec,
            signature,
            accepts,
            hook.rank,
            self._threads,
            self._workers_of(wired) if spec.execution == "process" and self._processes else None,
            self._mask,
        )

    def _workers_of(self, wired: Wired) -> ProcessWorkers:
        key = id(wired.plugin)
        if key not in self._workers:
            config = getattr(wired.plugin, "config", None)
            plain = None if config is None else to_plain(config)
            self._workers[key] = ProcessWorkers(wired.target, plain, self._processes)
        return self._workers[key]


def _bad_condition(wired: Wired, error: ExpressionError) -> PluginError:
    return PluginError(
        wired.name, "plugin.invalid_condition", f"in '{error.expression}': {error.why}", error.fix
    )


_LOG = logging.getLogger("qtforge.host")


class Contributions:
    """Asks the plugins; one that raises or never returns costs itself alone.

    Args:
        hooks: Who implements what.
        wiring: Who a plugin object is.
        threads: Where the hooks run.
        timeout_s: How long one may take, in seconds.
    """

    def __init__(
        self, hooks: Hooks, wiring: Wiring, threads: WorkerThreads, timeout_s: float
    ) -> None:
        self._hooks = hooks
        self._wiring = wiring
        self._threads = threads
        self._timeout_s = timeout_s

    async def collect(self, hook: str) -> list[tuple[Wired, list[Any]]]:
        """Return what each plugin gives, in pluggy's order."""
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
            except (Exception, SystemExit) as error:  # noqa: BLE001 - costs that plugin alone
                kind = type(error).__name__
                _LOG.warning("%s failed in %s: %s: %s", wired.name, hook, kind, error)
        return found

    async def commands(self) -> dict[str, Any]:
        """Return the click commands, by name; of two with one name, the first."""
        found: dict[str, Any] = {}
        for wired, offered in await self.collect("qtforge_commands"):
            for command in offered:
                name = getattr(command, "name", None)
                if not name or name in found:
                    _LOG.warning("%s offers a command that can't be used: %r", wired.name, command)
                    continue
                found[name] = command
        return found


def _listed(call: Callable[[], Any]) -> list[Any]:
    return list(call() or ())
