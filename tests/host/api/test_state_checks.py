"""What `doctor` finds in the configuration, among the runs and in permissions."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from qtforge_host.api.documents import Finding
from qtforge_host.api.state_checks import (
    check_permissions,
    check_references,
    check_runs,
    close_permissions,
)
from qtforge_host.config.settings import load_settings
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.plugins.resolution import resolve_installed
from qtforge_sdk.testing._journal_scenarios import finished, keep, started


def findings(folder: Path, text: str) -> list[Finding]:
    path = folder / "config.toml"
    path.write_text(text)
    settings = load_settings(path, environ={}, state_dir=folder / "state")
    candidates = resolve_installed(settings).resolution.candidates
    return list(check_references(settings, list(candidates)))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[schedules.night]\nworkflow = "absent-one"\ncron = "0 3 * * *"\n', "absent-one"),
        ('[topics."absent.topic".limits]\nconcurrency = 2\n', "absent.topic"),
        ("[plugins.absent.config]\nx = 1\n", "'absent'"),
    ],
)
def test_a_name_that_nothing_installed_has_is_found(tmp_path: Path, text: str, what: str) -> None:
    (found,) = findings(tmp_path, text)
    assert not found.ok
    assert what in found.what
    assert found.fix


def test_names_that_are_there_are_not_found(tmp_path: Path) -> None:
    workflows = tmp_path / "workflows"
    workflows.mkdir()
    (workflows / "mine.toml").write_text('name = "mine"\n')
    assert not findings(
        tmp_path,
        '[schedules.night]\nworkflow = "mine"\ncron = "0 3 * * *"\n'
        '[schedules.day]\nworkflow = "document-processing"\ncron = "0 3 * * *"\n'
        '[topics."document.parse".limits]\nconcurrency = 2\n'
        "[plugins.document-parser]\nenabled = true\n",
    )


def test_unfinished_runs_whose_workflow_or_kind_is_gone_are_found(tmp_path: Path) -> None:
    settings = load_settings(None, environ={}, state_dir=tmp_path)
    candidates = list(resolve_installed(settings).resolution.candidates)

    async def look() -> list[str]:
        journal = MemoryJournal()
        definition = {"name": "d"}
        await keep(journal, started("gone", workflow="gone-one", kind="python"))
        await keep(journal, started("strange", workflow="w", kind="k", definition=definition))
        await keep(journal, started("fine", workflow="x", definition=definition))
        await keep(journal, started("old", workflow="old-one", kind="python"), finished("old"))
        return [each.what for each in await check_runs(journal, settings, candidates)]

    found = asyncio.run(look())
    assert len(found) == 2
    assert "'gone-one'" in found[0]
    assert "'k'" in found[1]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_what_others_can_open_is_found_and_closed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "runs").mkdir(parents=True)
    (state / "runs" / "file").touch()
    for path in (state, state / "runs", state / "runs" / "file"):
        path.chmod(0o755)
    config = tmp_path / "config.toml"
    config.touch()
    config.chmod(0o666)
    settings = load_settings(config, environ={}, state_dir=state)
    assert [each.part for each in check_permissions(settings)] == ["permissions"] * 2
    assert close_permissions(settings) == 3
    assert (state / "runs" / "file").stat().st_mode & 0o777 == 0o700
    (found,) = check_permissions(settings)
    assert str(config) in found.what
    config.chmod(0o644)
    assert not list(check_permissions(settings))
