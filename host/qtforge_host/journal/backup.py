"""Copy a state directory's runs into one file, also while they execute, and restore them.

A backup is a ZIP archive: ``journal.sqlite3`` as of one moment, the large values and the files of
runs, and ``manifest.json`` with the size and the SHA-256 of each. Of the secrets of runs it has the
references, and the names of named ones, and no value. A large value is never
changed, and its file is written before what refers to it: those that are copied after the journal
are all that it needs.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import sqlite3
import threading
import zipfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

import msgspec

from qtforge_host.journal.database import JOURNAL_FILE, connect
from qtforge_host.journal.owner_lock import OwnerLocks
from qtforge_host.journal.schema import FORMAT_VERSION
from qtforge_host.journal.secret_files import SecretFiles
from qtforge_host.journal.storage_errors import STORAGE_ERRORS, storage_error
from qtforge_host.journal.work_folder import work_folder
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.files import private_file, private_folder, sync_folder
from qtforge_sdk.journal_errors import ArchiveInvalidError
from qtforge_sdk.validation import decoded

__all__ = ["RESTORE", "BackupSummary", "restore", "write_backup"]

RESTORE: Final = "restore"
"""The purpose of the folder in the state directory that a restore works in."""
_FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_JOURNAL: Final = f"runs/{JOURNAL_FILE}"
_SECRETS: Final = "runs/secrets"
_FOLDERS: Final = ("runs/blobs", "run-files")
_CHUNK: Final = 1 << 20
_INTERRUPT_S: Final = 0.05
_TIMES: Final = (1980, 1, 1, 0, 0, 0)


class _Entry(msgspec.Struct, frozen=True):
    size_bytes: int
    sha256: str


class _Manifest(msgspec.Struct, frozen=True):
    format: int
    journal_format: int
    files: dict[str, _Entry]


class BackupSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a backup.

    Attributes:
        runs: The number of runs.
        files: The number of files.
        size_bytes: Their size.
    """

    runs: int
    files: int
    size_bytes: int


def write_backup(state_dir: Path, target: Path) -> BackupSummary:
    """Copy the runs of a state directory into one file; other processes may use it meanwhile.

    Args:
        state_dir: The state directory.
        target: The file; it is replaced when the backup is whole.

    Raises:
        StateDirectoryError: There is no journal, it is damaged, or the file can't be written.
    """
    journal = state_dir / _JOURNAL
    if not journal.is_file():
        raise StateDirectoryError(
            str(state_dir), "there is no journal in it", "give another --state-dir"
        )
    try:
        with work_folder(target.absolute().parent, "backup") as work:
            copy = work / JOURNAL_FILE
            runs = _copy_journal(journal, copy)
            partial = work / "backup"
            files = _write_archive(partial, copy, state_dir)
            os.replace(partial, target)
            sync_folder(target.absolute().parent)
    except STORAGE_ERRORS as error:
        raise storage_error(state_dir, error) from error
    size_bytes = sum(each.size_bytes for each in files.values())
    return BackupSummary(runs=runs, files=len(files), size_bytes=size_bytes)


def restore(archive: Path, state_dir: Path, *, replace: bool = False) -> BackupSummary:
    """Put the runs of a backup into a state directory that no process uses.

    Args:
        archive: The backup.
        state_dir: The state directory; made when it is missing.
        replace: Whether runs that are there are replaced; their files are kept beside the new ones,
            in folders whose name ends with ``.before-restore``.

    Raises:
        ArchiveInvalidError: It is not a backup, is damaged, or is of a newer format.
        StateDirectoryError: The state directory is in use, has runs already, or can't be written.
    """
    try:
        with work_folder(state_dir, RESTORE) as work:
            summary = _unpack(archive, work)
            _refuse_used(state_dir, replace=replace)
            for name in ("runs", "run-files"):
                _move(work / name, state_dir / name)
            sync_folder(state_dir)
    except STORAGE_ERRORS as error:
        raise storage_error(state_dir, error) from error
    return summary


def _copy_journal(journal: Path, copy: Path) -> int:
    """Copy the database as of one moment; return the number of runs."""
    _vacuum_into(journal, copy)
    with contextlib.closing(sqlite3.connect(copy)) as target:
        # The copy belongs to no process.
        target.execute("UPDATE runs SET owner = NULL")
        target.commit()
        (runs,) = target.execute("SELECT count(*) FROM runs").fetchone()
    return int(runs)


def _vacuum_into(journal: Path, copy: Path) -> None:
    """Copy a database in a thread: no signal would reach this one before SQLite returns.

    A signal may come at any line here, and within `Thread.start`. So the connection is closed by
    the thread alone, and the thread touches nothing unless it has the one ticket.
    """
    # Not Thread.join: once interrupted, it takes the thread for one that has ended (Python 3.11).
    # Not a queue either: a signal may come between the end of `get` and the use of its item.
    ended = threading.Event()
    errors: list[BaseException] = []
    connections: list[sqlite3.Connection] = []
    ticket: deque[None] = deque([None])  # `pop` of one element is atomic

    def copy_it() -> None:
        try:
            ticket.pop()
        except IndexError:  # the caller has ended
            return
        try:
            with contextlib.closing(connect(journal)) as source:
                connections.append(source)
                source.execute("VACUUM INTO ?", (str(copy),))
        except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
            errors.append(error)
        finally:
            ended.set()

    try:
        threading.Thread(target=copy_it, name="qtforge-backup", daemon=True).start()
        ended.wait()
    except BaseException:
        with contextlib.suppress(IndexError):
            ticket.pop()
            raise  # the thread has not begun, and will not
        while not ended.wait(_INTERRUPT_S):  # again: the statement may not have begun
            for source in connections:
                with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
                    source.interrupt()
        raise
    if errors:
        raise errors[0]


