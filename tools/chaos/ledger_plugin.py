"""The plugin of the chaos runs: each call writes its idempotency key into a ledger.

It is installed by `tools.chaos.cluster` for the workers only. A line is one write to a file that
is open for appending, so that processes do not mix theirs.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from qtforge_sdk import OperationContext, Plugin, hookimpl, operation

_STEPS = 12
_STAGE = """
[[stages]]
name = "step_{number}"
operation = "ledger.note"
message = {{ number = "${{input.number}}", pause_s = "${{input.pause_s}}" }}
timeout = "5m"
"""


def _definition(name: str, steps: int) -> str:
    head = f'name = "{name}"\nkind = "sequential"\nversion = "1.0.0"\n'
    return head + "".join(_STAGE.format(number=number) for number in range(1, steps + 1))


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


class Ledger(Plugin):
    """Notes each call, after a pause that stands for its work."""

    @hookimpl
    def qtforge_workflows(self) -> list[str]:
        """Return a workflow of twelve steps, one of a single step, and one that ends by a timer."""
        return [_definition("twelve-steps", _STEPS), _definition("one-step", 1), _TIMER]

    @operation("ledger.note")
    async def note(self, message: dict[str, Any], context: OperationContext) -> int:
        """Note that the call begins, and that it ends; return its number."""
        _write("begun", context)
        await asyncio.sleep(float(message["pause_s"]))
        _write("done", context)
        return int(message["number"])


def _write(what: str, context: OperationContext) -> None:
    line = f"{what} {context.idempotency_key} {os.getpid()} {time.time()}\n".encode()
    file = os.open(Path(os.environ["LEDGER"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)
