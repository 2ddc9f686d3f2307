"""The use cases of a host besides its runs: the bus, health, workflows, plugins, schedules."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qtforge_host.api.code_changes import runs_of, runs_to_replay
from qtforge_host.api.documents import (
    BreakerRow,
    HandlerRow,
    HealthDocument,
    HealthRow,
    PluginCreated,
    PluginDetails,
    Plugins,
    Published,
    ReplayRow,
    Replays,
    Response,
    Setting,
    Topics,
    WorkflowCreated,
    WorkflowDocument,
    Workflows,
)
from qtforge_host.api.drawing import Language, draw, graph_of_workflow
from qtforge_host.api.errors import NotFoundError
from qtforge_host.api.listings import TOPICS, WORKFLOWS, keep
from qtforge_host.api.parts import Parts
from qtforge_host.api.plugins import (
    PluginOffers,
    offers_of,
    plugin_details,
    plugins_named,
    plugins_of,
)
from qtforge_host.api.workflows import workflow_row
from qtforge_host.config.in_force import settings_in_force
from qtforge_host.plugin_code import PluginCodeError
from qtforge_host.plugins.candidates import PLUGIN_GROUP
from qtforge_host.plugins.resolution import resolve_installed
from qtforge_host.policies.breaker_file import BreakerFile
from qtforge_host.workflows.definitions import Workflow
from qtforge_host.workflows.errors import NotDrawableError
from qtforge_host.workflows.inputs import json_schema
from qtforge_sdk.conversion import check_keys, to_plain
from qtforge_sdk.durations import Duration, wait_seconds
from qtforge_sdk.errors import HandlerFailedError, StateDirectoryError, WorkflowInvalidError
from qtforge_sdk.graphs import Graph
from qtforge_sdk.inputs import InputSpec
from qtforge_sdk.run_status import RunStatus
from qtforge_sdk.transport import Envelope
from qtforge_sdk.validation import did_you_mean

if TYPE_CHECKING:
    from qtforge_host.app import Host
    from qtforge_host.runs.replay_check import Replayed, Replayer

__all__ = ["HostClient"]

_REPLAY_PAGE_S: Final = 20.0
_WAITING: Final[frozenset[RunStatus]] = frozenset({"waiting"})


class HostClient:
    """Asks a host.

    Args:
        parts: The host; it is started when it is first needed.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def topics(self) -> Topics:
        """List the handlers of every topic, in the order in which they are tried."""
        host = await self._parts.host()
        await host.start_offering()
        found = Topics(
            handlers=[
                msgspec.convert(each, HandlerRow, from_attributes=True)
                for handlers in host.bus.topics().values()
                for each in handlers
            ]
        )
        keep(host, TOPICS, found)
        return found

    async def request(
        self,
        topic: str,
        message: Any,
        *,
        timeout: Duration | None = None,
        plugin: str | None = None,
    ) -> Response:
        """Send a message to the plugin that handles a topic, and return its response.

        Known secrets in the response, and the fields that the operation declares as secret, are
        ``***``, unless the operation has ``keep_secrets``.

        Args:
            topic: The topic.
            message: What the topic's handler takes, as plain values or its type.
            timeout: How long to wait; None for the configuration's ``request_timeout``.
            plugin: Only this plugin.

        Raises:
            BusError: No plugin handles it, or the handler failed or was too late.
            PolicyError: A policy of the topic refused the request.
            HandlerFailedError: The response has no JSON form, such as an open file, or a mapping
                of which two keys are the same text.
        """
        host = await self._parts.host()
        settings = self._parts.settings
        timeout_s = settings.request_timeout_s if timeout is None else wait_seconds(timeout)
        envelope = Envelope(topic, message, timeout_s, time.monotonic() + timeout_s, plugin)
        response = await host.bus.send(envelope)
        try:
            check_keys(response)
            plain = to_plain(response)
            shown = host.without_secrets(plain, envelope.secrets)
        except TypeError as error:
            name, version = envelope.served_by or ("", "")
            what = f"the answer can't be shown: {error}"
            fix = "answer with plain values, and with keys that differ as texts"
            raise HandlerFailedError(
                topic, name, version, what, "run.not_storable", fix, retryable=False
            ) from error
        return Response(topic=topic, response=response if shown is plain else shown)

    async def publish(self, topic: str, message: Any) -> Published:
        """Publish a message.

        It is given to the subscribers of this process, and through the journal to the runs that
        it is an event for, and to a process that executes runs beside this one.

        Raises:
            InvalidTopicError: The topic is not well formed.
        """
        host = await self._parts.host()
        if self._parts.settings.state_dir.is_dir():  # else nobody listens
            with contextlib.suppress(StateDirectoryError):  # the subscribers here need none
                await self._parts.durable()
        done = await host.bus.publish(topic, message)
        return Published(topic=topic, delivered=done.delivered, dropped=done.dropped)

    async def health(self, *, recent: bool = False) -> HealthDocument:
        """Check the health of every active plugin, and list the circuit breakers.

        A host that was started for this starts every plugin before.

        Args:
            recent: Return the last reports of the rounds, without checking anything now.
        """
        host = await self._whole_host()
        reports = host.health_reports() if recent else await host.health()
        breakers = BreakerFile(self._parts.settings.state_dir).all()
        return HealthDocument(
            plugins=[
                msgspec.convert(each, HealthRow, from_attributes=True) for each in reports.values()
            ],
            breakers=[msgspec.convert(each, BreakerRow, from_attributes=True) for each in breakers],
        )

    async def plugins(self) -> Plugins:
        """List the plugins of the running host; one that was started for this starts all."""
        return plugins_of(await self._whole_host())

    async def offers(self) -> Mapping[str, PluginOffers]:
        """Return how much each plugin of the running host offers, by name."""
        return offers_of(await self._whole_host())

    async def plugin_settings(self, name: str) -> list[Setting]:
        """Return what the configuration says of a plugin; what may be a secret is ``***``."""

        def read() -> list[Setting]:
            return [
                Setting(key=list(each.key), value=each.value, source=each.source)
                for each in settings_in_force(self._parts.settings)
                if each.key[:2] == ("plugins", name)
            ]

        return await asyncio.to_thread(read)

    async def plugin(self, name: str, *, recent: bool = False) -> PluginDetails:
        """Return everything that is known of one plugin as it is installed now.

        Args:
            name: Its name.
            recent: As it was installed when the running host started, which is quicker.

        Raises:
            NotFoundError: There is none.
        """
        host = await self._whole_host() if recent else None

        def read() -> PluginDetails:
            settings = self._parts.settings
            installed = resolve_installed(settings) if host is None else host.installed
            first, *_ = plugins_named(installed.resolution, name)
            return plugin_details(first, installed, settings)

        return await asyncio.to_thread(read)

    async def workflows(self) -> Workflows:
        """List every workflow, and whether it can run."""
        host = await self._parts.host()
        found = Workflows(
            workflows=[
                workflow_row(each, host.problems(each))
                for each in [*host.catalog.all(), *host.catalog.older()]
            ]
        )
        keep(host, WORKFLOWS, found)
        return found

    async def check_workflows(self, names: list[str]) -> Workflows:
        """Check definitions.

        Args:
            names: Names of workflows, or paths of TOML files.

        Raises:
            WorkflowNotFoundError: There is no such workflow, and no such file.
        """
        host = await self._parts.host()
        found = [host.catalog.find(name) for name in names]
        for each in found:
            await host.start_for_types(each)
        return Workflows(
            workflows=[workflow_row(each, host.problems(each, typed=True)) for each in found]
        )

    async def new_workflow(
        self, name: str, kind: str, operations: Sequence[str]
    ) -> WorkflowCreated:
        """Write a definition to begin with, in the folder beside the configuration.

        Args:
            name: The workflow's name, and the file's.
            kind: Its kind.
            operations: Topics; the definition asks each, with the fields of its message.

        Raises:
            NotFoundError: Nobody handles one of the topics, or there is no such kind.
            ScaffoldError: The name can't be used or is taken, or there is no such kind.
            SchemaFileError: The kind's schema can't be written beside it.
        """
        from qtforge_host.scaffold.workflow import KINDS, write_workflow  # only for this

        host = await self._parts.host()
        await host.start_answering(operations)  # their messages are to be read
        known = host.bus.known_topics()
        messages: dict[str, Any] = {}
        for topic in operations:
            if topic not in known:
                otherwise = "qtforge-host bus topics lists them"
                what = f"no plugin handles the topic '{topic}'"
                raise NotFoundError(what, "", did_you_mean(topic, known, otherwise))
            signatures = host.bus.signatures(topic)
            messages[topic] = signatures[0].message_type if signatures else None
        folder = self._parts.settings.config_path.parent / "workflows"
        is_known = kind in KINDS or kind in host.catalog.definition_types
        schema = await self.workflow_schema(kind) if is_known else {}
        path = write_workflow(name, kind, messages, folder, list(host.catalog.names()), schema)
        return WorkflowCreated(name=name, kind=kind, file=str(path))

    async def new_plugin(
        self,
        name: str,
        features: Collection[str],
        parent: Path,
        license_expression: str = "MIT",
    ) -> PluginCreated:
        """Write a plugin's project; see `qtforge_host.scaffold.plugin.write_plugin`.

        Its definitions name the schemas of their kinds, of those that are installed.

        Raises:
            ScaffoldError: The name can't be used or is taken, or it can't be written.
        """
        # Only for this.
        from qtforge_host.scaffold.plugin import kinds_in, next_commands, write_plugin

        kinds = kinds_in(features)
        known = (await self._parts.host()).catalog.definition_types if kinds else {}
        schemas = {kind: await self.workflow_schema(kind) for kind in sorted(kinds & known.keys())}
        folder = write_plugin(name, features, parent, license_expression, schemas)
        files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return PluginCreated(
            name=name,
            folder=str(folder),
            files=sorted(map(str, files)),
            commands=next_commands(folder, features),
        )

    async def definition(self, name: str, *, files: bool = False) -> Workflow:
        """Return a workflow that was read without a problem, whether it can run here or not.

        Args:
            name: Its name, or the path of a TOML file.
            files: Whether it may be a path; a text that is not trusted may not.

        Raises:
            WorkflowNotFoundError: There is none.
            WorkflowInvalidError: The definition has problems.
        """
        return (await self._parts.host()).catalog.get(name, files=files)

    async def show_workflow(self, name: str) -> WorkflowDocument:
        """Return a workflow's definition.

        Raises:
            WorkflowNotFoundError: There is none.
            WorkflowInvalidError: The definition has problems.
        """
        return workflow_document(await self.definition(name))

    async def draw_workflow(self, name: str, language: Language = "mermaid") -> str:
        """Draw a workflow.

        Raises:
            WorkflowNotFoundError: There is none.
            WorkflowInvalidError: The definition has problems.
            DrawingError: It can't be drawn, or not in that language here.
        """
        return draw(await self.workflow_graph(name), language)

    async def workflow_graph(self, name: str, *, files: bool = False) -> Graph:
        """Return a workflow's graph.

        Args:
            name: Its name, or the path of a TOML file.
            files: Whether it may be a path; a text that is not trusted may not.

        Raises:
            WorkflowNotFoundError: There is none.
            WorkflowInvalidError: The definition has problems; those that a graph can show, such
                as a topic without a plugin, are none here.
            DrawingError: It can't be drawn.
        """
        workflow = await self.definition(name, files=files)
        try:
            return graph_of_workflow(workflow)
        except (NotDrawableError, PluginCodeError):
            found = (await self._parts.host()).recorded_workflows().check(workflow)
            if not found:
                raise
            raise WorkflowInvalidError(name, "\n".join(map(str, found))) from None

    async def workflow_schema(self, kind: str) -> dict[str, Any]:
        """Return the JSON Schema of a kind's definitions, for editors.

        Raises:
            NotFoundError: No orchestrator of that kind is installed.
        """
        from qtforge_host.toml_schema import toml_schema  # only for this

        types = (await self._parts.host()).catalog.definition_types
        if kind not in types:
            fix = did_you_mean(kind, sorted(types))
            raise NotFoundError(f"there is no kind of workflow '{kind}'", "", fix)
        return toml_schema(types[kind], title=f"A workflow of the kind {kind}", kind=kind)

    async def config_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the configuration, with the options of the plugins."""
        from qtforge_host.config.schema import config_schema  # only for this

        host = await self._parts.host("all")
        await host.start_all()  # a host that serves starts the others when they are needed
        plugins = {
            entry.candidate.name: getattr(entry.plugin, "Config", None)
            for entry in host.registry
            if entry.candidate.group == PLUGIN_GROUP and entry.plugin is not None
        }
        found: dict[str, Any] = config_schema(plugins, host.bus.topics())
        return found

    async def replay(
        self,
        workflow: str | None = None,
        *,
        last: int | None = None,
        after: str | None = None,
    ) -> AsyncGenerator[ReplayRow, None]:
        """Replay runs against the installed code; nothing is requested, and nothing written.

        Args:
            workflow: Only runs of this workflow.
            last: The newest runs, at most so many; None for all that have not ended.
            after: Begin after this run; None for the newest.

        Raises:
            WorkflowNotFoundError: There is no such workflow.
            WorkflowInvalidError: Its definition has problems.
        """
        if workflow is not None:
            await self.definition(workflow)  # else a misspelt name would have no runs
        journal = await self._parts.journal()
        replayer = await self._replayer()
        async for each in runs_to_replay(journal, workflow, last=last, after=after):
            records = await journal.records(each.run_id)
            yield _replay_row(await replayer.replay(each.run_id, records))

    async def replay_page(
        self,
        workflow: str | None = None,
        *,
        unfinished: bool = True,
        limit: int = 50,
        after: str | None = None,
    ) -> Replays:
        """Replay some runs, newest first; a page also ends where it took 20 s.

        Args:
            workflow: Only runs of this workflow.
            unfinished: Only runs that have not ended.
            limit: At most so many, at least 1.
            after: Begin after this run, the ``next`` of the page before.

        Raises:
            WorkflowNotFoundError: There is no such workflow.
            WorkflowInvalidError: Its definition has problems.
        """
        rows: list[ReplayRow] = []
        enough = time.monotonic() + _REPLAY_PAGE_S
        async with contextlib.aclosing(
            self.replay(workflow, last=None if unfinished else limit, after=after)
        ) as replayed:
            async for row in replayed:
                rows.append(row)
                if len(rows) == limit or time.monotonic() > enough:
                    return Replays(runs=rows, next=row.run_id)
        return Replays(runs=rows)

    async def diverged(self, most: int) -> AsyncIterator[ReplayRow]:
        """Give the waiting runs of workflows in Python that the installed code does not continue.

        Args:
            most: So many of the newest waiting runs are looked at.
        """
        journal = await self._parts.journal()
        replayer = None
        async for each in runs_of(journal, None, _WAITING, most):
            if each.kind != "python":  # their definition is in the journal
                continue
            replayer = replayer or await self._replayer()
            records = await journal.records(each.run_id)
            replayed = await replayer.replay(each.run_id, records)
            if replayed.verdict == "diverged":
                yield _replay_row(replayed)

    async def replay_export(self, archive: bytes, file: str = "") -> ReplayRow:
        """Replay an exported run against the installed code.

        Args:
            archive: What ``runs export`` has written.
            file: Where it was read from, for the answer.

        Raises:
            ArchiveInvalidError: It is not an archive, or is damaged.
        """
        from qtforge_sdk.journal_kit.archive import unpack

        found = unpack(archive, pause=False, file=file)
        replayer = await self._replayer()
        return _replay_row(await replayer.replay(found.run_id, found.decoded), file)

    async def _whole_host(self) -> Host:
        host = await self._parts.host("all")
        if self._parts.is_own_host:
            await host.start_all()
        return host

    async def _replayer(self) -> Replayer:
        from qtforge_host.runs.replay_check import Replayer  # heavy, and only for this

        host = await self._parts.host()
        return Replayer(host.bus, host.expressions, host.recorded_workflows())


def _replay_row(replayed: Replayed, file: str = "") -> ReplayRow:
    return ReplayRow(
        run_id=replayed.run_id,
        file=file,
        workflow=replayed.workflow,
        verdict=replayed.verdict,
        step=replayed.step,
        topic=replayed.topic,
        detail=replayed.detail,
        text=str(replayed),
    )


def workflow_document(workflow: Workflow) -> WorkflowDocument:
    """Return a workflow's definition as a document."""
    definition: dict[str, Any] = msgspec.to_builtins(workflow.definition, enc_hook=str)
    inputs = workflow.definition.inputs
    if inputs is not None and not isinstance(inputs, dict):  # only their names are known
        inputs = dict.fromkeys(inputs, InputSpec(required=False))
    return WorkflowDocument(
        source=workflow.source,
        definition=definition,
        input_schema=None if inputs is None else json_schema(inputs),
    )
