"""What the command line says about runs when the code of their workflow has changed."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.api.lookup import list_runs
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk import Record
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.records import RunFinished, RunStarted, StepStarted, StepSucceeded

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
CODE = """
from qtforge_sdk import Plugin, hookimpl, operation, workflow


@workflow("order")
async def order(run, given):
    await run.request("book", "stock.book", {})
    if await run.patched("two-step-charge"):
        await run.request("reserve", "stock.book", {})
    await run.wait_event("paid")


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [order]

    @operation("stock.book")
    async def book(self, message: dict) -> None:
        raise SystemExit("a replay requests nothing")
"""
PATCH = "patch two-step-charge"


class Shop:
    """An installed workflow, its runs, and the commands of a state directory."""

    def __init__(self, cli: Any, site: Any, folder: Path) -> None:
        self.folder = folder
        self._cli = cli
        self._site = site
        site.plugin("shop", source=CODE)

    def __call__(self, *words: str | Path) -> Any:
        return self._cli("--state-dir", self.folder / "state", *words, path=self._site.root)

    def change(self, old: str, new: str) -> None:
        path = self._site.root / "shop_module.py"
        path.write_text(path.read_text().replace(old, new))

    def runs(self, *found: tuple[str, dict[str, Any], bool]) -> None:
        """Store runs: the end of each id, its steps with their data, and whether it has ended."""

        async def store() -> None:
            journal = SqliteJournal(self.folder / "state" / "runs")
            await journal.open()
            for end, steps, ended in found:
                records = records_of(f"20260101-000000-{end:0>10}", steps, ended=ended)
                assert isinstance(records[0], RunStarted)
                ownership = await journal.create(records[0], records[1:])
                await journal.release(ownership)
            await journal.close()

        asyncio.run(store())


def records_of(run_id: str, steps: dict[str, Any], *, ended: bool) -> Sequence[Record]:
    about: Any = {"run_id": run_id, "at": NOW}
    version = "1.2.0" if run_id.endswith("old") else "1.0.0"
    records: list[Record] = [
        RunStarted(**about, workflow="order", kind="python", workflow_version=version, input={},
                   plugins={})
    ]  # fmt: skip
    for step, data in steps.items():
        topic = "stock.book" if step in ("book", "reserve") else ""
        if not step.startswith("patch "):
            records.append(StepStarted(**about, step=step, topic=topic))
        if data is not ...:
            by: Any = {"plugin": None, "plugin_version": None, "duration_s": 0.0}
            records.append(StepSucceeded(**about, step=step, data=data, **by))
    if ended:
        end: Any = {"degraded": False, "result": None, "summary": "", "error": None}
        records.append(RunFinished(**about, status="succeeded", **end))
    return records


@pytest.fixture
def shop(cli: Any, site: Any, tmp_path: Path) -> Shop:
    return Shop(cli, site, tmp_path)


PAID = {"event paid": {"event_id": "1", "data": None}}


def test_patches_say_which_runs_keep_the_old_code(shop: Shop) -> None:
    nothing = shop("workflows", "patches", "order")
    assert (nothing.code, "no run of it has asked for a patch" in nothing.out) == (0, True)
    new = {"book": None, PATCH: True, "reserve": None}
    shop.runs(("a", {"book": ...}, False), ("b", {"book": None, PATCH: False}, False),
              ("c", {**new, **PAID}, True), ("d", new, False))  # fmt: skip
    said = shop("workflows", "patches", "order")
    assert "order: 3 unfinished" in said.out
    assert said.out.splitlines()[-1].split() == ["two-step-charge", "1", "1", "1", "no"]
    (row,) = shop("workflows", "patches", "order", "--json").json["patches"]
    assert (row["new"], row["old"], row["not_asked"], row["old_can_go"]) == (1, 1, 1, False)


def test_patches_of_a_workflow_that_is_not_there_are_an_error_with_the_nearest_name(
    shop: Shop,
) -> None:
    said = shop("workflows", "patches", "ordr")
    assert (said.code, "did you mean 'order'?" in said.err) == (3, True), said.err
    shop.runs(("a", {"book": ...}, True))
    shop.change('"order"', '"sale"')
    gone = shop("workflows", "patches", "order")
    assert (gone.code, "order: 0 unfinished" in gone.out) == (0, True), gone.err


def test_a_check_of_plugins_shows_the_runs_that_would_be_blocked(shop: Shop) -> None:
    shop.runs(("a", {"book": None}, False))
    fine = shop("plugins", "check", "--replay")
    assert "0 unfinished runs would be blocked" in fine.out
    shop.runs(("b", {"other": None}, False))
    said = shop("plugins", "check", "--replay")
    assert (said.code, said.out.splitlines()[-1]) == (1, "1 unfinished run would be blocked")
    (row,) = shop("plugins", "check", "--replay", "--json").json["diverged"]
    assert (row["workflow"], row["verdict"]) == ("order", "diverged")
    assert "diverged" not in shop("plugins", "check", "--json").json


def test_a_check_of_one_plugin_replays_the_runs_of_its_workflows(shop: Shop) -> None:
    shop.runs(("a", {"book": None}, False), ("b", {"other": None}, False))
    said = shop("plugins", "check", "shop", "--replay", "--json")
    (report,) = said.json["targets"]
    (found,) = [each for each in report["findings"] if each["code"] == "run.diverged"]
    assert (said.code, report["replayed"], found["level"]) == (1, 2, "error")
    assert "0000b of 'order' would be blocked: diverged at book" in found["what"]


def test_the_old_code_can_go_when_every_unfinished_run_does_the_new(shop: Shop) -> None:
    new = {"book": None, PATCH: True, "reserve": None}
    shop.runs(("a", new, False), ("b", {"book": None, PATCH: False, **PAID}, True))
    assert shop("workflows", "patches", "order").out.splitlines()[-1].split()[-1] == "yes"


def test_a_replay_lists_what_the_code_does_with_each_unfinished_run(shop: Shop) -> None:
    shop.runs(("a", {"book": ...}, False), ("b", {"book": None, PATCH: False}, False),
              ("c", {"book": None, PATCH: False, **PAID}, True))  # fmt: skip
    said = shop("workflows", "replay")
    assert said.code == 0, said.err
    assert "continues at book (stock.book)" in said.out
    assert "continues at event paid" in said.out
    assert "2 runs, 0 diverged" in said.out
    assert "same" in shop("workflows", "replay", "order", "--last", "3").out
    assert shop("workflows", "replay", "ordr").code == 3
    assert shop("workflows", "replay", "--last", "1", "--unfinished").code == 2


def test_exported_runs_are_replayed_and_a_divergence_is_exit_code_1(
    shop: Shop, tmp_path: Path
) -> None:
    shop.runs(("a", {"book": None, PATCH: True, "reserve": None}, False),
              ("b", {"book": None}, True))  # fmt: skip
    exported = shop("runs", "export", "--unfinished", "-o", tmp_path / "kept")
    assert "1 unfinished run is in" in exported.out
    (file,) = (tmp_path / "kept").iterdir()
    assert shop("workflows", "replay", file).code == 0
    shop.change('"reserve"', '"charge"')
    said = shop("workflows", "replay", file, "--json")
    assert said.code == 1
    (row,) = said.json["runs"]
    assert (row["verdict"], row["step"]) == ("diverged", "charge")
    assert row["detail"] == "the journal holds the step 'reserve' here, the code requests 'charge'"
    assert "1 run, 1 diverged" in shop("workflows", "replay").out


def test_runs_are_listed_by_the_version_of_their_workflow(shop: Shop) -> None:
    shop.runs(*((name, {"book": None}, False) for name in ("a", "1old", "b", "2old", "3old")))
    words = ("runs", "list", "--workflow", "order", "--workflow-version", "1.2.0", "--json")
    found = [each["run_id"][-4:] for each in shop(*words).json["runs"]]
    assert found == ["3old", "2old", "1old"]
    assert len(shop(*words, "--limit", "2", "--status", "interrupted").json["runs"]) == 2
    assert shop("runs", "list", "--workflow-version", "9").out == "no such run\n"


def test_pages_of_a_listing_by_version_are_read_to_the_end(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtforge_host.api.lookup._PAGE", 2)
    shop.runs(*((name, {"book": None}, name == "4old") for name in ("1old", "a", "b", "c", "4old")))

    async def listed(**wanted: Any) -> list[str]:
        journal = SqliteJournal(shop.folder / "state" / "runs")
        await journal.open()
        found = await list_runs(journal, RunQuery(**wanted), workflow_version="1.2.0")
        await journal.close()
        return [each.run_id[-4:] for each in found.runs]

    assert asyncio.run(listed()) == ["4old", "1old"]
    both = frozenset({"interrupted", "succeeded"})
    assert sorted(asyncio.run(listed(statuses=both))) == ["1old", "4old"]


def test_a_run_of_a_version_that_no_function_continues_is_blocked_until_one_does(
    shop: Shop,
) -> None:
    done = {"book": None, PATCH: False, **PAID}
    shop.runs(("a", done, False), ("b", done, False))
    shop.change('@workflow("order")', '@workflow("order", version="2.0.0", resumes=">=1.3")')
    blocked = shop("runs", "resume", "--all")
    assert blocked.code == 1
    why = "started with order 1.0.0; here are 2.0.0 (resumes >=1.3)"
    assert why in " ".join(blocked.out.split())
    assert [run["status"] for run in shop("runs", "list", "--json").json["runs"]] == 2 * ["blocked"]
    accepted = shop("runs", "resume", "20260101-000000-000000000a", "--accept-versions", "--json")
    assert accepted.json["status"] == "succeeded"
    shop.change(">=1.3", ">=1")
    assert shop("runs", "resume", "--all", "--json").json["status"] == "succeeded"


@pytest.mark.parametrize(
    "words",
    [("--unfinished",), ("last", "--unfinished", "-o", "x"), (), ("last", "--workflow", "order"),
     ("--unfinished", "-o", "-")],
)  # fmt: skip
def test_an_export_names_a_run_or_a_folder(shop: Shop, words: tuple[str, ...]) -> None:
    assert shop("runs", "export", *words).code == 2


def test_a_file_that_is_no_export_is_refused(shop: Shop, tmp_path: Path) -> None:
    bad = tmp_path / "a.qtforge-run"
    assert shop("workflows", "replay", bad).code == 2
    bad.write_text("no")
    said = shop("workflows", "replay", bad)
    assert (said.code, "run.archive_invalid" in said.err) == (1, True)
