"""A start from the cache decides as one that looks at everything, whatever has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.host.conftest import Site

from qtforge_host.cli.late_ssl import import_ssl_late
from qtforge_host.file_states import FileState
from qtforge_host.plugins import found_cache, resolution
from qtforge_host.plugins.candidates import Status
from qtforge_host.plugins.found_cache import FILE_NAME
from qtforge_host.plugins.resolution import Installed, resolve_installed
from qtforge_host.workflows.file_names import NamedFile

SOURCE = """
from qtforge_sdk import Plugin, operation

class Example(Plugin):
    requires = {requires}

    @operation("{topic}")
    async def do(self, message: dict) -> str:
        return "done"
"""


def source(topic: str, requires: str = "()") -> str:
    return SOURCE.format(topic=topic, requires=requires)


@pytest.fixture
def filled(importable: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site with plugins in many states, and a state directory."""
    monkeypatch.setattr(found_cache, "_SETTLED_NS", 0)
    # Other tests build wheels of the checkout meanwhile, which write its metadata anew.
    path = [each for each in sys.path if not [*Path(each).glob("*.egg-info")]]
    monkeypatch.setattr(sys, "path", path)
    importable.plugin("good", source=source("good.do"))
    importable.plugin("needs", source=source("needs.do", "('good >= 1',)"))
    importable.plugin("lonely", source=source("lonely.do", "('absent',)"))
    importable.plugin("early", source=source("' + 'early.do"))
    importable.plugin("old", requires=["qtforge-sdk<1"], source=source("old.do"))
    importable.plugin("one", distribution="first", source=source("one.do"))
    importable.plugin("one", distribution="second", source=source("one.do"))
    importable.plugin("off", source=source("off.do"))
    importable.configure(plugins={"off": {"enabled": False}})
    importable.settings.state_dir.mkdir()
    return importable


def plain(installed: Installed) -> Any:
    found = installed.resolution
    return msgspec.to_builtins(
        {
            "candidates": found.candidates,
            "accepted": [one.key for one in found.accepted],
            "others": [one.key for one in found.others],
            "statuses": found.statuses,
            "rejected": found.rejected,
            "needs": found.needs,
            "declarations": found.declarations,
            "offers": installed.offers,
            "kinds": installed.kinds,
            "problems": installed.problems,
            "version": installed.host_version,
        }
    )


