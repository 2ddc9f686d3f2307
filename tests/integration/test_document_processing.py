"""The main job on real documents: kinds, languages, and what stands on the invoices."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.forked_commands import run_command

pytest.importorskip("pypdfium2", reason="the extra 'documents' is not installed")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "documents"


class Job:
    """``qtforge-host`` with a state directory of its own."""

    def __init__(self, folder: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "QTFORGE_STATE_DIR": str(folder / "state"),
            "PYTHONUTF8": "1",
        }

    def __call__(self, *words: str | Path) -> tuple[int, list[dict[str, Any]]]:
        done = run_command([*map(str, words), "--json"], timeout=110, env=self._environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def said(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run_command(list(words), timeout=110, env=self._environment)

    def programs(self, name: str) -> list[str]:
        """Return the ids of the processes of a program that this job has started."""
        home = f"HOME={self._environment['HOME']}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (folder / "comm").read_text().strip() == name:
                    environment = (folder / "environ").read_bytes()
                    found += [folder.name] if home in environment.split(b"\0") else []
        return found

    def ask(self, topic: str, *words: str) -> Any:
        done = run_command(["bus", "request", topic, *words], timeout=120, env=self._environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def by_name(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {run["document"]: run for run in runs}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="module")
def shared() -> Path:
    found = ROOT.parent / "shared" / "documents"
    if not found.is_dir():
        pytest.skip("the shared documents are not beside this checkout")
    return found


@pytest.fixture(scope="module")
def runs(job: Job, shared: Path) -> dict[str, dict[str, Any]]:
    paths = [*sorted(shared.glob("*.pdf")), *sorted(shared.glob("*-*.md"))]
    code, found = job("run", "document-processing", *paths, "--jobs", "2")
    assert code == 0
    return by_name(found)


def test_every_real_document_succeeds_whole_and_is_of_the_right_kind(
    runs: dict[str, dict[str, Any]],
) -> None:
    kinds = {"contract": "legal", "invoice": "financial", "technical": "technical",
             "general": "general"}  # fmt: skip
    assert len(runs) >= 9
    for name, run in runs.items():
        assert (run["status"], run["degraded"]) == ("succeeded", False), name
        assert [stage["status"] for stage in run["stages"]] == ["succeeded"] * 4
        assert run["result"]["analysis_results"]["document_type"] == kinds[name.split("-")[0]]


def test_languages_are_right(runs: dict[str, dict[str, Any]]) -> None:
    for name, run in runs.items():
        expected = {"contract-sales-ru.md": "ru", "invoice-QualityHosting.pdf": "de"}
        language = run["result"]["analysis_results"]["language"]
        assert language == expected.get(name, "en"), name


def test_the_invoices_numbers_and_totals_are_found(
    runs: dict[str, dict[str, Any]], shared: Path
) -> None:
    checked = 0
    for path in sorted(shared.glob("invoice-*.json")):
        (figures,) = json.loads(path.read_text(encoding="utf-8"))
        invoice = runs[f"{path.stem}.pdf"]["result"]["enrichment"]["invoice"]
        assert invoice["number"] == figures["invoice_number"]
        assert Decimal(invoice["total"]["value"]) == Decimal(str(figures["amount"]))
        checked += 1
    assert checked == 4


def test_what_was_stored_is_found_and_stored_once(job: Job, shared: Path) -> None:
    contract = shared / "contract-mutual-nda.md"
    (first,) = job("run", "document-processing", contract)[1]
    (second,) = job("run", "document-processing", contract)[1]
    assert first["result"]["metadata"]["sha256"] == second["result"]["metadata"]["sha256"]
    assert second["result"]["new_content"] is False
    found = job.ask("document.find", "--set", 'query="Disclosing Party"')
    assert contract.name in {each["name"] for each in found["documents"]}


def test_the_sample_documents_come_out_right(job: Job) -> None:
    code, found = job("run", "document-processing", *sorted(EXAMPLES.iterdir()), "--jobs", "2")
    kinds = {
        name: run["result"]["analysis_results"]["document_type"]
        for name, run in by_name(found).items()
    }
    assert code == 0
    assert kinds == {
        "contract.md": "legal",
        "invoice.pdf": "financial",
        "letter.docx": "general",
        "technical-note.html": "technical",
    }
    invoice = by_name(found)["invoice.pdf"]["result"]["enrichment"]
    assert invoice["invoice"]["number"] == "LDW-2026-0117"
    assert [each["valid"] for each in invoice["ibans"]] == [True]


def test_files_that_are_no_documents_fail_each_for_itself(job: Job, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "torn.pdf").write_bytes((EXAMPLES / "invoice.pdf").read_bytes()[:900])
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    words = [tmp_path / name for name in ("empty.txt", "torn.pdf", "folder", "pipe", "nosuch")]
    code, found = job("run", "document-processing", *words, EXAMPLES / "contract.md")
    assert code == 1
    codes = {run["document"]: (run["error"] or {}).get("code") for run in found}
    assert codes == {
        "empty.txt": "document.empty",
        "torn.pdf": "document.damaged",
        "folder": "document.is_folder",
        "pipe": "document.unreadable",
        "nosuch": "document.not_found",
        "contract.md": None,
    }
    large = job("run", "document-processing", EXAMPLES / "contract.md", "--set",
                "options.max_bytes=100")  # fmt: skip
    assert large[1][0]["error"]["code"] == "document.too_large"


def test_a_store_that_cannot_be_written_is_compensated_and_names_the_reason(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder is needed")
    config = tmp_path / "config.toml"
    config.write_text(f'[plugins.document-storage.config]\npath = "{blocked}/documents.sqlite"\n')
    job = Job(tmp_path)
    code, (run,) = job("--config", config, "run", "document-processing", EXAMPLES / "contract.md")
    assert code == 1
    assert run["status"] in ("failed", "compensated")
    assert run["error"]["stage"] == "document_storage"
    assert run["error"]["plugin"] == "document-storage"
    assert run["error"]["code"].startswith("storage.")
    assert [each["name"] for each in run["compensations"]] == ["document_storage"]


def test_a_scanned_invoice_is_read_and_said_to_be_guessed(
    job: Job, tesseract: str, tmp_path: Path
) -> None:
    pypdfium2 = pytest.importorskip("pypdfium2")
    with pypdfium2.PdfDocument(EXAMPLES / "invoice.pdf") as document:
        image = document[0].render(scale=200 / 72, grayscale=True).to_pil()
    scan = tmp_path / "scan.pdf"
    image.save(scan, resolution=200)
    picture = tmp_path / "picture.png"
    image.save(picture, dpi=(200, 200))
    code, found = job("run", "document-processing", scan, picture)
    assert code == 0
    _, (original,) = job("run", "document-processing", EXAMPLES / "invoice.pdf")
    for run in found:
        assert run["result"]["warnings"] == ["scan", "ocr"]
        assert 0.8 < run["result"]["text_confidence"] <= 1
        assert run["result"]["unread_pages"] == []
        assert run["result"]["analysis_results"]["document_type"] == "financial"
        invoice = run["result"]["enrichment"]["invoice"]
        assert invoice["number"] == original["result"]["enrichment"]["invoice"]["number"]


def test_at_the_deadline_no_program_is_left(job: Job, tesseract: str, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    noise = tmp_path / "noise.png"
    image.frombytes("L", (4000, 4000), os.urandom(16_000_000)).save(noise)
    words = ["--set", f"document.path={noise}", "--set", "document.name=noise.png"]
    done = job.said("bus", "request", "document.ocr", *words, "--timeout", "1s")
    assert done.returncode == 1
    assert "ocr.timeout" in done.stderr or "bus.timeout" in done.stderr
    assert "Traceback" not in done.stderr
    assert job.programs("tesseract") == []
