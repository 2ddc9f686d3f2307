from __future__ import annotations

import datetime
import logging
import os
import threading
import time
from pathlib import Path

import msgspec
import pytest
from qtforge_sample_audit.entries import AuditEntry
from qtforge_sample_audit.writer import AuditWriter

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def entry(topic: str) -> AuditEntry:
    return AuditEntry(at=NOON, event="answered", topic=topic)


@pytest.fixture
def logger() -> logging.Logger:
    return logging.getLogger("test.audit")


def test_what_does_not_apply_is_left_out_of_the_line(
    tmp_path: Path, logger: logging.Logger
) -> None:
    writer = AuditWriter(tmp_path / "new" / "audit.jsonl", 10, logger)
    writer.note(entry("a.b"))
    assert writer.stop()
    text = (tmp_path / "new" / "audit.jsonl").read_text()
    assert text == '{"at":"2026-03-01T12:00:00Z","event":"answered","topic":"a.b"}\n'


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_a_queue_that_is_full_never_waits_and_counts_what_it_drops(
    tmp_path: Path, logger: logging.Logger
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    # A pipe whose reader reads nothing stands for a disk that has stopped to answer.
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        writer = AuditWriter(path, 4, logger)
        for _ in range(200):
            writer.note(entry("x" * 60_000))
        os.set_blocking(reading, True)
        received = bytearray()

        def receive() -> None:
            while chunk := os.read(reading, 1 << 20):
                received.extend(chunk)

        reader = threading.Thread(target=receive, daemon=True)
        reader.start()
        assert writer.stop()
        reader.join(60)
    finally:
        os.close(reading)
    entries = [msgspec.json.decode(line, type=AuditEntry) for line in bytes(received).splitlines()]
    written = [each for each in entries if each.event == "answered"]
    dropped = sum(each.count or 0 for each in entries if each.event == "dropped")
    assert dropped > 150
    assert len(written) + dropped == 200


def test_a_line_that_was_cut_short_spoils_no_other(
    tmp_path: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    writer = AuditWriter(path, 10, logger)
    whole, calls = writer._file, list[int]()

    class HalfFull:
        """Takes half of the first line, then says that the disk is full, once."""

        def write(self, data: memoryview) -> int:
            calls.append(len(data))
            if len(calls) == 1:
                return whole.write(data[: len(data) // 2]) or 0
            if len(calls) == 2:
                raise OSError(28, "No space left on device")
            return whole.write(data) or 0

        def fileno(self) -> int:
            return whole.fileno()

        def close(self) -> None:
            whole.close()

    monkeypatch.setattr(writer, "_file", HalfFull())
    writer.note(entry("first"))
    deadline = time.monotonic() + 60
    while len(calls) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    writer.note(entry("second"))
    assert writer.stop()
    torn, *rest = path.read_text().splitlines()
    assert torn == '{"at":"2026-03-01T12:00:00Z","ev'
    second, gap = (msgspec.json.decode(line, type=AuditEntry) for line in rest)
    assert (second.event, second.topic) == ("answered", "second")
    assert (gap.event, gap.count) == ("dropped", 1)
