"""The spans of runs, made from their records, over several processes of one state."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanKind, StatusCode

from qtforge_host.cli.logs import JsonFormatter
from qtforge_host.config.telemetry import TelemetrySettings
from qtforge_host.runs.reset import forked
from qtforge_host.runs.run_keys import Start
from qtforge_host.telemetry.telemetry import Telemetry
from qtforge_host.trace_context import (
    parse_traceparent,
    run_span_id,
    run_trace_id,
    step_span_id,
)
from qtforge_sdk import Compensation, Record, Run
from qtforge_sdk.policies import Retry
from qtforge_sdk.records import (
    RunFinished,
    RunStarted,
    StartedBy,
    StepFailed,
    StepSucceeded,
    TraceContext,
)

THREE = Retry(max_attempts=3, initial_delay="1s", jitter=0)
OUTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Seen:
    """The spans that were made.

    Attributes:
        lab: The runs.
        provider: Makes spans.
    """

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self.provider: TracerProvider
        self._exporter = InMemorySpanExporter()

    def trace(
        self, sampler: Sampler = ALWAYS_ON, settings: TelemetrySettings | None = None, **given: str
    ) -> None:
        """Trace the runs of the processes that start from now on."""
        self.provider = TracerProvider(sampler=ParentBased(sampler), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.lab.tracing = Telemetry(settings or TelemetrySettings(), self.provider, None, given)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def one(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def tree(self) -> dict[str, str]:
        """Return the name of each span's parent; "" for none that was made."""
        names = {id_of(span): span.name for span in self.spans}
        assert len(names) == len(self.spans), "a span was made twice"
        return {span.name: names.get(parent_of(span), "") for span in self.spans}


def id_of(span: ReadableSpan) -> str:
    found = span.get_span_context()
    assert found is not None
    return f"{found.span_id:016x}"


def trace_of(span: ReadableSpan) -> str:
    found = span.get_span_context()
    assert found is not None
    return f"{found.trace_id:032x}"


def parent_of(span: ReadableSpan) -> str:
    return "" if span.parent is None else f"{span.parent.span_id:016x}"


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtforge_host.runs.active_runs._SWEEP_S", 0.01)


@pytest.fixture
def traced(lab: Any) -> Callable[..., Any]:
    """A function that gives what is seen of runs, as an async context manager."""

    @contextlib.asynccontextmanager
    async def make(**how: Any) -> AsyncIterator[Seen]:
        async with lab() as it:
            seen = Seen(it)
            seen.trace(**how)
            await it.start()
            yield seen

    return make


def in_loop(test: Callable[..., Any]) -> Callable[..., None]:
    """Let a test that is a coroutine function be called by pytest."""

    @functools.wraps(test)
    def call(**given: Any) -> None:
        asyncio.run(test(**given))

    return call


async def two_steps(run: Run) -> str:
    await run.request("first", "do.ok", {"n": 1})
    await run.request("second", "do.ok", {"n": 2})
    return "done"


@in_loop
async def test_a_run_is_a_span_above_its_steps_and_what_answers_them(traced: Any) -> None:
    async with traced() as seen:
        state = await seen.lab.engine.execute(seen.lab.script(two_steps), {})
        run, step = seen.one("run w"), seen.one("step first")
        assert seen.names() == [
            "process do.ok", "step first", "process do.ok", "step second", "run w"
        ]  # fmt: skip
        assert parent_of(seen.spans[0]) == id_of(step)
        assert parent_of(step) == parent_of(seen.one("step second")) == id_of(run)
        assert run.parent is None
        assert {trace_of(span) for span in seen.spans} == {run_trace_id(state.run_id)}
        assert id_of(run) == run_span_id(state.run_id)
        assert id_of(step) == step_span_id(state.run_id, "first", 1)
        assert attributes(run) == {
            "qtforge.run.id": state.run_id,
            "qtforge.workflow.name": "w",
            "qtforge.workflow.version": "1.0.0",
            "qtforge.workflow.kind": "script",
            "qtforge.run.status": "succeeded",
            "qtforge.run.degraded": False,
        }
        process = seen.spans[0]
        assert process.kind is SpanKind.CONSUMER
        assert attributes(process) == {
            "messaging.system": "qtforge",
            "messaging.operation.type": "process",
            "messaging.destination.name": "do.ok",
            "qtforge.plugin.name": "desk",
            "qtforge.plugin.version": "1.0.0",
        }


