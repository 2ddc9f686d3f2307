"""Several workers of one state directory, as real processes."""

from __future__ import annotations

import signal
from typing import Any

from tests.serving import Serving, until


def nodes(serving: Serving) -> dict[str, Any]:
    return {each["node"]: each for each in serving.json("nodes", "list", "--json")["nodes"]}


def queued(serving: Serving, workflow: str, word: str = "a") -> str:
    words = ("run", workflow, "--set", f"word={word}", "--detach", "--json")
    return str(serving.json(*words)["run_id"])


def ended(serving: Serving, run_id: str) -> Any:
    found = serving.json("runs", "show", run_id, "--json")
    return found if found["status"] == "succeeded" else None


def test_a_worker_that_is_ended_hands_its_run_over_after_the_step_in_progress(
    serving: Serving,
) -> None:
    first = serving.start("worker", "--node", "one", "--grace", "60s")
    until(lambda: "one" in nodes(serving))
    run_id = queued(serving, "steps")
    until(lambda: "first a" in serving.done)
    serving.start("worker", "--node", "two", "--capacity", "3")
    assert until(lambda: nodes(serving).get("two"))["capacity"] == 3
    assert nodes(serving)["one"]["runs"] == 1
    first.send_signal(signal.SIGTERM)
    (serving.folder / "go").touch()
    assert first.wait(timeout=120) == 0
    found = until(lambda: ended(serving, run_id))
    assert found["owners"] == 2
    assert sorted(serving.done) == ["first a", "second", "third a"]
    assert list(nodes(serving)) == ["two"]


def test_serve_that_is_ended_hands_its_runs_over_to_a_worker_that_is_there(
    serving: Serving,
) -> None:
    serving.start("worker", "--node", "two", "--capacity", "1")
    until(lambda: "two" in nodes(serving))
    queued(serving, "steps")
    until(lambda: "first a" in serving.done)  # with it the worker is full
    server = serving.serve("--grace", "60s")
    run_id = queued(serving, "steps", "b")
    until(lambda: "first b" in serving.done)
    server.process.send_signal(signal.SIGTERM)
    (serving.folder / "go").touch()
    assert server.process.wait(timeout=120) == 0
    assert until(lambda: ended(serving, run_id))["owners"] == 2
    assert sorted(serving.done) == ["first a", "first b", "second", "second", "third a", "third b"]


def test_the_runs_of_a_worker_that_was_killed_are_continued_by_another(serving: Serving) -> None:
    first = serving.start("worker", "--node", "one")
    until(lambda: "one" in nodes(serving))
    run_id = queued(serving, "steps")
    until(lambda: "first a" in serving.done)
    serving.start("worker", "--node", "two")
    until(lambda: "two" in nodes(serving))
    first.kill()
    (serving.folder / "go").touch()
    assert until(lambda: ended(serving, run_id))["owners"] == 2
    assert serving.done.count("third a") == 1


def test_a_name_that_another_worker_has_is_refused(serving: Serving) -> None:
    serving.start("worker", "--node", "one")
    until(lambda: "one" in nodes(serving))
    refused = serving.cli("worker", "--node", "one")
    assert refused.returncode == 4
    assert "the worker 'one' is there already (process " in refused.stderr
    assert serving.cli("worker", "--node", "../one").returncode == 2
    assert serving.cli("worker", "--pool", "a,,b").returncode == 2


def test_workers_without_a_name_and_serve_share_a_state_directory(serving: Serving) -> None:
    server = serving.serve()
    for _ in range(2):
        serving.start("worker", "--pool", "beside")
    found = until(lambda: len(nodes(serving)) == 3 and nodes(serving))
    assert sorted(each["role"] for each in found.values()) == ["serve", "worker", "worker"]
    pools = {
        each["pool"]: each["nodes"] for each in serving.json("pools", "list", "--json")["pools"]
    }
    assert pools == {"beside": 2, "default": 1}
    assert server.end() == 0
    assert until(lambda: len(nodes(serving)) == 2)


def test_what_is_started_on_a_drained_node_waits_for_another(serving: Serving) -> None:
    server = serving.serve("--node", "web")
    drained = serving.json("nodes", "drain", "web", "--wait", "60s", "--json")
    assert (drained["status"], drained["runs"], drained["needed"]) == ("drained", 0, [])
    until(lambda: server.start("quick", word="b")["status"] == "queued")
    serving.start("worker", "--node", "one")
    until(lambda: "quick b" in serving.done)
    assert serving.json("nodes", "resume", "web", "--json")["status"] == "active"
