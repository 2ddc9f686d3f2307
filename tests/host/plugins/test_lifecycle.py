"""Starting and stopping plugins: the order, failures, and the plugins that depend on one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from qtforge_host.app import HostParts
from qtforge_host.plugins.candidates import Candidate
from qtforge_host.plugins.lifecycle import PluginLifecycle
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.quarantine import FailureMemory
from qtforge_host.plugins.registry import Registry
from qtforge_sdk import PluginContext
from qtforge_sdk.errors import NoHandlerError

if TYPE_CHECKING:
    from tests.host.conftest import Site

PLUGIN = """
from pathlib import Path
from qtforge_sdk import Plugin, operation, subscriber

class Example(Plugin):
    requires = {requires}

    async def start(self, context):
        self._log = context.data_dir.parent / "log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self.write("start {name}")
        {start}

    async def stop(self):
        self.write("stop {name}")
        {stop}

    def write(self, line):
        with self._log.open("a") as file:
            print(line, file=file)

    {body}
"""


def add(
    site: Site, name: str, *, requires: str = "", start: str = "", stop: str = "", body: str = ""
) -> None:
    source = PLUGIN.format(
        name=name,
        requires=tuple(requires.split()),
        start=start or "pass",
        stop=stop or "pass",
        body=body or "pass",
    )
    site.plugin(name, source=source)


class Case:
    """A lifecycle over the real parts, and the lines that its plugins wrote."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.parts = HostParts(site.settings)
        self.registry = Registry(site.resolve(), site.settings)
        self.lifecycle = PluginLifecycle(
            self.registry,
            self.parts.hooks,
            self.parts.wiring,
            self.parts.policies.health,
            self._context,
            site.settings,
            PluginLoader(),
            FailureMemory(site.settings.state_dir),
        )

    def _context(self, candidate: Candidate) -> PluginContext:
        return PluginContext(
            name=candidate.name,
            version=candidate.version,
            bus=self.parts.bus,
            data_dir=self._site.settings.state_dir / "plugins" / candidate.name,
            host_version="1.0.0",
        )

    def states(self) -> dict[str, tuple[str, str]]:
        return {
            entry.candidate.name: (entry.status.state, entry.status.code) for entry in self.registry
        }

    def lines(self) -> list[str]:
        return (self._site.settings.state_dir / "plugins" / "log").read_text().splitlines()

    def run(self, inner: Any = None) -> None:
        """Start all plugins, do something, and stop them."""

        async def scenario() -> None:
            await self.lifecycle.start([one.key for one in self.registry.accepted])
            try:
                if inner is not None:
                    await inner()
            finally:
                await self.lifecycle.stop_all()
                await self.parts.bus.close()
                self.parts.threads.close()

        asyncio.run(scenario())


@pytest.fixture
def case(importable: Site) -> Iterator[Any]:
    """A function that makes a `Case` of what was added to the site."""
    return lambda: Case(importable)  # type: ignore[return-value]


def test_requirements_start_first_and_stop_last(importable: Site, case: Any) -> None:
    add(importable, "acme", requires="store")
    add(importable, "store")
    made = case()

    made.run()

    assert made.lines() == ["start store", "start acme", "stop acme", "stop store"]


def test_a_running_plugin_handles_requests_and_a_stopped_one_does_not(
    importable: Site, case: Any
) -> None:
    operation = """
    @operation("acme.greet")
    async def greet(self, message):
        return "hello"
"""
    add(importable, "acme", body=operation)
    made = case()

    async def inner() -> None:
        assert await made.parts.bus.request("acme.greet", {}) == "hello"
        assert made.lifecycle.versions() == {"acme": "1.0.0"}
        await made.lifecycle.stop_all()
        assert made.lifecycle.versions() == {}
        with pytest.raises(NoHandlerError):
            await made.parts.bus.request("acme.greet", {})

    made.run(inner)


def test_a_plugin_that_fails_to_start_is_broken_and_its_dependents_do_not_start(
    importable: Site, case: Any
) -> None:
    add(importable, "acme", requires="store")
    add(importable, "other")
    add(importable, "store", start="raise OSError('no port')")
    made = case()

    async def inner() -> None:
        assert made.states() == {
            "acme": ("unmet", "plugin.unmet"),
            "other": ("active", ""),
            "store": ("broken", "plugin.start_failed"),
        }

    made.run(inner)
    assert "start acme" not in made.lines()


def test_a_plugin_that_says_that_a_program_is_missing_is_unmet_and_no_failure(
    importable: Site, case: Any, caplog: pytest.LogCaptureFixture
) -> None:
    start = (
        "from qtforge_sdk.errors import PluginError; "
        "raise PluginError('reader', 'plugin.unmet', 'scan is not installed', 'install scan')"
    )
    add(importable, "acme", requires="reader")
    add(importable, "reader", start=start)
    for _ in range(4):  # more often than quarantine_after
        made = case()
        made.run()
        assert made.states() == {
            "acme": ("unmet", "plugin.unmet"),
            "reader": ("unmet", "plugin.unmet"),
        }
        (entry,) = made.registry.named("reader")
        assert (entry.status.reason, entry.status.fix) == ("scan is not installed", "install scan")
    assert not [each for each in caplog.records if each.levelname == "WARNING"]


@pytest.mark.parametrize("where", ["no such", "nothing.x"])
def test_a_started_plugin_that_can_not_be_connected_is_stopped(
    importable: Site, case: Any, where: str
) -> None:
    body = f'@subscriber("a.b", where="{where}")\n    def hear(self, message): ...'
    add(importable, "acme", body=body)
    made = case()

    async def inner() -> None:
        assert made.states() == {"acme": ("broken", "plugin.invalid_condition")}
        assert made.lines() == ["start acme", "stop acme"]

    made.run(inner)


def test_one_that_fails_to_stop_does_not_keep_the_others_from_stopping(
    importable: Site, case: Any, caplog: pytest.LogCaptureFixture
) -> None:
    add(importable, "acme")
    add(importable, "store", stop="raise SystemExit(3)")
    made = case()

    made.run()

    assert made.lines()[2:] == ["stop store", "stop acme"]
    assert "store failed to stop: SystemExit: 3" in caplog.text


@pytest.mark.parametrize(
    ("requirement", "why", "fix"),
    [
        ("acme >= 1.0", None, None),
        ("acme >= 2.0", "'acme' is 1.0.0", "pip install 'acme>=2.0'"),
        ("nothing", "no plugin 'nothing' is installed", "pip install what provides it"),
        ("broken", "'broken' is broken: its start raised", "report it to the author"),
        ("acme >> 1", "it is not a requirement", "write it as 'document-parser >= 1.0.0'"),
    ],
)
def test_a_workflows_requirement_needs_an_active_plugin_in_the_range(
    importable: Site, case: Any, requirement: str, why: str | None, fix: str | None
) -> None:
    add(importable, "acme")
    add(importable, "broken", start="1 / 0")
    made = case()

    async def inner() -> None:
        found = made.registry.unmet(["acme", requirement])
        assert [each.position for each in found] == ([] if why is None else [1])
        for each in found:
            assert why is not None
            assert each.why.startswith(why)
            assert fix is not None
            assert each.fix.startswith(fix)

    made.run(inner)