def _write_archive(partial: Path, journal: Path, state_dir: Path) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    private_file(partial)  # it has all that runs have
    with partial.open("r+b") as file:
        archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        try:
            entries[_JOURNAL] = _add(archive, _JOURNAL, journal)
            for folder in _FOLDERS:
                for path in sorted((state_dir / folder).rglob("*")):
                    if path.is_symlink() or not path.is_file() or path.name.startswith(".tmp"):
                        continue
                    name = path.relative_to(state_dir).as_posix()
                    with contextlib.suppress(FileNotFoundError):  # pruned, or renamed, meanwhile
                        entries[name] = _add(archive, name, path)
            secrets = SecretFiles(state_dir / _SECRETS)
            for run_id in secrets.runs():
                if lines := secrets.without_values(run_id):
                    name = f"{_SECRETS}/{run_id}.jsonl"
                    entries[name] = _add_from(archive, name, io.BytesIO(lines))
            manifest = _Manifest(_FORMAT, FORMAT_VERSION, entries)
            archive.writestr(zipfile.ZipInfo(_MANIFEST, _TIMES), msgspec.json.encode(manifest))
            archive.close()
        finally:
            # Where a signal came within it, `close` raises for its open entry, in place of what
            # ends this. The file is thrown away then, so there is nothing to close.
            archive.fp = None
        file.flush()
        os.fsync(file.fileno())
    return entries


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> _Entry:
    with path.open("rb") as source:
        return _add_from(archive, name, source)


def _add_from(archive: zipfile.ZipFile, name: str, source: IO[bytes]) -> _Entry:
    digest, size = hashlib.sha256(), 0
    info = zipfile.ZipInfo(name, _TIMES)
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as target:
        for chunk in _chunks(source):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
    return _Entry(size, digest.hexdigest())


def _invalid(why: str) -> ArchiveInvalidError:
    return ArchiveInvalidError(why, kind="a backup", fix="restore another backup")


def _unpack(path: Path, work: Path) -> BackupSummary:
    """Unpack a backup into an empty folder, and check every file of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive)
            for name, entry in manifest.files.items():
                _extract(archive, name, entry, work)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise _invalid(f"it is not a backup, or is damaged: {error}") from error
    with contextlib.closing(sqlite3.connect(work / _JOURNAL)) as copy:
        (runs,) = copy.execute("SELECT count(*) FROM runs").fetchone()
    size_bytes = sum(each.size_bytes for each in manifest.files.values())
    return BackupSummary(runs=runs, files=len(manifest.files), size_bytes=size_bytes)


def _manifest(archive: zipfile.ZipFile) -> _Manifest:
    try:
        found = decoded(msgspec.json.Decoder(_Manifest).decode, archive.read(_MANIFEST))
    except (KeyError, msgspec.MsgspecError) as error:
        raise _invalid(f"it is not a backup: {error}") from error
    if found.format > _FORMAT or found.journal_format > FORMAT_VERSION:
        raise _invalid(
            f"it has format {found.format} with a journal of format {found.journal_format}, and"
            f" this version knows up to {_FORMAT} and {FORMAT_VERSION}"
        )
    if _JOURNAL not in found.files:
        raise _invalid("there is no journal in it")
    for name in found.files:
        parts = PurePosixPath(name).parts
        if "\\" in name or ".." in parts or parts[:1] not in (("runs",), ("run-files",)):
            raise _invalid(f"a file in it would be written elsewhere: {name!r}")
    return found


def _extract(archive: zipfile.ZipFile, name: str, entry: _Entry, work: Path) -> None:
    path = work / name
    private_folder(path.parent)
    digest, size = hashlib.sha256(), 0
    try:
        source = archive.open(name)
    except KeyError:
        raise _invalid(f"a file of it is missing: {name!r}") from None
    with source, path.open("xb") as target:
        os.chmod(path, 0o600)
        for chunk in _chunks(source):
            size += len(chunk)
            if size > entry.size_bytes:
                break
            digest.update(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    if size != entry.size_bytes or digest.hexdigest() != entry.sha256:
        raise _invalid(f"the content of {name!r} is not what was written")


def _refuse_used(state_dir: Path, *, replace: bool) -> None:
    owners = OwnerLocks(state_dir / "runs" / "owners").alive()
    if owners:
        who = OwnerLocks(state_dir / "runs" / "owners").describe(owners[0])
        raise StateDirectoryError(str(state_dir), f"{who} uses it", "end that process first")
    if (state_dir / _JOURNAL).exists() and not replace:
        raise StateDirectoryError(
            str(state_dir),
            "there are runs in it already",
            "give an empty --state-dir, or --replace, which keeps them beside the new ones",
        )


def _move(source: Path, target: Path) -> None:
    if target.exists():
        aside = target.with_name(f"{target.name}.before-restore")
        if aside.exists():
            shutil.rmtree(aside)
        target.rename(aside)
    if source.exists():
        source.rename(target)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
