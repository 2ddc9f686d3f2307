"""Limits and breakers over several workers that share PostgreSQL, as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("httpx2", reason="the extra 'http' is not installed")

from tests.host.conftest import Site
from tests.serving import Serving
from tests.shared_limits import (
    LIMITS,
    LIMITS_PLUGIN,
    breakers_hold,
    limits_hold,
    places_of_the_dead_are_free,
)
from tests.shared_places import one_gets_the_last_place

from qtforge_sdk.journal import JournalSettings


@pytest.fixture
def limited(journal_settings: JournalSettings, tmp_path: Path) -> Iterator[Serving]:
    site = Site(tmp_path / "site")
    site.plugin("limited", source=LIMITS_PLUGIN)
    folder = tmp_path / "serving"
    folder.mkdir()
    made = Serving(site, folder)
    made.config.write_text(f'[host]\njournal = "{journal_settings.url}"\n{LIMITS}')
    yield made
    made.close()


@pytest.mark.soak  # the contract of journals and the same test on SQLite are quicker
def test_limits_and_rates_hold_over_all_workers(limited: Serving) -> None:
    limits_hold(limited)


def test_the_places_of_a_worker_that_was_killed_are_free_after_its_lease(limited: Serving) -> None:
    places_of_the_dead_are_free(limited)


def test_a_breaker_that_one_worker_opens_is_open_for_another(limited: Serving) -> None:
    breakers_hold(limited)


def test_of_several_processes_one_gets_the_last_place_of_a_key(
    journal_settings: JournalSettings, tmp_path: Path
) -> None:
    one_gets_the_last_place(tmp_path, journal_settings.url or "")
