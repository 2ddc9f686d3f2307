"""`examples/cluster` works as docs/scale.md says, command by command, on real servers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.servers.nats import NatsUnavailable, nats_program
from tests.servers.postgresql import PostgreSQLUnavailable, postgresql_programs

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "cluster"
PAGE = ROOT / "docs" / "scale.md"
WAIT_S = 120  # against hanging alone
PORTS = ("15432", "14222")


def blocks() -> list[str]:
    """Return what the reader types, in order."""
    return re.findall(r"^```shell\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)


def free_ports() -> list[str]:
    taken = [socket.socket() for _ in PORTS]
    for each in taken:
        each.bind(("127.0.0.1", 0))
    ports = [str(each.getsockname()[1]) for each in taken]
    for each in taken:
        each.close()
    return ports


class Shell:
    """A terminal: what one block exports, and its folder, hold in the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "PYTHONUTF8": "1",
            "COLUMNS": "80",
            # The plugins are installed without a network.
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        self.place = str(folder)
        (folder / "home").mkdir()

    def type(self, block: str) -> str:
        """Execute a block; return what it prints."""
        after = self.folder / "variables"
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", f'{block}\nenv -0 > "$0"', str(after)],
            capture_output=True, text=True, timeout=2 * WAIT_S + 300, cwd=self.place,
            env=self.variables,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        self.variables = dict(each.split("=", 1) for each in after.read_text().split("\0") if each)
        self.place = self.variables["PWD"]
        return done.stdout

    def document(self, command: str) -> Any:
        """Return what a command prints as JSON."""
        return json.loads(self.type(f"qtforge-host {command} --json"))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A terminal in a checkout with other ports; nothing of it runs afterwards."""
    pytest.importorskip("qtforge_postgresql", reason="qtforge-postgresql is not installed")
    pytest.importorskip("qtforge_nats", reason="qtforge-nats is not installed")
    try:
        postgresql_programs()
        nats_program()
    except (PostgreSQLUnavailable, NatsUnavailable) as error:
        pytest.skip(str(error))
    place = tmp_path / "examples" / "cluster"
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("state", "__pycache__"))
    ports = dict(zip(PORTS, free_ports(), strict=True))
    for file in (place / "cluster.py", place / "config.toml"):
        text = file.read_text(encoding="utf-8")
        for port, free in ports.items():
            assert port in text
            text = text.replace(port, free)
        file.write_text(text, encoding="utf-8")
    shell = Shell(tmp_path)
    yield shell
    subprocess.run([sys.executable, "cluster.py", "down"], cwd=place, check=True, timeout=WAIT_S)


def until(holds: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end_s, what
        time.sleep(1)


@pytest.mark.venv
@pytest.mark.timeout(900)
def test_workers_die_and_a_plugin_is_upgraded_as_the_page_says(shell: Shell) -> None:
    up, install, workers, quotes, kill, drain, new, accept, down = blocks()
    assert "PostgreSQL on 127.0.0.1:" in shell.type(up)
    shell.type(install)

    shell.type(workers)
    until(lambda: len(nodes(shell)) == 3, "the list has three workers")

    shell.type(quotes)
    # The reader takes the time that it needs until all of them wait.
    until(lambda: len(runs(shell, "--status waiting")) == 3, "the runs wait for their customers")
    printed = (shell_folder(shell) / "printer.log").read_text()
    assert "to Ada: we offer it for 119.00 EUR" in printed

    shell.type(kill)
    until(lambda: nodes(shell) == {"worker-1", "worker-2"}, "the list has no dead worker")

    shell.type(drain)
    needing = {each["run_id"] for each in runs(shell, "--needs quotes==1")}
    assert len(needing) == 3

    shell.type(new)
    until(lambda: len(runs(shell, "--status waiting")) == 4, "the new run waits for its customer")
    assert {each["run_id"] for each in runs(shell, "--needs quotes==1")} == needing

    shell.type(accept)
    assert not runs(shell, "--needs quotes==1")
    until(lambda: len(runs(shell, "--status succeeded")) == 4, "every run succeeds")
    bills = {each["run_id"]: bill_of(shell, each["run_id"]) for each in runs(shell, "")}
    old = {bill for run_id, bill in bills.items() if run_id in needing}
    assert old == {
        "Ada pays 119.00 EUR (quotes 1.0)",
        "Ben pays 238.00 EUR (quotes 1.0)",
        "Cora pays 357.00 EUR (quotes 1.0)",
    }
    assert {*bills.values()} - old == {"Dora pays 476.00 EUR (quotes 2.0)"}

    state = shell_folder(shell)
    numbers = [int(file.read_text().split()[0]) for file in state.glob("*.pid")]
    assert len(numbers) == 7
    shell.type(down)
    assert not state.exists()
    assert not [number for number in numbers if is_alive(number)]
    ports = re.findall(r"_PORT = (\d+)", (state.parent / "cluster.py").read_text())
    assert len(ports) == 2
    assert not [port for port in ports if answers(int(port))]


def is_alive(number: int) -> bool:
    """Return whether a process runs; one that has ended may wait for its parent."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def nodes(shell: Shell) -> set[str]:
    return {each["node"] for each in shell.document("nodes list")["nodes"]}


