"""One plugin whose source or metadata nobody would write by hand: the others are not affected."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.host.conftest import Site

from qtforge_host.config.settings import Settings
from qtforge_host.plugins import found_cache, workflow_files
from qtforge_host.plugins.found_cache import FILE_NAME
from qtforge_host.plugins.python_source import expression_text, parse_source
from qtforge_host.plugins.resolution import resolve_installed
from qtforge_host.plugins.workflow_files import files_in

HEAD = "from qtforge_sdk import Plugin, hookimpl, operation\n"
CLASS = """
class Example(Plugin):
    {statement}

    @operation("hostile.do")
    async def do(self, message: dict) -> str:
        return "done"
"""


def declaring(statement: str) -> bytes:
    return (HEAD + CLASS.format(statement=statement)).encode()


def beside(statement: str) -> bytes:
    return declaring("pass") + statement.encode()


SOURCES = {
    "unary operators": beside("X = " + "-" * 200_000 + "1\n"),
    "lambdas": beside("X = " + "lambda: " * 50_000 + "1\n"),
    "branches": beside("if 0: pass\n" + "elif 0: pass\n" * 20_000),
    "parentheses": beside("X = " + "(" * 5_000 + ")" * 5_000 + "\n"),
    "attributes": beside("X = a" + ".b" * 100_000 + "\n"),
    "a deep base": (HEAD + f"class Example(Plugin{'[0]' * 500}): pass\n").encode(),
    "a deep decorator": declaring(f"@a{'.b' * 500}\n    def other(self): pass"),
    "a deep value": declaring("after = " + "-" * 700 + "1"),
    "a number of many digits": declaring("requires = 0x" + "f" * 9_000),
    "an unknown encoding": b"# -*- coding: nonsense -*-\n" + declaring("pass"),
    "bytes of no encoding": declaring("pass") + b"# \xff\xfe\n",
    "another encoding": declaring("pass").decode().encode("utf-16"),
    "a NUL": declaring("pass") + b"\x00",
    "a surrogate in requires": declaring(r"requires = ('a\udcff',)"),
    "a surrogate in after": declaring(r"after = ('a\udcff',)"),
    "a surrogate in workflows": declaring(r"workflows = ('a\udcff*.toml',)"),
    "a surrogate as placement": declaring(r"placement = 'a\udcff'"),
    "a surrogate as a hook": declaring(r"""@hookimpl(specname='a\udcff')
    def x(self): pass"""),
    "a surrogate as a topic": declaring(r"""@operation('a\udcff')
    def x(self, m: dict): pass"""),
    "a marker of no version": declaring("""requires = ("a; os_name ~= 'x'",)"""),
    "a marker of no variable": declaring("""requires = ("a; 'a' == 'b'",)"""),
}  # fmt: skip

# The others start with the host: their import says what is wrong.
BROKEN = {
    "a number of many digits",
    "a surrogate in requires",
    "a surrogate in after",
    "a surrogate in workflows",
    "a surrogate as placement",
    "a marker of no version",
    "a marker of no variable",
}


@pytest.fixture
def site(importable: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(found_cache, "_SETTLED_NS", 0)
    importable.plugin("good", source=declaring("pass").decode().replace("hostile", "good"))
    importable.settings.state_dir.mkdir(mode=0o700)
    return importable


def states(settings: Settings) -> dict[str, str]:
    found = resolve_installed(settings)
    names = {one.key: one.name for one in found.resolution.candidates}
    return {names[key]: each.state for key, each in found.resolution.statuses.items()}


def test_a_hostile_source_costs_only_its_plugin(site: Site) -> None:
    names = {f"hostile-{number}": what for number, what in enumerate(SOURCES)}
    for name, what in names.items():
        site.plugin(name, source="")
        (site.root / f"{name.replace('-', '_')}_module.py").write_bytes(SOURCES[what])
    first = states(site.settings)
    assert first["good"] == "ready"
    broken = {names[name] for name, state in first.items() if state == "broken"}
    assert broken == BROKEN
    assert states(site.settings) == first
    for status in resolve_installed(site.settings).resolution.statuses.values():
        assert len(status.reason) < 300
        status.reason.encode()


def test_a_source_that_is_no_file_costs_only_its_plugin(site: Site) -> None:
    for name in ("loop", "pipe", "folder", "closed"):
        site.plugin(name, source="")
        (site.root / f"{name}_module.py").unlink()
    (site.root / "loop_module.py").symlink_to(site.root / "loop_module.py")
    os.mkfifo(site.root / "pipe_module.py")
    (site.root / "folder_module.py").mkdir()
    (site.root / "closed_module.py").write_bytes(declaring("pass"))
    (site.root / "closed_module.py").chmod(0)
    assert states(site.settings)["good"] == "ready"


def test_a_requirement_whose_marker_can_not_be_evaluated_breaks_its_plugin_alone(
    site: Site,
) -> None:
    for number, marker in enumerate(("os_name ~= 'x'", "'a' == 'b'", "extra ~= 'x'")):
        source = declaring("pass").decode()
        site.plugin(f"hostile-{number}", requires=[f"other; {marker}"], source=source)
    assert {name: state for name, state in states(site.settings).items() if state != "ready"} == {
        f"hostile-{number}": "broken" for number in range(3)
    }


def test_a_folder_whose_name_is_no_utf_8_is_not_kept_and_its_plugin_found(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(os.fsdecode(os.fsencode(site.root) + b"/\xff"))
    folder.mkdir()
    for path in [*site.root.glob("good*")]:
        path.rename(folder / path.name)
    monkeypatch.syspath_prepend(str(folder))
    assert states(site.settings)["good"] == "ready"
    assert not (site.settings.state_dir / FILE_NAME).exists()


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def as_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def as_others_may_write(path: Path) -> None:
    path.chmod(0o622)


@pytest.mark.parametrize("change", [as_pipe, as_folder, as_device, as_loop, as_others_may_write])
def test_a_cache_that_is_no_file_of_this_user_alone_is_not_read(
    site: Site, change: Callable[[Path], None]
) -> None:
    first = states(site.settings)
    path = site.settings.state_dir / FILE_NAME
    assert found_cache.FoundCache(site.settings).read() is not None
    change(path)
    assert found_cache.FoundCache(site.settings).read() is None
    assert states(site.settings) == first


def test_source_of_any_kind_is_parsed_or_refused_without_a_warning() -> None:
    assert parse_source("X = '\\d'").body  # a warning would be an error here
    for source in SOURCES.values():
        with contextlib.suppress(SyntaxError):
            assert 0 < len(expression_text(parse_source(source))) < 100


def test_patterns_of_workflows_stand_for_what_they_match(tmp_path: Path) -> None:
    for name in ("a.toml", "b.txt", "x/c.toml", "x/y/d.toml", "z/e.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "z" / "up").symlink_to(tmp_path)  # a loop
    expected = {
        "*.toml": ["a.toml"],
        "x/*.toml": ["x/c.toml"],
        "*/*.toml": ["x/c.toml", "z/e.toml"],
        "x/**/*.toml": ["x/c.toml", "x/y/d.toml"],
        "**/d.toml": ["x/y/d.toml"],
        "**/*.toml": ["a.toml", "x/c.toml", "x/y/d.toml", "z/e.toml"],
        "absent/*.toml": [],
        "absent.toml": ["absent.toml"],  # who reads it says that it is not there
        "[": [],
        "*\0": [],
        "x" * 5_000 + "/*": [],
    }
    for pattern, names in expected.items():
        assert files_in(tmp_path, [pattern]) == [tmp_path / name for name in names], pattern


def test_a_pattern_that_looks_at_too_many_files_stands_for_none_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workflow_files, "_MOST_ENTRIES", 20)
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        for each in range(6):
            (tmp_path / str(number) / f"{each}.toml").touch()
    assert files_in(tmp_path, ["**/*.toml", "1/*.toml"]) == [
        tmp_path / "1" / f"{each}.toml" for each in range(6)
    ]
    assert "**/*.toml" in caplog.text
