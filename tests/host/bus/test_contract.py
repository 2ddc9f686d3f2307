"""The host's bus keeps the contract that the SDK's test bus keeps."""

from __future__ import annotations

from typing import Any

import pytest

from qtforge_sdk.testing.bus_contract import BusContract


class TestTheHostsBus(BusContract):
    @pytest.fixture
    def make_bus(self, bench: Any) -> Any:
        return bench
