"""The test host's bus keeps the contract that every bus keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qtforge_sdk import Bus
from qtforge_sdk.testing import PluginTestHost
from qtforge_sdk.testing.bus_contract import BusContract, BusUnderTest, MakeBus


class _OnTheRunningLoop:
    """A test host whose bus is used from a loop that runs already."""

    def __init__(self, host: PluginTestHost) -> None:
        self._host = host
        self.bus: Bus = host.bus

    async def add(self, plugin: object, name: str, version: str) -> object:
        return await self._host.add_async(plugin, name, version)


class TestTheTestHostsBus(BusContract):
    @pytest.fixture
    def make_bus(self, tmp_path: Path) -> MakeBus:
        @asynccontextmanager
        async def make() -> AsyncIterator[BusUnderTest]:
            host = PluginTestHost(tmp_path)
            yield _OnTheRunningLoop(host)
            assert await host.close_async() == []
            await asyncio.to_thread(host.close)

        return make
