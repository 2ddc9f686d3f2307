"""`RunClient`, as applications use it."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace
from tests.host.conftest import Site
from tests.serving import PLUGIN, until

from qtforge_host.api import BlockingRunClient, RunClient, client
from qtforge_host.api.blocking import BlockingHostClient, BlockingNodeClient
from qtforge_host.api.blocking_schedules import BlockingScheduleClient
from qtforge_host.api.errors import KeyInvalidError, KeyReusedError
from qtforge_host.api.host_client import HostClient
from qtforge_host.api.nodes import NodeClient
from qtforge_host.api.schedules import ScheduleClient
from qtforge_host.api.store import RunStore
from qtforge_host.config.settings import load_settings
from qtforge_host.runs.errors import RunEndedError
from qtforge_host.runs.state import RunState
from qtforge_sdk.errors import WorkflowNotFoundError
from qtforge_sdk.journal import RunSummary
from qtforge_sdk.journal_errors import RunNotFoundError, RunOwnedError
from qtforge_sdk.records import RunFinished, RunWaiting
from qtforge_sdk.testing._journal_scenarios import NOW, finished, started

PAGE = Path(__file__).parents[3] / "docs" / "embedding.md"


def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)


@pytest.fixture
def folder(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The installed plugin of the example, and an environment that names a state directory."""
    module = site.plugin("steps", source=PLUGIN)
    monkeypatch.syspath_prepend(str(site.root))
    monkeypatch.setenv("STEPS", str(tmp_path))
    monkeypatch.setenv("QTFORGE_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("QTFORGE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delitem(sys.modules, module, raising=False)
    yield tmp_path
    sys.modules.pop(module, None)


def done(folder: Path) -> list[str]:
    file = folder / "done"
    return file.read_text().splitlines() if file.exists() else []


def test_a_web_application_starts_awaits_and_cancels_runs(folder: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(examples()[0], str(PAGE), "exec"), names)  # our own text
    app = names["app"]

    async def main() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://shop", timeout=120) as client,
        ):
            started = await client.post("/orders", json={"word": "a"})
            assert started.status_code == 202
            path = f"/orders/{started.json()['run_id']}"
            assert (await client.get(path)).json() == {"status": "succeeded", "result": "quick a"}
            late = await client.delete(path)
            assert (late.status_code, late.json()["code"]) == (409, "run.ended")
            run_id = await app.state.runs.start("steps", {"word": "b"})
            await asyncio.to_thread(until, lambda: "first b" in done(folder))
            assert (await client.delete(f"/orders/{run_id}")).json() == {"status": "cancelled"}
            assert done(folder)[-1] == "undo first"
            records = (await app.state.runs.records(run_id)).records
            (asked,) = (each for each in records if each["record"] == "run_cancel_requested")
            assert (asked["by"], asked["reason"]) == ("the shop", "withdrawn")
            assert (await client.get("/orders/none")).status_code == 404

    asyncio.run(main())


def test_a_program_without_an_event_loop_waits_for_a_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(examples()[1], str(PAGE), "exec"), {})  # our own text
    assert capsys.readouterr().out == "succeeded quick a\n"


def test_the_blocking_client_raises_what_the_other_raises_and_can_be_used_again(
    folder: Path,
) -> None:
    with BlockingRunClient() as runs:
        with pytest.raises(WorkflowNotFoundError):
            runs.start("quikc")
        with pytest.raises(RunNotFoundError):
            runs.show("none")
        assert [each.topic for each in runs.host.topics().handlers if "steps" in each.topic]
        run_id = runs.start("waits")
        assert runs.send(run_id, "go", {"x": 1}, timeout="20s").received
        assert runs.wait(run_id, until_end=True).result == {"came": {"x": 1}}


@pytest.mark.parametrize(
    ("waiting", "blocking", "not_for_other_threads"),
    [
        (
            (RunStore, RunClient), BlockingRunClient,
            {"open", "of_settings", "workflow", "check_input", "execute"},
        ),
        # They answer with a `Workflow`, or for the start of `serve`.
        ((HostClient,), BlockingHostClient, {"definition", "diverged"}),
        ((NodeClient,), BlockingNodeClient, set()),
        ((ScheduleClient,), BlockingScheduleClient, set()),
    ],
)  # fmt: skip
def test_every_method_that_waits_has_its_blocking_form(
    waiting: tuple[type, ...], blocking: type, not_for_other_threads: set[str]
) -> None:
    methods = {
        name for kind in waiting for name, method in vars(kind).items()
        if not name.startswith("_")
        and (inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method))
    }  # fmt: skip
    assert methods - not_for_other_threads == {
        name for name, method in vars(blocking).items()
        if not name.startswith("_") and inspect.isfunction(method)
    }  # fmt: skip


