"""A run's line in a list."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest

from qtforge_host.api import store
from qtforge_host.api.lookup import opened_journal, run_row
from qtforge_host.config.settings import Settings
from qtforge_sdk.journal import RunSummary
from qtforge_sdk.testing._journal_scenarios import started

NOON = datetime.datetime(2026, 3, 4, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(("seconds", "shown"), [(90.5, 90.5), (0, 0.0), (-86_400, 0.0)])
def test_a_duration_is_not_negative_where_the_clock_was_set_back(
    seconds: float, shown: float
) -> None:
    run = RunSummary(
        run_id="r",
        workflow="w",
        kind="sequential",
        status="succeeded",
        owner_alive=False,
        parent=None,
        epoch=1,
        started_at=NOON,
        finished_at=NOON + datetime.timedelta(seconds=seconds),
    )
    assert run_row(run).duration_s == shown


def test_runs_are_counted_exactly_up_to_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_COUNTED", 2)
    settings = Settings(config_path=tmp_path / "c.toml", state_dir=tmp_path / "state")

    async def main() -> list[tuple[int, bool]]:
        counts = []
        journal = await opened_journal(settings)
        async with store.open_store(settings) as runs:
            for number in range(4):
                found = await runs.count(workflow="letters")
                counts.append((found.count, found.more))
                await journal.create(started(f"run-{number}"))
                await journal.create(started(f"other-{number}", workflow="other"))
        await journal.close()
        return counts

    assert asyncio.run(main()) == [(0, False), (1, False), (2, False), (2, True)]
