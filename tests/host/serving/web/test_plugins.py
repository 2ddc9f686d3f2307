"""The pages of plugins: what must be repaired, what is there, and what one of them does."""

from __future__ import annotations

import datetime
from typing import get_args

import pytest

pytest.importorskip("jinja2", reason="the extra 'serve' is not installed")

from tests.pages import HOSTILE, browser
from tests.serving import Server, Serving

from qtforge_host.api.documents import HealthRow, PluginProblem, PluginRow
from qtforge_host.api.plugins import PluginOffers
from qtforge_host.plugins.candidates import PluginState
from qtforge_host.serving.http.application import PAGES as ROOT
from qtforge_host.serving.web.pages.plugins import PluginsPage, plugins_page
from qtforge_host.serving.web.rendering import Renderer
from qtforge_host.serving.web.static_files import StaticFiles

BROKEN = """
from qtforge_sdk import Plugin


class Example(Plugin):
    async def start(self, context):
        raise RuntimeError("<script>alert(1)</script>")
"""
READER = '''
import msgspec

from qtforge_sdk import Health, Plugin, hookimpl, operation, subscriber

READS = """
name = "reads"
kind = "sequential"
version = "1.0.0"

[[stages]]
name = "only"
operation = "letters.read"
"""


class Options(msgspec.Struct, frozen=True):
    api_key: str = ""
    mail_host: str = ""


class Example(Plugin):
    Config = Options

    async def start(self, context):
        pass

    async def health(self):
        return Health("degraded", "the mail server is slow")

    @operation("letters.read")
    async def read(self, message: dict) -> str:
        raise ValueError("it has no text")

    @subscriber("letters.*")
    async def seen(self, message: dict) -> None:
        pass

    @hookimpl
    def qtforge_workflows(self):
        return [READS]
'''
CONFIG = """
[plugins.gone]
enabled = true

[plugins.reader.config]
api_key = "very secret"
mail_host = "mail.example.org"

[topics."letters.read"]
breaker = { failures = 1, window = "60s", open_for = "1h" }
"""


@pytest.fixture(scope="module")
def module_server(module_serving: Serving) -> Server:
    """A host with plugins that are not ready."""
    site = module_serving.site
    site.plugin("crashes", source=BROKEN)
    site.plugin("lacks", requires=("qtforge-sdk>=1.0,<2", "no-such-distribution>=3"))
    site.plugin("reader", "2.4.1", source=READER)
    module_serving.config.write_text(CONFIG)
    return module_serving.serve("--grace", "1s", "--rate", "10000/s")


def rows() -> list[PluginRow]:
    """Return a plugin in each state, with hostile texts."""
    return [
        PluginRow(
            name=f"{state}{HOSTILE}", version=HOSTILE, distribution=HOSTILE, builtin=False,
            state=state, code="a.b", reason=f"{state} {HOSTILE}", fix=f"repair {state} {HOSTILE}",
        )
        for state in get_args(PluginState)
    ]  # fmt: skip


def shown(page: PluginsPage) -> str:
    return Renderer(StaticFiles(), "/ui").render("_plugins.html", {"page": page})


def test_a_plugin_in_any_state_is_shown_and_what_is_not_ready_is_a_repair() -> None:
    page = plugins_page(rows(), [PluginProblem(where=HOSTILE, reason=HOSTILE, fix=HOSTILE)], {}, [])
    assert {each.row.state for each in page.others} == {"active", "ready", "disabled"}
    html = shown(page)
    assert "<script" not in html
    assert "<b>" not in html
    for each in page.repairs:
        assert f"repair {each.row.state}" in html
    assert html.count("data-copy-before") == len(page.repairs) + 1


@pytest.mark.parametrize("status", ["healthy", "degraded", "unhealthy"])
def test_the_health_of_a_plugin_is_shown_with_what_it_says(status: str) -> None:
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    ready = next(each for each in rows() if each.state == "active")
    report = HealthRow(
        plugin=ready.name, status=status, text=HOSTILE, latency_s=0.1, checked_at=at, since=at
    )
    offers = PluginOffers(topics=2, subscriptions=0, hooks=1, workflows=1)
    html = shown(plugins_page([ready], [], {ready.name: offers}, [report]))
    assert status in html
    assert "2 operations, 1 hook, 1 workflow" in html
    assert "<script" not in html
    assert "Repairs" not in html


def test_what_is_not_ready_says_why_and_what_to_do(module_server: Server) -> None:
    with browser(module_server) as client:
        page = client.get(f"{ROOT}/plugins").text
        repairs, others = page.split("</section>", 1)
        for name, words in (
            ("crashes", "Its start raised RuntimeError"),
            ("lacks", "pip install &#39;no-such-distribution&gt;=3&#39;"),
            ("plugins.gone", "configures a plugin that is not installed"),
        ):
            assert name in repairs
            assert words in repairs
        assert "steps" in others
        assert "<script>alert" not in page
        one = client.get(f"{ROOT}/plugins/crashes").text
        assert "plugin.start_failed" in one
        assert "<script>alert" not in one


def test_the_page_of_a_plugin_shows_what_it_does_and_hides_its_secrets(
    module_server: Server,
) -> None:
    run = module_server.start("reads", wait="20s")
    assert run["status"] == "failed"
    module_server.get("/v1/health")  # it checks now, and not in the next round
    with browser(module_server) as client:
        page = client.get(f"{ROOT}/plugins/reader").text
        assert "2.4.1" in page
        assert "mail.example.org" in page
        assert "very secret" not in page
        assert "letters.*" in page
        assert "breaker open" in page
        assert "100 %" in page
        assert "The mail server is slow" in page
        assert f"/runs/{run['run_id']}" in page
        assert client.get(f"{ROOT}/plugins/{'x' * 300}").status_code == 404
        assert client.get(f"{ROOT}/plugins?x=1").status_code == 400
