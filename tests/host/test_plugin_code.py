"""Every place of plugin code, in every way in which it can fail, on a real host."""

from __future__ import annotations

import asyncio
import linecache
import logging
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.host.faulty_plugin import SOURCE

from qtforge_host.app import Host
from qtforge_host.config.settings import Settings
from qtforge_host.plugin_code import clean_text, describe, description_of
from qtforge_host.runs.state import RunState
from qtforge_sdk import ErrorInfo
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.records import Record, RunFinished, StepFailed

RAISED = (
    "exception",
    "base_exception",
    "system_exit",
    "keyboard_interrupt",
    "generator_exit",
    "group",
    "cancelled",
    "unreadable",
    "surrogate",
    "surrogate_code",
)
ANSWERED = ("not_storable", "same_keys", "wrong_type", "no_await")
WAYS = (*RAISED, *ANSWERED)
TOPICS = ("async.fail", "suspended.fail", "thread.fail", "process.fail", "wrapped.fail")


class Faulty:
    """A host with the plugin, in an event loop that lives as long."""

    def __init__(self, settings: Settings, module: Path) -> None:
        self.module = module
        self.host = Host(settings)
        self._runner = asyncio.Runner()
        self._runner.run(self.host.__aenter__())

    def close(self) -> None:
        self._runner.run(self.host.__aexit__(None, None, None))
        self._runner.close()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def run(self, workflow: str, **given: Any) -> tuple[RunState, list[Record]]:
        """Run a workflow beside another, which must succeed; return what the journal holds."""

        async def both() -> tuple[RunState, list[Record]]:
            durable = await self.host.durable()
            execute = durable.engine.execute
            beside = asyncio.create_task(execute(self.host.workflow("beside"), {}))
            state = await execute(self.host.workflow(workflow), given)
            assert (await beside).status == "succeeded"
            records = list(await durable.journal.records(state.run_id))
            return RunState.from_records(state.run_id, records), records

        found: tuple[RunState, list[Record]] = self.do(both())
        return found

    @property
    def plugin(self) -> Any:
        return sys.modules[self.module.stem].Example

    def assert_place(self, info: ErrorInfo, way: str) -> None:
        """Check that an error names the plugin, and the line that raised or the definition."""
        assert (info.plugin, info.plugin_version) == ("faulty", "2.5.0")
        if way == "surrogate_code":  # a deliberate error says itself what is wrong
            assert (info.code, info.fix) == ("a.b\\udcff", "fix")
            return
        if way in RAISED:
            assert info.place is not None
            file, _, line = info.place.rpartition(":")
            assert file == str(self.module)
            assert f'case "{way}": raise' in linecache.getline(file, int(line))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """A running host with the plugin ``faulty`` 2.5.0, for the whole module."""
    from tests.host.conftest import Site

    site = Site(tmp_path_factory.mktemp("site"))
    name = site.plugin("faulty", "2.5.0", source=SOURCE)
    sys.path.insert(0, str(site.root))
    made = Faulty(site.settings, site.root / f"{name}.py")
    yield made
    made.close()
    sys.path.remove(str(site.root))
    del sys.modules[name]


def failed_step(records: list[Record]) -> ErrorInfo:
    found = [each for each in records if isinstance(each, StepFailed)]
    assert [each.step for each in found] == ["fails"]
    return found[0].error


def end_of(records: list[Record]) -> RunFinished:
    assert isinstance(records[-1], RunFinished)
    return records[-1]


