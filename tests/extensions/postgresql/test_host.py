"""The host's commands over runs in PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.forked_commands import run_command
from tests.servers.postgresql import PostgreSQL
from tests.serving import until

from qtforge_postgresql.schema import VERSION


class Machine:
    """A machine with a state directory of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        folder.mkdir()
        self.config.write_text(f'[host]\njournal = "{url}"\n')
        (folder / "home").mkdir()

    def worker(self, stack: contextlib.ExitStack, name: str) -> None:
        """Start a worker, which is killed at the end of the block."""
        program = Path(sys.executable).parent / "qtforge-host"
        place = ["--config", str(self.config), "--state-dir", str(self.folder / "state")]
        process = subprocess.Popen(
            [str(program), *place, "worker", "--node", name],
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "PYTHONUTF8": "1"},
            cwd=self.folder,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)

    def command(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        place = ["--config", str(self.config), "--state-dir", str(self.folder / "state")]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "PYTHONUTF8": "1",
            **variables,
        }
        done = run_command([*place, *words], env=environment, cwd=self.folder, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        return done


@pytest.fixture
def url(postgresql: PostgreSQL) -> str:
    return f"{postgresql.url()}?schema=t{uuid.uuid4().hex[:16]}"


def test_two_machines_share_the_runs_of_a_journal_that_was_initialized(
    url: str, tmp_path: Path
) -> None:
    one, two = Machine(tmp_path / "one", url), Machine(tmp_path / "two", url)
    refused = one.command("runs", "list")
    assert (refused.returncode, "qtforge-host journal init" in refused.stderr) == (4, True)
    made = one.command("journal", "init", url)
    assert (made.returncode, made.stderr) == (0, ""), made.stderr
    assert made.stdout.startswith(f"made the tables of version {VERSION} in postgresql://")
    again = json.loads(two.command("journal", "init", "--json").stdout)
    assert again["schema_version"] == 1
    assert f"version {VERSION}" in again["done"]
    queued = one.command("run", "document-approval", "--set", "document.text=x", "--detach")
    assert queued.returncode == 0, queued.stderr
    run_id = queued.stdout.split()[1]
    listed = json.loads(two.command("runs", "list", "--json").stdout)["runs"]
    assert [(each["run_id"], each["status"]) for each in listed] == [(run_id, "queued")]
    resumed = two.command("runs", "resume", run_id)
    assert resumed.returncode == 0, resumed.stderr
    shown = json.loads(one.command("runs", "show", run_id, "--json").stdout)
    assert shown["status"] == "waiting"
    cancelled = one.command("runs", "cancel", run_id)
    assert cancelled.returncode == 0, cancelled.stderr
    assert json.loads(two.command("runs", "show", run_id, "--json").stdout)["status"] == "cancelled"


def test_a_server_that_is_away_is_said_without_the_password(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "one", "postgresql://me:s3cr3t@127.0.0.1:1/none")
    for words in (("journal", "init"), ("runs", "list")):
        done = machine.command(*words)
        assert done.returncode == 4
        assert done.stderr.startswith("error[journal.unavailable]: ")
        assert "127.0.0.1:1/none" in done.stderr
        assert "s3cr3t" not in done.stderr


def test_an_option_or_a_variable_names_the_shared_journal(url: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "one", "sqlite")
    assert machine.command("journal", "init", url).returncode == 0
    words = ("run", "document-approval", "--set", "document.text=x", "--detach")
    queued = machine.command(*words, "--journal", url)
    assert queued.returncode == 0, queued.stderr
    for found, count in (
        (machine.command("runs", "list", "--json"), 0),
        (machine.command("--journal", url, "runs", "list", "--json"), 1),
        (machine.command("runs", "list", "--json", "--journal", url), 1),
        (machine.command("runs", "list", "--json", QTFORGE_JOURNAL=url), 1),
    ):
        assert len(json.loads(found.stdout)["runs"]) == count, found.stderr


def test_an_extension_that_is_not_installed_is_named_with_the_command(
    url: str, tmp_path: Path
) -> None:
    machine = Machine(tmp_path / "one", "sqlite")
    config = tmp_path / "one" / "config.toml"
    config.write_text('[host]\nblock = ["qtforge-postgresql"]\n')
    done = machine.command("runs", "list", "--journal", url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install qtforge-postgresql" in done.stderr


def test_runs_are_copied_to_the_shared_journal_and_back(url: str, tmp_path: Path) -> None:
    one, two = Machine(tmp_path / "one", "sqlite"), Machine(tmp_path / "two", "sqlite")
    words = ("run", "document-approval", "--set", "document.text=x")
    assert one.command(*words).returncode == 0
    assert one.command(*words, "--detach").returncode == 0
    refused = one.command("journal", "copy", url)
    assert (refused.returncode, "qtforge-host journal init" in refused.stderr) == (4, True)
    assert one.command("journal", "init", url).returncode == 0
    copied = json.loads(one.command("journal", "copy", url, "--json").stdout)
    assert (copied["runs"], copied["refused"]) == (2, 0)
    again = one.command("journal", "copy", "sqlite", url)
    assert (again.returncode, "2 runs there already" in again.stdout) == (0, True)
    checked = one.command("journal", "check", url)
    assert (checked.returncode, "2 runs: every record" in checked.stdout) == (0, True)
    back = two.command("journal", "copy", url, "sqlite")
    assert back.returncode == 0, back.stderr
    assert back.stdout.startswith("copied 2 runs with ")
    listed = [machine.command("runs", "list", "--json").stdout for machine in (one, two)]
    rows = [[{**each, "owners": 0} for each in json.loads(it)["runs"]] for it in listed]
    assert rows[0] == rows[1]
    assert {each["status"] for each in rows[1]} == {"queued", "waiting"}
    run_id = next(each["run_id"] for each in rows[1] if each["status"] == "waiting")
    cancelled = two.command("runs", "cancel", run_id)
    assert cancelled.returncode == 0, cancelled.stderr
    differs = one.command("journal", "copy", url, "sqlite", "--state-dir", str(two.folder))
    assert differs.returncode == 2  # an option before the command
    differs = two.command("journal", "copy", url, "sqlite")
    assert (differs.returncode, f"{run_id}: the target has" in differs.stdout) == (1, True)


def test_a_check_says_what_is_wrong_and_how_it_is_repaired(
    url: str, tmp_path: Path, postgresql: PostgreSQL
) -> None:
    machine = Machine(tmp_path / "one", url)
    assert machine.command("journal", "init").returncode == 0
    assert machine.command("run", "document-approval", "--set", "document.text=x").returncode == 0
    with psycopg.connect(postgresql.url()) as connection:
        schema = url.rpartition("=")[2]
        connection.execute(f"UPDATE {schema}.runs SET status = 'queued'".encode())
    for words in (("journal", "check"), ("journal", "check", url)):
        checked = machine.command(*words)
        assert checked.returncode == 1
        assert "its row does not fit its records: status" in checked.stdout
        assert "fix: qtforge-host doctor --repair" in checked.stdout
    assert machine.command("doctor", "--repair").returncode == 0
    assert machine.command("journal", "check").returncode == 0


def test_a_journal_without_tables_is_not_initialized(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "one", "sqlite")
    done = machine.command("journal", "init")
    assert done.returncode == 2
    assert "the journal 'sqlite' needs no tables" in done.stderr


def test_doctor_finds_runs_that_are_left_in_the_state_directory(url: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "one", url)
    assert machine.command("journal", "init").returncode == 0
    begun = machine.command(
        "run", "document-approval", "--set", "document.text=x", "--journal", "sqlite"
    )
    assert begun.returncode == 0, begun.stderr
    found = machine.command("doctor")
    assert (found.returncode, " is only in " in found.stdout) == (1, True)
    assert machine.command("journal", "copy", "sqlite", url).returncode == 0
    found = machine.command("doctor")
    assert (found.returncode, " a second time" in found.stdout) == (1, True)
    (machine.folder / "state" / "runs").rename(machine.folder / "state" / "runs.before")
    assert "document-approval" in machine.command("runs", "list").stdout
    found = machine.command("doctor")
    assert "journal: every record is as it was written" in found.stdout
    assert "wrong" not in found.stdout.replace("configuration", "")


def test_runs_that_need_a_plugin_with_data_on_one_node_are_taken_by_that_node(
    url: str, tmp_path: Path
) -> None:
    machines = {name: Machine(tmp_path / name, url) for name in ("first", "second")}
    letter = tmp_path / "letter.md"
    letter.write_text("# Letter\n\nDear reader, this is a letter.\n")
    storing = ("run", "document-processing", str(letter))
    first, second = machines.values()
    assert first.command("journal", "init").returncode == 0

    def nodes() -> dict[str, Any]:
        listed = json.loads(first.command("nodes", "list", "--json").stdout)["nodes"]
        return {each["node"]: each for each in listed if each["role"] == "worker"}

    with contextlib.ExitStack() as stack:
        for name, machine in machines.items():
            machine.worker(stack, name)
            until(lambda name=name: name in nodes())  # type: ignore[misc]
        until(lambda: "document-storage" not in nodes()["second"]["plugins"])
        assert "document-storage" in nodes()["first"]["plugins"]
        refused = second.command(*storing)
        assert refused.returncode != 0
        assert "the data of 'document-storage' are on the node first" in refused.stderr
        queued = [second.command(*storing, "--detach") for _ in range(3)]
        assert [each.returncode for each in queued] == [0] * 3, queued[0].stderr

        def statuses() -> set[str]:
            listed = json.loads(first.command("runs", "list", "--json").stdout)["runs"]
            return {each["status"] for each in listed}

        until(lambda: statuses() == {"succeeded"})
    assert [path.parts[-5] for path in tmp_path.rglob("documents.sqlite")] == ["first"]
