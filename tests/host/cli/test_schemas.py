"""Editors check definitions and the configuration by their schemas, as `validate` does.

taplo (Even Better TOML) and tombi are what editors use; both are asked.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = {"taplo": ["check"], "tombi": ["lint", "--offline"]}
KINDS = ("conditional", "graph", "parallel", "reactive", "sequential")
FOLDERS = ("builtin_plugins", "sample_plugins", "examples", "host")

SEQUENTIAL = """\
name = "steps"
kind = "sequential"
timeout = "1h30m"
result = { anything = { nested = [1, "two"] } }
[inputs]
day = { type = "date", description = "which day" }
[[stages]]
name = "first"
operation = "document.find"
message = { query = "agreement" }
timeout = 3
retry = { max_attempts = 3, max_delay = "2s" }
"""
MISTAKES = {
    "an unknown key": ('name = "first"', 'nam = "first"'),
    "a key of another table": ('kind = "sequential"', 'kind = "sequential"\nneeds = []'),
    "a word for a number": ("max_attempts = 3", 'max_attempts = "three"'),
    "a number for a text": ('name = "steps"', "name = 1"),
    "a table for a list": ("[[stages]]", "[stages]"),
    "a length of time in words": ('"1h30m"', '"90 minutes"'),
    "a choice that there is not": ('kind = "sequential"', 'kind = "sequential"\non_failure = "no"'),
    "a missing key": ('name = "steps"\n', ""),
    "an unknown key of an input": ("description =", "descripton ="),
    "a list for a text": ('operation = "document.find"', 'operation = ["document.find"]'),
}
CONFIG = """\
#:schema ./config.schema.json
[host]
request_timeout = "20s"
max_value = "64 MiB"
[topics."document.parse".breaker]
failures = 3
[topics."some.other.topic".limits]
rate = "10/s"
[plugins.file-collector.config]
max_files = 10
[plugins.not-installed]
enabled = false
[schedules.nightly]
workflow = "document-processing"
cron = ["0 3 * * *", "@daily"]
start = 2026-12-01
input = { any = { thing = 1 } }
[retention]
succeeded = "30d"
[retention.workflows."document-*"]
failed = "forever"
"""
CONFIG_MISTAKES = {
    "an unknown key": ("request_timeout", "request_timout"),
    "an unknown table": ("[host]", "[hosts]"),
    "an unknown option of a plugin": ("max_files", "max_file"),
    "a text for a number": ("failures = 3", 'failures = "3"'),
    "a choice that there is not": ("start = 2026-12-01", 'overlap = "never"'),
    "a length of time in words": ('"20s"', '"20 seconds"'),
    "a missing key": ('workflow = "document-processing"\n', ""),
}


def accepts(tool: str, file: Path) -> bool:
    """Return whether a tool accepts a file that names its schema."""
    command = Path(sys.executable).with_name(tool)
    if not command.exists():
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run(
        [command, *TOOLS[tool], file.name],
        cwd=file.parent, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    said = done.stdout + done.stderr
    # A schema that can't be read, or is not strict enough, is a warning.
    assert done.returncode == 1 or "warning" not in said.lower(), said
    return done.returncode == 0


def definitions() -> list[Path]:
    found = []
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.toml")):
            try:
                table = tomllib.loads(file.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # a template
                continue
            if table.get("kind") in KINDS and "name" in table:
                found.append(file)
    return found


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    """The schema of each kind, and of the configuration."""
    from qtforge_host.api import BlockingRunClient

    with BlockingRunClient(journal="memory") as client:
        found = {kind: client.host.workflow_schema(kind) for kind in KINDS}
        return {**found, "config": client.host.config_schema()}


@pytest.fixture
def definition(tmp_path: Path, schemas: dict[str, Any]) -> Callable[[str, str], Path]:
    """Write a definition that names the schema of its kind."""

    def write(text: str, kind: str) -> Path:
        (tmp_path / f"{kind}.json").write_text(json.dumps(schemas[kind]), encoding="utf-8")
        file = tmp_path / "definition.toml"
        file.write_text(f"#:schema ./{kind}.json\n{text}", encoding="utf-8")
        return file

    return write


@pytest.mark.parametrize("tool", TOOLS)
def test_every_definition_of_the_repository_is_accepted(
    definition: Callable[[str, str], Path], tool: str
) -> None:
    files = definitions()
    assert len(files) >= 9
    for file in files:
        text = file.read_text(encoding="utf-8")
        kind = tomllib.loads(text)["kind"]
        assert accepts(tool, definition(text, kind)), file


@pytest.mark.parametrize("tool", TOOLS)
def test_a_definition_with_a_mistake_is_rejected(
    definition: Callable[[str, str], Path], tool: str
) -> None:
    assert accepts(tool, definition(SEQUENTIAL, "sequential"))
    missed = [
        mistake
        for mistake, (right, wrong) in MISTAKES.items()
        if accepts(tool, definition(SEQUENTIAL.replace(right, wrong, 1), "sequential"))
    ]
    assert missed == []
    assert not accepts(tool, definition(SEQUENTIAL, "parallel"))


def test_validate_says_the_same_of_each_definition(cli: Any, tmp_path: Path) -> None:
    names = []
    for number, (right, wrong) in enumerate([("", ""), *MISTAKES.values()]):
        assert right in SEQUENTIAL
        names.append(tmp_path / f"{number}.toml")
        names[-1].write_text(SEQUENTIAL.replace(right, wrong, 1), encoding="utf-8")
    found = cli("workflows", "validate", *names, "--json").json["workflows"]
    assert [bool(row["problems"]) for row in found] == [False, *(True for _ in MISTAKES)]


@pytest.mark.parametrize("tool", TOOLS)
def test_the_configuration_is_accepted_and_its_mistakes_are_rejected(
    tmp_path: Path, schemas: dict[str, Any], tool: str
) -> None:
    (tmp_path / "config.schema.json").write_text(json.dumps(schemas["config"]), encoding="utf-8")
    file = tmp_path / "config.toml"
    file.write_text(CONFIG, encoding="utf-8")
    assert accepts(tool, file)
    missed = []
    for mistake, (right, wrong) in CONFIG_MISTAKES.items():
        assert right in CONFIG
        file.write_text(CONFIG.replace(right, wrong, 1), encoding="utf-8")
        if accepts(tool, file):
            missed.append(mistake)
    assert missed == []


def test_a_schema_says_what_each_key_means(schemas: dict[str, Any]) -> None:
    host = schemas["config"]["properties"]["host"]["properties"]
    found = {f"host.{name}": each for name, each in host.items()}
    for kind in KINDS:  # their tables too; what a kind inherits from `Definition` is among them
        tables = {"": schemas[kind], **schemas[kind]["$defs"]}
        for name, table in tables.items():
            keys = table.get("properties", {})
            found |= {f"{kind}.{name}.{key}": each for key, each in keys.items()}
    undescribed = [name for name, each in found.items() if not each.get("description")]
    assert (undescribed, len(found) > 300) == ([], True)
    assert schemas["sequential"]["properties"]["kind"]["const"] == "sequential"
    assert "document.parse" in schemas["config"]["properties"]["topics"]["properties"]
    options = schemas["config"]["properties"]["plugins"]["properties"]["http-collector"]
    assert "allow" in options["properties"]["config"]["properties"]


def test_the_header_is_written_once_with_its_schema(cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "steps.toml"
    file.write_text(SEQUENTIAL, encoding="utf-8")
    said = cli("workflows", "validate", "--fix-header", "steps.toml")
    assert (said.code, "names its schema" in said.err) == (0, True), said.err
    assert file.read_text(encoding="utf-8") == f"#:schema ./.schemas/sequential.json\n{SEQUENTIAL}"
    assert json.loads((tmp_path / ".schemas" / "sequential.json").read_text())["$schema"]
    for tool in TOOLS:
        assert accepts(tool, file)
    again = cli("workflows", "validate", "--fix-header", "steps.toml")
    assert (again.code, again.err) == (0, "")
    assert file.read_text(encoding="utf-8").count("#:schema") == 1
    assert cli("run", "steps.toml", "--dry-run", "--set", "day=2026-01-01").code == 0


def test_a_schema_is_printed_or_written(cli: Any, tmp_path: Path) -> None:
    said = cli("workflows", "schema", "reactive")
    assert said.json["properties"]["kind"]["const"] == "reactive"
    assert cli("config", "schema", "-o", "config.json").code == 0
    assert json.loads((tmp_path / "config.json").read_text())["$defs"]
    wrong = cli("workflows", "schema", "sequental")
    assert (wrong.code, "did you mean 'sequential'?" in wrong.err) == (3, True)
    assert cli("config", "schema", "-o", f"{tmp_path / 'config.json'}/x.json").code == 2


@pytest.fixture
def config(home: Path) -> Path:
    """The configuration file."""
    file = home / ".config" / "qtforge" / "config.toml"
    file.parent.mkdir(parents=True)
    return file


def test_every_setting_has_its_place(cli: Any, config: Path) -> None:
    config.write_text(
        '[host]\nrest_after = "9s"\n\n[plugins.x.config]\npassword = "p1"\nkey = "${secret.K}"\n'
        'url = "https://me:p2@host/p"\n[schedules."a b"]\nworkflow = "w"\n'
        'cron = "@daily"\ninput = { api_key = "p3", list = [{ token = "p4" }] }\n'
    )
    said = cli("config", "show", QTFORGE_JOURNAL="postgresql://u:p5@h/d?sslpassword=p6")
    rows = {tuple(each["key"]): each for each in cli("config", "show", "--json").json["settings"]}
    assert rows["host", "rest_after"] == {
        "key": ["host", "rest_after"], "value": "9s", "source": f"{config}:2",
    }  # fmt: skip
    assert rows["host", "bus"]["source"] == "default"
    assert rows["plugins", "x", "config", "key"]["value"] == "${secret.K}"
    assert rows["schedules", "a b", "cron"]["source"] == f"{config}:10"
    shown = tomllib.loads(said.out)  # comments tell the places
    assert shown["schedules"]["a b"]["input"] == {"api_key": "***", "list": [{"token": "***"}]}
    assert shown["plugins"]["x"]["config"]["url"] == "https://***@host/p"
    assert 'journal = "postgresql://h/d"' in said.out
    assert "# QTFORGE_JOURNAL" in said.out
    assert not any(f"p{number}" in said.out for number in range(1, 7))


def test_the_path_is_known_whatever_is_in_the_file(cli: Any, config: Path) -> None:
    config.write_text("[host\n")
    assert cli("config", "path").out == f"{config}\n"
    assert cli("config", "path", "--json").json["exists"] is True
    assert cli("config", "path", QTFORGE_CONFIG="/no/file.toml").out == "/no/file.toml\n"


def test_a_configuration_is_validated_with_the_options_of_plugins(cli: Any, config: Path) -> None:
    assert cli("config", "validate").code == 0
    config.write_text("[host\n")
    assert cli("config", "validate").code == 2
    config.write_text("[plugins.file-collector.config]\nmax_file = 1\n")
    said = cli("config", "validate")
    assert said.code == 1
    assert "plugins.file-collector.config.max_file: unknown key" in said.out
    assert "did you mean 'max_files'?" in said.out
    found = cli("config", "validate", "--json").json["problems"]
    assert [each["where"] for each in found] == ["plugins.file-collector"]


def test_a_configuration_is_edited_then_checked(cli: Any, config: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "[host]" >> "$1"\necho "rest_after = \\"$WORD\\"" >> "$1"\n')
    editor.chmod(0o755)
    said = cli("config", "edit", EDITOR=str(editor), WORD="9s")
    assert said.code == 0, said.err
    text = config.read_text()
    assert text.startswith("#:schema ./config.schema.json\n# The configuration of QtForge Host")
    assert json.loads(config.with_name("config.schema.json").read_text())["$defs"]
    assert text.endswith('[host]\nrest_after = "9s"\n')
    config.unlink()
    assert cli("config", "edit", EDITOR=str(editor), WORD="soon").code == 2
    assert cli("config", "edit", EDITOR=shutil.which("false")).code == 1
