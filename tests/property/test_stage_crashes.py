"""Stages of every shape end in the same way wherever the process dies, and leave nothing undone."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from qtforge_builtin_plugins.orchestrators.graph import GraphOrchestrator
from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import OperationContext, OperationError, Orchestrator, Plugin, operation
from qtforge_sdk.records import RunResumed, StepFailed, StepStarted

KINDS: dict[str, Orchestrator[Any]] = {
    "graph": GraphOrchestrator(),
    "sequential": SequentialOrchestrator(),
}


class Shelf(Plugin):
    """Bookings, which an undoing takes back; a job that is done after so many looks."""

    def __init__(self) -> None:
        self.booked: set[str] = set()
        self.looks: set[str] = (
            set()
        )  # by the key of the request, so that a repeated one counts once

    @operation("shelf.book")
    async def book(self, message: Mapping[str, Any]) -> str:
        name = str(message["name"])
        self.booked.add(name)
        for _ in range(int(message.get("turns", 0))):
            await asyncio.sleep(0)
        if message.get("bad"):
            raise OperationError("shelf.refused", f"no {name}", retryable=False)
        return name.upper()

    @operation("shelf.look")
    async def look(self, message: Mapping[str, Any], context: OperationContext) -> dict[str, Any]:
        self.looks.add(context.idempotency_key or "")
        return {"done": len(self.looks) >= 3}

    @operation("shelf.take_back")
    async def take_back(self, message: Mapping[str, Any]) -> None:
        self.booked.discard(str(message["name"]))


def book(name: str, *lines: str, where: str = "stages", more: str = "", key: str = "") -> str:
    what = key or name
    return "\n".join(
        [
            f"[[{where}]]",
            f'name = "{name}"',
            'operation = "shelf.book"',
            f'message = {{ name = "{what}"{more} }}',
            'compensation = { operation = "shelf.take_back", on_failure = true,'
            f' message = {{ name = "{what}" }} }}',
            *lines,
            "",
        ]
    )


DIAMOND = (
    book("top")
    + book("left", 'needs = ["top"]', more=", turns = 9")
    + book("right", 'needs = ["top"]')
    + book("skipped", 'needs = ["right"]', 'when = "false"')
    + book("after", 'needs = ["skipped"]', 'on_skipped = "skip"')
)
BAD_ENDS = DIAMOND + book("end", 'needs = ["left", "after"]', more=", bad = true")
BAD_MIDDLE = (
    DIAMOND
    + book("bad", 'needs = ["top"]', more=", bad = true, turns = 4")
    + book("end", 'needs = ["left"]')
    + book("never", 'needs = ["bad"]')
)


PAIR = book("fetch", where="blocks.pair.stages", key="fetch ${item}", more=", turns = 3") + book(
    "load", where="blocks.pair.stages", key="load ${item}", more=", bad = \"${item == 'b'}\""
)
EACH = """
[[stages]]
name = "each"
foreach = ["a", "b", "c", "d"]
concurrency = 2
block = "pair"
"""
WAYS = (
    book("before")
    + """
[[stages]]
name = "way"
switch = [{ when = "stages.before.data == 'x'", block = "never" }, { block = "pair" }]
"""
    + book("after", more=", bad = true")
    + book("one", where="blocks.never.stages")
    + book("fetch", where="blocks.pair.stages")
    + book("load", where="blocks.pair.stages")
)
POLL = """
[[stages]]
name = "poll"
operation = "shelf.look"
repeat = { until = "data.done", every = "1m", max = 5 }
"""
FAIL = """
[[stages]]
name = "verdict"
fail = { code = "job.broken", message = "it is" }
"""
FIRST = (
    book("before")
    + """
[[stages]]
name = "ask"
needs = ["before"]
block = "ways"
[blocks.ways]
first = 1
"""
    + book("quick", where="blocks.ways.stages")
    + book("bad", where="blocks.ways.stages", more=", bad = true")
    + book("slow", where="blocks.ways.stages", more=", turns = 300")
    + book("after_slow", 'needs = ["slow"]', where="blocks.ways.stages")
)
ENDLESS = """
[[WHERE]]
name = "poll"
operation = "shelf.book"
message = { name = "look", turns = 2 }
compensation = { operation = "shelf.take_back", on_failure = true, message = { name = "look" } }
repeat = { until = "false", every = "1h", max = 10000 }
"""
LATE = (
    """
[[stages]]
name = "late"
block = "waits"
timeout = "90m"
"""
    + book("fetch", where="blocks.waits.stages")
    + ENDLESS.replace("WHERE", "blocks.waits.stages")
)
FIRST_WAIT = (
    book("before")
    + """
