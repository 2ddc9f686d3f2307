"""What is there, on one screen; what to do next; and what is said to a misspelt command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.host.cli.terminals import in_terminal

DOCUMENT = Path(__file__).parents[3] / "examples" / "documents" / "contract.md"
APPROVAL = ["run", "document-approval", str(DOCUMENT)]
SCHEDULES = """
[schedules.nightly]
workflow = "document-processing"
cron = "0 3 * * *"
[schedules.hourly]
workflow = "document-processing"
every = "1h"
"""


@pytest.fixture
def folder(home: Path) -> Path:
    """The folder of the configuration."""
    found = home / ".config" / "qtforge"
    found.mkdir(parents=True)
    return found


def test_an_empty_host_says_what_to_do_first(cli: Any) -> None:
    said = cli()
    assert said.code == 0, said.err
    assert "plugins are ready; 0 runs" in said.out
    for command in ("workflows list", "run WORKFLOW", "status", "help [COMMAND]"):
        assert f"  qtforge-host {command}" in said.out
    assert "inbox" not in said.out
    assert len(said.out.splitlines()) < 12


def test_a_run_that_waits_for_a_person_is_named_first(cli: Any, folder: Path) -> None:
    pytest.importorskip("cronsim", reason="the extra 'serve' is not installed")
    (folder / "config.toml").write_text(SCHEDULES)
    assert cli(*APPROVAL).code == 0
    said = cli()
    assert "1 run waits for a person" in said.out
    assert said.out.splitlines()[2].split()[:2] == ["qtforge-host", "inbox"]

    lines = cli("status").out.splitlines()
    assert lines[0] == "runs       1 waiting"
    assert "people     1 run waits for a person" in lines
    assert any("contract.md  document-approval  under_review, since " in line for line in lines)
    assert "schedules  hourly at " in "\n".join(lines)

    found = cli("status", "--json").json
    assert (found["runs"], found["waiting"]) == ({"waiting": 1}, 1)
    assert [each["name"] for each in found["schedules"]] == ["hourly", "nightly"]
    assert cli("schedules", "pause", "hourly").code == 0
    found = cli("status", "--json").json
    assert ([each["name"] for each in found["schedules"]], found["paused"]) == (
        ["nightly"],
        ["hourly"],
    )


def test_a_plugin_with_a_problem_is_shown_with_its_fix(cli: Any, tmp_path: Path) -> None:
    metadata = tmp_path / "site" / "wrong-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: wrong\nVersion: 1.0\nRequires-Dist: qtforge-sdk>=99\n"
    )
    (metadata / "entry_points.txt").write_text("[qtforge.plugins]\nwrong = wrong_module:P\n")
    said = cli("status", PYTHONPATH=str(tmp_path / "site"))
    assert "≠ incompatible  wrong: " in said.out
    assert "fix: " in said.out
    said = cli(PYTHONPATH=str(tmp_path / "site"))
    assert "1 plugin has a problem" in said.out
    assert "qtforge-host plugins list" in said.out


def test_a_broken_configuration_does_not_hide_what_to_do(cli: Any, folder: Path) -> None:
    (folder / "config.toml").write_text("[host\n")
    said = cli()
    assert said.code == 0
    assert said.err.startswith("error[config.")
    assert "qtforge-host doctor" in said.out
    assert cli("status").code == 2


def test_the_screen_fits_a_terminal(environment: dict[str, str]) -> None:
    code, shown = in_terminal(environment, "status")
    assert code == 0
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["rnus", "list"], "runs"),
        (["runs", "lsit"], "list"),
        (["plugins", "lst"], "list"),
        (["help", "runs", "shwo"], "show"),
        (["help", "shedules"], "schedules"),
        (["runs", "list", "--stauts", "failed"], "--status"),
    ],
)
def test_a_misspelt_command_is_answered_with_the_nearest_one(
    cli: Any, words: list[str], near: str
) -> None:
    said = cli(*words)
    assert said.code == 2
    assert "Did you mean" in said.err
    assert f"'{near}'" in said.err


@pytest.mark.parametrize("words", [[], ["runs"], ["runs", "list"], ["bus", "publish"]])
def test_help_is_the_same_before_and_after_a_command(cli: Any, words: list[str]) -> None:
    assert cli("help", *words).out == cli(*words, "--help").out


def test_the_version_has_a_short_option(cli: Any) -> None:
    assert cli("-V").out == cli("--version").out


def test_a_message_is_given_as_json_after_its_topic(cli: Any) -> None:
    said = cli("bus", "publish", "news.local", '{"a": 1}', "--json")
    assert (said.code, said.json["topic"]) == (0, "news.local")
    text = '{"query": "x", "limit": 3}'
    assert cli("bus", "request", "document.find", text).code == 0
    assert cli("bus", "request", "document.find", text, "--set", "limit=-1").code != 0


@pytest.mark.parametrize("text", ["{", "[1]", '"a"', "{a: 1}"])
def test_a_message_that_is_no_object_is_refused(cli: Any, text: str) -> None:
    said = cli("bus", "publish", "news.local", text)
    assert said.code == 2
    assert "MESSAGE" in said.err
    assert '{"key": 1}' in said.err


def test_an_error_has_no_colour_where_the_user_wants_none(environment: dict[str, str]) -> None:
    code, shown = in_terminal(environment, "plugins", "info", "nothing")
    assert code == 3
    assert "\x1b" not in shown
