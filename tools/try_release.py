"""``python -m tools.try_release dist``: install what is built, by name, as its users do.

The archives are served by an index on this machine; what they depend on comes from the index that
pip and uv use otherwise. Beside the archives it writes a bill of materials of the host with all
its extras, in CycloneDX.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.distributions import DISTRIBUTIONS
from tools.local_index import serve_index

__all__ = ["main", "requirements"]


def requirements() -> list[str]:
    """Return every distribution by name, in exactly its version, the host with its extras."""
    return [
        f"{each.name}{'[all]' if each.name == 'qtforge-host' else ''}=={each.project['version']}"
        for each in DISTRIBUTIONS
    ]


def main() -> None:
    """Install, try and list; exit with the failed command's words."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        raise SystemExit("usage: python -m tools.try_release FOLDER, where the archives are")
    dist = Path(sys.argv[1]).resolve()
    with serve_index(dist) as index, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fresh = folder / "fresh"
        _run([sys.executable, "-m", "venv", str(fresh)], folder)
        pip = [str(fresh / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--extra-index-url", index, *requirements()], folder)
        host = [str(fresh / "bin" / "qtforge-host"), "--state-dir", str(folder / "state")]
        for words in (["--version"], ["--help"], ["plugins", "check"]):
            _run([*host, *words], folder)
        _run(
            [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--no-config", "--index", index,
             "--cache-dir", str(folder / "uv"), "qtforge-host", "--help"],
            folder,
        )  # fmt: skip
        version = next(each for each in DISTRIBUTIONS if each.name == "qtforge-host")
        bill = dist / f"{version.archive_stem}.cdx.json"
        _run(
            [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible",
             "--output-format", "JSON", "--output-file", str(bill),
             str(fresh / "bin" / "python")],
            folder,
        )  # fmt: skip
    print(f"{len(DISTRIBUTIONS)} distributions install by name; bill of materials: {bill.name}")


def _run(words: Sequence[str], folder: Path) -> None:
    """Run a command elsewhere than in the checkout, so that what is installed answers."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