[[stages]]
name = "ask"
needs = ["before"]
block = "ways"
[blocks.ways]
first = 1
"""
    + book("quick", where="blocks.ways.stages", more=", turns = 6")
    + ENDLESS.replace("WHERE", "blocks.ways.stages")
)
BESIDE_WAIT = (
    book("top")
    + ENDLESS.replace("WHERE", "stages")
    + book("bad", 'needs = ["top"]', more=", bad = true, turns = 6")
)
LAST = """
[[finally]]
name = "tell"
operation = "shelf.book"
message = { name = "told ${run.status} ${run.error == null ? '' : run.error.code}" }
[[finally]]
name = "each"
foreach = [1, 2]
operation = "shelf.book"
message = { name = "told ${item}", bad = "${item == 2}" }
"""
REDUCE = """reduce = { initial = "", value = "${total + item.load}" }
"""

CASES: dict[str, str] = {
    "graph": 'kind = "graph"\n' + DIAMOND,
    "graph with two at once": 'kind = "graph"\nconcurrency = 2\n' + DIAMOND,
    "graph whose end fails": 'kind = "graph"\n' + BAD_ENDS,
    "graph of which a stage fails": 'kind = "graph"\n' + BAD_MIDDLE,
    "graph that goes on": 'kind = "graph"\non_failure = "continue"\n' + BAD_MIDDLE,
    "sequence of items of which one fails": 'kind = "sequential"\n' + EACH + PAIR,
    "items of which one may fail": 'kind = "sequential"\n'
    + EACH
    + "tolerate = 1\n"
    + REDUCE
    + PAIR,
    "items that go on": 'kind = "sequential"\non_failure = "continue"\n' + EACH + PAIR,
    "items that are cut off": 'kind = "sequential"\non_failure = "cancel"\n' + EACH + PAIR,
    "graph of items of which one fails": 'kind = "graph"\n' + book("beside") + EACH + PAIR,
    "ways, and then a failure": 'kind = "sequential"\n' + WAYS,
    "polling": 'kind = "sequential"\n' + POLL,
    "failing on purpose": 'kind = "sequential"\n' + book("before") + POLL + FAIL,
    "the first way": 'kind = "graph"\n' + FIRST,
    "the first way, and then a failure": 'kind = "graph"\n'
    + FIRST
    + book("end", 'needs = ["ask"]', more=", bad = true"),
    "a success, and what is done last": 'kind = "graph"\n' + book("before") + LAST,
    "a failure, and what is done last": 'kind = "sequential"\n'
    + book("before")
    + book("bad", more=", bad = true")
    + LAST,
    "a block that waits too long": 'kind = "sequential"\n' + book("before") + LATE,
    "the first way beside one that waits": 'kind = "graph"\n' + FIRST_WAIT,
    "the first way beside one that waits, and then a failure": 'kind = "graph"\n'
    + FIRST_WAIT
    + book("end", 'needs = ["ask"]', more=", bad = true"),
    "graph that cuts off a wait": 'kind = "graph"\non_failure = "cancel"\n' + BESIDE_WAIT,
    "graph that cuts off": 'kind = "graph"\non_failure = "cancel"\n' + BAD_MIDDLE,
}


@pytest.mark.parametrize("case", CASES)
def test_stages_end_in_the_same_way_wherever_the_process_dies(
    processes: Any, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr("qtforge_host.runs.run._FAIL_S", 0.1)
    table = {"name": "w", **tomllib.loads(CASES[case])}
    orchestrator = KINDS[table["kind"]]
    workflow = Workflow(
        definition=msgspec.convert(table, orchestrator.definition_type),
        orchestrator=orchestrator,
        source="test",
        text="",
    )

    def play(*kills: tuple[int, bool]) -> tuple[Any, Shelf]:
        shelf = Shelf()
        return asyncio.run(processes(workflow, shelf, list(kills))), shelf

    undisturbed, expected = play()
    write, died = 0, True
    while died:
        write += 1
        for after in (False, True):
            ended, shelf = play((write, after))
            died = ended.kills == 1
            where = f"killed {'after' if after else 'before'} write {write}"
            state = ended.state
            assert (state.status, state.result) == (
                undisturbed.state.status,
                undisturbed.state.result,
            ), where
            assert code(state) == code(undisturbed.state), where
            assert shelf.booked == expected.booked, where
            if table.get("on_failure", "stop") == "stop" and "tolerate" not in CASES[case]:
                assert begun_after_a_failure(ended.records) == [], where
    assert write > 4


def code(state: Any) -> str | None:
    return None if state.error is None else str(state.error.code)


def begun_after_a_failure(records: Any) -> list[str]:
    """Return the stages and items that a later process began, after a required one had failed."""
    begun: set[str] = set()
    failed = closed = False
    found = []
    for record in records:
        if isinstance(record, StepFailed) and record.required and "." not in record.step:
            failed = True  # as a whole
        elif isinstance(record, RunResumed):
            closed = failed
        elif isinstance(record, StepStarted) and record.topic and "finally/" not in record.step:
            unit = record.step.partition(".")[0]
            if closed and unit not in begun:
                found.append(unit)
            begun.add(unit)
    return found
