"""The files that paths name."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from qtforge_host.cli.inputs import files_of


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def test_a_folder_stands_for_the_files_below_it_sorted_and_without_the_hidden_ones(
    tmp_path: Path,
) -> None:
    write(tmp_path, "b.txt", "a.txt", "sub/c.txt", ".hidden", ".git/config", "sub/.d")
    found = files_of([str(tmp_path)])
    assert [str(Path(file).relative_to(tmp_path)) for file in found] == [
        "a.txt", "b.txt", os.path.join("sub", "c.txt"),
    ]  # fmt: skip


def test_files_stay_in_the_order_given_each_once_and_missing_ones_too(tmp_path: Path) -> None:
    write(tmp_path, "b", "a")
    b, a, gone = (str(tmp_path / name) for name in ("b", "a", "gone"))
    assert files_of([b, gone, str(tmp_path), b]) == [b, gone, a]


def test_what_is_no_regular_file_is_left_out_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "a")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert files_of([str(tmp_path)]) == [str(tmp_path / "a")]


def test_no_file_at_all_and_too_many_are_refused(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="there is no file in"):
        files_of([str(tmp_path)])
    write(tmp_path, "a", "b", "c")
    assert len(files_of([str(tmp_path)], most=3)) == 3
    with pytest.raises(click.UsageError, match="more than 2 files"):
        files_of([str(tmp_path)], most=2)
