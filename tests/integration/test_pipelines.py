"""The legal and the general pipeline as a user runs them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.forked_commands import run_command

pytest.importorskip("pypdfium2", reason="the extra 'documents' is not installed")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "documents"
NAMES = ("Harbour", "Pine Ltd", "Lantern", "Oduya", "Callum", "contracts@", "office@")


class Job:
    """``qtforge-host`` with a state directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "QTFORGE_STATE_DIR": str(self.state),
            "PYTHONUTF8": "1",
        }

    def __call__(self, *words: str | Path) -> str:
        done = run_command([*map(str, words)], timeout=120, env=self._environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def run(self, *words: str | Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self("run", *words, "--json").splitlines()]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(tmp_path_factory.mktemp("pipelines"))


@pytest.fixture(scope="module")
def legal(job: Job) -> dict[str, Any]:
    (run,) = job.run("legal_processing_pipeline", EXAMPLES / "contract.md")
    return run


def statuses(run: dict[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in run["stages"]}


def test_the_legal_pipeline_checks_and_redacts_a_contract(legal: dict[str, Any]) -> None:
    assert (legal["status"], legal["degraded"]) == ("succeeded", False)
    assert set(statuses(legal).values()) == {"succeeded"}
    result = legal["result"]
    assert result["compliance"]["contract_kind"] == "services"
    assert result["compliance"]["complete"] is True
    assert result["redaction"]["counts"] == {"email": 2, "party": 4, "person": 2}
    assert "[PARTY 1], a company registered in England" in result["redaction"]["redacted_content"]


def test_nothing_of_what_was_redacted_is_in_the_result(legal: dict[str, Any]) -> None:
    printed = json.dumps(legal)
    assert not [name for name in NAMES if name.lower() in printed.lower()]


def test_only_the_redacted_text_is_stored(job: Job, legal: dict[str, Any]) -> None:
    assert legal["result"]["stored"]["document_id"]
    for name in ("Harbour", "Oduya", "Callum"):
        found = json.loads(job("bus", "request", "document.find", "--set", f"query={name}"))
        assert found["total"] == 0
    found = json.loads(job("bus", "request", "document.find", "--set", "query=Canongate"))
    assert [each["document_type"] for each in found["documents"]] == ["legal"]
    # The original's own check sum would make the next storing of the original keep this text.
    assert found["documents"][0]["sha256"] == legal["result"]["redaction"]["metadata"]["sha256"]


def test_the_lines_of_the_quotes_are_those_of_the_redacted_text(legal: dict[str, Any]) -> None:
    lines = legal["result"]["redaction"]["redacted_content"].split("\n")
    for clause in legal["result"]["compliance"]["clauses"]:
        first_words = " ".join(clause["extract"].split()[:3])
        assert first_words in lines[clause["line"] - 1], clause["name"]


def test_each_check_can_be_switched_off_and_what_is_not_redacted_is_not_stored(job: Job) -> None:
    (plain,) = job.run("legal_processing_pipeline", EXAMPLES / "contract.md", "--set",
                       "parameters.redaction_required=false")  # fmt: skip
    assert statuses(plain)["document_redaction"] == "skipped"
    assert statuses(plain)["document_storage"] == "skipped"
    assert plain["result"]["stored"] is None
    assert plain["result"]["compliance"]["complete"] is True
    (unchecked,) = job.run("legal_processing_pipeline", EXAMPLES / "contract.md", "--set",
                           "parameters.compliance_check=false")  # fmt: skip
    assert unchecked["result"]["compliance"] is None
    assert unchecked["result"]["stored"]["document_id"]


def test_a_contract_in_a_language_without_terms_is_redacted_all_the_same(
    job: Job, tmp_path: Path
) -> None:
    contract = tmp_path / "umowa.txt"
    contract.write_text(
        "Umowa sprzedaży\n\nNiniejsza umowa zostaje zawarta między stronami. Sprzedawca zobowiązuje"
        " się wydać towar, a kupujący zapłacić cenę w terminie czternastu dni. Pytania należy"
        " kierować na jan.nowak@sklep.example albo pod numer +48 22 635 10 00.\n",
        encoding="utf-8",
    )
    (run,) = job.run("legal_processing_pipeline", contract)
    assert (run["status"], run["degraded"]) == ("succeeded", True)
    (warned,) = (stage for stage in run["stages"] if stage["status"] == "warning")
    assert warned["name"] == "compliance_check"
    assert "its language is pl" in json.dumps(warned)
    assert run["result"]["redaction"]["counts"] == {"email": 1, "phone": 1}


def test_what_a_parent_has_parsed_and_analyzed_is_not_done_again(job: Job, tmp_path: Path) -> None:
    given = {
        "parsed_content": "1. Term\n\nThis agreement ends on 1 May 2027. Write to bob@a.example.\n",
        "metadata": {"name": "a.txt", "media_type": "text/plain", "size_bytes": 9, "words": 9,
                     "sha256": "0" * 64},
        "analysis": {"document_type": "legal", "language": "en", "keywords": [], "confidence": 0.9,
                     "features": {}, "category": "contracts", "language_confidence": 1.0,
                     "evidence": []},
        "parameters": {"compliance_check": True, "redaction_required": True},
    }  # fmt: skip
    file = tmp_path / "input.json"
    file.write_text(json.dumps(given), encoding="utf-8")
    for name in ("legal_processing_pipeline", "general_processing_pipeline"):
        (run,) = job.run(name, "--input", file)
        assert run["status"] == "succeeded", run
        assert statuses(run)["document_parsing"] == "skipped"
        assert statuses(run)["document_analysis"] == "skipped"
        assert run["result"]["stored"]["document_id"]


def test_the_general_pipeline_summarizes_outlines_tags_and_stores(job: Job) -> None:
    runs = job.run("general_processing_pipeline", EXAMPLES / "technical-note.html",
                   EXAMPLES / "letter.docx")  # fmt: skip
    assert [run["status"] for run in runs] == ["succeeded", "succeeded"]
    note, letter = (run["result"] for run in runs)
    assert [(each["level"], each["text"]) for each in note["outline"]["headings"]][1:] == [
        (2, "The protocol"), (2, "Configuration"), (2, "Cost"),
    ]  # fmt: skip
    assert note["tags"]["tags"][0] == "engineering"
    assert "aunt-rosalind" in letter["tags"]["tags"]
    assert letter["outline"]["headings"] == []
    assert letter["summary"]["text"].endswith(".")
    assert all(result["stored"]["document_id"] for result in (note, letter))


@pytest.mark.parametrize("name", ["legal_processing_pipeline", "general_processing_pipeline"])
def test_a_document_that_cannot_be_read_ends_the_pipeline_with_its_own_error(
    job: Job, name: str
) -> None:
    (run,) = job.run(name, EXAMPLES / "nosuch.md")
    assert (run["status"], run["error"]["code"]) == ("failed", "document.not_found")


@pytest.mark.parametrize("name", ["legal_processing_pipeline", "general_processing_pipeline"])
def test_a_storing_that_fails_is_undone(tmp_path: Path, name: str) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder is needed")
    config = tmp_path / "config.toml"
    config.write_text(f'[plugins.document-storage.config]\npath = "{blocked}/documents.sqlite"\n')
    (run,) = [
        json.loads(line)
        for line in Job(tmp_path)(
            "--config", config, "run", name, EXAMPLES / "contract.md", "--json"
        ).splitlines()
    ]
    assert run["error"]["stage"] == "document_storage"
    assert [each["name"] for each in run["compensations"]] == ["document_storage"]
