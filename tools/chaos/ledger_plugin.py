"""The plugins of the chaos runs: each call writes its idempotency key into a ledger.

A line is ``begun``, ``done`` or, for a call that was cancelled, ``cut``.

They are installed by `tools.chaos.cluster` for the workers only. A line is one write to a file that
is open for appending, so that processes do not mix theirs.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from qtforge_sdk import OperationContext, Plugin, Run, hookimpl, operation, workflow

_STEPS = 12
_STAGE = """
[[stages]]
name = "step_{number}"
operation = "{topic}"
message = {{ number = "${{input.number}}", pause_s = "${{input.pause_s}}" }}
timeout = "5m"
"""


def _definition(name: str, steps: int, topic: str) -> str:
    head = f'name = "{name}"\nkind = "sequential"\nversion = "1.0.0"\n'
    return head + "".join(
        _STAGE.format(number=number, topic=topic) for number in range(1, steps + 1)
    )


_TIMER = """
name = "ten-seconds"
kind = "reactive"
version = "1.0.0"
initial = "on"
[states.on]
timeout = { after = "10s", event = "over" }
[states.off]
final = true
[[transitions]]
name = "end"
from = "on"
to = "off"
trigger = "over"
"""


@workflow("waits")
async def waits(run: Run, given: dict[str, Any]) -> int:
    """Do a step, wait for the event ``go``, and do another step."""
    await run.request("step_1", "ledger.note", given)
    await run.wait_event("go", timeout="1h")
    return int(await run.request("step_2", "ledger.note", given))


class Ledger(Plugin):
    """Notes each call, after a pause that stands for its work."""

    @hookimpl
    def qtforge_workflows(self) -> list[Any]:
        """Return workflows with steps here and on other nodes, and two that wait."""
        twelve, remote = (
            _definition(name, _STEPS, topic)
            for name, topic in (("twelve-steps", "ledger.note"), ("remote-steps", "remote.note"))
        )
        return [twelve, remote, _definition("one-step", 1, "ledger.note"), _TIMER, waits]

    @operation("ledger.note")
    async def note(self, message: dict[str, Any], context: OperationContext) -> int:
        """Note that the call begins, and that it ends; return its number."""
        return await _note(message, context)


class Remote(Plugin):
    """The same for nodes that only answer over a bus."""

    @operation("remote.note")
    async def note(self, message: dict[str, Any], context: OperationContext) -> int:
        """Note that the call begins, and that it ends; return its number."""
        return await _note(message, context)


async def _note(message: dict[str, Any], context: OperationContext) -> int:
    _write("begun", context)
    try:
        await asyncio.sleep(float(message["pause_s"]))
    except asyncio.CancelledError:
        _write("cut", context)
        raise
    _write("done", context)
    return int(message["number"])


def _write(what: str, context: OperationContext) -> None:
    line = f"{what} {context.idempotency_key} {os.getpid()} {time.time()}\n".encode()
    file = os.open(Path(os.environ["LEDGER"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)
