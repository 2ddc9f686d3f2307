"""State directories that can't be used: a clear error, and nothing in them changes."""

from __future__ import annotations

import asyncio
import datetime
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from qtforge_host.journal.schema import APPLICATION_ID, FORMAT_VERSION
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal import Damage, RunQuery
from qtforge_sdk.journal_errors import JournalDamagedError
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    event,
    finished,
    keep,
    names,
    started,
    step,
    steps_of,
)


def file_in(directory: Path) -> Path:
    return directory / "journal.sqlite3"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A directory with 40 finished runs, one of them with a large value and a message."""

    async def make() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        for name in names(40):
            await keep(journal, started(name), step(name, data="text" * 50), finished(name))
        await keep(journal, started("large"), step("large", data="x" * 300_000))
        await journal.post("large", event("m1", {"a": 1}))
        await journal.close()

    asyncio.run(make())
    return tmp_path


def refusal(directory: Path) -> StateDirectoryError:
    """Return the error of opening, and check that the file has not changed."""

    async def opened() -> None:
        await SqliteJournal(directory).open()

    before = file_in(directory).read_bytes()
    with pytest.raises(StateDirectoryError) as caught:
        asyncio.run(opened())
    assert file_in(directory).read_bytes() == before
    assert caught.value.exit_code == 4
    assert caught.value.why
    assert caught.value.fix
    return caught.value


def damage_of(directory: Path) -> list[Damage]:
    async def look() -> list[Damage]:
        journal = SqliteJournal(directory)
        await journal.open()
        try:
            return list(await journal.check())
        finally:
            await journal.close()

    return asyncio.run(look())


def change(directory: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(file_in(directory)) as connection:
        connection.execute(statement, values)
    connection.close()


def garbage(content: bytes) -> bytes:
    return b"not a database" * 20 + content[280:]


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def cut_to_its_header(content: bytes) -> bytes:
    return content[:50]


def flipped_schema(content: bytes) -> bytes:
    return content[:100] + bytes(each ^ 0xFF for each in content[100:200]) + content[200:]


@pytest.mark.parametrize("harm", [garbage, truncated, cut_to_its_header, flipped_schema])
def test_a_damaged_file_is_refused(kept: Path, harm: Callable[[bytes], bytes]) -> None:
    file_in(kept).write_bytes(harm(file_in(kept).read_bytes()))
    assert "damaged" in refusal(kept).why


def test_a_newer_format_is_refused(kept: Path) -> None:
    change(kept, f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    error = refusal(kept)
    assert f"format {FORMAT_VERSION + 1}" in error.why
    assert "upgrade" in error.fix


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    change(tmp_path, "CREATE TABLE recipes (name TEXT)")
    assert "another program's" in refusal(tmp_path).why
    change(tmp_path, f"PRAGMA user_version = {FORMAT_VERSION}")
    assert "another program's" in refusal(tmp_path).why


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("mine")
    with pytest.raises(StateDirectoryError, match="can't be written"):
        asyncio.run(SqliteJournal(path).open())
    assert path.read_text() == "mine"


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder that this process, which is not root for a while, may read and not write."""
    if sys.platform == "win32":
        pytest.skip("needs POSIX permissions")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_read_only_directory_is_refused(unprivileged: Path) -> None:
    for directory in (unprivileged, unprivileged / "below"):
        with pytest.raises(StateDirectoryError, match="can't be written"):
            asyncio.run(SqliteJournal(directory).open())
    assert not list(unprivileged.iterdir())


def test_a_journal_that_cannot_be_written_can_be_listed(kept: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary) / "runs"
        shutil.copytree(kept, directory)
        os.chmod(temporary, 0o755)
        every = [directory, *directory.rglob("*")]
        for path in every:
            path.chmod(0o555 if path.is_dir() else 0o444)

        async def look() -> None:
            journal = SqliteJournal(directory)
            await journal.open()
            assert len(await journal.runs(RunQuery(limit=100))) == 41
            assert (await journal.summary("large")).records == 2
            assert len(await journal.records("large")) == 2
            assert not await journal.check()
            assert (await journal.statistics()).messages == 1
            for change in (journal.claim("large"), journal.repair(), journal.prune(NOW)):
                with pytest.raises(StateDirectoryError, match="can't be written"):
                    await change
            await journal.close()

        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            asyncio.run(look())
        finally:
            if is_root:
                os.seteuid(0)
            for path in every:
                path.chmod(0o755)
        assert [directory, *directory.rglob("*")] == every


