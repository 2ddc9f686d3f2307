"""A state directory that is served, with runs in it, for both faces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("httpx2", reason="the extra 'http' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

from tests.host.conftest import Site
from tests.serving import PLUGIN, Server, Serving

SCHEDULE = """
[schedules.nightly]
workflow = "quick"
cron = "30 6 * * mon-fri"
timezone = "Europe/Berlin"
input = { word = "night" }
"""


@pytest.fixture(scope="module")
def module_serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A plugin and a schedule that are not served yet."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "site").mkdir()
    (folder / "serving").mkdir()
    site = Site(folder / "site")
    site.plugin("steps", source=PLUGIN)
    made = Serving(site, folder / "serving")
    made.config.write_text(SCHEDULE)
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_server(module_serving: Serving) -> Server:
    """It is served, for the whole module."""
    return module_serving.serve("--grace", "1s", "--rate", "10000/s")
