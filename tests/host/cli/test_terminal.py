"""No text of a plugin or a document controls the terminal, in any command."""

from __future__ import annotations

import ast
import json
import os
import pty
import re
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.forked_commands import forker, run_command

from qtforge_host.cli import main, terminal
from qtforge_host.cli.terminal import (
    CleanStream,
    clean_line,
    clean_lines,
    plain,
    rendered,
    style,
    terminal_size,
)

LIMIT_S = 120
HARM = "\x1b[38;5;213m\x1b]52;c;aGk=\x07\x9b2J\u202e\u2066\r"
EVIL = f"evil{HARM}\nFORGED"
HARMFUL = ("\x1b[38;5;213m", "\x1b]52", "\x07", "\x9b", "\u202e", "\u2066", "213m\x1b")
PLUGIN = f'''
import logging
import sys
import warnings

import click
from qtforge_sdk import Health, OperationError, Plugin, hookimpl, operation

EVIL = {EVIL!r}
LINE = {EVIL.replace(chr(10), " ")!r}
STAGES = """
name = "{{name}}"
kind = "sequential"
version = "1.0.0"
description = "a \\\\u001b[38;5;213m\\\\u202e\\\\nFORGED"

[[stages]]
name = "fails"
operation = "evil.fails"
"""


@click.command(help=EVIL)
@click.argument("what", default="prints")
def shout(what):
    click.echo(LINE)
    if what == "fails":
        raise click.ClickException(LINE)
    if what == "raises":
        raise RuntimeError(EVIL)


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [STAGES.format(name="evil-fails"), "name = " + repr(EVIL)]

    @hookimpl
    def qtforge_commands(self):
        return [shout]

    def health(self):
        return Health("unhealthy", EVIL)

    @operation("evil.fails")
    async def fails(self, message: dict, ctx) -> str:
        print(LINE)
        print(LINE, file=sys.stderr)
        logging.getLogger("evil").warning("%s", EVIL)
        warnings.warn(LINE)
        ctx.progress(1, 2, EVIL)
        error = OperationError(EVIL, EVIL, EVIL)
        error.code = "evil." + EVIL
        raise error

    @operation("evil.answers")
    async def answers(self, message: dict) -> str:
        return EVIL
'''
BROKEN = f"raise RuntimeError({EVIL!r})\n"
CONFIG = '[plugins.strange.config]\n"a\\u001b[38;5;213m" = "\\u202e"\n'

COMMANDS = {
    "run": ("run", "evil-fails"),
    "run --debug": ("--debug", "run", "evil-fails"),
    "run, a file": ("run", "evil-fails", "{file}"),
    "run, logs in JSON": ("--log-format", "json", "run", "evil-fails"),
    "run --json": ("run", "evil-fails", "--json"),
    "run of two": ("run", "evil-fails", "{file}", "{file}", "--jobs", "2"),
    "run of none": ("run", EVIL),
    "route": ("route", "{file}"),
    "runs list": ("runs", "list"),
    "runs show": ("runs", "show", "last"),
    "runs show --json": ("runs", "show", "last", "--json"),
    "runs show --records": ("runs", "show", "last", "--records"),
    "runs show --graph": ("runs", "show", "last", "--graph", "mermaid"),
    "runs show, of none": ("runs", "show", EVIL),
    "runs watch": ("runs", "watch", "last", "--timeout", "1s"),
    "runs retry": ("runs", "retry", "last", "--reason", EVIL),
    "runs fork": ("runs", "fork", "last"),
    "runs resume --all": ("runs", "resume", "--all"),
    "inbox": ("inbox",),
    "send": ("send", "{waiting}", EVIL),
    "plugins list": ("plugins", "list"),
    "plugins list --json": ("plugins", "list", "--json"),
    "plugins info": ("plugins", "info", "evil"),
    "plugins info, of none": ("plugins", "info", EVIL),
    "plugins check": ("plugins", "check"),
    "plugins commands": ("plugins", "commands"),
    "workflows list": ("workflows", "list"),
    "workflows show": ("workflows", "show", "evil-fails"),
    "workflows validate": ("workflows", "validate", "{invalid}"),
    "workflows graph": ("workflows", "graph", "evil-fails"),
    "workflows patches": ("workflows", "patches", EVIL),
    "workflows replay": ("workflows", "replay", "--last", "3"),
    "bus topics": ("bus", "topics"),
    "bus request": ("bus", "request", "evil.answers"),
    "bus request, fails": ("bus", "request", "evil.fails"),
    "bus publish": ("bus", "publish", "evil.topic"),
    "health": ("health",),
    "schedules list": ("schedules", "list"),
    "schedules show, of none": ("schedules", "show", EVIL),
    "schedules test": ("schedules", "test", EVIL),
    "schedules backfill": ("schedules", "backfill", EVIL, "--from", EVIL, "--to", EVIL),
    "doctor": ("doctor",),
    "config show": ("config", "show"),
    "a plugin's command": ("shout",),
    "a plugin's command, fails": ("shout", "fails"),
    "a plugin's command, raises": ("shout", "raises"),
    "a plugin's command, its help": ("shout", "--help"),
    "runs cancel": ("runs", "cancel", "{waiting}", "--reason", EVIL),
}


