"""Runs over HTTP: started, listed, shown, asked."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.serving import Server, Serving, until

CONTRACT = Path(__file__).parents[4] / "examples" / "documents" / "contract.md"


def test_a_run_is_started_and_its_end_is_waited_for(serving: Serving, server: Server) -> None:
    done = server.post(
        "/v1/runs", {"workflow": "quick", "input": {"word": "a"}}, params={"wait": "20s"}
    )
    assert done.status_code == 200
    run = done.json()
    assert (run["status"], run["result"], run["schema_version"]) == ("succeeded", "quick a", 1)
    assert done.headers["Location"] == f"/v1/runs/{run['run_id']}"
    # The same document as the command's.
    assert run == serving.json("runs", "show", run["run_id"], "--json")
    assert run == server.run(run["run_id"])


def test_without_a_wait_the_answer_comes_at_once(serving: Serving, server: Server) -> None:
    begun = server.post("/v1/runs", {"workflow": "steps", "input": {"word": "a"}})
    assert begun.status_code == 202
    assert begun.json()["status"] == "running"
    late = server.post(
        "/v1/runs", {"workflow": "steps", "input": {"word": "b"}}, params={"wait": "1s"}
    )
    assert late.status_code == 202


def test_the_same_idempotency_key_starts_one_run_also_after_a_restart(
    serving: Serving, server: Server
) -> None:
    asked = {"workflow": "quick", "input": {"word": "a"}}
    key = {"Idempotency-Key": "4711"}
    runs = {
        server.post("/v1/runs", asked, headers=key, params={"wait": "20s"}).json()["run_id"]
        for _ in range(3)
    }
    server.end()
    again = serving.serve()
    runs.add(again.post("/v1/runs", asked, headers=key).json()["run_id"])
    assert len(runs) == 1
    assert serving.done == ["quick a"]
    other = again.post("/v1/runs", {**asked, "input": {"word": "b"}}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "http.key_reused")
    bad = again.post("/v1/runs", asked, headers={"Idempotency-Key": "x" * 256})
    assert bad.status_code == 400


def test_runs_are_listed_page_by_page(module_server: Server) -> None:
    started = [module_server.start("quick", word=str(n), wait="20s")["run_id"] for n in range(5)]
    found: list[str] = []
    params: dict[str, Any] = {"limit": 2, "workflow": "quick"}
    while True:
        page = module_server.get("/v1/runs", params=params).json()
        found += [row["run_id"] for row in page["runs"]]
        if page["next"] is None:
            break
        params["until"] = page["next"]
    assert found == started[::-1]
    wanted = {"status": ["failed", "interrupted"]}
    assert module_server.get("/v1/runs", params=wanted).json()["runs"] == []


def test_records_come_page_by_page(module_server: Server) -> None:
    run_id = module_server.start("quick", word="a", wait="20s")["run_id"]
    first = module_server.get(f"/v1/runs/{run_id}/records", params={"limit": 3}).json()
    assert [each["record"] for each in first["records"]] == [
        "run_started", "step_started", "step_succeeded",
    ]  # fmt: skip
    rest = module_server.get(f"/v1/runs/{run_id}/records", params={"after": first["next"]}).json()
    assert [each["record"] for each in rest["records"]] == ["run_finished"]
    assert rest["next"] is None


def test_an_event_is_received_once(module_server: Server) -> None:
    run_id = module_server.start("waits")["run_id"]
    event = {"name": "go", "data": {"x": 1}, "event_id": "e1"}
    sent = module_server.post(f"/v1/runs/{run_id}/events", event, params={"wait": "20s"})
    assert sent.status_code == 200
    assert sent.json() == {
        "schema_version": 1, "run_id": run_id, "event": "go", "event_id": "e1", "received": True,
    }  # fmt: skip
    until(lambda: module_server.run(run_id)["status"] == "succeeded")
    assert module_server.run(run_id)["result"] == {"came": {"x": 1}}
    late = module_server.post(f"/v1/runs/{run_id}/events", event)
    assert (late.status_code, late.json()["error"]["code"]) == (409, "run.ended")


def test_a_run_is_cancelled_and_undone(serving: Serving, server: Server) -> None:
    run_id = server.start("steps", word="a")["run_id"]
    until(lambda: serving.done == ["first a"])
    done = server.post(f"/v1/runs/{run_id}/cancel", params={"wait": "20s"})
    assert (done.status_code, done.json()["status"]) == (200, "cancelled")
    assert serving.done == ["first a", "undo first"]
    assert server.post(f"/v1/runs/{run_id}/cancel").status_code == 409


def test_a_pause_or_cancel_is_answered_with_200_only_once_it_took_effect(server: Server) -> None:
    pytest.importorskip("markdown_it", reason="the extra 'documents' is not installed")
    document = {"name": CONTRACT.name, "path": str(CONTRACT)}
    run_id = server.start("document-approval", wait="20s", document=document)["run_id"]
    assert server.run(run_id)["status"] == "waiting"
    for request, status in (("pause", "paused"), ("cancel", "cancelled")):
        asked = server.post(f"/v1/runs/{run_id}/{request}", params={"wait": "0s"})
        assert asked.status_code == (200 if asked.json()["status"] == status else 202)
        done = server.post(f"/v1/runs/{run_id}/{request}", params={"wait": "20s"})
        assert done.status_code in (200, 409)  # it may have ended before
        assert server.run(run_id)["status"] == status


def test_a_run_is_paused_amended_and_resumed(serving: Serving, server: Server) -> None:
    run_id = server.start("steps", word="a")["run_id"]
    until(lambda: serving.done == ["first a"])
    server.post(f"/v1/runs/{run_id}/pause")
    (serving.folder / "go").touch()
    until(lambda: server.run(run_id)["status"] == "paused")
    assert serving.done == ["first a", "second"]
    patch = [{"op": "replace", "path": "/stages/2/message/text", "value": "changed"}]
    amended = server.post(f"/v1/runs/{run_id}/amend", {"patch": patch, "reason": "why not"})
    assert (amended.status_code, amended.json()["amended"]) == (200, True)
    refused = server.post(
        f"/v1/runs/{run_id}/amend", {"patch": [{"op": "remove", "path": "/stages/0"}]}
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "run.amendment_refused")
    done = server.post(f"/v1/runs/{run_id}/resume", params={"wait": "20s"})
    assert (done.status_code, done.json()["status"]) == (200, "succeeded")
    assert serving.done == ["first a", "second", "changed"]


def test_a_paused_run_that_is_cancelled_is_undone(serving: Serving, server: Server) -> None:
    run_id = server.start("steps", word="a")["run_id"]
    until(lambda: serving.done == ["first a"])
    server.post(f"/v1/runs/{run_id}/pause")
    (serving.folder / "go").touch()
    until(lambda: server.run(run_id)["status"] == "paused")
    done = server.post(f"/v1/runs/{run_id}/cancel", params={"wait": "20s"})
    assert done.json()["status"] == "cancelled"
    assert serving.done == ["first a", "second", "undo first"]


def test_a_run_that_may_be_compensated_is_not_cancelled_without_its_workflow(
    serving: Serving, server: Server
) -> None:
    folder = serving.folder / "workflows"
    folder.mkdir()
    run_id = server.start("waits")["run_id"]
    server.end()
    (serving.site.root / "steps_module.py").write_text(
        "from qtforge_sdk import Plugin\nclass Example(Plugin):\n    pass\n"
    )
    again = serving.serve()
    for request in ("resume", "cancel"):
        refused = again.post(f"/v1/runs/{run_id}/{request}", params={"wait": "5s"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "workflow.not_found")
    records = again.get(f"/v1/runs/{run_id}/records").json()["records"]
    assert "run_cancel_requested" not in [each["record"] for each in records]


def test_too_many_runs_at_once_are_refused(serving: Serving) -> None:
    server = serving.serve("--max-runs", "1", "--grace", "1s")
    server.start("waits")
    refused = server.post("/v1/runs", {"workflow": "quick", "input": {"word": "a"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "http.busy")
    assert refused.headers["Retry-After"] == "1"


def test_workflows_and_plugins_are_as_the_commands_show_them(
    module_serving: Serving, module_server: Server
) -> None:
    workflows = module_server.get("/v1/workflows").json()
    assert workflows == module_serving.json("workflows", "list", "--json")
    shown = module_server.get("/v1/workflows/steps").json()
    assert shown == module_serving.json("workflows", "show", "steps", "--json")
    plugins = {
        each["name"]: each["state"] for each in module_server.get("/v1/plugins").json()["plugins"]
    }
    assert plugins["steps"] == "active"


@pytest.mark.parametrize(
    ("language", "kind", "begins"),
    [("mermaid", "text/vnd.mermaid", "flowchart"), ("dot", "text/vnd.graphviz", "digraph")],
)
def test_a_workflow_is_drawn(module_server: Server, language: str, kind: str, begins: str) -> None:
    drawn = module_server.get("/v1/workflows/steps/graph", params={"format": language})
    assert drawn.headers["content-type"].startswith(kind)
    assert drawn.text.startswith(begins)
    assert module_server.get("/v1/workflows/none/graph").status_code == 404


def test_figures_tell_what_was_done(server: Server) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    server.start("quick", word="a", wait="20s")
    found = list(text_string_to_metric_families(server.get("/metrics").text))
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in found
        for sample in family.samples
    }
    assert values["qtforge_runs_started_total", "quick"] == 1
    assert values["qtforge_runs_ended_total", "quick", "succeeded"] == 1
    assert values["qtforge_steps_total", "succeeded"] == 1
    assert values["qtforge_bus_seconds_count", "steps", "steps.note"] == 1
    assert values[("qtforge_runs_executing",)] == 0
    assert values[("qtforge_runs_waiting_here",)] == 0
    assert values[("qtforge_next_timer_timestamp_seconds",)] == 0
    assert values["qtforge_journal_runs", "quick", "succeeded"] == 1
    for name in ("timers", "inbox_messages", "inbox_oldest_message_age_seconds", "pending_writes"):
        assert values[(f"qtforge_journal_{name}",)] == 0
    assert values["qtforge_pool_nodes", "default"] == 1
    for name in ("queued", "executing", "paused", "oldest_wait_seconds"):
        assert values[f"qtforge_pool_{name}", "default"] == 0
    assert [values[key] for key in values if key[0] == "qtforge_node_capacity"] == [10_000]
    assert [values[key] for key in values if key[0] == "qtforge_node_draining"] == [0]
    assert all(family.documentation for family in found)
    named = [(sample.name, *sorted(sample.labels.items())) for f in found for sample in f.samples]
    assert len(named) == len(set(named))


def test_events_are_heard_as_they_come(serving: Serving, server: Server) -> None:
    with server.client.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        run_id = server.start("quick", word="a")["run_id"]
        heard = [_next(lines) for _ in range(4)]
    assert [name for name, _ in heard] == ["record"] * 4
    assert {data["run_id"] for _, data in heard} == {run_id}
    assert [data["record"] for _, data in heard] == [
        "run_started", "step_started", "step_succeeded", "run_finished",
    ]  # fmt: skip


def test_a_client_hears_what_other_processes_did_and_misses_nothing_over_a_kill(
    serving: Serving, server: Server
) -> None:
    with server.client.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        assert [next(lines), next(lines)] == [": open", "id: 0"]
        first = serving.json("run", "quick", "--set", "word=a", "--json")["run_id"]
        block = [next(lines) for _ in range(4)]
    assert block[1:3] == ["id: 1", "event: record"]
    server.end(signal.SIGKILL)
    second = serving.json("run", "quick", "--set", "word=b", "--json")["run_id"]
    again = serving.serve("--grace", "1s")
    third = again.start("quick", word="c", wait="20s")["run_id"]
    with again.client.stream("GET", "/v1/events", headers={"Last-Event-ID": "1"}) as stream:
        lines = stream.iter_lines()
        heard = [_next(lines)[1] for _ in range(11)]
    assert [each["run_id"] for each in heard] == [first] * 3 + [second] * 4 + [third] * 4
    with again.client.stream("GET", "/v1/events", params={"run": second, "after": 0}) as stream:
        lines = stream.iter_lines()
        assert [_next(lines)[1]["run_id"] for _ in range(4)] == [second] * 4
    for headers, params in (({"Last-Event-ID": "a b"}, {}), ({}, {"after": "1;2"})):
        refused = again.get("/v1/events", headers=headers, params=params)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            400, "http.invalid_request",
        )  # fmt: skip


def test_messages_of_a_topic_are_heard_with_their_topic(server: Server) -> None:
    with server.client.stream("GET", "/v1/events", params={"topic": "news.*"}) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        done = server.post("/v1/publish", {"topic": "news.local", "message": {"x": 1}})
        assert done.json() == {
            "schema_version": 1, "topic": "news.local", "delivered": 1, "dropped": 0,
        }  # fmt: skip
        assert _next(lines) == ("message", {"topic": "news.local", "message": {"x": 1}})


def test_hearing_ends_when_the_process_ends_and_is_bounded(serving: Serving) -> None:
    server = serving.serve("--max-streams", "1")
    with server.client.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        refused = server.get("/v1/events")
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            429, "http.too_many_streams",
        )  # fmt: skip
        server.process.send_signal(signal.SIGTERM)
        assert [line for line in lines if line] == ["id: 0"]
    assert server.process.wait(timeout=60) == 0


def test_hearing_of_a_run_that_is_not_there_is_refused(module_server: Server) -> None:
    assert module_server.get("/v1/events", params={"run": "no"}).status_code == 404
    assert module_server.get("/v1/events", params={"topic": "not a topic"}).status_code == 400


def _next(lines: Any) -> tuple[str, Any]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            return name, json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream has ended")
