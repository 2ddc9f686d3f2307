"""``qtforge-host runs``, ``send`` and ``doctor``, over real processes that are killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.forked_commands import Command, forker

from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.journal import RunQuery
from qtforge_sdk.records import StepStarted

PLUGIN = '''
import asyncio
import os
from pathlib import Path

from qtforge_sdk import OperationError, Plugin, hookimpl, operation

FOLDER = Path(os.environ.get("STEPS", "."))
WORKFLOW = """
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

[[stages]]
name = "third"
operation = "steps.fail"
message = { text = "third ${input.word}" }
"""
PLAIN = WORKFLOW.replace('on_cancel = "compensate"', "").replace('"steps"', '"plain"')
BARE = "\\n".join(
    line for line in PLAIN.replace('"plain"', '"bare"').splitlines() if "undo" not in line
)


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [WORKFLOW, PLAIN, BARE]

    @operation("steps.note")
    async def note(self, message: dict) -> str:
        return self._did(message["text"])

    @operation("steps.wait")
    async def wait(self, message: dict) -> str:
        (FOLDER / f"waits-{os.getpid()}").touch()
        while not (FOLDER / "go").exists():
            await asyncio.sleep(0.02)
        return self._did(message["text"])

    @operation("steps.fail")
    async def fail(self, message: dict) -> str:
        if (FOLDER / "bad").exists():
            raise OperationError("steps.bad", "a bad day", "", "come back tomorrow")
        return self._did(message["text"])

    def _did(self, text):
        with open(FOLDER / "done", "a") as file:
            file.write(text + "\\n")
        return text
'''
STAGE = 'name = "more"\noperation = "steps.note"\nmessage = { text = "more" }\n'
DEADLINE_S = 120.0


class Steps:
    """The installed plugin, what it did, and the commands of a state directory."""

    def __init__(self, cli: Any, site: Any, folder: Path, environment: dict[str, str]) -> None:
        self.site = site
        self.folder = folder
        self._cli = cli
        self._processes: list[Command] = []
        self._environment = {**environment, "STEPS": str(folder), "PYTHONPATH": str(site.root)}

    def __call__(self, *words: str | Path) -> Any:
        return self._cli(
            "--state-dir", self.folder / "state", *words, path=self.site.root,
            STEPS=str(self.folder),
        )  # fmt: skip

    @property
    def done(self) -> list[str]:
        file = self.folder / "done"
        return file.read_text().splitlines() if file.exists() else []

    def touch(self, name: str) -> None:
        (self.folder / name).touch()

    def start(self, workflow: str = "steps", *options: str) -> Command:
        """Start a run in a process of its own, and return when its second stage has begun."""
        words = [*options, "--state-dir", str(self.folder / "state"),
                 "run", workflow, "--set", "word=x", "--json"]  # fmt: skip
        begun = self.seconds_begun()
        process = forker().start(words, env=self._environment, cwd=self.folder)
        self._processes.append(process)
        self.wait_for_second(process, begun)
        return process

    def wait_for_second(self, process: Command, begun: int) -> None:
        """Wait until a process is in its second stage, and the journal knows that."""
        until((self.folder / f"waits-{process.pid}").exists)
        until(lambda: self.seconds_begun() > begun)  # it is written a moment later

    def seconds_begun(self) -> int:
        """Return how often the journal has the beginning of a second stage."""

        async def count() -> int:
            journal = SqliteJournal(self.folder / "state" / "runs")
            await journal.open()
            try:
                found = 0
                for run in await journal.runs(RunQuery(limit=100)):
                    for each in await journal.records(run.run_id):
                        found += isinstance(each, StepStarted) and each.step == "second"
                return found
            finally:
                await journal.close()

        is_there = (self.folder / "state" / "runs" / "journal.sqlite3").exists()
        return asyncio.run(count()) if is_there else 0

    def kill(self, process: Command) -> None:
        process.kill()
        process.communicate(timeout=DEADLINE_S)

    def interrupt(self, workflow: str = "steps") -> None:
        """Leave a run that was killed while its second stage went on."""
        self.kill(self.start(workflow))

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                self.kill(process)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def steps(cli: Any, site: Any, tmp_path: Path, environment: dict[str, str]) -> Iterator[Steps]:
    site.plugin("steps", source=PLUGIN)
    folder = tmp_path / "work"
    folder.mkdir()
    found = Steps(cli, site, folder, environment)
    yield found
    found.close()


def ended(process: Command) -> Any:
    out, err = process.communicate(timeout=DEADLINE_S)
    assert "Traceback" not in err
    return json.loads(out)


def test_a_killed_run_is_interrupted_and_resuming_does_not_redo_what_was_done(
    steps: Steps,
) -> None:
    steps.interrupt()
    assert steps.done == ["first x"]
    (run,) = steps("runs", "list", "--json").json["runs"]
    assert (run["status"], run["workflow"], run["finished_at"]) == ("interrupted", "steps", None)
    shown = steps("runs", "show", "last")
    assert "the process that executed it has ended" in shown.out
    assert f"fix: qtforge-host runs resume {run['run_id']}" in shown.out
    watched = steps("runs", "watch", "last")
    assert (watched.code, "has ended" in watched.out) == (1, True)

    steps.touch("go")
    (resumed,) = steps("runs", "resume", run["run_id"], "--json").lines
    assert (resumed["run_id"], resumed["status"]) == (run["run_id"], "succeeded")
    assert steps.done == ["first x", "second", "third x"]
    assert steps("runs", "list").out.splitlines()[1].startswith("✓ succeeded")


def test_all_interrupted_runs_are_resumed_and_one_that_fails_makes_exit_code_1(
    steps: Steps,
) -> None:
    steps.interrupt()
    steps.interrupt("plain")
    steps.touch("go")
    steps.touch("bad")
    said = steps("runs", "resume", "--all", "--jobs", "2", "--json")
    assert said.code == 1
    assert {run["workflow"]: run["status"] for run in said.lines} == {
        "steps": "compensated", "plain": "compensated",
    }  # fmt: skip
    again = steps("runs", "resume", "--all")
    assert (again.code, again.err) == (
        0,
        "no run was interrupted, is blocked or has anything to handle\n",
    )


def test_a_run_is_shown_with_its_history(steps: Steps) -> None:
    steps.touch("go")
    steps.touch("bad")
    assert steps("run", "steps", "--set", "word=x").code == 1
    shown = steps("runs", "show", "last").out
    for text in (
        "started: steps 1.0.0",
        "first: succeeded in",
        "third: attempt 1 failed: steps.bad: a bad day (fix: come back tomorrow)",
        "first: was compensated in",
        "compensated: steps.bad",
    ):
        assert text in shown
    found = steps("runs", "show", "last", "--json").json
    assert found["stages"][2]["error"]["fix"] == "come back tomorrow"
    assert [entry["record"] for entry in found["history"]][-1] == "run_finished"
    records = steps("runs", "show", "last", "--records").lines
    assert (records[0]["record"], records[0]["input"]) == ("run_started", {"word": "x"})


def test_runs_are_filtered_by_status_workflow_and_time(steps: Steps) -> None:
    steps.touch("go")
    steps("run", "plain", "--set", "word=x")
    steps.touch("bad")
    steps("run", "steps", "--set", "word=x")

    def listed(*words: str) -> list[str]:
        runs = steps("runs", "list", "--json", *words).json["runs"]
        return [run["workflow"] for run in runs]

    assert listed() == ["steps", "plain"]
    assert listed("--limit", "1") == ["steps"]
    assert listed("--status", "succeeded") == ["plain"]
    assert listed("--status", "interrupted") == []
    assert listed("--status", "interrupted", "--status", "compensated") == ["steps"]
    assert listed("--workflow", "plain", "--since", "1h") == ["plain"]
    assert listed("--since", "2200-01-01") == []
    beyond = "9999-12-31T23:59-05:00"  # in UTC after the calendar's end
    assert listed("--since", beyond) == []
    assert listed("--since", "0001-01-01T00:00+05:00", "--until", beyond) == ["steps", "plain"]


def test_a_live_run_is_paused_after_its_step_and_resumed(steps: Steps) -> None:
    process = steps.start()
    asked = steps("runs", "pause", "last", "--wait", "200ms")
    assert (asked.code, "still pending after" in asked.err) == (0, True)
    steps.touch("go")
    assert ended(process)["status"] == "paused"
    assert process.returncode == 1  # it has not succeeded
    assert steps("runs", "show", "last", "--json").json["status"] == "paused"
    assert steps.done == ["first x", "second"]
    (resumed,) = steps("runs", "resume", "last", "--json").lines
    assert (resumed["status"], steps.done[-1]) == ("succeeded", "third x")


def test_a_run_that_nobody_executes_is_paused_here_and_not_resumed_with_all(steps: Steps) -> None:
    steps.interrupt()
    assert steps("runs", "pause", "last", "--json").lines[0]["status"] == "paused"
    assert steps("runs", "pause", "last").code == 0
    assert "no run was interrupted" in steps("runs", "resume", "--all").err


@pytest.mark.parametrize("workflow", ["steps", "plain"])
@pytest.mark.parametrize("alive", [True, False], ids=["live", "dead"])
def test_a_run_is_cancelled_and_undone_where_its_definition_says_so(
    steps: Steps, workflow: str, alive: bool
) -> None:
    process = steps.start(workflow)
    if not alive:
        steps.kill(process)
    said = steps("runs", "cancel", "last", "--json")
    assert (said.code, said.lines[0]["status"]) == (0, "cancelled")
    assert said.lines[0]["error"]["message"] == "cancelled by the command line"
    if alive:
        assert ended(process)["status"] == "cancelled"
    assert steps.done == ["first x", *(["undo first"] if workflow == "steps" else [])]


def test_a_retry_does_again_what_failed_and_what_was_undone(steps: Steps) -> None:
    steps.touch("go")
    steps.touch("bad")
    steps("run", "steps", "--set", "word=x")
    (steps.folder / "bad").unlink()
    said = steps("runs", "retry", "last", "--json")
    assert (said.lines[0]["status"], said.err) == ("succeeded", "again: first, second, third\n")
    assert steps.done == ["first x", "second", "undo first", "first x", "second", "third x"]


def test_a_retry_takes_changes_of_what_is_done_again_and_of_nothing_else(steps: Steps) -> None:
    steps.touch("go")
    steps.touch("bad")
    steps("run", "bare", "--set", "word=x")
    refused = steps("runs", "amend", "last", "--skip", "third")
    assert (refused.code, "amended if need be" in refused.err) == (1, True)
    for wrong in (["--set", "second.timeout=9s"], ["--remove", "first"], ["--skip", "fourth"]):
        said = steps("runs", "retry", "last", *wrong)
        assert (said.code, "error[run.amendment_refused]" in said.err) == (1, True), said
    assert steps("runs", "show", "last", "--json").json["status"] == "failed"
    assert steps.done == ["first x", "second"]
    said = steps(
        "runs", "retry", "last", "--set", "third.operation=steps.note",
        "--set", "third.message.text=mended", "--reason", "a bad day", "--json",
    )  # fmt: skip
    assert (said.lines[0]["status"], said.err) == ("succeeded", "again: third\n")
    assert steps.done == ["first x", "second", "mended"]
    history = [each["text"] for each in steps("runs", "show", "last", "--json").json["history"]]
    assert any("amended by the command line (a bad day)" in each for each in history)


def test_a_retry_from_an_earlier_stage_may_change_that_stage(steps: Steps) -> None:
    steps.touch("go")
    steps.touch("bad")
    steps("run", "bare", "--set", "word=x")
    said = steps(
        "runs", "retry", "last", "--from", "second", "--set", "second.message.text=other",
        "--remove", "third", "--json",
    )  # fmt: skip
    assert (said.lines[0]["status"], said.err) == ("succeeded", "again: second, third\n")
    assert steps.done == ["first x", "second", "other"]


def test_a_fork_keeps_what_was_before_the_stage_and_takes_another_input(steps: Steps) -> None:
    steps.touch("go")
    (first,) = steps("run", "steps", "--set", "word=x", "--json").lines
    said = steps("runs", "fork", first["run_id"], "--from", "third", "--set", "word=y", "--json")
    (run,) = said.lines
    assert run["run_id"] != first["run_id"]
    assert f"the new run is {run['run_id']}" in said.err
    assert run["result"] == {"first": "first x", "second": "second", "third": "third y"}
    assert steps.done == ["first x", "second", "third x", "third y"]
    history = steps("runs", "show", run["run_id"], "--json").json["history"]
    assert f"resumed: forked from {first['run_id']} at third" in [each["text"] for each in history]


@pytest.mark.parametrize("alive", [True, False], ids=["live", "dead"])
def test_a_run_is_amended_in_the_order_of_the_options(
    steps: Steps, tmp_path: Path, alive: bool
) -> None:
    process = steps.start("plain")
    if not alive:
        steps.kill(process)
    stage, patch = tmp_path / "more.toml", tmp_path / "patch.json"
    stage.write_text(STAGE)
    patch.write_text('[{"op": "add", "path": "/summary", "value": "all ${stages.more.data}"}]')
    refused = steps("runs", "amend", "last", "--set", "second.timeout=1s")
    assert (refused.code, refused.out) == (1, "")
    assert "the stage 'second' has begun" in refused.err

    words = ["--insert-after", "third", str(stage), "--set", "more.message.text=changed",
             "--skip", "third", "--patch", str(patch), "--reason", "why not"]  # fmt: skip
    said = steps("runs", "amend", "last", *words, "--wait", "300ms")
    assert said.code == 0
    steps.touch("go")
    run = ended(process) if alive else steps("runs", "resume", "last", "--json").lines[0]
    assert [(each["name"], each["status"]) for each in run["stages"]] == [
        ("first", "succeeded"), ("second", "succeeded"), ("third", "skipped"),
        ("more", "succeeded"),
    ]  # fmt: skip
    assert steps.done == ["first x", "second", "changed"]
    shown = steps("runs", "show", "last").out
    assert "amended by the command line (why not): add /stages/3; add /stages/3/message" in shown
    assert "all changed" in shown


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--skip", "thrid"), "did you mean 'third'?"),
        (("--set", "third.timeuot=3s"), "timeuot"),
        (("--set", "third.operation=steps.nothing"), "no active plugin answers 'steps.nothing'"),
        (("--remove", "first"), "the stage 'first' has begun"),
    ],
)
def test_an_amendment_that_does_not_fit_is_refused_with_the_reason(
    steps: Steps, words: tuple[str, ...], text: str
) -> None:
    steps.interrupt("plain")
    said = steps("runs", "amend", "last", *words)
    assert (said.code, said.out) == (1, "")
    assert "error[run.amendment_refused]" in said.err
    assert text in said.err


def test_a_run_goes_from_one_state_directory_to_another(steps: Steps, tmp_path: Path) -> None:
    steps.interrupt("plain")
    file = tmp_path / "run"
    assert steps("runs", "export", "last", "-o", file).code == 0
    elsewhere = ("--state-dir", str(tmp_path / "elsewhere"))
    run_id = steps(*elsewhere, "runs", "import", file, "--json").json["run_id"]
    assert steps(*elsewhere, "runs", "import", file, "--json").json["run_id"] == run_id
    steps.touch("go")
    (run,) = steps(*elsewhere, "runs", "resume", "last", "--json").lines
    assert (run["run_id"], run["status"], steps.done[0]) == (run_id, "succeeded", "first x")
    assert len(steps.done) == 3


def test_old_runs_are_forgotten_and_unfinished_ones_are_not(steps: Steps) -> None:
    steps.interrupt("plain")
    steps.touch("go")
    steps("run", "plain", "--set", "word=x")
    assert steps("runs", "prune", "--older-than", "1h", "--yes", "--json").json["pruned"] == 0
    refused = steps("runs", "prune", "--older-than", "1ms")
    assert refused.code == 130  # nobody said yes
    pruned = steps("runs", "prune", "--older-than", "1ms", "--yes").out.splitlines()
    assert [each.split() for each in pruned[1:]] == [
        ["plain", "succeeded", "1"], ["1", "run", "is", "deleted"],
    ]  # fmt: skip
    (left,) = steps("runs", "list", "--json").json["runs"]
    assert left["status"] == "interrupted"


def test_an_event_is_taken_in_by_a_live_run_and_kept_for_a_dead_one(steps: Steps) -> None:
    process = steps.start()
    sent = steps("send", "last", "hello", "--set", "a.b=1", "--wait", "--json").json
    assert (sent["event"], sent["received"]) == ("hello", True)
    steps.kill(process)
    in_vain = steps("send", "last", "again", "--wait", "--timeout", "100ms")
    assert (in_vain.code, "is sent to" in in_vain.out) == (1, True)
    steps.touch("go")
    steps("runs", "resume", "last")
    records = steps("runs", "show", "last", "--records").lines
    events = [each for each in records if each["record"] == "event_received"]
    assert [(each["name"], each["data"]) for each in events] == [
        ("hello", {"a": {"b": 1}}), ("again", {}),
    ]  # fmt: skip


def test_a_watched_run_is_followed_until_it_ends(steps: Steps) -> None:
    process = steps.start()
    late = steps("runs", "watch", "last", "--timeout", "300ms")
    assert (late.code, "the run has not ended within 300ms" in late.err) == (1, True)
    steps.touch("go")
    watched = steps("runs", "watch", "last", "--json")
    assert ended(process)["status"] == "succeeded"
    assert (watched.code, watched.lines[-1]["status"]) == (0, "succeeded")
    assert [each["record"] for each in watched.lines[:-1]][-1] == "run_finished"


def test_a_run_of_another_major_version_is_blocked_until_that_is_accepted(steps: Steps) -> None:
    steps.interrupt("plain")
    for old in Path(steps.site.root).glob("steps-*.dist-info/*"):
        old.unlink()
    for old in Path(steps.site.root).glob("steps-*.dist-info"):
        old.rmdir()
    steps.site.plugin("steps", "2.0.0", source=PLUGIN)
    steps.touch("go")
    blocked = steps("runs", "resume", "last")
    assert blocked.code == 1
    assert "error[run.blocked]: steps was 1.0.0 and is 2.0.0" in blocked.out
    assert "--accept-versions" in blocked.out
    assert "blocked" in steps("runs", "list").out
    (run,) = steps("runs", "resume", "last", "--accept-versions", "--json").lines
    assert run["status"] == "succeeded"


def test_a_run_is_found_by_the_beginning_of_its_name(steps: Steps) -> None:
    steps.touch("go")
    (run,) = steps("run", "plain", "--set", "word=x", "--json").lines
    run_id = run["run_id"]
    steps("run", "plain", "--set", "word=x")
    assert steps("runs", "show", run_id[:-3], "--json").json["run_id"] == run_id
    several = steps("runs", "show", run_id[:4])
    assert (several.code, "several runs begin with" in several.err) == (3, True)
    wrong = steps("runs", "show", f"{run_id[:-1]}?")
    assert (wrong.code, f"did you mean '{run_id}'?" in wrong.err) == (3, True)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("runs", "show", "nosuch"), 3, "there is no run 'nosuch'"),
        (("runs", "resume", "nosuch"), 3, "there is no run 'nosuch'"),
        (("runs", "cancel", "nosuch"), 3, "there is no run 'nosuch'"),
        (("send", "nosuch", "event"), 3, "there is no run 'nosuch'"),
        (("runs", "resume"), 2, "name a RUN, or give --all"),
        (("runs", "resume", "last", "--all"), 2, "name a RUN, or give --all"),
        (("runs", "cancel", "last"), 1, "error[run.ended]"),
        (("runs", "pause", "last"), 1, "error[run.ended]"),
        (("runs", "amend", "last", "--skip", "first"), 1, "error[run.ended]"),
        (("runs", "amend", "last"), 2, "give a change"),
        (("runs", "amend", "last", "--patch", "nosuch.json"), 2, "nosuch.json"),
        (("runs", "amend", "last", "--set", "first=1"), 2, "STAGE.KEY=VALUE"),
        (("send", "last", "event"), 1, "error[run.ended]"),
        (("runs", "retry", "last", "--from", "secnod"), 3, "did you mean 'second'?"),
        (("runs", "fork", "last", "--from", "secnod"), 3, "did you mean 'second'?"),
        (("runs", "fork", "last", "--set", "word"), 2, "--set takes KEY=VALUE"),
        (("runs", "list", "--since", "soon"), 2, "neither a duration"),
        (("runs", "list", "--status", "good"), 2, "'good' is not one of"),
        (("runs", "watch", "last", "--timeout", "soon"), 2, "not a duration"),
        (("runs", "prune", "--older-than", "old"), 2, "not a duration"),
        (("runs", "export", "last", "-o", "work/done/run"), 2, "work/done"),
        (("runs", "import", "nosuch"), 2, "nosuch"),
        (("runs", "nosuch"), 2, "No such command"),
    ],
)
def test_wrong_input_gets_a_clear_error_and_its_exit_code(
    failed_run: Steps, words: tuple[str, ...], code: int, text: str
) -> None:
    said = failed_run(*words)
    assert said.code == code, said
    assert (said.out, text in said.err) == ("", True), said


@pytest.fixture
def failed_run(steps: Steps) -> Steps:
    steps.touch("go")
    steps.touch("bad")
    assert steps("run", "plain", "--set", "word=x").code == 1
    return steps


def test_a_run_that_succeeded_is_not_retried(steps: Steps) -> None:
    steps.touch("go")
    steps("run", "plain", "--set", "word=x")
    said = steps("runs", "retry", "last")
    assert (said.code, "error[run.succeeded]" in said.err) == (1, True)
    assert "runs fork" in said.err


def test_ctrl_c_ends_a_resumed_run_cleanly_with_130(
    steps: Steps, environment: dict[str, str]
) -> None:
    steps.interrupt("plain")
    begun = steps.seconds_begun()
    process = forker().start(
        ["--state-dir", str(steps.folder / "state"), "runs", "resume", "last", "--json"],
        env={**environment, "STEPS": str(steps.folder), "PYTHONPATH": str(steps.site.root)},
        cwd=steps.folder,
    )
    steps.wait_for_second(process, begun)
    process.send_signal(signal.SIGINT)
    assert ended(process)["status"] == "cancelled"
    assert process.returncode == 130


def test_the_doctor_finds_a_sound_state_directory_sound(steps: Steps) -> None:
    steps.touch("go")
    steps("run", "plain", "--set", "word=x")
    said = steps("doctor", "--json")
    assert (said.code, said.json["ok"]) == (0, True), said
    assert {each["part"] for each in said.json["findings"]} == {
        "configuration", "state directory", "journal", "plugins",
    }  # fmt: skip


def test_the_doctor_names_the_run_and_the_record_that_is_damaged(steps: Steps) -> None:
    steps.touch("go")
    (run,) = steps("run", "plain", "--set", "word=x", "--json").lines
    connection = sqlite3.connect(steps.folder / "state" / "runs" / "journal.sqlite3")
    with connection:
        third = connection.execute("SELECT id FROM records ORDER BY id LIMIT 1 OFFSET 2")
        connection.execute("UPDATE records SET payload = x'00' WHERE id = ?", third.fetchone())
    connection.close()
    said = steps("doctor")
    assert said.code == 1
    assert f"✗ wrong  journal: the run {run['run_id']}: record 3: " in said.out
    shown = steps("runs", "show", "last")
    assert (shown.code, "error[journal.damaged]" in shown.err) == (4, True)


def test_the_doctor_stays_short_where_much_is_damaged(steps: Steps) -> None:
    steps.touch("go")
    for _ in range(3):
        steps("run", "plain", "--set", "word=x")
    connection = sqlite3.connect(steps.folder / "state" / "runs" / "journal.sqlite3")
    with connection:
        connection.execute("UPDATE records SET payload = x'00'")
    connection.close()
    said = steps("doctor")
    assert said.code == 1
    wrong = [line for line in said.out.splitlines() if line.startswith("✗")]
    assert len(wrong) == 21
    assert "more findings" in wrong[-1]
    assert "in 3 runs in all" in wrong[-1]


def test_the_doctor_says_when_the_state_directory_cannot_be_used(steps: Steps) -> None:
    steps.touch("state")  # a file in its place
    said = steps("doctor", "--json")
    assert said.code == 4
    wrong = [each for each in said.json["findings"] if not each["ok"]]
    assert [(each["part"], each["unusable"]) for each in wrong] == [("state directory", True)]
    assert steps("runs", "list").code == 4


def test_the_doctor_names_a_plugin_that_does_not_fit_and_a_wrong_configuration(
    steps: Steps, tmp_path: Path
) -> None:
    steps.site.plugin("future", requires=("qtforge-sdk>=9",))
    said = steps("doctor")
    assert said.code == 1
    assert "✗ wrong  plugins: future (future) is incompatible: " in said.out
    config = tmp_path / "c.toml"
    config.write_text("[host\n")
    wrong = steps("--config", config, "doctor")
    assert (wrong.code, "✗ wrong  configuration: " in wrong.out) == (1, True)


def test_listing_runs_imports_no_plugin(steps: Steps) -> None:
    steps.site.plugin("loud", source="raise RuntimeError('it was imported')\n")
    for words in (("runs", "list"), ("doctor",)):
        assert steps(*words).code == 0
    assert "it was imported" not in steps("--debug", "runs", "list").err
    assert "it was imported" in steps("plugins", "check").out
