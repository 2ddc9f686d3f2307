"""``qtforge-host runs cancel``, ``pause``, ``resume``, ``retry``, ``prune``, ``export`` of many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.forked_commands import run_command
from tests.host.conftest import Site

PLUGIN = '''
import os
from pathlib import Path

from qtforge_sdk import OperationError, Plugin, hookimpl, operation

LETTERS = """
name = "letters"
kind = "sequential"
tags = { customer = "${input.customer}" }

[[stages]]
name = "write"
operation = "letters.write"
message = { text = "Dear ${input.customer}" }

[[stages]]
name = "post"
operation = "letters.post"
message = {}
"""


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [LETTERS]

    @operation("letters.write")
    async def write(self, message: dict) -> str:
        return message["text"]

    @operation("letters.post")
    async def post(self, message: dict) -> str:
        if Path(os.environ["POST"]).exists():
            raise OperationError("post.closed", "the post office is closed", "", "wait")
        return "posted"
'''
PARENT = """
name = "answers"
kind = "sequential"

[[stages]]
name = "letter"
workflow = "letters"
input = { customer = "${input.customer}" }
"""
WAITING = """
name = "waits"
kind = "reactive"
tags = { customer = "${input.customer}" }
initial = "open"

[states.open]

[states.closed]
final = true

