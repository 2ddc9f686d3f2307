"""The command line as a whole, whatever the command."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qtforge_host.cli.main import _only
from qtforge_sdk.errors import StateDirectoryError

# The platform is changed after the interpreter's own modules have looked at it.
ON_WINDOWS = """
import sys
from qtforge_host.cli.main import main
sys.platform = "win32"
main(sys.argv[1:])
"""


@pytest.mark.parametrize("words", [["--help"], ["plugins", "list"], ["serve"], []])
def test_windows_is_refused_with_one_clear_error(
    words: list[str], environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ON_WINDOWS, *words],
        capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stdout == ""
    first, why, fix = done.stderr.splitlines()
    assert first == "error[cli.unsupported_platform]: QtForge Host does not run on Windows"
    assert why.startswith("  why: ")
    assert "WSL 2" in fix


def test_a_state_directory_that_fails_several_tasks_is_one_error() -> None:
    error = StateDirectoryError("/state", "the disk is full", "make room")
    group = ExceptionGroup("tasks", [ValueError("other"), ExceptionGroup("more", [error, error])])
    assert _only(group) is error
    assert _only(ExceptionGroup("one", [error])) is error
    several = ExceptionGroup("two", [ValueError("a"), KeyError("b")])
    assert _only(several) is several
