"""A program that executes runs in a real journal, and dies when it is told to.

    python crash_worker.py sweep FOLDER KIND    killed at every write in turn, and resumed
    python crash_worker.py many FOLDER COUNT    COUNT runs at once, those of earlier processes too
    python crash_worker.py take FOLDER WHO      take up what is unfinished, beside others that do

What a handler did is a line of ``FOLDER/effects``: the process, and the call's key and attempt.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator
from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.app import HostParts
from qtforge_host.config.settings import Settings
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.plugins.wiring import Wired
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.state import RunState
from qtforge_host.testing.mortal_journal import MortalJournal, at_write, kill_process
from qtforge_host.testing.real_crashes import in_child
from qtforge_host.workflows.definitions import Workflow, parse
from qtforge_sdk import (
    Compensation,
    Definition,
    DefinitionChecker,
    OperationContext,
    OperationError,
    Orchestrator,
    Plugin,
    Record,
    Run,
    StepResult,
    operation,
)
from qtforge_sdk.errors import WorkflowNotFoundError
from qtforge_sdk.journal import InboxMessage, Journal, RunQuery
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.policies import Retry
from qtforge_sdk.records import (
    CompensationSucceeded,
    EventReceived,
    StepFailed,
    StepSucceeded,
)
from qtforge_sdk.runs import AmendingAnswer, Amendment

DEADLINE_S: Final = 120
FIRST: Final = 'name = "w"\nkind = "%s"\n'
TEXTS: Final = {
    "checklist": FIRST % "checklist" + 'items = ["first", "second"]\n',
    "sequential": FIRST % "sequential"
    + """