@in_loop
async def test_the_times_of_spans_are_those_of_the_records(traced: Any) -> None:
    async with traced() as seen:
        state = await seen.lab.engine.execute(seen.lab.script(two_steps), {})
        records = await seen.lab.journal.records(state.run_id)
        ended = next(each for each in records if isinstance(each, StepSucceeded))
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        at_us = (ended.at - epoch) // datetime.timedelta(microseconds=1)
        step, run = seen.one("step first"), seen.one("run w")
        assert step.end_time == at_us * 1000
        assert step.start_time == step.end_time - int(ended.duration_s * 1e9)
        assert run.start_time is not None
        assert run.end_time is not None
        assert run.start_time <= step.start_time <= step.end_time <= run.end_time


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies_at", ["first", "second"])
@in_loop
async def test_a_run_over_a_death_is_one_tree_and_no_span_is_made_twice(
    traced: Any, dies_at: str, after: bool
) -> None:
    async with traced() as seen:

        def dies(record: Record) -> bool:
            return isinstance(record, StepSucceeded) and record.step == dies_at

        run_id = await seen.lab.crash(seen.lab.script(two_steps), dies, after=after)
        before = {id_of(span) for span in seen.spans}
        await seen.lab.resume(run_id)
        tree = seen.tree()
        assert tree["run w"] == ""
        # Where the process died just after a write, that step's span died with it.
        made = {"step first", "step second"} - ({f"step {dies_at}"} if after else set())
        assert {name for name, parent in tree.items() if parent == "run w"} == made
        assert {trace_of(span) for span in seen.spans} == {run_trace_id(run_id)}
        assert before <= {id_of(span) for span in seen.spans}
        started = (await seen.lab.records(run_id, RunStarted))[0]
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        began_us = (started.at - epoch) // datetime.timedelta(microseconds=1)
        assert seen.one("run w").start_time == began_us * 1000


@in_loop
async def test_steps_that_the_journal_answers_make_no_spans(traced: Any) -> None:
    async with traced() as seen:
        run_id = await seen.lab.crash(
            seen.lab.script(two_steps), lambda record: isinstance(record, RunFinished), after=False
        )
        assert len(seen.spans) == 4
        await seen.lab.resume(run_id)
        assert seen.names()[4:] == ["run w"]


@in_loop
async def test_attempts_have_spans_of_their_own_below_their_step(traced: Any) -> None:
    async with traced() as seen:

        async def code(run: Run) -> None:
            await run.request("ask", "do.ok", {}, retry=THREE)

        seen.lab.desk.failures["ask"] = 2
        async with seen.lab.clock.auto():
            state = await seen.lab.engine.execute(seen.lab.script(code), {})
        whole = id_of(seen.one("step ask"))
        children = [span.name for span in seen.spans if parent_of(span) == whole]
        assert children == ["attempt 1", "attempt 2", "attempt 3"]
        first, last, step = seen.one("attempt 1"), seen.one("attempt 3"), seen.one("step ask")
        assert step.start_time == first.start_time
        assert step.end_time == last.end_time
        assert first.status.status_code is StatusCode.ERROR
        assert attributes(first)["error.type"] == "desk.busy"
        assert [event.name for event in first.events] == ["retry", "exception"]
        assert dict(first.events[0].attributes or {})["qtforge.retry.delay_s"] == 1.0
        assert step.status.status_code is StatusCode.UNSET
        assert id_of(first) == step_span_id(state.run_id, "ask", 1)
        processed = [span for span in seen.spans if span.name == "process do.ok"]
        assert [parent_of(span) for span in processed] == [
            id_of(seen.one(f"attempt {number}")) for number in (1, 2, 3)
        ]


@in_loop
async def test_a_step_is_one_span_over_a_death_between_its_attempts(traced: Any) -> None:
    async with traced() as seen:

        async def code(run: Run) -> None:
            await run.request("ask", "do.ok", {}, retry=THREE)

        seen.lab.desk.failures["ask"] = 3  # the second attempt is made again

        def dies(record: Record) -> bool:
            return isinstance(record, StepFailed) and record.attempt == 2

        async with seen.lab.clock.auto():
            run_id = await seen.lab.crash(seen.lab.script(code), dies, after=False)
            await seen.lab.resume(run_id)
        tree = seen.tree()
        assert tree["attempt 1"] == tree["attempt 2"] == tree["attempt 3"] == "step ask"
        assert seen.one("step ask").start_time == seen.one("attempt 1").start_time


@in_loop
async def test_a_failed_step_and_its_run_have_the_code_and_the_place_of_the_error(
    traced: Any,
) -> None:
    async with traced() as seen:

        async def code(run: Run) -> None:
            await run.request("ask", "do.fail", {})

        await seen.lab.engine.execute(seen.lab.script(code), {})
        for name in ("run w", "step ask", "process do.fail"):
            span = seen.one(name)
            assert span.status.status_code is StatusCode.ERROR
            assert attributes(span)["error.type"] == "desk.closed"
        said = dict(seen.one("step ask").events[0].attributes or {})
        assert said["exception.type"] == "desk.closed"
        assert "the desk is closed" in str(said["exception.message"])
        assert "in fail" in str(said["exception.stacktrace"])


