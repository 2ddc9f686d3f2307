"""Make spans whose ids and times are known, with the tracer of any provider."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from qtforge_host.telemetry.span_queue import SpanQueue
from qtforge_host.trace_context import parse_traceparent
from qtforge_sdk import ErrorInfo

__all__ = ["SpanEvent", "SpanMaker", "SpanParts", "links_of", "span_context"]

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_UNSET: Final = Status()
_RUNS: Final = "qtforge.runs"
_SCOPE: Final = InstrumentationScope(_RUNS)


class SpanEvent(NamedTuple):
    """Something that happened within a span, at a time in nanoseconds."""

    name: str
    attributes: Mapping[str, Any]
    at_ns: int


class SpanParts(msgspec.Struct, frozen=True, kw_only=True):
    """A span that has ended.

    Attributes:
        name: Its name.
        trace_id: Its trace, 32 hexadecimal digits.
        span_id: Its own id, 16 hexadecimal digits.
        parent: The id of its parent; "" for none.
        state: The trace's ``tracestate``, or "".
        started_ns: When it began, in nanoseconds since 1970.
        ended_ns: When it ended.
        kind: What it is for its trace.
        attributes: What else is known.
        links: Spans that led to it, each as a ``traceparent``.
        events: What happened within it.
        error: Why it failed, or None.
    """

    name: str
    trace_id: str
    span_id: str
    parent: str
    state: str
    started_ns: int
    ended_ns: int
    kind: SpanKind = SpanKind.INTERNAL
    attributes: Mapping[str, Any] = {}
    links: tuple[str, ...] = ()
    events: tuple[SpanEvent, ...] = ()
    error: ErrorInfo | None = None


class _GivenIds(IdGenerator):
    """Gives the ids that were set for the next span."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class SpanMaker:
    """Makes spans whose ids are derived.

    Args:
        provider: Makes tracers. One that is none of OpenTelemetry's SDK gives ids of its own.
        queue: Where the provider's spans wait, if it was made by this package: a span that has
            ended is put there at once, which takes a fifth of the time of a tracer.

    Attributes:
        tracer: Makes spans with other ids.
    """

    def __init__(self, provider: trace.TracerProvider, queue: SpanQueue | None) -> None:
        self._queue: Final = queue
        self._resource: Final[Resource | None] = getattr(provider, "resource", None)
        self.tracer: Final = provider.get_tracer("qtforge.http")
        self._tracer: Final[Any] = provider.get_tracer(_RUNS)
        self._ids: Final = _GivenIds()
        self._lock: Final = threading.Lock()  # hosts in several threads share a provider
        if hasattr(self._tracer, "id_generator"):
            self._tracer.id_generator = self._ids

    def make(self, parts: SpanParts) -> None:
        """Make a span and end it."""
        if self._queue is not None:
            self._queue.on_end(_ended(parts, self._resource))
            return
        trace_id = int(parts.trace_id, 16)
        within = Context()
        if parts.parent:
            within = span_context(parts.trace_id, parts.parent, parts.state)
        with self._lock:
            self._ids.trace_id, self._ids.span_id = trace_id, int(parts.span_id, 16)
            span: trace.Span = self._tracer.start_span(
                parts.name,
                within,
                parts.kind,
                parts.attributes,
                links_of(parts.links) if parts.links else (),
                parts.started_ns,
            )
        for name, attributes, at_ns in parts.events:
            span.add_event(name, attributes, at_ns)
        if parts.error is not None:
            _fail(span, parts.error, parts.ended_ns)
        span.end(max(parts.started_ns, parts.ended_ns))


def span_context(trace_id: str, span_id: str, state: str) -> Context:
    """Return the context in which a span with these ids is the current one."""
    found = SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=_SAMPLED,
        trace_state=TraceState.from_header([state]) if state else None,
    )
    return trace.set_span_in_context(NonRecordingSpan(found), Context())


def links_of(traceparents: Iterable[str]) -> list[Link]:
    """Return links to the spans that these ``traceparent`` values name."""
    found = []
    for text in traceparents:
        parent = parse_traceparent(text)
        if parent is not None:
            flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else 0)
            ids = int(parent.trace_id, 16), int(parent.span_id, 16)
            found.append(Link(SpanContext(*ids, is_remote=True, trace_flags=flags)))
    return found


def _ended(parts: SpanParts, resource: Resource | None) -> ReadableSpan:
    """Return a span that has ended."""
    trace_id, error = int(parts.trace_id, 16), parts.error
    state = TraceState.from_header([parts.state]) if parts.state else None
    parent = None
    if parts.parent:
        parent = SpanContext(trace_id, int(parts.parent, 16), True, _SAMPLED, state)
    events = [Event(name, attributes, at_ns) for name, attributes, at_ns in parts.events]
    attributes, status = parts.attributes, _UNSET
    if error is not None:
        attributes = {**attributes, "error.type": error.code}
        events.append(Event("exception", _exception(error), parts.ended_ns))
        status = Status(StatusCode.ERROR, error.code)
    return ReadableSpan(
        parts.name,
        SpanContext(trace_id, int(parts.span_id, 16), False, _SAMPLED, state),
        parent,
        resource,
        attributes,
        events,
        links_of(parts.links) if parts.links else (),
        parts.kind,
        status=status,
        start_time=parts.started_ns,
        end_time=max(parts.started_ns, parts.ended_ns),
        instrumentation_scope=_SCOPE,
    )


def _exception(error: ErrorInfo) -> dict[str, str]:
    said = {"exception.type": error.code, "exception.message": error.message}
    if error.traceback:
        said["exception.stacktrace"] = error.traceback
    return said


def _fail(span: trace.Span, error: ErrorInfo, at_ns: int) -> None:
    span.set_attribute("error.type", error.code)
    span.add_event("exception", _exception(error), at_ns)
    span.set_status(Status(StatusCode.ERROR, error.code))
