"""``workflows.replay``: what code that has changed does with exported runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.testing import PluginTestHost, WorkflowKit, WorkflowRun
from qtforge_sdk import OperationError, Run, workflow
from qtforge_sdk.journal_errors import ArchiveInvalidError

Code = Callable[..., Any]
GREET = """
name = "order"
kind = "sequential"
[[stages]]
name = "book"
operation = "stock.book"
[[stages]]
name = "ship"
operation = "stock.ship"
"""


async def order(run: Run, given: Mapping[str, Any]) -> Any:
    await run.request("book", "stock.book", {"item": given["item"]})
    paid = await run.wait_event("paid", timeout="2d")
    await run.sleep("1h", name="rest")
    await run.gather(*(run.request(name, "stock.ship", {}) for name in "ab"))
    if paid["amount"] < 2:
        raise OperationError("order.unpaid", "too little")
    await run.request("ship", "stock.ship", {"item": given["item"]})
    return paid["amount"]


async def patched(run: Run, given: Mapping[str, Any]) -> Any:
    if await run.patched("announce"):
        await run.request("announce", "stock.ship", {})
    return await order(run, given)


async def longer(run: Run, given: Mapping[str, Any]) -> Any:
    await order(run, given)
    await run.publish("tell", "order.done", {})


async def renamed(run: Run, given: Mapping[str, Any]) -> Any:
    await run.request("reserve", "stock.book", {"item": given["item"]})
    await run.wait_event("paid")


async def in_another_order(run: Run, given: Mapping[str, Any]) -> Any:
    await run.request("book", "stock.book", {"item": given["item"]})
    await run.wait_event("paid", timeout="2d")
    await run.sleep("1h", name="rest")
    await run.gather(*(run.request(name, "stock.ship", {}) for name in "ac"))


async def other_topic(run: Run, given: Mapping[str, Any]) -> Any:
    await run.request("book", "stock.ship", {})


async def shorter(run: Run, given: Mapping[str, Any]) -> Any:
    await run.request("book", "stock.book", {"item": given["item"]})


async def broken(run: Run, given: Mapping[str, Any]) -> Any:
    await run.request("book", "stock.book", {"item": given["price"]})


@pytest.fixture
def exported(workflows: WorkflowKit, tmp_path: Path) -> Path:
    """A folder with a run that waits, one that was paid, and one that failed."""
    workflows.add(workflow("order")(order))
    workflows.fake("stock.book", {"ok": True})
    workflows.fake("stock.ship", {"ok": True})
    for name, amount in (("waiting", 0), ("paid", 3), ("unpaid", 1)):
        run = workflows.run("order", {"item": "pen"})
        if amount:
            run.send("paid", amount=amount)
        run.export(tmp_path / f"{name}.qtforge-run")
    # The time of the runs stood still while one of them waited: this one sleeps.
    assert [each.status for each in workflows.runs] == ["waiting", "running", "running"]
    workflows.advance("2h")
    for name, run in zip(("waiting", "paid", "unpaid"), workflows.runs, strict=True):
        run.export(tmp_path / f"{name}-later.qtforge-run")
    return tmp_path


VERDICTS: dict[str, tuple[Code, dict[str, str]]] = {
    "unchanged": (order, {
        "waiting": "continues at event paid", "paid": "continues at rest",
        "paid-later": "same", "unpaid-later": "same",
    }),
    "a patch": (patched, {"waiting": "continues at event paid", "paid-later": "same"}),
    "more at the end": (longer, {
        "waiting": "continues at event paid", "paid-later": "asks more: tell (order.done)",
        "unpaid-later": "same",
    }),
    "another name": (renamed, {
        "waiting": "diverged at reserve: the journal holds the step 'book' here, the code"
        " requests 'reserve'",
        "paid-later": "diverged at reserve: the journal holds the step 'book' here, the code"
        " requests 'reserve'",
    }),
    "another branch": (in_another_order, {
        "paid": "continues at rest",
        "paid-later": "diverged at c: the journal holds the step 'b' here, the code requests 'c'",
    }),
    "another topic": (other_topic, {
        "waiting": "diverged at book: the journal requested 'stock.book', the code requests"
        " 'stock.ship'",
    }),
    "an end": (shorter, {
        "waiting": "continues to its end",
        "paid-later": "diverged at event paid: the journal holds it, and the code did not request"
        " it",
    }),
    "a mistake": (broken, {
        "waiting": "diverged: the code fails: KeyError: 'price'",
    }),
}  # fmt: skip


@pytest.mark.parametrize("case", VERDICTS)
def test_a_replay_tells_what_the_code_does_with_each_run(
    exported: Path, tmp_path_factory: pytest.TempPathFactory, case: str
) -> None:
    code, verdicts = VERDICTS[case]
    with (
        PluginTestHost(tmp_path_factory.mktemp("again")) as host,
        WorkflowKit(host) as kit,
    ):
        kit.add(workflow("order")(code))
        for name, verdict in verdicts.items():
            (found,) = kit.replay(exported / f"{name}.qtforge-run")
            assert str(found.replayed) == verdict
        assert kit.runs == []


def test_nothing_is_requested_and_steps_are_not_executed(
    workflows: WorkflowKit, exported: Path
) -> None:
    asked = len(workflows.calls("stock.ship"))
    workflows.replay(exported / "*.qtforge-run").check()
    assert len(workflows.calls("stock.ship")) == asked

    async def local(run: Run, given: Mapping[str, Any]) -> None:
        await run.request("book", "stock.book", {"item": given["item"]})
        await run.step("mine", lambda: pytest.fail("it was executed"))

    workflows.add(workflow("order")(local))
    workflows.replay(exported / "waiting.qtforge-run").expect(next_step="mine")


def test_check_and_expect_name_the_files_and_both_sides(
    workflows: WorkflowKit, exported: Path
) -> None:
    workflows.replay(exported / "waiting.qtforge-run").expect(next_step="event paid")
    with pytest.raises(AssertionError, match=r"paid-later\.qtforge-run: same"):
        workflows.replay(exported / "paid*.qtforge-run").expect(next_step="rest")
    workflows.add(workflow("order")(renamed))
    with pytest.raises(AssertionError, match=r"of 6 runs:\n  .*diverged at reserve: .* 'book'"):
        workflows.replay(exported / "*.qtforge-run").check()


def test_a_definition_in_toml_is_that_of_the_journal(
    workflows: WorkflowKit, tmp_path: Path
) -> None:
    workflows.add(GREET)
    workflows.fake("stock.book", {"ok": True})
    workflows.fake("stock.ship", OperationError("stock.empty", "there is none"))
    workflows.run("order").export(tmp_path / "a.qtforge-run")
    workflows.add(GREET.replace('name = "book"', 'name = "reserve"'))
    (found,) = workflows.replay(tmp_path / "a.qtforge-run")
    assert found.verdict == "same"


def test_branches_that_were_cut_off_or_in_time_are_no_more_to_do(
    workflows: WorkflowKit, tmp_path: Path
) -> None:
    @workflow("race")
    async def race(run: Run) -> Any:
        async def branch(number: int) -> int:
            await run.request(f"book {number}", "stock.book", {})
            if number == 2:
                await run.wait_event("never")
            await run.sleep(f"{number + 1}h", name=f"sleep {number}")
            await run.request(f"ship {number}", "stock.ship", {})
            return number

        first = await run.gather(*map(branch, range(4)), first=2, concurrency=2)
        await run.gather(run.request("late", "stock.ship", {}), deadline="1d")
        return first

    workflows.add(race)
    workflows.fake("stock.book", {"ok": True})
    workflows.fake("stock.ship", {"ok": True})
    run = workflows.run("race")
    workflows.advance("1d")
    assert (run.status, run.result) == ("succeeded", [0, 1, None, None])
    run.export(tmp_path / "race.qtforge-run")
    (found,) = workflows.replay(tmp_path / "race.qtforge-run")
    assert str(found.replayed) == "same"


def test_a_run_whose_workflow_is_gone_has_diverged(workflows: WorkflowKit, exported: Path) -> None:
    with PluginTestHost(exported / "again") as host, WorkflowKit(host) as kit:
        found = kit.replay(exported / "waiting.qtforge-run")
    with pytest.raises(AssertionError, match="no workflow"):
        found.check()


def test_a_run_is_replayed_with_the_function_of_its_version(
    exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with PluginTestHost(tmp_path_factory.mktemp("again")) as host, WorkflowKit(host) as kit:
        kit.add(workflow("order", version="2.0.0")(renamed))
        with pytest.raises(AssertionError, match=r"order 1\.0\.0; here are 2\.0\.0"):
            kit.replay(exported / "waiting.qtforge-run").check()
        kit.add(workflow("order")(order))
        kit.replay(exported / "waiting.qtforge-run").expect(next_step="event paid")
        kit.fake("stock.book", {"ok": True})
        assert list(kit.run("order", {"item": "pen"}).steps) == ["reserve"]


def test_files_that_are_missing_or_no_exports_are_refused(
    workflows: WorkflowKit, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="runs export"):
        workflows.replay(tmp_path / "*.qtforge-run")
    (tmp_path / "a.qtforge-run").write_text("no")
    with pytest.raises(ArchiveInvalidError, match=r"a\.qtforge-run: it does not begin"):
        workflows.replay(str(tmp_path / "*.qtforge-run"))


def test_an_export_of_a_run_is_a_run_to_import(workflows: WorkflowKit, exported: Path) -> None:
    run: WorkflowRun = workflows.runs[0]
    assert run.id.encode() in (exported / "waiting.qtforge-run").read_bytes()
