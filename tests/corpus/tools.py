"""Run Chromium and LibreOffice, and make what they write the same each time."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# What the tools write from the clock or at random, replaced by text of the same length so that
# the offsets in the file stay right.
_VARYING = (
    (re.compile(rb"/(CreationDate|ModDate) ?\(D:(\d{14})"), b"20250101000000"),
    (re.compile(rb"/(ID) ?\[ ?<([0-9A-Fa-f]+)>\s*<[0-9A-Fa-f]+> ?\]"), b""),
    (re.compile(rb"/(DocChecksum) ?/([0-9A-Fa-f]+)"), b""),
)


def steady(pdf: bytes) -> bytes:
    """Replace a PDF's dates and identifiers, which differ in each run, by fixed ones."""

    def fixed(match: re.Match[bytes], value: bytes) -> bytes:
        whole = match.group(0)
        if match.group(1) == b"ID":
            return re.sub(rb"<([0-9A-Fa-f]+)>", lambda m: b"<%b>" % (b"0" * len(m.group(1))), whole)
        return whole.replace(match.group(2), value or b"0" * len(match.group(2)))

    for pattern, value in _VARYING:
        pdf = pattern.sub(lambda match, value=value: fixed(match, value), pdf)  # type: ignore[misc]
    return pdf


def _program(*names: str) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    raise RuntimeError(f"none of {', '.join(names)} is installed; see tests/corpus/README.md")


def print_pages(
    pages: Mapping[str, bytes], folder: Path, *, tagged: bool = True
) -> dict[str, bytes]:
    """Print web pages with Chromium.

    Args:
        pages: HTML by a name.
        folder: An empty folder for the files between.
        tagged: Whether the PDF describes its structure, which makes it twice as large.

    Returns:
        PDF by the same names.
    """
    chromium = _program("chromium", "chromium-browser", "google-chrome")
    options = [] if tagged else ["--disable-pdf-tagging"]

    def printed(name: str) -> bytes:
        source, target = folder / f"{name}.html", folder / f"{name}.pdf"
        source.write_bytes(pages[name])
        subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions",
             *options, "--disable-background-networking", "--no-first-run",
             "--no-pdf-header-footer",
             f"--user-data-dir={folder / name}", f"--print-to-pdf={target}", source.as_uri()],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        shutil.rmtree(folder / name, ignore_errors=True)
        return steady(target.read_bytes())

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(pages, pool.map(printed, pages), strict=True))


def convert_office(sources: Mapping[str, tuple[str, bytes]], folder: Path) -> dict[str, bytes]:
    """Print Word and OpenDocument files with LibreOffice, all in one run.

    Args:
        sources: Suffix and content by a name.
        folder: An empty folder for the files between.

    Returns:
        PDF by the same names.
    """
    if not sources:
        return {}
    files = []
    for name, (suffix, content) in sources.items():
        path = folder / f"{name}{suffix}"
        path.write_bytes(content)
        files.append(str(path))
    profile = (folder / "profile").as_uri()
    subprocess.run(
        [_program("soffice", "libreoffice"), f"-env:UserInstallation={profile}",
         "--headless", "--convert-to", "pdf:writer_pdf_Export", "--outdir", str(folder), *files],
        check=True, capture_output=True, timeout=600,
    )  # fmt: skip
    return {name: steady((folder / f"{name}.pdf").read_bytes()) for name in sources}
