"""A plugin with workflows to serve, and real processes that serve it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

httpx2 = pytest.importorskip("httpx2", reason="the extra 'http' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

DEADLINE_S = 30.0
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


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [STEPS, QUICK, waits]

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


class Server:
    """A process that serves, and a client that knows its token."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.said: list[str] = []
        self.url = ""
        while not self.said or not self.said[-1].startswith("serving"):
            self.said.append(self._line())
            if self.said[-1].startswith("listening on "):
                self.url = self.said[-1].removeprefix("listening on ")
        self.token = (folder / "state" / "serve" / "token").read_text().strip()
        self.client = httpx2.Client(base_url=self.url, timeout=DEADLINE_S)
        self.client.headers["Authorization"] = f"Bearer {self.token}"

    def _line(self) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE_S)
        line = self.process.stdout.readline() if ready else ""
        assert line, self.error
        return line.strip()

    @property
    def error(self) -> str:
        return (self.folder / "stderr").read_text()

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def post(self, path: str, content: Any = None, **options: Any) -> Any:
        return self.client.post(path, json=content, **options)

    def start(self, workflow: str, *, wait: str = "0s", **given: Any) -> dict[str, Any]:
        done = self.post(
            "/v1/runs", {"workflow": workflow, "input": given}, params={"wait": wait}
        )
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

    def __init__(self, site: Any, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.config = folder / "config.toml"
        self.config.touch()
        (folder / "home").mkdir()
        self._processes: list[subprocess.Popen[str]] = []
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

    def command(self, *words: str) -> list[str]:
        places = ["--config", str(self.config), "--state-dir", str(self.folder / "state")]
        return [sys.executable, "-m", "qtforge_host.cli.main", *places, *words]

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command beside."""
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=60,
            env=self._environment, cwd=self.folder,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.cli(*words).stdout)

    def serve(self, *options: str) -> Server:
        """Serve on a free port, and return when it is ready."""
        with (self.folder / "stderr").open("w") as error:
            process = subprocess.Popen(
                self.command("serve", "--port", "0", *options),
                stdout=subprocess.PIPE, stderr=error, text=True,
                env=self._environment, cwd=self.folder,
            )  # fmt: skip
        self._processes.append(process)
        return Server(process, self.folder)

    def close(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(timeout=DEADLINE_S)
            if process.stdout is not None:
                process.stdout.close()


def until(happened: Callable[[], Any]) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = happened()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def serving(site: Any, tmp_path: Path) -> Iterator[Serving]:
    """The plugin, not served yet."""
    site.plugin("steps", source=PLUGIN)
    folder = tmp_path / "serving"
    folder.mkdir()
    made = Serving(site, folder)
    yield made
    made.close()


@pytest.fixture
def server(serving: Serving) -> Server:
    """It is served, with a grace period of a moment."""
    return serving.serve("--grace", "1s")
