"""Schedules of real processes: paused, triggered and backfilled by the command line."""

from __future__ import annotations

import time
from typing import Any

from tests.serving import Serving, until

SCHEDULES = """
[schedules.often]
workflow = "quick"
every = "1s"
overlap = "allow"
input = { word = "${schedule.name}" }

[schedules.slow]
workflow = "steps"
cron = "0 0 29 2 *"
input = { word = "slow" }

[schedules.wrong]
workflow = "quick"
cron = "@yearly"
input = { word = "${schedule.nme}" }
"""


def shown(serving: Serving, name: str) -> Any:
    return serving.json("schedules", "show", name, "--json")


def test_a_schedule_is_paused_for_all_processes_and_resumed(serving: Serving) -> None:
    serving.config.write_text(SCHEDULES)
    serving.serve()
    serving.start("worker")
    until(lambda: len(shown(serving, "often")["past"]) >= 2)
    paused = serving.json("schedules", "pause", "often", "--reason", "moving", "--json")
    assert (paused["schedule"]["paused_why"], paused["schedule"]["next"]) == ("moving", None)
    again = serving.json("schedules", "pause", "often", "--json")
    assert again["schedule"]["paused_why"] == "moving"
    (row,) = [
        each for each in serving.json("schedules", "list", "--json")["schedules"]
        if each["name"] == "often"
    ]  # fmt: skip
    assert row["paused_at"] == paused["schedule"]["paused_at"]
    before = shown(serving, "often")["past"][0]["at"]  # what had begun is written
    time.sleep(2.5)
    assert shown(serving, "often")["past"][0]["at"] <= max(before, row["paused_at"])
    serving.json("schedules", "resume", "often", "--json")
    until(lambda: shown(serving, "often")["past"][0]["at"] > row["paused_at"])
    runs = {each["run_id"]: each for each in shown(serving, "often")["past"] if each["run_id"]}
    assert all(each["outcome"] == "started" for each in runs.values())
    assert set(serving.done) == {"quick often"}


def test_a_run_is_triggered_unless_one_is_unfinished_and_made_up_for_the_past(
    serving: Serving,
) -> None:
    serving.config.write_text(SCHEDULES.replace('every = "1s"', 'cron = "0 0 29 2 *"'))
    (run,) = serving.json("schedules", "trigger", "slow", "--json")["runs"]
    assert run["outcome"] == "triggered"
    assert shown(serving, "slow")["unfinished"] == [run["run_id"]]
    busy = serving.cli("schedules", "trigger", "slow")
    assert busy.returncode == 4
    assert f"the run {run['run_id']} of the schedule 'slow' is not finished" in busy.stderr
    assert "--force" in busy.stderr
    serving.json("schedules", "trigger", "slow", "--force", "--json")
    wrong = serving.cli("schedules", "trigger", "wrong")
    assert (wrong.returncode, "schedule.nme" in wrong.stderr) == (1, True)

    span = ("--from", "2019-01-01", "--to", "2025-01-01", "--json")
    planned = serving.json("schedules", "backfill", "often", "--dry-run", *span)["runs"]
    assert [each["at"][:10] for each in planned] == ["2020-02-29", "2024-02-29"]
    assert {each["outcome"] for each in planned} == {"planned"}
    made = serving.json("schedules", "backfill", "often", *span)["runs"]
    assert {each["outcome"] for each in made} == {"backfilled"}
    assert [each["run_id"] for each in made] == [each["run_id"] for each in planned]
    there = serving.json("schedules", "backfill", "often", *span)["runs"]
    assert [(each["outcome"], each["run_id"]) for each in there] == [
        ("there", each["run_id"]) for each in made
    ]
    again = serving.json("schedules", "backfill", "often", "--again", *span)["runs"]
    assert {each["outcome"] for each in again} == {"backfilled"}
    assert not {each["run_id"] for each in again} & {each["run_id"] for each in made}
    many = serving.cli(
        "schedules", "backfill", "often", "--from", "0001-01-01", "--to", "9999-01-01"
    )
    assert many.returncode == 0, many.stderr
    ancient = ("--from", "0001-01-01T00:00:00+14:00", "--to", "0001-01-02", "--json")
    assert serving.json("schedules", "backfill", "often", *ancient)["runs"] == []
    reversed_span = ("--from", "2020-02-29", "--to", "2020-02-28")
    wrong = serving.cli("schedules", "backfill", "often", *reversed_span)
    assert (wrong.returncode, "ends before it starts" in wrong.stderr) == (2, True)
    alone = serving.cli("schedules", "backfill", "often", "--again", "--jobs", "1", *span[:-1])
    assert (alone.returncode, len(alone.stdout.splitlines())) == (0, 1)
    assert "no process executes these runs" in alone.stderr
    server = serving.serve()
    until(lambda: serving.done.count("quick often") >= 5)
    one_by_one = serving.cli("schedules", "backfill", "often", "--again", "--jobs", "1", *span[:-1])
    assert [line.split()[3] for line in one_by_one.stdout.splitlines()] == ["backfilled"] * 2
    first, _ = (server.run(line.split()[-1]) for line in one_by_one.stdout.splitlines())
    assert first["status"] == "succeeded"  # it had ended before the second one was queued
    years = {"since": "2019-01-01T00:00:00Z", "until": "2025-01-01T00:00:00Z", "jobs": 1}
    cut = server.post("/v1/schedules/slow/backfill", years).json()
    assert ([each["outcome"] for each in cut["runs"]], cut["is_cut_short"]) == (
        ["backfilled"], True,
    )  # fmt: skip
    (serving.folder / "go").touch()
    rest = server.post("/v1/schedules/slow/backfill", years, params={"wait": "60s"}).json()
    assert ([each["outcome"] for each in rest["runs"]], rest["is_cut_short"]) == (
        ["there", "backfilled"], False,
    )  # fmt: skip
    until(lambda: not shown(serving, "slow")["unfinished"])
    assert server.run(run["run_id"])["status"] == "succeeded"


def test_a_schedule_that_is_not_there_or_not_valid_is_said(serving: Serving) -> None:
    serving.config.write_text(SCHEDULES)
    unknown = serving.cli("schedules", "pause", "oftn")
    assert (unknown.returncode, "did you mean 'often'?" in unknown.stderr) == (3, True)
    serving.config.write_text(
        '[schedules.x]\nworkflow = "quick"\ncron = "0 0 * * *"\nevery = "1h"\n'
    )
    both = serving.cli("schedules", "list")
    assert (both.returncode, "'cron' and 'every' are both there" in both.stderr) == (2, True)


def test_a_workflow_with_problems_is_not_started_unless_another_pool_executes_it(
    serving: Serving,
) -> None:
    folder = serving.config.parent / "workflows"
    folder.mkdir(exist_ok=True)
    (folder / "half.toml").write_text(
        'name = "half"\nkind = "sequential"\n[[stages]]\nname = "a"\noperation = "no.such"\n'
    )
    text = '[schedules.half]\nworkflow = "half"\ncron = "0 0 29 2 *"\n'
    serving.config.write_text(text)
    wrong = serving.cli("schedules", "trigger", "half")
    assert (wrong.returncode, "no active plugin answers 'no.such'" in wrong.stderr) == (1, True)
    assert serving.json("runs", "list", "--json")["runs"] == []
    serving.config.write_text(f'{text}pool = "others"\n')
    (run,) = serving.json("schedules", "trigger", "half", "--json")["runs"]
    assert run["outcome"] == "triggered"
