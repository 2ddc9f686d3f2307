"""A secret is in no record and in no output, and every request has its true value."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import json
import logging
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator
from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.clock import SystemClock
from qtforge_host.journal.backup import restore, write_backup
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.policies.cache import ResultCache
from qtforge_host.policies.sqlite_cache import SqliteCache
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.run_secrets import RunSecrets, references_in, without_known
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.definitions import Workflow, parse
from qtforge_sdk import (
    Compensation,
    Definition,
    DefinitionChecker,
    OperationContext,
    OperationError,
    Orchestrator,
    Plugin,
    PluginContext,
    Record,
    Run,
    Template,
    hookimpl,
    operation,
)
from qtforge_sdk.journal import InboxMessage, RunQuery
from qtforge_sdk.policies import Cache
from qtforge_sdk.records import StepStarted
from qtforge_sdk.secrets import LEAST_REPLACED, Secrets

WAIT_S = 30
VALUES = {
    "known secret": "known-s3cret-é\"'",
    "secret input": "input-s3cret-é\"'",
    "secret field": "field-s3cret-é\"'",
}
KINDS = tuple(VALUES)


class Safe(Plugin):
    """Returns secrets, takes them, and says them wherever it can."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []
        self.secrets = Secrets(lambda name: None)
        self.gate = asyncio.Event()
        self.waits = asyncio.Event()

    @hookimpl
    async def qtforge_start(self, context: PluginContext) -> None:
        self.secrets = context.secrets

    @operation("safe.known")
    def known(self, message: Mapping[str, Any]) -> dict[str, Any]:
        value = self.secrets.reveal("${secret.TOKEN}")
        basic = base64.b64encode(f"me:{value}".encode()).decode()
        return {"token": value, "header": f"Basic {basic}"}

    @operation("safe.field", secret_fields=("auth.token", "list.pin"))
    async def field(self, message: Mapping[str, Any]) -> dict[str, Any]:
        pins = [{"pin": 12}, {"pin": 34}, {"other": 5}]
        return {"auth": {"token": VALUES["secret field"]}, "list": pins}

    @operation("safe.kept", keep_secrets=True)
    async def kept(self, message: Mapping[str, Any]) -> dict[str, Any]:
        return {"token": self.secrets.reveal("${secret.TOKEN}")}

    @operation("safe.use")
    async def use(self, message: Mapping[str, Any], context: OperationContext) -> dict[str, Any]:
        self.received.append((context.step or "", message))
        context.progress(1, 2, f"uses {message}")
        context.logger.warning("uses %s", message)
        return {"echo": message, str(message.get("it")): "as a key"}

    @operation("safe.fail")
    async def fail(self, message: Mapping[str, Any], context: OperationContext) -> None:
        self.received.append((context.step or "", message))
        raise OperationError("safe.locked", f"can't use {message['it']}", f"fix {message['it']}")

    @operation("safe.wait")
    async def wait(self, message: Mapping[str, Any], context: OperationContext) -> str:
        self.waits.set()
        await self.gate.wait()
        return f"waited with {message['it']}"


class Script(Orchestrator[Any]):
    """A workflow in Python."""

    kind: ClassVar[str] = "script"

    def __init__(self, code: Any) -> None:
        self._code = code

    def check(self, definition: Any, checker: DefinitionChecker) -> None:
        """Nothing can be wrong with it."""

    async def execute(self, run: Run) -> Any:
        return await self._code(run)


