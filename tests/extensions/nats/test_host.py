"""The host's commands over NATS: several machines as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.forked_commands import run_command
from tests.servers.nats import Nats
from tests.serving import until

from qtforge_host.app import Host
from qtforge_host.config.settings import load_settings


class Machine:
    """A machine with a state directory of its own."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, url: str, more: str = "") -> None:
        self._folder = folder
        self._stack = stack
        self._url = url
        self.config = folder / "config.toml"
        folder.mkdir()
        (folder / "home").mkdir()
        self.config.write_text(more)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder / "home"), "PYTHONUTF8": "1",
        }  # fmt: skip
        self._place = ["--config", str(self.config), "--state-dir", str(folder / "state")]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, "QTFORGE_BUS": self._url}
        done = run_command([*self._place, *words], env=environment, cwd=self._folder, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def worker(self, *words: str) -> subprocess.Popen[str]:
        """Start a process that only answers other machines, and wait until it does."""
        return self._start("answering", "--operations-only", *words)

    def worker_of_runs(self, *words: str) -> subprocess.Popen[str]:
        """Start a process that takes runs and answers other machines; wait until it does."""
        return self._start("taking runs", *words)

    def _start(self, said: str, *words: str) -> subprocess.Popen[str]:
        program = Path(sys.executable).parent / "qtforge-host"
        process = subprocess.Popen(
            [str(program), *self._place, "worker", "--bus", self._url, *words],
            stdout=subprocess.PIPE, text=True, env=self.environment, cwd=self._folder,
        )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        self._stack.callback(process.stdout.close)
        assert said in process.stdout.readline()
        return process


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def url(nats_server: Nats) -> str:
    return f"{nats_server.url}?prefix=t{uuid.uuid4().hex}"


_WITHOUT = "[plugins.document-archive]\nenabled = false\n"


def test_a_plugin_that_only_another_machine_has_is_asked_there(
    url: str, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    far = Machine(tmp_path / "far", stack, url)
    here = Machine(tmp_path / "here", stack, url, _WITHOUT)
    missing = here.command("bus", "request", "document.archive", "--set", "nothing=1")
    assert (missing.returncode, "bus.no_handler" in missing.stderr) == (1, True)
    worker = far.worker("--plugins", "document-archive", "--node", "far.1", "--concurrency", "2")
    listed = json.loads(here.command("bus", "topics", "--json").stdout)["handlers"]
    remote = [each for each in listed if each["node"]]
    assert {each["plugin"] for each in remote} == {"document-archive"}
    assert remote[0]["node"].startswith("far-1.")
    asked = here.command("bus", "request", "document.archive", "--set", "nothing=1")
    assert "document-archive 1.0.0" in asked.stderr  # which refuses the message, over there
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    gone = here.command("bus", "request", "document.archive", "--set", "nothing=1")
    assert "bus.no_handler" in gone.stderr


def install_echo(folder: Path, version: str) -> None:
    """Install a plugin that answers with its version, as ``pip install --target`` does."""
    for old in folder.glob("acme_echo*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    (folder / "acme_echo.py").write_text(
        "from qtforge_sdk import Plugin, operation\n\n\n"
        "class Echo(Plugin):\n"
        '    @operation("acme.echo")\n'
        "    async def echo(self, message: object) -> str:\n"
        f'        return "{version}"\n'
    )
    info = folder / f"acme_echo-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-echo\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[qtforge.plugins]\nacme-echo = acme_echo:Echo\n")
    (info / "RECORD").write_text("acme_echo.py,,\n")


def test_a_process_that_only_answers_restarts_when_its_configuration_or_a_plugin_changes(
    url: str, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    install_echo(packages, "1.0")
    far = Machine(tmp_path / "far", stack, url)
    far.environment["PYTHONPATH"] = str(packages)
    here = Machine(tmp_path / "here", stack, url, _WITHOUT)
    worker = far.worker("--node", "far")

    def topics() -> set[str]:
        listed = json.loads(here.command("bus", "topics", "--json").stdout)["handlers"]
        return {each["topic"] for each in listed if each["node"]}

    def answer() -> str:
        return here.command("bus", "request", "acme.echo", "--set", "a=1").stdout.strip()

    assert topics() >= {"document.archive", "acme.echo"}
    far.config.write_text(_WITHOUT)
    until(lambda: "acme.echo" in topics() and "document.archive" not in topics())
    assert answer() == '"1.0"'
    install_echo(packages, "2.0")
    until(lambda: answer() == '"2.0"')
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert worker.stdout is not None
    said = worker.stdout.read()
    assert "executing itself again" in said
    assert said.endswith("ended\n")


def test_what_a_worker_needs_is_said(url: str, tmp_path: Path, stack: contextlib.ExitStack) -> None:
    machine = Machine(tmp_path / "one", stack, url)
    for words, code, said in (
        (("--operations-only", "--bus", ""), 2, "--bus nats://HOST:4222"),
        (("--operations-only", "--bus", "nowhere"), 2, "not the address of a bus"),
        (("--operations-only", "--bus", "carrier-pigeon://x"), 2, "no transport"),
        (("--operations-only", "--plugins", "document-parsr"), 1, "did you mean"),
        (("--operations-only", "--pool", "x"), 2, "--pool can't be used with --operations-only"),
        (("--concurrency", "2"), 2, "--concurrency needs --operations-only"),
    ):
        done = machine.command("worker", *words)
        assert (done.returncode, said in done.stderr) == (code, True), (words, done.stderr)


def test_a_bus_that_is_away_is_said_without_its_secrets(
    tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    machine = Machine(tmp_path / "one", stack, "nats://me:s3cr3t@127.0.0.1:1?token=")
    wrong = machine.command("bus", "topics")
    assert wrong.returncode == 2
    assert "s3cr3t" not in wrong.stderr
    machine = Machine(tmp_path / "two", stack, "nats://me:s3cr3t@127.0.0.1:1")
    began_s = time.monotonic()
    away = machine.command("bus", "request", "nobody.answers", "--set", "a=1")
    assert time.monotonic() - began_s < 60
    assert (away.returncode, "bus.unavailable" in away.stderr) == (1, True)
    assert "127.0.0.1:1" in away.stderr
    assert "s3cr3t" not in away.stderr


def test_a_drained_node_leaves_requests_to_others_until_it_is_resumed(
    url: str, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    machine = Machine(tmp_path / "far", stack, url)
    folder = tmp_path / "here"
    folder.mkdir()
    config = folder / "config.toml"
    config.write_text(f'[host]\nbus = "{url}"\n[plugins.document-storage]\nenabled = false\n')
    here = load_settings(config, environ={}, state_dir=folder / "state")
    for name in ("one", "two"):
        machine.worker_of_runs("--node", name)

    async def command(*words: str) -> None:
        done = await asyncio.to_thread(machine.command, "nodes", *words)
        assert done.returncode == 0, done.stderr

    async def main() -> None:
        async with Host(here) as host:
            assert host.nodes is not None
            directory = host.nodes.transport.directory

            async def until_drained(*names: str) -> None:
                def drained() -> set[str]:
                    return {
                        node.partition(".")[0]
                        for node, entry in directory().items()
                        if entry.handlers and all(each.draining for each in entry.handlers)
                    }

                while len(directory()) < 2 or drained() != set(names):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

            async def asked() -> set[str]:
                """Return the nodes that answer a few requests."""

                def counts() -> dict[str, int]:
                    every = host.bus.statistics()
                    return {one.node: one.requests for one in every if one.topic == "document.find"}

                before = counts()
                requests = [host.bus.request("document.find", {"query": "x"}) for _ in range(6)]
                await asyncio.gather(*requests)
                after = counts()
                return {
                    node.partition(".")[0] for node in after if after[node] > before.get(node, 0)
                }

            await until_drained()
            assert await asked() == {"one", "two"}
            await command("drain", "one", "--wait", "60s")
            await until_drained("one")
            assert await asked() == {"two"}
            await command("drain", "two", "--wait", "60s")
            await until_drained("one", "two")
            assert len(await asked()) == 1  # there is no other
            await command("resume", "one")
            await until_drained("two")
            assert await asked() == {"one"}

    asyncio.run(asyncio.wait_for(main(), 240))


def test_two_machines_keep_the_documents_of_both_on_the_first_one(
    url: str, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    first, second = (
        Machine(tmp_path / "first", stack, url),
        Machine(tmp_path / "second", stack, url),
    )
    holder = first.worker_of_runs("--node", "first")
    second.worker_of_runs("--node", "second")
    for number, machine in enumerate((first, second)):
        document = tmp_path / f"letter-{number}.md"
        document.write_text(f"# Letter {number}\n\nDear reader, this is letter {number}.\n")
        done = machine.command("run", "document-processing", str(document))
        assert done.returncode == 0, done.stderr
    found = second.command("bus", "request", "document.find", "--set", "query=letter", "--json")
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("letter-0.md") == found.stdout.count("letter-1.md") == 1
    kept = [path.parts[-5] for path in tmp_path.rglob("documents.sqlite")]
    assert kept == ["first"]
    find = ("bus", "request", "document.find", "--set", "query=letter", "--json")
    holder.send_signal(signal.SIGTERM)
    assert holder.wait(60) == 0
    away = second.command(*find)
    assert (away.returncode, "bus.no_handler" in away.stderr) == (1, True)
    assert "the data of 'document-storage' are on another node" in away.stderr
    first.worker_of_runs("--node", "first")
    assert second.command(*find).stdout.count("letter-1.md") == 1
    assert "two truths" not in second.command("doctor").stdout
    own = tmp_path / "second" / "state" / "plugins" / "document-storage"
    own.mkdir(parents=True, exist_ok=True)
    (own / "documents.sqlite").touch()
    assert "two truths" in second.command("doctor").stdout
