"""The pytest plugin; pytest loads it in every project that has the SDK installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qtforge_sdk.testing import PluginTestHost

__all__ = ["host"]

pytest.register_assert_rewrite(
    "qtforge_sdk.testing.bus_contract", "qtforge_sdk.testing._contract_publishing"
)


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginTestHost]:
    """A host that holds only the plugins that the test adds; closed after the test."""
    from qtforge_sdk.testing import PluginTestHost  # late: it imports asyncio

    with PluginTestHost(tmp_path_factory.mktemp("qtforge-host")) as test_host:
        yield test_host