def test_the_blocking_client_has_nodes_schedules_and_replays(folder: Path) -> None:
    with BlockingRunClient() as runs:
        run_id = runs.start("quick", {"word": "a"})
        runs.wait(run_id, until_end=True)
        assert [each.run_id for each in runs.host.replay("quick", last=1)] == [run_id]
        assert list(runs.host.replay("quick")) == []
        with pytest.raises(WorkflowNotFoundError):
            runs.host.replay("quikc")
        assert [each.role for each in runs.nodes.list().nodes] == []
        assert runs.nodes.pause_pool("reports").pools[0].status == "paused"
        assert runs.schedules.list().schedules == []


@pytest.mark.parametrize(("limit", "page_s"), [(1, 20.0), (50, -1.0)])
def test_replays_come_in_pages_of_so_many_runs_or_so_much_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, limit: int, page_s: float
) -> None:
    monkeypatch.setattr("qtforge_host.api.host_client._REPLAY_PAGE_S", page_s)
    with BlockingRunClient() as runs:
        run_ids = [runs.run("quick", {"word": word}).run_id for word in "ab"]
        found, after = [], None
        for _ in run_ids:
            page = runs.host.replay_page("quick", unfinished=False, limit=limit, after=after)
            found += [each.run_id for each in page.runs]
            after = page.next
        assert found == run_ids[::-1]
        last = runs.host.replay_page("quick", unfinished=False, limit=limit, after=after)
        assert (last.runs, last.next) == ([], None)
        assert runs.host.replay_page("quick").runs == []


def test_the_same_key_starts_one_run(folder: Path) -> None:
    async def main() -> None:
        async with RunClient.open() as client:
            first = await client.start("quick", {"word": "a"}, key="4711")
            await client.wait(first)
            assert await client.start("quick", {"word": "a"}, key="4711") == first
            with pytest.raises(KeyReusedError):
                await client.start("quick", {"word": "b"}, key="4711")
            with pytest.raises(KeyInvalidError):
                await client.start("quick", {"word": "a"}, key="")
        assert done(folder) == ["quick a"]

    asyncio.run(main())


def test_a_key_is_the_same_for_values_that_are_kept_in_the_same_form(folder: Path) -> None:
    file = folder / "typed.toml"
    file.write_text(
        'name = "typed"\nkind = "sequential"\n[inputs]\nday = { type = "date" }\n'
        'limit = { type = "integer", default = 5 }\n'
        '[[stages]]\nname = "only"\noperation = "steps.note"\nmessage = { text = "typed" }\n'
    )

    async def main() -> None:
        async with RunClient.open() as client:
            first = await client.start(file, {"day": "20261130"}, key="4711")
            await client.wait(first)
            for given in ({"day": "2026-11-30"}, {"day": "2026-11-30T09:00:00", "limit": 5.0}):
                assert await client.start(file, given, key="4711") == first
            with pytest.raises(KeyReusedError):
                await client.start(file, {"day": "2026-12-01"}, key="4711")

    asyncio.run(main())


def test_a_path_is_read_only_where_it_is_given_as_one(folder: Path) -> None:
    file = folder / "mine.toml"
    file.write_text(
        'name = "mine"\nkind = "sequential"\n[[stages]]\nname = "only"\n'
        'operation = "steps.note"\nmessage = { text = "mine" }\n'
    )

    async def main() -> None:
        async with RunClient.open() as client:
            assert (await client.run(file)).status == "succeeded"
            with pytest.raises(WorkflowNotFoundError):
                await client.start(str(file))

    asyncio.run(main())


def test_a_run_that_another_process_left_is_resumed_when_the_client_recovers(
    folder: Path,
) -> None:
    async def left() -> str:
        async with RunClient.open(grace=0) as client:
            run_id = await client.start("steps", {"word": "a"})
            await asyncio.to_thread(until, lambda: "first a" in done(folder))
            return run_id

    async def recovered(run_id: str) -> Any:
        async with RunClient.open(recover=True) as client:
            return await client.wait(run_id, until_end=True)

    run_id = asyncio.run(left())
    (folder / "go").touch()
    assert asyncio.run(recovered(run_id)).status == "succeeded"
    assert done(folder) == ["first a", "second", "third a"]


def test_what_needs_the_journal_alone_starts_no_plugin(folder: Path) -> None:
    with BlockingRunClient() as runs:
        run_id = runs.start("quick", {"word": "a"})
        runs.wait(run_id)

    async def main() -> None:
        settings = load_settings(None, environ=os.environ)
        async with RunClient.of_settings(settings, by="a test") as client:
            assert (await client.show(run_id)).status == "succeeded"
            assert [each.run_id for each in (await client.list()).runs] == [run_id]
            with pytest.raises(RunEndedError):
                await client.pause(run_id)
            assert client._parts.open_durable is None

    asyncio.run(main())


