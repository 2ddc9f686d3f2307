"""`RunSpans`: make the spans of one run from its records.

A span is made when the record of its end is written, with ids that its run, step and attempt give
and with the times of the records. So a run that another process continues goes on in the same
trace, a step that the journal answers has no second span, and what is beneath a span knows its id
before it is sent.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from qtforge_host.config.telemetry import Captured
from qtforge_host.runs.state import RunState
from qtforge_host.telemetry.span_maker import SpanEvent, SpanMaker, SpanParts, span_context
from qtforge_host.trace_context import run_span_id, step_span_id
from qtforge_sdk import ErrorInfo, Record
from qtforge_sdk.records import (
    CheckpointSaved,
    CompensationFailed,
    CompensationStarted,
    CompensationSucceeded,
    RunBlocked,
    RunFinished,
    RunPaused,
    RunQueued,
    RunReset,
    RunResumed,
    RunStarted,
    RunWaiting,
    StepFailed,
    StepStarted,
    StepSucceeded,
    TraceContext,
)

__all__ = ["RunSpans"]

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_MOST_CAPTURED: Final = 8192  # characters of one input or output
_Ended = StepSucceeded | StepFailed | CompensationSucceeded | CompensationFailed


class _Attached(AbstractContextManager[None]):
    """Lets a context be the current one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token: Any = None

    def __enter__(self) -> None:
        self._token = context_api.attach(self._context)

    def __exit__(self, *_: object) -> None:
        context_api.detach(self._token)


