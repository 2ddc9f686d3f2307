"""audit-trail on real files: what is recorded, and what is noticed when it was changed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from qtforge_builtin_plugins.pipelines.financial.audit import AuditTrail, AuditTrailConfig
from qtforge_builtin_plugins.pipelines.financial.messages import (
    AuditEntry,
    AuditListRequest,
    AuditRecordRequest,
    AuditRecordResponse,
    AuditVerifyRequest,
    AuditVerifyResponse,
    AuditWithdrawRequest,
)
from qtforge_sdk import OperationContext, OperationError, PluginContext
from qtforge_sdk.files import exclusive_lock


class Trail:
    """The plugin on a folder of its own."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.path = folder / "audit.jsonl"
        self.head = folder / "audit.jsonl.head"
        self.plugin = AuditTrail()
        self.plugin.config = AuditTrailConfig(**config)
        context = PluginContext(
            name="audit-trail",
            version="1.0.0",
            bus=None,  # type: ignore[arg-type]
            data_dir=folder,
            host_version="1.0.0",
        )
        asyncio.run(self.plugin.start(context))

    def record(
        self, event: str = "paid", key: str | None = None, step: str | None = None, **content: Any
    ) -> AuditRecordResponse:
        context = OperationContext("audit.record", "audit-trail", idempotency_key=step)
        request = AuditRecordRequest(event=event, content=content, idempotency_key=key)
        return self.plugin.record(request, context)

    def withdraw(self, key: str) -> int | None:
        request = AuditWithdrawRequest(idempotency_key=key, reason="a later stage failed")
        return self.plugin.withdraw(request).withdrawn

    def verify(self, contains: str | None = None) -> AuditVerifyResponse:
        return self.plugin.verify(AuditVerifyRequest(contains=contains))

    def entries(self, **asked: Any) -> list[AuditEntry]:
        return self.plugin.list_entries(AuditListRequest(**asked)).entries


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail(tmp_path)


@pytest.fixture
def filled(trail: Trail) -> Trail:
    for number in range(1, 6):
        trail.record(invoice=f"INV-{number}", total="100.00")
    return trail


def test_an_empty_trail_is_valid(trail: Trail) -> None:
    assert trail.verify() == AuditVerifyResponse(valid=True, entries=0, path=str(trail.path))
    assert trail.entries() == []


