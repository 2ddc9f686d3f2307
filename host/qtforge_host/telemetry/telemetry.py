"""`Telemetry`: traces the runs of a process; implements `qtforge_host.runs.tracing.Tracing`."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision, Sampler
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from qtforge_host.config.telemetry import TelemetrySettings
from qtforge_host.runs.run_keys import Start
from qtforge_host.runs.state import RunState
from qtforge_host.telemetry.run_spans import RunSpans
from qtforge_host.telemetry.span_maker import SpanMaker
from qtforge_host.telemetry.span_queue import SpanQueue
from qtforge_host.trace_context import TRACE_VARIABLES, run_trace_id
from qtforge_sdk import Record
from qtforge_sdk.records import StartedKind, TraceContext

__all__ = ["Telemetry"]

_LINKED: Final[tuple[StartedKind, ...]] = ("schedule", "event", "rerun", "fork")
_UNSAMPLED: Final = trace.set_span_in_context(
    NonRecordingSpan(SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(0))),
    context_api.Context(),
)


class Telemetry:
    """Traces the runs of a process.

    Args:
        settings: What is traced.
        provider: Makes tracers.
        queue: Where its spans wait; None where another part of the process made the provider.
        environ: The variables that may name the span of which all runs are a part.

    Attributes:
        provider: Makes tracers.
    """

    def __init__(
        self,
        settings: TelemetrySettings,
        provider: trace.TracerProvider,
        queue: SpanQueue | None,
        environ: Mapping[str, str],
    ) -> None:
        self.provider: Final = provider
        self._maker: Final = SpanMaker(provider, queue)
        self._settings: Final = settings
        self._queue: Final = queue
        sampler = getattr(provider, "sampler", DEFAULT_ON)
        self._sampler: Final[Sampler] = sampler
        headers = {name: environ.get(variable, "") for variable, name in TRACE_VARIABLES.items()}
        self._ambient: Final = _span_of(propagate.extract(headers, context_api.Context()))

    @property
    def dropped(self) -> int:
        """How many spans could not be delivered."""
        return 0 if self._queue is None else self._queue.dropped

    def started(self, run_id: str, start: Start, *, is_child: bool) -> TraceContext | None:
        """Return the trace of a new run; None for one that is not recorded."""
        around = _span_of(None)
        if not around.is_valid and not is_child:
            around = self._ambient
        is_linked = start.by is not None and start.by.kind in _LINKED
        if not is_linked and around.is_valid:
            if not around.trace_flags.sampled:
                return None
            return TraceContext(
                trace_id=f"{around.trace_id:032x}",
                parent=f"{around.span_id:016x}",
                state=around.trace_state.to_header(),
            )
        if is_child:
            return None  # its parent is not recorded
        trace_id = run_trace_id(run_id)
        result = self._sampler.should_sample(context_api.Context(), int(trace_id, 16), "run")
        if result.decision is not Decision.RECORD_AND_SAMPLE:
            return None
        links = [start.like] if start.like else []
        if around.is_valid:
            flags = int(around.trace_flags)
            links.append(f"00-{around.trace_id:032x}-{around.span_id:016x}-{flags:02x}")
        return TraceContext(trace_id=trace_id, links=tuple(links))

    def tracer(self, state: RunState, records: Sequence[Record]) -> RunSpans | None:
        """Return what traces a run; None for one that is not recorded."""
        if state.started is None or state.started.trace is None:
            return None
        return RunSpans(self._maker, self._settings.capture, state, state.started.trace, records)

    def executing(self, tracer: Any) -> AbstractContextManager[None]:
        """Return a context in which a run is the current span."""
        # Of a run that is not recorded, what its plugins' libraries do is not recorded either.
        return _current(_UNSAMPLED if tracer is None else tracer.context)

    @contextlib.contextmanager
    def serving(self, method: str, route: str, headers: Mapping[str, str]) -> Generator[trace.Span]:
        """Make a span of an HTTP request; it ends with the context.

        Args:
            method: Of the request.
            route: The path's template.
            headers: May have the context of the caller's trace.
        """
        caller = propagate.extract(dict(headers), context_api.Context())
        attributes = {"http.request.method": method, "http.route": route}
        span = self._maker.tracer.start_span(
            f"{method} {route}", caller, SpanKind.SERVER, attributes
        )
        with _current(trace.set_span_in_context(span, caller)):
            try:
                yield span
            except BaseException as error:
                code = getattr(error, "code", type(error).__name__)
                span.set_attribute("error.type", str(code))
                if getattr(error, "http_status", 500) >= 500:
                    span.set_status(Status(StatusCode.ERROR, str(code)))
                raise
            finally:
                span.end()

    def close(self, within_s: float) -> None:
        """Send the spans that wait, for so many seconds at most."""
        if self._queue is not None:
            self._queue.force_flush(int(within_s * 1000))


def _span_of(context: context_api.Context | None) -> SpanContext:
    return trace.get_current_span(context).get_span_context()


@contextlib.contextmanager
def _current(context: context_api.Context) -> Generator[None]:
    token = context_api.attach(context)
    try:
        yield
    finally:
        context_api.detach(token)
