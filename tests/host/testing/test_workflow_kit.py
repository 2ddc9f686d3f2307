"""The ``workflows`` fixture, used as an author of workflows uses it."""

from __future__ import annotations

import asyncio
import datetime
import importlib.metadata
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qtforge_host.runs.errors import RunEndedError
from qtforge_host.testing import PluginTestHost, WorkflowKit
from qtforge_sdk import (
    OperationContext,
    OperationError,
    Plugin,
    Proceed,
    Run,
    hookimpl,
    operation,
    subscriber,
    workflow,
)
from qtforge_sdk.errors import (
    ConfigError,
    InvalidTopicError,
    NoHandlerError,
    PluginError,
    RunInputError,
    WorkflowInvalidError,
    WorkflowNotFoundError,
)
from qtforge_sdk.policies import Retry

GREET = """
name = "greet"
kind = "sequential"
inputs = ["name"]
result = "${stages.make.data}"

[[stages]]
name = "make"
operation = "greeting.make"
message = { name = "${input.name}" }
retry = { max_attempts = 4, initial_delay = "2h", max_delay = "2h", jitter = 0.0 }
"""

DOOR = """
name = "door"
kind = "reactive"
initial = "closed"

[states.closed]

[states.open]
timeout = "1h"

[states.gone]
final = true

[[transitions]]
name = "push"
from = "closed"
to = "open"
trigger = "door.push"

[[transitions]]
name = "shut"
from = "open"
to = "closed"
trigger = "timer.expired"

[[transitions]]
name = "break"
from = "open"
to = "gone"
trigger = "door.break"

[[events]]
topic = "door.pushed"
event = "door.push"
instance = "event.data.run_id"
"""

BUSY = OperationError("greeting.busy", "busy", retryable=True)


@workflow("order", timeout="30d")
async def order(run: Run, given: Mapping[str, Any]) -> Any:
    await run.request("charge", "card.charge", {"item": given["item"]})
    paid = await run.wait_event("paid", timeout=24 * 3600)
    await run.publish("tell", "order.paid", {"amount": paid["amount"]})
    await run.sleep(7200)
    return {"paid": paid["amount"], "at": run.now().isoformat()}


@workflow("parent")
async def parent(run: Run, given: Mapping[str, Any]) -> Any:
    return await run.run_workflow("order", given)


class ShopConfig(msgspec.Struct, frozen=True):
    currency: str = "USD"


class Shop(Plugin):
    Config = ShopConfig
    config: ShopConfig

    @operation("card.charge")
    def charge(self, message: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.05)
        return {"currency": self.config.currency}

    @hookimpl
    def qtforge_workflows(self) -> list[Any]:
        return [order]


@workflow("charging")
async def charging(run: Run, given: Mapping[str, Any]) -> Any:
    return await run.request("charge", "card.charge", given)


def test_waits_between_attempts_pass_by_themselves(workflows: WorkflowKit) -> None:
    workflows.add(GREET)
    workflows.fake("greeting.make", BUSY, BUSY, "Hello")
    run = workflows.run("greet", {"name": "Ada"})
    assert (run.status, run.result) == ("succeeded", "Hello")
    assert run.steps["make"].attempts == 3
    calls = workflows.calls("greeting.make")
    assert [(call.attempt, call.at_s) for call in calls] == [(1, 0.0), (2, 7200.0), (3, 14400.0)]
    assert {(call.run_id, call.step, call.message["name"]) for call in calls} == {
        (run.id, "make", "Ada")
    }


def test_a_run_that_fails_has_its_error(workflows: WorkflowKit) -> None:
    workflows.add(GREET)
    workflows.fake("greeting.make", BUSY)
    run = workflows.run("greet", {"name": "Ada"})
    assert (run.status, run.result) == ("failed", None)
    assert run.error is not None
    assert (run.error.code, run.error.stage) == ("greeting.busy", "make")
    assert repr(run) == "<WorkflowRun greet failed: greeting.busy: busy>"
    assert len(workflows.calls("greeting.make")) == 4