class Watcher:
    """Notes everything that a listener is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_record(self, state: RunState, record: Record) -> None:
        self.told.append(msgspec.json.encode(record).decode())

    def on_progress(
        self, state: RunState, step: str, done: float, total: float | None, text: str
    ) -> None:
        self.told.append(text)


class Room:
    """A plugin, and one process after the other over the journal of a folder."""

    def __init__(self, folder: Path, it: Any, safe: Safe) -> None:
        self.folder = folder
        self.safe = safe
        self.watcher = Watcher()
        self.published: list[Any] = []
        self.workflows: dict[str, Workflow] = {}
        self._it = it
        self.engine: Engine
        self.journal: SqliteJournal
        self.cache: ResultCache

    async def start(self, folder: Path | None = None) -> None:
        self.folder = folder or self.folder
        self.journal = SqliteJournal(self.folder / "runs")
        await self.journal.open()
        self.cache = ResultCache(SqliteCache(self.folder / "cache.sqlite"), SystemClock())
        kinds: dict[str, Orchestrator[Any]] = {
            "sequential": SequentialOrchestrator(),
            "reactive": ReactiveOrchestrator(),
        }
        self.engine = Engine(
            self._it.parts.bus,
            self._it.parts.expressions,
            self.journal,
            RecordedWorkflows(kinds, self.workflows.__getitem__, lambda workflow: []),
            cache=self.cache,
            clock=SystemClock(),
            secrets=self._it.parts.secrets,
            observe=self._it.parts.observe_run,
        )

    async def end(self) -> None:
        await self.engine.close()
        await self.cache.close()
        await self.journal.close()

    def script(self, code: Any, name: str = "w", **more: Any) -> Workflow:
        definition = Definition(name=name, kind="script", **more)
        self.workflows[name] = Workflow(
            definition=definition, orchestrator=Script(code), source="test", text=""
        )
        return self.workflows[name]

    def toml(self, text: str) -> Workflow:
        kinds: dict[str, Orchestrator[Any]] = {
            "sequential": SequentialOrchestrator(),
            "reactive": ReactiveOrchestrator(),
        }
        parsed = parse(text, "w.toml", kinds)
        assert parsed.workflow is not None, parsed.problems
        self.workflows[parsed.name] = parsed.workflow
        return parsed.workflow

    async def execute(self, workflow: Workflow, given: Mapping[str, Any] | None = None) -> RunState:
        work = self.engine.execute(workflow, given or {}, self.watcher)
        return await asyncio.wait_for(work, WAIT_S)

    async def until_begun(self, step: str) -> None:
        """Wait until the journal holds the start of a step of the only run."""
        (run,) = await self.journal.runs(RunQuery())
        async with asyncio.timeout(WAIT_S):
            while not any(  # noqa: ASYNC110 - the journal has no event for it
                isinstance(each, StepStarted) and each.step == step
                for each in await self.journal.records(run.run_id)
            ):
                await asyncio.sleep(0.001)

    async def assert_hidden(self, *states: RunState) -> None:
        """Check that no secret is anywhere but in the folder of secrets."""
        shown = [*self.watcher.told]
        for state in states:
            shown.append(repr((state.input, state.result, state.summary, state.error)))
            shown.append(repr((state.steps, state.compensations, state.events)))
            records = await self.journal.records(state.run_id)
            shown += [msgspec.json.encode(each).decode() for each in records]
            shown.append(repr(await self.journal.inbox(state.run_id)))
            shown.append((await self.journal.export(state.run_id)).decode("latin-1"))
        for path in self.folder.rglob("*"):
            if path.is_file() and path.parent.name != "secrets":
                shown.append(path.read_bytes().decode("latin-1"))
            elif path.is_file():
                assert path.stat().st_mode & 0o077 == 0
        for text in shown:
            assert not secrets_in(text), text[:2000]
        assert not await self.journal.runs(RunQuery(search="s3cret"))

    def assert_true(self, *steps: str) -> None:
        """Check that these steps received the true value."""
        for step in steps:
            found = [message for name, message in self.safe.received if name == step]
            assert found, f"{step} was not requested"
            assert all(message["it"] in VALUES.values() for message in found), found


def secrets_in(text: str) -> list[str]:
    found = []
    for value in VALUES.values():
        forms = (value, value[:10], json.dumps(value)[1:-1], value.encode().decode("latin-1"))
        found += [form for form in forms if form in text]
    return found


@pytest.fixture
def room(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that gives a `Room` as an async context manager."""
    monkeypatch.setenv("QTFORGE_SECRET_TOKEN", VALUES["known secret"])

    @contextlib.asynccontextmanager
    async def make() -> AsyncIterator[Room]:
        async with bench() as it:
            safe = await it.add(Safe(), "safe", "1.0.0")
            made = Room(tmp_path / "state", it, safe)
            await made.start()
            try:
                yield made
            finally:
                safe.gate.set()
                await made.end()

    return make


