"""What `doctor` finds in the configuration, among the runs and in permissions."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from qtforge_host.api.documents import Finding
from qtforge_host.api.state_checks import (
    check_leftovers,
    check_permissions,
    check_references,
    check_runs,
    check_workflows,
    close_permissions,
)
from qtforge_host.config.settings import load_settings
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.journal.work_folder import work_folder
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
        # The name of a stage is no workflow's.
        ('[schedules.night]\nworkflow = "document_parsing"\ncron = "0 3 * * *"\n', "parsing"),
        ('[topics."absent.topic".limits]\nconcurrency = 2\n', "absent.topic"),
        ("[plugins.absent.config]\nx = 1\n", "'absent'"),
    ],
)
def test_a_name_that_nothing_installed_has_is_found(tmp_path: Path, text: str, what: str) -> None:
    (found,) = findings(tmp_path, text)
    assert not found.ok
    assert what in found.what
    assert found.fix


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"name = ", "it is not TOML"),
        (b"\xff\xfe", "it can't be read"),
        (b'name = "x"\nkind = "' + b"x" * (5 << 20) + b'"', "larger than"),
        (b'kind = "sequential"\n', "name: is missing"),
        (b'name = "x"\nkind = "absent"\n', "no orchestrator is of the kind 'absent'"),
        (b'name = "x"\nkind = "sequential"\nversion = 3\n', "version: expected"),
        (b'name = "x"\nkind = "sequential"\na = ' + b"9" * 30, "more than 64 bits"),
        (b'name = "x"\nkind = "sequential"\na = ' + b"[" * 5_000 + b"]" * 5_000, "100 deep"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_definition_that_can_not_be_used_is_found(
    tmp_path: Path, content: bytes, what: str
) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "one.toml").write_bytes(content)
    (tmp_path / "config.toml").touch()
    settings = load_settings(tmp_path / "config.toml", environ={}, state_dir=tmp_path / "state")
    candidates = list(resolve_installed(settings).resolution.candidates)
    (found,) = check_workflows(settings, candidates)
    assert not found.ok
    assert what in found.what
    assert found.fix


def test_definitions_of_every_installed_kind_are_not_found(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    for kind in ("sequential", "conditional", "parallel", "reactive"):
        text = f'name = "{kind}"\nkind = "{kind}"\n[keys.of.the.kind]\n'
        (tmp_path / "workflows" / f"{kind}.toml").write_text(text)
    (tmp_path / "config.toml").touch()
    settings = load_settings(tmp_path / "config.toml", environ={}, state_dir=tmp_path / "state")
    candidates = list(resolve_installed(settings).resolution.candidates)
    (said,) = check_workflows(settings, candidates)
    assert said.ok
    assert "4 files are valid TOML" in said.what
    assert "not checked here" in said.what
    assert "qtforge-host workflows list" in said.what


@pytest.mark.skipif(os.name != "posix", reason="it has no such permissions")
@pytest.mark.parametrize(
    "name", ["config.toml", "config.plugins.toml", "workflows", "workflows/one.toml", "."]
)
def test_what_the_configuration_is_made_of_is_found_where_others_can_change_it(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "workflows").mkdir(mode=0o755)
    for each in ("config.toml", "config.plugins.toml", "workflows/one.toml"):
        (tmp_path / each).touch(0o644)
    settings = load_settings(tmp_path / "config.toml", environ={}, state_dir=tmp_path / "state")
    assert not list(check_permissions(settings))
    assert not caplog.text
    (tmp_path / name).chmod(0o777 if (tmp_path / name).is_dir() else 0o666)
    (found,) = check_permissions(settings)
    assert found.what.endswith(str(tmp_path / name))
    load_settings(tmp_path / "config.toml", environ={}, state_dir=tmp_path / "state")
    assert f"chmod go-w {tmp_path / name}" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="it has no such permissions")
def test_secrets_that_others_can_read_are_found(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch(0o644)
    (tmp_path / "secrets.toml").touch(0o640)
    settings = load_settings(tmp_path / "config.toml", environ={}, state_dir=tmp_path / "state")
    (found,) = check_permissions(settings)
    assert "secrets.toml" in found.what
    (tmp_path / "secrets.toml").chmod(0o600)
    assert not list(check_permissions(settings))


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


def test_what_an_interrupted_restore_has_left_is_found(tmp_path: Path) -> None:
    settings = load_settings(None, environ={}, state_dir=tmp_path)
    with work_folder(tmp_path, "restore"):
        assert not list(check_leftovers(settings))
    (tmp_path / ".qtforge-restore-abc").mkdir()
    (found,) = check_leftovers(settings)
    assert ".qtforge-restore-abc" in found.what
    assert "journal restore" in found.fix
