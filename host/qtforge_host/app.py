"""`Host`: composes the parts of a host, opens and closes them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from qtforge_host.bus.exchange import Exchange
from qtforge_host.bus.message_bus import LocalExchange, MessageBus
from qtforge_host.bus.subscriptions import DeliveryObserver
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.clock import SystemClock
from qtforge_host.code_marks import CodeMarks
from qtforge_host.config.secrets import MaskingFilter, SecretStore
from qtforge_host.config.settings import Settings
from qtforge_host.end_watch import installed_author
from qtforge_host.event_loop import end_watch
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.limits import ExpressionLimits
from qtforge_host.expressions.workers import ExpressionWorkers
from qtforge_host.gc_tuning import freeze_heap
from qtforge_host.journal.log_file import log_keeper
from qtforge_host.loop_watch import LoopWatch
from qtforge_host.nodes.node_bus import Answering, NodeBus, node_name
from qtforge_host.placements import Placements
from qtforge_host.plugin_code import Author
from qtforge_host.plugin_files import FilesMaker
from qtforge_host.plugins.absent_topics import AbsentTopics
from qtforge_host.plugins.activation import Activation
from qtforge_host.plugins.candidates import Candidate
from qtforge_host.plugins.extensions import (
    Orchestrators,
    load_files,
    load_journal,
    load_transport,
)
from qtforge_host.plugins.found_cache import Listing
from qtforge_host.plugins.hooks import Hooks
from qtforge_host.plugins.lifecycle import PluginLifecycle
from qtforge_host.plugins.listing_files import make_listing
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.registry import Registry
from qtforge_host.plugins.requirements import is_met, newest_versions, required_name
from qtforge_host.plugins.resolution import Installed, Resolution, resolve_installed
from qtforge_host.plugins.start_reasons import StartScope, reasons_to_start
from qtforge_host.plugins.wiring import ContributedCommand, Contributions, Wiring
from qtforge_host.plugins.workflow_files import declared_files, files_in
from qtforge_host.policies.breaker import CircuitBreaker
from qtforge_host.policies.breaker_file import BreakerFile
from qtforge_host.policies.cache import ResultCache
from qtforge_host.policies.callbacks import Callbacks
from qtforge_host.policies.health import HealthReport
from qtforge_host.policies.limits import Limiter
from qtforge_host.policies.sqlite_cache import SqliteCache
from qtforge_host.policies.topic_policies import TopicPolicies, TransitionPublisher
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.log_capture import LogCapture
from qtforge_host.runs.publications import PublicationReceiver, PublicationSender
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.run_secrets import masked_answer
from qtforge_host.runs.store_clock import StoreClock
from qtforge_host.runs.supervisor import Durable, Supervisor
from qtforge_host.runs.triggers import EventTriggers
from qtforge_host.telemetry.opening import open_telemetry
from qtforge_host.workflows.catalog import Catalog, Contribution
from qtforge_host.workflows.checking import WorkflowChecker
from qtforge_host.workflows.definitions import Parsed, Problem, UnmetRequirement, Workflow
from qtforge_host.workflows.file_names import FileNames
from qtforge_host.workflows.reach import reach
from qtforge_host.workflows.topic_types import TopicTypes
from qtforge_sdk import Orchestrator, PluginContext, Record
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.files import private_folder
from qtforge_sdk.journal import Journal, SharedJournal
from qtforge_sdk.operations import AnswerSecrets
from qtforge_sdk.placement import ANY_NODE, ONE_NODE
from qtforge_sdk.records import DEFAULT_POOL
from qtforge_sdk.secrets import Secrets

if TYPE_CHECKING:
    from qtforge_host.telemetry.telemetry import Telemetry

__all__ = ["Bindings", "Host", "HostParts", "Instruments", "bind"]

_LOG = logging.getLogger("qtforge.host")
_DRAIN_S: Final = 5.0
_FLUSH_S: Final = 2.0


class Instruments(msgspec.Struct, frozen=True, kw_only=True):
    """Functions that see every message of a host.

    Attributes:
        exchange: Given the exchange of this process, returns the one that the bus uses.
        on_delivery: Called after each delivery to a subscriber.
    """

    exchange: Callable[[LocalExchange], Exchange] | None = None
    on_delivery: DeliveryObserver | None = None


_NO_INSTRUMENTS: Final = Instruments()


class HostParts:
    """The parts of a host that exist before any plugin is loaded.

    Args:
        settings: The configuration.
        clock: The clock of runs and policies; None for the system's.
        secrets: The secrets of plugins; None for the environment and the secrets file.
        instruments: Functions that see every message.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        secrets: Secrets | None = None,
        instruments: Instruments = _NO_INSTRUMENTS,
    ) -> None:
        self.clock = clock or SystemClock()
        self.hooks = Hooks()
        self.secrets = secrets or Secrets(SecretStore(settings.secrets_path, os.environ).find)
        self.masking = MaskingFilter(self.secrets.mask)
        limits = ExpressionLimits(
            loop_cost=settings.expression_loop_cost,
            max_cost=settings.expression_max_cost,
            timeout_s=settings.expression_timeout_s,
            max_result_bytes=settings.expression_max_result_bytes,
        )
        self.expression_workers = ExpressionWorkers(
            limits,
            settings.worker_processes or os.cpu_count() or 1,
            settings.worker_memory_bytes,
        )
        self.expressions = Expressions(limits, self.expression_workers.evaluate)
        self.threads = WorkerThreads(settings.worker_threads or min(32, (os.cpu_count() or 1) + 4))
        self.bus = MessageBus(
            self.expressions.compile,
            self.threads,
            default_timeout_s=settings.request_timeout_s,
            exchange=instruments.exchange,
            on_delivery=instruments.on_delivery,
        )
        self.watch = LoopWatch(settings.blocked_after_s, self.author_of_package)
        self.policies = TopicPolicies(settings.topics, self.clock, self.watch.health)
        self.policies.breakers.on_transition(TransitionPublisher(self.bus))
        self._breaker_file = BreakerFile(settings.state_dir)
        self.policies.breakers.on_transition(self._breaker_file.save)
        self.observers = Callbacks[Record]("runs")
        self.wiring = Wiring(
            self.hooks,
            self.bus,
            self.expressions,
            self.threads,
            settings.worker_processes,
            settings.worker_memory_bytes,
            self.policies.for_topic,
            self.secrets.mask,
            self.watch,
        )

    def forget_breaker(self, topic: str, name: str) -> None:
        """Forget the circuit breaker of a plugin on a node that is gone."""
        if self.policies.forget_breaker(topic, name):
            self._breaker_file.remove(topic, name)

    def author_of_package(self, package: str) -> Author | None:
        """Return the plugin whose code is in a top-level package, or None."""
        return self.wiring.author_of_package(package)

    def ended_author_of_package(self, package: str) -> Author | None:
        """Return the plugin of a package, also one that was stopped or never started."""
        return self.author_of_package(package) or installed_author(package)

    def observe_run(self, record: Record) -> None:
        """Pass a run's new record to the plugins' hooks and to the observers."""
        self.wiring.observe_run(record)
        if self.observers:  # most of the time there is none
            self.observers.notify(record)


