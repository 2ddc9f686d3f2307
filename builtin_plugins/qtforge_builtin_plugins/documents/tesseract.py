"""Tesseract as a child program: a picture on its standard input, words from its table.

There is no library between: pytesseract needs Pillow, writes temporary files and starts the same
program, and tesserocr runs in this process, where a page that takes too long can't be ended alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from qtforge_builtin_plugins.documents.pictures import Picture
from qtforge_sdk import OperationError

__all__ = [
    "INSTALL",
    "Page",
    "Tesseract",
    "find_program",
    "language_fix",
]

INSTALL: Final = "apt-get install tesseract-ocr"
# Those that the built-in plugins read facts in; each one more makes doubtful words slower.
_USUAL: Final = (
    "eng", "deu", "fra", "nld", "ita", "spa", "por", "pol", "swe", "dan", "rus", "tur",
)  # fmt: skip
_ORIENTATION: Final = "osd"
_NO_LANGUAGES: Final = frozenset({_ORIENTATION, "equ"})
_LIST_TIMEOUT_S: Final = 10.0
_PAGE_LEVEL: Final = "1"
_WORD_LEVEL: Final = "5"
_COLUMNS: Final = 12
_WIDE_GAP: Final = 1.5  # heights of a word; what is further away is another cell of a row
_MOST_SAID: Final = 200


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The words of a page.

    Attributes:
        text: A line for each line, with a blank line between paragraphs.
        confidences: That of each word, 0 to 1.
    """

    text: str
    confidences: Sequence[float]


def find_program(name: str) -> str | None:
    """Return the path of a program, or None where it is not installed."""
    return shutil.which(name)


def language_fix(language: str) -> str:
    """Return the line that installs a language of Tesseract on Debian."""
    return f"apt-get install tesseract-ocr-{language.lower().replace('_', '-')}"


class Tesseract:
    """The installed program with the languages that it reads.

    Args:
        program: Its path.
        wanted: The languages to read, as Tesseract names them; empty for the usual ones that are
            installed.

    Raises:
        OperationError: ``ocr.missing_language``, ``ocr.failed``, ``ocr.timeout``.
    """

    def __init__(self, program: str, wanted: Sequence[str]) -> None:
        self._program = program
        done = self._run(["--list-langs"], b"", _LIST_TIMEOUT_S)
        # The first line says where they are.
        installed = done.stdout.decode("utf-8", "replace").split("\n")[1:]
        known = [name.strip() for name in installed if name.strip()]
        if done.returncode != 0:
            raise _failed(done)
        self._languages = _chosen(wanted, known)
        # With the model for it, pages that lie on their side or upside down are turned.
        self._segmentation = "1" if _ORIENTATION in known else "3"

    def read(self, picture: Picture, name: str, timeout_s: float) -> Page:
        """Return the words of a picture.

        Args:
            picture: The picture, in a format that the caller has checked: to Tesseract, any other
                content is a list of files to read.
            name: The document's name, for errors.
            timeout_s: When it is ended, in seconds.

        Raises:
            OperationError: ``document.damaged``, ``ocr.timeout``, ``ocr.failed``.
        """
        arguments = [
            "stdin", "stdout", "-l", "+".join(self._languages), "--psm", self._segmentation,
            "-c", "tessedit_create_tsv=1",
        ]  # fmt: skip
        if picture.dpi is not None:
            arguments += ["--dpi", str(picture.dpi)]
        if picture.index is not None:
            arguments += ["-c", f"tessedit_page_number={picture.index}"]
        done = self._run(arguments, picture.data, timeout_s)
        rows = [
            row
            for line in done.stdout.decode("utf-8", "replace").split("\n")[1:]
            if len(row := line.split("\t")) == _COLUMNS
        ]
        if b"Error in pix" in done.stderr or b"Error during processing" in done.stderr:
            raise OperationError(
                "document.damaged", f"{name} is damaged",
                f"Tesseract can't read the picture: {_said(done)}", "get a complete copy of it",
            )  # fmt: skip
        if done.returncode != 0 or not any(row[0] == _PAGE_LEVEL for row in rows):
            raise _failed(done)
        return _page(row for row in rows if row[0] == _WORD_LEVEL)

    def _run(
        self, arguments: Sequence[str], data: bytes, timeout_s: float
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                [self._program, *arguments],
                input=data, capture_output=True, timeout=timeout_s, check=False,
                # Other worker processes use the other cores.
                env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise OperationError(
                "ocr.timeout", "Tesseract did not finish in time",
                f"it was ended after {timeout_s:.1f} s",
                "give the request more time, or make the picture smaller",
            ) from error  # fmt: skip
        except OSError as error:
            raise OperationError(
                "ocr.failed", "Tesseract can't be started", error.strerror or str(error), INSTALL
            ) from error


def _chosen(wanted: Sequence[str], installed: Sequence[str]) -> list[str]:
    missing = [language for language in wanted if language not in installed]
    if missing:
        raise OperationError(
            "ocr.missing_language", f"Tesseract has no language {', '.join(missing)}",
            f"installed are {', '.join(installed) or 'none'}", language_fix(missing[0]),
        )  # fmt: skip
    known = [language for language in installed if language not in _NO_LANGUAGES]
    if not known:
        raise OperationError(
            "ocr.missing_language", "Tesseract has no language", "none is installed",
            language_fix("eng"),
        )  # fmt: skip
    usual: list[str] = [language for language in _USUAL if language in known]
    return list(wanted) or usual or known[:1]


def _page(words: Iterable[Sequence[str]]) -> Page:
    """Return the text of the table's words; a wide gap in a line is three spaces, as in a PDF."""
    text = ""
    confidences = []
    line: Sequence[str] = ()
    end = 0
    for row in words:
        word = " ".join(row[11].split())
        if not word:
            continue
        left, width, height = int(row[6]), int(row[8]), int(row[9])
        if not line:
            gap = ""
        elif row[2:5] == line[2:5]:
            gap = "   " if left - end > _WIDE_GAP * height else " "
        else:
            gap = "\n" if row[2:4] == line[2:4] else "\n\n"
        text += gap + word
        confidences.append(min(max(float(row[10]) / 100, 0.0), 1.0))
        line, end = row, left + width
    return Page(text=text, confidences=confidences)


def _failed(done: subprocess.CompletedProcess[bytes]) -> OperationError:
    ended = (
        f"signal {-done.returncode} ended it" if done.returncode < 0 else f"exit {done.returncode}"
    )
    return OperationError(
        "ocr.failed", "Tesseract failed", f"{ended}: {_said(done)}",
        f"check that it works with tesseract --list-langs, or {INSTALL}",
    )  # fmt: skip


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode("utf-8", "replace").split("\n")
    said = next((" ".join(line.split()) for line in lines if "rror" in line), lines[0].strip())
    return said[:_MOST_SAID] or "it printed nothing"