async def reference(run: Run, kind: str) -> str:
    """Return what a workflow gets to see of a secret."""
    if kind == "secret input":
        return str(run.input["password"])
    if kind == "secret field":
        return str((await run.request("get", "safe.field", {}))["auth"]["token"])
    return str((await run.request("get", "safe.known", {}))["token"])


def given_for(kind: str) -> dict[str, Any]:
    return {"password": VALUES["secret input"], "user": "ada"} if kind == "secret input" else {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_is_nowhere_and_every_request_has_it(room: Any, kind: str) -> None:
    async def child(run: Run) -> Any:
        await run.request("in child", "safe.use", {"it": run.input["it"]})
        return {"back": run.input["it"]}

    async def parent(run: Run) -> Any:
        it = await reference(run, kind)
        await run.request("plain", "safe.use", {"it": it, "deep": [{"in text": f"<{it}>"}]})
        await run.request("rendered", "safe.use", Template({"it": it}))
        with contextlib.suppress(Exception):
            await run.request("fails", "safe.fail", {"it": it})
        await run.request("optional", "safe.fail", {"it": it}, required=False)
        await run.step("own", lambda: {"seen": it})
        await run.publish("told", "safe.told", {"it": it})
        back = (await run.run_workflow("child", {"it": it}))["back"]
        await run.request("after child", "safe.use", {"it": back})
        await run.start_workflow("child", {"it": it}, step="begun", event="ended")
        return {"it": it, "text": f"<{it}>"}

    async def main() -> None:
        async with room() as it:
            it.script(child, "child")
            state = await it.execute(
                it.script(parent, secret_inputs=("password",)), given_for(kind)
            )
            assert state.status == "succeeded", state.error
            steps = ("plain", "rendered", "fails", "optional", "in child", "after child")
            it.assert_true(*steps)
            plain = dict(it.safe.received)["plain"]
            assert plain["deep"] == [{"in text": f"<{VALUES[kind]}>"}]
            assert references_in(state.result)
            await it.engine.close(5)
            await it.assert_hidden(state)

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_a_started_run_tells_the_secret_by_reference(room: Any, kind: str) -> None:
    async def child(run: Run) -> Any:
        return {"back": await reference(run, kind)}

    async def parent(run: Run) -> Any:
        given = {"password": run.input["password"]} if "password" in run.input else {}
        await run.start_workflow("child", given, step="begun", event="ended")
        event = await run.wait_event("ended")
        await run.request("after", "safe.use", {"it": event["result"]["back"]})
        return event

    async def main() -> None:
        async with room() as it:
            it.script(child, "child", secret_inputs=("password",))
            state = await it.execute(
                it.script(parent, secret_inputs=("password",)), given_for(kind)
            )
            assert state.status == "succeeded", state.error
            it.assert_true("after")
            await it.assert_hidden(state)

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_the_receiver_of_an_event_has_the_secrets_that_it_refers_to(room: Any, kind: str) -> None:
    async def receiver(run: Run) -> Any:
        event = await run.wait_event("told")
        await run.request("after", "safe.use", {"it": event["it"]})

    async def parent(run: Run) -> Any:
        it = await reference(run, kind)
        told = await run.start_workflow("receiver", {}, step="begun", event="ended")
        await run.send_event([told], "told", {"it": it}, step="send")
        return (await run.wait_event("ended"))["status"]

    async def main() -> None:
        async with room() as it:
            it.script(receiver, "receiver")
            state = await it.execute(
                it.script(parent, secret_inputs=("password",)), given_for(kind)
            )
            assert (state.status, state.result) == ("succeeded", "succeeded"), state.error
            it.assert_true("after")
            await it.assert_hidden(state)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "given", "place"),
    [
        ("auth.password", {"auth": {"password": "PW", "user": "ada"}}, ["auth", "password"]),
        ("a.b.c", {"a": {"b": {"c": "PW"}}}, ["a", "b", "c"]),
        ("users.pin", {"users": [{"pin": "PW"}, {"name": "ada"}]}, ["users", 0, "pin"]),
        ("a.b", {"a.b": "PW", "a": {"b": "shown"}}, ["a.b"]),
    ],
)
def test_a_secret_input_may_be_within_a_table(
    room: Any, name: str, given: dict[str, Any], place: list[Any]
) -> None:
    def replaced(value: Any, text: str) -> Any:
        return json.loads(json.dumps(value).replace("PW", text))

    async def code(run: Run) -> Any:
        it = run.input
        for word in place:
            it = it[word]
        await run.request("use", "safe.use", {"it": it})
        return {"it": it}

    async def main() -> None:
        async with room() as it:
            workflow = it.script(code, secret_inputs=(name,))
            value = "input-s3cret-plain"
            state = await it.execute(workflow, replaced(given, value))
            assert state.status == "succeeded", state.error
            assert dict(it.safe.received)["use"]["it"] == value
            assert state.input == replaced(given, state.result["it"])
            assert state.result["it"].startswith("${input.")

    asyncio.run(main())


