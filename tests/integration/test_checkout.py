"""What a stranger does with a checkout: the README's commands, wheels, source distributions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tools.distributions import find_problems, read_distribution

if TYPE_CHECKING:
    from tests.integration.conftest import Installation, Wheelhouse

pytestmark = [pytest.mark.venv, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git has, as in a fresh clone."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], capture_output=True, cwd=ROOT, timeout=120
    )
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize(
    "environment", ["the tests' own", pytest.param("a new one", marks=pytest.mark.soak)]
)
def test_make_run_installs_and_processes_the_samples(
    checkout: Path, tmp_path: Path, environment: str
) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    words = [f"PYTHON={sys.executable}"]
    if environment != "a new one":  # what it installs is there already
        words = [f"VENV={sys.prefix}", f"STATE={tmp_path}", "-o", f"{sys.prefix}/.run"]
    clean = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        ["make", "run", *words], capture_output=True, text=True, timeout=800, cwd=checkout,
        env=clean,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [line for line in done.stdout.splitlines() if "document-processing" in line]
    samples = sorted(path.name for path in (checkout / "examples" / "documents").iterdir())
    assert sum("✓ succeeded  document-processing" in line for line in runs) == len(samples)
    assert all(any(name in line for line in runs) for name in samples)


@pytest.mark.soak
def test_the_host_with_all_extras_installs_into_a_bare_environment(
    wheelhouse: Wheelhouse, new_installation: Any
) -> None:
    wheelhouse.add("qtforge-host[all]")
    bare: Installation = new_installation("bare")
    bare.install("qtforge-host[all]")
    done = subprocess.run(
        [str(bare.bin / "qtforge-host"), "plugins", "check"],
        capture_output=True, text=True, timeout=120, cwd=bare.folder,
        env={"HOME": str(bare.folder), "PATH": os.environ["PATH"], "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "entry-points"
    ]
    without_program = 0 if shutil.which("tesseract") else 1  # pip does not install that
    active = len(declared["qtforge.plugins"]) - without_program
    assert done.stdout.count("● active") == active


@pytest.mark.parametrize("name", ["sdk", ".", "sample_plugins/folder_report"])
def test_wheel_and_sdist_build_and_are_complete(name: str, checkout: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path),
         str(checkout / name)],
        check=True, capture_output=True, timeout=600,
    )  # fmt: skip
    distribution = read_distribution(checkout / name)
    assert list(find_problems(distribution, tmp_path)) == []

    # What the archives lack is noticed.
    package = distribution.packages[-1]
    (package / "forgotten.toml").touch()
    problems = list(find_problems(distribution, tmp_path))
    (package / "forgotten.toml").unlink()
    assert len(problems) == 2
    assert all("forgotten.toml" in each for each in problems)
