"""Runs in Python whose version no function here continues."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.plugin_code import Author
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.workflows.catalog import Catalog, Contribution
from qtforge_sdk import Run, workflow
from qtforge_sdk.records import RunBlocked, RunStarted


def engine_of(lab: Any, journal: MemoryJournal, version: str) -> Engine:
    """Return a process with one version of the plugin ``shop`` and of its workflow."""

    @workflow("order", version=version)
    async def order(run: Run) -> str:
        await run.step("book", lambda: version)
        return version

    catalog = Catalog({})
    author = Author("shop", version)
    catalog.add([Contribution(content=order, contributor=f"shop {version}", author=author)])
    recorded = RecordedWorkflows({}, catalog.get, lambda each: [], versions=catalog.versions)
    return Engine(lab.bus, lab.expressions, journal, recorded, plugins=lambda: {"shop": version})


@pytest.mark.parametrize("has_peer", [True, False])
def test_a_run_is_left_to_a_process_with_its_version_and_else_blocked(
    play: Callable[[Any], None], has_peer: bool
) -> None:
    async def case(lab: Any) -> None:
        store = MemoryStore()
        first, second = MemoryJournal(store), MemoryJournal(store)
        started = RunStarted(
            run_id="20260101-000000-0000000000",
            at=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
            workflow="order",
            kind="python",
            workflow_version="1.0.0",
            input={},
            plugins={"shop": "1.0.0"},
        )
        await first.create(started)
        await first.close()
        new = engine_of(lab, second, "2.0.0")
        asked: list[Any] = []
        new.has_peer_with = lambda needs: asked.append(needs) or has_peer  # type: ignore[func-returns-value]
        ownership = await second.claim(started.run_id)
        state = await new.resume(started.run_id, unpause=False, ownership=ownership)
        assert asked == [{"shop": "1"}]
        blocked = [
            each.reason
            for each in await second.records(started.run_id)
            if isinstance(each, RunBlocked)
        ]
        if has_peer:
            assert (state.status, blocked) == ("running", [])
        else:
            why = "started with order 1.0.0; here are 2.0.0 (resumes 2.*)"
            assert (state.status, blocked) == ("blocked", [why])
            again = await new.resume(started.run_id, unpause=False)
            assert again.status == "blocked"
            accepted = await new.resume(started.run_id, versions="any")
            assert (accepted.status, accepted.result) == ("succeeded", "2.0.0")
        await new.close()
        await second.close()

    play(case)
