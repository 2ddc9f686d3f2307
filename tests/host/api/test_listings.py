"""Lists of topics and workflows that were kept are those of a host that starts now, or none."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from tests.host.conftest import Site

from qtforge_host.api.client import RunClient
from qtforge_host.api.documents import Topics, Workflows
from qtforge_host.api.listings import kept_topics, kept_workflows
from qtforge_host.cli.bus import bus
from qtforge_host.cli.session import Session
from qtforge_host.cli.workflows import workflows
from qtforge_host.plugins import found_cache
from qtforge_host.plugins.listings import kept_listing

FLOW = 'name = "{0}"\nkind = "sequential"\n[[stages]]\nname = "a"\noperation = "acme.make"\n'
PLUGIN = """
from acme_types import Wish
from qtforge_sdk import Plugin, operation

class Example(Plugin):
    workflows = ("*.toml",)

    @operation("acme.make")
    async def make(self, message: Wish) -> str:
        return "done"
"""
TYPES = "import msgspec\n\nclass Wish(msgspec.Struct):\n    text: str\n"


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with that of an editable installation and one of programs."""
    folder = tmp_path_factory.mktemp("base")
    for name in ("project", "programs"):
        (folder / name).mkdir()
    return folder


@pytest.fixture
def acme(importable: Site, monkeypatch: pytest.MonkeyPatch, base: Path) -> Iterator[Site]:
    """A plugin with a workflow, installed editable, beside a user's workflow."""
    monkeypatch.setattr(found_cache, "_SETTLED_NS", 0)
    # Other tests build wheels of the checkout meanwhile, which write its metadata anew.
    path = [each for each in sys.path if not [*Path(each).glob("*.egg-info")]]
    project = base / "project"
    monkeypatch.setenv("PATH", str(base / "programs"))
    monkeypatch.setattr(sys, "path", [str(project), *path])
    (importable.root / "workflows").mkdir()
    importable.plugin("acme", source=PLUGIN)
    (importable.root / "acme_module.py").rename(project / "acme_module.py")
    (project / "acme_types.py").write_text(TYPES)
    (project / "flow.toml").write_text(FLOW.format("theirs"))
    (importable.root / "workflows" / "mine.toml").write_text(FLOW.format("mine"))
    importable.configure()
    only = frozenset({"acme", "early", "fails"})  # the built-in plugins take their time to start
    importable.settings = msgspec.structs.replace(importable.settings, only=only)
    importable.settings.state_dir.mkdir()
    yield importable
    for name in ("acme_module", "acme_types"):
        sys.modules.pop(name, None)


def listed(site: Site) -> tuple[Topics, Workflows]:
    """Ask a host, as the commands do."""

    async def ask() -> tuple[Topics, Workflows]:
        async with RunClient.of_settings(site.settings, by="the test") as client:
            return await client.host.topics(), await client.host.workflows()

    for name in ("acme_module", "acme_types"):
        sys.modules.pop(name, None)
    return asyncio.run(ask())


def kept(site: Site) -> tuple[Topics | None, Workflows | None]:
    return kept_topics(site.settings), kept_workflows(site.settings)


def keep(site: Site) -> tuple[Topics, Workflows]:
    listed(site)  # its imports write bytecode, which changes the folders of the sources
    return listed(site)


def test_what_is_kept_is_what_a_host_lists_and_imports_no_plugin(acme: Site) -> None:
    assert kept(acme) == (None, None)
    topics, flows = keep(acme)
    assert [each.message_type for each in topics.handlers if each.topic == "acme.make"] == ["Wish"]
    assert {"theirs", "mine"} == {each.name for each in flows.workflows}
    for name in ("acme_module", "acme_types"):
        del sys.modules[name]
    assert kept(acme) == (topics, flows)
    assert not {"acme_module", "acme_types"} & set(sys.modules)


@pytest.mark.parametrize(("group", "words"), [(bus, "topics"), (workflows, "list")])
def test_the_commands_show_what_is_kept_without_a_host(
    acme: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    group: click.Group,
    words: str,
) -> None:
    def shown() -> str:
        session = Session(_settings=acme.settings)
        group.main([words, "--json"], obj=session, standalone_mode=False)
        return capsys.readouterr().out

    keep(acme)
    with monkeypatch.context() as patched:
        patched.setattr(Session, "client", None)
        kept_ones = shown()
    (acme.root / "workflows" / "mine.toml").touch()
    assert json.loads(shown()) == json.loads(kept_ones)  # now by a host


CHANGES = {
    "base/project/acme_module.py": PLUGIN.replace("acme.make", "acme.made"),
    "base/project/acme_types.py": TYPES.replace("text", "words"),
    "base/project/flow.toml": FLOW.format("other"),
    "base/project/new.toml": FLOW.format("new"),
    "base/programs/tool": "",
    "own/workflows/mine.toml": FLOW.format("ours"),
    "own/workflows/new.toml": FLOW.format("new"),
    "own/config.toml": "[host]\n",
}


@pytest.mark.parametrize("file", CHANGES)
def test_nothing_is_kept_once_a_file_is_written_that_it_depends_on(
    acme: Site, base: Path, file: str
) -> None:
    keep(acme)
    assert None not in kept(acme)
    place, _, name = file.partition("/")
    ({"base": base, "own": acme.root}[place] / name).write_text(CHANGES[file])
    assert kept(acme) == (None, None)


def test_a_list_is_not_kept_where_files_alone_do_not_make_it(acme: Site) -> None:
    keep(acme)
    shared = msgspec.structs.replace(acme.settings, bus="nats://localhost:4222")
    assert kept_listing(shared, "topics") is None
    acme.plugin("early", source=PLUGIN.replace('"acme.make"', '"early." + "make"'))
    assert "early.make" in {each.topic for each in keep(acme)[0].handlers}
    assert kept(acme) == (None, None)


def test_a_list_without_a_plugin_that_failed_is_not_kept(acme: Site) -> None:
    fails = PLUGIN + "\n    async def start(self, context):\n        raise OSError('no device')\n"
    acme.plugin("fails", source=fails.replace("acme.make", "fails.make"))
    assert "fails.make" not in {each.topic for each in keep(acme)[0].handlers}
    assert kept(acme) == (None, None)
