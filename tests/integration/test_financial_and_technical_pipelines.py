"""The financial and the technical pipeline through the command line, as a user runs them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.forked_commands import run_command

pytest.importorskip("pypdfium2", reason="the extra 'documents' is not installed")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "documents"


class Program:
    """``qtforge-host`` with a state directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.trail = self.state / "plugins" / "audit-trail" / "audit.jsonl"
        self.config = folder / "config.toml"
        self.config.write_text("")

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        done = run_command(
            ["--config", str(self.config), *map(str, words)],
            timeout=120,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "PYTHONUTF8": "1",
                "QTFORGE_STATE_DIR": str(self.state),
            },
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def run(self, *words: str | Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("run", *words, "--json").stdout)
        return found

    def count(self, file: str, table: str) -> int:
        with closing(sqlite3.connect(self.state / "plugins" / file)) as connection:
            (found,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(found)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def statuses(run: dict[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in run["stages"]}


def test_an_invoice_is_checked_stored_and_on_the_audit_trail(program: Program) -> None:
    run = program.run("financial_processing_pipeline", EXAMPLES / "invoice.pdf")
    assert run["status"] == "succeeded"
    assert set(statuses(run).values()) == {"succeeded"}
    fraud = run["result"]["fraud"]
    assert (fraud["risk"], fraud["findings"]) == ("none", [])
    assert {check["outcome"] for check in fraud["checks"]} == {"passed"}
    (entry,) = json.loads(program("audit", "list", "--json").stdout)["entries"]
    assert entry["content"]["document_id"] == run["result"]["document_id"]
    assert entry["hash"] == run["result"]["audit"]["hash"]


def test_a_tampered_trail_is_named_by_audit_verify(program: Program) -> None:
    assert program("audit", "verify").returncode == 0
    for _ in range(2):
        program.run("financial_processing_pipeline", EXAMPLES / "invoice.pdf")
    good = program("audit", "verify")
    assert good.returncode == 0
    assert "2 entries hold" in good.stdout
    head = good.stdout.split()[-1]
    assert program("audit", "verify", "--contains", head).returncode == 0
    assert program("audit", "verify", "--contains", "0" * 64).returncode == 1
    program.trail.write_bytes(program.trail.read_bytes().replace(b'"none"', b'"high"', 1))
    bad = program("audit", "verify")
    assert bad.returncode == 1
    assert "broken at entry 1 (line 1)" in bad.stdout
    answer = json.loads(program("audit", "verify", "--json").stdout)
    assert (answer["valid"], answer["broken"]["sequence"]) == (False, 1)
    refused = program.run("financial_processing_pipeline", EXAMPLES / "invoice.pdf")
    # Nothing is added to a damaged trail, also no withdrawal; the document is taken back.
    assert refused["status"] == "failed"
    assert "audit.damaged" in json.dumps(refused["error"])
    assert program.count("document-storage/documents.sqlite", "documents") == 2


def test_a_contradiction_is_a_finding_and_not_a_failure(program: Program) -> None:
    text = "Invoice no: 9\nItem Qty Price Total\nPen 2 5.00 10.00\nInk 1 4.00 4.00\nTotal 41.00\n"
    invoice = program.folder / "changed.txt"
    invoice.write_text(text)
    done = program("run", "financial_processing_pipeline", invoice)
    assert done.returncode == 0
    assert "risk high" in done.stdout
    assert "the items add up to 14.00, and the total is 41.00" in done.stdout


def test_what_the_parameters_leave_out_is_skipped(program: Program) -> None:
    given = program.folder / "input.json"
    given.write_text(
        json.dumps(
            {
                "parsed_content": "Receipt no: 7\nTotal $3.00\n",
                "metadata": {"name": "r.txt", "media_type": "text/plain", "size_bytes": 26,
                             "sha256": "a" * 64, "words": 5},
                "parameters": {"fraud_detection": False},
            }
        )
    )  # fmt: skip
    run = program.run("financial_processing_pipeline", "--input", given)
    assert run["status"] == "succeeded"
    assert statuses(run) == {
        "document_parsing": "skipped",
        "content_analysis": "succeeded",
        "document_enrichment": "succeeded",
        "fraud_detection": "skipped",
        "document_storage": "succeeded",
        "audit_trail": "skipped",
    }
    assert run["result"]["fraud"] is None


def test_a_failed_run_takes_back_what_it_stored_and_registered(program: Program) -> None:
    (program.folder / "file").write_text("in the way")
    path = json.dumps(str(program.folder / "file" / "audit.jsonl"))
    program.config.write_text(f"[plugins.audit-trail.config]\npath = {path}\n")
    run = program.run("financial_processing_pipeline", EXAMPLES / "invoice.pdf")
    assert run["status"] == "compensated"
    assert "audit.unwritable" in json.dumps(run["error"])
    assert program.count("fraud-detector/invoices.sqlite", "invoices") == 0
    assert program.count("document-storage/documents.sqlite", "documents") == 0


def test_a_technical_document_s_code_is_in_the_result(program: Program) -> None:
    run = program.run("technical_processing_pipeline", EXAMPLES / "technical-note.html")
    assert run["status"] == "succeeded"
    assert set(statuses(run).values()) == {"succeeded"}
    code = run["result"]["code"]
    assert code["languages"] == {"python": 9, "toml": 4}
    assert code["complexity"] == 2
    assert run["result"]["diagrams"] == {"diagrams": [], "images": [], "unchecked": []}
    assert run["result"]["new_content"] is True


def test_a_parent_s_content_is_not_parsed_again(program: Program) -> None:
    note = program.folder / "note.md"
    note.write_text("# x\n\n```python\ndef f():\n    return 1\n```\n")
    parsed = program.run("document-processing", note)["result"]
    given = program.folder / "input.json"
    given.write_text(
        json.dumps(
            {
                "document": {"name": "note.md", "path": str(note)},
                "parsed_content": parsed["parsed_content"],
                "metadata": parsed["metadata"],
                "analysis": {"document_type": "technical"},
                "parameters": {"code_analysis": True},
            }
        )
    )
    run = program.run("technical_processing_pipeline", "--input", given)
    found = statuses(run)
    assert (found["document_parsing"], found["diagram_extraction"]) == ("skipped", "skipped")
    assert [block["language"] for block in run["result"]["code"]["blocks"]] == ["python"]
