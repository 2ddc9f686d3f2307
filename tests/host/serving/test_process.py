"""``qtforge-host serve`` as a process: it starts, resumes after a kill, ends, restarts."""

from __future__ import annotations

import signal
import sqlite3
import stat
from typing import Any

import pytest
from tests.serving import Server, Serving, said, until


def status_of(server: Server, run_id: str) -> str:
    status: str = server.run(run_id)["status"]
    return status


def test_it_says_where_it_listens_and_keeps_the_token_to_its_owner(
    serving: Serving, server: Server
) -> None:
    token = serving.folder / "state" / "serve" / "token"
    assert server.said == [
        f"listening on {server.url}",
        f"the token is in {token}",
        "serving; end it with SIGTERM or Ctrl-C",
    ]
    assert server.url.startswith("http://127.0.0.1:")
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(server.token) >= 32


def test_nobody_else_can_open_what_is_kept_in_the_state_directory(
    serving: Serving, server: Server
) -> None:
    server.start("steps", word="a")
    until(lambda: serving.done == ["first a"])
    state = serving.folder / "state"
    modes = {each: stat.S_IMODE(each.stat().st_mode) for each in (state, *state.rglob("*"))}
    assert not [each for each, mode in modes.items() if mode & 0o077]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0(server: Server, how: signal.Signals) -> None:
    assert server.end(how) == 0
    assert said(server.error) == []


def test_a_second_process_is_refused_and_told_who_serves(serving: Serving, server: Server) -> None:
    refused = serving.cli("serve", "--port", "0")
    assert refused.returncode == 4
    assert "error[serve.already_running]" in refused.stderr
    assert f"process {server.process.pid} serves it already" in refused.stderr
    assert server.get("/readyz").status_code == 200


def test_the_token_stays_the_same_over_a_restart(serving: Serving, server: Server) -> None:
    server.end()
    assert serving.serve().token == server.token


def test_a_busy_run_is_left_at_the_end_and_finished_by_the_next_process(
    serving: Serving, server: Server
) -> None:
    run_id = server.start("steps", word="a")["run_id"]
    until(lambda: serving.done == ["first a"])
    assert server.end() == 0
    assert serving.done == ["first a"]  # not undone: it was not cancelled
    (serving.folder / "go").touch()
    again = serving.serve()
    until(lambda: status_of(again, run_id) == "succeeded")
    assert serving.done == ["first a", "second", "third a"]


def test_a_run_that_is_done_within_the_grace_period_succeeds(serving: Serving) -> None:
    server = serving.serve("--grace", "20s")
    run_id = server.start("steps", word="a")["run_id"]
    until(lambda: serving.done == ["first a"])
    server.process.send_signal(signal.SIGTERM)
    until(lambda: server.get("/readyz").status_code == 503)
    assert server.get("/healthz").status_code == 200
    (serving.folder / "go").touch()
    assert server.process.wait(timeout=60) == 0
    assert serving.json("runs", "show", run_id, "--json")["status"] == "succeeded"


def test_a_second_signal_ends_the_waiting(serving: Serving) -> None:
    server = serving.serve("--grace", "10m")
    run_id = server.start("steps", word="a")["run_id"]
    until(lambda: serving.done == ["first a"])
    server.process.send_signal(signal.SIGINT)
    until(lambda: server.get("/readyz").status_code == 503)
    assert server.end(signal.SIGINT) == 0
    assert serving.json("runs", "show", run_id, "--json")["status"] == "interrupted"


def test_a_run_that_is_being_undone_is_left_in_the_middle_of_it(
    serving: Serving, server: Server
) -> None:
    run_id = server.start("undone", word="a")["run_id"]
    until(lambda: serving.done == ["first a"])
    server.post(f"/v1/runs/{run_id}/cancel")
    until(lambda: server.run(run_id)["compensations"])
    assert server.end() == 0
    assert serving.done == ["first a"]
    (serving.folder / "go").touch()
    again = serving.serve()
    until(lambda: status_of(again, run_id) == "cancelled")
    assert serving.done == ["first a", "undo first"]