class Terminal:
    """Commands over a hostile plugin, as a terminal receives what they print."""

    def __init__(self, site: Any, folder: Path) -> None:
        self._folder = folder
        site.plugin("evil", source=PLUGIN)
        site.plugin("broken", source=BROKEN)
        site.plugin("strange")
        config = folder / "config.toml"
        config.write_text(CONFIG)
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TERM": "xterm-256color",
            "PYTHONUTF8": "1",
            "PYTHONPATH": str(site.root),
            "QTFORGE_CONFIG": str(config),
            "QTFORGE_STATE_DIR": str(folder / "state"),
        }
        file = folder / f"{HARM} a\nFORGED.txt"
        file.write_text(f"Invoice {EVIL}")
        invalid = folder / "invalid.toml"
        invalid.write_text('name = "a\\u001b[38;5;213m\\nFORGED"\n"b\\u202e\\nFORGED" = 1\n')
        waits = folder / f"{HARM} b\nFORGED.md"
        waits.write_text("# A contract\n\nBetween two parties.")
        self.printed("run", "document-approval", str(waits))
        listed = run_command(
            ("runs", "list", "--json"), env=self._environment, cwd=folder, timeout=LIMIT_S
        )
        self.places = {
            "file": str(file),
            "invalid": str(invalid),
            "waiting": json.loads(listed.stdout)["runs"][0]["run_id"],
        }
        self.printed("run", "evil-fails")

    def printed(self, *words: str) -> str:
        """Return everything that a command writes to its terminal."""
        outer, inner = pty.openpty()
        with os.fdopen(inner, "wb", buffering=0) as terminal:
            process = forker().start(
                words, env=self._environment, cwd=self._folder, stdout=terminal, stderr=terminal
            )
        killer = threading.Timer(LIMIT_S, os.kill, (process.pid, signal.SIGKILL))
        killer.start()
        parts = []
        try:
            while part := os.read(outer, 1 << 16):
                parts.append(part)
        except OSError:
            pass  # it has closed the terminal
        finally:
            process.wait(LIMIT_S)
            killer.cancel()
            os.close(outer)
        return b"".join(parts).decode(errors="replace")


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    from tests.host.conftest import Site

    folder = tmp_path_factory.mktemp("terminal")
    (folder / "site").mkdir()
    (folder / "home").mkdir()
    return Terminal(Site(folder / "site"), folder / "home")


@pytest.mark.parametrize("name", COMMANDS)
def test_no_text_of_others_controls_the_terminal(console: Terminal, name: str) -> None:
    words = [each if each == EVIL else each.format(**console.places) for each in COMMANDS[name]]
    printed = console.printed(*words)
    assert printed
    # The colours that a plugin's command prints are its own.
    harmful = HARMFUL[1:] if words[0] == "shout" else HARMFUL
    assert [each for each in harmful if each in printed] == [], printed
    forged = re.compile(r"[\r\n](\x1b\[[0-9;]*[A-Za-z])*FORGED")
    assert not forged.search(printed), printed


def test_what_is_harmful_in_json_says_the_same(console: Terminal) -> None:
    printed = console.printed("bus", "request", "evil.answers", "--json")
    assert json.loads(printed[printed.index("{") :])["response"] == EVIL


def test_the_terminal_has_the_colours_of_the_host(console: Terminal) -> None:
    assert "\x1b[31m✗ failed\x1b[0m" in console.printed("runs", "list")


_PRINTING = {("click", "echo"), ("click", "secho"), ("click", "style"), ("click", "unstyle")}


def _prints(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in _PRINTING
    )


def test_every_command_prints_through_the_one_place() -> None:
    """All but what the start prints: its texts are the host's own."""
    folder = Path(main.__file__).parent
    own = {Path(main.__file__), Path(terminal.__file__)}
    found = [
        f"{file.relative_to(folder)}:{getattr(node, 'lineno', 0)}"
        for file in sorted(folder.rglob("*.py"))
        if file not in own
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if _prints(node)
    ]
    assert found == []


@given(st.text())
def test_a_line_is_one_line_that_controls_nothing(text: str) -> None:
    shown = clean_line(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", shown)
    assert len(shown.splitlines()) <= 1
    assert rendered(text) == shown == plain(text)
    shown.encode()


@given(st.text())
def test_lines_stay_lines_and_control_nothing_else(text: str) -> None:
    shown = clean_lines(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\u2066-\u2069]", shown)


@given(st.text())
def test_a_colour_of_the_host_stays_whatever_it_colours(text: str) -> None:
    shown = rendered(f"a {style(text, fg='red')} b")
    assert shown == f"a \x1b[31m{clean_line(text)}\x1b[0m b"
    assert plain(style(text, bold=True)) == clean_line(text)


def test_letters_of_all_scripts_and_emoji_are_shown_as_they_are() -> None:
    text = "1 234,50 € Привет 漢字 שלום مرحبا 👩‍👩‍👧 ﬁ"
    assert clean_line(text) == clean_lines(text) == text


def test_a_stream_with_colours_keeps_those_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print("\x1b[31mred\x1b[0m \x1b[2J\u202e", file=CleanStream(sys.stdout, colors=True))
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m \\x1b[2J\\u202e\n"


@pytest.mark.parametrize(
    "given",
    [{}, {"COLUMNS": "60"}, {"COLUMNS": "60", "LINES": "9"}, {"COLUMNS": "wide", "LINES": "0"}],
    ids=str,
)
def test_the_size_of_the_terminal_is_what_shutil_finds(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert terminal_size() == shutil.get_terminal_size()
