"""Long output in a terminal is shown in a pager, and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.host.cli.terminals import in_terminal

Terminal = Callable[..., tuple[int, str]]


@pytest.fixture
def pager(tmp_path: Path) -> Path:
    """A pager that says that it was used, and for which LESS was set."""
    file = tmp_path / "a pager"
    file.write_text(
        f"#!{sys.executable}\nimport os, sys\ntext = sys.stdin.read()\n"
        "print('PAGED', os.environ['LESS'], len(sys.argv), text, end='')\n"
    )
    file.chmod(0o755)
    return file


@pytest.fixture
def terminal(environment: dict[str, str]) -> Terminal:
    """Run a command in a terminal of so many lines; return its exit code and what it shows."""

    def run(*words: str, lines: int = 10, **variables: str) -> tuple[int, str]:
        return in_terminal({**environment, **variables}, *words, lines=lines)

    return run


def test_output_that_is_longer_than_the_terminal_goes_through_the_pager(
    terminal: Terminal, pager: Path
) -> None:
    code, shown = terminal("plugins", "list", PAGER=f"'{pager}' word")
    assert code == 0
    assert shown.startswith("PAGED FRX 2 STATE")
    assert "technical-pipeline" in shown


def test_output_that_fits_is_shown_without_it(terminal: Terminal, pager: Path) -> None:
    code, shown = terminal("plugins", "list", lines=200, PAGER=f"'{pager}'")
    assert (code, "PAGED" in shown) == (0, False)
    assert "technical-pipeline" in shown


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["--no-pager"], {}),
        ([], {"PAGER": ""}),
        ([], {"PAGER": "cat"}),
        ([], {"TERM": "dumb"}),
    ],
)
def test_a_user_can_do_without_the_pager(
    terminal: Terminal, pager: Path, words: list[str], variables: dict[str, str]
) -> None:
    given = {"PAGER": f"'{pager}'", **variables}
    code, shown = terminal(*words, "plugins", "list", **given)
    assert (code, "PAGED" in shown) == (0, False)
    assert "technical-pipeline" in shown


def test_a_pager_that_is_not_there_hides_nothing(terminal: Terminal) -> None:
    code, shown = terminal("plugins", "list", PAGER="no-such-pager")
    assert code == 0
    assert "the pager 'no-such-pager' can't be started: No such file or directory" in shown
    assert "technical-pipeline" in shown


def test_a_pager_that_ends_early_ends_the_command_well(terminal: Terminal) -> None:
    code, shown = terminal("bus", "topics", "--json", PAGER="true")
    assert (code, shown) == (0, "")


def test_the_exit_code_is_the_commands(terminal: Terminal, pager: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text('name = "broken"\nkind = "sequential"\nstages = [1, 2, 3, 4, 5, 6, 7, 8]\n')
    code, shown = terminal("workflows", "validate", str(broken), lines=3, PAGER=f"'{pager}'")
    assert code == 1
    assert shown.startswith("PAGED")


def test_nothing_that_is_redirected_is_paged(cli: Any, pager: Path) -> None:
    said = cli("plugins", "list", PAGER=f"'{pager}'", LINES="3")
    assert "PAGED" not in said.out
    assert "technical-pipeline" in said.out


def test_no_pager_waits_for_a_key_where_there_is_no_keyboard(
    environment: dict[str, str], pager: Path
) -> None:
    env = {**environment, "PAGER": f"'{pager}'"}
    shown = in_terminal(env, "plugins", "list", lines=5, keyboard=False)[1]
    assert "PAGED" not in shown
    assert "technical-pipeline" in shown


def test_what_is_harmful_stays_an_escape_in_the_pager(
    terminal: Terminal, pager: Path, tmp_path: Path
) -> None:
    file = tmp_path / "evil.toml"
    file.write_text(
        'name = "x"\nkind = "sequential"\n"\\u001b]0;evil" = 1\n' + "stages = [1, 2, 3]\n"
    )
    code, shown = terminal("workflows", "validate", str(file), lines=3, PAGER=f"'{pager}'")
    assert code == 1
    assert "\\x1b]0;evil" in shown
    assert "\x1b]0;evil" not in shown