@in_loop
async def test_what_is_undone_has_a_span(traced: Any) -> None:
    async with traced() as seen:

        async def code(run: Run) -> None:
            undo = Compensation(topic="do.ok", message={})
            await run.request("book", "do.ok", {}, compensation=undo)
            await run.request("pay", "do.fail", {})

        await seen.lab.engine.execute(seen.lab.script(code), {})
        undone = seen.one("undo book")
        assert parent_of(undone) == id_of(seen.one("run w"))
        assert [each.name for each in seen.spans if parent_of(each) == id_of(undone)] == [
            "process do.ok"
        ]


@in_loop
async def test_a_child_is_in_the_trace_of_the_step_that_started_it(traced: Any) -> None:
    async with traced() as seen:

        async def parent(run: Run) -> None:
            await run.run_workflow("child", {})

        seen.lab.script(two_steps, "child")
        await seen.lab.engine.execute(seen.lab.script(parent), {})
        tree = seen.tree()
        assert tree["run child"] == "step child"
        assert tree["step child"] == "run w"
        assert tree["step second"] == "run child"
        assert len({trace_of(span) for span in seen.spans}) == 1


@in_loop
async def test_spans_of_a_plugin_are_below_the_call_that_it_answers(traced: Any) -> None:
    async with traced() as seen:
        tracer = seen.provider.get_tracer("a library")
        desk = seen.lab.desk
        note = desk._note

        def traced_note(context: Any) -> str:
            with tracer.start_as_current_span("SELECT"):
                return str(note(context))

        desk._note = traced_note
        await seen.lab.engine.execute(seen.lab.script(two_steps), {})
        queries = [span for span in seen.spans if span.name == "SELECT"]
        processed = [span for span in seen.spans if span.name == "process do.ok"]
        assert [parent_of(each) for each in queries] == [id_of(each) for each in processed]
        assert len(seen.tree()) == 5


@in_loop
async def test_nothing_within_an_unsampled_run_is_recorded(traced: Any) -> None:
    async with traced(sampler=ALWAYS_OFF) as seen:

        async def code(run: Run) -> None:
            with seen.provider.get_tracer("a library").start_as_current_span("SELECT"):
                await run.run_workflow("child", {})

        seen.lab.script(two_steps, "child")
        state = await seen.lab.engine.execute(seen.lab.script(code), {})
        assert seen.spans == []
        assert state.started is not None
        assert state.started.trace is None
        seen.trace(ALWAYS_ON)  # what began without a trace does not get one later
        run_id = await seen.lab.crash(
            seen.lab.script(two_steps, "w2"), lambda record: isinstance(record, RunFinished)
        )
        assert run_id


@in_loop
async def test_a_run_within_a_span_is_a_part_of_its_trace(traced: Any) -> None:
    async with traced() as seen:
        with seen.provider.get_tracer("an application").start_as_current_span("order"):
            state = await seen.lab.engine.execute(seen.lab.script(two_steps), {})
        assert seen.tree()["run w"] == "order"
        assert state.started is not None
        assert state.started.trace == TraceContext(
            trace_id=trace_of(seen.one("order")), parent=id_of(seen.one("order"))
        )


@in_loop
async def test_a_run_that_a_schedule_starts_is_linked_to_what_led_to_it(traced: Any) -> None:
    async with traced() as seen:
        start = Start(by=StartedBy(kind="schedule", name="nightly"))
        with seen.provider.get_tracer("an application").start_as_current_span("by hand"):
            state = await seen.lab.engine.execute(seen.lab.script(two_steps), {}, start=start)
        run = seen.one("run w")
        assert run.parent is None
        assert trace_of(run) == run_trace_id(state.run_id)
        (link,) = run.links
        assert f"{link.context.span_id:016x}" == id_of(seen.one("by hand"))
        assert attributes(run)["qtforge.run.started_by"] == "schedule"


@in_loop
async def test_a_fork_is_a_trace_of_its_own_with_a_link(traced: Any) -> None:
    async with traced() as seen:
        state = await seen.lab.engine.execute(seen.lab.script(two_steps), {})
        records = await seen.lab.journal.records(state.run_id)
        now = datetime.datetime.now(datetime.UTC)
        first, _ = forked(records, "forked", {}, at=now)
        assert first.trace == TraceContext(
            trace_id=run_trace_id("forked"),
            links=(f"00-{run_trace_id(state.run_id)}-{run_span_id(state.run_id)}-01",),
        )


