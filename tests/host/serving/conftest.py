"""A state directory to serve, and a process that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx2", reason="the extra 'http' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

from tests.serving import PLUGIN, Server, Serving


@pytest.fixture
def serving(site: Any, tmp_path: Path) -> Iterator[Serving]:
    """The plugin, not served yet."""
    site.plugin("steps", source=PLUGIN)
    folder = tmp_path / "serving"
    folder.mkdir()
    made = Serving(site, folder)
    yield made
    made.close()


@pytest.fixture
def server(serving: Serving) -> Server:
    """It is served, with a grace period of a moment."""
    return serving.serve("--grace", "1s")


@pytest.fixture(scope="module")
def module_serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A plugin that is not served yet, for tests that leave it as it was."""
    from tests.host.conftest import Site

    folder = tmp_path_factory.mktemp("served")
    (folder / "site").mkdir()
    (folder / "serving").mkdir()
    site = Site(folder / "site")
    site.plugin("steps", source=PLUGIN)
    made = Serving(site, folder / "serving")
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_server(module_serving: Serving) -> Server:
    """It is served, for the whole module."""
    return module_serving.serve(
        "--grace", "1s", "--rate", "10000/s", "--allow-host", "allowed.example"
    )
