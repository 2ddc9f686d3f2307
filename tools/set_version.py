"""``python -m tools.set_version 2.0.0``: set the version of all distributions, as a release needs.

They are released together and use each other's newest names, so that what one requires of another
begins with the same minor version, and ends before the next major one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tools.distributions import DISTRIBUTIONS, ROOT

__all__ = ["changes", "main"]

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_VERSION_LINE: Final = re.compile(r'(?m)^version = ".*"$')
_REQUIREMENT: Final = re.compile(
    r"(qtforge-(?:host|nats|postgresql|sdk)(?:\[[\w,-]+\])?)>=\d+(?:\.\d+)*,<\d+"
)
_PLACES: Final = (
    "pyproject.toml", "sdk/pyproject.toml", "*/*/pyproject.toml", "examples/*/*/pyproject.toml",
    "README.md", "*/README.md", "*/*/README.md", "docs/*.md",
    "host/qtforge_host/scaffold/templates/*.tmpl",
)  # fmt: skip


def changes(version: str) -> Iterator[tuple[Path, str]]:
    """Yield each file that does not fit a version, with the text that does.

    Args:
        version: The version of all distributions, such as ``2.0.0``.
    """
    major, minor, _ = version.split(".")
    owned = {each.folder / "pyproject.toml" for each in DISTRIBUTIONS}
    for path in sorted({path for place in _PLACES for path in ROOT.glob(place)}):
        text = path.read_text(encoding="utf-8")
        fits = _REQUIREMENT.sub(rf"\1>={major}.{minor},<{int(major) + 1}", text)
        if path in owned:
            fits = _VERSION_LINE.sub(f'version = "{version}"', fits, count=1)
        if fits != text:
            yield path, fits


def main() -> None:
    """Write the files, and name each."""
    if len(sys.argv) != 2 or _VERSION.fullmatch(sys.argv[1]) is None:
        raise SystemExit("usage: python -m tools.set_version VERSION, such as 2.0.0")
    for path, text in changes(sys.argv[1]):
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
