"""A backup that is made while runs are written is one moment of them, and is restored whole."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import threading
import time
import warnings
import zipfile
from pathlib import Path

import pytest
from tests.forked_commands import forker

from qtforge_host.journal.backup import restore, write_backup
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.journal.work_folder import abandoned, work_folder
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.journal_errors import ArchiveInvalidError
from qtforge_sdk.testing._journal_scenarios import event, finished, keep, started, step, steps_of

LARGE = "x" * 300_000


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A state directory with an ended run, a run with a large value, and a run's file."""
    state = tmp_path / "state"

    async def make() -> None:
        journal = SqliteJournal(state / "runs")
        await journal.open()
        await keep(journal, started("done"), step("done", "a"), finished("done"))
        await keep(journal, started("large"), step("large", data=LARGE))
        await journal.post("large", event("m1"))
        await journal.close()

    asyncio.run(make())
    rows = state / "run-files" / "done" / "rows.jsonl"
    rows.parent.mkdir(parents=True)
    rows.write_bytes(b"{}\n")
    return state


def runs_of(state: Path) -> dict[str, int]:
    async def look() -> dict[str, int]:
        journal = SqliteJournal(state / "runs")
        await journal.open()
        try:
            assert not await journal.check()
            return {each.run_id: each.records for each in await journal.runs(RunQuery(limit=9999))}
        finally:
            await journal.close()

    return asyncio.run(look())


def test_what_is_restored_is_what_was_backed_up(kept: Path, tmp_path: Path) -> None:
    written = write_backup(kept, tmp_path / "backup")
    other = tmp_path / "other"
    assert restore(tmp_path / "backup", other) == written
    assert (written.runs, written.files) == (2, 3)
    assert runs_of(other) == runs_of(kept) == {"done": 3, "large": 2}
    assert (other / "run-files" / "done" / "rows.jsonl").read_bytes() == b"{}\n"
    assert (other / "runs" / "journal.sqlite3").stat().st_mode & 0o077 == 0