def test_time_stands_still_where_a_run_waits_for_an_event(workflows: WorkflowKit) -> None:
    workflows.add(Shop())
    run = workflows.run("order", {"item": "pen"})
    assert (run.status, run.waits_for, run.state, run.accepts) == ("waiting", ["paid"], "", [])
    workflows.advance("23h")
    assert run.status == "waiting"
    run.send("paid", amount=3)
    assert run.status == "succeeded"
    assert run.result == {"paid": 3, "at": "2026-01-02T01:00:00+00:00"}
    assert run.waits_for == []
    [published] = workflows.published("order.*")
    assert (published.topic, published.message) == ("order.paid", {"amount": 3})


@pytest.mark.parametrize("day", ["24h", 24 * 3600, datetime.timedelta(days=1)])
def test_only_advance_passes_the_deadline_of_an_event(workflows: WorkflowKit, day: Any) -> None:
    workflows.add(Shop())
    run = workflows.run("order", {"item": "pen"})
    workflows.advance(day)
    assert run.error is not None
    assert run.error.code == "run.event_timeout"


def test_an_event_that_comes_before_it_is_waited_for_is_kept(workflows: WorkflowKit) -> None:
    @workflow("two")
    async def two(run: Run) -> Any:
        first = await run.wait_event("first")
        second = await run.wait_event("second")
        return [first["n"], second["n"]]

    workflows.add(two)
    run = workflows.run("two")
    run.send("second", n=2)
    assert run.waits_for == ["first"]
    run.send("first", n=1)
    assert run.result == [1, 2]


def test_a_machine_shows_its_state_and_its_timers_are_due(workflows: WorkflowKit) -> None:
    workflows.add(DOOR)
    run = workflows.run("door")
    assert (run.status, run.state, run.accepts) == ("waiting", "closed", ["door.push"])
    assert run.waits_for == ["door.push"]
    run.send("door.push")
    assert run.state == "open"
    workflows.advance("59m")
    assert run.state == "open"
    workflows.advance("1m")
    assert run.state == "closed"
    workflows.publish("door.pushed", {"run_id": run.id})
    assert run.state == "open"
    run.send("door.break")
    assert (run.status, run.state, run.accepts) == ("succeeded", "gone", [])


def test_a_fake_goes_before_a_plugin_and_within_its_wrappers(workflows: WorkflowKit) -> None:
    class Stamping(Plugin):
        @operation("card.charge", wrapper=True)
        async def around(
            self, message: dict[str, Any], context: OperationContext, proceed: Proceed
        ) -> Any:
            return {"stamped": await proceed(message)}

    class Eager(Plugin):
        @operation("card.charge", tryfirst=True)
        async def charge(self, message: dict[str, Any]) -> str:
            return "really charged"

    workflows.add(Shop(), Stamping(), charging)
    workflows.fake("card.charge", "fake")
    workflows.add(Eager())
    assert workflows.run("charging").result == {"stamped": "fake"}
    workflows.fake("card.charge", "another")
    run = workflows.run("charging")
    assert run.result == {"stamped": "another"}
    assert run.steps["charge"].plugin == "fake"


def test_a_fake_answers_in_turn_with_values_errors_and_functions(workflows: WorkflowKit) -> None:
    async def double(message: Any) -> int:
        await asyncio.sleep(0)
        return int(message["n"]) * 2

    workflows.add(charging)
    workflows.fake("card.charge", None, OperationError, ValueError("no"), double)
    runs = [workflows.run("charging", {"n": n}) for n in range(5)]
    assert [run.result for run in runs] == [None, None, None, 6, 8]
    assert [run.status for run in runs] == ["succeeded", "failed", "failed"] + ["succeeded"] * 2


def test_a_fake_answers_in_the_name_of_a_plugin_for_a_step_that_names_one(
    workflows: WorkflowKit,
) -> None:
    @workflow("named")
    async def named(run: Run) -> Any:
        return await run.request("ask", "a.b", {}, plugin="acme")

    workflows.add(named)
    workflows.fake("a.b", 1, plugin="acme", version="2.1")
    run = workflows.run("named")
    step = run.steps["ask"]
    assert (run.result, step.plugin, step.plugin_version) == (1, "acme", "2.1")