def test_a_file_of_format_0_is_brought_up_to_date(tmp_path: Path) -> None:
    connection = sqlite3.connect(file_in(tmp_path))
    connection.execute("CREATE TABLE history (run_id TEXT, position INTEGER, payload BLOB)")
    runs = {
        "done": [started("done"), step("done", "a"), finished("done", "failed")],
        "going": [started("going"), step("going", "b")],
    }
    for run_id, records in runs.items():
        for position, record in reversed(list(enumerate(records))):
            row = (run_id, position, msgspec.msgpack.encode(record))
            connection.execute("INSERT INTO history VALUES (?, ?, ?)", row)
    connection.commit()
    connection.close()

    async def look() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        assert {run_id: list(await journal.records(run_id)) for run_id in runs} == runs
        found = {each.run_id: each.status for each in await journal.runs(RunQuery())}
        assert found == {"done": "failed", "going": "running"}
        assert list(await journal.unfinished()) == ["going"]
        await journal.append(await journal.claim("going"), [step("going", "c")])
        assert steps_of(await journal.records("going")) == ["b", "c"]
        assert not await journal.check()
        await journal.close()

    asyncio.run(look())
    connection = sqlite3.connect(file_in(tmp_path))
    assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT_VERSION,)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    connection.close()


def test_a_journal_of_format_2_keeps_its_records_and_is_followed(tmp_path: Path) -> None:
    async def make() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        other = await keep(journal, started("other"))
        await journal.release(await keep(journal, started("old"), step("old", "a")))
        await journal.append(other, [step("other", "b")])
        await journal.release(other)
        await journal.close()

    asyncio.run(make())
    for statement in (
        "CREATE TABLE by_key (id INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, payload BLOB)",
        "INSERT INTO by_key SELECT run << 24 | position, checksum, payload FROM records",
        "DROP TABLE records",
        "ALTER TABLE by_key RENAME TO records",
        "DROP INDEX runs_waiting",
        "CREATE INDEX runs_waiting ON runs (accepts, started_at) WHERE status = 'waiting'",
        "DROP TABLE listeners",
        "DROP TABLE publications",
        "DROP TABLE nodes",
        "DROP TABLE paused_pools",
        "DROP TABLE places",
        "DROP TABLE rates",
        "DROP TABLE breakers",
        "DROP TABLE kept_values",
        "DROP TABLE tags",
        "DROP TABLE searched",
        "DROP TABLE search_new",
        "DROP TABLE search",
        "DROP INDEX runs_queued",
        "DROP INDEX runs_by_place",
        "DROP INDEX runs_by_unique_key",
        "DROP INDEX runs_by_schedule",
        "DROP INDEX runs_by_error",
        "DROP INDEX runs_by_error_plugin",
        *(
            f"ALTER TABLE runs DROP COLUMN {column}"
            for column in ("pool", "priority", "not_before", "needs", "rest_until", "served")
        ),
        *(
            f"ALTER TABLE runs DROP COLUMN {column}"
            for column in (
                "title",
                "tags",
                "schedule",
                "place",
                "places",
                "holds",
                "unique_key",
                "started_by",
                "error_code",
                "error_plugin",
            )
        ),
        "PRAGMA user_version = 2",
    ):
        change(tmp_path, statement)

    async def look() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        assert steps_of(await journal.records("old")) == ["a"]
        assert steps_of(await journal.records("other")) == ["b"]
        page = await journal.records_since("")
        assert [each.run_id for each in page.records] == ["other", "other", "old", "old"]
        await journal.append(await journal.claim("old"), [step("old", "c")])
        (only,) = (await journal.records_since(page.until)).records
        assert (only.cursor, only.record) == ("5", step("old", "c"))
        assert not await journal.runs(RunQuery(waiting_for="user.*"))
        assert not await journal.check()
        await journal.close()

    asyncio.run(look())


