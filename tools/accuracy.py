"""``python -m tools.accuracy``: compare what the document plugins read with the right values.

Each document in ``tests/data/documents`` has a ``.json`` of right values beside it. The folders
``open`` and ``second`` to ``sixth``, each with wordings and layouts of its own, are for the
development of the extractors; ``held_out``, where there is one, has layouts and wordings that
their authors do not read, so only its figures are printed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from qtforge_builtin_plugins.documents.analyzer import AnalyzerConfig, ContentAnalyzer
from qtforge_builtin_plugins.documents.enricher import DocumentEnricher, EnricherConfig
from qtforge_builtin_plugins.documents.messages import (
    AnalyzeRequest,
    EnrichRequest,
    EnrichResponse,
    Invoice,
)
from qtforge_builtin_plugins.documents.parser import DocumentParser, ParserConfig
from qtforge_builtin_plugins.pipelines.financial.inspection import inspect_invoice
from qtforge_builtin_plugins.pipelines.financial.messages import FraudRequest
from qtforge_builtin_plugins.pipelines.financial.register import Register
from qtforge_builtin_plugins.pipelines.legal.messages import RedactRequest
from qtforge_builtin_plugins.pipelines.legal.plugin import LegalConfig, LegalPipeline
from qtforge_sdk import Document, OperationContext
from qtforge_sdk.messages import ParseRequest, ParseResponse

__all__ = ["FIGURES", "Outcome", "main", "measure"]

FOLDER: Final = Path(__file__).parents[1] / "tests" / "data" / "documents"
FOLDERS: Final = ("open", "second", "third", "fourth", "fifth", "sixth", "held_out")
FIGURES: Final = (
    "type", "language", "number", "date", "total",
    "due_date", "net", "tax", "issuer", "customer", "vat_id", "company_number",
    "iban", "bic", "order_reference", "payment_reference", "items",
    "parties", "redaction recall", "redaction precision", "no HIGH finding",
    *(f"recall of {kind}" for kind in ("party", "person", "address", "id", "iban", "account",
                                       "phone", "email")),
)  # fmt: skip
_TODAY: Final = datetime.date(2026, 12, 1)
_PLACEHOLDER: Final = re.compile(r"\[[A-Z ]+ \d+\]\n*")
_WORDS: Final = re.compile(r"\w+")
_LEAST_STEM: Final = 4


@dataclass(slots=True)
class Outcome:
    """What was right and wrong about one document.

    Attributes:
        name: The document's file name.
        right: The number of right values of each figure.
        asked: The number of values of each figure.
        misses: A line for each wrong value.
    """

    name: str
    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)

    def compare(self, figure: str, wanted: object, got: object) -> None:
        """Count one value, which is right if it is equal to the wanted one."""
        self.count(figure, wanted == got, f"{wanted!r} is wanted, and it is {got!r}")

    def count(self, figure: str, is_right: bool, miss: str) -> None:
        """Count one value, with the description that it has when it is wrong."""
        self.asked[figure] += 1
        if is_right:
            self.right[figure] += 1
        else:
            self.misses.append(f"{figure}: {miss}")


class _Plugins:
    """The real plugins, without a host."""

    def __init__(self) -> None:
        self.parser = DocumentParser()
        self.parser.config = ParserConfig()
        self.analyzer = ContentAnalyzer()
        self.analyzer.config = AnalyzerConfig(sentiment=False, readability=False)
        self.enricher = DocumentEnricher()
        self.enricher.config = EnricherConfig(summary_sentences=0)
        self.legal = LegalPipeline()
        self.legal.config = LegalConfig()
        self.context = OperationContext("accuracy", "accuracy")


@cache
def _plugins() -> _Plugins:
    """Return this process's plugins, which load their models once."""
    return _Plugins()


