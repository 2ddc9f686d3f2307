"""What a host does to start and stop grows with the number of plugins, not with its square."""

from __future__ import annotations

import asyncio
import itertools
import sys
from types import FrameType
from typing import Any

import pytest

from qtforge_host.app import Host
from qtforge_host.config.settings import Settings

SOURCE = """
from qtforge_sdk import Plugin, operation, subscriber

class Example(Plugin):
    @operation("{name}.do")
    async def do(self, message: dict) -> str:
        return "done"

    @operation("every.do")
    async def do_as_all(self, message: dict) -> str:
        return "done"

    @subscriber("{name}.*")
    async def hear(self, message: dict) -> None: ...

    @subscriber("every.*")
    async def hear_as_all(self, message: dict) -> None: ...
"""
STEP = 30


def calls_of_a_life(settings: Settings) -> tuple[int, int]:
    """Return how many Python functions a host calls, and how many topics it answers."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    async def live() -> int:
        async with Host(settings) as host:
            return len(host.bus.topics())

    sys.setprofile(count)
    try:
        topics = asyncio.run(live())
    finally:
        sys.setprofile(None)
    return calls, topics


def test_each_plugin_costs_the_same_however_many_there_are(
    site: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site.root))
    calls_of_a_life(settings)  # what is read and imported once
    calls, topics = zip(*(with_more(site, settings) for _ in range(4)), strict=True)
    assert [after - before for before, after in itertools.pairwise(topics)] == [STEP] * 3
    added = [after - before for before, after in itertools.pairwise(calls)]
    assert added[2] < 1.05 * added[0], added


def with_more(site: Any, settings: Settings) -> tuple[int, int]:
    before = len(list(site.root.glob("*.dist-info")))
    for number in range(before, before + STEP):
        name = f"p{number:03}"
        site.plugin(name, source=SOURCE.format(name=name))
    return calls_of_a_life(settings)