def test_a_backup_is_one_moment_of_runs_that_are_being_written(tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def load(journal: SqliteJournal, number: int, stop: asyncio.Event) -> None:
        count = 0
        while not stop.is_set():
            name = f"run-{number}-{count}"
            # Each in one write: a backup has all three records or none.
            ownership = await journal.create(started(name))
            text = f"{name} {LARGE}"
            await journal.append(
                ownership, [step(name, "a", data=text), step(name, "b"), finished(name)]
            )
            count += 1

    async def back_up_under_load() -> None:
        journal = SqliteJournal(state / "runs")
        await journal.open()
        stop = asyncio.Event()
        tasks = [asyncio.create_task(load(journal, number, stop)) for number in range(4)]
        for number in range(3):
            await asyncio.to_thread(write_backup, state, tmp_path / f"backup-{number}")
            await journal.create(started(f"between-{number}"))
        stop.set()
        await asyncio.gather(*tasks)
        await journal.close()

    asyncio.run(back_up_under_load())
    sizes = []
    for number in range(3):
        other = tmp_path / f"other-{number}"
        restore(tmp_path / f"backup-{number}", other)
        found = runs_of(other)  # without damage, large values included
        assert set(found.values()) <= {1, 4}
        sizes.append(len(found))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_directory_in_use_or_with_runs_is_not_overwritten(kept: Path, tmp_path: Path) -> None:
    write_backup(kept, tmp_path / "backup")

    async def while_used() -> None:
        journal = SqliteJournal(kept / "runs")
        await journal.open()
        try:
            for replace in (False, True):
                with pytest.raises(StateDirectoryError, match="uses it"):
                    restore(tmp_path / "backup", kept, replace=replace)
        finally:
            await journal.close()

    asyncio.run(while_used())
    with pytest.raises(StateDirectoryError, match="runs in it already"):
        restore(tmp_path / "backup", kept)
    before = runs_of(kept)
    restore(tmp_path / "backup", kept, replace=True)
    assert runs_of(kept) == before
    assert (kept / "runs.before-restore" / "journal.sqlite3").exists()


def test_a_run_that_was_executing_has_no_owner_after_a_restore(kept: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(kept / "runs")
        await journal.open()
        await journal.claim("large")
        write_backup(kept, tmp_path / "backup")
        restore(tmp_path / "backup", tmp_path / "other")
        other = SqliteJournal(tmp_path / "other" / "runs")
        await other.open()
        assert list(await other.unfinished()) == ["large"]
        await other.append(await other.claim("large"), [step("large", "more")])
        assert steps_of(await other.records("large")) == ["parse", "more"]
        await other.close()
        await journal.close()

    asyncio.run(scenario())


def _rewritten(source: Path, target: Path, name: str, content: bytes | None) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for each in old.namelist():
            if each != name:
                new.writestr(each, old.read(each))
            elif content is not None:
                new.writestr(each, content)


@pytest.mark.parametrize("harm", ["cut", "other", "changed", "missing", "newer", "outside"])
def test_a_damaged_backup_is_refused_and_changes_nothing(
    kept: Path, tmp_path: Path, harm: str
) -> None:
    backup, bad = tmp_path / "backup", tmp_path / "bad"
    write_backup(kept, backup)
    with zipfile.ZipFile(backup) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    rows = "run-files/done/rows.jsonl"
    if harm == "cut":
        bad.write_bytes(backup.read_bytes()[:-1000])
    elif harm == "other":
        bad.write_bytes(b"not a backup" * 100)
    elif harm == "changed":
        _rewritten(backup, bad, rows, b"[]\n")
    elif harm == "missing":
        _rewritten(backup, bad, rows, None)
    elif harm == "newer":
        _rewritten(backup, bad, "manifest.json", json.dumps({**manifest, "format": 99}).encode())
    else:
        manifest["files"]["run-files/../../outside"] = manifest["files"][rows]
        _rewritten(backup, bad, "manifest.json", json.dumps(manifest).encode())
    other = tmp_path / "other"
    with pytest.raises(ArchiveInvalidError, match="this is not a backup that can be read"):
        restore(bad, other)
    assert not list(other.iterdir())
    assert not (tmp_path / "outside").exists()
    shutil.rmtree(other)


def test_only_its_owner_can_read_a_backup(kept: Path, tmp_path: Path) -> None:
    write_backup(kept, tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0


LARGE_FILE_BYTES = 4 << 30  # a hole: it takes no space, but a while to read


def a_large_backup(kept: Path, path: Path) -> Path:
    """Write a backup that takes a while to unpack: of few bytes that unpack to many."""
    write_backup(kept, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("run-files/done/large", "w", force_zip64=True) as file:
            for _ in range(256):
                file.write(bytes(1 << 20))
        manifest = json.loads(archive.read("manifest.json"))
        manifest["files"]["run-files/done/large"] = {"size_bytes": 256 << 20, "sha256": "x"}
        with warnings.catch_warnings(action="ignore"):  # the last of a name counts
            archive.writestr("manifest.json", json.dumps(manifest))
    return path


@pytest.mark.parametrize("command", ["backup", "restore"])
@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_is_ended_in_its_middle_leaves_nothing_for_long(
    kept: Path, tmp_path: Path, command: str, ended_by: signal.Signals
) -> None:
    if command == "backup":
        with (kept / "run-files" / "done" / "large").open("wb") as file:
            file.truncate(LARGE_FILE_BYTES)
        state, archive = kept, tmp_path / "backups" / "backup"
        folder = archive.parent
    else:
        archive = a_large_backup(kept, tmp_path / "backup")
        state = folder = tmp_path / "other"
    words = ["--state-dir", str(state), "journal", command, str(archive)]
    env = {"HOME": str(tmp_path), "PYTHONUTF8": "1"}
    with (tmp_path / "said").open("w") as said:
        process = forker().start(words, env=env, cwd=tmp_path, stdout=said, stderr=said)
        deadline = time.monotonic() + 120
        while not list(folder.glob(".qtforge-*/*")):
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(ended_by)
        code = process.wait(timeout=120)

    assert code == {signal.SIGTERM: 143, signal.SIGINT: 130}.get(ended_by, -9)
    left = list(folder.glob(".*"))
    if ended_by == signal.SIGKILL:
        assert left == list(abandoned(folder, command))
        assert len(left) == 1
        (kept / "run-files" / "done" / "large").unlink(missing_ok=True)
        written = write_backup(kept, tmp_path / "backups" / "backup")
        if command == "restore":
            assert restore(tmp_path / "backups" / "backup", state) == written
    assert not list(folder.glob(".*"))
    assert "Traceback" not in (tmp_path / "said").read_text()


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_signal_within_the_start_of_its_thread_ends_a_backup(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_begun: bool
) -> None:
    late: list[threading.Thread] = []

    class InterruptedThread(threading.Thread):
        def start(self) -> None:
            if has_begun:
                super().start()
            else:
                late.append(self)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", InterruptedThread)
        for _ in range(10):
            with pytest.raises(KeyboardInterrupt):
                write_backup(kept, tmp_path / "backups" / "backup")
    for thread in late:
        threading.Thread.start(thread)
        thread.join(timeout=60)
    assert not list((tmp_path / "backups").iterdir())
    assert write_backup(kept, tmp_path / "backups" / "backup").runs == 2


@pytest.mark.parametrize("method", ["open", "writestr"])
def test_a_signal_within_the_archive_s_own_code_is_what_ends_a_backup(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    real = getattr(zipfile.ZipFile, method)

    def interrupted(archive: zipfile.ZipFile, *args: object, **options: object) -> None:
        archive._open_to_keep = real(archive, *args, **options)  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, method, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_backup(kept, tmp_path / "backups" / "backup")
    assert not list((tmp_path / "backups").iterdir())


def test_a_folder_that_is_in_use_is_not_taken_for_one_that_was_left(tmp_path: Path) -> None:
    with work_folder(tmp_path, "backup") as first, work_folder(tmp_path, "backup") as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not abandoned(tmp_path, "backup")
    assert not list(tmp_path.iterdir())
