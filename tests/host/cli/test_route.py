"""``qtforge-host route``: table, reasons, JSON and exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PLUGIN = '''
from qtforge_sdk import OperationError, Plugin, hookimpl, operation

ROUTING = """
name = "document-routing"
kind = "conditional"
requires = ["letters >= 1.0"]
confidence = "${stages.look.data.sure}"

[[stages]]
name = "look"
operation = "letters.look"
message = { name = "${input.document.name}" }

[names]
documentType = "${stages.look.data.kind}"

[[rules]]
name = "letters"
condition = "documentType == 'letter'"
target = "letter_pipeline"
priority = 3

[[rules]]
name = "notes"
condition = "documentType.startsWith('not')"
target = "note_pipeline"
priority = 2

[input]
name = "${input.document.name}"
"""
PIPELINE = """
name = "%s_pipeline"
kind = "sequential"
[[stages]]
name = "work"
operation = "letters.work"
message = { name = "${input.name}" }
"""


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [PIPELINE % "letter", PIPELINE % "note"]

    @operation("letters.look")
    async def look(self, message: dict) -> dict:
        if message["name"].startswith("torn"):
            raise OperationError("letters.torn", "it is torn", "a dog was there", "ask again")
        return {"kind": message["name"].partition("-")[0], "sure": 0.5}

    @operation("letters.work")
    async def work(self, message: dict) -> str:
        if "bad" in message["name"]:
            raise OperationError("letters.bad", "a bad letter")
        return "worked"
'''


@pytest.fixture
def letters(site: Any, home: Path) -> Path:
    """A plugin, and its own rules in the user's folder, which go before the built-in ones."""
    site.plugin("letters", "1.4.0", source=PLUGIN)
    folder = home / ".config" / "qtforge" / "workflows"
    folder.mkdir(parents=True)
    rules = PLUGIN.partition('ROUTING = """')[2].partition('"""')[0]
    (folder / "routing.toml").write_text(rules)
    return Path(site.root)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    for name in ("letter-a", "note-b", "sub/letter-c"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("Dear all")
    return folder


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()[1:]]


def runs(cli: Any, letters: Path) -> list[Any]:
    found: list[Any] = cli("runs", "list", "--json", path=letters).json["runs"]
    return found


def test_a_dry_run_shows_file_type_target_and_confidence_and_stores_nothing(
    cli: Any, letters: Path, inbox: Path, home: Path
) -> None:
    said = cli("route", "--dry-run", "inbox", path=letters)
    assert said.code == 0, said.err
    assert said.out.splitlines()[0].split() == [
        "STATE", "FILE", "TYPE", "TARGET", "CONFIDENCE", "REASON",
    ]  # fmt: skip
    assert [" ".join(row) for row in rows(said.out)] == [
        "✓ succeeded inbox/letter-a letter letter_pipeline 0.50 Matched rule: letters",
        "✓ succeeded inbox/note-b note note_pipeline 0.50 Matched rule: notes",
        "✓ succeeded inbox/sub/letter-c letter letter_pipeline 0.50 Matched rule: letters",
    ]
    assert "\x1b" not in said.out
    assert not (home / ".local").exists()
    assert runs(cli, letters) == []


def test_without_it_each_file_is_a_run_that_started_its_pipeline(
    cli: Any, letters: Path, inbox: Path
) -> None:
    said = cli("route", "inbox/letter-a", "inbox/note-b", "--jobs", "2", path=letters)
    assert said.code == 0, said.err
    stored = {each["run_id"]: each for each in runs(cli, letters)}
    for row, target in zip(rows(said.out), ("letter_pipeline", "note_pipeline"), strict=True):
        run = row[6]
        assert stored[run]["workflow"] == "document-routing"
        (child,) = [each for each in stored.values() if each["parent"] == run]
        assert (child["workflow"], child["status"]) == (target, "succeeded")


def test_what_can_not_be_read_or_matched_is_a_row_and_the_rest_go_on(
    cli: Any, letters: Path, inbox: Path
) -> None:
    said = cli("route", "--dry-run", "torn-x", "poem-y", "inbox/note-b", path=letters)
    assert said.code == 1
    torn, poem, note = said.out.splitlines()[1:]
    assert torn.split(None, 3)[:3] == ["✗", "failed", "torn-x"]
    assert "letters.torn: it is torn: a dog was there" in torn
    assert 'routing.no_match: no rule holds: documentType = "poem"' in poem
    assert note.startswith("✓ succeeded")


def test_a_pipeline_that_fails_keeps_its_decision_in_the_row(cli: Any, letters: Path) -> None:
    said = cli("route", "letter-bad", path=letters)
    assert said.code == 1
    assert "✗ failed" in said.out
    assert "letter_pipeline" in said.out
    assert "letters.bad: the run " in said.out
    assert "is failed: a bad letter" in said.out


def test_explain_shows_every_rule_with_its_condition_and_why(
    cli: Any, letters: Path, inbox: Path
) -> None:
    said = cli("route", "--dry-run", "--explain", "inbox/note-b", path=letters)
    assert [line.strip() for line in said.out.splitlines()[2:]] == [
        "",
        "inbox/note-b: note_pipeline",
        "· not held: letters (3)",
        "documentType == 'letter'",
        'documentType = "note"',
        "✓ held: notes (2)",
        "documentType.startsWith('not')",
        'documentType = "note"',
    ]


def test_json_is_a_document_for_each_file(cli: Any, letters: Path, inbox: Path) -> None:
    said = cli("route", "--dry-run", "inbox/letter-a", "torn", "--json", path=letters)
    assert said.code == 1
    good, torn = said.lines
    assert list(good) == [
        "schema_version", "file", "dry_run", "run_id", "status", "document_type",
        "target_pipeline", "confidence", "reason", "applied_rules", "pipeline_parameters",
        "names", "rules", "error",
    ]  # fmt: skip
    assert (good["file"], good["dry_run"], good["run_id"]) == ("inbox/letter-a", True, None)
    assert (good["target_pipeline"], good["applied_rules"]) == ("letter_pipeline", ["letters"])
    assert [rule["outcome"] for rule in good["rules"]] == ["held", "not reached"]
    assert (torn["target_pipeline"], torn["error"]["code"]) == (None, "letters.torn")


def test_no_path_and_an_empty_folder_are_wrong_usage(
    cli: Any, letters: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert cli("route", path=letters).code == 2
    said = cli("route", "empty", path=letters)
    assert (said.code, said.out) == (2, "")
    assert "there is no file in empty" in said.err


def test_a_document_routing_that_decides_nothing_is_refused(
    cli: Any, letters: Path, home: Path, inbox: Path
) -> None:
    (home / ".config" / "qtforge" / "workflows" / "routing.toml").write_text(
        'name = "document-routing"\nkind = "sequential"\n'
        '[[stages]]\nname = "look"\noperation = "letters.look"\n'
    )
    said = cli("route", "inbox", path=letters)
    assert said.code == 1
    assert "error[workflow.invalid]" in said.err
    assert "its kind is 'sequential', which decides nothing" in said.err


def test_a_rule_without_an_answer_is_told_once_and_without_the_librarys_warnings(
    cli: Any, letters: Path, home: Path
) -> None:
    rules = home / ".config" / "qtforge" / "workflows" / "routing.toml"
    rules.write_text(
        rules.read_text().replace("documentType == 'letter'", "documentType.contains(3)")
    )
    said = cli("route", "--dry-run", "letter-a", path=letters)
    assert said.code == 1
    assert "routing.rule_failed: the condition of the rule 'letters' can't be evaluated" in said.out
    assert said.err == ""
