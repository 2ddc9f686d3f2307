"""Durable runs that are traced: none of them, some of them, and without telemetry."""

from __future__ import annotations

import contextlib
import http.server
import multiprocessing
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from benchmarks.hosting import engine_with
from benchmarks.measuring import Candidate, Figure, Goal, measure
from benchmarks.runs import AT_ONCE, ROUND_S, STEPS, WORKFLOW, CheckedRuns, Counts, candidate
from qtforge_host.config.telemetry import TelemetrySettings
from qtforge_host.gc_tuning import freeze_heap
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.telemetry.span_queue import QueueLimits, SpanQueue
from qtforge_host.telemetry.telemetry import Telemetry

__all__ = ["measure_telemetry"]

# The part of runs that is recorded, and how many times as long a step may take then: at most 4 %
# and 25 % of the steps in a second are lost.
_SAMPLED: Final = ((0.0, 1.02), (0.01, 1 / 0.96), (0.1, 1 / 0.75))
_LIMITS: Final = QueueLimits(most=16_384, batch=512, delay_s=0.5)


async def measure_telemetry(rounds: int) -> list[Figure]:
    """Time runs of which a part is traced, beside runs of a host that traces none.

    The spans go over HTTP to a receiver, which is a process of its own.
    """
    freeze_heap()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qtforge-bench-")))
        url = stack.enter_context(_receiver())
        candidates: list[Candidate] = []
        checked: list[CheckedRuns] = []
        for number, (part, most) in enumerate([(None, None), *_SAMPLED]):
            counts = Counts()
            telemetry = None
            if part is not None:
                queue = SpanQueue(OTLPSpanExporter(f"{url}/v1/traces"), _LIMITS)
                stack.callback(queue.close, 10.0)
                sampler = ParentBased(TraceIdRatioBased(part))
                provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
                provider.add_span_processor(queue)
                telemetry = Telemetry(TelemetrySettings(enabled=True), provider, queue, {})
            journal = SqliteJournal(folder / str(number))
            engine = await stack.enter_async_context(
                engine_with(journal, WORKFLOW, counts, tracing=telemetry)
            )
            own = CheckedRuns(engine, counts)
            checked.append(own)
            name = "without telemetry" if part is None else f"with {part:.0%} of runs recorded"
            goal = None if most is None else Goal(ratio=most)
            candidates.append(candidate(name, own.once, goal))
        found = await measure(
            f"one step of durable runs of {STEPS}, {AT_ONCE} runs at once, traced",
            candidates,
            rounds,
            ROUND_S,
        )
        for own in checked:
            own.check()
    return found


class _Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _receive(connection: Connection) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    connection.send(server.server_address[1])
    server.serve_forever()


@contextlib.contextmanager
def _receiver() -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_receive, args=(theirs,), daemon=True
    )
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()
