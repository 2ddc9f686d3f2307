"""Steps that end the process of ``serve``, with real processes that die."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from tests.serving import DEADLINE_S, Serving, until

KILLER = '''
import asyncio
import ctypes
import os
import time

from qtforge_sdk import Plugin, hookimpl, operation, workflow

HEAD = """
name = "{name}"
kind = "sequential"
version = "1.0.0"

[[stages]]
name = "before"
operation = "killer.note"
compensation = {{ operation = "{undo}" }}
"""
KILL = """
[[stages]]
name = "kill"
operation = "killer.{how}"
timeout = "20s"
retry = {{ max_attempts = 5, initial_delay = "1s" }}
{policy}
"""
FAIL = """
[[stages]]
name = "fail"
operation = "killer.fail"
"""


def definition(name, how, policy="", undo="killer.note"):
    return HEAD.format(name=name, undo=undo) + KILL.format(how=how, policy=policy)


@workflow("in-a-function")
async def in_a_function(run, given):
    await run.step("kill", lambda: os._exit(0))


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        fallback = 'fallback = { topic = "killer.exit" }'
        return [
            definition("exits", "exit"),
            definition("crashes-late", "crash", "required = false"),
            definition("exits-in-a-thread", "exit_in_thread", 'fallback = { value = "instead" }'),
            definition("falls-back-on-death", "exit", fallback),
            HEAD.format(name="undoes-by-death", undo="killer.exit") + FAIL,
            in_a_function,
        ]

    @operation("killer.note")
    async def note(self, message: object) -> str:
        return "noted"

    @operation("killer.fail")
    async def fail(self, message: object) -> str:
        raise ValueError("no")

    @operation("killer.exit")
    async def exit(self, message: object) -> str:
        os._exit(0)

    @operation("killer.exit_in_thread")
    def exit_in_thread(self, message: object) -> str:
        os._exit(1)

    @operation("killer.crash")
    async def crash(self, message: object) -> str:
        await asyncio.sleep(0.5)
        ctypes.string_at(0)
'''

STATUSES = {
    "exits": "compensated",
    "crashes-late": "succeeded",
    "exits-in-a-thread": "succeeded",
    "falls-back-on-death": "compensated",
    "undoes-by-death": "failed",
    "in-a-function": "failed",
}


def _runs(serving: Serving) -> dict[str, dict[str, Any]]:
    found = serving.json("runs", "list", "--json")["runs"]
    return {run["workflow"]: run for run in found}


@pytest.mark.timeout(600)
@pytest.mark.soak
def test_steps_that_kill_serve_fail_and_the_others_go_on(serving: Serving) -> None:
    serving.site.plugin("killer", source=KILLER)
    bystander = serving.start("run", "waits")
    until(lambda: "waits" in _runs(serving))
    for name in STATUSES:
        assert serving.start("run", name).wait(DEADLINE_S) is not None
    bystander.kill()
    bystander.wait()

    def have_ended() -> bool:
        runs = _runs(serving)
        return all(runs[name]["status"] not in ("running", "interrupted") for name in STATUSES)

    deaths = 0
    while True:
        process = serving.start("serve", "--port", "0", "--no-http")
        until(lambda: process.poll() is not None or have_ended())  # noqa: B023 - it is this one
        if process.poll() is None:
            break
        deaths += 1
        # Each may kill it three times, and one of them in its fallback as well.
        assert deaths <= 3 * (len(STATUSES) + 1)

    found = {name: run["status"] for name, run in _runs(serving).items() if name in STATUSES}
    assert found == STATUSES
    assert deaths > 2
    assert process.poll() is None
    assert serving.cli("send", _runs(serving)["waits"]["run_id"], "go").returncode == 0
    until(lambda: _runs(serving)["waits"]["status"] == "succeeded")

    shown = {name: serving.json("runs", "show", run["run_id"], "--json")
             for name, run in _runs(serving).items()}  # fmt: skip
    error = shown["exits"]["error"]
    assert error["code"] == "run.step_killed_its_process"
    assert (error["plugin"], error["plugin_version"]) == ("killer", "1.0.0")
    assert "3 processes died while they did the step 'kill'" in error["message"]
    assert "killer 1.0.0" in error["fix"]
    assert shown["in-a-function"]["error"]["code"] == "run.step_killed_its_process"
    assert shown["crashes-late"]["degraded"] is True


ENDS = """
import asyncio
import os
import threading

from qtforge_sdk import Health, Plugin, hookimpl, subscriber, workflow

PLACE = open(os.environ["STEPS"] + "/place").read()


def end(place):
    if place == PLACE:
        os._exit(0)


end("import")


@workflow("tells")
async def tells(run, given):
    await run.sleep(600)


class Example(Plugin):
    async def start(self, context):
        end("start")
        threading.Timer(0.5, end, ["thread"]).start()
        self.task = asyncio.create_task(self.work())

    async def work(self):
        await asyncio.sleep(0.5)
        end("task")

    async def health(self):
        end("health")
        return Health()

    @hookimpl
    def qtforge_workflows(self):
        end("workflows")
        return [tells]

    @hookimpl
    def qtforge_on_run_event(self, event):
        end("event")

    @subscriber("ends.told")
    async def told(self, message: dict) -> None:
        end("subscriber")
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "place",
    [
        "start",
        "subscriber",
        "task",
        *(
            pytest.param(place, marks=pytest.mark.soak)
            for place in ("import", "health", "workflows", "event", "thread")
        ),
    ],
)
def test_a_plugin_that_ends_serve_again_and_again_is_quarantined(
    serving: Serving, place: str
) -> None:
    serving.site.plugin("ends", source=ENDS)
    (serving.folder / "place").write_text("")
    server = serving.serve()
    server.start("tells")
    server.end(signal.SIGKILL)  # so that what is published waits for the next one
    serving.cli("bus", "publish", "ends.told")
    (serving.folder / "place").write_text(place)
    for _ in range(3):
        assert serving.start("serve", "--port", "0").wait(DEADLINE_S) == 0

    server = serving.serve()

    plugins = server.get("/v1/plugins").json()["plugins"]
    (found,) = [each for each in plugins if each["name"] == "ends"]
    assert found["state"] == "quarantined"
    assert "3 processes of serve in a row ended in its code" in str(found)
    assert server.end() == 0
