"""``qtforge-host runs prune``, with the ages of a configuration."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.records import RunFinished, RunStarted

NOW = datetime.datetime.now(datetime.UTC)


class Old:
    """Two runs that ended a month ago, and the commands of their state directory."""

    def __init__(self, cli: Any, folder: Path) -> None:
        self._cli = cli
        self.state = folder / "state"
        self.config = folder / "config.toml"
        self.config.write_text("")

    def __call__(self, *words: str) -> Any:
        return self._cli("--config", self.config, "--state-dir", self.state, "runs", *words)

    async def make(self) -> None:
        self.state.mkdir()
        journal = SqliteJournal(self.state / "runs")
        await journal.open()
        for name in ("one", "two"):
            at = NOW - datetime.timedelta(days=31)
            first = RunStarted(
                run_id=name, at=at, workflow="letters", kind="sequential",
                workflow_version="1.0.0", input={}, plugins={},
            )  # fmt: skip
            last = RunFinished(
                run_id=name, at=at, status="succeeded", degraded=False, result=None, summary="",
                error=None,
            )  # fmt: skip
            await journal.append(await journal.create(first), [last])
        await journal.close()

    @property
    def left(self) -> int:
        return len(self("list", "--json").json["runs"])


@pytest.fixture
def old(cli: Any, tmp_path: Path) -> Old:
    found = Old(cli, tmp_path)
    asyncio.run(found.make())
    return found


def test_runs_are_deleted_as_the_configuration_says(old: Old) -> None:
    old.config.write_text('[retention]\nsucceeded = "30d"\nkeep_last = 1\n')
    shown = old("prune", "--policy", "--dry-run")
    assert shown.out.splitlines()[1:] == [
        "letters   succeeded  1",
        "1 run would be deleted",
    ]
    assert old.left == 2
    assert old("prune", "--policy", "--tag", "a=b", "--yes").out == "0 runs are deleted\n"
    assert old("prune", "--policy").code == 130  # nobody said yes
    assert old("prune", "--policy", "--yes").out.splitlines()[-1] == "1 run is deleted"
    assert old.left == 1
    assert old("prune", "--policy", "--yes", "--json").json["pruned"] == 0


def test_a_dry_run_of_an_age_deletes_nothing(old: Old) -> None:
    assert old("prune", "--older-than", "30d", "--dry-run", "--json").json == {
        "schema_version": 1,
        "pruned": 2,
        "dry_run": True,
        "workflows": [{"workflow": "letters", "status": "succeeded", "runs": 2}],
    }
    assert old("prune", "--older-than", "32d", "--dry-run").out == "0 runs would be deleted\n"
    assert old.left == 2


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((), 2, "give --policy, --older-than"),
        (("--policy", "--older-than", "1h"), 2, "or --older-than"),
        (("--policy", "--yes"), 2, "there is no [retention]"),
    ],
)
def test_what_is_not_said_well_is_refused(
    old: Old, words: tuple[str, ...], code: int, text: str
) -> None:
    done = old("prune", *words)
    assert (done.code, text in done.err) == (code, True), done.err
    assert old.left == 2