def measure(path: Path) -> Outcome:
    """Run the plugins over one document and compare the answers with its right values.

    Args:
        path: The document; ``path`` with the suffix ``.json`` has the right values.
    """
    plugins = _plugins()
    wanted: dict[str, Any] = json.loads(path.with_suffix(".json").read_text("utf-8"))
    outcome = Outcome(name=path.name)
    parsed = plugins.parser.parse(
        ParseRequest(document=Document(name=path.name, path=str(path))), plugins.context
    )
    text = parsed.parsed_content
    analysis = plugins.analyzer.analyze(
        AnalyzeRequest(parsed_content=text, metadata=parsed.metadata), plugins.context
    ).analysis_results
    outcome.compare("type", wanted["type"], analysis.document_type)
    outcome.compare("language", wanted["language"], analysis.language)
    facts = plugins.enricher.enrich(
        EnrichRequest(
            parsed_content=text,
            metadata=parsed.metadata,
            language=analysis.language,
            document_type=analysis.document_type,
        ),
        plugins.context,
    )
    if wanted["invoice"] is not None:
        _compare_invoice(outcome, wanted["invoice"], facts.invoice)
        _compare_fraud(outcome, parsed, analysis.language)
    if wanted["contract"] is not None:
        _compare_contract(outcome, wanted["contract"], facts, text, analysis.language)
    return outcome


def _compare_invoice(outcome: Outcome, wanted: Mapping[str, Any], found: Invoice | None) -> None:
    invoice = found or Invoice()
    outcome.compare("number", _bare(wanted["number"]), _bare(invoice.number))
    outcome.compare("date", wanted["date"], invoice.date)
    total = invoice.total and (Decimal(invoice.total.value), invoice.total.currency)
    outcome.compare("total", (Decimal(wanted["total"]), wanted["currency"]), total)
    _compare_optional(outcome, wanted, invoice)


def _compare_optional(outcome: Outcome, wanted: Mapping[str, Any], invoice: Invoice) -> None:
    """Compare the values that not every invoice has; one without a right value counts, too."""
    for name in ("due_date", "vat_id", "company_number", "iban", "bic", "order_reference",
                 "payment_reference"):  # fmt: skip
        value = getattr(invoice, name, None)
        if wanted[name] is not None or value is not None:
            outcome.compare(name, _bare(wanted[name]), _bare(value))
    for name in ("issuer", "customer"):
        if wanted[name] is not None:
            outcome.compare(name, _letters(wanted[name]), _letters(getattr(invoice, name, None)))
    net = getattr(invoice, "net", None)
    if wanted["net"] is not None:
        outcome.compare("net", Decimal(wanted["net"]), net and Decimal(net.value))
    if wanted["taxes"] is not None:
        taxes = sorted(Decimal(tax["amount"]) for tax in wanted["taxes"])
        got = sorted(Decimal(tax.amount.value) for tax in getattr(invoice, "taxes", ()))
        outcome.compare("tax", [tax for tax in taxes if tax], [tax for tax in got if tax])
    if wanted["items"] is not None:
        items = [Decimal(item["amount"]) for item in wanted["items"]]
        found = [Decimal(item.amount.value) for item in getattr(invoice, "items", ())]
        outcome.compare("items", items, found)