result = { last = "${stages.last.data.key}", extra = "${stages.extra.data.key}" }
[[stages]]
name = "one"
operation = "crash.extend"
compensation = { operation = "crash.do" }
[[stages]]
name = "flaky"
operation = "crash.flaky"
retry = { max_attempts = 2, initial_delay = "5ms", jitter = 0 }
[[stages]]
name = "ask"
operation = "crash.amend"
message = { patch = [ { op = "add", path = "/stages/3", value = { name = "extra", operation = "crash.do" } } ] }
[[stages]]
name = "last"
operation = "crash.do"
""",  # noqa: E501 - TOML's inline tables are one line
}


class ChecklistDefinition(Definition, frozen=True, kw_only=True):
    items: tuple[str, ...]


class Checklist(Orchestrator[ChecklistDefinition]):
    """Steps in parallel, one of them retried; an amendment; then all is undone."""

    kind: ClassVar[str] = "checklist"

    def check(self, definition: Any, checker: DefinitionChecker) -> None:
        """Nothing can be wrong with it."""

    def check_amendment(
        self, before: Any, after: Any, steps: Mapping[str, StepResult]
    ) -> Sequence[str]:
        return ()

    async def execute(self, run: Run) -> None:
        retry = Retry(max_attempts=2, initial_delay="5ms", jitter=0)
        undo = Compensation(topic="crash.do", message={})
        await run.gather(
            run.request("left", "crash.do", {}, compensation=undo),
            run.request("right", "crash.do", {}, compensation=undo),
            run.request("flaky", "crash.flaky", {}, retry=retry),
        )
        await run.sleep(0.005)
        patch = [{"op": "add", "path": "/items/-", "value": "third"}]
        await run.request("ask", "crash.amend", {"patch": patch})
        done: set[str] = set()
        while (item := self._next(run, done)) is not None:
            done.add(item)
            await run.request(item, "crash.do", {}, compensation=undo)
        await run.request("end", "crash.fail", {})

    def _next(self, run: Run, done: set[str]) -> str | None:
        return next((item for item in run.definition.items if item not in done), None)


class Effects(Plugin):
    """Does things that a file remembers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "effects"
        self.journal: Journal

    def _do(self, context: OperationContext) -> str:
        line = f"{os.getpid()} {context.idempotency_key}#{context.attempt}\n"
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
        return (context.idempotency_key or "").partition("/")[2]

    @operation("crash.do")
    async def do(self, message: Mapping[str, Any], context: OperationContext) -> dict[str, Any]:
        key = self._do(context)
        await asyncio.sleep(0.002)
        return {"key": key}

    @operation("crash.stay")
    async def stay(self, message: Mapping[str, Any], context: OperationContext) -> None:
        """Note that the run has begun, and end when the file ``until`` is there."""
        line = f"{time.time_ns()} {context.run_id}\n"
        file = os.open(self.folder / "stays", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
        await asyncio.sleep(0.005)
        while not (self.folder / message.get("until", "")).exists():  # noqa: ASYNC110 - a process
            await asyncio.sleep(0.02)

    @operation("crash.extend")
    async def extend(self, message: Mapping[str, Any], context: OperationContext) -> AmendingAnswer:
        added = [{"name": name, "operation": "crash.do"} for name in ("more", "most")]
        patches = [[{"op": "add", "path": "/stages/-", "value": each}] for each in added]
        amendments = [Amendment(patch=patch) for patch in patches]
        return AmendingAnswer(answer={"key": self._do(context)}, amendments=amendments)

    @operation("crash.flaky")
    async def flaky(self, message: Mapping[str, Any], context: OperationContext) -> dict[str, Any]:
        if context.attempt == 1:
            self._do(context)
            raise OperationError("crash.busy", "busy", retryable=True)
        return {"key": self._do(context)}

    @operation("crash.fail")
    async def fail(self, message: Mapping[str, Any], context: OperationContext) -> None:
        self._do(context)
        raise OperationError("crash.refused", "it can't be done")

    @operation("crash.amend")
    async def amend(self, message: Mapping[str, Any], context: OperationContext) -> dict[str, Any]:
        """Amend the run, and wait until the engine has read it: the event behind it is there."""
        run_id, key = context.run_id or "", self._do(context)
        at = (await self.journal.records(run_id))[0].at
        for kind, name, data in (("amend", "", dict(message)), ("event", "amended", None)):
            posted = {"message_id": f"{run_id}/{kind}", "kind": kind, "name": name, "data": data}
            await self.journal.post(run_id, InboxMessage(at=at, by="test", **cast(Any, posted)))
        while not any(  # noqa: ASYNC110 - nothing tells a handler of its run's records
            isinstance(each, EventReceived) for each in await self.journal.records(run_id)
        ):
            await asyncio.sleep(0.02)
        return {"key": key}


def orchestrators() -> dict[str, Orchestrator[Any]]:
    return {
        "checklist": Checklist(),
        "sequential": SequentialOrchestrator(),
        "reactive": ReactiveOrchestrator(),
    }


def unknown(name: str) -> Workflow:
    raise WorkflowNotFoundError(name)


@contextlib.asynccontextmanager
async def process(
    folder: Path,
    write: int = 0,
    when: str = "",
    *,
    named: Callable[[str], Workflow] = unknown,
    owners: bool = False,
    shared: Journal | None = None,
) -> AsyncIterator[tuple[Engine, Journal]]:
    """Open a journal, in SQLite unless one is given, and an engine on it, with a real bus."""
    journal: Journal = SqliteJournal(folder / "state") if shared is None else shared
    await journal.open()
    parts = HostParts(Settings(config_path=folder / "config.toml", state_dir=folder / "state"))
    effects = Effects(folder)
    effects.journal = journal
    wired = Wired(plugin=effects, name="effects", version="1.0.0", target="crash_worker:Effects")
    parts.hooks.register(effects, "effects:effects")
    parts.wiring.prepare(wired)
    parts.wiring.connect(wired)

    dies = at_write(write, when == "after")
    mortal = MortalJournal(journal, dies, die=kill_process, owners=owners)
    engine = Engine(
        parts.bus,
        parts.expressions,
        cast(Journal, mortal),
        RecordedWorkflows(orchestrators(), named, lambda workflow: []),
        plugins=lambda: {"effects": "1.0.0"},
        crash_limit=100,  # every kill comes from outside: no step is to blame
    )
    try:
        yield engine, journal
    finally:
        await engine.close()
        await parts.bus.close()
        await parts.wiring.close()
        parts.threads.close()
        await journal.close()


def workflow(kind: str) -> Workflow:
    found = parse(TEXTS[kind], kind, orchestrators()).workflow
    assert found is not None
    return found


def calls(folder: Path) -> collections.Counter[str]:
    """Return how often each key and attempt was called."""
    path = folder / "effects"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return collections.Counter(line.partition("/")[2] for line in lines)


def answered(records: Sequence[Record]) -> set[str]:
    """Return the calls whose outcome the journal holds."""
    found = set()
    for record in records:
        if isinstance(record, StepSucceeded | StepFailed):
            found.add(f"{record.step}#{record.attempt}")
        elif isinstance(record, CompensationSucceeded):
            found.add(f"{record.step}/compensation#1")
    return found


def told(state: RunState, folder: Path) -> dict[str, Any]:
    """Return everything about a run that must not depend on when its process died."""
    return {
        "status": state.status,
        "degraded": state.degraded,
        "result": state.result,
        "error": None if state.error is None else [state.error.code, state.error.stage],
        "steps": sorted((name, step.status, step.attempts) for name, step in state.steps.items()),
        "undone": sorted((name, step.status) for name, step in state.compensations.items()),
        "amendments": state.amendments,
        "order": list(state.steps) if state.kind == "sequential" else None,
        "effects": sorted(calls(folder)),
    }


async def begin(folder: Path, kind: str, write: int, when: str) -> None:
    """Execute a run, and die at a write."""
    async with process(folder, write, when) as (engine, _):
        await engine.execute(workflow(kind), {})


async def finish(folder: Path, kind: str) -> dict[str, Any]:
    """Recover the runs that are there, and print how they ended."""
    async with process(folder) as (engine, journal):
        (run_id, *more) = [each.run_id for each in await journal.runs(RunQuery())] or [""]
        known = answered(await journal.records(run_id)) if run_id else set()
        before = calls(folder)
        state = await (engine.resume(run_id) if run_id else engine.execute(workflow(kind), {}))
        after = calls(folder)
        return {
            **told(state, folder),
            "runs": 1 + len(more),
            "again": sorted(key for key in known if after[key] != before[key]),
            "damage": [each.what for each in await journal.check()],
        }


async def many(folder: Path, count: int) -> None:
    """Take up what earlier processes left, and begin what is missing of so many runs."""
    async with process(folder) as (engine, journal):
        there = len(await journal.runs(RunQuery(limit=count)))
        kinds = [workflow(kind) for kind in sorted(TEXTS)]
        work = [engine.resume(run_id) for run_id in await journal.unfinished()]
        work += [engine.execute(kinds[number % 2], {}) for number in range(there, count)]
        await asyncio.gather(*work)


async def take(folder: Path, who: int) -> None:
    """Take up every unfinished run that no other process has, until none is left."""
    async with process(folder) as (engine, journal):
        (folder / f"ready-{who}").touch()
        while not (folder / "go").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.001)
        query = RunQuery(limit=1000)
        while any(each.finished_at is None for each in await journal.runs(query)):
            found = list(await journal.unfinished())[:: (1, -1)[who]]
            for start in range(0, len(found), 10):  # all at once would leave the other nothing
                some = found[start : start + 10]
                await asyncio.gather(*(attempt(engine, run_id) for run_id in some))
            await asyncio.sleep(0.005)