def test_after_a_kill_the_next_process_goes_on(serving: Serving, server: Server) -> None:
    run_id = server.start("steps", word="a")["run_id"]
    waits = server.start("waits")["run_id"]
    until(lambda: serving.done == ["first a"])
    server.end(signal.SIGKILL)
    (serving.folder / "go").touch()
    again = serving.serve()
    until(lambda: status_of(again, run_id) == "succeeded")
    assert serving.done == ["first a", "second", "third a"]
    until(lambda: status_of(again, waits) == "waiting")
    sent = again.post(f"/v1/runs/{waits}/events", {"name": "go", "data": 1}, params={"wait": "20s"})
    assert sent.json()["received"]
    until(lambda: status_of(again, waits) == "succeeded")


def test_a_run_that_another_process_left_is_taken_up(serving: Serving, server: Server) -> None:
    other = serving.start("run", "steps", "--set", "word=b")

    def recorded() -> list[str]:
        """Return the steps of the run whose answer the journal holds: they are not done again."""
        runs = server.get("/v1/runs").json()["runs"]
        steps = server.get(f"/v1/runs/{runs[0]['run_id']}").json()["stages"] if runs else []
        return [each["name"] for each in steps if each["status"] == "succeeded"]

    until(lambda: recorded() == ["first"])
    assert serving.done == ["first b"]
    other.kill()
    other.wait(timeout=60)
    (serving.folder / "go").touch()
    until(lambda: server.get("/v1/runs").json()["runs"][0]["status"] == "succeeded")
    assert serving.done == ["first b", "second", "third b"]


def test_a_planned_time_that_passed_is_caught_up_by_one_run_also_over_a_kill(
    serving: Serving,
) -> None:
    serving.config.write_text(
        '[schedules.tick]\nworkflow = "quick"\ncron = "0 0 * * *"\ncatch_up = "one"\n'
        'input = { word = "tick" }\n[schedules.off]\nworkflow = "quick"\ncron = "* * * * *"\n'
        "enabled = false\n"
    )
    memory = serving.folder / "state" / "serve" / "schedules.json"
    memory.parent.mkdir(parents=True)
    before = '{"tick": {"planned": "2026-01-01T00:00:00Z"}}'
    memory.write_text(before)
    server = serving.serve()
    until(lambda: serving.done == ["quick tick"])
    until(lambda: server.get("/v1/runs").json()["runs"][0]["status"] == "succeeded")
    server.end(signal.SIGKILL)
    (journal,) = (serving.folder / "state").rglob("journal.sqlite3")
    with sqlite3.connect(journal) as connection:  # as if it had been killed before that
        assert connection.execute("DELETE FROM kept_values").rowcount == 1
    connection.close()
    again = serving.serve()
    until(lambda: again.get("/v1/schedules/tick").json()["past"])
    (run,) = again.get("/v1/runs").json()["runs"]
    rows = {row["name"]: row for row in serving.json("schedules", "list", "--json")["schedules"]}
    assert rows["tick"]["last_run"] == run["run_id"]
    assert rows["tick"]["next"] is not None
    assert (rows["off"]["next"], rows["off"]["last_run"]) == (None, None)
    assert serving.done == ["quick tick"]


def test_the_other_commands_work_beside_it(serving: Serving, server: Server) -> None:
    run_id = server.start("steps", word="a")["run_id"]
    until(lambda: serving.done == ["first a"])
    assert run_id in serving.cli("runs", "list").stdout
    cancelled = serving.json("runs", "cancel", run_id, "--json")
    assert cancelled["status"] == "cancelled"
    assert serving.done == ["first a", "undo first"]
    assert status_of(server, run_id) == "cancelled"


