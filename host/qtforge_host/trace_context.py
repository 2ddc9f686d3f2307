"""W3C trace context: the ids of traces and spans, and how they get from one process to another.

Nothing here imports OpenTelemetry. Where no part of the process has, there is no current span, and
asking for it costs a look into ``sys.modules``.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Generator, Mapping
from typing import Any, Final, NamedTuple

from qtforge_sdk.records import TraceContext

__all__ = [
    "TRACE_VARIABLES",
    "Parent",
    "attached",
    "carrier",
    "current_ids",
    "parse_traceparent",
    "run_span_id",
    "run_trace_id",
    "step_span_id",
    "trace_of_fork",
    "traceparent_of",
]

TRACE_VARIABLES: Final = {"TRACEPARENT": "traceparent", "TRACESTATE": "tracestate"}
"""The environment variables of a trace's context, and the headers that they stand for."""

_TRACEPARENT: Final = r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"


class Parent(NamedTuple):
    """A span that another process has begun.

    Attributes:
        trace_id: Its trace, 32 hexadecimal digits.
        span_id: The span, 16 hexadecimal digits.
        sampled: Whether the trace is recorded.
    """

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(text: str) -> Parent | None:
    """Return what a ``traceparent`` header says; None for one that is not valid.

    >>> parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").sampled
    True
    """
    found = re.fullmatch(_TRACEPARENT, text.strip().lower(), re.ASCII)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) * int(span_id, 16):
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & 1))


def _digits(text: str, count: int) -> str:
    import hashlib  # with OpenSSL: only a traced run waits for it

    found = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:count]
    return found if int(found, 16) else "1".rjust(count, "0")


def run_trace_id(run_id: str) -> str:
    """Return the id of the trace that begins with a run: the same in every process."""
    return _digits(run_id, 32)


def run_span_id(run_id: str, since: str = "") -> str:
    """Return the id of a run's span.

    Args:
        run_id: The run.
        since: When it went on after it had rested; "" for its beginning.
    """
    return _digits(f"{run_id}//{since}", 16)


def step_span_id(run_id: str, step: str, attempt: int) -> str:
    """Return the id of the span of a step's attempt; 0 for all attempts together."""
    return _digits(f"{run_id}/{step}/{attempt}", 16)


def traceparent_of(run_id: str, trace: TraceContext) -> str:
    """Return the ``traceparent`` of a run's own span, which is known before it has ended."""
    return f"00-{trace.trace_id}-{run_span_id(run_id)}-01"


def trace_of_fork(run_id: str, trace: TraceContext | None, new_id: str) -> TraceContext | None:
    """Return the trace of a run that was made from another, with a link to that one's.

    Args:
        run_id: The other run.
        trace: Its trace, or None.
        new_id: The new run.
    """
    if trace is None:
        return None
    return TraceContext(trace_id=run_trace_id(new_id), links=(traceparent_of(run_id, trace),))


def carrier() -> dict[str, str]:
    """Return the headers that pass the current span on; none where there is none."""
    found: dict[str, str] = {}
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import propagate

        propagate.inject(found)
    return found


def current_ids() -> tuple[str, str]:
    """Return the ids of the current trace and span, "" where nothing is recorded."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return "", ""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid or not span.trace_flags.sampled:
        return "", ""
    return f"{span.trace_id:032x}", f"{span.span_id:016x}"


@contextlib.contextmanager
def attached(headers: Mapping[str, str]) -> Generator[None]:
    """Let what another process has begun be the current span, if OpenTelemetry is installed.

    Args:
        headers: Of `carrier`, in that process.
    """
    context = _context_of(headers) if headers else None
    if context is None:
        yield
        return
    from opentelemetry import context as api

    token = api.attach(context)
    try:
        yield
    finally:
        api.detach(token)


def _context_of(headers: Mapping[str, str]) -> Any:
    try:
        from opentelemetry import propagate
    except ImportError:  # the process that asks has it, and this one need not
        return None
    return propagate.extract(dict(headers))
