"""A host's parts without discovery, for tests that bring their own plugins."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
from tests.servers.postgresql import PostgreSQL, PostgreSQLUnavailable, running_postgresql

from qtforge_host.app import HostParts
from qtforge_host.config.settings import Settings
from qtforge_host.plugins.lifecycle import start_plugin, stop_plugin
from qtforge_host.plugins.wiring import Wired
from qtforge_sdk import PluginContext
from qtforge_sdk.clock import Clock

ROOT = Path(__file__).parent.parent

# A busy machine is no failure: each test has a time limit of its own.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


# Wheels, environments and journals of one run of all tests, with room to spare.
ROOM_IN_MEMORY = 6 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests' files in memory where there is room: much of their time is a disk's."""
    folder = Path("/dev/shm")
    if config.option.basetemp is None and _has_room_for_programs(folder):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))


def _has_room_for_programs(folder: Path) -> bool:
    """Whether it exists, is large enough, and lets programs run, which containers forbid there."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize >= ROOM_IN_MEMORY and not found.f_flag & os.ST_NOEXEC


def pytest_sessionstart() -> None:
    """Receive Ctrl-C, and let the tests' processes do so, also where a shell has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection() -> None:
    """Collect tests without looking for cycles, of which that makes none."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Keep what was collected out of all later searches for cycles."""
    gc.collect()
    gc.freeze()
    gc.enable()


class Bench:
    """The real hooks, bus and wiring, and a way to add plugins by hand."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.parts = HostParts(settings, clock=clock)
        self.bus = self.parts.bus
        self._settings = settings
        self._added: list[tuple[Any, str]] = []

    async def add(self, plugin: Any, name: str = "sample", version: str = "1.0.0") -> Any:
        """Register, connect and start a plugin, as the host does."""
        kind = type(plugin)
        wired = Wired(
            plugin=plugin,
            name=name,
            version=version,
            target=f"{kind.__module__}:{kind.__qualname__}",
        )
        self.parts.hooks.register(plugin, f"{name}:{name}:{len(self._added)}")
        self.parts.wiring.prepare(wired)
        context = PluginContext(
            name=name,
            version=version,
            bus=self.bus,
            data_dir=self._settings.state_dir / name,
            host_version="1.0.0",
            secrets=self.parts.secrets,
        )
        await start_plugin(self.parts.hooks, plugin, context, 60)
        self.parts.wiring.connect(wired)
        self._added.append((plugin, name))
        return plugin

    async def close(self) -> None:
        await self.bus.drain(60)
        for plugin, name in reversed(self._added):
            await stop_plugin(self.parts.hooks, plugin, name, 5)
        await self.bus.close()
        await self.parts.wiring.close()
        await self.parts.expression_workers.close()
        self.parts.threads.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(config_path=tmp_path / "config.toml", state_dir=tmp_path / "state")


@pytest.fixture
def bench(settings: Settings) -> Any:
    """A function that gives a fresh `Bench` as an async context manager."""

    @contextlib.asynccontextmanager
    async def make(clock: Clock | None = None, **changes: Any) -> AsyncIterator[Bench]:
        made = Bench(msgspec.structs.replace(settings, **changes), clock)
        try:
            yield made
        finally:
            await made.close()

    return make


@pytest.fixture
def shared_documents() -> Path:
    """The real documents beside the checkout; skipped where they are absent."""
    found = ROOT.parent / "shared" / "documents"
    if not found.is_dir():
        pytest.skip("the shared documents are not beside this checkout")
    return found


@pytest.fixture
def plugin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on ``sys.path``, so that worker processes can import what a test writes there."""
    folder = tmp_path / "plugin_folder"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    assert str(folder) in sys.path
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server for the whole session; skipped where there is none to start."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_postgresql())
        except PostgreSQLUnavailable as error:
            pytest.skip(str(error))
        yield server


@pytest.fixture(scope="session")
def tesseract() -> str:
    """The path of the program, from the system's package; skipped where it is not installed."""
    found = shutil.which("tesseract")
    if found is None:
        pytest.skip("Tesseract is not installed: apt-get install tesseract-ocr")
    return found