class Looks:
    """Counts how often everything is looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        before = resolution._look

        def look(*given: Any) -> Any:
            self.count += 1
            return before(*given)

        monkeypatch.setattr(resolution, "_look", look)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


def test_both_ways_give_the_same_states(filled: Site, looks: Looks) -> None:
    first = plain(resolve_installed(filled.settings))
    again = plain(resolve_installed(filled.settings))
    assert looks.count == 1
    fresh = plain(resolve_installed(filled.settings, fresh=True))
    assert looks.count == 2
    assert first == again == fresh
    states = {key.partition(":")[0]: each["state"] for key, each in first["statuses"].items()}
    names = ("good", "needs", "lonely", "early", "old", "first", "off")
    assert [states[name] for name in names] == [
        "ready", "ready", "unmet", "ready", "incompatible", "conflict", "disabled",
    ]  # fmt: skip


def keep_times(path: Path, text: str) -> None:
    """Write a file of the same size, and set its time back."""
    before = path.stat()
    assert before.st_size == len(text)
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit_in_place(site: Site) -> None:
    path = site.root / "good_module.py"
    keep_times(path, path.read_text().replace("good.do", "nice.do"))


def reinstall(site: Site) -> None:
    path = site.root / "good-1.0.0.dist-info" / "METADATA"
    text = path.read_text()
    path.unlink()
    path.write_text(text.replace("Version: 1.0.0", "Version: 1.0.1"))


def other_entry_point(site: Site) -> None:
    path = site.root / "good-1.0.0.dist-info" / "entry_points.txt"
    keep_times(path, path.read_text().replace("good =", "nice ="))


def move(site: Site) -> None:
    """Install the source from another folder, as ``pip install -e`` does after a move."""
    folder = site.root / "good_module"
    folder.mkdir()
    (folder / "__init__.py").write_text(source("nice.do"))


def uninstall(site: Site) -> None:
    shutil.rmtree(site.root / "good-1.0.0.dist-info")


def fail(site: Site) -> None:
    (candidate,) = (one for one in site.candidates().values() if one.name == "good")
    status = Status(state="broken", code="plugin.import_failed", reason="no", fix="x")
    site.failures.update(failed=[(candidate, status)], succeeded=[])


def disable(site: Site) -> None:
    site.configure(plugins={"good": {"enabled": False}, "off": {"enabled": False}})


def add(site: Site) -> None:
    site.plugin("another", source=source("another.do"))


CHANGES = [edit_in_place, reinstall, other_entry_point, move, uninstall, fail, disable, add]


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: str(each.__name__))
def test_whatever_changes_is_seen_at_the_next_start(
    filled: Site, looks: Looks, change: Callable[[Site], None]
) -> None:
    before = plain(resolve_installed(filled.settings))
    change(filled)
    after = plain(resolve_installed(filled.settings))
    assert looks.count == 2
    assert after == plain(resolve_installed(filled.settings, fresh=True))
    assert after != before


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:40],
        lambda content: content[:-20],
        lambda content: b"9" + content[1:],
        lambda content: content[:60] + b"\xff" * 40 + content[100:],
        lambda content: content[:-60] + b"\xff" * 40 + content[-20:],
        lambda content: b"\n".join([*content.split(b"\n", 2)[:2], b"\x90"]),
    ],
)
def test_a_damaged_cache_costs_time_and_nothing_else(
    filled: Site, looks: Looks, damage: Callable[[bytes], bytes]
) -> None:
    sound = plain(resolve_installed(filled.settings))
    path = filled.settings.state_dir / FILE_NAME
    path.write_bytes(damage(path.read_bytes()))
    assert plain(resolve_installed(filled.settings)) == sound
    assert looks.count == 2
    assert plain(resolve_installed(filled.settings)) == sound
    assert looks.count == 2  # it was written anew


def test_without_a_state_directory_nothing_is_written(
    importable: Site, monkeypatch: pytest.MonkeyPatch, looks: Looks
) -> None:
    monkeypatch.setattr(found_cache, "_SETTLED_NS", 0)
    importable.plugin("good", source=source("good.do"))
    for _ in range(2):
        resolve_installed(importable.settings)
    assert looks.count == 2
    assert not importable.settings.state_dir.exists()


def test_what_was_changed_a_moment_ago_may_change_again_and_is_not_kept(
    filled: Site, monkeypatch: pytest.MonkeyPatch, looks: Looks
) -> None:
    resolve_installed(filled.settings)
    path = filled.settings.state_dir / FILE_NAME
    before = path.read_bytes()
    edit_in_place(filled)
    monkeypatch.setattr(found_cache, "_SETTLED_NS", 10**18)
    for _ in range(2):
        resolve_installed(filled.settings).add(["good:good"], (), {})
    assert looks.count == 3
    assert path.read_bytes() == before


def test_what_was_loaded_is_kept_with_what_was_found(filled: Site, looks: Looks) -> None:
    assert resolve_installed(filled.settings).loaded == frozenset()
    resolve_installed(filled.settings).add(["good:good"], (), {})
    assert resolve_installed(filled.settings).loaded == {"good:good"}
    assert looks.count == 1
    edit_in_place(filled)
    assert resolve_installed(filled.settings).loaded == frozenset()


def test_names_in_files_are_kept_unless_a_file_was_changed_a_moment_ago(
    filled: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = filled.root / "flow.toml"
    file.write_text('name = "flow"')
    named = NamedFile(FileState.of(str(file)), "flow")
    resolve_installed(filled.settings).add((), [named], {})
    assert resolve_installed(filled.settings).workflows == {str(file): named}
    resolve_installed(filled.settings, fresh=True)
    monkeypatch.setattr(found_cache, "_SETTLED_NS", time.time_ns())
    resolve_installed(filled.settings).add(["good:good"], [named], {})
    assert resolve_installed(filled.settings).workflows == {}


def test_a_finder_that_knows_distributions_of_its_own_leaves_no_cache(
    filled: Site, monkeypatch: pytest.MonkeyPatch, looks: Looks
) -> None:
    class Finder:
        def find_spec(self, *_: object) -> None:
            return None

        def find_distributions(self, *_: object) -> list[Any]:
            return []

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    for _ in range(2):
        resolve_installed(filled.settings)
    assert looks.count == 2


def test_what_is_kept_counts_before_and_after_asyncio_was_imported_without_ssl(
    filled: Site, monkeypatch: pytest.MonkeyPatch, looks: Looks
) -> None:
    resolve_installed(filled.settings)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.delitem(sys.modules, "asyncio")
    before = len(sys.meta_path)
    import_ssl_late()
    assert len(sys.meta_path) == before + 1  # until asyncio is imported
    resolve_installed(filled.settings)
    assert looks.count == 1


def test_two_metadata_of_one_name_beside_each_other_leave_no_cache(
    filled: Site, looks: Looks
) -> None:
    filled.distribution("good", "2.0.0")
    for _ in range(2):
        resolve_installed(filled.settings)
    assert looks.count == 2


REQUEST = """
import sys
from qtforge_host.cli.main import main
try:
    main(["bus", "request", "good.do", "--set", "x=1"])
except SystemExit as end:
    assert not end.code, end.code
print(*(name for name in ("stevedore", "packaging", "importlib.metadata", "good_module",
        "early_module", "needs_module") if name in sys.modules), file=sys.stderr)
"""


def test_a_start_from_the_cache_imports_what_it_needs_and_no_more(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    for name in ("good", "needs"):
        site.plugin(name, source=source(f"{name}.do"))
    state = tmp_path / "state"
    state.mkdir()
    changed = time.time() - 10
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(site.root))))
    environment = {**os.environ, "PYTHONPATH": path, "QTFORGE_STATE_DIR": str(state)}

    def ask() -> tuple[str, set[str]]:
        done = subprocess.run(
            [sys.executable, "-c", REQUEST],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        return done.stdout.strip(), set(done.stderr.split())

    first = ask()
    assert first == ('"done"', {"stevedore", "packaging", "importlib.metadata", "good_module"})
    while not (state / FILE_NAME).exists():  # the site is too new at first
        assert time.time() - changed < 60
        time.sleep(0.5)
        ask()
    ask()  # it has noted that the plugin was loaded
    assert ask() == ('"done"', {"good_module"})
