"""The command line as a whole, whatever the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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


EVIL = "a\n\x1b[31mFORGED\r\u2028b"
REFUSED = [
    (EVIL,),
    (f"--{EVIL}", "runs", "list"),
    ("runs", EVIL),
    ("runs", "list", EVIL),
    ("runs", "list", "--status", EVIL),
    ("runs", "list", "--limit", EVIL),
    ("runs", "list", "--since", EVIL),
    ("runs", "show", "last", "--graph", EVIL),
    ("runs", "prune", "--older-than", EVIL),
    ("runs", "cancel", "last", "--wait", EVIL),
    ("runs", "amend", "last", "--set", EVIL),
    ("runs", "amend", "last", "--set", f"{EVIL}=1"),
    ("runs", "amend", "last", "--patch", EVIL),
    ("runs", "amend", "last", "--patch", "{file}"),
    ("runs", "amend", "last", "--replace", "a", "{file}"),
    ("runs", "amend", "last", "--replace", "a", "{no stage}"),
    ("runs", "retry", "last", "--insert-after", "a", "{no stage}"),
    ("run", "quick", "--set", EVIL),
    ("run", "quick", "--set", f"a={EVIL}", "--set", f"a.{EVIL}=1"),
    ("run", "quick", "--input", EVIL),
    ("run", "quick", "--input", "{file}"),
    ("run", "quick", "--input", "{deep}"),
    ("runs", "amend", "last", "--patch", "{deep}"),
    ("run", "quick", "--jobs", EVIL),
    ("send", "last", "go", "--set", EVIL),
    ("bus", "request", "a.b", "--set", EVIL),
    ("workflows", "graph", "quick", "--format", EVIL),
    ("schedules", "test", EVIL),
    ("schedules", "backfill", "nightly", "--from", EVIL, "--to", EVIL),
    ("serve", "--port", EVIL),
    ("serve", "--public-url", EVIL),
    ("serve", "--root-path", EVIL),
    ("serve", "--trusted-proxy", EVIL),
    ("serve", "--grace", EVIL),
    ("nodes", "drain", "here", "--wait", EVIL),
    ("tokens", "create", "--scope", EVIL),
    ("tokens", "create", "--scope", "read", "--expires", EVIL),
    ("completion", EVIL),
]
# All in one process, since each is refused before anything is started.
IN_TURN = """
import json, sys
from qtforge_host.cli.main import _run
for words in json.load(sys.stdin):
    code = _run(words)
    print(code, "END", file=sys.stderr, flush=True)
"""


BYTES = "a\udcffb"
NO_TEXT = [
    ("runs", "list", "--workflow", BYTES),
    ("runs", "show", BYTES),
    ("runs", "resume", BYTES),
    ("runs", "pause", "last", "--reason", BYTES),
    ("runs", "amend", "last", "--set", f"a.b={BYTES}"),
    ("run", "quick", "--set", f"a={BYTES}"),
    ("run", "quick", "--detach", "--pool", BYTES),
    ("send", "last", BYTES),
    ("send", "last", "go", "--event-id", BYTES),
    ("bus", "request", BYTES),
    ("bus", "publish", "a.b", "--set", f"a={BYTES}"),
    ("schedules", "pause", "nightly", "--reason", BYTES),
    ("schedules", "show", BYTES),
    ("tokens", "create", "--scope", "read", "--name", BYTES),
    ("pools", "pause", BYTES),
    ("nodes", "show", BYTES),
    ("plugins", "info", BYTES),
    ("worker", "--node", BYTES),
    ("--journal", BYTES, "runs", "list"),
    ("--journal", f"postgresql://{BYTES}", "runs", "list"),
    ("bus", "topics", "--bus", f"nats://{BYTES}"),
]


def test_an_argument_that_is_no_text_is_refused_before_anything_is_done(
    environment: dict[str, str],
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_TURN],
        input=json.dumps(NO_TEXT), capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip
    shown = done.stderr.split("2 END\n")
    assert shown.pop() == ""
    for words, text in zip(NO_TEXT, shown, strict=True):
        *_, error = text.removesuffix("\n").split("\n")
        what = text if "--journal" in words or "--bus" in words else error
        assert "not UTF-8" in what or "address of" in what, (words, text)
        assert "host itself" not in text, words


def test_an_argument_that_is_refused_is_repeated_on_one_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    files = {
        "{file}": tmp_path / EVIL,
        "{no stage}": tmp_path / f"{EVIL}.toml",
        "{deep}": tmp_path / f"{EVIL}.json",
    }
    files["{deep}"].write_text('{"a":' * 20_000)
    files["{file}"].write_text("not = [ a table")
    files["{no stage}"].write_text("stages = [1]")
    given = [[str(files.get(word, word)) for word in words] for words in REFUSED]

    done = subprocess.run(
        [sys.executable, "-c", IN_TURN],
        input=json.dumps(given), capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip

    shown = done.stderr.split("2 END\n")
    assert shown.pop() == ""
    for words, text in zip(REFUSED, shown, strict=True):
        *usage, error = text.removesuffix("\n").split("\n")
        assert (error.startswith("Error: "), "FORGED" in error) == (True, True), (words, text)
        assert [line for line in (*usage, error) if line and not line.isprintable()] == [], words
        assert "FORGED" not in "".join(usage), words
