"""What the program answers, and how it is ended; `test_ocr` has the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qtforge_builtin_plugins.documents.pictures import Picture
from qtforge_builtin_plugins.documents.tesseract import Tesseract
from qtforge_sdk import OperationError

HEADER = (
    "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
)
PAGE = "1\t1\t0\t0\t0\t0\t0\t0\t800\t600\t-1\t"
PICTURE = Picture(data=b"picture")

Program = Callable[..., str]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A function that makes a program with languages, and what it does with a picture."""

    def make(then: str = "", languages: str = "eng\nosd") -> str:
        path = tmp_path / "tesseract"
        path.write_text(
            "#!/bin/sh\n"
            'if [ "$1" = --list-langs ]; then\n'
            f"cat <<END\nList of available languages:\n{languages}\nEND\n"
            "exit\nfi\n"
            f'echo "$@" > {tmp_path}/arguments\n'
            f"{then}\n"
        )
        path.chmod(0o755)
        return str(path)

    return make


def table(*words: str) -> str:
    lines = [HEADER, PAGE, *(word.replace(" ", "\t") for word in words)]
    return "cat <<'END'\n" + "\n".join(lines) + "\nEND"


def test_words_become_lines_paragraphs_and_cells(program: Program) -> None:
    then = table(
        "5 1 1 1 1 1 0 0 50 20 90 Total", "5 1 1 1 1 2 60 0 20 20 80 due",
        "5 1 1 1 1 3 300 0 50 20 70 9.99", "5 1 1 1 2 1 0 30 50 20 90 today",
        "5 1 2 1 1 1 0 90 50 20 100 Thanks",
    )  # fmt: skip
    page = Tesseract(program(then), ()).read(PICTURE, "a", 30)
    assert page.text == "Total due   9.99\ntoday\n\nThanks"
    assert page.confidences == [0.9, 0.8, 0.7, 0.9, 1.0]


@pytest.mark.parametrize(
    ("wanted", "installed", "used"),
    [
        ((), "deu\neng\nosd\nxyz", "eng+deu"),
        ((), "xyz\nosd", "xyz"),
        (("xyz", "eng"), "deu\neng\nosd\nxyz", "xyz+eng"),
    ],
)
def test_the_usual_languages_are_read_unless_others_are_wanted(
    program: Program, tmp_path: Path, wanted: tuple[str, ...], installed: str, used: str
) -> None:
    Tesseract(program(table(), installed), wanted).read(PICTURE, "a", 30)
    assert f"-l {used} --psm 1" in (tmp_path / "arguments").read_text()


def test_without_the_model_for_orientation_pages_are_not_turned(
    program: Program, tmp_path: Path
) -> None:
    picture = Picture(data=b"picture", index=2, dpi=150)
    Tesseract(program(table(), "eng"), ()).read(picture, "a", 30)
    arguments = (tmp_path / "arguments").read_text()
    assert "--psm 3 " in arguments
    assert "--dpi 150 -c tessedit_page_number=2" in arguments


@pytest.mark.parametrize(
    ("wanted", "installed", "fix"),
    [
        (("eng", "chi_sim"), "eng\nosd", "apt-get install tesseract-ocr-chi-sim"),
        ((), "osd", "apt-get install tesseract-ocr-eng"),
        ((), "", "apt-get install tesseract-ocr-eng"),
    ],
)
def test_a_language_that_is_missing_is_said(
    program: Program, wanted: tuple[str, ...], installed: str, fix: str
) -> None:
    with pytest.raises(OperationError) as caught:
        Tesseract(program("", installed), wanted)
    assert (caught.value.code, caught.value.fix) == ("ocr.missing_language", fix)


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ("exec sleep 600", "ocr.timeout"),
        ("echo 'Error in pixReadMemPng: no' >&2; exit 1", "document.damaged"),
        ("echo 'Error in pixReadFromTiffStream: no' >&2", "document.damaged"),
        ("exit 3", "ocr.failed"),
        ("kill -9 $$", "ocr.failed"),
        ("true", "ocr.failed"),
        ("exec head -c 1000000 /dev/zero", "ocr.failed"),
    ],
)
def test_a_program_that_fails_is_an_error(program: Program, then: str, code: str) -> None:
    timeout_s = 0.2 if code == "ocr.timeout" else 30
    with pytest.raises(OperationError) as caught:
        Tesseract(program(then), ()).read(PICTURE, "a", timeout_s)
    assert caught.value.code == code
    assert caught.value.fix


def test_a_program_that_can_not_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OperationError) as caught:
        Tesseract(str(tmp_path / "none"), ())
    assert caught.value.code == "ocr.failed"
    assert caught.value.fix == "apt-get install tesseract-ocr"