def test_no_place_in_the_order_is_given_twice_when_the_newest_run_is_forgotten(
    tmp_path: Path,
) -> None:
    async def many() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        for name in ("first", "second"):
            newest = (await journal.records_since("")).until
            await keep(journal, started(name), step(name, "a"), finished(name))
            page = await journal.records_since(newest)
            places = [int(each.cursor) for each in page.records]
            assert places == [int(newest) + n for n in (1, 2, 3)]
            assert await journal.prune(datetime.datetime.now(datetime.UTC)) == 1
            page = await journal.records_since("")
            assert (page.records, page.until) == ((), str(int(newest) + 3))
            assert not await journal.check()
        await journal.close()

    asyncio.run(many())


def test_a_damaged_record_does_not_end_the_following(tmp_path: Path) -> None:
    async def follow() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        await keep(journal, started("one"), step("one", "a"), step("one", "b"))
        change(tmp_path, "UPDATE records SET checksum = 1 WHERE position = 2")
        page = await journal.records_since("")
        assert [each.record is None for each in page.records] == [False, True, False]
        assert page.records[1].run_id == "one"
        await journal.close()

    asyncio.run(follow())


def test_a_damaged_format_0_stays_as_it_was(tmp_path: Path) -> None:
    change(tmp_path, "CREATE TABLE history (run_id TEXT, position INTEGER, payload BLOB)")
    change(tmp_path, "INSERT INTO history VALUES ('r', 0, ?)", b"\xc1nonsense")

    async def opened() -> None:
        await SqliteJournal(tmp_path).open()

    with pytest.raises(StateDirectoryError, match="damaged"):
        asyncio.run(opened())
    with sqlite3.connect(file_in(tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM history").fetchone() == (1,)
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


def test_a_flipped_byte_of_a_record_is_named_with_its_run(kept: Path) -> None:
    content = file_in(kept).read_bytes()
    place = content.index(b"text" * 50) + 7
    file_in(kept).write_bytes(content[:place] + b"\x00" + content[place + 1 :])
    (found,) = damage_of(kept)
    assert found.position == 2
    assert found.run_id in names(40)

    async def read() -> None:
        journal = SqliteJournal(kept)
        await journal.open()
        try:
            with pytest.raises(JournalDamagedError) as caught:
                await journal.records(found.run_id or "")
            assert (caught.value.run_id, caught.value.position) == (found.run_id, 2)
            with pytest.raises(JournalDamagedError):
                await journal.export(found.run_id or "")
            other = next(name for name in names(40) if name != found.run_id)
            assert len(await journal.records(other)) == 3
        finally:
            await journal.close()

    asyncio.run(read())


def test_a_missing_record_is_named(kept: Path) -> None:
    change(kept, "DELETE FROM records WHERE run = 3 AND position = 2")
    change(kept, "DELETE FROM records WHERE run = 5")
    found = {(each.run_id, each.position) for each in damage_of(kept)}
    assert found == {("run-002", 2), ("run-004", 1)}

    async def read() -> None:
        journal = SqliteJournal(kept)
        await journal.open()
        try:
            for run_id in ("run-002", "run-004"):
                with pytest.raises(JournalDamagedError, match="missing"):
                    await journal.records(run_id)
        finally:
            await journal.close()

    asyncio.run(read())


def test_a_record_without_a_run_and_a_damaged_message_are_found(kept: Path) -> None:
    change(kept, "DELETE FROM runs WHERE run_id = 'run-007'")
    change(kept, "UPDATE inbox SET checksum = checksum + 1")
    found = damage_of(kept)
    assert [each.run_id for each in found] == [None, "large"]
    assert "not listed" in found[0].what
    assert "message 1" in found[1].what


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_a_damaged_large_value_is_named(kept: Path, harm: Callable[[Path], object]) -> None:
    (path,) = (kept / "blobs").glob("*/*")
    harm(path)
    found = damage_of(kept)
    assert {each.run_id for each in found} == {"large"}
    assert 2 in {each.position for each in found}

    async def mend() -> None:
        journal = SqliteJournal(kept)
        await journal.open()
        with pytest.raises(JournalDamagedError):
            await journal.records("large")
        await keep(journal, started("same"), step("same", data="x" * 300_000))
        assert len(await journal.records("large")) == 2  # the value was written anew
        await journal.close()

    asyncio.run(mend())


def test_forgotten_runs_leave_no_large_values_behind(kept: Path) -> None:
    async def prune() -> None:
        journal = SqliteJournal(kept)
        await journal.open()
        ownership = await journal.claim("large")
        end = finished("large")
        await journal.append(ownership, [end])
        await journal.prune(end.at.replace(year=2027))
        assert not await journal.runs(RunQuery())
        await journal.close()

    asyncio.run(prune())
    assert not list((kept / "blobs").glob("*/*"))


def test_an_emptied_file_is_refused_and_not_taken_for_a_new_one(kept: Path) -> None:
    file_in(kept).write_bytes(b"")
    assert "empty" in refusal(kept).why


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_removed_while_in_use_fails_reads_and_writes(
    kept: Path, replaced: bool
) -> None:
    async def use() -> None:
        journal = SqliteJournal(kept)
        await journal.open()
        ownership = await journal.claim("large")
        moved = file_in(kept).with_name("moved")
        file_in(kept).rename(moved)
        if replaced:
            shutil.copy(moved, file_in(kept))
        for use in (journal.records("large"), journal.append(ownership, [step("large")])):
            with pytest.raises(StateDirectoryError, match="missing"):
                await use
        file_in(kept).unlink(missing_ok=True)
        moved.rename(file_in(kept))
        await journal.append(ownership, [step("large", "again")])  # it is back
        assert len(await journal.records("large")) == 3
        await journal.close()

    asyncio.run(use())


HARMS = {
    "a status": ["UPDATE runs SET status = 'waiting' WHERE run_id = 'run-003'"],
    "a name": ["UPDATE runs SET run_id = 'ruN-003' WHERE run_id = 'run-003'"],
    "a start": ["UPDATE runs SET started_at = started_at + 1 WHERE key = 4"],
    "an end": ["UPDATE runs SET finished_at = NULL WHERE key = 4"],
    "a row": ["DELETE FROM runs WHERE key = 4"],
    "all rows": ["DELETE FROM runs"],
    "a message that waits": ["DELETE FROM arrivals"],
    "a message that nobody waits for": ["INSERT INTO arrivals VALUES (4, 1)"],
    "a timer that nobody waits for": ["INSERT INTO timers VALUES (4, 'late', 1)"],
    "the number of the next run": ["UPDATE sqlite_sequence SET seq = 1 WHERE name = 'runs'"],
    "an entry of an index": [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, ')', ') WHERE key <> 4')"
        " WHERE name = 'runs_by_status'",
        "PRAGMA writable_schema = RESET",
        "REINDEX runs_by_status",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, ' WHERE key <> 4', '')"
        " WHERE name = 'runs_by_status'",
    ],
}


@pytest.mark.parametrize("statements", HARMS.values(), ids=HARMS)
def test_what_follows_from_the_records_is_found_and_repaired(
    kept: Path, statements: list[str]
) -> None:
    def dump() -> tuple[object, ...]:
        with sqlite3.connect(file_in(kept)) as connection:
            rows = connection.execute(
                "SELECT key, run_id, workflow, kind, status, started_at, finished_at, parent,"
                " kept, label, accepts, kept_at, correlation FROM runs ORDER BY key"
            ).fetchall()
            records = connection.execute("SELECT * FROM records ORDER BY id").fetchall()
            arrivals = connection.execute("SELECT * FROM arrivals").fetchall()
        connection.close()
        return rows, records, arrivals

    before = dump()
    with sqlite3.connect(file_in(kept)) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    assert damage_of(kept)

    async def repair() -> None:
        journal = SqliteJournal(kept)
        await journal.open()
        assert await journal.repair() or statements == HARMS["the number of the next run"]
        assert not await journal.check()
        assert not await journal.repair()
        found = await journal.runs(RunQuery(limit=100))
        assert len(found) == 41
        await journal.claim("large")  # after a repair a run can be owned and written again
        await journal.close()

    asyncio.run(repair())
    assert dump() == before
