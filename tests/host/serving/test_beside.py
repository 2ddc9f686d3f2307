"""Commands beside ``serve``: what they start, publish and send, with real processes."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from tests.serving import Serving, until

PLUGIN = '''
import os
from pathlib import Path

from qtforge_sdk import Plugin, hookimpl, subscriber
from qtforge_sdk.bus import message_id

FOLDER = Path(os.environ["STEPS"])
COUNTS = """
name = "counts"
kind = "reactive"
version = "1.0.0"
initial = "on"
key = "${input.key}"
data = { n = 0 }
[states.on]
[states.off]
final = true
[[transitions]]
name = "count"
from = "on"
trigger = "tick"
actions = ["add"]
[[transitions]]
name = "end"
from = "on"
to = "off"
trigger = "stop"
[actions.add]
type = "set"
values = { n = "${data.n + 1}" }
[[start_on]]
topic = "begin"
input = { key = "${event.data.key}" }
[[events]]
topic = "tick"
key = "event.data.key"
"""
SAYS = """
name = "says"
kind = "reactive"
version = "1.0.0"
initial = "a"
[states.a]
entry = ["begin", "tick"]
[states.b]
final = true
[[transitions]]
name = "t"
from = "a"
to = "b"
[actions.begin]
type = "message"
topic = "begin"
message = { key = "from a run" }
[actions.tick]
type = "message"
topic = "tick"
message = { key = "k" }
"""


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [COUNTS, SAYS]

    @subscriber("tick")
    async def tick(self, message: dict) -> None:
        with open(FOLDER / "done", "a") as file:
            file.write(f"{os.getpid()} {message['key']} {bool(message_id())}\\n")
'''


@pytest.fixture
def beside(serving: Serving) -> Serving:
    serving.site.plugin("steps", source=PLUGIN)
    return serving


def runs(serving: Serving, workflow: str) -> list[dict[str, Any]]:
    listed = serving.json("runs", "list", "--workflow", workflow, "--json")["runs"]
    return [each for each in listed if each["workflow"] == workflow]


def test_what_commands_publish_reaches_runs_starts_and_subscribers_of_serve(
    beside: Serving,
) -> None:
    server = beside.serve("--grace", "1s")
    assert beside.cli("bus", "publish", "begin", "--set", "key=k").returncode == 0
    (run,) = until(lambda: runs(beside, "counts"))
    assert beside.cli("run", "says").returncode == 0
    until(lambda: len(runs(beside, "counts")) == 2)
    assert beside.cli("bus", "publish", "tick", "--set", "key=k").returncode == 0
    heard = until(lambda: (found := in_serve(beside, server)) and len(found) >= 2 and found)
    assert heard == ["k True", "k True"]
    beside.cli("send", run["run_id"], "stop")
    ended = until(lambda: (found := server.run(run["run_id"]))["status"] == "succeeded" and found)
    assert ended["result"]["data"] == {"n": 2}


def in_serve(serving: Serving, server: Any) -> list[str]:
    pid = str(server.process.pid)
    return [line.partition(" ")[2] for line in serving.done if line.split()[0] == pid]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_is_published_without_serve_is_stored_only_after_a_kill(
    beside: Serving, how: signal.Signals
) -> None:
    server = beside.serve("--grace", "1s")
    server.end(how)
    assert beside.cli("bus", "publish", "begin", "--set", "key=k").returncode == 0
    again = beside.serve("--grace", "1s")
    if how == signal.SIGKILL:
        (run,) = until(lambda: runs(beside, "counts"))
        assert run["status"] in ("running", "waiting")
    else:
        assert again.get("/readyz").status_code == 200
        assert runs(beside, "counts") == []
