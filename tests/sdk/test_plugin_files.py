"""A plugin's files in a folder: nothing leads out of it, and nothing is seen in part."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from qtforge_sdk import OperationError
from qtforge_sdk.plugin_files import LocalFiles, check_file_name

T = TypeVar("T")


def run(work: Awaitable[T]) -> T:
    async def main() -> T:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(main())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def files(folder: Path) -> LocalFiles:
    return LocalFiles(folder)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "/", "/etc/passwd", "a/../b", "a/..", "../a", "a//b", "a/", "/a", "a/./b",
        ".hidden", "a/.hidden", "a\0b", "a\nb", "a\n", "a b", "a\\..\\b", "C:\\a", "ä", "~", "a%2e",
        "x" * 129, "/".join("a" * 17), "a/" * 300 + "a", "\x1b[2J", "a:b", "*",
    ],
)  # fmt: skip
def test_a_name_that_could_lead_elsewhere_is_refused_by_every_call(
    files: LocalFiles, folder: Path, name: str
) -> None:
    async def entered() -> None:
        async with files.local(name):
            pytest.fail("it was opened")

    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: files.read(name), lambda: files.write(name, b""), lambda: files.create(name, b""),
        lambda: files.exists(name), lambda: files.delete(name), entered,
    ]  # fmt: skip
    if name:
        calls.append(lambda: files.list(name))
    for call in calls:
        with pytest.raises(OperationError) as refused:
            run(call())
        assert refused.value.code == "files.invalid_name"
        assert refused.value.retryable is False
        assert str(refused.value).isascii()
        assert str(refused.value).isprintable()
    assert not folder.exists()


def test_names_of_the_longest_kind_are_accepted(files: LocalFiles) -> None:
    for name in ("a", "A-1_b.txt", "x" * 128, "/".join("a" * 16), "a..b", "-"):
        check_file_name(name)
        run(files.write(name + ".d" if name == "a" else name, b"1"))


@pytest.mark.parametrize("call", ["read", "write", "create", "exists", "delete", "list"])
@pytest.mark.parametrize("inner", [False, True], ids=["file", "folder"])
def test_a_symbolic_link_is_not_followed(
    files: LocalFiles, folder: Path, tmp_path: Path, call: str, inner: bool
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = outside / "secret"
    secret.write_text("kept")
    folder.mkdir()
    (folder / "link").symlink_to(outside if inner else secret)
    name = "link/secret" if inner else "link"

    async def attempt() -> object:
        if call == "list":
            return await files.list("link") or await files.list()
        content = (b"changed",) if call in ("write", "create") else ()
        return await getattr(files, call)(name, *content)

    if inner or call in ("read", "exists"):
        with pytest.raises(OperationError) as refused:
            run(attempt())
        assert refused.value.code == "files.not_a_file"
    elif call == "list":
        with pytest.raises(OperationError):
            run(attempt())
        assert run(files.list()) == []
    else:  # it is replaced, kept, or removed itself
        assert not run(attempt())
    assert secret.read_text() == "kept"
    assert sorted(outside.iterdir()) == [secret]


def test_what_is_no_plain_file_is_not_read(files: LocalFiles, folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "sub").mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(folder / "socket"))
    for name in ("pipe", "socket"):
        with pytest.raises(OperationError, match="no plain file"):
            run(files.read(name))
    assert run(files.read("sub")) is None
    assert not run(files.exists("sub"))
    assert run(files.list()) == []
    for put in (files.write, files.create):
        with pytest.raises(OperationError, match="no plain file"):
            run(put("sub", b""))
    run(files.write("plain", b""))
    with pytest.raises(OperationError, match="no plain file"):
        run(files.write("plain/inner", b""))
    assert run(files.read("plain/inner")) is None


def test_only_the_owner_can_open_what_is_written(files: LocalFiles, folder: Path) -> None:
    before = os.umask(0)
    try:
        run(files.write("a/b/c.txt", b"1"))
    finally:
        os.umask(before)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.rglob("*")}
    assert modes == {"a": 0o700, "b": 0o700, "c.txt": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    files: LocalFiles, folder: Path, tmp_path: Path
) -> None:
    run(files.write("a", b"old"))
    for content in (tmp_path / "absent", tmp_path):
        with pytest.raises(OperationError) as failed:
            run(files.write("a", content))
        assert failed.value.code.startswith("files.")
    assert run(files.read("a")) == b"old"
    assert [each.name for each in folder.iterdir()] == ["a"]


def test_a_reader_beside_writers_sees_whole_contents_alone(files: LocalFiles) -> None:
    contents = [bytes([number]) * 200_000 for number in range(4)]

    async def main() -> set[bytes]:
        await files.write("a", contents[0])
        writing = [
            asyncio.ensure_future(files.write("a", each)) for _ in range(5) for each in contents
        ]
        seen = set()
        while not all(each.done() for each in writing):
            found = await files.read("a")
            assert found is not None
            seen.add(found)
        await asyncio.gather(*writing)
        return seen

    assert run(main()) <= set(contents)


def test_a_call_that_takes_too_long_ends(folder: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # a content that never comes
    files = LocalFiles(folder, timeout_s=0.2)

    async def main() -> None:
        with pytest.raises(OperationError) as late:
            await files.write("a", pipe)
        assert (late.value.code, late.value.retryable) == ("files.timeout", True)
        pipe.open("wb").close()  # so that its thread ends

    run(main())


def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperationError) as failed:
        run(LocalFiles(tmp_path / "file" / "files").write("a", b""))
    assert failed.value.code.startswith("files.")