class RunSpans:
    """Makes the spans of a run that this process executes; implements `RunTracer`.

    Args:
        maker: Makes spans.
        capture: What spans have of inputs and outputs.
        state: What the run's records add up to.
        trace: The run's trace.
        records: The run's records from its last checkpoint on.

    Attributes:
        context: In which the run is the current span.
    """

    def __init__(
        self,
        maker: SpanMaker,
        capture: Sequence[Captured],
        state: RunState,
        trace: TraceContext,
        records: Sequence[Record],
    ) -> None:
        self._maker: Final = maker
        self._capture: Final = capture
        self._state: Final = state
        self._trace: Final = trace
        self._last: Record = records[-1]
        self._since, self._begun = _activity(records)
        self._messages: dict[str, str] = {}
        self._undone_by: dict[str, str] = {}
        # When the first attempt of a step began that is attempted again.
        self._first: dict[str, int] = {
            step: _ns(failed.at) - int(failed.duration_s * 1e9)
            for step, failed in state.failed_attempts.items()
        }
        self._span_id = run_span_id(state.run_id, self._since)
        self.context = span_context(trace.trace_id, self._span_id, trace.state)

    def attempt(self, step: str, topic: str, number: int) -> AbstractContextManager[None]:
        """Return a context in which an attempt is the current span."""
        within = step if not topic else f"{step}/process"
        span_id = step_span_id(self._state.run_id, within, number)
        return _Attached(span_context(self._trace.trace_id, span_id, self._trace.state))

    def on_record(self, record: Record) -> None:
        """Make the spans that end with a record."""
        self._last = record
        match record:
            case StepStarted():
                if "input" in self._capture and record.message is not None:
                    self._messages[record.step] = _captured(record.message)
            case StepSucceeded() | StepFailed():
                topic = self._state.topics.get(record.step, "")
                self._ended(f"step {record.step}", record.step, topic, record)
            case CompensationStarted():
                self._undone_by[record.step] = record.topic
            case CompensationSucceeded() | CompensationFailed():
                topic = self._undone_by.get(record.step, "")
                self._ended(f"undo {record.step}", f"{record.step}/compensation", topic, record)
            case CheckpointSaved():
                self._end_activity(record.at, {"qtforge.run.state": record.label,
                    "qtforge.event.name": record.event})  # fmt: skip
                self._go_on(_key(record))
            case RunFinished():
                self._end_activity(
                    record.at,
                    {"qtforge.run.status": record.status, "qtforge.run.degraded": record.degraded},
                    record.error,
                    record.result,
                )
            case _:
                pass
        if self._begun is None and not isinstance(record, CheckpointSaved):
            self._begun = record.at

    def rested(self) -> None:
        """Make the span of what the run has done since it last rested."""
        if _is_rest(self._last):
            error = self._state.error if isinstance(self._last, RunBlocked) else None
            self._end_activity(self._last.at, {"qtforge.run.status": self._state.status}, error)

    def _go_on(self, since: str) -> None:
        self._since, self._begun = since, None
        self._span_id = run_span_id(self._state.run_id, self._since)
        self.context = span_context(self._trace.trace_id, self._span_id, self._trace.state)

    def _end_activity(
        self,
        at: datetime.datetime,
        outcome: dict[str, Any],
        error: ErrorInfo | None = None,
        result: Any = None,
    ) -> None:
        state, trace, started = self._state, self._trace, self._state.started
        assert started is not None  # noqa: S101 - the trace is in it
        is_first = self._since == ""
        attributes: dict[str, Any] = {
            "qtforge.run.id": state.run_id,
            "qtforge.workflow.name": started.workflow,
            "qtforge.workflow.version": started.workflow_version,
            "qtforge.workflow.kind": started.kind,
            **{name: value for name, value in outcome.items() if value != ""},
        }
        if started.started_by is not None:
            attributes["qtforge.run.started_by"] = started.started_by.kind
        if is_first and "input" in self._capture:
            attributes["qtforge.run.input"] = _captured(started.input)
        if result is not None and "output" in self._capture:
            attributes["qtforge.run.output"] = _captured(result)
        self._maker.make(
            SpanParts(
                name=f"run {started.workflow}",
                trace_id=trace.trace_id,
                span_id=self._span_id,
                parent=trace.parent if is_first else run_span_id(state.run_id),
                state=trace.state,
                started_ns=_ns(self._begun or at),
                ended_ns=_ns(at),
                attributes=attributes,
                links=trace.links if is_first else (),
                error=error,
            )
        )

    def _ended(self, name: str, step: str, topic: str, record: _Ended) -> None:
        """Make the spans of an attempt that has ended, and of its step where it was the last."""
        number, ended_ns = record.attempt, _ns(record.at)
        started_ns = ended_ns - int(record.duration_s * 1e9)
        error = record.error if isinstance(record, StepFailed | CompensationFailed) else None
        again = isinstance(record, StepFailed | CompensationFailed) and record.will_retry
        span_id = step_span_id(self._state.run_id, step, number)
        attributes = {"qtforge.run.id": self._state.run_id, "qtforge.step.name": record.step}
        whole_id, first_ns = span_id, self._first.pop(step, started_ns)
        if number > 1 or again:  # a span for each attempt, within that of the step
            whole_id = step_span_id(self._state.run_id, step, 0)
            events: tuple[SpanEvent, ...] = ()
            if again and isinstance(record, StepFailed | CompensationFailed):
                self._first[step] = first_ns
                next_at = record.next_at or record.at
                delay_s = (next_at - record.at).total_seconds()
                events = (SpanEvent("retry", {"qtforge.retry.delay_s": delay_s}, ended_ns),)
            self._make(
                f"attempt {number}", span_id, whole_id, started_ns, ended_ns,
                {**attributes, "qtforge.step.attempt": number}, error, events,
            )  # fmt: skip
        if topic:
            self._process(step, topic, number, span_id, started_ns, ended_ns, record, error)
        if again:
            return
        if "input" in self._capture and (message := self._messages.pop(step, "")):
            attributes["qtforge.step.input"] = message
        if isinstance(record, StepSucceeded):
            if "output" in self._capture:
                attributes["qtforge.step.output"] = _captured(record.data)
            if record.degraded is not None:
                attributes["qtforge.step.degraded"] = record.degraded
        self._make(name, whole_id, self._span_id, first_ns, ended_ns, attributes, error)

    def _process(
        self,
        step: str,
        topic: str,
        number: int,
        parent: str,
        started_ns: int,
        ended_ns: int,
        record: _Ended,
        error: ErrorInfo | None,
    ) -> None:
        attributes: dict[str, Any] = {
            "messaging.system": "qtforge",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
        }
        if isinstance(record, StepSucceeded | CompensationSucceeded):
            plugin, version = record.plugin, record.plugin_version
        else:
            plugin, version = record.error.plugin, record.error.plugin_version
        if plugin:
            attributes["qtforge.plugin.name"] = plugin
            attributes["qtforge.plugin.version"] = version or ""
        span_id = step_span_id(self._state.run_id, f"{step}/process", number)
        self._make(
            f"process {topic}", span_id, parent, started_ns, ended_ns, attributes, error,
            kind=SpanKind.CONSUMER,
        )  # fmt: skip

    def _make(
        self,
        name: str,
        span_id: str,
        parent: str,
        started_ns: int,
        ended_ns: int,
        attributes: dict[str, Any],
        error: ErrorInfo | None,
        events: tuple[SpanEvent, ...] = (),
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        self._maker.make(
            SpanParts(
                name=name,
                trace_id=self._trace.trace_id,
                span_id=span_id,
                parent=parent,
                state=self._trace.state,
                started_ns=started_ns,
                ended_ns=ended_ns,
                attributes=attributes,
                kind=kind,
                events=events,
                error=error,
            )
        )


def _activity(records: Sequence[Record]) -> tuple[str, datetime.datetime | None]:
    """Return since when a run has not rested, as a key and as a time; "" for its start.

    A process that died, or left the run in the middle, has ended nothing: the run's next process
    makes the span of both.
    """
    since = ""
    begun: datetime.datetime | None = records[0].at
    before: Record | None = None
    for record in records:
        if isinstance(record, CheckpointSaved):
            since, begun = _key(record), None
        elif isinstance(record, RunResumed):
            queued = isinstance(before, RunStarted) and before.queue is not None
            if queued or begun is None:
                begun = record.at
            elif not record.died and before is not None and _is_rest(before):
                since, begun = record.at.isoformat(), record.at
        elif begun is None:
            begun = record.at
        if not isinstance(record, RunQueued):
            before = record
    return since, begun


def _key(record: CheckpointSaved) -> str:
    return f"{record.at.isoformat()}/{record.label}/{record.event_id}"


def _is_rest(record: Record) -> bool:
    if isinstance(record, RunWaiting):
        return not record.over
    return isinstance(record, RunPaused | RunBlocked | RunReset)


def _ns(at: datetime.datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND * 1000


def _captured(value: Any) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= _MOST_CAPTURED else f"{text[:_MOST_CAPTURED]}…"