@in_loop
async def test_the_variable_of_a_command_is_the_parent_of_its_runs(traced: Any) -> None:
    async with traced(TRACEPARENT=OUTER) as seen:
        await seen.lab.engine.execute(seen.lab.script(two_steps), {})
        run = seen.one("run w")
        assert (trace_of(run), parent_of(run)) == tuple(OUTER.split("-")[1:3])


@in_loop
async def test_waiting_is_in_no_span(traced: Any) -> None:
    async with traced() as seen:

        async def code(run: Run) -> None:
            await run.request("first", "do.ok", {})
            await run.wait_event("go", timeout="1d")
            await run.request("second", "do.ok", {})

        seen.lab.engine.active_runs.rests_all = True
        seen.lab.engine.active_runs.linger_s = 0.01
        state = await seen.lab.engine.execute(seen.lab.script(code), {})
        assert state.status == "waiting"
        before = seen.one("run w")
        await seen.lab.clock.advance(3600)
        await seen.lab.post(state.run_id, "event", "go")
        ended = await seen.lab.engine.resume(state.run_id)
        assert ended.status == "succeeded"
        (after,) = [span for span in seen.spans if span.name == "run w" and span is not before]
        assert parent_of(after) == id_of(before)
        assert trace_of(after) == trace_of(before)
        assert before.end_time is not None
        assert after.start_time is not None
        assert after.start_time - before.end_time >= 3599 * 10**9
        assert parent_of(seen.one("step first")) == id_of(before)
        assert parent_of(seen.one("step second")) == id_of(after)


@in_loop
async def test_each_state_of_a_machine_is_a_span_of_the_work_that_led_to_it(traced: Any) -> None:
    async with traced() as seen:
        machine = seen.lab.machine(
            'initial = "open"\n[states.open]\n[states.closed]\nfinal = true\n'
            '[[transitions]]\nname = "close"\nfrom = "open"\nto = "closed"\ntrigger = "close"\n'
        )
        state = await seen.lab.engine.execute(machine, {})
        (opened,) = seen.spans
        assert attributes(opened)["qtforge.run.state"] == "open"
        await seen.lab.post(state.run_id, "event", "close")
        await seen.lab.engine.resume(state.run_id)
        assert set(seen.names()) == {"run m"}
        assert all(parent_of(each) == id_of(opened) for each in seen.spans[1:])
        assert len({id_of(each) for each in seen.spans}) == len(seen.spans) > 1


@in_loop
async def test_inputs_and_outputs_are_in_spans_only_where_that_is_asked_for(traced: Any) -> None:
    settings = TelemetrySettings(enabled=True, capture=("input", "output"))
    async with traced(settings=settings) as seen:
        await seen.lab.engine.execute(seen.lab.script(two_steps), {"x": 1})
        assert attributes(seen.one("run w"))["qtforge.run.input"] == '{"x":1}'
        assert attributes(seen.one("run w"))["qtforge.run.output"] == '"done"'
        step = attributes(seen.one("step first"))
        assert step["qtforge.step.input"] == '{"n":1}'
        assert step["qtforge.step.output"] == '{"done":"first","n":1}'


@in_loop
async def test_a_run_leaves_no_span_current(traced: Any) -> None:
    async with traced() as seen:
        before = context_api.get_current()
        await seen.lab.engine.execute(seen.lab.script(two_steps), {})
        assert context_api.get_current() == before
        assert not trace.get_current_span().get_span_context().is_valid


@in_loop
async def test_a_log_line_in_json_names_the_trace_and_the_span(traced: Any) -> None:
    async with traced() as seen:
        lines: list[dict[str, Any]] = []

        async def code(run: Run) -> None:
            record = logging.LogRecord("a", logging.INFO, "", 0, "hello", None, None)
            lines.append(json.loads(JsonFormatter().format(record)))

        state = await seen.lab.engine.execute(seen.lab.script(code), {})
        (line,) = lines
        assert line["trace_id"] == run_trace_id(state.run_id)
        assert line["span_id"] == run_span_id(state.run_id)
        seen.trace(ALWAYS_OFF)
        await seen.lab.start()
        await seen.lab.engine.execute(seen.lab.script(code), {})
        assert "trace_id" not in lines[1]


@pytest.mark.parametrize(
    "text",
    ["", "00-0-0-01", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff{OUTER[2:]}", f"{OUTER}-more"],
)
def test_a_context_that_is_not_valid_is_none(text: str) -> None:
    assert parse_traceparent(text) is None
    assert parse_traceparent(f"01{OUTER[2:]}-more") is not None
