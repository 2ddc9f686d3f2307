"""The thread that writes, so that nobody else waits for the disk."""

from __future__ import annotations

import datetime
import logging
import os
import queue
import threading
import time
from pathlib import Path
from typing import Final

import msgspec

from qtforge_sample_audit.entries import AuditEntry

__all__ = ["AuditWriter"]

_STOP_TIMEOUT_S: Final = 5.0


class AuditWriter:
    """Appends entries to a file, in order, from one thread with a bounded queue.

    Args:
        path: Its folder is made.
        capacity: How many entries may wait.
        logger: Logs failures.

    Raises:
        OSError: The file can't be opened.
    """

    def __init__(self, path: Path, capacity: int, logger: logging.Logger) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._logger = logger
        # Without a buffer: one that could not be flushed would be written again later.
        self._file = path.open("ab", buffering=0)
        self._torn = False  # whether the last line was cut short
        self._entries: queue.Queue[AuditEntry | None] = queue.Queue(capacity)
        self._lock = threading.Lock()
        self._dropped = 0
        # A daemon, so that a disk that never answers can't keep the host from ending.
        self._thread = threading.Thread(target=self._work, name="audit-log", daemon=True)
        self._thread.start()

    def note(self, entry: AuditEntry) -> None:
        """Take an entry without waiting; when the queue is full it is dropped and counted."""
        try:
            self._entries.put_nowait(entry)
        except queue.Full:
            self._lose(1)

    def stop(self) -> bool:
        """Write what waits, and close the file.

        Returns:
            False when the disk did not take it all within five seconds.
        """
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        try:
            self._entries.put(None, timeout=_STOP_TIMEOUT_S)
            self._thread.join(max(0.0, deadline - time.monotonic()))
        except queue.Full:
            pass  # the thread is still alive, and stuck
        if self._thread.is_alive():
            self._logger.error("%s: the last entries may be missing", self._path)
            return False
        return True

    def _lose(self, count: int) -> None:
        with self._lock:
            self._dropped += count

    def _work(self) -> None:
        stopping = False
        try:
            while not stopping:
                batch = self._next_batch()
                stopping = None in batch
                self._write([each for each in batch if each is not None])
        finally:
            self._close()

    def _next_batch(self) -> list[AuditEntry | None]:
        """Wait for an entry, and return it with those that follow."""
        batch = [self._entries.get()]
        while True:
            try:
                batch.append(self._entries.get_nowait())
            except queue.Empty:
                return batch

    def _write(self, batch: list[AuditEntry]) -> None:
        lines = [line for each in batch if (line := self._encoded(each)) is not None]
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            now = datetime.datetime.now(datetime.UTC)
            gap = AuditEntry(at=now, event="dropped", count=dropped)
            lines.append(msgspec.json.encode(gap))
        if not lines:
            return
        try:
            self._append(b"".join(line + b"\n" for line in lines))
        except OSError as error:
            self._lose(len(lines) - bool(dropped) + dropped)
            self._logger.error("%s can't be written: %s", self._path, error)

    def _encoded(self, entry: AuditEntry) -> bytes | None:
        try:
            return msgspec.json.encode(entry)
        except (TypeError, ValueError, OverflowError) as error:  # such as half a surrogate pair
            self._lose(1)
            self._logger.error("an entry of '%s' has no JSON form: %s", entry.topic, error)
            return None

    def _append(self, data: bytes) -> None:
        rest = memoryview(b"\n" + data if self._torn else data)
        while rest:
            written = self._file.write(rest) or 0
            self._torn = written < len(rest)  # true until the last byte is there
            rest = rest[written:]

    def _close(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:  # a pipe or a terminal can't be synced, and needs not
            self._logger.debug("%s was not synced: %s", self._path, error)
        finally:
            self._file.close()