def test_entries_are_chained_and_valid(filled: Trail) -> None:
    lines = [json.loads(line) for line in filled.path.read_text().splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[0]["previous"] == "0" * 64
    assert [line["previous"] for line in lines[1:]] == [line["hash"] for line in lines[:-1]]
    found = filled.verify()
    assert (found.valid, found.entries, found.head) == (True, 5, lines[-1]["hash"])


def test_the_same_key_is_recorded_once_also_by_another_process(filled: Trail) -> None:
    first = filled.record(key="run-1/audit", total="1")
    again = filled.record(key="run-1/audit", total="1")
    other = Trail(filled.path.parent).record(key="run-1/audit", total="1")
    assert (first.new_entry, again.new_entry, other.new_entry) == (True, False, False)
    assert first.sequence == again.sequence == other.sequence == 6
    assert first.hash == again.hash == other.hash


def test_a_step_s_own_key_is_used_where_none_is_given(trail: Trail) -> None:
    assert trail.record(step="run-2/audit").new_entry
    assert not trail.record(step="run-2/audit").new_entry


def test_a_key_can_t_be_used_for_another_content(trail: Trail) -> None:
    trail.record(key="k", total="1")
    with pytest.raises(OperationError, match="entry 1") as caught:
        trail.record(key="k", total="2")
    assert caught.value.code == "audit.key_reused"


def test_what_is_withdrawn_stays_and_may_be_recorded_again(trail: Trail) -> None:
    trail.record(key="k", total="1")
    assert trail.withdraw("k") == 1
    assert trail.withdraw("k") is None
    assert trail.withdraw("never recorded") is None
    assert trail.record(key="k", total="2").sequence == 3
    assert [entry.event for entry in trail.entries()] == ["paid", "audit.withdrawn", "paid"]
    assert trail.verify().valid


def test_withdrawing_from_an_empty_trail_makes_no_file(trail: Trail) -> None:
    assert trail.withdraw("k") is None
    assert not trail.path.exists()


def change_content(lines: list[bytes]) -> list[bytes]:
    lines[2] = lines[2].replace(b"100.00", b"900.00")
    return lines


def remove_an_entry(lines: list[bytes]) -> list[bytes]:
    return lines[:2] + lines[3:]


def swap_entries(lines: list[bytes]) -> list[bytes]:
    lines[2], lines[3] = lines[3], lines[2]
    return lines


def give_a_key_twice(lines: list[bytes]) -> list[bytes]:
    lines[2] = lines[2].replace(b'{"content"', b'{"content":{"total":"1"},"content"')
    return lines


def put_in_a_space(lines: list[bytes]) -> list[bytes]:
    lines[2] = lines[2].replace(b'{"content"', b'{ "content"')
    return lines


def write_nonsense(lines: list[bytes]) -> list[bytes]:
    lines[2] = b"nonsense\n"
    return lines


def write_deep_nonsense(lines: list[bytes]) -> list[bytes]:
    lines[2] = b"[" * 100_000 + b"\n"
    return lines


@pytest.mark.parametrize(
    "tamper",
    [change_content, remove_an_entry, swap_entries, give_a_key_twice, put_in_a_space,
     write_nonsense, write_deep_nonsense],
)  # fmt: skip
def test_the_first_entry_that_was_tampered_with_is_named(
    filled: Trail, tamper: Callable[[list[bytes]], list[bytes]]
) -> None:
    filled.path.write_bytes(b"".join(tamper(filled.path.read_bytes().splitlines(keepends=True))))
    found = filled.verify()
    assert not found.valid
    assert found.broken is not None
    assert (found.broken.sequence, found.broken.line, found.entries) == (3, 3, 2)


def test_entries_cut_off_at_the_end_are_noticed(filled: Trail) -> None:
    filled.path.write_bytes(b"".join(filled.path.read_bytes().splitlines(keepends=True)[:3]))
    found = filled.verify()
    assert found.broken is not None
    assert "up to 5" in found.broken.reason
    filled.path.unlink()
    assert not filled.verify().valid


def test_a_trail_written_anew_does_not_fit_the_head_beside_it(
    filled: Trail, tmp_path: Path
) -> None:
    other = Trail(tmp_path / "other")
    for _ in range(5):
        other.record(total="0.01")
    filled.path.write_bytes(other.path.read_bytes())
    assert not filled.verify().valid


def test_a_hash_that_was_noted_elsewhere_is_asked_for(filled: Trail) -> None:
    noted = filled.entries()[1].hash
    assert filled.verify(contains=noted).valid
    assert filled.verify(contains=noted.upper()).valid
    assert not filled.verify(contains="f" * 64).valid
    assert not filled.verify(contains="").broken  # nothing was asked for


def test_a_tampered_trail_takes_no_more_entries(filled: Trail) -> None:
    filled.path.write_bytes(filled.path.read_bytes().replace(b"INV-3", b"INV-9"))
    with pytest.raises(OperationError, match="line 3") as caught:
        Trail(filled.path.parent).record()
    assert caught.value.code == "audit.damaged"


@pytest.mark.parametrize("cut", [1, 2, 50])
def test_an_entry_that_a_crash_cut_short_costs_no_other_entry(filled: Trail, cut: int) -> None:
    # The crash: the sixth line is on the disk in part, and nobody was told.
    whole = filled.path.read_bytes()
    head = filled.head.read_bytes()
    filled.record(key="sixth", total="6")
    torn = filled.path.read_bytes()[:-cut]
    filled.path.write_bytes(torn)
    filled.head.write_bytes(head)

    after = Trail(filled.path.parent)
    found = after.verify()
    assert (found.valid, found.entries, found.torn_bytes) == (True, 5, len(torn) - len(whole))
    assert after.record(key="sixth", total="6").new_entry
    assert after.path.read_bytes().startswith(whole)
    recovered, recorded = after.entries()[-2:]
    assert recovered.event == "audit.recovered"
    assert recovered.content["bytes"] == len(torn) - len(whole)
    assert recorded.content == {"total": "6"}
    assert (after.verify().valid, after.verify().torn_bytes) == (True, 0)


def test_a_crash_before_the_head_was_written_costs_nothing(filled: Trail) -> None:
    head = filled.head.read_bytes()
    filled.record()
    filled.head.write_bytes(head)
    after = Trail(filled.path.parent)
    assert after.verify().valid
    assert after.record().sequence == 7


def test_a_disk_that_takes_only_a_part_leaves_the_trail_as_it_was(
    filled: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = filled.path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OperationError, match="No space left") as caught:
        filled.record()
    assert caught.value.code == "audit.unwritable"
    monkeypatch.undo()
    assert filled.path.read_bytes() == before
    assert filled.record().sequence == 6
    assert filled.verify().valid


@pytest.mark.parametrize(
    "content", [{"x": float("nan")}, {"x": object()}, {"x": "\ud800"}, {"x": {1, 2}}]
)
def test_what_json_can_t_hold_is_refused(trail: Trail, content: dict[str, Any]) -> None:
    with pytest.raises(OperationError) as caught:
        trail.record(**content)
    assert caught.value.code == "audit.invalid_content"
    assert not trail.path.exists()


def test_the_trail_s_own_events_are_refused(trail: Trail) -> None:
    with pytest.raises(OperationError) as caught:
        trail.record("audit.withdrawn", key="x")
    assert caught.value.code == "audit.invalid_content"


def test_numbers_and_languages_keep_their_hash(trail: Trail) -> None:
    trail.record(a=0.1, b=1e300, c=10**30, d="Счёт № 7 \u2028 🧾", f=[True, None, {"z": 1, "a": 2}])
    assert trail.verify().valid
    assert trail.entries()[0].content["d"] == "Счёт № 7 \u2028 🧾"


def test_lists_are_the_latest_and_bounded(filled: Trail) -> None:
    filled.record("refused")
    assert [entry.sequence for entry in filled.entries(limit=2)] == [5, 6]
    assert [entry.sequence for entry in filled.entries(event="refused")] == [6]
    with pytest.raises(OperationError) as caught:
        filled.entries(limit=0)
    assert caught.value.code == "audit.invalid_limit"


def test_a_folder_that_can_t_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OperationError) as caught:
        Trail(tmp_path / "file").record()
    assert caught.value.code == "audit.unwritable"