def test_a_changed_configuration_is_used_without_a_restart(
    serving: Serving, server: Server
) -> None:
    folder = serving.folder / "workflows"
    folder.mkdir()
    (folder / "mine.toml").write_text(
        'name = "mine"\nkind = "sequential"\nversion = "1.0.0"\n'
        '[[stages]]\nname = "one"\noperation = "steps.note"\nmessage = { text = "mine" }\n'
    )

    def known() -> Any:
        answer = server.get("/v1/workflows/mine")
        return answer.status_code == 200

    until(known)
    assert server.start("mine", wait="20s")["status"] == "succeeded"


def test_a_configuration_that_is_not_valid_is_told_and_not_used(
    serving: Serving, server: Server
) -> None:
    serving.config.write_text('[schedules.x]\nworkflow = "quick"\ncron = "never"\n')
    until(lambda: "the new configuration is not used" in server.error)
    assert "schedules.x.cron" in server.error
    assert server.start("quick", wait="20s", word="still")["status"] == "succeeded"


def test_sighup_uses_a_changed_configuration_at_once(serving: Serving, server: Server) -> None:
    assert serving.json("schedules", "list", "--json")["schedules"] == []
    before = server.start("waits")["run_id"]
    serving.config.write_text('[topics."steps.note"]\ntimeout = "never"\n')
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "the new configuration is not used" in server.error)
    assert server.start("quick", wait="20s", word="a")["status"] == "succeeded"
    folder = serving.folder / "workflows"
    folder.mkdir()
    serving.config.write_text("")
    (folder / "mine.toml").write_text(
        'name = "mine"\nkind = "sequential"\nversion = "1.0.0"\n'
        '[[stages]]\nname = "one"\noperation = "steps.note"\nmessage = { text = "mine" }\n'
    )
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "the configuration has changed" in server.error)
    until(lambda: server.get("/v1/workflows/mine").status_code == 200)
    assert server.start("mine", wait="20s")["status"] == "succeeded"
    assert status_of(server, before) == "waiting"
    assert server.end() == 0


def test_a_configuration_with_which_the_host_does_not_start_is_told_and_not_used(
    serving: Serving, server: Server
) -> None:
    serving.config.write_text('[host]\njournal = "stone"\n')
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "the host does not start with the new configuration" in server.error)
    assert "stone" in server.error
    until(lambda: server.get("/readyz").status_code == 200)
    assert server.start("quick", wait="20s", word="still")["status"] == "succeeded"
    serving.config.write_text("")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.error.count("the configuration has changed") == 2)
    until(lambda: server.get("/readyz").status_code == 200)
    assert server.end() == 0


def test_a_configuration_that_is_not_valid_keeps_it_from_starting(serving: Serving) -> None:
    serving.config.write_text('[schedules.x]\nworkflow = "quick"\ncron = "0 9 * * *"\nzone = "x"\n')
    refused = serving.cli("serve", "--port", "0")
    assert refused.returncode == 2
    assert "schedules.x.zone" in refused.stderr
    assert "did you mean 'timezone'?" in refused.stderr or "use one of" in refused.stderr


def test_an_address_that_is_taken_is_a_clear_error(serving: Serving, server: Server) -> None:
    other = serving.beside("elsewhere")
    refused = other.cli("serve", "--port", server.url.rpartition(":")[2])
    assert refused.returncode == 1
    assert "error[serve.cannot_listen]" in refused.stderr


def test_without_http_it_only_keeps_runs_going(serving: Serving) -> None:
    run_id = serving.json("run", "quick", "--set", "word=x", "--json")["run_id"]
    server = serving.serve("--no-http")
    assert server.said == ["serving; end it with SIGTERM or Ctrl-C"]
    assert not (serving.folder / "state" / "serve" / "token").exists()
    assert server.end() == 0
    assert serving.json("runs", "show", run_id, "--json")["status"] == "succeeded"


def test_without_the_libraries_serve_says_what_to_install(serving: Serving) -> None:
    (serving.site.root / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'uvicorn' else find(name, *rest)\n"
    )
    refused = serving.cli("serve")
    assert refused.returncode == 1
    assert "error[serve.not_installed]" in refused.stderr
    assert "pip install 'qtforge-host[serve]'" in refused.stderr