def test_plugins_are_configured_by_name_and_really_asked(workflows: WorkflowKit) -> None:
    workflows.add(Shop(), charging, config={"shop": {"currency": "EUR"}})
    run = workflows.run("charging", {"item": "pen"})
    assert run.result == {"currency": "EUR"}
    assert [call.message for call in workflows.calls("card.charge")] == [{"item": "pen"}]


def test_a_definition_of_the_test_goes_before_a_plugins(workflows: WorkflowKit) -> None:
    @workflow("order")
    async def other(run: Run) -> Any:
        return "mine"

    workflows.add(other, Shop())
    workflows.add(other)
    assert workflows.run("order").result == "mine"


def test_the_timeout_of_a_run_is_of_virtual_time(workflows: WorkflowKit) -> None:
    @workflow("hasty", timeout="1h")
    async def hasty(run: Run) -> None:
        await run.sleep("3h")

    @workflow("waiting", timeout="2h")
    async def waiting(run: Run) -> None:
        await run.wait_event("done")

    workflows.add(hasty, waiting)
    error = workflows.run("hasty").error
    assert error is not None
    assert error.code == "run.timeout"
    run = workflows.run("waiting")
    workflows.advance("119m")
    assert run.status == "waiting"
    workflows.advance("1m")
    assert run.error is not None
    assert run.error.code == "run.timeout"


def test_children_are_among_the_runs_and_are_sent_events(workflows: WorkflowKit) -> None:
    workflows.add(Shop(), parent)
    run = workflows.run("parent", {"item": "pen"})
    assert [(each.workflow, each.status) for each in workflows.runs] == [
        ("parent", "running"),
        ("order", "waiting"),
    ]
    workflows.runs[1].send("paid", amount=2)
    assert run.result["paid"] == 2


def test_a_branch_may_wait_for_another_one_that_waits_for_an_event(workflows: WorkflowKit) -> None:
    both = """
        name = "both"
        kind = "graph"
        [[stages]]
        name = "push"
        workflow = "door"
        [[stages]]
        name = "charge"
        operation = "card.charge"
    """

    @workflow("relay")
    async def relay(run: Run) -> Any:
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def first() -> None:
            turn.set_result((await run.wait_event("go"))["number"])

        async def second() -> int:
            return await turn

        return await run.gather(first(), second())

    workflows.add(Shop(), DOOR, both, relay)
    run = workflows.run("both")
    assert [each.status for each in workflows.runs] == ["running", "waiting"]
    workflows.runs[1].send("door.push")
    workflows.runs[1].send("door.break")
    assert run.status == "succeeded"
    run = workflows.run("relay")
    assert run.waits_for == ["go"]
    run.send("go", number=7)
    assert run.result == [None, 7]


def test_what_is_done_is_undone_when_a_later_step_fails(workflows: WorkflowKit) -> None:
    definition = """
        name = "undo"
        kind = "sequential"
        [[stages]]
        name = "book"
        operation = "stock.book"
        compensation = { operation = "stock.free" }
        [[stages]]
        name = "pay"
        operation = "card.charge"
    """
    workflows.add(definition)
    workflows.fake("stock.book", {"id": 1})
    workflows.fake("stock.free", {"freed": True})
    workflows.fake("card.charge", OperationError("card.refused", "refused"))
    run = workflows.run("undo")
    assert {name: step.status for name, step in run.compensations.items()} == {"book": "succeeded"}


def test_steps_at_once_wait_between_their_attempts_at_once(workflows: WorkflowKit) -> None:
    @workflow("several")
    async def several(run: Run) -> Any:
        retry = Retry(max_attempts=3, initial_delay="1h", max_delay="1h")

        async def ask(step: str) -> Any:
            return await run.request(step, "card.charge", {}, retry=retry)

        return await run.gather(ask("a"), ask("b"))

    workflows.add(several)
    workflows.fake("card.charge", BUSY, BUSY, 1)
    assert workflows.run("several").result == [1, 1]