def runs(shell: Shell, options: str) -> list[Any]:
    found: list[Any] = shell.document(f"runs list {options}")["runs"]
    return found


def bill_of(shell: Shell, run_id: str) -> str:
    return str(shell.document(f"runs show {run_id}")["result"]["bill"])


def shell_folder(shell: Shell) -> Path:
    return shell.folder / "examples" / "cluster" / "state"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("start worker-1 nowhere", "the servers are not up"),
        ("kill worker-1", "worker-1 does not run"),
        ("up --fast", "unknown: --fast"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_do(
    tmp_path: Path, command: str, said: str
) -> None:
    shutil.copy(EXAMPLE / "cluster.py", tmp_path)
    done = subprocess.run(
        [sys.executable, "cluster.py", *command.split()],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_before_anything_starts(shell: Shell) -> None:
    script = shell.folder / "examples" / "cluster" / "cluster.py"
    (port,) = re.findall(r"NATS_PORT = (\d+)", script.read_text())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(port)))
        taken.listen()
        done = subprocess.run(
            [sys.executable, script, "up"], capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1
    assert f"another program listens on 127.0.0.1:{port}" in done.stderr
    assert not (script.parent / "state").exists()


def test_workers_may_start_beside_containers_which_up_leaves_alone(shell: Shell) -> None:
    script = shell.folder / "examples" / "cluster" / "cluster.py"
    state = script.parent / "state"
    state.mkdir()
    with contextlib.ExitStack() as stack:
        for port in re.findall(r"_PORT = (\d+)", script.read_text()):
            taken = stack.enter_context(socket.socket())
            taken.bind(("127.0.0.1", int(port)))
            taken.listen()
        # As far as the folder of its plugins: the servers are there, and their password is known.
        for words, said in (
            (["start", "worker-1", "nowhere"], "there is no folder nowhere"),
            (["up"], "another program listens on 127.0.0.1"),
        ):
            done = subprocess.run(
                [sys.executable, script, *words], capture_output=True, text=True, timeout=60,
                env={**shell.variables, "QTFORGE_SECRET_CLUSTER": "of-the-terminal"},
            )  # fmt: skip
            assert said in done.stderr
            assert state.exists()


def test_the_containers_are_the_servers_that_are_started_as_processes() -> None:
    services = yaml.safe_load((EXAMPLE / "compose.yaml").read_text(encoding="utf-8"))["services"]
    script = (EXAMPLE / "cluster.py").read_text(encoding="utf-8")
    configuration = (EXAMPLE / "config.toml").read_text(encoding="utf-8")
    postgresql, nats = services["postgresql"], services["nats"]
    ports = dict(re.findall(r"^(\w+)_PORT = (\d+)$", script, re.M))
    assert postgresql["ports"] == [f"127.0.0.1:{ports['POSTGRESQL']}:5432"]
    assert nats["ports"] == [f"127.0.0.1:{ports['NATS']}:4222"]
    user, database = (postgresql["environment"][f"POSTGRES_{each}"] for each in ("USER", "DB"))
    secret = "${secret.CLUSTER}"
    address = f"postgresql://{user}:{secret}@127.0.0.1:{ports['POSTGRESQL']}/{database}"
    assert f'journal = "{address}"' in configuration
    assert f'bus = "nats://{user}:{secret}@127.0.0.1:{ports["NATS"]}"' in configuration
    for word in postgresql["environment"]["POSTGRES_INITDB_ARGS"].split():
        assert f'"{word}"' in script
    variable = "${QTFORGE_SECRET_CLUSTER:?"
    assert postgresql["environment"]["POSTGRES_PASSWORD"].startswith(variable)
    assert nats["environment"]["QTFORGE_SECRET_CLUSTER"].startswith(variable)
    (mounted,) = nats["volumes"]
    assert mounted == "./nats.conf:/nats.conf:ro"
    assert nats["command"] == ["--config", "/nats.conf", "--port", "4222"]
    rules = (EXAMPLE / "nats.conf").read_text(encoding="utf-8")
    assert f"user: {user}, password: $QTFORGE_SECRET_CLUSTER" in rules
    image, version = nats["image"].split(":")
    assert image == "nats"
    assert tuple(map(int, version.split("."))) >= (2, 15)
    assert postgresql["image"].startswith("postgres:")
