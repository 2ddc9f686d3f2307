"""A run's line in a list."""

from __future__ import annotations

import datetime

import pytest

from qtforge_host.api.lookup import run_row
from qtforge_sdk.journal import RunSummary

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