[[transitions]]
name = "go"
from = "open"
trigger = "go"
to = "closed"
"""


class Office:
    """A state directory with runs of several customers, and the commands of it."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.folder = folder
        site = Site(folder / "site")
        site.plugin("letters", source=PLUGIN)
        for name, text in (("waits", WAITING), ("answers", PARENT)):
            (folder / f"{name}.toml").write_text(text)
        self.closed = folder / "closed"
        self._environment = {
            **environment, "PYTHONPATH": str(site.root), "POST": str(self.closed),
            "QTFORGE_STATE_DIR": str(folder / "state"),
        }  # fmt: skip

    def __call__(self, *words: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        """Execute a command of runs, whose question is answered."""
        return self.host("runs", *words, answer=answer)

    def host(self, *words: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        if not answer:
            done = run_command(words, timeout=60, env=self._environment, cwd=self.folder)
        else:
            done = subprocess.run(
                [sys.executable, "-m", "qtforge_host.cli.main", *words],
                input=answer, capture_output=True, text=True, timeout=60, cwd=self.folder,
                env=self._environment, check=False,
            )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def write(self, *customers: str, workflow: str = "letters") -> None:
        for customer in customers:
            done = self.host("run", workflow, "--set", f"customer={customer}")
            assert done.returncode == (1 if self.closed.exists() and workflow == "letters" else 0)

    def statuses(self, *words: str) -> list[str]:
        found: Any = json.loads(self("list", *words, "--json").stdout)
        return [each["status"] for each in found["runs"]]


@pytest.fixture
def office(environment: dict[str, str], tmp_path: Path) -> Office:
    return Office({**environment, "PATH": os.environ["PATH"]}, tmp_path)


def test_runs_are_cancelled_after_the_question_how_many_are_meant(office: Office) -> None:
    office.write("acme", "acme", "other", workflow="waits.toml")
    asked = office("cancel", "--tag", "customer=acme", answer="n\n")
    assert (asked.returncode, asked.stdout) == (130, "")
    assert asked.stderr.startswith("cancel 2 runs? [y/N]: ")
    assert office.statuses() == ["waiting"] * 3
    nobody = office("cancel", "--tag", "customer=acme")  # there is nobody to answer
    assert nobody.returncode == 130
    assert office.statuses() == ["waiting"] * 3
    done = office("cancel", "--tag", "customer=acme", answer="y\n")
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["cancel requested"] * 2
    assert office.statuses("--tag", "customer=acme") == ["cancelled"] * 2
    assert office.statuses("--tag", "customer=other") == ["waiting"]
    again = office("cancel", "--tag", "customer=acme")
    assert (again.returncode, again.stderr) == (0, "no such run\n")


def test_a_dry_run_shows_which_runs_are_meant_and_asks_nothing(office: Office) -> None:
    office.write("acme", workflow="waits.toml")
    for verb in ("cancel", "pause"):
        shown = office(verb, "--workflow", "waits", "--dry-run")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout.startswith(f"would {verb}: ")
    assert office.statuses() == ["waiting"]


def test_paused_runs_are_resumed_together(office: Office) -> None:
    office.write("acme", "acme", "other", workflow="waits.toml")
    assert office("pause", "--workflow", "waits", "--yes").returncode == 0
    asked = office("resume", "--tag", "customer=acme", "--status", "paused", answer="y\n")
    assert asked.returncode == 0
    assert asked.stderr.startswith("resume 2 runs? [y/N]: ")
    assert office.statuses("--tag", "customer=acme") == ["waiting"] * 2
    assert office.statuses("--tag", "customer=other") == ["paused"]
    none = office("resume", "--tag", "customer=acme", "--yes")
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "no such run\n")


def test_failed_runs_are_retried_together_and_cancelled_ones_only_by_that_status(
    office: Office,
) -> None:
    office.closed.touch()
    office.write("acme", "acme", "other")
    office.write("acme", workflow="waits.toml")
    office("cancel", "--workflow", "waits", "--yes")
    office.closed.unlink()
    asked = office("retry", "--tag", "customer=acme", "--reason", "open", answer="y\n")
    assert asked.returncode == 0, asked.stderr
    assert asked.stderr.startswith("retry 2 runs? [y/N]: ")
    assert office.statuses("--tag", "customer=acme") == ["cancelled", "succeeded", "succeeded"]
    assert office.statuses("--tag", "customer=other") == ["failed"]
    what = ("--error-code", "post.closed", "--plugin", "letters")
    assert office.statuses(*what) == ["failed"]  # those that were retried have failed no more
    assert office("retry", *what, "--dry-run").stdout.count("would retry: ") == 1
    assert office.statuses("--error-code", "post.open") == office.statuses("--plugin", "no") == []
    planned = office("retry", "--workflow", "waits", "--status", "cancelled", "--dry-run")
    assert planned.stdout.startswith("would retry: ")


def test_a_run_that_cant_be_retried_is_named_and_the_others_are_retried(office: Office) -> None:
    office.closed.touch()
    office.write("acme", "acme")
    wrong = office("retry", "--workflow", "letters", "--from", "pots", "--yes")
    assert wrong.returncode == 3
    assert wrong.stderr.count("has begun no stage 'pots'") == 2
    assert office.statuses() == ["failed"] * 2
    office.closed.unlink()
    done = office("retry", "--workflow", "letters", "--from", "write", "--yes", "--jobs", "2")
    assert done.returncode == 0
    assert office.statuses() == ["succeeded"] * 2


def test_ended_runs_are_deleted_with_those_that_they_awaited(office: Office) -> None:
    office.write("acme", "acme", "other")
    office.write("acme", workflow="answers.toml")
    office.write("acme", workflow="waits.toml")
    asked = office("prune", "--workflow", "answers", answer="n\n")
    assert asked.returncode == 130
    assert asked.stderr.startswith("Delete 2 runs that ended? [y/N]: ")  # it and its letter
    assert len(office.statuses()) == 6
    assert office("prune", "--workflow", "answers", "--yes").stdout.endswith("2 runs are deleted\n")
    younger = office("prune", "--tag", "customer=acme", "--older-than", "1h", "--yes")
    assert younger.stdout == "0 runs are deleted\n"
    done = office("prune", "--tag", "customer=acme", answer="y\n")
    assert done.stdout.endswith("2 runs are deleted\n")
    assert office.statuses() == ["waiting", "succeeded"]


def test_runs_are_exported_by_what_they_have_in_common(office: Office) -> None:
    office.write("acme", "acme", "other")
    office.write("acme", workflow="waits.toml")
    words = ("--tag", "customer=acme", "-o")
    assert office("export", *words, "all").stdout == "3 runs are in all\n"
    assert len(list((office.folder / "all").glob("*.qtforge-run"))) == 3
    left = office("export", "--unfinished", *words, "left")
    assert left.stdout == "1 unfinished run is in left\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("cancel",),
            "name a RUN, or give --workflow, --status, --tag, --schedule, ",
        ),
        (("retry", "last", "--tag", "a=b"), "name a RUN, or give --workflow"),
        (("resume",), "name a RUN, or give --all, or give --workflow"),
        (("resume", "--all", "--tag", "a=b"), "name a RUN, or give --all, or give --workflow"),
        (
            ("cancel", "last", "--yes"),
            "--yes is for --workflow, --status, --tag, --schedule, ",
        ),
        (("retry", "last", "--dry-run"), "--dry-run is for --workflow"),
        (("retry", "--status", "succeeded"), "'succeeded' is not one of"),
        (("retry", "--tag", "customer"), "a tag has a name and a value"),
        (("prune",), "give --policy, --older-than, --workflow"),
        (("prune", "--status", "waiting"), "'waiting' is not one of"),
        (("export", "last", "--tag", "a=b"), "not both"),
        (("export", "--tag", "a=b"), "several runs need a folder: -o DIR"),
        (("export", "--unfinished", "--status", "failed", "-o", "x"), "not both"),
    ],
)
def test_what_runs_are_meant_is_said_once(
    office: Office, words: tuple[str, ...], told: str
) -> None:
    done = office(*words)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split()), done.stderr
