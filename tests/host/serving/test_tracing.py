"""Traces of runs in real processes that serve and are killed, at a real receiver."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.servers.otlp import OtlpReceiver, attributes_of, running_otlp_receiver
from tests.serving import Serving, until

from qtforge_host.trace_context import run_span_id, run_trace_id

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OUTER = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with running_otlp_receiver() as found:
        yield found


@pytest.fixture
def traced(serving: Serving, receiver: OtlpReceiver) -> Serving:
    """A state directory whose runs are traced."""
    serving.config.write_text("[telemetry]\nenabled = true\n")
    serving._environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_BSP_SCHEDULE_DELAY": "20",
    }
    return serving


def test_a_run_over_a_killed_server_is_one_tree_below_its_request(
    traced: Serving, receiver: OtlpReceiver
) -> None:
    server = traced.serve()
    run_id = server.post(
        "/v1/runs", {"workflow": "steps", "input": {"word": "x"}},
        params={"wait": "0s"}, headers={"traceparent": OUTER},
    ).json()["run_id"]  # fmt: skip
    until(lambda: receiver.named("step first") and receiver.named("POST /v1/runs"))
    server.end(9)
    before = {span.span_id for span in receiver.spans}
    (traced.folder / "go").touch()
    again = traced.serve()
    until(lambda: again.run(run_id)["status"] == "succeeded")
    assert again.end() == 0
    assert before < {span.span_id for span in receiver.spans}
    assert len({span.span_id for span in receiver.spans}) == len(receiver.spans)
    assert {span.trace_id.hex() for span in receiver.spans} == {TRACE}
    tree = receiver.tree()
    assert tree["POST /v1/runs"] == ""
    assert tree["run steps"] == "POST /v1/runs"
    assert {name for name, above in tree.items() if above == "run steps"} == {
        "step first", "step second", "step third"
    }  # fmt: skip
    (request,) = receiver.named("POST /v1/runs")
    assert request.parent_span_id.hex() == SPAN
    assert attributes_of(request)["http.route"] == "/v1/runs"
    (run,) = receiver.named("run steps")
    assert run.span_id.hex() == run_span_id(run_id)


def test_a_command_is_traced_below_the_span_of_its_variable_and_alone_without_one(
    traced: Serving, receiver: OtlpReceiver
) -> None:
    traced._environment["TRACEPARENT"] = OUTER
    first = traced.json("run", "quick", "--set", "word=x", "--json")
    del traced._environment["TRACEPARENT"]
    second = traced.json("run", "quick", "--set", "word=x", "--json")
    runs = receiver.named("run quick")
    assert [span.parent_span_id.hex() for span in runs] == [SPAN, ""]
    assert [span.trace_id.hex() for span in runs] == [TRACE, run_trace_id(second["run_id"])]
    assert attributes_of(runs[0])["qtforge.run.id"] == first["run_id"]


def test_a_receiver_that_is_down_is_one_warning_and_nothing_else(traced: Serving) -> None:
    traced._environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    done = traced.cli("run", "quick", "--set", "word=x", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "succeeded"
    assert done.stderr.count("not delivered") <= 2  # why, and how many at the end


def test_a_server_ends_within_its_grace_although_the_receiver_does_not_answer(
    traced: Serving, receiver: OtlpReceiver
) -> None:
    receiver.waits.clear()
    server = traced.serve("--grace", "1s")
    assert server.start("quick", wait="30s", word="x")["status"] == "succeeded"
    assert server.end() == 0  # it would wait for a minute


def test_nothing_is_sent_and_nothing_imported_without_being_asked_for(
    traced: Serving, receiver: OtlpReceiver
) -> None:
    traced.config.write_text("")
    assert traced.json("run", "quick", "--set", "word=x", "--json")["status"] == "succeeded"
    assert receiver.spans == []
