"""The pytest plugin; pytest loads it in every project that has the host installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qtforge_host.testing import PluginTestHost, WorkflowKit

__all__ = ["host", "pytest_addoption", "workflows"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--update-timelines``."""
    parser.getgroup("qtforge").addoption(
        "--update-timelines",
        action="store_true",
        help="Write the timelines that workflows.snapshot(...) names, instead of comparing them.",
    )


# Both fixtures stand on it, so that a project's own fixture `host` does not change `workflows`.
@pytest.fixture
def _qtforge_test_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginTestHost]:
    # Imported late: only a test that asks for a fixture waits for the host's modules.
    from qtforge_host.testing.plugin_host import PluginTestHost

    with PluginTestHost(tmp_path_factory.mktemp("qtforge-host")) as test_host:
        yield test_host


@pytest.fixture
def host(_qtforge_test_host: PluginTestHost) -> PluginTestHost:
    """A host that holds only the plugins that the test adds; closed after the test."""
    return _qtforge_test_host


@pytest.fixture
def workflows(
    _qtforge_test_host: PluginTestHost, request: pytest.FixtureRequest
) -> Iterator[WorkflowKit]:
    """Runs workflows on the real engine, in memory and in virtual time.

    A test that asks for ``host`` too gets the host that the workflows run on.
    """
    from qtforge_host.testing.timelines import Timelines
    from qtforge_host.testing.workflow_kit import WorkflowKit

    timelines = Timelines(
        request.path.parent / "timelines", update=request.config.getoption("update_timelines")
    )
    with WorkflowKit(_qtforge_test_host, timelines) as kit:
        yield kit
