"""What `doctor` finds in schedules, without importing a plugin."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("cronsim", reason="the extra 'serve' is not installed")

from qtforge_host.api.doctor import diagnose
from qtforge_host.api.documents import Finding
from qtforge_host.api.schedule_checks import check_schedules
from qtforge_host.config.settings import load_settings
from qtforge_host.plugins.resolution import resolve_installed

TYPED = """
name = "typed"
kind = "sequential"
[inputs]
day = { type = "date" }
count = { type = "integer", max = 5, default = 1 }
[[checks]]
input = "day"
condition = "input.day > '2000'"
wants = "a day of this century"
[keys.of.the.kind]
"""


def findings(folder: Path, schedule: str, *, workflow: str = "typed") -> Sequence[Finding]:
    (folder / "workflows").mkdir(exist_ok=True)
    (folder / "workflows" / "typed.toml").write_text(TYPED)
    path = folder / "config.toml"
    path.write_text(f'[schedules.night]\nworkflow = "{workflow}"\n{schedule}\n')
    settings = load_settings(path, environ={}, state_dir=folder / "state")
    candidates = list(resolve_installed(settings).resolution.candidates)
    return asyncio.run(check_schedules(settings, candidates))


@pytest.mark.parametrize(
    ("schedule", "what", "fix"),
    [
        ('cron = "bogus"', "schedules.night.cron: 'bogus' can't be used", "minute, hour"),
        ('every = "soon"', "schedules.night.every", ""),
        ('cron = "@daily"\ntimezone = "Mars"', "there is no time zone 'Mars'", "Europe/Berlin"),
        ('cron = "@daily"\nstart = "soon"', "'soon' is not a time", "2026-12-01"),
        ('cron = "@daily"', "the input 'day' of 'typed' is missing", "give a date"),
        ('cron = "@daily"\ninput = { day = 2026-01-01, size = 1 }', "no input 'size'", "day"),
        ('cron = "@daily"\ninput = { day = "soon" }', "can't be 'soon'", "give a date"),
        ('cron = "@daily"\ninput = { day = 2026-01-01, count = 9 }', "can't be 9", "at most 5"),
        ('cron = "@daily"\ninput = { day = "${schedule.plannd}" }', "schedule.plannd", ""),
        ('cron = "@daily"\ninput = { day = "${"}', "${", ""),
        ('cron = "@daily"\ninput = { day = 1999-01-01 }', "can't be", "a day of this century"),
    ],
)
def test_a_schedule_that_can_not_start_its_workflow_is_found(
    tmp_path: Path, schedule: str, what: str, fix: str
) -> None:
    (found,) = findings(tmp_path, schedule)
    assert not found.ok
    assert what in found.what
    assert fix in found.fix


@pytest.mark.parametrize(
    ("schedule", "workflow"),
    [
        ('cron = "@daily"\ninput = { day = "${schedule.planned}", count = 5 }', "typed"),
        ('every = "1h"\ninput = { day = "${schedule.planned}" }', "typed"),
        ('every = "1h"\ninput = { anything = 1 }', "of a function, which is not known here"),
    ],
)
def test_a_schedule_that_can_start_its_workflow_is_not_found(
    tmp_path: Path, schedule: str, workflow: str
) -> None:
    assert findings(tmp_path, schedule, workflow=workflow) == []


def test_a_configuration_with_a_wrong_schedule_is_not_called_sound(tmp_path: Path) -> None:
    findings(tmp_path, 'cron = "bogus"')
    settings = load_settings(tmp_path / "config.toml", environ={}, state_dir=tmp_path / "state")

    def said() -> list[bool]:
        found = asyncio.run(diagnose(settings))
        return [each.ok for each in found if each.part == "configuration"]

    assert said() == [False]
    (tmp_path / "config.toml").write_text("")
    settings = load_settings(tmp_path / "config.toml", environ={}, state_dir=tmp_path / "state")
    assert said() == [True]
