"""`Host`: owns every part, starts it and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.metadata
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qtforge_host.bus.message_bus import LocalTransport, MessageBus
from qtforge_host.bus.subscriptions import DeliveryObserver
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.bus.transport import Transport
from qtforge_host.clock import SystemClock
from qtforge_host.config.secrets import MaskingFilter, SecretStore
from qtforge_host.config.settings import Settings
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.gc_tuning import freeze_heap
from qtforge_host.plugins.candidates import Status
from qtforge_host.plugins.extensions import load_journal, load_kinds
from qtforge_host.plugins.hooks import Hooks
from qtforge_host.plugins.lifecycle import start_failure, start_plugin, stop_plugin
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.registry import Entry, Registry, unmet
from qtforge_host.plugins.resolution import Resolution, resolve_installed
from qtforge_host.plugins.wiring import Contributions, Decorate, Wired, Wiring
from qtforge_host.policies.breaker import CircuitBreaker, Transition
from qtforge_host.policies.breaker_file import BreakerFile
from qtforge_host.policies.cache import ResultCache
from qtforge_host.policies.callbacks import Callbacks
from qtforge_host.policies.health import HealthReport
from qtforge_host.policies.sqlite_cache import SqliteCache
from qtforge_host.policies.topic_policies import TopicPolicies, transition_message
from qtforge_host.run_files import RunFiles
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.supervisor import Durable, Supervisor
from qtforge_host.runs.triggers import EventTriggers
from qtforge_host.workflows.catalog import Catalog, Contribution
from qtforge_host.workflows.checking import check
from qtforge_host.workflows.definitions import Parsed, Problem, Workflow, line_of
from qtforge_sdk import Orchestrator, PluginContext, Record
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import ConfigError, WorkflowInvalidError, WorkflowUnmetError
from qtforge_sdk.secrets import Secrets
from qtforge_sdk.workflows import PythonWorkflow

__all__ = ["Host", "HostParts", "Instruments", "bind"]

_LOG = logging.getLogger("qtforge.host")
_DRAIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """What sees every message of a host.

    Attributes:
        transport: Given the transport of this process, returns the one that the bus uses.
        on_delivery: Called after each delivery to a subscriber.
        decorate: Given an operation's method, returns what is called in its place.
    """

    transport: Callable[[LocalTransport], Transport] | None = None
    on_delivery: DeliveryObserver | None = None
    decorate: Decorate | None = None


class HostParts:
    """What a host is made of; each part is made once and knows only what it needs.

    Args:
        settings: The configuration.
        clock: The time; None for the machine's.
        secrets: What plugins are given; None for the secrets file and the environment.
        instruments: What sees every message.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        secrets: Secrets | None = None,
        instruments: Instruments = Instruments(),
    ) -> None:
        self.clock = clock or SystemClock()
        self.hooks = Hooks()
        self.secrets = secrets or Secrets(SecretStore(settings.secrets_path, os.environ).find)
        self.masking = MaskingFilter(self.secrets.mask)
        self.expressions = Expressions()
        self.threads = WorkerThreads(settings.worker_threads or min(32, (os.cpu_count() or 1) + 4))
        self.bus = MessageBus(
            self.expressions.compile,
            self.threads,
            default_timeout_s=settings.request_timeout_s,
            transport=instruments.transport,
            on_delivery=instruments.on_delivery,
        )
        self.policies = TopicPolicies(settings.topics, self.clock)
        self.policies.breakers.on_transition(self._publish)
        self.policies.breakers.on_transition(BreakerFile(settings.state_dir).keep)
        self._publishing: set[asyncio.Task[object]] = set()
        self.observers = Callbacks[Record]("runs")
        self.wiring = Wiring(
            self.hooks,
            self.bus,
            self.expressions,
            self.threads,
            settings.worker_processes,
            self.policies.guard,
            self.secrets.mask,
            instruments.decorate,
        )

    def observe_run(self, record: Record) -> None:
        """Tell the plugins and whoever else listens what was recorded."""
        self.wiring.observe_run(record)
        if self.observers:  # most of the time nobody does
            self.observers.tell(record)

    def _publish(self, transition: Transition) -> None:
        """Let subscribers of ``breaker.transition`` know; a breaker waits for nobody."""
        _LOG.warning(
            "the breaker of %s on '%s' is %s: %s",
            transition.plugin, transition.topic, transition.after, transition.reason,
        )  # fmt: skip
        publishing = self.bus.publish("breaker.transition", transition_message(transition))
        task: asyncio.Task[object] = asyncio.ensure_future(publishing)
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)


