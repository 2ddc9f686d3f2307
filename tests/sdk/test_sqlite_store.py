from __future__ import annotations

import errno
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from qtforge_sdk.sqlite_store import Schema, SqliteStore, StoreError, reason_of

FIRST = ("CREATE TABLE notes (text TEXT NOT NULL UNIQUE) STRICT",)
SECOND = ("ALTER TABLE notes ADD COLUMN stars INTEGER NOT NULL DEFAULT 0",)
SCHEMA = Schema(application_id=0x1234, migrations=(FIRST,))
NEWER = Schema(application_id=0x1234, migrations=(FIRST, SECOND))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "notes.sqlite"


def add(store: SqliteStore, text: str) -> None:
    with store.transaction() as connection:
        connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))


def texts(store: SqliteStore) -> list[str]:
    with store.reading() as connection:
        return [row[0] for row in connection.execute("SELECT text FROM notes ORDER BY text")]


def reason_for(store: SqliteStore) -> tuple[str, str, bool | None]:
    with pytest.raises(StoreError) as raised:
        add(store, "z")
    return raised.value.reason, raised.value.code, raised.value.retryable


def test_a_committed_row_is_there_for_another_store_of_the_file(path: Path) -> None:
    add(SqliteStore(path, SCHEMA), "a")
    assert texts(SqliteStore(path, SCHEMA)) == ["a"]


def test_a_block_that_raises_is_rolled_back(path: Path) -> None:
    store = SqliteStore(path, SCHEMA)

    def fail() -> None:
        with store.transaction() as connection:
            connection.execute("INSERT INTO notes (text) VALUES ('a')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert texts(store) == []


def test_a_connection_of_the_owner_serves_many_transactions(path: Path) -> None:
    store = SqliteStore(path, SCHEMA)
    with closing(store.open()) as connection:
        for text in "ab":
            with store.transaction(connection):
                connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))
        with pytest.raises(StoreError), store.transaction(connection):
            connection.execute("INSERT INTO notes (text) VALUES ('a')")
        with store.transaction(connection):
            connection.execute("INSERT INTO notes (text) VALUES ('c')")
    assert texts(store) == ["a", "b", "c"]


def test_an_older_file_is_migrated_and_keeps_its_rows(path: Path) -> None:
    add(SqliteStore(path, SCHEMA), "a")
    with SqliteStore(path, NEWER).reading() as connection:
        assert connection.execute("SELECT * FROM notes").fetchall() == [("a", 0)]
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    add(SqliteStore(path, SCHEMA), "a")
    broken = Schema(application_id=0x1234, migrations=(FIRST, (*SECOND, "CREATE TABLE notes (x)")))
    assert reason_for(SqliteStore(path, broken))[0] == "failed"
    assert texts(SqliteStore(path, SCHEMA)) == ["a"]


def test_a_file_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    add(SqliteStore(path, NEWER), "a")
    assert reason_for(SqliteStore(path, SCHEMA)) == ("newer", "store.newer", False)
    assert texts(SqliteStore(path, NEWER)) == ["a"]


def test_another_applications_file_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    before = path.read_bytes()
    assert reason_for(SqliteStore(path, SCHEMA)) == ("foreign", "store.foreign", False)
    other = Schema(application_id=0x99, migrations=(FIRST,))
    add(SqliteStore(path.with_name("other"), other), "a")
    assert reason_for(SqliteStore(path.with_name("other"), SCHEMA))[0] == "foreign"
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_damaged(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert reason_for(SqliteStore(path, SCHEMA)) == ("damaged", "store.damaged", False)


def test_a_missing_table_is_damage(path: Path) -> None:
    add(SqliteStore(path, SCHEMA), "a")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE notes")
    assert reason_for(SqliteStore(path, SCHEMA))[0] == "damaged"


def test_a_folder_that_can_not_be_made_is_unwritable(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    assert reason_for(SqliteStore(path, SCHEMA)) == ("unwritable", "store.unwritable", None)


def test_a_lock_that_is_not_released_in_time_is_busy(path: Path) -> None:
    store = SqliteStore(path, SCHEMA, busy_timeout_s=0.05)
    with store.transaction():
        assert reason_for(store) == ("busy", "store.busy", True)
    add(store, "z")


def test_many_threads_that_open_a_new_file_agree_on_its_schema(path: Path) -> None:
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        add(SqliteStore(path, NEWER), f"{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert texts(SqliteStore(path, NEWER)) == [str(number) for number in range(8)]


def test_errors_of_the_operating_system_have_a_reason_too() -> None:
    assert reason_of(OSError(errno.ENOSPC, "full")) == "full"
    assert reason_of(PermissionError(errno.EACCES, "no")) == "unwritable"
    assert reason_of(sqlite3.ProgrammingError("wrong use")) == "failed"
