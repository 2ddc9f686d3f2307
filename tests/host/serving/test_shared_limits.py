"""Limits and breakers over several workers of one state directory, as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving import Serving, until
from tests.shared_limits import (
    LIMITS,
    LIMITS_PLUGIN,
    breakers_hold,
    limits_hold,
    places_of_the_dead_are_free,
)


@pytest.fixture
def limited(site: Any, tmp_path: Path) -> Iterator[Serving]:
    site.plugin("limited", source=LIMITS_PLUGIN)
    folder = tmp_path / "serving"
    folder.mkdir()
    made = Serving(site, folder)
    made.config.write_text(LIMITS)
    yield made
    made.close()


def test_limits_and_rates_hold_over_all_workers(limited: Serving) -> None:
    limits_hold(limited)


def test_the_places_of_a_worker_that_was_killed_are_free(limited: Serving) -> None:
    places_of_the_dead_are_free(limited)


def test_a_breaker_that_one_worker_opens_is_open_for_another(limited: Serving) -> None:
    breakers_hold(limited)


def test_metrics_tell_what_a_process_has_of_a_limit(limited: Serving) -> None:
    server = limited.serve()
    server.start("block", word="a")
    until(lambda: (limited.folder / "ledger").exists())
    metrics = server.get("/metrics").text.splitlines()
    assert 'qtforge_limit_places_held{topic="limited.block"} 1.0' in metrics
    assert 'qtforge_limit_requests{state="active",topic="limited.block"} 1.0' in metrics
    assert 'qtforge_limit_requests{state="waiting",topic="limited.block"} 0.0' in metrics
