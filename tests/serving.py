"""A plugin with workflows to serve, and real processes that serve it, for the tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import httpx2
from tests.forked_commands import Command, forker, run_command

DEADLINE_S = 120.0
Process = Command | subprocess.Popen[str]
PLUGIN = '''
import asyncio
import os
from pathlib import Path

from qtforge_sdk import OperationError, Plugin, hookimpl, operation, workflow

FOLDER = Path(os.environ["STEPS"])
STEPS = """
name = "steps"
kind = "sequential"
version = "1.0.0"
on_cancel = "compensate"

[[stages]]
name = "first"
operation = "steps.note"
message = { text = "first ${input.word}" }
compensation = { operation = "steps.note", message = { text = "undo first" } }

[[stages]]
name = "second"
operation = "steps.wait"
message = { text = "second" }
timeout = "60s"

[[stages]]
name = "third"
operation = "steps.note"
message = { text = "third ${input.word}" }
"""
UNDONE = STEPS.replace('"steps"', '"undone"').replace(
    'compensation = { operation = "steps.note"', 'compensation = { operation = "steps.wait"'
)
QUICK = """
name = "quick"
kind = "sequential"
version = "1.0.0"
result = "${stages.only.data}"

[[stages]]
name = "only"
operation = "steps.note"
message = { text = "quick ${input.word}" }
"""


@workflow("waits")
async def waits(run, given):
    event = await run.wait_event("go", timeout=600)
    return {"came": event}


@workflow("asks")
async def asks(run, given):
    return {"answer": await run.wait_event("user.answer", timeout=600)}


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [STEPS, UNDONE, QUICK, waits, asks]

    async def start(self, context):
        self.bus = context.bus

    @operation("steps.note")
    async def note(self, message: dict) -> str:
        return self._did(message["text"])

    @operation("steps.wait")
    async def wait(self, message: dict) -> str:
        while not (FOLDER / "go").exists():
            await asyncio.sleep(0.02)
        return self._did(message["text"])

    def _did(self, text):
        with open(FOLDER / "done", "a") as file:
            file.write(text + "\\n")
        return text
'''


def said(errors: str) -> list[str]:
    """Return the lines of an error output, but those that say that the machine is busy."""
    return [line for line in errors.splitlines() if "the event loop" not in line]


def until(happened: Callable[[], Any]) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = happened()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def limited(command: list[str], descriptors: int | None) -> list[str]:
    """Return a command that may open so many files; None for as many as this process."""
    if descriptors is None:
        return command
    return ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]


class Server:
    """A process that serves, and a client that knows its token."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.said: list[str] = until(self._said_all)
        self.url = self.said[0].removeprefix("listening on ")
        token = folder / "state" / "serve" / "token"
        self.token = token.read_text().strip() if token.exists() else ""
        self.client = httpx2.Client(base_url=self.url or "http://none", timeout=DEADLINE_S)
        self.client.headers["Authorization"] = f"Bearer {self.token}"

    def _said_all(self) -> list[str] | None:
        said = (self.folder / "stdout").read_text().splitlines()
        assert self.process.poll() is None, self.error
        return said if said and said[-1].startswith("serving") else None

    @property
    def error(self) -> str:
        return (self.folder / "stderr").read_text()

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def post(self, path: str, content: Any = None, **options: Any) -> Any:
        return self.client.post(path, json=content, **options)

    def start(self, workflow: str, *, wait: str = "0s", **given: Any) -> dict[str, Any]:
        done = self.post("/v1/runs", {"workflow": workflow, "input": given}, params={"wait": wait})
        assert done.status_code in (200, 202), done.text
        found: dict[str, Any] = done.json()
        return found

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v1/runs/{run_id}").json()
        return found

    def end(self, how: int = signal.SIGTERM) -> int:
        self.client.close()
        self.process.send_signal(how)
        return self.process.wait(timeout=DEADLINE_S)


class Serving:
    """A state directory, what is configured for it, and what was done."""

    def __init__(self, site: Any, folder: Path, python: str = sys.executable) -> None:
        self.site = site
        self.python = python
        self.folder = folder
        self.config = folder / "config.toml"
        self.config.touch()
        (folder / "home").mkdir()
        self._processes: list[Process] = []
        self._servers: list[Server] = []
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "PYTHONUTF8": "1",
            "STEPS": str(folder),
            "PYTHONPATH": str(site.root),
        }

    @property
    def done(self) -> list[str]:
        file = self.folder / "done"
        return file.read_text().splitlines() if file.exists() else []

    def words(self, *words: str) -> list[str]:
        """Return the arguments of a command."""
        return ["--config", str(self.config), "--state-dir", str(self.folder / "state"), *words]

    def command(self, *words: str) -> list[str]:
        """Return a command for an interpreter of its own."""
        return [self.python, "-m", "qtforge_host.cli.main", *self.words(*words)]

    def _started(
        self, words: list[str], out: IO[str], error: IO[str], descriptors: int | None = None
    ) -> Process:
        process: Process
        if descriptors is None and self.python == sys.executable:
            process = forker().start(
                words, env=self._environment, cwd=self.folder, stdout=out, stderr=error
            )
        else:
            process = subprocess.Popen(
                limited([self.python, "-m", "qtforge_host.cli.main", *words], descriptors),
                stdout=out, stderr=error, text=True, env=self._environment, cwd=self.folder,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def cli(self, *words: str, descriptors: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run another command beside."""
        if descriptors is None and self.python == sys.executable:
            done = run_command(
                self.words(*words), env=self._environment, cwd=self.folder, timeout=120
            )
        else:
            done = subprocess.run(
                limited(self.command(*words), descriptors), capture_output=True, text=True,
                timeout=120, env=self._environment, cwd=self.folder,
            )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.cli(*words).stdout)

    def serve(self, *options: str, descriptors: int | None = None) -> Server:
        """Serve on a free port, and return when it is ready."""
        out, error = self.folder / "stdout", self.folder / "stderr"
        with out.open("w") as said, error.open("w") as logged:
            words = self.words("serve", "--port", "0", *options)
            process = self._started(words, said, logged, descriptors)
        server = Server(process, self.folder)
        self._servers.append(server)
        return server

    def start(self, *words: str) -> Process:
        """Start another command, and do not wait for its end."""
        with open(os.devnull, "w") as nothing:
            return self._started(self.words(*words), nothing, nothing)

    def beside(self, name: str) -> Serving:
        """Return another state directory with the same plugin; nothing is to be closed in it."""
        folder = self.folder / name
        folder.mkdir()
        return Serving(self.site, folder)

    def close(self) -> None:
        for server in self._servers:
            server.client.close()
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(timeout=DEADLINE_S)
