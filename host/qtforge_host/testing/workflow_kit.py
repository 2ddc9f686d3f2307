"""`WorkflowKit`: runs workflows on the real engine, in memory and in virtual time."""

from __future__ import annotations

import datetime
import inspect
import os
import signal
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.plugin_code import Author
from qtforge_host.plugins.extensions import add_orchestrator
from qtforge_host.plugins.loading import has_hooks
from qtforge_host.plugins.workflow_files import declared_files
from qtforge_host.runs.engine import RunIds
from qtforge_host.runs.errors import RunEndedError
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.replay_check import Replayed, Replayer
from qtforge_host.runs.state import RunState
from qtforge_host.testing.bench import default_name
from qtforge_host.testing.crash_sweep import Case, CrashReport, Kill, outcome_of, sweep
from qtforge_host.testing.fakes import Fake, make_fake
from qtforge_host.testing.installed import InstalledPlugins
from qtforge_host.testing.mortal_journal import (
    Crash,
    MortalJournal,
    at_write,
    quiet_about_crashes,
)
from qtforge_host.testing.plugin_host import PluginTestHost
from qtforge_host.testing.process import KitProcess
from qtforge_host.testing.real_crashes import CaseFolder, Ended, in_child
from qtforge_host.testing.replays import ReplayedFile, Replays, read_exports
from qtforge_host.testing.telling import Telling
from qtforge_host.testing.timelines import Snapshot, Timelines
from qtforge_host.testing.traffic import Call, PublishedMessage
from qtforge_host.testing.workflow_run import WorkflowRun
from qtforge_host.workflows.catalog import Catalog, Contribution, located
from qtforge_host.workflows.checking import check
from qtforge_host.workflows.definitions import Problem, Workflow
from qtforge_sdk import ErrorInfo, Orchestrator, Plugin, Record
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.durations import Duration, seconds
from qtforge_sdk.errors import (
    ConfigError,
    NoHandlerError,
    PluginError,
    WorkflowInvalidError,
    WorkflowNotFoundError,
)
from qtforge_sdk.journal_kit.archive import Archive
from qtforge_sdk.run_status import FINISHED
from qtforge_sdk.testing import VirtualClock
from qtforge_sdk.topics import matches, validate_pattern, validate_topic
from qtforge_sdk.validation import did_you_mean
from qtforge_sdk.workflows import PythonWorkflow

__all__ = ["WorkflowKit"]

T = TypeVar("T")

_TIMEOUT_S: Final = 60.0  # of real time, for one call of the test
_FAKE: Final = "fake"  # the name of the plugin that answers a faked topic
_FAKE_VERSION: Final = "0.0.0"
_SEED: Final = 0  # of the ids of runs, from which the jitter of their steps' retries follows
_NEVER: Final = (0, False)  # no write has this number
_NO_CONFIG: Final[Mapping[str, object]] = {}


class _Told(NamedTuple):
    """What a run is told, in each of its executions.

    Attributes:
        workflow: The workflow.
        given: Its input.
        story: Called with the run when it waits or has ended.
        start: When it is started.
    """

    workflow: Workflow
    given: Mapping[str, Any]
    story: Callable[[WorkflowRun], object]
    start: datetime.datetime


