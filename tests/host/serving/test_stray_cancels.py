"""Plugins that cancel tasks that are not theirs, under a real ``serve``."""

from __future__ import annotations

import pytest
from tests.serving import Serving

CANCELLER = """
import asyncio

from qtforge_sdk import Health, Plugin, hookimpl, operation, subscriber, workflow


def cancel_all():
    for task in asyncio.all_tasks():
        task.cancel()


@workflow("cancels")
async def cancels(run, given):
    if given["where"] == "body":
        cancel_all()
    if given["where"] == "publish":
        await run.publish("told", "canceller.told", {})
        await run.sleep(0.1)
    if given["where"] == "step":
        await run.step("step", cancel_all)
    return await run.request("last", "canceller.do", {"where": given["where"]})


class Example(Plugin):
    async def start(self, context):
        cancel_all()
        await asyncio.sleep(0)

    async def stop(self):
        cancel_all()
        await asyncio.sleep(0)

    async def health(self):
        cancel_all()
        await asyncio.sleep(0)
        return Health()

    @hookimpl
    def qtforge_on_run_event(self, event):
        cancel_all()

    @hookimpl
    def qtforge_workflows(self):
        return [cancels]

    @operation("canceller.do")
    async def do(self, message: dict) -> str:
        if message["where"] == "operation":
            cancel_all()
        if message["where"] == "this":
            asyncio.current_task().cancel()
        await asyncio.sleep(0.001)
        return "done"

    @subscriber("canceller.told")
    async def told(self, message: dict) -> None:
        cancel_all()
        asyncio.current_task().cancel()
        await asyncio.sleep(0.001)
"""


@pytest.mark.timeout(120)
def test_cancelling_all_tasks_cancels_neither_runs_nor_serve(serving: Serving) -> None:
    serving.site.plugin("canceller", source=CANCELLER)
    server = serving.serve()
    for where in ("operation", "body", "step", "publish", "publish"):
        run = server.start("cancels", wait="20s", where=where)
        assert (run["status"], run["result"]) == ("succeeded", "done"), (where, run)
    failed = server.start("cancels", wait="20s", where="this")
    assert failed["status"] in ("failed", "succeeded")  # from 3.13 on `uncancel` undoes it
    assert server.get("/readyz").json()["status"] == "ready"
    assert server.end() == 0