def test_a_paused_run_whose_canceller_died_is_cancelled_by_the_next_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object, **__: object) -> None:
        raise SystemExit("the process dies here")

    async def main() -> None:
        settings = load_settings(None, environ=os.environ)
        async with RunClient.of_settings(settings, by="a test") as client:
            run_id = await client.start("steps", {"word": "a"})
            while not done(folder):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await client.pause(run_id, timeout=0.1)
            (folder / "go").touch()
            while (await client.show(run_id)).status != "paused":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        async with RunClient.of_settings(settings, by="a test") as client:
            with monkeypatch.context() as patch:
                patch.setattr(client, "_resume", dies)
                with pytest.raises(SystemExit):
                    await client.cancel(run_id)
            durable = await client._parts.durable()
            assert list(await durable.journal.unfinished()) == [run_id]
            durable.supervisor.wake(run_id)  # as `RecoveryLoop` does
            assert (await client.wait(run_id, 60, until_end=True)).status == "cancelled"
        assert done(folder) == ["first a", "second", "undo first"]

    asyncio.run(main())


def test_an_amendment_of_a_run_that_ends_meanwhile_says_so_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with RunClient.open() as runs:
            run_id = (await runs.run("quick", {"word": "a"})).run_id
            records = await (await runs._parts.journal()).records(run_id)
            assert isinstance(records[-1], RunFinished)
            before_its_end = RunState.from_records(run_id, records[:-1])

            async def owned_until_then(*_: object) -> None:
                raise RunOwnedError(run_id, "process 1")

            monkeypatch.setattr(client, "refuse_ended", lambda *_: before_its_end)
            monkeypatch.setattr(client, "amend_resting", owned_until_then)
            change = [{"op": "replace", "path": "/description", "value": "changed"}]
            async with asyncio.timeout(60):
                with pytest.raises(RunEndedError):
                    await runs.amend(run_id, change, timeout=3600)

    asyncio.run(main())


def test_an_event_for_a_run_that_ends_without_it_is_refused_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with RunClient.open() as runs:
            run_id = (await runs.run("quick", {"word": "a"})).run_id
            ended = await (await runs._parts.journal()).summary(run_id)
            before = replace(ended, status="running", finished_at=None, records=ended.records - 1)

            async def before_its_end(*_: object) -> RunSummary:
                return before

            monkeypatch.setattr(client, "refuse_finished", before_its_end)
            async with asyncio.timeout(60):
                with pytest.raises(RunEndedError):
                    await runs.send(run_id, "go", timeout=3600)

    asyncio.run(main())


def test_who_waits_for_a_run_that_rests_in_the_middle_of_its_code_gets_its_end(
    folder: Path,
) -> None:
    async def main() -> None:
        settings = load_settings(None, environ=os.environ)
        async with RunClient.of_settings(settings, by="a test") as client:
            journal = await client._parts.journal()
            ownership = await journal.create(started())
            waits = RunWaiting(run_id="run", at=NOW, events=("user.action.go",))
            await journal.append(ownership, [waits])
            await journal.release(ownership)
            assert (await client.wait("run", timeout=0.3)).status == "waiting"
            (row,) = (await client.inbox()).inbox
            assert (row.run_id, row.machine) == ("run", None)
            waiting = asyncio.ensure_future(client.wait("run", timeout=60))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await journal.append(await journal.claim("run"), [finished()])
            assert (await waiting).status == "succeeded"

    asyncio.run(main())


def test_a_run_that_waits_for_a_place_says_which_runs_hold_it(folder: Path) -> None:
    (folder / "one.toml").write_text(
        'name = "one"\nkind = "sequential"\n[concurrency_key]\n[[stages]]\nname = "a"\n'
        'operation = "steps.wait"\nmessage = { text = "${input.n}" }\n'
    )
    told: list[tuple[str, ...]] = []

    def free(run: RunSummary) -> None:
        told.append(run.held_by)
        (folder / "go").touch()  # the first one ends

    async def main() -> None:
        async with RunClient.open(by="a test") as runs:
            first = await runs.start(folder / "one.toml", {"n": "1"})
            second = await runs.run(folder / "one.toml", {"n": "2"}, on_queued=free)
            assert (second.status, told) == ("succeeded", [(first,)])
            assert done(folder) == ["1", "2"]
            third = await runs.run_again(first, {"n": "3"}, on_queued=free)
            assert (third.status, len(told)) == ("succeeded", 1)  # it has got its place at once

    asyncio.run(asyncio.wait_for(main(), 120))
