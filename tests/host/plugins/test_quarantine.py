"""Remembering failed starts."""

from __future__ import annotations

import datetime
import json
import logging
import os
from typing import TYPE_CHECKING

import pytest

from qtforge_host.plugins.candidates import Candidate, Status
from qtforge_host.plugins.quarantine import FILE_NAME, FailureMemory
from qtforge_sdk.files import exclusive_lock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.host.conftest import Site

BROKEN = Status(state="broken", code="plugin.import_failed", reason="it raised", fix="mend it")


@pytest.fixture
def acme(site: Site) -> Candidate:
    site.plugin("acme")
    return site.candidates()["acme:acme"]


def _fail(memory: FailureMemory, candidate: Candidate, status: Status = BROKEN) -> None:
    memory.update(failed=[(candidate, status)], succeeded=[])


def test_nothing_is_remembered_at_first(site: Site, acme: Candidate) -> None:
    assert site.failures.recall(acme, 3) is None
    assert not site.settings.state_dir.exists()


def test_a_success_without_a_failure_writes_nothing(site: Site, acme: Candidate) -> None:
    site.failures.update(failed=[], succeeded=[acme])

    assert not site.settings.state_dir.exists()


def test_a_failure_is_recalled_by_another_process(site: Site, acme: Candidate) -> None:
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    _fail(FailureMemory(site.settings.state_dir, now=lambda: now), acme)

    status = site.failures.recall(acme, 3)

    assert status is not None
    assert (status.state, status.code, status.fix) == ("broken", BROKEN.code, "mend it")
    assert "it raised" in status.reason
    written = json.loads((site.settings.state_dir / FILE_NAME).read_text())
    assert written["failures"]["acme:acme"]["at"] == "2026-01-02T00:00:00Z"
    assert written["failures"]["acme:acme"]["version"] == "1.0.0"


def test_failures_in_a_row_quarantine_and_a_success_clears(site: Site, acme: Candidate) -> None:
    memory = site.failures
    for _ in range(2):
        _fail(memory, acme)
    recalled = memory.recall(acme, 2)
    assert recalled is not None
    assert recalled.state == "quarantined"
    assert "2 starts failed: it raised" in recalled.reason

    memory.update(failed=[], succeeded=[acme])

    assert memory.recall(acme, 2) is None
    assert site.failures.recall(acme, 2) is None


def test_enabling_forgets_by_plugin_name(site: Site, acme: Candidate) -> None:
    _fail(site.failures, acme)

    assert site.failures.forget("acme")
    assert not site.failures.forget("acme")
    assert site.failures.recall(acme, 3) is None


@pytest.mark.parametrize("name", ["entry_points.txt", "METADATA", "RECORD"])
def test_a_reinstall_is_a_new_chance(site: Site, acme: Candidate, name: str) -> None:
    for _ in range(3):
        _fail(site.failures, acme)
    file = f"{acme.metadata_path}/{name}"
    with open(file, "ab"):
        os.utime(file, ns=(1, 1))

    assert site.failures.recall(acme, 3) is None
    _fail(site.failures, acme)
    recalled = site.failures.recall(acme, 3)
    assert recalled is not None
    assert recalled.state == "broken"  # counted from one again


@pytest.mark.parametrize(
    "status",
    [
        Status(state="unmet", code="plugin.unmet", reason="x", fix="y"),
        Status(state="broken", code="plugin.invalid_config", reason="x", fix="y"),
    ],
)
def test_a_failure_that_is_not_the_installations_fault_is_not_counted(
    site: Site, acme: Candidate, status: Status
) -> None:
    _fail(site.failures, acme, status)

    assert site.failures.recall(acme, 3) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"failures": {"a": 1}}', b"\xff\xfe"])
def test_a_damaged_file_is_ignored_with_one_warning_and_replaced(
    site: Site, acme: Candidate, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    site.settings.state_dir.mkdir()
    (site.settings.state_dir / FILE_NAME).write_bytes(content)
    memory = site.failures

    with caplog.at_level(logging.WARNING):
        assert memory.recall(acme, 3) is None
        _fail(memory, acme)

    assert len(caplog.records) == 1
    assert FILE_NAME in caplog.text
    assert site.failures.recall(acme, 3) is not None


def test_a_state_directory_that_can_not_be_written_is_survived(
    tmp_path: Path, acme: Candidate, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way of a folder, as a read-only home is")
    memory = FailureMemory(tmp_path / "file" / "state")

    with caplog.at_level(logging.WARNING):
        _fail(memory, acme)
        _fail(memory, acme)

    assert len(caplog.records) == 1
    recalled = memory.recall(acme, 2)
    assert recalled is not None
    assert recalled.state == "quarantined"  # known as long as the process lives


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root may write anywhere")
def test_a_read_only_state_directory_is_survived(site: Site, acme: Candidate) -> None:
    site.settings.state_dir.mkdir(mode=0o500)

    _fail(site.failures, acme)

    assert site.failures.recall(acme, 3) is None


def test_a_lock_held_by_another_is_waited_for_only_so_long(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with (
        exclusive_lock(path, 1.0),
        pytest.raises(TimeoutError, match=r"file\.lock for 0\.1 s"),
        exclusive_lock(path, 0.1),
    ):
        pass
    with exclusive_lock(path, 0.1):
        pass


def test_two_memories_do_not_lose_each_others_failures(site: Site, acme: Candidate) -> None:
    site.plugin("other")
    other = site.candidates()["other:other"]
    one, two = site.failures, site.failures
    assert one.recall(acme, 3) is None
    assert two.recall(acme, 3) is None

    _fail(one, acme)
    _fail(two, other)

    assert site.failures.recall(acme, 3) is not None
    assert site.failures.recall(other, 3) is not None


def test_deaths_in_a_row_quarantine_until_it_is_enabled_or_installed_anew(
    site: Site, acme: Candidate
) -> None:
    for _ in range(2):
        site.failures.add_deaths([(acme, "start")])
        site.failures.update(failed=[], succeeded=[acme])  # it starts, and dies later
        assert site.failures.recall(acme, 3) is None
    site.failures.add_deaths([(acme, "")])

    status = site.failures.recall(acme, 3)

    assert status is not None
    assert (status.state, status.code) == ("quarantined", "plugin.killed_its_process")
    assert "3 processes of serve in a row" in status.reason
    site.failures.forget_deaths(3)
    assert site.failures.recall(acme, 3) is not None
    assert site.failures.forget("acme")
    assert site.failures.recall(acme, 3) is None


def test_deaths_before_a_process_that_lasted_do_not_count(site: Site, acme: Candidate) -> None:
    for _ in range(2):
        site.failures.add_deaths([(acme, "start")])
        site.failures.add_deaths([(acme, "hook")])
        site.failures.forget_deaths(3)
    site.failures.add_deaths([(acme, "start")])

    assert site.failures.recall(acme, 3) is None
