"""Workers that share a journal and its limits, as real processes; for tests over each journal."""

from __future__ import annotations

import json
import signal
from typing import Any

from tests.serving import Process, Serving, until

__all__ = ["LIMITS", "LIMITS_PLUGIN", "breakers_hold", "limits_hold", "places_of_the_dead_are_free"]

LIMITS_PLUGIN = '''
import asyncio
import os
from pathlib import Path

from qtforge_sdk import Plugin, hookimpl, operation

FOLDER = Path(os.environ["STEPS"])


def workflow(name, topic):
    return f"""
name = "{name}"
kind = "sequential"
version = "1.0.0"

[[stages]]
name = "only"
operation = "{topic}"
message = {{ text = "${{input.word}}" }}
timeout = "100s"
"""


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [
            workflow(name, f"limited.{name}") for name in ("count", "block", "fail", "rate")
        ]

    @operation("limited.count")
    async def count(self, message: dict) -> None:
        self._note("begun")
        await asyncio.sleep(0.05)
        self._note("ended")

    @operation("limited.block")
    async def block(self, message: dict) -> None:
        self._note(f"begun {message['text']}")
        while not (FOLDER / f"go {message['text']}").exists():
            await asyncio.sleep(0.02)

    @operation("limited.fail")
    async def fail(self, message: dict) -> None:
        self._note("failed")
        raise RuntimeError("it always fails")

    @operation("limited.rate")
    async def rate(self, message: dict) -> None:
        self._note("passed")

    def _note(self, text):
        # One write to the end of the file: the lines are in the order of what happened.
        ledger = os.open(FOLDER / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(ledger, f"{os.getpid()} {text}\\n".encode())
        os.close(ledger)
'''
LIMITS = """
[topics."limited.count"]
limits = { concurrency = 2 }
[topics."limited.block"]
limits = { concurrency = 2 }
[topics."limited.fail"]
breaker = { failures = 1, open_for = "1h" }
[topics."limited.rate"]
limits = { rate = "5/h" }
"""


def _ledger(serving: Serving) -> list[str]:
    file = serving.folder / "ledger"
    return file.read_text().splitlines() if file.exists() else []


def _worker(serving: Serving, node: str, *options: str) -> Process:
    process = serving.start("worker", "--node", node, *options)
    until(
        lambda: node in {each["node"] for each in serving.json("nodes", "list", "--json")["nodes"]}
    )
    return process


def _nodes(serving: Serving) -> set[str]:
    return {each["node"] for each in serving.json("nodes", "list", "--json")["nodes"]}


def _queue(serving: Serving, workflow: str, word: str = "a", pool: str = "default") -> str:
    words = ("--set", f"word={word}", "--detach", "--pool", pool, "--json")
    done = serving.cli("run", workflow, *words)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["run_id"])


def _run(serving: Serving, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(serving.cli("runs", "show", run_id, "--json").stdout)
    return found


def limits_hold(serving: Serving) -> None:
    """Two workers have at most two requests at once, and neither takes all; of a rate, five."""
    for node in ("one", "two"):
        _worker(serving, node, "--pool", node)
    runs = [_queue(serving, "count", pool=pool) for _ in range(10) for pool in ("one", "two")]
    until(lambda: len(_ledger(serving)) == 2 * len(runs))
    at_once, workers = 0, set()
    for line in _ledger(serving):
        worker, _, what = line.partition(" ")
        workers.add(worker)
        at_once += 1 if what == "begun" else -1
        assert 0 <= at_once <= 2, _ledger(serving)
    assert len(workers) == 2
    (serving.folder / "ledger").unlink()
    for _ in range(4):
        for pool in ("one", "two"):
            _queue(serving, "rate", pool=pool)
    until(lambda: len(_ledger(serving)) >= 5)
    _queue(serving, "count", pool="one")
    _queue(serving, "count", pool="two")
    until(lambda: len(_ledger(serving)) >= 9)  # which takes longer than a sixth token would
    assert [line.partition(" ")[2] for line in _ledger(serving)].count("passed") == 5


def places_of_the_dead_are_free(serving: Serving) -> None:
    """What a killed worker held is another one's."""
    first = _worker(serving, "one")
    for word in ("a", "b"):
        _queue(serving, "block", word)
    until(lambda: len(_ledger(serving)) == 2)
    _worker(serving, "two", "--pool", "beside")
    run_id = _queue(serving, "block", "c", pool="beside")
    until(lambda: _run(serving, run_id)["status"] == "running")
    assert len(_ledger(serving)) == 2
    (serving.folder / "go c").touch()
    first.send_signal(signal.SIGKILL)
    until(lambda: _run(serving, run_id)["status"] == "succeeded")
    assert len(_ledger(serving)) == 3


def breakers_hold(serving: Serving) -> None:
    """A breaker that one worker has opened is open for another one."""
    for node in ("one", "two"):
        _worker(serving, node, "--pool", node)
    first = _queue(serving, "fail", pool="one")
    until(lambda: _run(serving, first)["status"] == "failed")

    def is_refused() -> bool:
        run_id = _queue(serving, "fail", pool="two")
        found = until(lambda: _ended(_run(serving, run_id)))
        return bool(found["error"]["code"] == "policy.breaker_open")

    until(is_refused)
    before = _ledger(serving)
    assert is_refused()
    assert _ledger(serving) == before


def _ended(run: dict[str, Any]) -> dict[str, Any] | None:
    return run if run["status"] == "failed" else None