def test_a_step_of_a_workflows_own_takes_real_time_and_moves_no_clock(
    workflows: WorkflowKit,
) -> None:
    @workflow("reading")
    async def reading(run: Run) -> Any:
        async def read() -> str:
            await asyncio.sleep(0.02)
            await asyncio.to_thread(time.sleep, 0.02)
            return "read"

        async def read_and_look() -> list[str]:
            found = await run.step("read", read)
            return [found, run.now().isoformat()]

        return await run.gather(read_and_look(), run.sleep("1h"))

    workflows.add(reading)
    assert workflows.run("reading").result == [["read", "2026-01-01T00:00:00+00:00"], None]


def test_what_the_host_fixture_adds_is_there_for_workflows(
    host: PluginTestHost, workflows: WorkflowKit
) -> None:
    class Listening(Plugin):
        def __init__(self) -> None:
            self.heard: list[Any] = []

        @subscriber("order.paid")
        async def on_paid(self, event: dict[str, Any]) -> None:
            self.heard.append(event)

    listening = host.add(Listening())
    host.add(Shop(), config={"currency": "EUR"})
    workflows.add(order)
    workflows.run("order", {"item": "pen"}).send("paid", amount=1)
    assert listening.heard == [{"amount": 1}]


def test_an_installed_workflow_comes_with_the_plugins_that_it_requires(
    workflows: WorkflowKit, tmp_path: Path
) -> None:
    offer = tmp_path / "offer.md"
    offer.write_text("# Offer")
    workflows.add_installed("document-approval", config={"reviewers": {}})
    workflows.fake("notification.send", {"sent": True})
    document = {"name": "offer.md", "path": str(offer)}
    run = workflows.run("document-approval", {"document": document})
    assert run.state == "under_review"
    run.send("user.action", action="reject", by="Anna")
    assert run.status == "succeeded"
    assert {call.step is None for call in workflows.calls("reviewer.assign")} == {False}


def test_an_installed_plugin_is_added_by_its_name(workflows: WorkflowKit) -> None:
    workflows.add_installed("notifier")
    assert workflows.calls("notification.send") == []
    with pytest.raises(PluginError, match="did you mean 'notifier'") as caught:
        workflows.add_installed("notifierr")
    assert caught.value.code == "plugin.not_found"
    with pytest.raises(ConfigError, match="does not need it"):
        workflows.add_installed("document-archive", config={"notifier": {}})


