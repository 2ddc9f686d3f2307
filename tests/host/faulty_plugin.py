"""The source of a plugin whose every part fails in a way that the test chooses."""

from __future__ import annotations

__all__ = ["SOURCE"]

SOURCE = '''
import asyncio
import os
from typing import Any

from qtforge_sdk import (
    Definition, Health, OperationContext, OperationError, Orchestrator, Plugin, Proceed, Run,
    hookimpl, operation, subscriber, workflow,
)
from qtforge_sdk import Compensation
from qtforge_sdk.policies import Fallback, Retry


class Panic(BaseException):
    pass


class Unreadable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


async def nothing():
    pass


def fail(way):
    match way:
        case "exception": raise ValueError("boom")
        case "base_exception": raise Panic("boom")
        case "system_exit": raise SystemExit(3)
        case "keyboard_interrupt": raise KeyboardInterrupt("boom")
        case "generator_exit": raise GeneratorExit("boom")
        case "group": raise BaseExceptionGroup("several", [ValueError("boom"), Panic("boom")])
        case "cancelled": raise asyncio.CancelledError("boom")
        case "unreadable": raise Unreadable
        case "surrogate": raise ValueError("bo\\udcffom")
        case "surrogate_code": raise OperationError("a.b\\udcff", "bo\\udcffom", "why", "fix")
        case "not_storable": return {"value": object()}
        case "same_keys": return {"rows": [{1: "a", "1": "b"}]}
        case "wrong_type": return 7
        case "no_await": return nothing()
    return {"fine": True}


class Failing(Orchestrator[Definition]):
    kind = "failing"

    def check(self, definition, checker):
        way = definition.defaults.get("check", "")
        return fail(way) if way else None

    def graph(self, definition):
        return fail(definition.defaults["way"])

    def accepts(self, definition, state):
        return fail(definition.defaults["way"])

    def triggers(self, definition):
        way = definition.defaults.get("triggers", "")
        return fail(way) if way else ()

    def check_amendment(self, before, after, steps):
        return fail(before.defaults["way"])

    async def execute(self, run: Run) -> Any:
        return fail(run.input["way"])


@workflow("operation")
async def of_operation(run: Run, given: Any) -> Any:
    policy = given.get("policy", "")
    undo = Compensation(topic="fine.make", message={})
    await run.request("before", "fine.make", {}, compensation=undo)
    answer = await run.request(
        "fails", given["topic"], {"way": given["way"], "attempts": given.get("attempts", 9)},
        retry=Retry(max_attempts=2, initial_delay=0.001) if policy == "retry" else None,
        fallback=Fallback(value="instead") if policy == "fallback" else None,
        required=policy != "required",
        timeout=60,
    )
    await run.request("after", "fine.make", {})
    return answer


@workflow("step")
async def of_step(run: Run, given: Any) -> Any:
    await run.step("fails", lambda: fail(given["way"]))


@workflow("async_step")
async def of_async_step(run: Run, given: Any) -> Any:
    async def work():
        return fail(given["way"])

    await run.step("fails", work)


@workflow("body")
async def of_body(run: Run, given: Any) -> Any:
    undo = Compensation(topic="fine.make", message={})
    await run.request("before", "fine.make", {}, compensation=undo)
    return fail(given["way"])


@workflow("branch")
async def of_branch(run: Run, given: Any) -> Any:
    async def branch():
        await asyncio.sleep(0)
        return fail(given["way"])

    undo = Compensation(topic="fine.make", message={})
    await run.request("before", "fine.make", {}, compensation=undo)
    await run.gather(run.request("beside", "fine.make", {}), branch())


@workflow("beside")
async def beside(run: Run) -> Any:
    await run.sleep(0.01)
    return (await run.request("fine", "fine.make", {}))["fine"]


KIND = """
name = "kind"
kind = "failing"
"""


class Example(Plugin):
    hook_way = ""
    own_way = ""
    heard = 0

    @hookimpl
    def qtforge_workflows(self):
        return [of_operation, of_step, of_async_step, of_body, of_branch, beside, KIND]

    @hookimpl
    def qtforge_orchestrators(self):
        return [Failing]

    @operation("fine.make")
    async def fine(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"fine": True}

    @operation("async.fail")
    async def in_the_loop(self, message: dict[str, Any], it: OperationContext) -> dict[str, Any]:
        return fail(message["way"] if it.attempt < message["attempts"] else "")

    @operation("suspended.fail")
    async def suspended(self, message: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0.001)
        return fail(message["way"])

    @operation("task.fail")
    async def in_a_task(self, message: dict[str, Any]) -> dict[str, Any]:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    @operation("thread.fail")
    def in_a_thread(self, message: dict[str, Any]) -> dict[str, Any]:
        return fail(message["way"])

    @operation("process.fail", execution="process")
    def in_a_process(self, message: dict[str, Any]) -> dict[str, Any]:
        return fail(message["way"])

    @operation("wrapped.fail")
    async def wrapped(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"fine": True}

    @operation("wrapped.fail", wrapper=True)
    async def wrapper(
        self, message: dict[str, Any], it: OperationContext, proceed: Proceed
    ) -> dict[str, Any]:
        return fail(message["way"])

    @subscriber("async.told")
    async def told(self, message: dict[str, Any]) -> None:
        self.heard += 1
        return fail(message["way"])

    @subscriber("thread.told")
    def told_in_a_thread(self, message: dict[str, Any]) -> None:
        self.heard += 1
        return fail(message["way"])

    @hookimpl
    def qtforge_before_request(self, topic, message):
        return fail(type(self).hook_way) if type(self).hook_way else None

    @hookimpl
    def qtforge_on_run_event(self, event):
        return fail(type(self).hook_way) if type(self).hook_way else None

    @hookimpl
    def qtforge_health(self):
        return fail(type(self).own_way) if type(self).own_way else Health()
'''
