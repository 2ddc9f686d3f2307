"""The example of an aggregation as its reader runs it; and a run that is killed in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.http import HttpServer, Received, Reply, running_http_server

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).parent / "qtforge-host"
DEADLINE_S = 120

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for library in ("duckdb", "sqlalchemy", "httpx2"):
        pytest.importorskip(library, reason="the extra 'all' is not installed")
    return tmp_path / "state"


def words(state: Path, config: Path, *more: str | Path) -> list[str]:
    return [*map(str, (PROGRAM, "--state-dir", state, "--config", config, *more))]


def environment() -> dict[str, str]:
    return {**os.environ, "QTFORGE_SECRET_SHOP": "example"}


def host(state: Path, config: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(state, config, *more), capture_output=True, text=True, timeout=DEADLINE_S,
        cwd=ROOT, env=environment(),
    )  # fmt: skip


@contextlib.contextmanager
def servers() -> Iterator[str]:
    """Run the example's servers, and give what they say until they are ready."""
    script = ROOT / "examples" / "aggregation" / "servers.py"
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = ""
            while "--json" not in said:
                line = process.stdout.readline()
                if not line:
                    pytest.skip("the example's ports are taken, or its servers can't be started")
                said += line
            yield said
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)


def test_the_example_gives_one_result_although_a_source_fails(state: Path) -> None:
    examples = ROOT / "examples"
    with servers() as said:
        assert "qtforge-host --config" in said
        done = host(
            state, examples / "aggregation" / "config.toml", "run", "data-aggregation",
            "--input", examples / "aggregation.toml", "--json",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert (run["status"], run["degraded"]) == ("succeeded", True)
    results = {each["source_name"]: each for each in run["result"]["source_results"]}
    counts = {name: each["count"] for name, each in results.items()}
    assert counts | {"database": 4} == {
        "database": 4, "orders online": 7, "orders in files": 5, "tills": 3, "warehouse": 0
    }  # fmt: skip
    assert counts["database"] == 4 or not Path("/usr/lib/postgresql").exists()
    assert results["warehouse"]["error"]["code"] == "http.status"
    assert results["warehouse"]["attempts"] == 2
    shops = {row["group"]["shop"]: row for row in run["result"]["aggregated"]["rows"]}
    assert shops["online"]["sum"] == 574
    assert shops["north"]["count"] == 3
    assert (shops["west"]["count"], shops["west"]["nulls"]) == (0, 1)
    assert "example" not in json.dumps(run["stages"])  # the secret


def make_input(folder: Path, server: HttpServer) -> tuple[Path, Path]:
    config = folder / "config.toml"
    config.write_text('[plugins.http-collector.config]\nallow = ["127.0.0.1"]\n')
    given = {
        "aggregation": {"method": "union", "source_column": "from"},
        "sources": [
            {"name": name, "type": "http", "endpoint": f"{server.url}/{name}"}
            for name in ("quick", "many", "gated")
        ],
    }
    path = folder / "input.json"
    path.write_text(json.dumps(given))
    return config, path


def finished(state: Path, config: Path) -> set[str]:
    shown = host(state, config, "runs", "show", "last", "--json")
    if shown.returncode:
        return set()
    stages: list[dict[str, Any]] = json.loads(shown.stdout)["stages"]
    return {each["name"] for each in stages if each["status"] == "succeeded"}


def test_a_killed_run_is_resumed_without_fetching_again_what_was_fetched(
    tmp_path: Path, state: Path
) -> None:
    opened = threading.Event()

    def gate(request: Received) -> Reply:
        opened.wait(DEADLINE_S)
        return Reply.json([{"n": -1}])

    with running_http_server() as server:
        server["/quick"] = Reply.json([{"n": 0}])
        server["/many"] = Reply.json([{"n": number} for number in range(12_000)])
        server["/gated"] = gate
        config, given = make_input(tmp_path, server)
        process = subprocess.Popen(
            words(state, config, "run", "data-aggregation", "--input", given),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment(),
        )  # fmt: skip
        until = time.monotonic() + DEADLINE_S
        while not finished(state, config) >= {"quick", "many"} or not server.count("/gated"):
            assert time.monotonic() < until
            time.sleep(0.05)
        process.kill()
        process.wait(DEADLINE_S)
        opened.set()
        done = host(state, config, "runs", "resume", "--all", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        run = json.loads(done.stdout)
        assert server.count("/quick") == server.count("/many") == 1
        assert server.count("/gated") == 2
    aggregated = run["result"]["aggregated"]
    assert (aggregated["count"], aggregated["complete"]) == (12_002, False)
    assert aggregated["sources"] == {"quick": 1, "many": 12_000, "gated": 1}
    lines = Path(aggregated["dataset"]["path"]).read_text().splitlines()
    assert json.loads(lines[-1]) == {"from": "gated", "n": -1}
    check_files_go_with_their_run(state, config, run["run_id"], tmp_path)


def check_files_go_with_their_run(state: Path, config: Path, run_id: str, folder: Path) -> None:
    exported = host(state, config, "runs", "export", run_id, "-o", folder / "run")
    assert "files of the run are not in it" in exported.stderr
    forked = host(state, config, "runs", "fork", run_id, "--from", "aggregate", "--json")
    assert json.loads(forked.stdout)["status"] == "succeeded", forked.stderr
    (state / "run-files" / "orphan").mkdir()
    doctor = host(state, config, "doctor")
    assert (doctor.returncode, "belongs to no run that is here" in doctor.stdout) == (1, True)
    host(state, config, "runs", "prune", "--older-than", "1ms", "--yes")
    assert list((state / "run-files").iterdir()) == []
