"""In whose code a process has ended, as the next one reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qtforge_host.code_marks import UNMARKED, CodeMarks, Death


def deaths_after(path: Path, work: Callable[[CodeMarks], None]) -> tuple[Death, ...]:
    """Do something in a process that then ends at once, and return what is read after it."""
    child = os.fork()
    if not child:
        try:
            work(CodeMarks(path))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return CodeMarks(path).deaths


def in_start(marks: CodeMarks) -> None:
    with marks.mark("other", "hook"):
        pass
    marks.mark("acme", "start").__enter__()


def in_an_inner_call(marks: CodeMarks) -> None:
    marks.mark("other", "subscriber").__enter__()
    marks.mark("acme", "hook").__enter__()


def beside_the_last(marks: CodeMarks) -> None:
    marks.mark("acme", "subscriber").__enter__()
    with marks.mark("other", "hook"):
        pass


def after_all(marks: CodeMarks) -> None:
    mark = marks.mark("acme", "subscriber")
    with mark, mark:
        pass


def in_built_in_code(marks: CodeMarks) -> None:
    marks.mark("notifier", "start", builtin=True).__enter__()


def in_order(marks: CodeMarks) -> None:
    marks.mark("acme", "start").__enter__()
    marks.close()


@pytest.mark.parametrize(
    ("work", "deaths"),
    [
        (in_start, (Death("acme", "start"),)),
        (in_an_inner_call, (Death("acme", "hook"),)),
        (beside_the_last, (Death("acme", ""),)),
        (after_all, ()),
        (in_built_in_code, ()),
        (in_order, ()),
    ],
)
def test_a_process_that_ends_in_plugin_code_leaves_its_name(
    tmp_path: Path, work: Callable[[CodeMarks], None], deaths: tuple[Death, ...]
) -> None:
    assert deaths_after(tmp_path / "marks", work) == deaths


def test_a_file_that_is_not_one_of_marks_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "marks"
    path.write_bytes(b"odd")
    assert CodeMarks(path).deaths == ()


def test_without_room_for_the_file_nothing_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with CodeMarks(tmp_path / "marks").mark("acme", "start"):
        pass
    assert CodeMarks(tmp_path / "marks").deaths == ()


def test_more_plugins_than_there_is_room_for_are_not_marked(tmp_path: Path) -> None:
    marks = CodeMarks(tmp_path / "marks")
    found = [marks.mark(f"plugin-{number}", "start") for number in range(600)]
    assert found[0] is not UNMARKED
    assert found[-1] is UNMARKED