class Host:
    """A running host; an async context manager.

    Args:
        settings: The configuration.

    Attributes:
        settings: The configuration.
        bus: The message bus.
        expressions: Compiles conditions and templates.
        registry: Every plugin found, with its state.
        catalog: The workflows.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._parts = HostParts(settings)
        self.bus = self._parts.bus
        self.expressions = self._parts.expressions
        self._durable: Durable | None = None
        self._contributions = Contributions(
            self._parts.hooks, self._parts.wiring, self._parts.threads, settings.start_timeout_s
        )
        self._running: list[str] = []  # keys, in the order in which they started
        self.registry: Registry
        self.catalog: Catalog
        self._resolution: Resolution
        self._loader: PluginLoader
        self._kinds: Mapping[str, Orchestrator]

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            self._parts.masking.attach()
            installed = resolve_installed(self.settings)
            self.registry = Registry(installed.resolution, self.settings)
            loader = PluginLoader()
            outcome = loader.load(
                self.registry.accepted, import_timeout_s=self.settings.import_timeout_s
            )
            for key in self.registry.absorb(outcome):
                await self._start(key)
            self.registry.remember(installed.memory)
            self._resolution, self._loader = installed.resolution, loader
            self._kinds = await self._orchestrators(installed.resolution, loader)
            self.catalog = await self._make_catalog(self._kinds)
            stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def durable(self) -> Durable:
        """Open the journal once, and return it with the engine that writes to it.

        Only what runs workflows needs it: everything else works with a state directory that
        can't be used.

        Raises:
            StateDirectoryError: The state directory can't be used.
            ConfigError: No journal of the configured name is installed.
        """
        if self._durable is None:
            name = self.settings.journal
            journal = load_journal(name, self._resolution, self._loader, self.settings)
            await journal.open()
            store = SqliteCache(self.settings.state_dir / "cache.sqlite")
            cache = ResultCache(store, self._parts.clock)
            engine = Engine(
                self.bus,
                self.expressions,
                journal,
                RecordedWorkflows(self._kinds, self.workflow, self._check),
                observe=self._parts.observe_run,
                plugins=self._active_versions,
                cache=cache,
                clock=self._parts.clock,
            )
            self._parts.policies.health.start()
            self._durable = Durable(
                journal=journal,
                engine=engine,
                supervisor=Supervisor(engine),
                cache=cache,
            )
            freeze_heap()
        return self._durable

    def workflow(self, name: str) -> Workflow:
        """Return a workflow that can run here and now.

        Raises:
            WorkflowNotFoundError: There is none of that name.
            WorkflowUnmetError: A plugin that it requires is not active.
            WorkflowInvalidError: The definition has problems.
        """
        workflow = self.catalog.get(name)
        missing = unmet(workflow.definition.requires, self.registry)
        if missing:
            why = "\n".join(f"{each.text}: {each.why}" for each in missing)
            raise WorkflowUnmetError(workflow.definition.name, why, missing[0].fix)
        problems = self._check(workflow)
        if problems:
            raise WorkflowInvalidError(name, "\n".join(map(str, problems)))
        return workflow

    def problems(self, parsed: Parsed) -> tuple[Problem, ...]:
        """Return everything that is wrong with a definition, unmet requirements included."""
        if parsed.workflow is None:
            return parsed.problems
        text = parsed.workflow.text
        missing = tuple(
            Problem(
                source=parsed.source,
                line=line_of(text, "requires"),
                path=f"requires[{each.position}]",
                what=f"'{each.text}' is not met: {each.why}",
                fix=each.fix,
            )
            for each in unmet(parsed.workflow.definition.requires, self.registry)
        )
        return missing + self._check(parsed.workflow)

    async def health(self) -> Mapping[str, HealthReport]:
        """Ask every active plugin how it fares, and return the reports by name."""
        return await self._parts.policies.health.ask_all()

    def on_record(self, callback: Callable[[Record], None]) -> Callable[[], None]:
        """Call back with every record that this process makes of a run, once it is kept.

        Args:
            callback: Must be quick; what it raises is logged and harms nobody.

        Returns:
            A function that ends it.
        """
        return self._parts.observers.add(callback)

    def breakers(self) -> Sequence[CircuitBreaker]:
        """Return every circuit breaker that was asked for, by topic and plugin."""
        return self._parts.policies.breakers.all()

    async def commands(self) -> dict[str, Any]:
        """Return the click commands that plugins contribute, by name."""
        return await self._contributions.commands()

    def _check(self, workflow: Workflow) -> tuple[Problem, ...]:
        return check(
            workflow,
            self._parts.expressions,
            self.bus.topics(),
            self.catalog.names(),
            self.catalog.readable,
        )

    async def _start(self, key: str) -> None:
        entry = self.registry[key]
        if entry.phase != "loaded":
            return  # what it requires has failed meanwhile
        try:
            self.registry.configure(key)
        except ConfigError as error:
            _LOG.warning("%s is not started: %s", entry.candidate.name, error)
            return
        entry = self.registry[key]
        wired = _wired(entry)
        try:
            self._parts.hooks.register(entry.plugin, entry.candidate.key)
            self._parts.wiring.prepare(wired)
            await start_plugin(
                self._parts.hooks,
                entry.plugin,
                self._context(entry),
                self.settings.start_timeout_s,
            )
            self._parts.wiring.connect(wired)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - one broken plugin, not the host
            _LOG.debug("%s failed to start", key, exc_info=error)
            await self._failed(key, start_failure(entry.candidate, error))
            return
        self._parts.policies.health.watch(
            entry.candidate.name,
            functools.partial(self._parts.hooks.call_one, entry.plugin, "qtforge_health"),
        )
        self.registry.start_succeeded(key)
        self._running.append(key)

    async def _failed(self, key: str, status: Status) -> None:
        plugin = self.registry[key].plugin
        self._parts.hooks.unregister(plugin)
        self._parts.wiring.disconnect(plugin)
        for dependent in self.registry.fail(key, status):
            await self._stop(dependent)
        _LOG.warning("%s is %s: %s", key, status.state, status.reason)

    async def _stop(self, key: str) -> None:
        entry = self.registry[key]
        await stop_plugin(
            self._parts.hooks, entry.plugin, entry.candidate.name, self.settings.stop_timeout_s
        )
        self._parts.hooks.unregister(entry.plugin)
        self._parts.wiring.disconnect(entry.plugin)
        self._parts.policies.health.unwatch(entry.candidate.name)
        self.registry.stopped(key)
        self._running.remove(key)

    async def _close(self) -> None:
        if not await self.bus.drain(_DRAIN_S):
            _LOG.warning("some subscribers did not finish within %g s", _DRAIN_S)
        for key in reversed(self._running[:]):
            await self._stop(key)
        await self.bus.close()
        await self._parts.wiring.close()
        self._parts.threads.close()
        if self._durable is not None:
            await self._durable.close()
        await self._parts.policies.health.close()
        self._parts.masking.detach()

    def _context(self, entry: Entry) -> PluginContext:
        name = entry.candidate.name  # its characters were checked, so it is safe as a folder
        return PluginContext(
            name=name,
            version=entry.candidate.version,
            bus=self.bus,
            data_dir=self.settings.state_dir / "plugins" / name,
            host_version=importlib.metadata.version("qtforge-host"),
            secrets=self._parts.secrets,
            runs_dir=RunFiles.of(self.settings.state_dir).folder,
        )

    async def _orchestrators(
        self, resolution: Resolution, loader: PluginLoader
    ) -> Mapping[str, Orchestrator]:
        found = load_kinds(resolution, loader, self.settings)
        for wired, offered in await self._contributions.collect("qtforge_orchestrators"):
            for orchestrator in offered:
                if orchestrator.kind in found:
                    _LOG.warning("%s: the kind '%s' is taken", wired.name, orchestrator.kind)
                    continue
                found[orchestrator.kind] = orchestrator()
        return found

    async def _make_catalog(self, orchestrators: Mapping[str, Orchestrator]) -> Catalog:
        catalog = Catalog(orchestrators)
        for wired, offered in await self._contributions.collect("qtforge_workflows"):
            catalog.add(
                Contribution(content=content, contributor=f"{wired.name} {wired.version}")
                for content in offered
                if isinstance(content, str | Path | PythonWorkflow)
            )
        catalog.add_folder(self.settings.config_path.parent / "workflows")
        return catalog

    def _active_versions(self) -> dict[str, str]:
        active = (self.registry[key].candidate for key in self._running)
        return {candidate.name: candidate.version for candidate in active}


async def bind(host: Host) -> EventTriggers:
    """Let what is published on a host's bus start runs and reach them, until it is closed.

    Raises:
        StateDirectoryError: The state directory can't be used.
    """
    durable = await host.durable()
    triggers = EventTriggers(
        host.bus, durable.supervisor, durable.journal, host.expressions, SystemClock()
    )
    triggers.bind(
        parsed.workflow
        for parsed in host.catalog.all()
        if parsed.workflow is not None and not host.problems(parsed)
    )
    return triggers


def _wired(entry: Entry) -> Wired:
    candidate = entry.candidate
    point = candidate.entry_point
    return Wired(
        plugin=entry.plugin,
        name=candidate.name,
        version=candidate.version,
        target=f"{point.module}:{point.attr}",
    )