def test_a_lock_held_elsewhere_is_waited_for_but_not_for_ever(filled: Trail) -> None:
    impatient = Trail(filled.path.parent, lock_timeout="100ms")
    with (
        exclusive_lock(filled.path, 0),
        pytest.raises(OperationError) as caught,
    ):
        impatient.record()
    assert caught.value.code == "audit.locked"
    assert caught.value.retryable


def test_threads_and_processes_record_every_entry_once(trail: Trail) -> None:
    program = """
import sys
from pathlib import Path
from qtforge_builtin_plugins.pipelines.financial.audit import _now
from qtforge_builtin_plugins.pipelines.financial.trail import Trail
trail = Trail(Path(sys.argv[1]), 30, _now)
for number in range(20):
    trail.record("made", {"number": number}, f"shared-{number}")
    trail.record("made", {"by": sys.argv[2], "number": number}, None)
"""
    others = [
        subprocess.Popen([sys.executable, "-c", program, str(trail.path), name])
        for name in ("one", "two")
    ]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: trail.record(key=f"mine-{n % 10}", n=n % 10), range(40)))
    assert [other.wait(60) for other in others] == [0, 0]
    assert sum(result.new_entry for result in results) == 10
    found = trail.verify()
    assert (found.valid, found.entries) == (True, 10 + 20 + 2 * 20)