class WorkflowKit:
    """Runs the workflows that a test adds, over the plugins and fakes that it adds.

    Its methods are synchronous. Time is virtual: it passes by itself over retries and
    ``run.sleep``, and stands still while any run waits for an event; only `advance` passes
    that. Plugins that a workflow ``requires`` are not asked for: a fake may stand for them.

    Args:
        host: Has the bus and the plugins; what is added there is there for workflows too.
        timelines: Finds stored timelines; None for the folder ``timelines`` here.
    """

    def __init__(self, host: PluginTestHost, timelines: Timelines | None = None) -> None:
        self._timelines = timelines or Timelines(Path("timelines"))
        self._host = host
        self._bench = host.bench
        self._installed = InstalledPlugins(host.bench.settings)
        self._fakes: dict[str, tuple[object, Fake, str, str]] = {}  # by topic
        self._fake_versions: dict[str, str] = {}  # by the plugin in whose name they answer
        self._closed = False
        self._kinds: dict[str, Orchestrator[Any]] = {}
        self._catalog = Catalog(self._kinds)
        self._recorded = RecordedWorkflows(
            self._kinds, self._named, self._problems, versions=self._catalog.versions
        )
        self._process = self._begin_process(MortalJournal(MemoryJournal()), RunIds(_SEED))
        self._telling = Telling()
        self._kinds.update(self._installed.kinds())

    def add(self, *added: object, config: Mapping[str, object] = _NO_CONFIG) -> None:
        """Add workflows, and plugins with the workflows that they contribute.

        Args:
            added: Each a definition's path, its TOML text, a function marked with
                `qtforge_sdk.workflow`, or a plugin's instance. A definition goes before a
                plugin's of the same name.
            config: The plugins' configuration, by their names: ``Shop()`` is ``shop``.

        Raises:
            ConfigError: A configuration does not fit, or is for a plugin that is not added.
            PluginError: As `PluginTestHost.add`.
            TypeError: It is none of these.
            WorkflowInvalidError: A definition can't be read, or has problems.
        """
        for each in added:
            _check_type(each)
        plugins = [each for each in added if not isinstance(each, str | Path | PythonWorkflow)]
        names = [default_name(each) for each in plugins]
        for name in config:
            if name not in names:
                fix = did_you_mean(name, names)
                raise ConfigError(f"config[{name!r}]", "no plugin of that name is added", fix)
        for name, plugin in zip(names, plugins, strict=True):
            self._host.add(plugin, name, config=config.get(name))
            self._contribute(plugin, name, "0.0.0")
        for each in added:
            if isinstance(each, str | Path | PythonWorkflow):
                self._add_definition(each)
        self._bind()

    def add_installed(self, name: str, *, config: Mapping[str, object] = _NO_CONFIG) -> None:
        """Add an installed plugin, or an installed workflow, with the plugins that it requires.

        Args:
            name: The plugin's, as its entry point has it, or the workflow's.
            config: The plugins' configuration, by their names.

        Raises:
            ConfigError: A configuration does not fit, or is for a plugin that is not added.
            PluginError: ``plugin.not_found``, or the plugin can't be used: its state, why, and
                how to fix it.
        """
        found = self._installed.find(name)
        names = [each.name for each in found]
        for key in config:
            if key not in names:
                fix = f"added are: {', '.join(names)}"
                raise ConfigError(f"config[{key!r}]", f"'{name}' does not need it", fix)
        for each in found:
            if each.name not in self._bench.versions:
                self._host.add(each.plugin, each.name, each.version, config.get(each.name))
                self._contribute(each.plugin, each.name, each.version)
        self._bind()

    def fake(
        self, topic: str, *answers: Any, plugin: str = _FAKE, version: str = _FAKE_VERSION
    ) -> None:
        """Answer a topic in place of every plugin; a later fake replaces an earlier one.

        Wrappers of the topic still stand around it.

        Args:
            topic: The topic.
            answers: Values, exceptions to raise, or functions of the message, plain or async.
                One for each request in turn; the last again and again.
            plugin: In whose name it answers, for steps that name a plugin.
            version: That plugin's version.

        Raises:
            InvalidTopicError: The topic is not well formed.
            PluginError: ``plugin.conflict``: a plugin of that name is added.
            ValueError: There is no answer.
        """
        made, fake = make_fake(topic, answers)
        if plugin in self._bench.versions:
            raise PluginError(
                plugin, "plugin.conflict", "a plugin of that name is added",
                "leave plugin=... out: the fake goes before it",
            )  # fmt: skip
        if topic in self._fakes:
            self._bench.disconnect(self._fakes.pop(topic)[0])
        self._bench.connect(made, f"fake {topic}", plugin, version)
        self._fakes[topic] = made, fake, plugin, version
        self._fake_versions[plugin] = version
        self._bench.traffic.answered_by[topic] = plugin

    def run(self, name: str, given: Mapping[str, Any] = _NO_CONFIG, /) -> WorkflowRun:
        """Start a run, and let it go until it has ended or waits for an event.

        Args:
            name: The workflow.
            given: Its input.

        Returns:
            The run, also when it failed.

        Raises:
            RunInputError: The input is not what the definition wants.
            TimeoutError: It did neither within a minute of real time.
            WorkflowInvalidError: The definition has problems, such as a topic that neither a
                plugin nor a fake answers.
            WorkflowNotFoundError: No workflow of that name is added.
        """
        if not isinstance(given, Mapping):
            raise TypeError(f"a run's input is a mapping, not of type {type(given).__name__}")
        return self._view(self._run(self._process.start(self._named(name), given)))

    @property
    def runs(self) -> list[WorkflowRun]:
        """Every run, the children and those that messages started among them, oldest first."""
        return [self._view(run_id) for run_id in self._run(self._process.workflows())]

    def publish(self, topic: str, message: object) -> None:
        """Publish a message, and let everything happen that follows now.

        Args:
            topic: The topic.
            message: The message.
        """
        self._run(self._process.publish(topic, message, self._telling.next_number()))

    def advance(self, duration: Duration) -> None:
        """Let time pass, also where runs wait for events.

        Args:
            duration: Such as ``"1h30m"``, seconds or a timedelta; above zero.

        Raises:
            ValueError: It is not a duration, or not above zero.
        """
        wanted_s, passed_s = seconds(duration), self._process.passed_s()
        until_s = self._telling.until_s(passed_s + wanted_s)
        if self._telling.again:
            wanted_s = until_s - passed_s
        if wanted_s > 0:  # else a story that is told again has yet to come to where it was
            self._run(self._process.advance(wanted_s))

    def calls(self, topic: str) -> list[Call]:
        """Return the requests of a topic until now, of runs and of plugins, in order.

        Raises:
            NoHandlerError: Neither a plugin nor a fake answers it, so that it is misspelt.
        """
        validate_topic(topic)
        known = self._bench.parts.bus.topics()
        if topic not in known:
            fix = did_you_mean(topic, known, "add a plugin or fake(...) it")
            raise NoHandlerError(topic, "neither a plugin nor a fake answers it", fix)
        return [call for call in self._bench.traffic.calls if call.topic == topic]

    def published(self, pattern: str) -> list[PublishedMessage]:
        """Return what was published under a topic or a pattern until now, in order.

        Raises:
            InvalidTopicError: The pattern is not well formed.
        """
        validate_pattern(pattern)
        return [
            message
            for message in self._bench.traffic.messages
            if isinstance(message, PublishedMessage) and matches(pattern, message.topic)
        ]

    def crash_at_every_write(
        self,
        name: str,
        given: Mapping[str, Any] = _NO_CONFIG,
        /,
        *,
        story: Callable[[WorkflowRun], object] = lambda run: None,
        effects: Callable[[], Any] = lambda: None,
        before_each: Callable[[], object] = lambda: None,
        for_real: bool = False,
    ) -> CrashReport:
        """Execute a run, and then once for each moment at which its process may die.

        First the run is executed undisturbed. Then its process dies before its first write to
        the journal, before the second and so on, and after each. Another process follows, which
        continues the run; the story is told again from its start. What it sends has the same
        ids, so that each event counts once, and its `advance` goes to the moment of the
        undisturbed run, so that no time passes twice.

        Args:
            name: The workflow.
            given: Its input.
            story: Called with the run when it waits or has ended; sends it events, for example.
            effects: Returns what the run did outside, when it is over; compared as well.
            before_each: Called before each execution, to take that back.
            for_real: Fork a process for each execution, with the journal in SQLite, and kill it
                (SIGKILL). Plugins are started anew in each process, so what they did is known
                from files and the like alone: `effects` and `before_each` are called in this one.

        Returns:
            The moments, and where the run ended otherwise; ``report.check()`` fails then.

        Raises:
            RunInputError: The input is not what the definition wants.
            TimeoutError: A run neither ended nor waited for an event within a minute.
            WorkflowInvalidError: The definition has problems.
            WorkflowNotFoundError: No workflow of that name is added.
        """
        told = _Told(self._named(name), given, story, self._bench.clock.now())
        advances: list[float] = []
        play_once = self._play_for_real if for_real else self._play

        def play(kill: Kill | None) -> Case:
            before_each()
            return play_once(told, effects, kill, advances)

        process, telling = self._process, self._telling
        process.unbind()
        try:
            with quiet_about_crashes():
                return sweep(name, play)
        finally:
            self._process, self._telling = process, telling
            self._bind()

    def _play(
        self, told: _Told, effects: Callable[[], Any], kill: Kill | None, advances: list[float]
    ) -> Case:
        """Execute a run in this process, in which its process seems to die."""
        store, clock, ids = MemoryStore(), VirtualClock(told.start), RunIds(_SEED)
        died, traffic = "", self._bench.traffic
        run_id = ids.new(told.start)
        for _, fake, *_ in self._fakes.values():
            fake.begin_again()
        journal = MortalJournal(MemoryJournal(store), at_write(*kill or _NEVER))
        with traffic.recording_apart(lambda: journal.refuse_dead()):
            while True:
                self._process = self._begin_process(journal, ids, clock)
                self._telling = Telling(advances, again=bool(died))
                try:
                    outcome, error = self._tell(told, run_id)
                    break
                except Crash:
                    died = str(journal.died_at)
                except BaseException as failure:
                    if died:
                        failure.add_note(f"in the process that follows the one that died {died}")
                    raise
                finally:
                    self._host.run(self._process.close())
                journal = MortalJournal(MemoryJournal(store))
            outcome["effects"] = effects()
            return Case(outcome=outcome, error=error, died=died, calls=traffic.calls)

    def _play_for_real(
        self, told: _Told, effects: Callable[[], Any], kill: Kill | None, advances: list[float]
    ) -> Case:
        """Execute a run in a forked process that is killed, and in another that follows it."""
        with tempfile.TemporaryDirectory(dir=self._bench.settings.state_dir) as name:
            folder, died = CaseFolder(Path(name)), ""
            if kill is not None:
                code = in_child(lambda: self._be_process(folder, 0, told, advances, kill))
                if code == -signal.SIGKILL:
                    died = folder.died()
                elif code != 0:
                    raise AssertionError(f"the process ended with {code}; its error is above")
            if kill is None or died:
                code = in_child(lambda: self._be_process(folder, 1, told, advances, None))
                if code != 0:
                    after = f" that follows the one that died {died}" if died else ""
                    raise AssertionError(f"the process{after} ended with {code}: see its error")
            ended = folder.ended()
            advances[:] = ended.advances
            outcome = {**ended.outcome, "effects": effects()}
            return Case(outcome=outcome, error=ended.error, died=died, calls=folder.calls())

    def _be_process(
        self,
        folder: CaseFolder,
        number: int,
        told: _Told,
        advances: list[float],
        kill: Kill | None,
    ) -> None:
        """Be a process of its own: with a host, a journal and plugins that have just started."""
        self._reopen_host(folder.folder / f"host-{number}")
        for topic, (_, fake, *_) in self._fakes.items():
            folder.share(topic, fake)
        self._bench.traffic.on_call = folder.note_call
        run_id = RunIds(_SEED).new(told.start)
        inner = SqliteJournal(folder.journal)
        self._host.run(inner.open())
        journal = MortalJournal(
            inner, at_write(*kill or _NEVER), die=lambda: folder.die_in(journal, clock.now())
        )
        clock = VirtualClock(folder.now(told.start))
        self._process = self._begin_process(journal, RunIds(_SEED + 1 + number), clock)
        self._telling = Telling(advances, again=folder.has_died())
        outcome, error = self._tell(told, run_id)
        # Nothing is closed: no process follows this one, and it exits at once.
        folder.tell(Ended(outcome=to_plain(outcome), error=error, advances=advances))

    def _tell(self, told: _Told, run_id: str) -> tuple[dict[str, Any], ErrorInfo | None]:
        """Start or continue a run in the process that is there, tell it the story, and look."""
        process = self._process
        process.began_at = told.start
        process.bind(self._workflows())
        if run_id in self._run(process.workflows()):
            self._run(process.resume_all())
        else:
            self._run(process.start(told.workflow, told.given, run_id))
        run = self._view(run_id)
        told.story(run)
        status, names = run.status, self._run(process.workflows())
        state = self._run(process.state(run_id))
        return outcome_of(state, status, names.values()), state.error

    def _reopen_host(self, folder: Path) -> None:
        """Make another host with the same plugins and fakes, each started anew."""
        before = self._bench
        self._host = PluginTestHost(folder)
        self._bench = self._host.bench
        self._host.secrets = before.secrets
        for plugin, name, version, config in before.added:
            self._host.add(plugin, name, version, config)
        for topic, (made, _, plugin_name, version) in self._fakes.items():
            self._bench.connect(made, f"fake {topic}", plugin_name, version)
            self._bench.traffic.answered_by[topic] = plugin_name

    def replay(self, files: str | os.PathLike[str]) -> Replays:
        """Execute the code that is added with exported runs, without requesting anything.

        Each is executed up to where its journal ends, or to where the run began to be undone.

        Args:
            files: A path or a pattern, such as ``tests/runs/*.qtforge-run``, of files that
                ``runs export`` has written.

        Returns:
            A verdict for each; ``.check()`` fails where the code diverges.

        Raises:
            ArchiveInvalidError: A file is not an export.
            FileNotFoundError: There is none.
        """
        parts = self._bench.parts
        replayer = Replayer(parts.bus, parts.expressions, self._recorded)

        async def replay(archive: Archive) -> Replayed:
            return await replayer.replay(archive.run_id, archive.decoded)

        return Replays(
            [
                ReplayedFile(path, self._host.run(replay(archive)))
                for path, archive in read_exports(files)
            ]
        )

    def snapshot(self, name: str) -> Snapshot:
        """Return a stored timeline, to compare a run's with: ``timelines/NAME.txt``.

        ``pytest --update-timelines`` writes what it is compared with.

        Args:
            name: Letters, digits, dots, hyphens and underscores.

        Raises:
            FileNotFoundError: There is none of that name yet.
            ValueError: The name is not one.
        """
        return self._timelines.find(name)

    def close(self) -> None:
        """Leave the runs as they are; the host closes the rest."""
        if self._closed:
            return
        self._closed = True

        self._host.run(self._process.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._host.run(work, timeout=_TIMEOUT_S)
        except TimeoutError as error:
            raise TimeoutError(f"{error} of real time: {self._process.describe()}") from None

    def _view(self, run_id: str) -> WorkflowRun:
        process = self._process

        def records() -> Sequence[Record]:
            return self._host.run(process.records(run_id))

        def send(event: str, data: Mapping[str, Any]) -> None:
            number = self._telling.next_number()
            status = RunState.from_records(run_id, records()).status
            if status not in FINISHED:
                self._run(process.send(run_id, event, data, number))
            elif not self._telling.again:
                raise RunEndedError(run_id, status)

        return WorkflowRun(
            run_id,
            records,
            lambda: process.awaited_events(run_id),
            send,
            lambda: self._host.run(process.workflows()),
            lambda: self._host.run(process.journal.export(run_id)),
        )

    def _begin_process(
        self, journal: MortalJournal, ids: RunIds, clock: VirtualClock | None = None
    ) -> KitProcess:
        return KitProcess(
            self._bench,
            journal,
            self._recorded,
            lambda: {**self._fake_versions, **self._bench.versions},
            ids,
            clock or self._bench.clock,
        )

    def _named(self, name: str) -> Workflow:
        """Return a workflow that can run here and now.

        Raises:
            WorkflowInvalidError: It has problems.
            WorkflowNotFoundError: There is none of that name.
        """
        known = self._catalog.names()
        if name not in known:
            raise WorkflowNotFoundError(name, did_you_mean(name, known, "workflows.add(...) it"))
        workflow = self._catalog.get(name)
        _refuse(name, self._problems(workflow))
        return workflow

    def _problems(self, workflow: Workflow) -> tuple[Problem, ...]:
        parts, catalog = self._bench.parts, self._catalog
        topics = parts.bus.topics()
        return check(workflow, parts.expressions, topics, catalog.names(), catalog.readable)

    def _contribute(self, plugin: object, name: str, version: str) -> None:
        """Add a plugin's kinds and workflows."""
        hooks = self._bench.parts.hooks
        for kind in hooks.call_one(plugin, "qtforge_orchestrators") or ():
            add_orchestrator(self._kinds, kind(), Author(name, version))
        offered = hooks.call_one(plugin, "qtforge_workflows") or ()
        contents = [*declared_files(plugin), *offered]
        self._catalog.add(
            Contribution(
                content=located(content, plugin),
                contributor=f"{name} {version}",
                author=Author(name, version),
            )
            for content in contents
        )

    def _add_definition(self, given: str | Path | PythonWorkflow) -> None:
        if isinstance(given, str) and given.endswith(".toml") and "\n" not in given:
            given = Path(given)
        parsed = self._catalog.replace(Contribution(content=given, contributor="the test"))
        _refuse(parsed.name or parsed.source, parsed.problems)

    def _bind(self) -> None:
        """Let published messages start runs and reach them, as the definitions say."""
        self._process.bind(self._workflows())

    def _workflows(self) -> list[Workflow]:
        return [each.workflow for each in self._catalog.all() if each.workflow is not None]


def _check_type(each: object) -> None:
    """Refuse what can't be added, such as a class or an unmarked function.

    Raises:
        TypeError: With what to write instead.
    """
    if isinstance(each, str | Path | PythonWorkflow | Plugin):
        return
    name = getattr(each, "__name__", "")
    if isinstance(each, type):
        raise TypeError(f"{name} is a class: add an instance, {name}()")
    if inspect.isroutine(each):
        raise TypeError(f"{name} is a plain function: mark it with @workflow({name!r})")
    if not has_hooks(type(each)):
        raise TypeError(
            f"{each!r} is neither a definition's path or text, a function marked with @workflow, "
            "nor a plugin"
        )


def _refuse(name: str, problems: Iterable[Problem]) -> None:
    found = "\n".join(map(str, problems))
    if found:
        raise WorkflowInvalidError(name, found)
