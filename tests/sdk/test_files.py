from __future__ import annotations

from pathlib import Path

import pytest

from qtforge_sdk.files import keep_file, sync_folder, temporary_file, write_atomically


def test_a_temporary_file_that_is_kept_has_its_name_and_content(tmp_path: Path) -> None:
    target = tmp_path / "contents" / "ab" / "file"
    with temporary_file(tmp_path / "incoming") as file:
        file.write(b"content")
        keep_file(file, target)
    assert target.read_bytes() == b"content"
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_temporary_file_that_is_not_kept_is_deleted(tmp_path: Path) -> None:
    def fail() -> None:
        with temporary_file(tmp_path) as file:
            file.write(b"content")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_keeping_a_file_replaces_the_one_with_its_name(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"old")
    with temporary_file(tmp_path) as file:
        file.write(b"new")
        keep_file(file, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_folder_that_is_missing_can_not_be_synced(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        sync_folder(tmp_path / "missing")
