"""``document-routing`` over the real plugins: every document goes where a reader would send it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.forked_commands import run_command

ROOT = Path(__file__).parent.parent.parent
# What each pipeline does is tested with it; here it only has to be there.
PIPELINE = """
name = "{name}_processing_pipeline"
kind = "sequential"
[[stages]]
name = "find"
operation = "document.find"
message = {{ query = "${{input.analysis.document_type}}" }}
[result]
given = "${{input}}"
"""
SAMPLES = {
    "contract.md": "legal",
    "invoice.pdf": "financial",
    "letter.docx": "general",
    "technical-note.html": "technical",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    pytest.importorskip("pypdfium2", reason="the extra 'documents' is not installed")
    folder = tmp_path / ".config" / "qtforge" / "workflows"
    folder.mkdir(parents=True)
    for name in ("legal", "financial", "technical", "general"):
        (folder / f"{name}.toml").write_text(PIPELINE.format(name=name))
    return tmp_path


def host(home: Path, *words: str | Path) -> list[dict[str, object]]:
    done = run_command(
        [*map(str, words)],
        timeout=120,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_sample_documents_go_where_they_belong(home: Path) -> None:
    lines = host(home, "route", "--dry-run", "--explain", "--json", "examples/documents")
    assert {Path(str(line["file"])).name: line["document_type"] for line in lines} == SAMPLES
    assert all(
        line["target_pipeline"] == f"{line['document_type']}_processing_pipeline" for line in lines
    )
    assert all(0.5 < float(str(line["confidence"])) <= 1 for line in lines)


def test_the_real_documents_go_where_their_readme_says(home: Path, shared_documents: Path) -> None:
    files = sorted(file for file in shared_documents.glob("*-*") if file.suffix in (".pdf", ".md"))
    lines = host(home, "route", "--dry-run", "--json", *files)
    kinds = {"invoice": "financial", "contract": "legal"}
    for line in lines:
        begin = Path(str(line["file"])).name.partition("-")[0]
        assert line["target_pipeline"] == f"{kinds.get(begin, begin)}_processing_pipeline"


def test_a_pipeline_is_given_content_metadata_analysis_and_parameters(home: Path) -> None:
    (run,) = host(home, "run", "document-routing", "examples/documents/contract.md", "--json")
    result = run["result"]
    assert isinstance(result, dict)
    given = result["pipeline_result"]["given"]
    assert set(given) == {"document", "parsed_content", "metadata", "analysis", "parameters"}
    assert given["parameters"] == {"compliance_check": True, "redaction_required": True}
    assert given["metadata"]["name"] == given["document"]["name"] == "contract.md"
    assert given["analysis"] == result["analysis"]
    assert "agreement" in given["parsed_content"].lower()
