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
