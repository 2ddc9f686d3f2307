"""What can't or shouldn't be read is refused before it is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qtforge_builtin_plugins.documents.reading import opened, read
from qtforge_sdk import Document, OperationError


def refusal(document: Document, max_bytes: int = 100) -> OperationError:
    with pytest.raises(OperationError) as caught:
        read(document, max_bytes)
    assert caught.value.what
    assert caught.value.why
    assert caught.value.fix
    return caught.value


def at(path: Path) -> Document:
    return Document(name=path.name, path=str(path))


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 100)
    assert read(at(tmp_path / "a.txt"), 100) == b"x" * 100


def test_content_in_memory_is_read_without_a_file() -> None:
    assert read(Document(name="a", path="/nowhere", content=b"words"), 100) == b"words"


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    assert refusal(at(tmp_path / "none.txt")).code == "document.not_found"


def test_a_path_through_a_file_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert refusal(at(tmp_path / "a.txt" / "b.txt")).code == "document.not_found"


@pytest.mark.parametrize("path", [None, "", "a\0b"])
def test_a_document_that_names_no_file_is_not_found(path: str | None) -> None:
    assert refusal(Document(name="a", path=path)).code == "document.not_found"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    refused = refusal(at(tmp_path))
    assert refused.code == "document.is_folder"
    assert f"{tmp_path}/*" in refused.fix


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert refusal(at(tmp_path / "a.txt")).code == "document.empty"
    assert refusal(Document(name="a", content=b"")).code == "document.empty"


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with path.open("wb") as file:
        file.truncate(10**13)  # sparse: reading it would take all memory
    error = refusal(at(path))
    assert error.code == "document.too_large"
    assert "100" in error.why


def test_a_file_that_grew_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 50)
    with opened(at(path), 100) as file:
        path.write_bytes(b"x" * 500)
        assert len(file.read(101)) == 101
    assert refusal(at(path)).code == "document.too_large"


@pytest.mark.timeout(120)
def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    error = refusal(at(tmp_path / "pipe"))
    assert error.code == "document.unreadable"
    assert "pipe" in error.why


@pytest.mark.timeout(120)
def test_a_device_is_refused() -> None:
    assert refusal(at(Path("/dev/zero"))).code == "document.unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    path.chmod(0)
    assert refusal(at(path)).code == "document.unreadable"


def test_what_the_system_refuses_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    error = refusal(at(path))
    assert error.code == "document.unreadable"
    assert error.why == "Permission denied"
