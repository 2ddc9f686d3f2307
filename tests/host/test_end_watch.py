"""Plugins that keep a process from ending, in real processes."""

from __future__ import annotations

import asyncio
import faulthandler
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.forked_commands import run_command

from qtforge_host import event_loop
from qtforge_host.end_watch import installed_author
from qtforge_host.plugin_code import Author

SOURCE = '''
import asyncio
import atexit
import ctypes
import os
import signal
import threading
import time

from qtforge_sdk import Plugin, hookimpl, operation

PLACE, HOW = os.environ["PLACE"].split("-")
WORKFLOW = """
name = "quick"
kind = "sequential"
version = "1.0.0"

[[stages]]
name = "only"
operation = "stays.answer"
"""


def stay():  # HERE
    while HOW == "turns":
        pass
    while HOW == "waits_in_c":
        ctypes.CDLL(None).sleep(600)
    if HOW == "holds_the_lock":
        ctypes.PyDLL(None).sleep(600)
    time.sleep(600)


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [WORKFLOW]

    async def start(self, context):
        if PLACE == "thread":
            threading.Thread(target=stay).start()
        if PLACE == "executor":
            asyncio.get_running_loop().run_in_executor(None, stay)
        if PLACE == "atexit":
            atexit.register(stay)
        if PLACE == "generator":
            self.generator = self.generate()
            await anext(self.generator)
        if PLACE == "start":
            self.interrupt()
            stay()

    async def generate(self):
        try:
            yield 1
        finally:
            while True:
                await asyncio.sleep(600)

    def interrupt(self):
        number = signal.SIGTERM if HOW == "terminated" else signal.SIGINT
        threading.Timer(0.5, os.kill, (os.getpid(), number)).start()

    async def stop(self):
        if PLACE == "stop":
            stay()

    @operation("stays.answer")
    async def answer(self, message: object) -> str:
        if PLACE == "operation":
            self.interrupt()
            stay()
        return "answered"
'''
SECONDS = 120.0


def command(
    site: Any, folder: Path, place: str, *words: str, stop_timeout: str = "200ms"
) -> subprocess.CompletedProcess[str]:
    site.plugin("stays", source=SOURCE)
    config = folder / "config.toml"
    config.write_text(f'[host]\nstop_timeout = "{stop_timeout}"\n')
    env = {"PYTHONPATH": str(site.root), "PYTHONUTF8": "1", "HOME": str(folder), "PLACE": place}
    options = ["--config", str(config), "--state-dir", str(folder / "state")]
    return run_command([*options, *words], env=env, cwd=folder, timeout=SECONDS)


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("stop-sleeps", 1),
        ("stop-turns", 1),
        ("stop-waits_in_c", 1),
        ("operation-sleeps", 130),
        ("operation-waits_in_c", 130),
        ("start-sleeps", 130),
    ],
)
def test_a_blocked_loop_does_not_keep_a_command_from_ending(
    site: Any, tmp_path: Path, place: str, code: int
) -> None:
    done = command(site, tmp_path, place, "run", "quick")

    assert done.returncode == code, done.stderr
    assert "the process has been kept from ending" in done.stderr
    assert "by stays 1.0.0" in done.stderr
    assert "stays_module.py:" in done.stderr
    if place.startswith("stop"):
        assert "succeeded" in done.stdout


def test_code_that_holds_the_lock_of_the_interpreter_does_not_keep_a_command_from_ending(
    site: Any, tmp_path: Path
) -> None:
    done = command(site, tmp_path, "stop-holds_the_lock", "run", "quick")

    assert done.returncode == 1
    assert "stays_module.py" in done.stderr
    assert "in stop" in done.stderr


@pytest.mark.parametrize(
    "place",
    [
        "atexit-sleeps",
        *(
            pytest.param(place, marks=pytest.mark.soak)
            for place in ("thread-sleeps", "executor-sleeps")
        ),
    ],
)
def test_what_outlives_the_loop_does_not_keep_a_command_from_ending(
    site: Any, tmp_path: Path, place: str
) -> None:
    done = command(site, tmp_path, place, "run", "quick")

    assert done.returncode == 0, done.stderr  # the run had ended, and well
    assert "the process has been kept from ending for 10 s by stays 1.0.0 at" in done.stderr


def test_an_asynchronous_generator_does_not_keep_a_command_from_ending(
    site: Any, tmp_path: Path
) -> None:
    done = command(site, tmp_path, "generator-waits", "run", "quick")

    assert done.returncode == 1
    assert "the process has been kept from ending" in done.stderr


@pytest.mark.parametrize("words", [("health",), ("bus", "request", "stays.answer")])
def test_every_command_ends_although_a_stop_blocks(
    site: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = command(site, tmp_path, "stop-sleeps", *words)

    assert done.returncode == 1
    assert "by stays 1.0.0" in done.stderr


def test_serve_ends_after_its_grace_although_its_loop_is_blocked(site: Any, tmp_path: Path) -> None:
    words = ("serve", "--no-http", "--grace", "100ms")
    done = command(site, tmp_path, "start-terminated", *words, stop_timeout="1h")

    assert done.returncode == 1, done.stderr
    assert "by stays 1.0.0" in done.stderr


def test_what_ends_in_time_is_left_alone(site: Any, tmp_path: Path) -> None:
    done = command(site, tmp_path, "nowhere-never", "run", "quick")

    assert (done.returncode, done.stderr) == (0, "")


def test_the_author_of_a_module_is_found_among_what_is_installed() -> None:
    assert installed_author("qtforge_builtin_plugins") != Author()
    assert installed_author("msgspec") is None


def test_a_host_that_ends_within_a_process_leaves_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    armed: list[bool] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: armed.append(True))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: armed.append(False))

    async def main() -> None:
        watch = event_loop.end_watch()
        assert watch is not None
        for _ in range(200):
            with watch.ending():
                await asyncio.sleep(0.001)
            assert armed[-1] is False
            await asyncio.sleep(0.001)
            assert armed[-1] is False

    event_loop.run(main())