async def attempt(engine: Engine, run_id: str) -> None:
    with contextlib.suppress(RunOwnedError):
        await engine.resume(run_id)


def child(main: Callable[[], Coroutine[Any, Any, object]]) -> int:
    """Do something in a process of its own; return its exit code."""
    return in_child(lambda: _run(main), DEADLINE_S)


def _run(main: Callable[[], Coroutine[Any, Any, object]]) -> None:
    asyncio.run(main())


def warm(main: Callable[[], Coroutine[Any, Any, Any]], folder: Path) -> None:
    """Do something here once, in a folder of its own, so that no child imports what it needs.

    Raises:
        SystemExit: It left a thread, and a process with threads can't be forked.
    """
    folder.mkdir()
    asyncio.run(main())
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(DEADLINE_S)  # its end was asked for, but not awaited
    if threading.active_count() > 1:
        raise SystemExit(f"threads are left: {threading.enumerate()}")
    gc.collect()
    gc.freeze()


def sweep(folder: Path, kind: str) -> None:
    """Print what comes of a run whose process dies at write n, as JSON lines; n = 0 is none."""
    warm(lambda: finish(folder / "warm", kind), folder / "warm")
    found = case(folder / "undisturbed", kind, 0, "")
    print(json.dumps({"write": 0, "when": "", **(found or {})}))
    for when in ("before", "after"):
        write = 1
        while (found := case(folder / f"{when}-{write}", kind, write, when)) is not None:
            print(json.dumps({"write": write, "when": when, **found}), flush=True)
            write += 1


def case(folder: Path, kind: str, write: int, when: str) -> dict[str, Any] | None:
    """Return what comes of one case; None when the run has no such write."""
    folder.mkdir()

    async def resumed() -> None:
        (folder / "told").write_text(json.dumps(await finish(folder, kind)), encoding="utf-8")

    if write:
        ended = child(lambda: begin(folder, kind, write, when))
        if ended == 0:
            return None
        if ended != -signal.SIGKILL:
            raise SystemExit(f"the process ended with {ended} before write {write}")
    if child(resumed) != 0:
        raise SystemExit(f"the run can't be resumed after {when} write {write}")
    found: dict[str, Any] = json.loads((folder / "told").read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    command, where, argument = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if command == "sweep":
        sweep(where, argument)
    else:
        signal.alarm(DEADLINE_S)
        asyncio.run({"many": many, "take": take}[command](where, int(argument)))
