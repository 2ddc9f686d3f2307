"""Files of plugins, in a folder and in a real object store: both do the same."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from tests.servers.s3 import S3, S3Unavailable, running_s3

from qtforge_host.plugin_files import files_maker
from qtforge_sdk.errors import ConfigError, OperationError
from qtforge_sdk.plugin_files import PluginFiles

T = TypeVar("T")
Make = Callable[[], PluginFiles]
SOURCE = "config.toml: host.files"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """A server for the module; skipped where there is none to start."""
    pytest.importorskip("obstore")
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_s3())
        except S3Unavailable as error:
            pytest.skip(str(error))
        yield server


@pytest.fixture(params=["folder", "s3"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """A function that gives one plugin's files, as on another machine each time."""
    shared: Path | None
    if request.param == "folder":
        url, shared = "", tmp_path / "shared folder"
    else:
        shared = None
        server: S3 = request.getfixturevalue("s3")
        bucket = f"b{uuid.uuid4().hex}"
        server.make_bucket(bucket)
        url = server.url(bucket)
    numbers = iter(range(100))

    def one() -> PluginFiles:
        shown = url.partition("?")[0]
        own = tmp_path / f"machine-{next(numbers)}" / "archive"
        return files_maker(url, SOURCE, shown, 30.0, shared=shared)("archive", own)

    return one


def run(work: Awaitable[T]) -> T:
    async def main() -> T:
        async with asyncio.timeout(120):
            return await work

    return asyncio.run(main())


def test_what_one_machine_writes_another_one_reads_lists_and_deletes(
    make: Make, tmp_path: Path
) -> None:
    async def main() -> None:
        one, two = make(), make()
        assert await two.read("reports/r1.md") is None
        assert not await two.exists("reports/r1.md")
        assert await two.list() == []
        await one.write("reports/r1.md", b"first")
        await one.write("reports/r1.md", b"second")
        source = tmp_path / "source"
        source.write_bytes(b"from a file")
        await one.write("reports/r2.md", source)
        await one.write("reports-2/r3.md", b"")
        assert await two.read("reports/r1.md") == b"second"
        assert await two.read("reports/r2.md") == b"from a file"
        assert await two.exists("reports/r1.md")
        every = await two.list()
        assert [each.name for each in every] == [
            "reports-2/r3.md",
            "reports/r1.md",
            "reports/r2.md",
        ]
        assert [each.size_bytes for each in every] == [0, 6, 11]
        assert {each.modified_at.tzinfo is not None for each in every} == {True}
        assert [each.name for each in await two.list("reports")] == [
            "reports/r1.md", "reports/r2.md",
        ]  # fmt: skip
        await two.delete("reports/r1.md")
        await two.delete("reports/r1.md")
        assert [each.name for each in await one.list("reports")] == ["reports/r2.md"]

    run(main())


def test_pages_of_a_list_follow_each_other(make: Make) -> None:
    async def main() -> None:
        files = make()
        names = sorted(f"a/{number:02}" for number in range(7))
        for name in names:
            await files.write(name, b"1")
        found: list[str] = []
        while page := await files.list("a", after=found[-1] if found else "", limit=3):
            assert len(page) <= 3
            found += [each.name for each in page]
        assert found == names

    run(main())


def test_of_many_writers_one_creates_a_file(make: Make) -> None:
    async def main() -> None:
        machines = [make() for _ in range(6)]
        made = await asyncio.gather(
            *(each.create("key", bytes([number])) for number, each in enumerate(machines))
        )
        assert sorted(made) == [False] * 5 + [True]
        assert await machines[0].read("key") == bytes([made.index(True)])

    run(main())


def test_a_file_can_be_opened_on_this_machine(make: Make) -> None:
    async def main() -> None:
        files = make()
        content = bytes(range(256)) * 4096
        await files.write("a.bin", content)
        async with files.local("a.bin") as path:
            assert path is not None
            assert path.read_bytes() == content
            assert path.stat().st_mode & 0o077 == 0
        assert await files.read("a.bin") == content
        async with files.local("absent.bin") as path:
            assert path is None

    run(main())


def test_more_than_may_be_read_is_refused_with_both_sizes(make: Make) -> None:
    async def main() -> None:
        files = make()
        await files.write("a", b"x" * 2000)
        assert await files.read("a", max_bytes=2000) == b"x" * 2000
        with pytest.raises(
            OperationError, match=r"it has 2,000 bytes, and may have 1,999"
        ) as large:
            await files.read("a", max_bytes=1999)
        assert (large.value.code, large.value.retryable) == ("files.too_large", False)

    run(main())


def test_a_file_that_is_too_large_is_not_written(make: Make, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate((1 << 30) + 1)  # a hole, which takes no room

    async def main() -> None:
        files = make()
        with pytest.raises(OperationError) as refused:
            await files.write("a", large)
        assert refused.value.code == "files.too_large"
        assert not await files.exists("a")

    run(main())


@pytest.mark.parametrize("name", ["../other/a", "/a", "a/../../b", "a\0", ".a", "x" * 200])
def test_no_name_leads_to_another_plugin(make: Make, name: str) -> None:
    for call in (make().read, make().exists, make().delete):
        with pytest.raises(OperationError) as refused:
            run(call(name))
        assert refused.value.code == "files.invalid_name"
    with pytest.raises(OperationError):
        run(make().write(name, b""))


def test_a_server_that_is_away_is_said_without_its_secrets(s3: S3, tmp_path: Path) -> None:
    url = s3.url("absent", secret="s3cr3t").replace(f":{s3.port}", ":1")
    files = files_maker(url, SOURCE, "s3://absent/qtforge", 5.0)("p", tmp_path)
    for call in (files.read("a"), files.write("a", b"")):
        with pytest.raises(OperationError) as failed:
            run(call)
        assert failed.value.code in ("files.unavailable", "files.timeout")
        assert "s3://absent/qtforge/p" in str(failed.value)
        assert "s3cr3t" not in str(failed.value)
        assert "\n" not in str(failed.value)


def test_a_bucket_or_an_option_that_there_is_not_is_said(s3: S3, tmp_path: Path) -> None:
    for url in (s3.url(f"b{uuid.uuid4().hex}"), "s3://bucket?colour=blue"):
        files = files_maker(url, SOURCE, url.partition("?")[0], 30.0)("p", tmp_path)
        with pytest.raises(OperationError) as failed:
            run(files.write("a", b""))
        assert failed.value.code == "files.unavailable"


def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'qtforge-host\[object-store\]'"):
        files_maker("s3://bucket", SOURCE, "s3://bucket", 30.0)
    files_maker("", SOURCE, "", 30.0, shared=tmp_path)
