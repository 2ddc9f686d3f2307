"""State machines for tests of stateful runs, and what to look at of them."""

from __future__ import annotations

import asyncio
from typing import Any

COUNTER = """
initial = "on"
data = { seen = [] }
[states.on]
[states.off]
final = true
[[transitions]]
name = "note"
from = "on"
trigger = "note"
actions = ["add"]
[[transitions]]
name = "end"
from = "on"
to = "off"
trigger = "end"
[actions.add]
type = "set"
values = { seen = "${data.seen + [event.data]}" }
"""
CALLER = """
initial = "idle"
[states.idle]
[states.asked]
entry = ["ask"]
[states.failed]
[[transitions]]
name = "go"
from = ["idle", "asked"]
to = "asked"
trigger = "go"
[[transitions]]
name = "bad"
from = "asked"
to = "failed"
trigger = "error.ask"
[actions.ask]
type = "plugin_call"
operation = "%s"
result = "answer"
"""
PARENT = """
initial = "idle"
[states.idle]
[states.waits]
entry = ["begin"]
[states.done]
final = true
[[transitions]]
name = "go"
from = "idle"
to = "waits"
trigger = "go"
[[transitions]]
name = "ended"
from = "waits"
to = "done"
trigger = "done.workflow.begin"
actions = ["keep"]
[[transitions]]
name = "broken"
from = "waits"
to = "done"
trigger = "error.workflow.begin"
actions = ["keep"]
[actions.begin]
type = "workflow"
workflow = "child"
[actions.keep]
type = "set"
values = { answer = "${event.data.status}" }
"""
TIMER = """
initial = "on"
[states.on]
timeout = { after = "%s", event = "late" }
[states.off]
[[transitions]]
name = "over"
from = "on"
to = "off"
trigger = "late"
[[transitions]]
name = "stop"
from = "on"
to = "off"
trigger = "stop"
[[transitions]]
name = "again"
from = "on"
to = "on"
trigger = "again"
"""


async def begun(lab: Any, text: str) -> str:
    state = await asyncio.wait_for(lab.engine.execute(lab.machine(text), {}), 60)
    assert state.status == "waiting"
    return str(state.run_id)


async def seen(lab: Any, run_id: str) -> Any:
    return (await lab.kept(run_id)).state.get("data", {}).get("seen")


async def labelled(lab: Any, run_id: str, label: str) -> bool:
    return bool((await lab.kept(run_id)).label == label)