CODES = {
    "not_storable": "run.not_storable",
    "same_keys": "run.not_storable",
    "wrong_type": "plugin.invalid_answer",
    "no_await": "plugin.missing_await",
    "surrogate_code": "a.b\\udcff",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("topic", TOPICS)
def test_an_operation_fails_its_step_and_what_was_done_is_undone(
    faulty: Faulty, topic: str, way: str
) -> None:
    state, records = faulty.run("operation", topic=topic, way=way)
    assert state.status == "compensated"
    info = failed_step(records)
    faulty.assert_place(info, way)
    expected = CODES.get(way, "bus.handler_failed")
    if topic == "process.fail" and way in ANSWERED:  # the answer can't leave the process
        assert info.code in (expected, "bus.handler_failed")
    else:
        assert info.code == expected


@pytest.mark.parametrize("way", WAYS)
def test_a_failure_is_retried(faulty: Faulty, way: str) -> None:
    state, records = faulty.run(
        "operation", topic="async.fail", way=way, policy="retry", attempts=2
    )
    if CODES.get(way) == "run.not_storable":  # the same answer would fail alike
        assert state.status == "compensated"
        return
    assert state.status == "succeeded"
    assert [each.will_retry for each in records if isinstance(each, StepFailed)] == [True]


@pytest.mark.parametrize("way", WAYS)
def test_a_fallback_answers_in_its_place(faulty: Faulty, way: str) -> None:
    state, _ = faulty.run("operation", topic="async.fail", way=way, policy="fallback")
    assert (state.status, state.result) == ("succeeded", "instead")


@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_after_a_step_that_is_not_required(faulty: Faulty, way: str) -> None:
    state, records = faulty.run("operation", topic="async.fail", way=way, policy="required")
    assert (state.status, state.steps["after"].status) == ("succeeded", "succeeded")
    faulty.assert_place(failed_step(records), way)


def test_a_task_that_an_operation_cancels_is_a_failure_of_the_operation(faulty: Faulty) -> None:
    state, records = faulty.run("operation", topic="task.fail", way="")
    assert state.status == "compensated"
    info = failed_step(records)
    assert (info.plugin, info.message) == (
        "faulty", "faulty 2.5.0 failed on 'task.fail': CancelledError",
    )  # fmt: skip


@pytest.mark.parametrize("way", [each for each in WAYS if each not in ("wrong_type", "no_await")])
@pytest.mark.parametrize("workflow", ["step", "async_step"])
def test_a_step_of_the_workflows_own_fails_the_run(faulty: Faulty, workflow: str, way: str) -> None:
    state, records = faulty.run(workflow, way=way)
    assert state.status == "failed"
    info = failed_step(records)
    if way == "surrogate_code":
        assert info.code == "a.b\\udcff"
    else:
        faulty.assert_place(info, way)
        assert info.code == CODES.get(way, "run.step_failed")


@pytest.mark.parametrize("way", [each for each in WAYS if each != "wrong_type"])
def test_the_body_of_a_workflow_fails_the_run_which_is_undone(faulty: Faulty, way: str) -> None:
    state, records = faulty.run("body", way=way)
    assert state.status == "compensated"
    info = end_of(records).error
    assert info is not None
    if way == "surrogate_code":
        assert info.code == "a.b\\udcff"
    else:
        faulty.assert_place(info, way)


@pytest.mark.parametrize("way", RAISED)
def test_a_parallel_branch_fails_the_run_which_is_undone(faulty: Faulty, way: str) -> None:
    state, records = faulty.run("branch", way=way)
    assert state.status == "compensated"
    info = end_of(records).error
    assert info is not None
    if way == "surrogate_code":
        assert info.code == "a.b\\udcff"
    else:
        faulty.assert_place(info, way)


@pytest.mark.parametrize("way", [each for each in WAYS if each != "wrong_type"])
def test_an_orchestrator_fails_the_run(faulty: Faulty, way: str) -> None:
    state, records = faulty.run("kind", way=way)
    assert state.status == "failed"
    info = end_of(records).error
    assert info is not None
    if way == "surrogate_code":
        assert info.code == "a.b\\udcff"
    else:
        faulty.assert_place(info, way)


@pytest.mark.parametrize("way", [*RAISED, "no_await"])
@pytest.mark.parametrize("topic", ["async.told", "thread.told"])
def test_a_subscriber_that_fails_hears_the_next_message(
    faulty: Faulty, topic: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def publish() -> tuple[int, int]:
        bus = faulty.host.bus
        before = statistics()
        for each in (way, "", way):
            await bus.publish(topic, {"way": each})
        await bus.drain(10.0)
        after = statistics()
        return after[0] - before[0], after[1] - before[1]

    def statistics() -> tuple[int, int]:
        found = next(each for each in faulty.host.bus.statistics() if each.topic == topic)
        return found.requests, found.errors

    assert faulty.do(publish()) == (3, 2)
    assert "faulty 2.5.0 failed on the message of" in caplog.text
    assert str(faulty.module) in caplog.text


@pytest.mark.parametrize("way", WAYS)
def test_a_hook_that_observes_changes_nothing(
    faulty: Faulty, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faulty.plugin, "hook_way", way)
    state, _ = faulty.run("operation", topic="async.fail", way="", policy="")
    assert state.status == "succeeded"


@pytest.mark.parametrize("way", [each for each in WAYS if each != "no_await"])
def test_a_health_check_that_fails_makes_the_plugin_unhealthy(
    faulty: Faulty, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faulty.plugin, "own_way", way)
    report = faulty.do(faulty.host.health())["faulty"]
    assert report.status == "unhealthy"
    if way in RAISED and way != "surrogate_code":
        assert str(faulty.module) in report.text


@pytest.mark.parametrize("way", WAYS)
def test_an_orchestrator_that_can_not_say_what_is_asked_fails_alone(
    faulty: Faulty, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    import msgspec
    from msgspec.structs import replace

    known = faulty.host.workflow("kind")
    definition = msgspec.structs.replace(
        known.definition, defaults={"way": way, "check": way, "triggers": way}
    )
    workflow = replace(known, definition=definition)
    with pytest.raises(QtForgeError, match=r"faulty 2\.5\.0: graph of the kind 'failing'"):
        workflow.orchestrator.graph(definition)
    with caplog.at_level(logging.WARNING):
        assert workflow.orchestrator.accepts(definition, None) is None
        assert workflow.orchestrator.triggers(definition) == ()
    assert str(faulty.module) in caplog.text
    reasons = workflow.orchestrator.check_amendment(definition, definition, {})
    assert "faulty 2.5.0: check_amendment of the kind 'failing'" in reasons[0]
    problems = faulty.host._checker.check(workflow)
    assert "faulty 2.5.0: check of the kind 'failing'" in str(problems[0])


START = """
from qtforge_sdk import Plugin, hookimpl
from faulty_module import fail

class Example(Plugin):
    @hookimpl
    {kind} qtforge_start(self, context):
        return fail("{way}")
"""


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("way", RAISED)
def test_a_plugin_whose_start_fails_is_broken_alone(importable: Any, way: str, kind: str) -> None:
    importable.plugin("faulty", source=SOURCE)
    importable.plugin("starts", source=START.format(way=way, kind=kind))

    async def started() -> dict[str, tuple[str, str]]:
        async with Host(importable.settings) as host:
            return {
                entry.candidate.name: (entry.status.state, entry.status.reason)
                for entry in host.registry
            }

    found = asyncio.run(started())
    assert found["faulty"][0] == "active"
    state, reason = found["starts"]
    assert state == "broken"
    assert way == "surrogate_code" or "faulty_module.py:" in reason
    assert reason.isascii()


STOP = """
from qtforge_sdk import Plugin, hookimpl
from faulty_module import fail

class Example(Plugin):
    @hookimpl
    async def qtforge_stop(self):
        return fail("{way}")

    @hookimpl
    def qtforge_workflows(self):
        return fail("{way}")

    @hookimpl
    def qtforge_orchestrators(self):
        return [lambda: fail("{way}")]

    @hookimpl
    def qtforge_commands(self):
        return fail("{way}")
"""


@pytest.mark.parametrize("way", WAYS)
def test_contributions_and_a_stop_that_fail_are_logged_and_the_host_ends(
    importable: Any, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    importable.plugin("faulty", source=SOURCE)
    importable.plugin("stops", source=STOP.format(way=way))

    async def scenario() -> tuple[dict[str, Any], bool]:
        async with Host(importable.settings) as host:
            return await host.commands(), "beside" in host.catalog.names()

    commands, has_others = asyncio.run(scenario())
    assert has_others
    assert "stops" not in {each.author.plugin for each in commands.values()}
    assert "stops" in caplog.text


def test_texts_of_plugins_are_bounded_and_valid() -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise SystemExit

    assert clean_text("\ud800") == "\\ud800"
    assert len(clean_text("x" * 1_000_000)) < 11_000
    assert "can't be read" in describe(Hostile())
    error = QtForgeError("what")
    error.what = 7  # type: ignore[assignment]
    assert description_of(error).why == ""
