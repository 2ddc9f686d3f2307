from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.run_files import RunFiles
from qtforge_sdk.records import RunStarted

AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def started(run_id: str) -> RunStarted:
    return RunStarted(
        run_id=run_id, at=AT, workflow="w", kind="k", workflow_version="1", input={}, plugins={}
    )


def made(folder: Path, run_id: str) -> Path:
    path = folder / "run-files" / run_id / "rows.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    return path


def test_a_folder_goes_with_the_last_run_that_refers_to_it(tmp_path: Path) -> None:
    files = RunFiles(tmp_path / "run-files")
    first, other = made(tmp_path, "first"), made(tmp_path, "other")
    files.share("first", "fork")
    files.share("fork", "fork-of-the-fork")

    async def left_with(*run_ids: str) -> list[str]:
        journal = MemoryJournal()
        await journal.open()
        for run_id in run_ids:
            await journal.create(started(run_id))
        count = len(await files.orphans(journal))
        assert await files.sweep(journal) == count
        return [path.parent.name for path in (first, other) if path.exists()]

    assert asyncio.run(left_with("first", "other")) == ["first", "other"]
    assert asyncio.run(left_with("fork", "another")) == ["first"]
    assert asyncio.run(left_with("fork-of-the-fork")) == ["first"]
    assert asyncio.run(left_with("another")) == []


def test_where_there_are_no_files_nothing_is_to_be_done(tmp_path: Path) -> None:
    files = RunFiles(tmp_path / "absent")
    files.share("a", "b")
    assert files.size("a") == (0, 0)
    assert asyncio.run(files.sweep(MemoryJournal())) == 0
    assert list(tmp_path.iterdir()) == []


def test_markers_are_no_files_of_the_run(tmp_path: Path) -> None:
    made(tmp_path, "first")
    files = RunFiles(tmp_path / "run-files")
    files.share("first", "fork")
    assert files.size("first") == (1, 3)
