"""The index that a release is tried with answers as pip expects."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tools.local_index import serve_index
from tools.try_release import requirements

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two archives, and what is none."""
    for name in ("qtforge_host-1.0.0-py3-none-any.whl", "qtforge-sdk-1.0.0.tar.gz", "notes.txt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def test_archives_are_found_under_their_normal_names_with_their_hashes(folder: Path) -> None:
    with serve_index(folder) as index:
        assert "qtforge-host/" in read(index)
        page = read(f"{index}qtforge-host/")
        assert "#sha256=" in page
        name = "qtforge_host-1.0.0-py3-none-any.whl"
        assert read(index.replace("simple/", f"files/{name}")) == name
        assert "qtforge-sdk-1.0.0.tar.gz" in read(f"{index}qtforge-sdk/")


@pytest.mark.parametrize("path", ["simple/other/", "files/notes.txt", "files/..%2fx", "", "x/y/z"])
def test_everything_else_is_not_found(path: str, folder: Path) -> None:
    with serve_index(folder) as index, pytest.raises(urllib.error.HTTPError, match="404"):
        read(index.replace("simple/", path))


def test_the_size_of_a_file_is_told_without_its_content(folder: Path) -> None:
    name = "qtforge-sdk-1.0.0.tar.gz"
    with serve_index(folder) as index:
        url = index.replace("simple/", f"files/{name}")
        asked = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert answer.headers["Content-Length"] == str(len(name))
            assert answer.read() == b""


def test_nobody_answers_after_its_end(folder: Path) -> None:
    with serve_index(folder) as index:
        pass
    with pytest.raises(urllib.error.URLError):
        read(index)


def test_a_release_is_asked_for_by_name_and_version() -> None:
    wanted = requirements()
    assert "qtforge-host[all]==1.0.0" in wanted
    assert "qtforge-sdk==1.0.0" in wanted


@pytest.mark.venv
@pytest.mark.timeout(300)
def test_pip_installs_the_sdk_by_name_from_what_was_built(tmp_path: Path) -> None:
    pytest.importorskip("build")
    dist, site = tmp_path / "dist", tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist),
         str(ROOT / "sdk")],
        check=True, capture_output=True, timeout=280,
    )  # fmt: skip
    with serve_index(dist) as index:
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--index-url", index,
             "--target", str(site), "qtforge-sdk"],
            check=True, capture_output=True, timeout=280,
        )  # fmt: skip
    assert (site / "qtforge_sdk" / "__init__.py").is_file()
