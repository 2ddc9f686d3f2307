"""Every use case through the command line and over HTTP: the same documents, the same effect."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx2
import msgspec
import pytest
from tests.serving import Server, Serving, until

from qtforge_host.api import documents
from qtforge_host.cli.main import cli as root
from qtforge_host.serving.http.routes import ENDPOINTS

DOCUMENT = Path(__file__).parents[3] / "examples" / "documents" / "contract.md"
PATCH = [{"op": "replace", "path": "/stages/2/message/text", "value": "changed"}]
WAIT = {"wait": "20s"}


def read(text: str | bytes, kind: type) -> Any:
    """Decode a document, and check that its Struct says everything that is in it."""
    found: Any = msgspec.json.decode(text, type=kind)
    assert json.loads(msgspec.json.encode(found)) == json.loads(text)
    return found


class Faces:
    """A served state directory, and the runs that use cases need."""

    def __init__(self, serving: Serving, server: Server) -> None:
        self.serving = serving
        self.server = server
        self._worker = ""
        self.ended: str = server.start("quick", wait="20s", word="a")["run_id"]
        given = {"document": {"name": DOCUMENT.name, "path": str(DOCUMENT)}}
        self.machine: str = server.start("document-approval", wait="20s", **given)["run_id"]
        until(lambda: server.run(self.machine)["status"] == "waiting")

    def command(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        done = self.serving.cli(*words)
        assert done.returncode in codes, done.stdout + done.stderr
        return done.stdout

    def get(self, path: str, **params: Any) -> httpx2.Response:
        return self._checked(self.server.get(path, params=params))

    def post(self, path: str, content: Any = None, **params: Any) -> httpx2.Response:
        return self._checked(self.server.post(path, content, params=params))

    def _checked(self, answer: httpx2.Response) -> httpx2.Response:
        assert answer.status_code in (200, 202), answer.text
        return answer

    @property
    def gate(self) -> Path:
        """The file without which the second stage of ``steps`` waits."""
        return self.serving.folder / "go"

    def waiting(self) -> str:
        """Start a run that waits for the event ``go``."""
        run_id: str = self.server.start("waits")["run_id"]
        return run_id

    def tagged(self, run_id: str | None = None) -> str:
        """Give a run, or a new one that waits, a tag ``it`` that no other has; return its value."""
        word = uuid.uuid4().hex
        self.post(f"/v1/runs/{run_id or self.waiting()}/tags", {"tags": {"it": word}})
        return word

    def in_the_middle(self) -> str:
        """Start ``steps``, which waits in its second stage."""
        self.gate.unlink(missing_ok=True)
        word = uuid.uuid4().hex
        run_id: str = self.server.start("steps", word=word)["run_id"]
        until(lambda: f"first {word}" in self.serving.done)
        return run_id

    def cancelled(self) -> str:
        """Cancel ``steps`` in the middle; a retry succeeds."""
        run_id = self.in_the_middle()
        found = self.post(f"/v1/runs/{run_id}/cancel", **WAIT).json()
        assert found["status"] == "cancelled"
        self.gate.touch()
        return run_id

    def paused(self) -> str:
        """Pause ``steps`` after its second stage."""
        run_id = self.in_the_middle()
        self.post(f"/v1/runs/{run_id}/pause")
        self.gate.touch()
        until(lambda: self.server.run(run_id)["status"] == "paused")
        return run_id

    @property
    def node(self) -> str:
        """The name of the process that serves."""
        (found,) = [
            each for each in self.get("/v1/nodes").json()["nodes"] if each["role"] == "serve"
        ]
        return str(found["node"])

    def worker(self) -> str:
        """Start a worker, where there is none yet."""
        if not self._worker:
            self._worker = "beside"
            self.serving.start("worker", "--node", self._worker, "--pool", "beside")
            until(lambda: self._worker in self.get("/v1/nodes").text)
        return self._worker

    def archive(self) -> Path:
        """Export the run that has ended."""
        file = self.serving.folder / "run.qtforge-run"
        file.write_bytes(self.get(f"/v1/runs/{self.ended}/export").content)
        return file

    def sent_archive(self, path: str) -> httpx2.Response:
        """Post the export of the run that has ended."""
        return self._checked(
            self.server.client.post(
                path,
                content=self.archive().read_bytes(),
                headers={"Content-Type": "application/octet-stream"},
            )
        )

    def patch(self) -> Path:
        file = self.serving.folder / "patch.json"
        file.write_text(json.dumps(PATCH))
        return file


@pytest.fixture(scope="module")
def faces(module_serving: Serving, module_server: Server) -> Faces:
    pytest.importorskip("markdown_it", reason="the extra 'documents' is not installed")
    return Faces(module_serving, module_server)


Command = Callable[[Faces], list[str]]
Request = Callable[[Faces], httpx2.Response]


@dataclass(frozen=True)
class UseCase:
    """A use case through both faces.

    Attributes:
        command: The words of the command.
        document: What the command prints.
        endpoint: The operation of the HTTP interface.
        request: Sends the request.
        answer: What the request is answered with.
        same: What both documents have to agree in; None for everything.
        codes: The exit codes that the command may have.
    """

    command: Command
    document: type
    endpoint: str
    request: Request
    answer: type
    same: Callable[[Any], Any] | None = None
    codes: tuple[int, ...] = (0,)


def status_and_result(run: Any) -> Any:
    return run.workflow, run.status, run.result, [each.name for each in run.stages]


def new(run_of: Callable[[Faces], str], *words: str) -> Command:
    """Give a command whose {} is a run that is made for it."""
    return lambda it: [run_of(it) if word == "{}" else word for word in words]


def posted(run_of: Callable[[Faces], str], path: str, content: Any = None) -> Request:
    return lambda it: it.post(f"/v1/runs/{run_of(it)}/{path}", content, **WAIT)


STEPS_NOTE = {"topic": "steps.note", "message": {"text": "hello"}}
NOT_TAKEN = {"name": "user.action", "data": {"action": "dance"}}

TABLE = {
    "run": UseCase(
        lambda _: ["run", "quick", "--set", "word=b", "--json"], documents.RunOutcome,
        "startRun",
        lambda it: it.post("/v1/runs", {"workflow": "quick", "input": {"word": "b"}}, **WAIT),
        documents.RunDocument, status_and_result,
    ),
    "run, in the queue": UseCase(
        lambda _: ["run", "quick", "--set", "word=b", "--detach", "--pool", "none", "--json"],
        documents.RunDocument, "startRun",
        lambda it: it.post(
            "/v1/runs", {"workflow": "quick", "input": {"word": "b"}, "queue": {"pool": "none"}}
        ),
        documents.RunDocument, status_and_result,
    ),
    "workflows replay": UseCase(
        lambda _: ["workflows", "replay", "waits", "--json"], documents.Replays, "replayRuns",
        lambda it: it.post("/v1/runs/replay", {"workflow": "waits"}), documents.Replays,
    ),
    "workflows replay, of runs that have ended": UseCase(
        lambda _: ["workflows", "replay", "quick", "--last", "1", "--json"], documents.Replays,
        "replayRuns",
        lambda it: it.post(
            "/v1/runs/replay", {"workflow": "quick", "unfinished": False, "limit": 1}
        ),
        documents.Replays, lambda found: found.runs,
    ),
    "workflows replay, of an archive": UseCase(
        lambda it: ["workflows", "replay", str(it.archive()), "--json"], documents.Replays,
        "replayArchive", lambda it: it.sent_archive("/v1/runs/replay-archive"),
        documents.Replays, lambda found: [(each.run_id, each.verdict) for each in found.runs],
    ),
    "nodes list": UseCase(
        lambda _: ["nodes", "list", "--json"], documents.Nodes,
        "listNodes", lambda it: it.get("/v1/nodes"), documents.Nodes,
        lambda found: [(each.node, each.role, each.pools) for each in found.nodes],
    ),
    "nodes show": UseCase(
        lambda it: ["nodes", "show", it.node, "--json"], documents.NodeDocument,
        "showNode", lambda it: it.get(f"/v1/nodes/{it.node}"), documents.NodeDocument,
        # Not what is needed, which depends on what is in progress at that moment.
        lambda found: (found.node, found.pid, found.plugins),
    ),
    "nodes drain": UseCase(
        lambda it: ["nodes", "drain", it.worker(), "--wait", "20s", "--json"],
        documents.NodeDocument, "drainNode",
        lambda it: it.post(f"/v1/nodes/{it.worker()}/drain", **WAIT), documents.NodeDocument,
        lambda found: (found.node, found.status, found.runs),
    ),
    "nodes resume": UseCase(
        lambda it: ["nodes", "resume", it.worker(), "--json"], documents.NodeDocument,
        "resumeNode", lambda it: it.post(f"/v1/nodes/{it.worker()}/resume"),
        documents.NodeDocument, lambda found: (found.node, found.status),
    ),
    "pools list": UseCase(
        lambda _: ["pools", "list", "--json"], documents.Pools,
        "listPools", lambda it: it.get("/v1/pools"), documents.Pools,
        lambda found: [(each.pool, each.status) for each in found.pools],
    ),
    "pools pause": UseCase(
        lambda _: ["pools", "pause", "resting", "--json"], documents.Pools,
        "pausePool", lambda it: it.post("/v1/pools/resting/pause"), documents.Pools,
    ),
    "pools resume": UseCase(
        lambda _: ["pools", "resume", "resting", "--json"], documents.Pools,
        "resumePool", lambda it: it.post("/v1/pools/resting/resume"), documents.Pools,
    ),
    "runs list, by pool and plugin": UseCase(
        lambda _: ["runs", "list", "--needs", "example==1.0", "--pool", "default", "--json"],
        documents.RunList, "listRuns",
        lambda it: it.get("/v1/runs", needs="example==1", pool="default"), documents.RunList,
        lambda found: [each.pool for each in found.runs],
    ),
    "runs list": UseCase(
        lambda it: ["runs", "list", "--workflow", "document-approval", "--json"],
        documents.RunList, "listRuns",
        lambda it: it.get("/v1/runs", workflow="document-approval"), documents.RunList,
    ),
    "runs show": UseCase(
        lambda it: ["runs", "show", it.ended, "--json"], documents.RunDocument, "showRun",
        lambda it: it.get(f"/v1/runs/{it.ended}"), documents.RunDocument,
    ),
    "runs list, counted": UseCase(
        lambda it: ["runs", "list", "--workflow", "document-approval", "--count", "--json"],
        documents.RunCount, "countRuns",
        lambda it: it.get("/v1/runs/count", workflow="document-approval"), documents.RunCount,
    ),
    "plugins info": UseCase(
        lambda _: ["plugins", "info", "steps", "--json"], documents.PluginDetails, "showPlugin",
        lambda it: it.get("/v1/plugins/steps"), documents.PluginDetails,
    ),
    "runs list, searched": UseCase(
        lambda _: ["runs", "list", "--search", "Document APPROV", "--json"],
        documents.RunList, "listRuns",
        lambda it: it.get("/v1/runs", search="Document APPROV"), documents.RunList,
        lambda found: [each.workflow for each in found.runs],
    ),
    "runs logs": UseCase(
        lambda it: ["runs", "logs", it.ended, "--json"], documents.LogsDocument, "listLogs",
        lambda it: it.get(f"/v1/runs/{it.ended}/logs"), documents.LogsDocument,
    ),
    "runs show, of a state machine": UseCase(
        lambda it: ["runs", "show", it.machine, "--json"], documents.RunDocument, "showRun",
        lambda it: it.get(f"/v1/runs/{it.machine}"), documents.RunDocument,
    ),
    "inbox": UseCase(
        lambda _: ["inbox", "--json"], documents.InboxDocument, "listInbox",
        lambda it: it.get("/v1/inbox"), documents.InboxDocument,
    ),
    "send": UseCase(
        new(Faces.waiting, "send", "{}", "go", "--wait", "--event-id", "e1", "--json"),
        documents.EventSent, "sendEvent",
        posted(Faces.waiting, "events", {"name": "go", "data": {}, "event_id": "e1"}),
        documents.EventSent, lambda sent: (sent.event, sent.event_id, sent.received),
    ),
    "send, to a state machine": UseCase(
        lambda it: ["send", it.machine, "user.action", "--set", "action=dance", "--json"],
        documents.EventSent, "sendEvent",
        lambda it: it.post(f"/v1/runs/{it.machine}/events", NOT_TAKEN, **WAIT),
        documents.EventSent,
        lambda sent: (sent.taken, sent.reason, sent.transitions, sent.run.machine.state),
        codes=(1,),
    ),
    "runs cancel": UseCase(
        new(Faces.waiting, "runs", "cancel", "{}", "--reason", "no", "--json"),
        documents.RunOutcome, "cancelRun",
        posted(Faces.waiting, "cancel", {"reason": "no"}), documents.RunDocument,
        status_and_result,
    ),
    "runs pause": UseCase(
        new(Faces.waiting, "runs", "pause", "{}", "--reason", "later", "--json"),
        documents.RunOutcome, "pauseRun",
        posted(Faces.waiting, "pause", {"reason": "later"}), documents.RunDocument,
        status_and_result,
    ),
    "runs resume": UseCase(
        new(Faces.paused, "runs", "resume", "{}", "--json"), documents.RunOutcome, "resumeRun",
        posted(Faces.paused, "resume", {"accept_versions": True}), documents.RunDocument,
        lambda run: (run.status, [each.name for each in run.stages]),
    ),
    "runs retry": UseCase(
        new(Faces.cancelled, "runs", "retry", "{}", "--from", "first", "--json"),
        documents.RunOutcome, "retryRun",
        posted(Faces.cancelled, "retry", {"from": "first"}), documents.RunDocument,
        lambda run: (run.status, [each.name for each in run.stages]),
    ),
    "runs fork": UseCase(
        lambda it: ["runs", "fork", it.ended, "--set", "word=c", "--json"],
        documents.RunOutcome, "forkRun",
        lambda it: it.post(f"/v1/runs/{it.ended}/fork", {"input": {"word": "c"}}, **WAIT),
        documents.RunDocument, status_and_result,
    ),
    "runs cancel, several": UseCase(
        lambda it: ["runs", "cancel", "--workflow", "waits", "--tag", f"it={it.tagged()}", "--yes",
                    "--json"],
        documents.BulkDone, "cancelRuns",
        lambda it: it.post(
            "/v1/runs/cancel", {"workflow": "waits", "tags": {"it": it.tagged()}}
        ),
        documents.BulkDone, lambda done: (len(done.runs), done.failed, done.more),
    ),
    "runs pause, several": UseCase(
        lambda it: ["runs", "pause", "--tag", f"it={it.tagged()}", "--yes", "--json"],
        documents.BulkDone, "pauseRuns",
        lambda it: it.post("/v1/runs/pause", {"tags": {"it": it.tagged()}}),
        documents.BulkDone, lambda done: (len(done.runs), done.failed, done.more),
    ),
    "runs retry, several": UseCase(
        lambda it: ["runs", "retry", "--tag", f"it={it.tagged(it.cancelled())}", "--status",
                    "cancelled", "--dry-run", "--json"],
        documents.BulkDone, "retryRuns",
        lambda it: it.post(
            "/v1/runs/retry",
            {"tags": {"it": it.tagged(it.cancelled())}, "status": ["cancelled"], "from": "first"},
        ),
        documents.BulkDone, lambda done: (len(done.runs), done.failed, done.more),
    ),
    "runs resume, several": UseCase(
        lambda it: ["runs", "resume", "--tag", f"it={it.tagged(it.paused())}", "--dry-run",
                    "--json"],
        documents.BulkDone, "resumeRuns",
        lambda it: it.post("/v1/runs/resume", {"tags": {"it": it.tagged(it.paused())}}),
        documents.BulkDone, lambda done: (len(done.runs), done.failed, done.more),
    ),
    "runs prune, several": UseCase(
        lambda it: ["runs", "prune", "--tag", f"it={it.tagged(it.cancelled())}", "--yes",
                    "--json"],
        documents.Pruned, "pruneRuns",
        lambda it: it.post("/v1/runs/prune", {"tags": {"it": it.tagged(it.cancelled())}}),
        documents.Pruned,
    ),
    "runs rerun": UseCase(
        lambda it: ["runs", "rerun", it.ended, "--set", "word=c", "--json"],
        documents.RunOutcome, "rerunRun",
        lambda it: it.post(f"/v1/runs/{it.ended}/rerun", {"input": {"word": "c"}}, **WAIT),
        documents.RunDocument, status_and_result,
    ),
    "runs tag": UseCase(
        lambda it: ["runs", "tag", it.ended, "customer=ACME", "--json"], documents.RunTags,
        "tagRun",
        lambda it: it.post(f"/v1/runs/{it.ended}/tags", {"tags": {"customer": "ACME"}}),
        documents.RunTags,
    ),
    "run, planned": UseCase(
        lambda _: ["run", "quick", "--set", "word=b", "--tag", "a=1", "--dry-run", "--json"],
        documents.RunPlan, "planRun",
        lambda it: it.post(
            "/v1/runs/plan", {"workflow": "quick", "input": {"word": "b"}, "tags": {"a": "1"}}
        ),
        documents.RunPlan,
    ),
    "runs list, tagged": UseCase(
        lambda it: ["runs", "list", "--tag", "customer=ACME", "--json"], documents.RunList,
        "listRuns",
        lambda it: it.get("/v1/runs", tag="customer=ACME"), documents.RunList,
    ),
    "runs amend": UseCase(
        lambda it: ["runs", "amend", it.paused(), "--patch", str(it.patch()), "--json"],
        documents.Amended, "amendRun",
        posted(Faces.paused, "amend", {"patch": PATCH}), documents.Amended,
        lambda amended: (amended.amended, amended.patch),
    ),
    "runs prune": UseCase(
        lambda _: ["runs", "prune", "--older-than", "30d", "--yes", "--json"],
        documents.Pruned, "pruneRuns",
        lambda it: it.post("/v1/runs/prune", {"older_than": "30d"}), documents.Pruned,
    ),
    "runs prune, a dry run": UseCase(
        lambda _: ["runs", "prune", "--older-than", "30d", "--dry-run", "--json"],
        documents.Pruned, "pruneRuns",
        lambda it: it.post("/v1/runs/prune", {"older_than": "30d", "dry_run": True}),
        documents.Pruned, lambda pruned: (pruned.dry_run, pruned.workflows),
    ),
    "runs import": UseCase(
        lambda it: ["runs", "import", str(it.archive()), "--json"], documents.Imported,
        "importRun",
        lambda it: it.sent_archive("/v1/runs/import"),
        documents.Imported,
    ),
    "workflows list": UseCase(
        lambda _: ["workflows", "list", "--json"], documents.Workflows, "listWorkflows",
        lambda it: it.get("/v1/workflows"), documents.Workflows,
    ),
    "workflows show": UseCase(
        lambda _: ["workflows", "show", "document-approval", "--json"],
        documents.WorkflowDocument, "showWorkflow",
        lambda it: it.get("/v1/workflows/document-approval"), documents.WorkflowDocument,
    ),
    "workflows patches": UseCase(
        lambda _: ["workflows", "patches", "document-approval", "--json"],
        documents.Patches, "listPatches",
        lambda it: it.get("/v1/workflows/document-approval/patches"), documents.Patches,
    ),
    "plugins check": UseCase(
        lambda _: ["plugins", "check", "--json"], documents.Plugins, "listPlugins",
        lambda it: it.get("/v1/plugins"), documents.Plugins,
        # What the server has not needed yet is ready; the command starts all.
        lambda found: [
            (each.name, each.state.replace("ready", "active")) for each in found.plugins
        ],
    ),
    "bus topics": UseCase(
        lambda _: ["bus", "topics", "--json"], documents.Topics, "listTopics",
        lambda it: it.get("/v1/topics"), documents.Topics,
    ),
    "bus request": UseCase(
        lambda _: ["bus", "request", "steps.note", "--set", "text=hello", "--json"],
        documents.Response, "request",
        lambda it: it.post("/v1/request", STEPS_NOTE), documents.Response,
    ),
    "bus publish": UseCase(
        lambda _: ["bus", "publish", "news.local", "--set", "x=1", "--json"],
        documents.Published, "publish",
        lambda it: it.post("/v1/publish", {"topic": "news.local", "message": {"x": 1}}),
        documents.Published,
    ),
    "schedules list": UseCase(
        lambda _: ["schedules", "list", "--json"], documents.Schedules, "listSchedules",
        lambda it: it.get("/v1/schedules"), documents.Schedules,
    ),
    "schedules show": UseCase(
        lambda _: ["schedules", "show", "nightly", "--json"],
        documents.ScheduleDocument, "showSchedule",
        lambda it: it.get("/v1/schedules/nightly"), documents.ScheduleDocument,
    ),
    "schedules pause": UseCase(
        lambda _: ["schedules", "pause", "nightly", "--reason", "moving", "--json"],
        documents.ScheduleDocument, "pauseSchedule",
        lambda it: it.post("/v1/schedules/nightly/pause", {"reason": "moving"}),
        documents.ScheduleDocument,
    ),
    "schedules resume": UseCase(
        lambda _: ["schedules", "resume", "nightly", "--catch-up", "--json"],
        documents.ScheduleDocument, "resumeSchedule",
        lambda it: it.post("/v1/schedules/nightly/resume", {"catch_up": True}),
        documents.ScheduleDocument,
    ),
    "schedules trigger": UseCase(
        lambda _: ["schedules", "trigger", "nightly", "--force", "--json"],
        documents.ScheduleRuns, "triggerSchedule",
        lambda it: it.post("/v1/schedules/nightly/trigger", {"force": True}),
        documents.ScheduleRuns, lambda found: [each.outcome for each in found.runs],
    ),
    "schedules backfill": UseCase(
        lambda _: [
            "schedules", "backfill", "nightly", "--from", "2026-11-02", "--to", "2026-11-04",
            "--dry-run", "--json",
        ],
        documents.ScheduleRuns, "backfillSchedule",
        lambda it: it.post("/v1/schedules/nightly/backfill", {
            "since": "2026-11-01T23:00:00Z", "until": "2026-11-03T23:00:00Z", "dry_run": True,
        }),
        documents.ScheduleRuns,
    ),
    "schedules test": UseCase(
        lambda _: ["schedules", "test", "0 3 * * mon", "--count", "1000", "--json"],
        documents.PlannedTimes, "plannedTimes",
        lambda it: it.get("/v1/planned-times", cron="0 3 * * mon", count=1000),
        documents.PlannedTimes,
        lambda found: (found.cron, found.timezone, [each.hour for each in found.times]),
    ),
    "status": UseCase(
        lambda _: ["status", "--json"], documents.HostStatus,
        "showStatus", lambda it: it.get("/v1/status"), documents.HostStatus,
        lambda found: (
            found.waiting, [each.run_id for each in found.inbox], found.plugins, found.troubled,
            [(each.name, each.next) for each in found.schedules], found.paused,
            [(each.node, each.role) for each in found.nodes if each.role != "command"],
        ),
    ),
    "health": UseCase(
        lambda _: ["health", "--json"], documents.HealthDocument, "showHealth",
        lambda it: it.get("/v1/health"), documents.HealthDocument,
        # The server checks what it has started: this one has a start.
        lambda found: (
            [each.status for each in found.plugins if each.plugin == "document-storage"],
            found.breakers,
        ),
    ),
}  # fmt: skip


def _restore_words(faces: Faces) -> list[str]:
    """Return the words that restore a backup into a state directory of its own."""
    folder = faces.serving.folder
    faces.command("journal", "backup", str(folder / "to-restore"))
    restored = ["--state-dir", str(folder / "restored")]  # after the one that is served: it counts
    return [*restored, "journal", "restore", str(folder / "to-restore"), "--json"]


def _revoke_words(faces: Faces) -> list[str]:
    """Return the words that revoke a token made for that."""
    made = faces.command("tokens", "create", "--scope", "read", "--json")
    return ["tokens", "revoke", read(made, documents.TokenCreated).id, "--json"]


# Documents of commands whose use case another test compares, or that concern this machine alone.
ALONE: dict[str, tuple[Command, type]] = {
    "runs watch": (
        lambda it: ["runs", "watch", it.ended, "--json"], documents.WatchedRun,
    ),
    "workflows validate": (
        lambda _: ["workflows", "validate", "quick", "--json"], documents.Workflows,
    ),
    "plugins list": (lambda _: ["plugins", "list", "--json"], documents.Plugins),
    "workflows new": (
        lambda _: ["workflows", "new", "faces", "--kind", "reactive", "--json"],
        documents.WorkflowCreated,
    ),
    "plugins check, of one": (
        lambda it: ["plugins", "check", "approval-workflows", "--json"], documents.PluginChecks,
    ),
    "plugins new": (
        lambda it: ["plugins", "new", "acme-faces", "--dir", str(it.serving.folder), "--json"],
        documents.PluginCreated,
    ),
    "plugins commands": (lambda _: ["plugins", "commands", "--json"], documents.PluginCommands),
    "doctor": (lambda _: ["doctor", "--json"], documents.DoctorDocument),
    "journal backup": (
        lambda it: ["journal", "backup", str(it.serving.folder / "backup"), "--json"],
        documents.BackupDocument,
    ),
    "journal copy": (
        lambda _: ["journal", "copy", "memory", "sqlite", "--json"], documents.JournalCopied,
    ),
    "journal check": (lambda _: ["journal", "check", "--json"], documents.JournalChecked),
    "journal restore": (_restore_words, documents.BackupDocument),
    "tokens create": (
        lambda _: ["tokens", "create", "--scope", "read", "--json"], documents.TokenCreated,
    ),
    "tokens list": (lambda _: ["tokens", "list", "--json"], documents.Tokens),
    "tokens revoke": (_revoke_words, documents.TokenRevoked),
    "config path": (lambda _: ["config", "path", "--json"], documents.ConfigPath),
    "config validate": (lambda _: ["config", "validate", "--json"], documents.ConfigChecked),
    "config show": (lambda _: ["config", "show", "--json"], documents.ConfigDocument),
    "route": (
        lambda _: ["route", "--dry-run", "--explain", str(DOCUMENT), "--json"],
        documents.RoutedFile,
    ),
}  # fmt: skip
# Operations whose answer is no document, or that a test of their own compares.
ELSEWHERE = {
    "listRecords", "drawRun", "exportRun", "drawWorkflow", "streamEvents", "followLogs",
    "showKindSchema", "showConfigSchema",
    "readiness", "metrics",
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_a_use_case_gives_the_same_through_both_faces(faces: Faces, name: str) -> None:
    case = TABLE[name]
    printed = read(faces.command(*case.command(faces), codes=case.codes), case.document)
    answered = read(case.request(faces).content, case.answer)
    same = case.same or (lambda document: document)
    assert same(printed) == same(answered)


@pytest.mark.parametrize("name", ALONE)
def test_a_document_of_the_command_line_alone_is_as_its_struct_says(
    faces: Faces, name: str
) -> None:
    command, document = ALONE[name]
    lines = faces.command(*command(faces))
    # Those that print a line for each record print the document at last.
    text = lines.splitlines()[-1] if name in ("runs watch", "route") else lines
    read(text, document)


def test_texts_and_archives_are_the_same_through_both_faces(
    faces: Faces,
) -> None:
    lines = faces.command("runs", "show", faces.ended, "--records").splitlines()
    page = read(faces.get(f"/v1/runs/{faces.ended}/records").content, documents.RecordsDocument)
    assert [json.loads(line) for line in lines] == page.records
    for language in ("mermaid", "dot"):
        drawn = faces.command("runs", "show", faces.machine, "--graph", language)
        assert drawn == faces.get(f"/v1/runs/{faces.machine}/graph", format=language).text
        drawn = faces.command("workflows", "graph", "quick", "--format", language)
        assert drawn == faces.get("/v1/workflows/quick/graph", format=language).text
    for words, path in (("workflows schema graph", "kinds/graph"), ("config schema", "config")):
        schema = json.loads(faces.command(*words.split()))
        assert schema == faces.get(f"/v1/{path}/schema").json()
    file = faces.serving.folder / "exported"
    faces.command("runs", "export", faces.ended, "-o", str(file))
    exported = faces.get(f"/v1/runs/{faces.ended}/export")
    assert exported.headers["Content-Disposition"].endswith(f'"{faces.ended}.qtforge-run"')
    assert file.read_bytes() == exported.content


def test_the_runs_that_can_be_resumed_are_resumed_through_both_faces(faces: Faces) -> None:
    answered = read(faces.post("/v1/runs/resume").content, documents.BulkDone)
    assert answered.runs == []
    done = faces.serving.cli("runs", "resume", "--all")
    assert (done.returncode, "no run was interrupted" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    ("words", "exit_code", "method", "path", "content", "status", "code"),
    [
        (["run", "quikc"], 3, "POST", "/v1/runs", {"workflow": "quikc"}, 404,
         "workflow.not_found"),
        (["runs", "retry", "{ended}"], 1, "POST", "/v1/runs/{ended}/retry", {}, 409,
         "run.succeeded"),
        (["runs", "cancel", "{ended}"], 1, "POST", "/v1/runs/{ended}/cancel", None, 409,
         "run.ended"),
        (["runs", "pause", "{ended}"], 1, "POST", "/v1/runs/{ended}/pause", None, 409,
         "run.ended"),
        (["send", "{ended}", "go"], 1, "POST", "/v1/runs/{ended}/events", {"name": "go"}, 409,
         "run.ended"),
        (["runs", "fork", "{ended}", "--from", "onyl"], 3, "POST", "/v1/runs/{ended}/fork",
         {"from": "onyl"}, 422, "run.unknown_step"),
        (["runs", "amend", "{ended}", "--patch", "{patch}"], 1, "POST",
         "/v1/runs/{ended}/amend", {"patch": PATCH}, 409, "run.ended"),
        (["runs", "import", "{patch}"], 1, "POST", "/v1/runs/import", b"[]", 422,
         "run.archive_invalid"),
        (["runs", "list", "--search", "*-*"], 2, "GET", "/v1/runs?search=*-*", None, 422,
         "run.search_invalid"),
        (["runs", "prune", "--policy", "--yes"], 2, "POST", "/v1/runs/prune", {"policy": True}, 422,
         "retention.missing"),
        (["bus", "request", "no.topic"], 1, "POST", "/v1/request", {"topic": "no.topic"}, 404,
         "bus.no_handler"),
        (["bus", "request", "not a topic"], 1, "POST", "/v1/request", {"topic": "not a topic"},
         400, "bus.invalid_topic"),
    ],
)  # fmt: skip
def test_an_error_has_one_code_through_both_faces(
    faces: Faces,
    words: list[str],
    exit_code: int,
    method: str,
    path: str,
    content: Any,
    status: int,
    code: str,
) -> None:
    names = {"ended": faces.ended, "patch": str(faces.patch())}
    done = faces.serving.cli(*(word.format(**names) for word in words))
    assert done.returncode == exit_code, done.stderr
    assert done.stderr.startswith(f"error[{code}]: "), done.stderr
    body: dict[str, Any] = {"json": content}
    if isinstance(content, bytes):
        body = {"content": content, "headers": {"Content-Type": "application/octet-stream"}}
    refused = faces.server.client.request(method, path.format(**names), **body)
    assert refused.status_code == status, refused.text
    assert read(refused.content, documents.ErrorDocument).error.code == code


def test_every_command_with_json_and_every_operation_is_tried() -> None:
    tried = {name.partition(",")[0] for name in (*TABLE, *ALONE)}
    # They change an environment: tests/host/api/test_installing.py.
    tried |= {f"plugins {verb}" for verb in ("install", "lock", "sync", "uninstall", "update")}
    tried.add("journal init")  # which needs a server: tests/extensions/postgresql/test_host.py
    assert set(_commands_with_json(root, ())) == tried
    operations = {case.endpoint for case in TABLE.values()} | ELSEWHERE
    assert {each.name for each in ENDPOINTS} == operations


def _commands_with_json(command: click.Command, words: tuple[str, ...]) -> Iterator[str]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands_with_json(found, (*words, name))
    elif any(each.name == "as_json" for each in command.params):
        yield " ".join(words)