@pytest.mark.parametrize("way", ["import", "restore"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_request_of_a_run_that_came_without_its_secrets_fails_and_says_so(
    room: Any, tmp_path: Path, kind: str, way: str
) -> None:
    async def code(run: Run) -> Any:
        return {"it": await reference(run, kind)}

    async def main() -> None:
        async with room() as it:
            workflow = it.script(code, secret_inputs=("password",))
            state = await it.execute(workflow, given_for(kind))
            text = state.result["it"]
            archive = await it.journal.export(state.run_id)
            write_backup(it.folder, tmp_path / "backup")
            if way == "restore":
                restore(tmp_path / "backup", tmp_path / "other")
            other = SqliteJournal(tmp_path / "other" / "runs")
            await other.open()
            try:
                if way == "import":
                    await other.import_(archive)
                secrets = RunSecrets(state.run_id, other, it.safe.secrets)
                await secrets.load()
                if (way, kind) == ("restore", "known secret"):  # it has a name, in a backup of ours
                    assert secrets.fill({"it": text}) == {"it": VALUES[kind]}
                    return
                for message in ({"it": text}, {"it": [f"<{text}>"]}):
                    with pytest.raises(OperationError, match="is not here") as refused:
                        secrets.fill(message)
                    assert refused.value.code == "secret.missing"
                    assert refused.value.retryable is False
                foreign = {"it": "${input.other~0123456789abcdef}"}  # a text from outside
                assert secrets.fill(foreign) == foreign
            finally:
                await other.close()
            for path in (tmp_path / "other").rglob("*"):
                assert path.is_dir() or not secrets_in(path.read_bytes().decode("latin-1"))

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_compensation_has_the_secret_too(room: Any, kind: str) -> None:
    async def code(run: Run) -> Any:
        it = await reference(run, kind)
        undo = Compensation(topic="safe.use", message={"it": it})
        await run.request("done", "safe.use", {"it": it}, compensation=undo)
        await run.step("own", lambda: raise_(RuntimeError(f"broken with {VALUES[kind]}")))

    async def main() -> None:
        async with room() as it:
            state = await it.execute(it.script(code, secret_inputs=("password",)), given_for(kind))
            assert state.status == "compensated"
            assert state.error is not None
            assert "broken with" in state.error.message
            it.assert_true("done/compensation")
            await it.assert_hidden(state)

    asyncio.run(main())


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_a_process_that_was_killed_continues_with_the_secret(
    room: Any, kind: str, tmp_path: Path
) -> None:
    seen: list[str] = []

    async def code(run: Run) -> Any:
        it = await reference(run, kind)
        seen.append(it)
        await run.request("waits", "safe.wait", {"it": it})
        await run.request("last", "safe.use", {"it": it})
        return it

    async def main() -> None:
        async with room() as it:
            workflow = it.script(code, secret_inputs=("password",))
            task = asyncio.ensure_future(it.execute(workflow, given_for(kind)))
            await asyncio.wait_for(it.safe.waits.wait(), WAIT_S)
            await it.until_begun("waits")
            # What kill -9 leaves: the files as they are, with no process that owns them.
            shutil.copytree(it.folder, tmp_path / "after")
            it.safe.gate.set()
            await asyncio.wait_for(task, WAIT_S)
            await it.end()
            it.safe.received.clear()
            await it.start(tmp_path / "after")
            run_id = task.result().run_id
            state = await asyncio.wait_for(it.engine.resume(run_id, it.watcher), WAIT_S)
            assert state.status == "succeeded", state.error
            it.assert_true("last")
            assert len(set(seen)) == 1, "a resumed run sees what the live one saw"
            assert state.result == task.result().result
            await it.assert_hidden(state)

    asyncio.run(main())


MACHINE = """
name = "m"
kind = "reactive"
initial = "idle"
secret_inputs = ["password"]
data = { kept = "" }
[states.idle]
[states.has]
[states.done]
final = true
[[transitions]]
name = "get"
from = "idle"
to = "has"
trigger = "get"
actions = ["get", "keep"]
[[transitions]]
name = "use"
from = "has"
to = "done"
trigger = "use"
actions = ["use"]
[actions.get]
type = "plugin_call"
operation = "%s"
result = "answer"
[actions.keep]
type = "set"
values = { kept = "%s" }
[actions.use]
type = "plugin_call"
operation = "safe.use"
message = { it = "${data.kept}" }
"""


@pytest.mark.parametrize("kind", KINDS)
def test_the_data_of_a_machine_has_no_secret(room: Any, kind: str) -> None:
    topic, kept = {
        "known secret": ("safe.known", "${data.answer.token}"),
        "secret input": ("safe.known", "${input.password}"),
        "secret field": ("safe.field", "${data.answer.auth.token}"),
    }[kind]

    async def main() -> None:
        async with room() as it:
            workflow = it.toml(MACHINE % (topic, kept))
            state = await it.execute(workflow, given_for(kind))
            assert state.status == "waiting", state.error
            for event in ("get", "use"):
                await post(it, state.run_id, event, None)
                state = await asyncio.wait_for(it.engine.resume(state.run_id, it.watcher), WAIT_S)
            assert state.status == "succeeded", (state.error, state.label)
            message = it.safe.received[-1][1]
            assert message["it"] == VALUES[kind]
            await it.assert_hidden(state)

    asyncio.run(main())


async def post(it: Room, run_id: str, name: str, data: Any) -> None:
    now = datetime.datetime.now(datetime.UTC)
    await it.journal.post(
        run_id, InboxMessage(message_id=name, kind="event", at=now, name=name, data=data)
    )


def test_other_values_of_secret_fields_keep_their_type_in_a_message(room: Any) -> None:
    async def code(run: Run) -> Any:
        found = await run.request("get", "safe.field", {})
        pins = [each.get("pin") for each in found["list"]]
        await run.request("use", "safe.use", {"it": "", "pins": pins, "text": f"pin {pins[0]}"})
        return found["list"][2]

    async def main() -> None:
        async with room() as it:
            state = await it.execute(it.script(code))
            message = dict(it.safe.received)["use"]
            assert (message["pins"], message["text"]) == ([12, 34, None], "pin 12")
            assert state.result == {"other": 5}

    asyncio.run(main())


def test_an_encoded_secret_is_hidden_and_filled_in_as_it_was(room: Any) -> None:
    async def code(run: Run) -> Any:
        header = (await run.request("get", "safe.known", {}))["header"]
        await run.request("use", "safe.use", {"it": header})

    async def main() -> None:
        async with room() as it:
            state = await it.execute(it.script(code))
            value = f"me:{VALUES['known secret']}".encode()
            assert (
                dict(it.safe.received)["use"]["it"] == f"Basic {base64.b64encode(value).decode()}"
            )
            inner = base64.b64encode(value).decode()[4:-4]
            assert inner not in msgspec.json.encode(state.steps["get"].data).decode()

    asyncio.run(main())


def test_an_operation_may_keep_the_known_secrets_in_its_answer(room: Any) -> None:
    async def code(run: Run) -> Any:
        return (await run.request("get", "safe.kept", {}))["token"] == VALUES["known secret"]

    async def main() -> None:
        async with room() as it:
            assert (await it.execute(it.script(code))).result is True

    asyncio.run(main())


def test_a_text_that_looks_like_a_reference_is_not_filled_in(room: Any) -> None:
    forged = "${secret.TOKEN~0123456789abcdef} ${secret.TOKEN~} ${input.password}"

    async def code(run: Run) -> Any:
        await run.request("get", "safe.known", {})
        await run.request("use", "safe.use", {"it": forged})

    async def main() -> None:
        async with room() as it:
            assert (await it.execute(it.script(code))).status == "succeeded"
            assert dict(it.safe.received)["use"]["it"] == forged

    asyncio.run(main())


def test_a_short_secret_does_not_change_results(room: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.step("own", lambda: {"text": "x" * 20})

    async def main() -> None:
        async with room() as it:
            it.safe.secrets.hide("x" * (LEAST_REPLACED - 1))
            assert (await it.execute(it.script(code))).result == {"text": "x" * 20}

    asyncio.run(main())


@pytest.mark.parametrize("topic", ["safe.known", "safe.field"])
def test_an_answer_with_a_secret_is_not_cached(room: Any, topic: str) -> None:
    async def code(run: Run) -> Any:
        policy = Cache(ttl="1h")
        found = await run.request("get", topic, {}, cache=policy)
        token = found["token"] if topic == "safe.known" else found["auth"]["token"]
        await run.request("use", "safe.use", {"it": token})

    async def main() -> None:
        async with room() as it:
            workflow = it.script(code)
            states = await asyncio.gather(*(it.execute(workflow) for _ in range(4)))
            assert {state.status for state in states} == {"succeeded"}
            it.assert_true("use")
            await it.assert_hidden(*states)

    asyncio.run(main())


@pytest.mark.parametrize(
    "value",
    [
        {"rows": [{"n": n, "text": f"row {n}"} for n in range(2_000)]},
        {"rows": [{"n": 1}, {"text": "a-known-secret"}]},
        {"a-known-secret": [1, "é a-known-secret"]},
        [b"a-known-secret", 1.5, None, True],
        {"text": "\ud800", "other": "a-known-secret"},  # no encoder takes these two
        {"number": 1 << 80, "other": "a-known-secret"},
    ],
)
def test_a_secret_is_replaced_wherever_it_stands_and_else_nothing_is_copied(value: Any) -> None:
    known = Secrets(lambda _: None)
    known.hide("a-known-secret")

    def change(text: str) -> str:
        return known.replace(text, lambda _, __: "***")

    made = without_known(value, known, change)
    assert "a-known-secret" not in repr(made).replace("b'a-known-secret'", "")
    assert (made is value) == (repr(made) == repr(value))


def test_a_run_without_secrets_stores_none(room: Any) -> None:
    async def code(run: Run) -> Any:
        return await run.request("use", "safe.use", {"it": "${secret.OTHER}"})

    async def main() -> None:
        async with room() as it:
            state = await it.execute(it.script(code), {"password": "no secret here"})
            assert state.status == "succeeded"
            assert state.input == {"password": "no secret here"}
            assert dict(it.safe.received)["use"]["it"] == "${secret.OTHER}"
            assert not (it.folder / "runs" / "secrets").exists()

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_has_no_secret(room: Any, kind: str) -> None:
    async def code(run: Run) -> Any:
        await run.request("use", "safe.use", {"it": await reference(run, kind)})

    async def main() -> None:
        async with room() as it:
            masked: list[str] = []
            mask = it.safe.secrets.mask

            class Masked(logging.Handler):
                def emit(self, record: logging.LogRecord) -> None:
                    masked.append(mask(record.getMessage()))

            handler = Masked()
            logging.getLogger("qtforge.plugin.safe").addHandler(handler)
            try:
                state = await it.execute(
                    it.script(code, secret_inputs=("password",)), given_for(kind)
                )
            finally:
                logging.getLogger("qtforge.plugin.safe").removeHandler(handler)
            assert state.status == "succeeded"
            assert masked
            assert not [text for text in masked if secrets_in(text)]

    asyncio.run(main())
