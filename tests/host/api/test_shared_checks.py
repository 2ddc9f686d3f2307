"""What `doctor` finds where runs are shared."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.servers.s3 import S3Unavailable, running_s3

from qtforge_host.api.documents import Finding
from qtforge_host.api.journals import copy_runs
from qtforge_host.api.lookup import open_journal
from qtforge_host.api.shared_checks import check_files, check_other_journal, check_placements
from qtforge_host.config.settings import Settings, load_settings
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.placements import Placements
from qtforge_sdk.placement import Placement
from qtforge_sdk.testing._journal_scenarios import finished, keep, started


def settings_of(folder: Path, journal: str) -> Settings:
    return load_settings(None, environ={}, state_dir=folder, journal=journal)


def found_with(folder: Path, names: Sequence[str], *, copies: bool) -> Sequence[Finding]:
    """Return what is found where those unfinished runs, and one that ended, are in SQLite."""

    async def look() -> Sequence[Finding]:
        async with open_journal(settings_of(folder, "sqlite")) as local:
            for name in names:
                await keep(local, started(name, workflow="w", kind="python"))
            await keep(local, started("old", workflow="w", kind="python"), finished("old"))
        shared = MemoryJournal()
        if copies:
            async with open_journal(settings_of(folder, "sqlite")) as local:
                assert (await copy_runs(local, shared)).runs == len(names) + 1
        settings = settings_of(folder, "postgresql://user:s3cr3t@db/qtforge")
        return await check_other_journal(shared, settings)

    return asyncio.run(look())


def test_unfinished_runs_that_another_journal_than_the_configured_one_has_are_found(
    tmp_path: Path,
) -> None:
    (found,) = found_with(tmp_path, ["one", "two"], copies=False)
    assert (found.part, found.ok) == ("journal", False)
    assert found.what.startswith("2 unfinished runs, such as ")
    assert "the configured one is postgresql://db/qtforge: nothing continues them" in found.what
    assert "qtforge-host journal copy sqlite postgresql://db/qtforge" in found.fix
    assert "s3cr3t" not in f"{found}"


def test_an_unfinished_run_that_was_copied_is_found_until_the_first_journal_is_moved_away(
    tmp_path: Path,
) -> None:
    (found,) = found_with(tmp_path, ["one"], copies=True)
    assert "the unfinished run one is also in " in found.what
    assert "a second time" in found.what
    assert str(tmp_path / "runs") in found.fix
    (tmp_path / "runs").rename(tmp_path / "runs.before")
    settings = settings_of(tmp_path, "postgresql://db/qtforge")
    assert not asyncio.run(check_other_journal(MemoryJournal(), settings))
    assert not (tmp_path / "runs").exists()


def test_a_journal_whose_runs_have_ended_is_not_found(tmp_path: Path) -> None:
    assert not found_with(tmp_path, [], copies=False)


def test_a_journal_that_can_not_be_read_is_found(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir(mode=0o700)
    (tmp_path / "runs" / "journal.sqlite3").write_bytes(b"no database")
    settings = settings_of(tmp_path, "postgresql://db/qtforge")
    (found,) = asyncio.run(check_other_journal(MemoryJournal(), settings))
    assert "can't be read" in found.what
    assert (tmp_path / "runs" / "journal.sqlite3").read_bytes() == b"no database"


def test_data_of_a_plugin_that_another_node_holds_are_found(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "postgresql://db/qtforge")
    folder = tmp_path / "plugins" / "document-storage"
    placements = Placements(tmp_path)
    placements.share({"document-storage": folder}, answers=True)
    assert not list(check_placements(settings))
    placements.observe("document-storage", Placement(empty=True, since=1.0, place="x"), "first")
    assert not list(check_placements(settings))  # there is nothing here
    folder.mkdir(parents=True)
    (folder / "documents.sqlite").touch()
    (found,) = check_placements(settings)
    assert "'document-storage' are on the node first" in found.what
    assert str(folder) in found.fix


def files_with(folder: Path, url: str) -> Sequence[Finding]:
    path = folder / "config.toml"
    path.write_text(f'[host]\nfiles = "{url}"\n')
    settings = load_settings(path, environ={"QTFORGE_SECRET_KEY": "s3cr3tkey"}, state_dir=folder)
    return asyncio.run(check_files(settings))


def test_a_shared_folder_of_files_that_can_not_be_read_is_found(tmp_path: Path) -> None:
    assert files_with(tmp_path, "") == ()
    (sound,) = files_with(tmp_path, f"file://{tmp_path}/shared")
    assert (sound.part, sound.ok) == ("files", True)
    (tmp_path / "shared").write_text("a file in its place")
    (found,) = files_with(tmp_path, f"file://{tmp_path}/shared")
    assert (found.part, found.ok) == ("files", False)
    assert "shared" in found.what
    (found,) = files_with(tmp_path, "s3://b?secret_access_key=${secret.ABSENT}")
    assert not found.ok
    assert "ABSENT" in found.what


def test_an_object_store_that_does_not_answer_is_found(tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_s3())
        except S3Unavailable as error:
            pytest.skip(str(error))
        server.make_bucket("there")
        (sound,) = files_with(tmp_path, server.url("there"))
        assert sound.ok, sound
        (found,) = files_with(tmp_path, server.url("absent"))
        assert not found.ok
        assert "absent" in found.what
        assert "secret_access_key" not in found.what
