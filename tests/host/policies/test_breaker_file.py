"""The last transition of each breaker, saved for other processes; a failure is only logged."""

from __future__ import annotations

import contextlib
import datetime
import logging
import sqlite3
from pathlib import Path

import pytest

from qtforge_host.policies.breaker import BreakerState, Transition
from qtforge_host.policies.breaker_file import BreakerFile, SavedBreaker

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def transition(plugin: str, before: BreakerState, after: BreakerState) -> Transition:
    return Transition(
        topic="a.b", plugin=plugin, before=before, after=after, at=NOW, reason=f"it is {after}"
    )


def test_the_last_transition_of_each_breaker_is_saved_for_another_process(tmp_path: Path) -> None:
    file = BreakerFile(tmp_path / "state")
    assert file.all() == []
    file.save(transition("two", "closed", "open"))
    file.save(transition("one", "closed", "open"))
    file.save(transition("one", "open", "half_open"))
    assert BreakerFile(tmp_path / "state").all() == [
        SavedBreaker(topic="a.b", plugin="one", state="half_open", since=NOW,
                    reason="it is half_open"),
        SavedBreaker(topic="a.b", plugin="two", state="open", since=NOW, reason="it is open"),
    ]  # fmt: skip


def test_a_file_that_is_not_a_database_is_a_warning_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "breakers.sqlite").write_text("something else, and long enough to be no header")
    with caplog.at_level(logging.WARNING):
        BreakerFile(tmp_path).save(transition("one", "closed", "open"))
        assert BreakerFile(tmp_path).all() == []
    assert "is not saved" in caplog.text
    assert "may be deleted" in caplog.text


def test_a_state_directory_that_cannot_be_made_is_a_warning_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").touch()
    BreakerFile(tmp_path / "state").save(transition("one", "closed", "open"))
    assert "is not saved" in caplog.text
    assert BreakerFile(tmp_path / "state").all() == []


def test_a_file_of_the_first_version_is_read_and_written(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "breakers.sqlite")) as old, old:
        old.execute(
            "CREATE TABLE breakers (topic TEXT, plugin TEXT, state TEXT NOT NULL,"
            " since TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (topic, plugin))"
            " STRICT, WITHOUT ROWID"
        )
        row = ("a.b", "one", "open", NOW.isoformat(), "three failures")
        old.execute("INSERT INTO breakers VALUES (?, ?, ?, ?, ?)", row)
    assert [(each.plugin, each.reason) for each in BreakerFile(tmp_path).all()] == [
        ("one", "three failures")
    ]
    BreakerFile(tmp_path).save(transition("one", "open", "half_open"))
    assert [each.state for each in BreakerFile(tmp_path).all()] == ["half_open"]
