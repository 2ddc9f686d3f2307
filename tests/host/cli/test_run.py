"""``qtforge-host run``, ``workflows``, ``bus``, ``config``: output, JSON and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLUGIN = '''
import asyncio

import click

from qtforge_sdk import OperationError, Plugin, hookimpl, operation


WORKFLOW = """
name = "letters"
kind = "sequential"
version = "1.2.0"
description = "Does what the document's name says"
requires = ["letters >= 1.0"]
summary = "did ${stages.work.data.name}"

[[stages]]
name = "before"
operation = "letters.note"
message = { text = "${input.document.name}" }
compensation = { operation = "letters.note", message = { text = "undone" } }

[[stages]]
name = "extra"
operation = "letters.fail"
required = false
when = "input.document.name.startsWith('degraded')"

[[stages]]
name = "work"
operation = "letters.work"
timeout = "20s"
message = { name = "${input.document.name}", times = "${input.times}" }
"""


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [WORKFLOW.replace('description', 'defaults = { times = 1 }\\ndescription')]

    @hookimpl
    def qtforge_commands(self):
        @click.command()
        @click.option("--times", default=1)
        async def shout(times):
            """Shout through the bus."""
            bus = click.get_current_context().obj.bus
            answer = await bus.request("letters.work", {"name": "HEY", "times": times})
            click.echo(answer["name"])

        return [shout]

    @operation("letters.note")
    async def note(self, message: dict) -> str:
        return message["text"]

    @operation("letters.fail")
    async def fail(self, message: dict) -> None:
        raise OperationError("letters.refused", "it is refused", "as always", "send another")

    @operation("letters.work")
    async def work(self, message: dict) -> dict:
        if message["name"].startswith("bad"):
            raise OperationError("letters.bad", "a bad letter", "it is bad", "send a good one")
        if message["name"].startswith("slow"):
            print("working", flush=True)
            await asyncio.sleep(30)
        return {"name": message["name"] * message["times"]}
'''


@pytest.fixture
def letters(site: Any) -> Path:
    site.plugin("letters", "1.4.0", source=PLUGIN)
    return Path(site.root)


def test_a_run_is_shown_as_its_stages_and_its_summary(cli: Any, letters: Path) -> None:
    said = cli("run", "letters", "a.txt", path=letters)
    assert said.code == 0
    first, *stages, summary = said.out.splitlines()
    assert first.startswith("✓ succeeded  letters  a.txt  ")
    assert [line.split()[1:3] for line in stages] == [
        ["succeeded", "before"],
        ["skipped", "extra"],
        ["succeeded", "work"],
    ]
    assert "letters 1.4.0" in stages[0]
    assert summary.strip() == "did a.txt"


def test_json_has_the_documented_shape(cli: Any, letters: Path) -> None:
    (run,) = cli("run", "letters", "a.txt", "--json", path=letters).lines
    assert list(run) == [
        "schema_version", "run_id", "workflow", "kind", "document", "title", "tags",
        "started_by", "status", "started_at",
        "finished_at", "duration_s", "degraded", "result", "stages", "compensations", "error",
        "machine",
    ]  # fmt: skip
    assert run["machine"] is None
    assert (run["schema_version"], run["workflow"], run["kind"]) == (1, "letters", "sequential")
    assert (run["status"], run["degraded"], run["error"]) == ("succeeded", False, None)
    assert run["result"] == {"before": "a.txt", "extra": None, "work": {"name": "a.txt"}}
    assert list(run["stages"][0]) == [
        "name", "status", "attempts", "duration_s", "plugin", "plugin_version", "warning", "error",
    ]  # fmt: skip


def test_several_documents_are_json_lines_and_one_failure_makes_exit_code_1(
    cli: Any, letters: Path
) -> None:
    said = cli("run", "letters", "a", "bad", "degraded", "--json", "--jobs", "2", path=letters)
    assert said.code == 1
    runs = {run["document"]: run for run in said.lines}
    assert {name: run["status"] for name, run in runs.items()} == {
        "a": "succeeded", "bad": "compensated", "degraded": "succeeded",
    }  # fmt: skip
    assert runs["degraded"]["degraded"] is True
    assert runs["degraded"]["stages"][1]["status"] == "warning"
    assert runs["degraded"]["stages"][1]["warning"] == "it is refused: as always"
    assert runs["bad"]["error"] == {
        "code": "letters.bad", "message": "a bad letter: it is bad", "stage": "work",
        "plugin": "letters", "plugin_version": "1.4.0", "fix": "send a good one",
        "place": None, "traceback": None,  # it is raised on purpose
    }  # fmt: skip
    assert runs["bad"]["compensations"][0]["name"] == "before"


def test_a_failure_names_code_stage_plugin_version_and_fix(cli: Any, letters: Path) -> None:
    said = cli("run", "letters", "bad", path=letters)
    assert said.code == 1
    assert "error[letters.bad] in work (letters 1.4.0): a bad letter: it is bad" in said.out
    assert "fix: send a good one" in said.out


def test_inputs_come_from_a_file_and_from_assignments_which_go_first(
    cli: Any, letters: Path, tmp_path: Path
) -> None:
    toml, as_json = tmp_path / "in.toml", tmp_path / "in.json"
    toml.write_text('times = 3\n[document]\nname = "x"\n')
    as_json.write_text('{"times": 2, "document": {"name": "y"}}')
    for words, name in (
        (("--input", toml), "xxx"),
        (("--input", as_json), "yy"),
        (("--input", toml, "--set", "times=1"), "x"),
        (("--set", "document.name=z", "--set", "times=2"), "zz"),
        (("--set", 'document.name="a=b"'), "a=b"),
    ):
        (run,) = cli("run", "letters", *words, "--json", path=letters).lines
        assert run["result"]["work"]["name"] == name


TYPED = """\
name = "typed"
kind = "sequential"
result = "${input}"
[inputs]
title = { type = "string" }
names = { type = "list[string]" }
day = { type = "date", default = 2026-11-30 }
pin = { type = "string", secret = true, required = false }
[[stages]]
name = "one"
operation = "letters.note"
message = { text = "${input.title}" }
"""


def test_assignments_are_read_by_the_types_of_the_inputs(
    cli: Any, letters: Path, tmp_path: Path
) -> None:
    workflow = tmp_path / "typed.toml"
    workflow.write_text(TYPED)
    words = ("--set", "title=5", "--set", "names=Ada", "--set", "pin=12345678", "--json")
    (run,) = cli("run", workflow, *words, path=letters).lines
    result = run["result"]
    assert result.pop("pin").startswith("${input.pin~")
    assert result == {"title": "5", "names": ["Ada"], "day": "2026-11-30"}
    said = cli("run", workflow, "--set", "title=5", path=letters)
    assert said.code == 2
    assert "the input 'names' of 'typed' is missing" in said.err
    assert "give a list of strings" in said.err
    shown = cli("workflows", "show", workflow, "--json", path=letters).json["input_schema"]
    assert shown["required"] == ["title", "names"]


def test_a_fork_reads_and_checks_its_input_like_a_new_run(
    cli: Any, letters: Path, tmp_path: Path
) -> None:
    workflow = tmp_path / "typed.toml"
    workflow.write_text(TYPED)
    words = ("--set", "title=5", "--set", "names=Ada", "--set", "pin=12345678", "--json")
    (run,) = cli("run", workflow, *words, path=letters).lines
    fork = ("runs", "fork", run["run_id"])
    for wrong, text in (
        ("names=[[]]", "the input 'names' of 'typed' can't be [[]]"),
        ("day=soon", "the input 'day' of 'typed' can't be 'soon'"),
        ("size=5", "'typed' has no input 'size'"),
        ("names.first=Ada", "the input 'names' of 'typed' can't be {'first': 'Ada'}"),
    ):
        said = cli(*fork, "--set", wrong, path=letters)
        assert said.code == 2, said.err
        assert text in said.err
    (folder,) = tmp_path.glob("home/**/runs/secrets")
    (kept,) = folder.iterdir()  # what is refused leaves no secret behind
    assert run["run_id"] in kept.name
    (new,) = cli(*fork, "--set", "title=7", "--set", "names=Bo", "--json", path=letters).lines
    assert new["result"].pop("pin") == run["result"]["pin"]
    assert new["result"] == {"title": "7", "names": ["Bo"], "day": "2026-11-30"}


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("run", "leters"), 3, "did you mean 'letters'?"),
        (("run", "letters", "--set", "times"), 2, "--set takes KEY=VALUE"),
        (("run", "letters", "--input", "nosuch.toml"), 2, "nosuch.toml"),
        (("run", "letters", "--jobs", "0"), 2, "--jobs"),
        (("run",), 2, "Missing argument"),
        (("rnu",), 2, "Did you mean 'run'?"),
        (("bus", "request", "letters.wrok"), 1, "did you mean 'letters.work'?"),
        (("bus", "request", "no such"), 1, "is not a topic"),
        (("bus", "request", "letters.work", "--timeout", "soon"), 2, "not a duration"),
        (("bus", "request", "letters.work", "--plugin", "other"), 1, "'other' does not"),
        (("--config", "nosuch.toml", "plugins", "list"), 2, "nosuch.toml"),
        (("workflows", "show", "nosuch"), 3, "there is no workflow 'nosuch'"),
        (("workflows", "validate", "nosuch.toml"), 3, "there is no workflow"),
    ],
)
def test_wrong_input_gets_a_clear_error_and_its_exit_code(
    cli: Any, letters: Path, words: tuple[str, ...], code: int, text: str
) -> None:
    said = cli(*words, path=letters)
    assert (said.code, said.out) == (code, "")
    assert text in said.err


def test_a_workflow_whose_requirement_is_not_met_says_so_and_how_to_meet_it(
    cli: Any, letters: Path, tmp_path: Path
) -> None:
    file = tmp_path / "more.toml"
    file.write_text(
        'name = "more"\nkind = "sequential"\nrequires = ["letters >= 9", "nosuch"]\n'
        '[[stages]]\nname = "a"\noperation = "letters.note"\n'
    )
    said = cli("run", str(file), path=letters)
    assert (said.code, said.out) == (1, "")
    assert "error[workflow.unmet]" in said.err
    assert "letters >= 9: 'letters' is 1.4.0" in said.err
    assert "pip install 'letters>=9'" in said.err
    checked = cli("workflows", "validate", str(file), path=letters)
    assert checked.code == 1
    assert f"{file}:3: requires[0]: 'letters >= 9' is not met" in checked.out


def test_validate_compares_a_definition_with_the_types_of_topics_and_run_leaves_that_to_plugins(
    cli: Any, letters: Path, tmp_path: Path
) -> None:
    file = tmp_path / "typed.toml"
    file.write_text(
        'name = "typed"\nkind = "sequential"\nresult = "${stages.a.data}"\n[[stages]]\nname = "a"\n'
        'operation = "document.discard"\nmessage = { request_id = "none", requst = 1 }\n'
    )
    checked = cli("workflows", "validate", str(file), path=letters)
    assert checked.code == 1
    assert f"{file}:7: stages[0].message.requst: 'document.discard' does not know" in checked.out
    assert "did you mean 'request_id'?" in checked.out
    assert cli("run", str(file), path=letters).code == 0


def test_validate_knows_the_types_of_topics_that_only_the_kind_names(
    cli: Any, letters: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sources.toml"
    file.write_text(
        'name = "sources"\nkind = "parallel"\nresult = "${stages.s.data.rowz}"\ncolour = 1\n'
        '[[sources]]\nname = "s"\ntype = "file"\nendpoint = "rows.json"\n'
    )
    (checked,) = cli("workflows", "validate", str(file), "--json", path=letters).json["workflows"]
    assert [each["path"] for each in checked["problems"]] == ["colour", "result"]
    assert checked["problems"][1]["fix"] == "did you mean 'rows'?"


def test_a_definition_that_is_wrong_is_not_run(cli: Any, letters: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(
        'name = "wrong"\nkind = "sequential"\n[[stages]]\nname = "a"\noperation = "letters.not"\n'
        'timeut = "3s"\n'
    )
    said = cli("run", str(file), path=letters)
    assert (said.code, said.out) == (1, "")
    assert "timeut: unknown key (fix: did you mean 'timeout'?)" in said.err
    checked = cli("workflows", "validate", str(file), "letters", "--json", path=letters)
    assert checked.code == 1
    problem = checked.json["workflows"][0]["problems"][0]
    assert (problem["line"], problem["path"], problem["fix"]) == (
        6, "stages[0].timeut", "did you mean 'timeout'?",
    )  # fmt: skip
    assert checked.json["workflows"][1]["state"] == "ready"


def test_workflows_are_listed_and_shown(cli: Any, letters: Path) -> None:
    listed = cli("workflows", "list", "--json", path=letters).json["workflows"]
    assert {"name": "letters", "state": "ready", "version": "1.2.0"}.items() <= {
        key: value for each in listed if each["name"] == "letters" for key, value in each.items()
    }.items()
    shown = cli("workflows", "show", "letters", path=letters)
    assert 'operation = "letters.work"' in shown.out
    definition = cli("workflows", "show", "letters", "--json", path=letters).json["definition"]
    assert [stage["name"] for stage in definition["stages"]] == ["before", "extra", "work"]


def test_a_run_that_is_there_is_said_to_be_where_it_would_be_queued(
    cli: Any, letters: Path, tmp_path: Path
) -> None:
    file = tmp_path / "unique.toml"
    file.write_text(
        'name = "unique"\nkind = "sequential"\nunique = { key = "${input.n}" }\n'
        '[[stages]]\nname = "a"\noperation = "letters.note"\n'
    )
    queued = cli("run", file, "--set", "n=1", "--detach", path=letters).out
    run_id = queued.removeprefix("queued ")
    again = cli("run", file, "--set", "n=1", "--detach", path=letters)
    assert (again.code, again.out) == (0, f"there already: {run_id}")
    other = cli("run", file, "--set", "n=2", "--id", "x", "--detach", path=letters).out
    same = cli("run", file, "--set", "n=2", "--id", "x", "--detach", path=letters).out
    assert same == other.replace("queued ", "there already: ")


def test_a_workflow_is_drawn_as_the_file_says(cli: Any, letters: Path, tmp_path: Path) -> None:
    drawn = cli("workflows", "graph", "letters", path=letters)
    assert (drawn.code, drawn.out.startswith("flowchart TD\n")) == (0, True)
    page, picture = tmp_path / "letters.md", tmp_path / "letters.svg"
    assert cli("workflows", "graph", "letters", "-o", page, path=letters).out == ""
    assert page.read_text() == f"```mermaid\n{drawn.out}```\n"
    assert cli("workflows", "graph", "letters", "-o", picture, path=letters).code == 0
    assert "<svg" in picture.read_text()
    unknown = cli("workflows", "graph", "lettres", path=letters)
    assert (unknown.code, "did you mean 'letters'?" in unknown.err) == (3, True)
    nowhere = cli("workflows", "graph", "letters", "-o", picture / "x.dot", path=letters)
    assert (nowhere.code, "x.dot" in nowhere.err) == (2, True)


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ('[[stages]]\nname = "a"\nneeds = ["zz"]\noperation = "x.y"\n', "there is no stage 'zz'"),
        ('[[stages]]\nname = "a"\nblock = "zz"\n', "there is no block 'zz'"),
        (
            '[[stages]]\nname = "a"\nblock = "b"\n[[blocks.b.stages]]\nname = "c"\nblock = "b"\n',
            "the block would do itself",
        ),
    ],
)
def test_a_workflow_that_can_not_be_drawn_is_told_with_its_problems(
    cli: Any, letters: Path, tmp_path: Path, stages: str, problem: str
) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(f'name = "odd"\nkind = "graph"\n{stages}')
    drawn = cli("workflows", "graph", file, path=letters)
    assert (drawn.code, drawn.out) == (1, "")
    assert f"is not valid\n  why: {file}:" in drawn.err
    assert problem in drawn.err


def test_the_users_folder_of_workflows_is_read(cli: Any, letters: Path, tmp_path: Path) -> None:
    folder = tmp_path / "conf" / "workflows"
    folder.mkdir(parents=True)
    (folder / "own.toml").write_text(
        'name = "own"\nkind = "sequential"\n[[stages]]\nname = "a"\noperation = "letters.note"\n'
        'message = { text = "mine" }\nresult = 1\n'.replace("result = 1\n", "")
    )
    config = tmp_path / "conf" / "config.toml"
    config.write_text("")
    (run,) = cli("--config", config, "run", "own", "--json", path=letters).lines
    assert run["result"] == {"a": "mine"}


def test_a_plugins_command_runs_with_the_hosts_bus(cli: Any, letters: Path) -> None:
    assert cli("shout", path=letters).out == "HEY\n"
    assert cli("shout", "--times", "2", path=letters).out == "HEYHEY\n"
    shown = cli("shout", "--help", path=letters)
    assert (shown.code, "Shout through the bus." in shown.out) == (0, True)
    wrong = cli("shout", "--tims", "2", path=letters)
    assert (wrong.code, "--times" in wrong.err) == (2, True)
    listed = cli("plugins", "commands", "--json", path=letters).json["commands"]
    assert {"name": "shout", "help": "Shout through the bus."} in listed


def test_a_plugin_hears_of_every_record_of_a_run(cli: Any, letters: Path, site: Any) -> None:
    site.plugin(
        "listener",
        source="from qtforge_sdk import Plugin, hookimpl\n\n\n"
        "class Example(Plugin):\n    @hookimpl\n    def qtforge_on_run_event(self, event):\n"
        "        print('heard', type(event).__name__)\n",
    )
    said = cli("run", "letters", "a", path=letters)
    heard = [line.split()[1] for line in said.err.splitlines() if line.startswith("heard")]
    assert heard == [
        "RunStarted", "StepStarted", "StepSucceeded", "StepSkipped", "StepStarted",
        "StepSucceeded", "RunFinished",
    ]  # fmt: skip


def test_a_hook_that_never_returns_costs_its_plugin_alone(
    cli: Any, letters: Path, site: Any, tmp_path: Path
) -> None:
    site.plugin(
        "endless",
        source="import time\nfrom qtforge_sdk import Plugin, hookimpl\n\n\n"
        "class Example(Plugin):\n    @hookimpl\n    def qtforge_workflows(self):\n"
        "        while True:\n            time.sleep(0.05)\n",
    )
    config = tmp_path / "config.toml"
    config.write_text('[host]\nstart_timeout = "300ms"\n')
    said = cli("--config", config, "run", "letters", "a", path=letters)
    assert said.code == 0
    assert "endless did not return from qtforge_workflows in time" in said.err


def test_the_bus_shows_its_topics_and_answers(cli: Any, letters: Path) -> None:
    topics = cli("bus", "topics", "--json", path=letters).json["handlers"]
    assert {"topic": "letters.work", "plugin": "letters", "version": "1.4.0"}.items() <= {
        key: value for each in topics if each["topic"] == "letters.work"
        for key, value in each.items()
    }.items()  # fmt: skip
    answer = cli("bus", "request", "letters.note", "--set", "text=hi", "--json", path=letters)
    assert answer.json == {"schema_version": 1, "topic": "letters.note", "response": "hi"}


def test_config_show_says_what_is_in_force_and_from_where(cli: Any, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[host]\nrequest_timeout = "5s"\n[plugins.x]\nenabled = false\n')
    shown = cli("--config", config, "config", "show", "--json", QTFORGE_STATE_DIR="elsewhere").json
    assert shown["host"]["request_timeout"] == "5s"
    assert shown["plugins"] == {"x": {"enabled": False}}
    assert shown["files"]["state_dir"].endswith("/elsewhere")
    text = cli("--config", config, "config", "show").out
    assert f"# configuration: {config}" in text
    assert 'request_timeout = "5s"' in text


@pytest.mark.parametrize(
    ("written", "where"),
    [
        ("[host]\nrequest_timout = '5s'\n", "host.request_timout"),
        ("[host]\nquarantine_after = 'x'\n", "host.quarantine_after"),
        ("[host\n", "line 1"),
        ("[host]\nimport_timeout = 'soon'\n", "host.import_timeout"),
    ],
)
def test_a_wrong_configuration_is_named_with_file_and_key(
    cli: Any, tmp_path: Path, written: str, where: str
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(written)
    said = cli("--config", config, "plugins", "list")
    assert (said.code, said.out) == (2, "")
    assert "error[config.invalid]" in said.err
    assert str(config) in said.err
    assert where in said.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(cli: Any, shell: str) -> None:
    if shell == "bash" and os.system("bash -c 'exit 0'") != 0:  # click asks it for its version
        pytest.skip("bash is not installed")
    said = cli("completion", shell)
    assert (said.code, "_QTFORGE_HOST_COMPLETE" in said.out) == (0, True)


def test_versions_are_shown(cli: Any) -> None:
    assert cli("--version").out.startswith("qtforge-host 1.")


def test_colour_only_repeats_the_words_and_no_color_is_honoured(cli: Any, letters: Path) -> None:
    assert "\x1b" not in cli("run", "letters", "a", path=letters, NO_COLOR="1").out
    assert "\x1b" not in cli("plugins", "list", path=letters).out  # not a terminal


def test_output_in_ascii_still_has_the_words(cli: Any, letters: Path) -> None:
    said = cli("run", "letters", "a", path=letters, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert "* succeeded" in said.out


def test_ctrl_c_ends_a_run_cleanly_with_130(
    letters: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "qtforge_host.cli.main", "run", "letters", "slow", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONPATH": str(letters)},
        cwd=tmp_path,
    )
    assert process.stderr is not None
    while "working" not in process.stderr.readline():  # what a plugin prints is no data
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    run = json.loads(out)
    assert (run["status"], run["error"]["code"]) == ("cancelled", "run.cancelled")


def test_a_reader_that_goes_away_is_no_error(
    letters: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    command = f"{sys.executable} -m qtforge_host.cli.main workflows show letters | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=120,
        env={**environment, "PYTHONPATH": str(letters)}, cwd=tmp_path,
    )  # fmt: skip
    assert done.stderr == ""


def test_what_a_source_warns_of_is_in_the_json_and_on_the_terminal(
    cli: Any, tmp_path: Path
) -> None:
    pytest.importorskip("duckdb", reason="the extra 'files' is not installed")
    (tmp_path / "a.csv").write_text("id,name\n1,Ada\n2\n3\n")
    (tmp_path / "ragged.toml").write_text(
        'name = "ragged"\nkind = "parallel"\naggregation = { method = "union" }\n\n[[sources]]\n'
        'name = "people"\ntype = "file"\nendpoint = "a.csv"\n'
        'parameters = { ragged = "skip", limit = 1 }\n'
    )
    (tmp_path / "limit.toml").write_text(
        (tmp_path / "ragged.toml").read_text().replace("skip", "pad").replace("ragged", "limit", 1)
    )
    told = cli("run", tmp_path / "ragged.toml", "--json").json["result"]
    warning = {
        "code": "csv.ragged_rows",
        "message": "a.csv, line 3: it does not have 2 values; such rows are left out",
        "count": 2,
    }
    assert told["source_results"][0]["warnings"] == [{**warning, "source": ""}]
    assert told["aggregated"]["warnings"] == [{**warning, "source": "people"}]
    out = cli("run", tmp_path / "ragged.toml").out
    assert out.count(f"    warning: {warning['code']}: {warning['message']} (2 times)\n") == 1
    out = cli("run", tmp_path / "limit.toml").out
    assert out.count("rows.truncated: it has more than the 1 rows that a limit allows\n") == 1
