"""Spans that wait to be sent: at most so many, and what is too much is counted."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

__all__ = ["QueueLimits", "SpanQueue"]

_LOG: Final = logging.getLogger("qtforge.telemetry")
_EXPORTERS: Final = "opentelemetry.exporter"  # above the loggers of all exporters


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a queue.

    Attributes:
        most: So many spans wait.
        batch: So many are sent at once.
        delay_s: After so many seconds at the latest.
    """

    most: int
    batch: int
    delay_s: float


class _Reasons(logging.Handler):
    """Keeps the last of what exporters log, which would be a line for each try otherwise."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.last = record.getMessage()


class SpanQueue(SpanProcessor):
    """Sends spans in a thread of its own, which never delays a run.

    Args:
        exporter: Sends them.
        limits: How many wait, and for how long.

    Attributes:
        dropped: How many were not sent: the queue was full, or the receiver did not take them.
    """

    def __init__(self, exporter: SpanExporter, limits: QueueLimits) -> None:
        self.dropped = 0
        self._exporter: Final = exporter
        self._limits: Final = limits
        self._waiting: Final[deque[ReadableSpan]] = deque()
        self._wake: Final = threading.Event()
        self._idle: Final = threading.Event()
        self._idle.set()
        self._closing = False
        self._complained = False
        self._reasons: Final = _Reasons()
        exporters = logging.getLogger(_EXPORTERS)
        exporters.addHandler(self._reasons)
        self._propagated: Final = exporters.propagate
        exporters.propagate = False
        self._thread: Final = threading.Thread(
            target=self._send_all, name="qtforge-telemetry", daemon=True
        )
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Let a span wait; the oldest is dropped where there are too many."""
        if self._closing:
            self.dropped += 1
            return
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        waiting = self._waiting
        if len(waiting) >= self._limits.most:
            waiting.popleft()
            self.dropped += 1
        waiting.append(span)
        if self._idle.is_set():
            self._idle.clear()
        if len(waiting) >= self._limits.batch and not self._wake.is_set():
            self._wake.set()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits; return whether that was done in time."""
        self._wake.set()
        return self._idle.wait(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Send what waits, within a moment."""
        self.close(0.5)

    def close(self, within_s: float) -> None:
        """Send what waits for so many seconds at most, and count what could not be sent."""
        if self._closing:
            return
        until = time.monotonic() + within_s
        self._closing = True
        self._wake.set()
        self._thread.join(within_s)
        if self._thread.is_alive():
            self._exporter.shutdown()  # ends its waits between tries
            self._thread.join(max(0.0, until - time.monotonic()))
        lost = len(self._waiting)
        self.dropped += lost
        exporters = logging.getLogger(_EXPORTERS)
        exporters.removeHandler(self._reasons)
        exporters.propagate = self._propagated
        if self.dropped:
            _LOG.warning("%d spans were not delivered", self.dropped)

    def _send_all(self) -> None:
        limits = self._limits
        while True:
            self._wake.wait(limits.delay_s)
            self._wake.clear()
            while self._waiting:
                if not self._send() and self._closing:
                    return
            self._idle.set()
            if self._waiting:  # it came just before
                self._idle.clear()
            elif self._closing:
                self._exporter.shutdown()
                return

    def _send(self) -> bool:
        waiting = self._waiting
        batch: list[ReadableSpan] = []
        try:
            while len(batch) < self._limits.batch:
                batch.append(waiting.popleft())
        except IndexError:
            pass
        sent = self._export(batch)
        if not sent:
            self.dropped += len(batch)
        return sent

    def _export(self, batch: Sequence[ReadableSpan]) -> bool:
        self._reasons.last = ""
        try:
            result = self._exporter.export(batch)
        except Exception as error:  # noqa: BLE001 - of an exporter and what it uses
            self._reasons.last = f"{type(error).__name__}: {error}"
            result = SpanExportResult.FAILURE
        sent = result is SpanExportResult.SUCCESS
        if sent:
            self._complained = False
        elif not self._complained and not self._closing:
            self._complained = True
            _LOG.warning("traces are not delivered: %s", self._reasons.last or "no reason given")
        return sent
