"""New plugins: each feature installs, passes its own tests, and is typed."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from qtforge_host.plugin_check.check import PluginChecker
from qtforge_host.scaffold.errors import ScaffoldError
from qtforge_host.scaffold.names import PluginNames
from qtforge_host.scaffold.plugin import FEATURES, kinds_in, next_commands, write_plugin

ROOT = Path(__file__).resolve().parents[3]
SOURCES = os.pathsep.join(map(str, (ROOT / "host", ROOT / "sdk" / "src")))


def called(*words: str | Path, folder: Path, **environment: str) -> str:
    """Run a program of this environment; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        capture_output=True, text=True, timeout=1200, cwd=folder,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install_and_try(plugins: Sequence[Path], folder: Path) -> None:
    """Install projects into a folder, run the tests of each, and check its types and style."""
    site = folder / "site"
    to_site = ("--quiet", "--no-deps", "--no-build-isolation", "--target", site)
    called("pip", "install", *to_site, *plugins, folder=folder)
    # All tests in one process, each project with the settings that all of them have.
    ini = ("-c", plugins[-1] / "pyproject.toml", "--rootdir", folder)
    tests = [each / "tests" for each in plugins]
    options = ("-q", "-n", "0", "-p", "no:cacheprovider")
    called("pytest", *options, *ini, *tests, folder=folder, PYTHONPATH=str(site))
    sources = [each / "src" for each in plugins]
    own = os.pathsep.join([SOURCES, *map(str, sources)])
    strict = ("--strict", "--explicit-package-bases", "--follow-imports=silent")
    called("mypy", *strict, *sources, folder=folder, MYPYPATH=own)
    # A feature's tests are the same in every project.
    called("mypy", "--follow-imports=silent", folder=plugins[-1], MYPYPATH=SOURCES)
    width = ("--line-length", "100", "--no-cache")
    rules = ("--select", "E,F,I,UP,B", "--config", "src = ['*/*/src']")
    called("ruff", "check", *width, *rules, *plugins, folder=folder)
    called("ruff", "format", "--check", *width, *plugins, folder=folder)
    report = PluginChecker(None).check(str(plugins[-1]))
    assert report.findings == []


@pytest.mark.venv
@pytest.mark.timeout(900)
def test_each_feature_and_all_together_install_and_pass_their_own_tests(tmp_path: Path) -> None:
    projects = tmp_path / "projects"  # whose names would hide the packages, for pytest
    plugins = [write_plugin(f"try-{each}", [each], projects) for each in FEATURES]
    plugins.append(write_plugin("try.all", FEATURES, projects, "Apache-2.0"))
    install_and_try(plugins, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_every_combination_of_features_installs_and_passes_its_own_tests(tmp_path: Path) -> None:
    projects = tmp_path / "projects"  # whose names would hide the packages, for pytest
    numbers = range(len(FEATURES) + 1)
    sets = [each for size in numbers for each in itertools.combinations(FEATURES, size)]
    plugins = [write_plugin(f"try-{at}", each, projects) for at, each in enumerate(sets)]
    install_and_try(plugins, tmp_path)


def test_a_project_has_what_a_wheel_needs(tmp_path: Path) -> None:
    made = write_plugin("acme-greeter", ["workflow"], tmp_path)
    read = tomllib.loads((made / "pyproject.toml").read_text())
    assert read["project"]["dependencies"] == ["qtforge-sdk>=1,<2"]
    assert read["project"]["license"] == "MIT"
    points = read["project"]["entry-points"]["qtforge.plugins"]
    assert points == {"acme-greeter": "acme_greeter:AcmeGreeter"}
    data = read["tool"]["setuptools"]["package-data"]
    assert data == {"acme_greeter": ["py.typed", "workflows/*.toml"]}
    assert "testing" in read["project"]["optional-dependencies"]
    source = (made / "src/acme_greeter/__init__.py").read_text()
    assert 'workflows = ("workflows/*.toml",)' in source  # is read without importing the plugin
    assert next_commands(made, ["workflow"])[-1] == "qtforge-host run acme-greeter"
    for each in ("LICENSE", "README.md", "tests/test_workflow.py"):
        assert (made / each).is_file()


def test_definitions_name_the_schemas_of_their_kinds(tmp_path: Path) -> None:
    schemas = {kind: {"title": kind} for kind in kinds_in(FEATURES)}
    made = write_plugin("acme-greeter", FEATURES, tmp_path, schemas=schemas)
    named = {}
    for file in made.rglob("*.toml"):
        first = file.read_text().partition("\n")[0]
        if first.startswith("#:schema "):
            schema = file.parent / first.removeprefix("#:schema ")
            named[file.stem] = json.loads(schema.read_text())["title"]
    assert named == {"acme-greeter": "sequential", "acme-greeter-reply": "reactive"}


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("Acme Greeter", "is not a plugin's name", "such as 'acme-greeter'"),
        ("../x", "is not a plugin's name", "such as 'x'"),
        ("Ä", "is not a plugin's name", "such as 'acme-greeter'"),
        ("", "is not a plugin's name", "such as 'acme-greeter'"),
        ("x" * 65, "is too long", "choose a shorter name"),
        ("3d", "can't be imported", "such as 'acme-3d'"),
        ("class", "can't be imported", "such as 'acme-class'"),
        ("match", "can't be imported", "such as 'acme-match'"),
        ("json", "is taken", "such as 'acme-json'"),
        ("notifier", "is taken", "such as 'acme-notifier'"),
        ("qtforge.host", "is taken", "such as 'acme-qtforge.host'"),
        ("pytest", "is taken", "such as 'acme-pytest'"),
        ("qtforge-builtin-plugins", "is taken", "such as 'acme-qtforge-builtin-plugins'"),
    ],
)
def test_a_name_that_can_not_be_used_is_refused_and_nothing_is_written(
    name: str, what: str, fix: str, tmp_path: Path
) -> None:
    with pytest.raises(ScaffoldError) as caught:
        write_plugin(name, ["workflow"], tmp_path)
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_suggested_name_can_be_used() -> None:
    assert PluginNames("acme-3d").module == "acme_3d"
    assert PluginNames("acme.class_x").class_name == "AcmeClassX"


def test_an_unknown_feature_or_licence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="did you mean 'machine'"):
        write_plugin("acme", ["machin"], tmp_path)
    with pytest.raises(ScaffoldError, match="SPDX expression"):
        write_plugin("acme", [], tmp_path, "the best licence")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=["folder", "file", "link"])
def taken(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What stands where the project would be written."""
    path = tmp_path / "acme"
    if request.param == "folder":
        path.mkdir()
    elif request.param == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path / "nowhere")
    return path


def test_what_exists_is_not_touched(taken: Path, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="exists"):
        write_plugin("acme", [], tmp_path)
    assert list(tmp_path.iterdir()) == [taken]
    assert not taken.is_dir() or list(taken.iterdir()) == []


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = Path.write_text, []

    def fail_at_the_third(path: Path, *given: str, **options: str) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return write(path, *given, **options)

    monkeypatch.setattr(Path, "write_text", fail_at_the_third)
    with pytest.raises(ScaffoldError, match="No space left on device"):
        write_plugin("acme", FEATURES, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