class Host:
    """A running host; an async context manager.

    Args:
        settings: The configuration.
        marks: Records which plugin code is executing; None for no record.
        answering: How other nodes are answered, where the configuration names a bus; None where
            they may not ask this host.
        scope: Which plugins start with the host; the others do when something needs them. Where
            the configuration names a bus, all do.

    Attributes:
        settings: The configuration.
        bus: The message bus.
        expressions: Compiles conditions and templates.
        registry: Every plugin found, with its state.
        catalog: The workflows.
        events: Send publications to runs, once the journal is open.
        sender: Stores publications for other processes, once the journal is open.
        nodes: The connection to other nodes; None where the configuration names no bus.
        placements: Which plugins' data other nodes hold.
        telemetry: Traces runs, once the journal is open; None where they are not traced.
        flush_s: How long the end waits until the last spans are sent, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        marks: CodeMarks | None = None,
        answering: Answering | None = None,
        scope: StartScope = "all",
    ) -> None:
        self.settings = settings
        self._scope: StartScope = "all" if settings.bus else scope
        self.nodes: NodeBus | None = None
        self.placements = Placements(settings.state_dir)
        self._answering = answering
        self._marks = marks or CodeMarks()
        self._parts = HostParts(settings)
        self.bus = self._parts.bus
        self.expressions = self._parts.expressions
        self._contributions = Contributions(
            self._parts.hooks, self._parts.wiring, self._parts.threads, settings.start_timeout_s
        )
        self._loader = PluginLoader(self._marks)
        self._durable: Durable | None = None
        self.telemetry: Telemetry | None = None
        self.flush_s = _FLUSH_S
        self._plugins: PluginLifecycle | None = None
        self._activation: Activation | None = None
        self._file_names = FileNames()
        self._listings: dict[str, Listing] = {}
        self.events: EventTriggers
        self.sender: PublicationSender
        self.registry: Registry
        self.catalog: Catalog
        self._resolution: Resolution
        self._installed: Installed
        self._files: FilesMaker
        self._orchestrators: Mapping[str, Orchestrator[Any]]
        self._checker: WorkflowChecker

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            if (end := end_watch()) is not None:
                end.limit_s = self.settings.stop_timeout_s
                end.author_of = self._parts.ended_author_of_package
            self._parts.masking.attach()
            installed = resolve_installed(self.settings, fresh=self._scope == "all")
            self._installed = installed
            self._loader.known = installed.loaded
            self._resolution = installed.resolution
            self._files = load_files(self.settings, self._parts.secrets)
            self.registry = Registry(installed.resolution, self.settings)
            self._plugins = PluginLifecycle(
                self.registry,
                self._parts.hooks,
                self._parts.wiring,
                self._parts.policies.health,
                self._context,
                self.settings,
                self._loader,
                installed.memory,
                self._marks,
            )
            self._activation = self._activating(self._plugins)
            await self._activation.begin()
            self.bus.explain_absent(AbsentTopics(self.registry).reason)
            self._share_placements()
            if self.settings.bus:
                await self._connect()
            await self._read_workflows()
            self._parts.watch.start()  # the imports before are no plugin's operation
            stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def start_all(self) -> None:
        """Start the plugins that nothing has needed until now."""
        if self._activation is not None:
            await self._activation.start_all()

    async def start_offering(self) -> None:
        """Start the plugins that answer topics."""
        await self.start_answering(self.bus.expected_topics())

    async def start_answering(self, topics: Iterable[str]) -> None:
        """Start the plugins that answer some topics."""
        if self._activation is not None:
            await self._activation.start_named(topics, ())

    async def start_for(self, workflow: Workflow) -> None:
        """Start the plugins that a workflow can reach, as far as its definition tells.

        Args:
            workflow: A workflow in Python tells only what it requires; its topics start their
                plugins when they are requested.
        """
        if self._activation is None:
            return
        topics, requires = reach(workflow, self.bus.known_topics(), self.catalog)
        await self._activation.start_named(topics, map(required_name, requires))

    async def start_for_types(self, parsed: Parsed) -> None:
        """Start the plugins with whose types `problems` compares a definition."""
        workflow = parsed.workflow or parsed.nearly()
        if self._activation is None or workflow is None:
            return
        await self.start_for(workflow)
        await self._activation.start_named(self._checker.requests(workflow), ())

    async def started_workflow(
        self, name: str, *, files: bool = True, queued: bool = False
    ) -> Workflow:
        """Return a workflow, once the plugins have started that it can reach; see `workflow`."""
        await self.start_for(self.catalog.get(name, files=files))
        return self.workflow(name, files=files, queued=queued)

    def recorded_workflows(self) -> RecordedWorkflows:
        """Return what finds the workflows of runs."""
        return RecordedWorkflows(
            self._orchestrators,
            self.workflow,
            self._checker.check,
            self.catalog.get,
            self._checker.require,
            self.catalog.versions,
        )

    async def durable(self, journal: Journal | None = None) -> Durable:
        """Open the journal at the first call, and return it with the engine that writes to it.

        Only what executes runs needs it: everything else works with a state directory that
        can't be used.

        Args:
            journal: The configured journal where it is open already; the host closes it.

        Raises:
            StateDirectoryError: The state directory can't be used.
            ConfigError: No journal of the configured name is installed.
        """
        if self._durable is None:
            telemetry = open_telemetry(self.settings, ambient=self._answering is None)
            if journal is None:
                journal = load_journal(
                    self._resolution, self._loader, self.settings, self._parts.secrets
                )
                await journal.open()
            if self.placements.own and self.settings.has_shared_journal:
                owners = await journal.owners()
                self.placements.observe_all(
                    each.announcement for each in owners if each.announcement is not None
                )
            self._close_run_files()
            clock = self._parts.clock
            if isinstance(journal, SharedJournal):
                clock = StoreClock(journal.now, clock)
                await clock.open()
            store = SqliteCache(self.settings.state_dir / "cache.sqlite")
            cache = ResultCache(store, self._parts.clock)
            engine = Engine(
                self.bus,
                self.expressions,
                journal,
                self.recorded_workflows(),
                observe=self._parts.observe_run,
                plugins=self._versions,
                cache=cache,
                clock=clock,
                crash_limit=self.settings.step_crash_limit,
                secrets=self._parts.secrets,
                tracing=telemetry,
            )
            self.telemetry = telemetry
            self._parts.policies.health.start()
            self._parts.policies.share(journal)
            supervisor = Supervisor(engine)
            keeper = log_keeper(journal, self.settings.log_directory)
            logs = LogCapture(self.settings.logs, self._parts.secrets.mask, clock, keeper)
            logs.begin()
            self._durable = Durable(
                journal=journal,
                clock=clock,
                engine=engine,
                supervisor=supervisor,
                cache=cache,
                logs=logs,
            )
            events = EventTriggers(
                self.bus, supervisor, journal, self.expressions, clock, starts=False
            )
            events.bind(self.runnable())
            self.events = events
            self.sender = PublicationSender(journal, clock, self._parts.secrets)
            self.bus.add_relay(self.sender.send)
            if self.nodes is not None:
                self.nodes.origin = self.settings.journal_id
            freeze_heap()
        return self._durable

    def workflow(self, name: str, *, files: bool = True, queued: bool = False) -> Workflow:
        """Return a workflow that can be executed by this host now.

        Args:
            name: Its name, or the path of a TOML file.
            files: Whether a path is read.
            queued: Whether another node may execute it, with its plugins.

        Raises:
            WorkflowNotFoundError: There is none of that name.
            WorkflowUnmetError: A plugin that it requires is not active.
            WorkflowInvalidError: The definition has problems.
        """
        return self._checker.get(name, files=files, queued=queued)

    def keep_listing(self, name: str, content: bytes) -> None:
        """Keep what a command lists for the next one, where it depends on files alone."""
        found = self._installed.resolution.statuses
        failed = any(
            entry.status.state == "broken" and found[entry.candidate.key].state != "broken"
            for entry in self.registry
        )
        if self._scope == "asked" and not failed:
            listing = make_listing(self.settings, self._installed, content)
            if listing is not None:
                self._listings[name] = listing

    def without_secrets(self, answer: Any, declared: AnswerSecrets | None) -> Any:
        """Return an answer that is only shown, without what is secret in it.

        Args:
            answer: The answer, as plain values.
            declared: What the operation says of its answers.
        """
        return masked_answer(answer, self._parts.secrets, declared)

    def runnable(self) -> Iterator[Workflow]:
        """Return, one after the other, the workflows of the catalog that can run here."""
        for parsed in self.catalog.all():
            if parsed.workflow is not None and not self.problems(parsed):
                yield parsed.workflow

    def imported(self) -> frozenset[str]:
        """Return the metadata folders of the distributions whose plugins are used.

        A plugin that is imported when it is needed has the version that was found at the start.
        """
        return frozenset(
            entry.candidate.metadata_path
            for entry in self.registry
            if entry.plugin is not None or self.registry.is_waiting(entry.candidate.key)
        )

    def problems(self, parsed: Parsed, *, typed: bool = False) -> tuple[Problem, ...]:
        """Return every problem of a definition; see `WorkflowChecker.problems`."""
        return self._checker.problems(parsed, typed=typed)

    async def health(self) -> Mapping[str, HealthReport]:
        """Check the health of every plugin that has started, and return the reports by name."""
        return await self._parts.policies.health.check_all()

    def on_record(self, callback: Callable[[Record], None]) -> Callable[[], None]:
        """Call a function with every record that this process appends to the journal.

        Args:
            callback: Must be quick; what it raises is logged.

        Returns:
            A function that ends the subscription.
        """
        return self._parts.observers.add(callback)

    def health_reports(self) -> Mapping[str, HealthReport]:
        """Return the last report of each plugin that has been checked, by name."""
        return self._parts.policies.health.reports()

    @property
    def installed(self) -> Installed:
        """What was installed when the host started."""
        return self._installed

    def breakers(self) -> Sequence[CircuitBreaker]:
        """Return every circuit breaker that was used, sorted by topic and plugin."""
        return self._parts.policies.breakers.all()

    def limiters(self) -> Sequence[Limiter]:
        """Return the limits of every topic that was requested, sorted by topic."""
        return self._parts.policies.limiters.all()

    def blocked(self) -> Mapping[str, tuple[int, float]]:
        """Return how often and for how many seconds each plugin blocked the event loop."""
        return self._parts.watch.totals()

    async def all_blocked(self) -> Mapping[str, tuple[int, float]]:
        """Return what `blocked` does, with every block that ended before this call."""
        await self._parts.watch.looked()
        return self.blocked()

    async def commands(self) -> dict[str, ContributedCommand]:
        """Start the plugins that contribute click commands, and return these by name."""
        if self._activation is not None:
            await self._activation.start_with_hook("qtforge_commands")
        return await self._contributions.commands()

    def _activating(self, plugins: PluginLifecycle) -> Activation:
        resolution = self.registry.resolution
        offers = self._installed.offers
        reasons = reasons_to_start(
            resolution, offers, self._scope, is_shared=self.settings.has_shared_journal
        )
        return Activation(
            self.registry,
            plugins,
            self.bus,
            self._parts.wiring.settle,
            offers,
            reasons,
            in_thread=self._scope == "watching",
        )

    def _declared_workflows(self) -> Iterator[Contribution]:
        """Give the files of workflows that plugins declare, in hook order; none is imported."""
        for one in self.registry.accepted[::-1]:
            plugin, offers = self.registry[one.key].plugin, self._installed.offers[one.key]
            if plugin is not None:
                files = declared_files(plugin)
            elif offers.folder and self.registry.is_waiting(one.key):
                declared = self.registry.resolution.declarations[one.key]
                files = files_in(Path(offers.folder), declared.workflows)
            else:
                continue
            author = Author(one.name, one.version)
            for file in files:
                yield Contribution(
                    content=file, contributor=str(author), author=author, builtin=one.builtin
                )

    async def _read_workflows(self) -> None:
        installed = self._installed
        offered = Orchestrators(self._resolution, self._loader, self.settings, installed.kinds)
        if self._scope == "asked":
            self._file_names = FileNames(installed.workflows)
        else:  # nothing is to be imported or read later, while the host is at work
            offered.load_all()
        offered.add(await self._contributions.orchestrators(offered))
        self._orchestrators = offered
        self.catalog = Catalog(self._orchestrators, self._file_names)
        self.catalog.add([*self._declared_workflows(), *await self._contributions.workflows()])
        self.catalog.add_folder(self.settings.config_path.parent / "workflows")
        self._checker = WorkflowChecker(
            self.catalog,
            self.expressions,
            self.bus.known_topics,
            self._unmet,
            TopicTypes(self.bus.signatures),
        )

    def _unmet(self, requires: Iterable[str]) -> list[UnmetRequirement]:
        """Return the requirements that neither this host's plugins meet nor other nodes'."""
        found = [*self.registry.unmet(requires), *_left(requires, self.placements.elsewhere)]
        if not found or self.nodes is None:
            return found
        elsewhere = self.nodes.plugins()
        return [each for each in found if not is_met(each.text, elsewhere)]

    def _share_placements(self) -> None:
        """Let one node alone answer with plugins that keep their data on one node."""
        if not self.settings.bus and not self.settings.has_shared_journal:
            return
        folder = self.settings.state_dir / "plugins"
        kept = {
            entry.candidate.name: folder / entry.candidate.name
            for entry in self.registry
            if entry.phase == "running" and getattr(entry.plugin, "placement", ANY_NODE) == ONE_NODE
        }
        self.placements.share(kept, answers=self._answering is not None)
        self.placements.on_change.append(self._leave_to_others)
        self._leave_to_others()

    def _close_run_files(self) -> None:
        """Let nobody else open files of runs in a shared folder, as in the state directory."""
        folder = self.settings.run_files_dir
        if folder.is_relative_to(self.settings.state_dir):
            return
        try:
            private_folder(folder)
        except OSError as error:
            why = f"{folder} can't be made: {error.strerror or error}"
            raise ConfigError(self.settings.files_source, why, "check the shared folder") from error

    def _leave_to_others(self) -> None:
        self.bus.leave_to_others(self.placements.elsewhere, self._parts.policies.for_topic)
        if self.nodes is not None:  # it may have been learnt from the journal
            self.nodes.changed()

    async def _connect(self) -> None:
        name = node_name("" if self._answering is None else self._answering.name)
        transport = load_transport(
            self._resolution,
            self._loader,
            self.settings,
            self._parts.secrets,
            name,
            f"{os.getpid()}-{uuid.uuid4().hex[:6]}",
        )
        policies = self._parts.policies
        self.nodes = NodeBus(
            self.bus,
            transport,
            self.settings.shown_bus,
            self.expressions.compile,
            policies.for_topic,
            policies.health.is_usable,
            self._parts.forget_breaker,
            self.placements,
            self._parts.secrets.mask,
        )
        if self._answering is not None:
            policies.health.start()
        await self.nodes.open(self._answering)

    async def _close(self) -> None:
        end = end_watch()
        with contextlib.nullcontext() if end is None else end.ending():
            await self._close_parts()

    async def _close_parts(self) -> None:
        if self.nodes is not None and self._answering is not None:
            await self.nodes.drain(self._answering.grace_s)
        if self._durable is not None:
            # First: a run that executes still needs the bus and the plugins.
            await self._durable.supervisor.close()
        if self._activation is not None:
            await self._activation.close()
        if not await self.bus.drain(_DRAIN_S):
            _LOG.warning("some subscribers did not finish within %g s", _DRAIN_S)
        if self.nodes is not None:
            await self.nodes.close()
        if self._plugins is not None:
            self._installed.add(self._loader.succeeded, self._file_names.learnt, self._listings)
            await self._plugins.stop_all()
        await self.bus.close()
        await self._parts.wiring.close()
        self._parts.threads.close()
        if self._durable is not None:
            await self._parts.policies.end_sharing()
            await self._durable.close()
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close, self.flush_s)
        await self._parts.expression_workers.close()
        await self._parts.policies.health.close()
        self._parts.watch.close()
        self._parts.masking.detach()

    def _context(self, candidate: Candidate) -> PluginContext:
        name = candidate.name  # its characters were checked, so it is safe as a folder
        return PluginContext(
            name=name,
            version=candidate.version,
            bus=self.bus,
            data_dir=self.settings.state_dir / "plugins" / name,
            host_version=self._installed.host_version,
            secrets=self._parts.secrets,
            runs_dir=self.settings.run_files_dir,
            files=self._files(name, self.settings.state_dir / "plugins" / name),
        )

    def _versions(self) -> dict[str, str]:
        own = {} if self._plugins is None else self._plugins.versions()
        for name in self.placements.elsewhere:
            own.pop(name, None)
        if self.nodes is None:
            return own
        # A run that another node's plugin serves can be continued wherever that one is asked.
        return {**newest_versions(self.nodes.plugins()), **own}


def _left(requires: Iterable[str], elsewhere: Mapping[str, str]) -> Iterator[UnmetRequirement]:
    """Return the requirements that plugins would meet whose data another node holds."""
    if not elsewhere:
        return
    for position, text in enumerate(requires):
        name = required_name(text)
        if name in elsewhere:
            why = f"the data of '{name}' are on the node {elsewhere[name]}"
            fix = "queue the run with --detach, or connect the nodes: [host] bus"
            yield UnmetRequirement(position=position, text=text, why=why, fix=fix, elsewhere=True)


class Bindings(msgspec.Struct, frozen=True, kw_only=True):
    """Pass publications of all processes to the runs and subscribers of a host.

    Attributes:
        starts: Start runs when messages are published.
        receiver: Receives what other processes publish.
    """

    starts: EventTriggers
    receiver: PublicationReceiver

    def close(self) -> None:
        """Start no more runs."""
        self.starts.close()


async def bind(
    host: Host, max_runs: int | None = None, pools: Sequence[str] = (DEFAULT_POOL,)
) -> Bindings:
    """Let publications of this and other processes start runs, and reach subscribers here.

    Args:
        host: The host.
        max_runs: So many runs execute in this process at once, and further ones are queued; None
            for any number.
        pools: The pools whose queued runs this process executes.

    Returns:
        The bindings; let the receiver run, and close them at the end.

    Raises:
        StateDirectoryError: The state directory can't be used.
    """
    durable = await host.durable()
    capacity = host.settings.publication_capacity
    starts = EventTriggers(
        host.bus,
        durable.supervisor,
        durable.journal,
        host.expressions,
        durable.clock,
        sends=False,
        max_runs=max_runs,
        pools=pools,
    )
    starts.bind(host.runnable())
    if host.nodes is not None:
        host.nodes.add_run_relay(starts.handle)
        host.nodes.add_run_relay(host.events.handle)
    receiver = PublicationReceiver(
        host.bus,
        durable.journal,
        durable.supervisor.active_runs,
        host.sender,
        (starts.handle, host.events.handle),
        lambda: [*starts.topics(), *host.events.topics()],
        capacity,
    )
    await receiver.start()
    return Bindings(starts=starts, receiver=receiver)
