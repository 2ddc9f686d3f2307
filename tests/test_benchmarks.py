"""``make bench`` measures what it says, and its goals name what the documentation promises."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.compare import compare
from benchmarks.many_machines import measure_many_machines
from tests.servers.nats import NatsUnavailable

ROOT = Path(__file__).parent.parent


@pytest.mark.soak
@pytest.mark.venv
@pytest.mark.timeout(600)
def test_the_benchmarks_run_and_give_a_figure_for_every_candidate(tmp_path: Path) -> None:
    for peer in ("blinker", "pyee", "pubsub", "dbos", "taskflow", "alembic", "celpy",
                 "statemachine", "transitions"):  # fmt: skip
        pytest.importorskip(peer, reason="the extra 'bench' is not installed")
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rounds", "1", "--json", str(file)],
        capture_output=True, text=True, timeout=580, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = file.read_text(encoding="utf-8")
    for candidate in ("bus.request", "bus.publish", "blinker", "pyee", "PyPubSub", "pluggy",
                      "DBOS", "TaskFlow", "cel-python", "AsyncMachine", "python-statemachine",
                      "crash_at_every_write", "a graph that is a chain", "foreach",
                      "plugins list", "--help"):  # fmt: skip
        assert candidate in text
    for candidate, reason in (
        ("PostgreSQL", "PostgreSQL and workers were not measured"),
        ("four workers", "PostgreSQL and workers were not measured"),
        ("nats-py, bare", "requests to another process were not measured"),
    ):
        assert candidate in text or reason in text
    assert json.loads(text)


def test_a_server_or_an_extension_that_is_missing_is_a_note_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextlib.contextmanager
    def no_nats() -> Iterator[None]:
        raise NatsUnavailable("nats-server is not installed")
        yield

    monkeypatch.setenv("QTFORGE_TEST_POSTGRESQL", str(tmp_path))
    monkeypatch.setitem(sys.modules, "benchmarks.shared_journals", types.ModuleType("shared"))
    monkeypatch.setitem(sys.modules, "benchmarks.workers", types.ModuleType("workers"))
    monkeypatch.setitem(sys.modules, "benchmarks.remote_requests", types.ModuleType("remote"))
    monkeypatch.setattr("benchmarks.many_machines.running_nats", no_nats)
    figures, (postgresql, nats) = measure_many_machines(1)
    assert not figures
    assert "were not measured: QTFORGE_TEST_POSTGRESQL names no folder" in postgresql
    assert "were not measured: nats-server is not installed" in nats

    monkeypatch.setitem(sys.modules, "benchmarks.shared_journals", None)
    monkeypatch.setitem(sys.modules, "benchmarks.remote_requests", None)
    figures, (postgresql, nats) = measure_many_machines(1)
    assert not figures
    assert postgresql.endswith("benchmarks.shared_journals is not installed")
    assert nats.endswith("benchmarks.remote_requests is not installed")


@pytest.mark.venv
@pytest.mark.timeout(600)
@pytest.mark.soak
def test_two_commits_are_compared_in_one_run(tmp_path: Path) -> None:
    for peer in ("celpy", "packaging"):
        pytest.importorskip(peer, reason="the extra 'bench' is not installed")
    file = tmp_path / "comparison.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.compare", "HEAD", "--only", "routing", "--rounds", "2",
         "--json", str(file)],
        capture_output=True, text=True, timeout=580, cwd=ROOT,
    )  # fmt: skip
    if "git knows no commit" in done.stderr or "not a git repository" in done.stderr:
        pytest.skip("this is not a git checkout")
    # 1 when one of the two equal sides happened to be disturbed in both rounds.
    assert done.returncode == 0 or "are worse" in done.stderr, done.stderr
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["base"] == document["head"]
    (row,) = document["comparisons"]
    assert row["name"].startswith("conditional")
    assert row["rounds"] == 2
    assert row["spread"][0] <= row["ratio"] <= row["spread"][1]


def test_a_comparison_with_an_unknown_commit_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.compare", "--", "--no-such-commit"],
        capture_output=True, text=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    assert "git knows no commit '--no-such-commit'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        ([1.0, 1.0, 1.1, 0.9], "same"),
        ([1.2, 1.3, 1.2, 1.25], "worse"),
        ([0.8, 1.5, 1.3, 0.9], "unclear"),
        ([0.5, 0.5, 0.6, 0.5], "better"),
    ],
)
def test_a_row_is_worse_only_beyond_its_spread(head: list[float], verdict: str) -> None:
    row = compare("group", "row", [1.0] * 4, head)

    assert row.verdict == verdict
    assert row.spread[0] <= row.ratio <= row.spread[1]


def test_a_row_whose_fastest_rounds_are_equal_is_not_worse() -> None:
    base, head = [2.0] * 20, [2.4] * 20
    base[3], head[3] = 1.0, 1.2
    head[7] = 1.0

    row = compare("group", "row", base, head)

    assert row.spread[0] > 1.05
    assert (row.fastest, row.verdict) == (1.0, "unclear")