def _compare_fraud(outcome: Outcome, parsed: ParseResponse, language: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        register = Register(Path(folder) / "register.sqlite", 5.0)
        request = FraudRequest(
            parsed_content=parsed.parsed_content,
            metadata=parsed.metadata,
            now=_TODAY.isoformat(),
            language=language,
        )
        findings = inspect_invoice(request, _TODAY, register).findings
    high = [finding.message for finding in findings if finding.severity == "high"]
    outcome.count("no HIGH finding", not high, "; ".join(high))


def _compare_contract(
    outcome: Outcome, wanted: Mapping[str, Any], facts: EnrichResponse, text: str, language: str
) -> None:
    outcome.compare("parties", sorted(wanted["parties"]), sorted(facts.parties))
    plugins = _plugins()
    redacted = plugins.legal.redact(
        RedactRequest(parsed_content=text, language=language), plugins.context
    ).redacted_content
    for each in wanted["redact"]:
        pattern = _any_spacing(each["text"])
        before, after = len(pattern.findall(text)), len(pattern.findall(redacted))
        for index in range(before):
            gone = index >= after
            outcome.count("redaction recall", gone, f"{each['kind']} {each['text']!r} stays")
            outcome.count(f"recall of {each['kind']}", gone, f"{each['text']!r} stays")
    private = {word for each in wanted["redact"] for word in _WORDS.findall(each["text"].lower())}
    # A reader joins a word that is broken at its hyphen.
    private |= {
        part.replace("-", "") for each in wanted["redact"] for part in each["text"].lower().split()
    }
    for span in _replaced(text, redacted):
        words = _WORDS.findall(span.lower())
        is_right = all(_is_form_of(word, private) for word in words)
        outcome.count("redaction precision", is_right, f"{span!r} goes")
    for kept in wanted["keep"]:
        pattern = re.compile(re.escape(kept))
        lost = len(pattern.findall(text)) - len(pattern.findall(redacted))
        for _ in range(lost):
            outcome.count("redaction precision", False, f"{kept!r} has to stay")


def _any_spacing(text: str) -> re.Pattern[str]:
    words = r"\s+".join(map(re.escape, text.split()))
    upper = r"\s+".join(map(re.escape, text.upper().split()))
    return re.compile(rf"(?<!\w)(?:{words}|{upper})(?!\w)")


def _replaced(text: str, redacted: str) -> Iterator[str]:
    """Yield the parts of a text for which its redacted form has placeholders."""
    pieces = _PLACEHOLDER.split(redacted)
    at = len(pieces[0])
    for index, piece in enumerate(pieces[1:], 1):
        is_last = index == len(pieces) - 1
        if not is_last and not _WORDS.search(piece):
            continue  # between values that stand side by side, which are one span
        # A placeholder is for whole words, so the text after it does not begin within one.
        begin = r"(?<!\w)" if piece[:1].isalnum() else ""
        following = re.compile(begin + re.escape(piece)).search(text, at + 1)
        end = len(text) - len(piece) if is_last or following is None else following.start()
        yield text[at:end]
        at = end + len(piece)


def _is_form_of(word: str, private: set[str]) -> bool:
    """Return whether a word is one of a private value, or a declined form of it."""
    if word in private:
        return True
    return any(
        len(word) >= _LEAST_STEM
        and len(other) >= _LEAST_STEM
        and word[: max(_LEAST_STEM, len(other) - 2)] == other[: max(_LEAST_STEM, len(other) - 2)]
        for other in private
    )


def _bare(value: str | None) -> str | None:
    return None if value is None else "".join(value.split())


def _letters(value: object) -> str | None:
    return None if value is None else " ".join(_WORDS.findall(str(value).casefold()))


def _documents(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix != ".json")


def _table(sums: Mapping[str, Outcome]) -> str:
    """Return the figures of each folder, in Markdown."""
    lines = [
        "| figure | " + " | ".join(f"{name} | of" for name in sums) + " |",
        "|---|" + "---:|---:|" * len(sums),
    ]
    for figure in FIGURES:
        cells = []
        for outcome in sums.values():
            asked = outcome.asked[figure]
            cells.append(f"{100 * outcome.right[figure] / asked:.1f} %" if asked else "")
            cells.append(str(asked))
        lines.append(f"| {figure} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _sum(name: str, outcomes: Sequence[Outcome]) -> Outcome:
    whole = Outcome(name=name)
    for outcome in outcomes:
        whole.right += outcome.right
        whole.asked += outcome.asked
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of all folders, and the wrong values of all but the held-out one.

    Args:
        arguments: The command line's, without the program's name; None for ``sys.argv``.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.accuracy", description=__doc__)
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="documents with TEXT in the name"
    )
    parser.add_argument("--folder", action="append", choices=FOLDERS)
    parser.add_argument("--figure", action="append", help="print wrong values of this figure only")
    parser.add_argument(
        "--show", action="store_true",
        help="print the wrong values of held_out as well; not for the extractors' authors",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=None, help="worker processes")
    given = parser.parse_args(arguments)
    sums: dict[str, Outcome] = {}
    with ProcessPoolExecutor(given.jobs) as pool:
        for name in given.folder or FOLDERS:
            paths = [path for path in _documents(FOLDER / name) if given.only in path.name]
            if not paths:
                continue
            outcomes = list(pool.map(measure, paths, chunksize=4))
            sums[name.replace("_", " ")] = _sum(name, outcomes)
            if name != "held_out" or given.show:
                _print_misses(outcomes, given.figure)
    print(_table(sums))


def _print_misses(outcomes: Sequence[Outcome], figures: Sequence[str] | None) -> None:
    is_shown = partial(_is_shown, figures=figures)
    for outcome in outcomes:
        for miss in filter(is_shown, outcome.misses):
            print(f"{outcome.name}: {miss}")
    print(file=sys.stdout)


def _is_shown(miss: str, *, figures: Sequence[str] | None) -> bool:
    return figures is None or miss.partition(":")[0] in figures


if __name__ == "__main__":
    main()
