"""New definitions can be validated as they are written."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import msgspec
import pytest
from tests.host.cli.conftest import Cli, cli, environment, home

from qtforge_host.scaffold.workflow import KINDS, write_workflow
from qtforge_host.toml_schema import toml_schema

__all__ = ["cli", "environment", "home"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config" / "config.toml"


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_definition_is_valid_and_lies_beside_the_configuration(
    kind: str, cli: Cli, config: Path
) -> None:
    config.parent.mkdir()
    config.touch()
    stages = kind in ("sequential", "graph", "conditional")
    operations = ("--operation", "document.parse", "--operation", "content.analyze") * stages
    made = cli("--config", config, "workflows", "new", "mine", "--kind", kind, *operations)
    assert made.code == 0, made.err
    file = config.parent / "workflows" / "mine.toml"
    assert str(file) in made.out
    checked = cli("--config", config, "workflows", "validate", "mine", "--json")
    assert checked.json["workflows"][0]["problems"] == []
    read = tomllib.loads(file.read_text())
    assert read["kind"] == kind
    header = file.read_text().partition("\n")[0]
    schema = json.loads((file.parent / header.removeprefix("#:schema ")).read_text())
    assert schema["properties"]["kind"]["const"] == kind
    if stages:
        assert [stage["operation"] for stage in read["stages"]] == list(operations[1::2])
        assert read["inputs"]["parsed_content"] == {"type": "string"}
        assert "# options =" in file.read_text()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("My Own", "--kind", "reactive"), 2, "such as 'my-own'"),
        (("mine", "--kind", "reactiv"), 2, "did you mean 'reactive'?"),
        (("mine",), 2, "--operation TOPIC"),
        (("mine", "--kind", "reactive", "--operation", "document.parse"), 2, "leave it out"),
        (("mine", "--operation", "document.prse"), 3, "did you mean 'document.parse'?"),
        (("document-approval", "--kind", "reactive"), 2, "there is a workflow"),
    ],
)
def test_what_can_not_be_written_is_refused(
    words: tuple[str, ...], code: int, says: str, cli: Cli, config: Path
) -> None:
    config.parent.mkdir()
    config.touch()
    said = cli("--config", config, "workflows", "new", *words)
    assert said.code == code
    assert says in said.err
    assert not (config.parent / "workflows").exists()


class Room(msgspec.Struct):
    name: str


class Maze(msgspec.Struct):
    """A definition of a kind of a plugin's own.

    Attributes:
        entry: Where it begins; a room
            like the others.
        rooms: All of them.
    """

    name: str
    kind: str
    entry: Room
    rooms: list[Room]
    doors: int
    colour: str | int
    is_dark: bool = False


def test_a_definition_of_a_plugins_own_kind_has_its_schema_and_what_it_requires(
    tmp_path: Path,
) -> None:
    schema = toml_schema(Maze, title="A maze", kind="maze")
    file = write_workflow("mine", "maze", {}, tmp_path, (), schema)
    text = file.read_text()
    assert tomllib.loads(text) == {
        "name": "mine", "kind": "maze", "entry": {}, "rooms": [], "doors": 0, "colour": "",
    }  # fmt: skip
    assert text.startswith("#:schema ./.schemas/maze.json\n")
    assert json.loads((tmp_path / ".schemas/maze.json").read_text()) == schema
    assert "# Where it begins; a room like the others." in text