def test_nothing_installed_is_looked_for_unless_the_test_says_so(
    workflows: WorkflowKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the kit looked for what is installed")

    monkeypatch.setattr(importlib.metadata, "entry_points", refuse)
    monkeypatch.setattr(importlib.metadata, "distributions", refuse)
    workflows.add(GREET, order)
    workflows.fake("greeting.make", "Hello")
    assert workflows.run("greet", {"name": "Ada"}).result == "Hello"
    with pytest.raises(NoHandlerError):
        workflows.calls("notification.send")


def test_a_workflow_that_is_not_added_is_named_with_the_nearest(workflows: WorkflowKit) -> None:
    with pytest.raises(WorkflowNotFoundError, match="greet") as caught:
        workflows.run("greet")
    assert "workflows.add" in caught.value.fix
    workflows.add(GREET)
    with pytest.raises(WorkflowNotFoundError) as caught:
        workflows.run("gret")
    assert caught.value.fix == "did you mean 'greet'?"


def test_a_topic_that_nobody_answers_is_found_before_the_run(workflows: WorkflowKit) -> None:
    workflows.add(GREET)
    workflows.fake("greeting.mak", "Hello")
    with pytest.raises(WorkflowInvalidError, match=r"did you mean 'greeting\.mak'"):
        workflows.run("greet", {"name": "Ada"})
    assert workflows.runs == []


@pytest.mark.parametrize(
    ("added", "error", "why"),
    [
        (Shop, TypeError, r"add an instance, Shop\(\)"),
        (lambda run: None, TypeError, "mark it with @workflow"),
        (42, TypeError, "nor a plugin"),
        (object(), TypeError, "nor a plugin"),
        ("name =", WorkflowInvalidError, "not valid"),
        (GREET.replace("retry", "retries"), WorkflowInvalidError, "did you mean 'retry'"),
        ("absent.toml", WorkflowInvalidError, "can't be read"),
        (Path("absent.toml"), WorkflowInvalidError, "can't be read"),
    ],
)
def test_what_can_not_be_added_says_why(
    workflows: WorkflowKit, added: object, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        workflows.add(added)


def test_bad_use_of_the_rest_says_why(workflows: WorkflowKit) -> None:
    workflows.add(GREET, Shop())
    with pytest.raises(InvalidTopicError):
        workflows.fake("greeting..make", 1)
    with pytest.raises(ValueError, match="needs an answer"):
        workflows.fake("greeting.make")
    with pytest.raises(PluginError, match="the fake goes before it"):
        workflows.fake("card.charge", 1, plugin="shop")
    with pytest.raises(NoHandlerError, match=r"card\.chrge") as caught:
        workflows.calls("card.chrge")
    assert caught.value.fix == "did you mean 'card.charge'?"
    with pytest.raises(InvalidTopicError):
        workflows.published("order.>.paid")
    for duration in (-1, 0, "-3h", "soon", float("nan")):
        with pytest.raises(ValueError, match=r"duration|above zero"):
            workflows.advance(duration)
    with pytest.raises(ConfigError, match="shop") as unknown:
        workflows.add(charging, config={"shop": {}})
    assert "no plugin of that name" in str(unknown.value)
    with pytest.raises(PluginError) as conflict:
        workflows.add(Shop())
    assert conflict.value.code == "plugin.conflict"
    with pytest.raises(TypeError, match="a mapping"):
        workflows.run("greet", "Ada")  # type: ignore[arg-type]
    workflows.fake("greeting.make", 1)
    with pytest.raises(RunInputError, match="nme"):
        workflows.run("greet", {"nme": "Ada"})


def test_an_event_for_a_run_that_has_ended_is_an_error(workflows: WorkflowKit) -> None:
    workflows.add(Shop(), charging)
    run = workflows.run("charging", {})
    with pytest.raises(RunEndedError):
        run.send("paid")


def test_a_run_that_waits_for_neither_time_nor_an_event_is_named(
    workflows: WorkflowKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    @workflow("stuck")
    async def stuck(run: Run) -> None:
        await asyncio.Event().wait()

    @workflow("endless")
    async def endless(run: Run) -> None:
        while True:
            await run.sleep(60)

    class Hanging(Plugin):
        @operation("hang.up")
        async def hang(self, message: Any) -> None:
            await asyncio.sleep(30)

    @workflow("hanging")
    async def hanging(run: Run) -> None:
        await run.request("ask", "hang.up", {})

    monkeypatch.setattr("qtforge_host.testing.workflow_kit._TIMEOUT_S", 0.5)
    workflows.add(stuck, endless, hanging, Hanging())
    with pytest.raises(TimeoutError, match="neither time nor an event"):
        workflows.run("stuck")
    with pytest.raises(TimeoutError, match="the run has no end"):
        workflows.run("endless")
    with pytest.raises(TimeoutError, match=r"'hang\.up' have not answered"):
        workflows.run("hanging")


def test_runs_that_wait_do_not_hold_up_the_end_of_the_test(tmp_path: Path) -> None:
    with PluginTestHost(tmp_path) as host:
        kit = WorkflowKit(host)
        kit.add(Shop(), DOOR)
        kit.run("order", {"item": "pen"})
        kit.run("door")
        kit.close()
        kit.close()
    host.close()


def test_the_plugin_costs_projects_that_do_not_use_it_nothing() -> None:
    code = (
        "import sys; import qtforge_host.testing.pytest_plugin; "
        "print(sorted(m for m in sys.modules if m.startswith('qtforge') or m == 'cel'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == str(
        ["qtforge_host", "qtforge_host.testing", "qtforge_host.testing.pytest_plugin"]
    )


def test_a_fixture_of_the_project_named_host_wins_and_workflows_still_work(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef host():\n    return 'own'\n\n\n"
        "def test_it(host, workflows):\n    assert host == 'own'\n    assert workflows.runs == []\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
