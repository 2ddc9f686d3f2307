"""Plugins are installed, updated, locked and removed in an environment that is made for it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from qtforge_host.api import documents
from qtforge_host.api.installing import hashed
from qtforge_host.environment import Environment, InstallFailedError
from qtforge_host.installer import Installer

pytestmark = [pytest.mark.venv, pytest.mark.timeout(900)]

PLUGIN = """
from qtforge_sdk import Plugin, operation

class Acme(Plugin):
    {requires}

    @operation("{name}.version", example={{}})
    async def version(self, message: dict[str, str]) -> str:
        return "{version}"
"""


def write_wheel(
    folder: Path, name: str, version: str, source: str = "", requires: str = ""
) -> Path:
    """Write a wheel of one plugin by hand."""
    text = source or PLUGIN.format(
        name=name, version=version, requires=f"requires = ({requires!r},)" if requires else ""
    )
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        "Requires-Dist: qtforge-sdk>=1,<2\nLicense: MIT\n\nA description.\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[qtforge.plugins]\n{name} = {name}:Acme\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, content)
    return wheel


class Home:
    """An environment of its own, which sees what the tests' environment has, and an index."""

    def __init__(self, folder: Path) -> None:
        self.index = folder / "index"
        self.index.mkdir()
        self.folder = folder
        venv = folder / "venv"
        make = [sys.executable, "-m", "venv", "--without-pip", str(venv)]
        subprocess.run(make, check=True, timeout=300)
        self.python = venv / "bin" / "python"
        (self.site,) = venv.glob("lib/python*/site-packages")
        ours = sysconfig.get_path("purelib")
        (self.site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")

    def __call__(self, *words: str | Path, code: int = 0) -> str:
        """Run a command of the host; return what it has said."""
        done = subprocess.run(
            [str(self.python), "-P", "-m", "qtforge_host.cli.main", *map(str, words)],
            capture_output=True, text=True, timeout=600, cwd=self.folder,
            env={
                "PATH": os.environ["PATH"], "HOME": str(self.folder), "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.index), "PYTHONUTF8": "1",
            },
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def installed(self) -> dict[str, str]:
        """Return the versions of what was installed here."""
        found = (path.stem.rpartition("-") for path in self.site.glob("*.dist-info"))
        return {name: version for name, _, version in found}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_plugin_is_installed_updated_and_removed(home: Home) -> None:
    write_wheel(home.index, "acme_one", "1.0")
    said = home("plugins", "install", "acme_one")
    assert "installed acme-one 1.0 (pip)" in said
    assert "active: acme_one 1.0" in said
    write_wheel(home.index, "acme_one", "1.1")
    said = home("plugins", "update", "acme_one", "--json")
    changed = msgspec.json.decode(said, type=documents.PluginsChanged, strict=True)
    (change,) = changed.changes
    assert (change.distribution, change.before, change.after) == ("acme-one", "1.0", "1.1")
    assert [(row.name, row.state) for row in changed.plugins] == [("acme_one", "active")]
    assert "uninstalled acme-one 1.1" in home("plugins", "uninstall", "acme_one")
    assert home.installed() == {}


def test_a_change_that_breaks_another_plugin_is_undone(home: Home) -> None:
    write_wheel(home.index, "acme_base", "1.0")
    write_wheel(home.index, "acme_heir", "1.0", requires="acme_base < 2")
    home("plugins", "install", "acme_base", "acme_heir")
    write_wheel(home.index, "acme_base", "2.0")
    before = sorted(path for path in home.site.rglob("*") if path.suffix != ".pyc")
    said = home("plugins", "update", "acme_base", code=1)
    assert "error[plugins.undone]" in said
    assert "acme_heir 1.0 would be unmet" in said
    assert home.installed() == {"acme_base": "1.0", "acme_heir": "1.0"}
    assert sorted(path for path in home.site.rglob("*") if path.suffix != ".pyc") == before
    assert '"1.0"' in home("bus", "request", "acme_base.version")
    said = home("plugins", "uninstall", "acme_base", code=1)
    assert "acme_heir 1.0 would be unmet" in said
    assert home.installed()["acme_base"] == "1.0"
    home("plugins", "uninstall", "acme_base", "--force")
    assert home.installed() == {"acme_heir": "1.0"}


def test_a_new_plugin_with_errors_is_shown_with_them(home: Home) -> None:
    source = "import missing_library\nclass Acme: ...\n"
    write_wheel(home.index, "acme_torn", "1.0", source)
    said = home("plugins", "install", "acme_torn", code=1)
    assert "broken: acme_torn 1.0" in said
    assert "error[plugin.import_failed]" in said


def test_a_lock_has_the_hash_of_what_would_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path, "acme_one", "1.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lines = hashed(Environment(Installer.found()), ["acme-one==1.0"], tmp_path)
    assert lines == [f"acme-one==1.0 --hash=sha256:{digest}"]


def test_a_lock_without_a_hash_is_not_written(tmp_path: Path) -> None:
    compiled = "acme-one==1.0\nacme-two==2.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n"
    uv: Any = SimpleNamespace(
        installer=SimpleNamespace(name="uv"), call=lambda *words: compiled
    )  # stands for uv with an index that has no hash of one of them
    with pytest.raises(InstallFailedError, match=r"no hash of acme-one==1\.0, and"):
        hashed(uv, ["acme-one==1.0", "acme-two==2.0"], tmp_path)
    compiled = compiled.removeprefix("acme-one==1.0\n")
    assert "".join(hashed(uv, ["acme-two==2.0"], tmp_path)).count("--hash=") == 2


def test_a_locked_environment_is_made_again_and_nothing_with_another_hash_gets_in(
    home: Home,
) -> None:
    wheel = write_wheel(home.index, "acme_one", "1.0")
    home("plugins", "install", "acme_one")
    # A lock of all would need an index with what the tests' own environment has.
    lock_alone(home, "acme-one==1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())
    write_wheel(home.index, "acme_one", "1.1")
    write_wheel(home.index, "acme_two", "1.0")
    home("plugins", "install", "acme_two")
    home("plugins", "update", "acme_one")
    said = home("plugins", "sync")
    assert "updated acme-one 1.1 -> 1.0" in said
    assert "uninstalled acme-two 1.0" in said
    assert home.installed() == {"acme_one": "1.0"}
    lock_alone(home, "acme-one==1.1", "0" * 64)
    said = home("plugins", "sync", code=1)
    assert "error[plugins.install_failed]" in said
    assert home.installed() == {"acme_one": "1.0"}


def lock_alone(home: Home, pin: str, digest: str) -> None:
    (home.folder / "qtforge.lock").write_text(f"# A lock\n{pin} --hash=sha256:{digest}\n")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("install", "acme_missing"), 1, "No matching distribution found for acme_missing"),
        (("uninstall", "notifier"), 3, "qtforge-host plugins disable notifier"),
        (("uninstall", "notifer"), 3, "did you mean 'notifier'?"),
        (("lock",), 1, "error[plugins.install_failed]"),  # the index has nothing
        (("sync", "missing.lock"), 3, "qtforge-host plugins lock"),
    ],
)
def test_what_can_not_be_done_is_refused_with_a_reason(
    words: tuple[str, ...], code: int, says: str, home: Home
) -> None:
    assert says in home("plugins", *words, code=code)
    assert home.installed() == {}
    assert not (home.folder / "qtforge.lock").exists()
