"""The folders whose documents are written out, none with a layout or a wording of another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random

from tests.corpus import agreements, blocks
from tests.corpus.answers import TYPES, Answer
from tests.corpus.languages import CODES, Agreement, Bill, Deed, Sheet, language, written
from tests.corpus.plan import Planned, file_suffix
from tests.corpus.written import Filled

FOLDERS = ("fourth", "fifth", "sixth", "held_out")
# A folder keeps the seeds that it was drawn with under its first name.
SEEDS = {"fifth": "held_out", "sixth": "held_out", "held_out": "reserve"}


def _bill(folder: str, code: str, at: int, bill: Bill) -> Planned:
    seed = f"{code}-{SEEDS.get(folder, folder)}-{bill.id}"
    filled = Filled(code, bill, seed)
    while bill.rounding and not filled.rounding:
        seed += "-"
        filled = Filled(code, bill, seed)
    envelope = blocks.Envelope(
        code, filled.subject, bill.sender, bill.to, f"{filled.date:%a, %d %b %Y} 08:17:00 +0000"
    )
    draft = blocks.FORMATS[bill.format](blocks.blocks(filled.text), envelope)
    answer = Answer(
        document=f"{code}-{folder}-{at:02}-{bill.id}{file_suffix(draft)}",
        type=TYPES[bill.kind],
        kind=bill.kind,
        language=code,
        layout=f"{folder}-{bill.id}",
        wording=f"{code}-{folder}-{bill.id}",
        tool=draft.tool,
        held_out=folder == "held_out",
        seed=seed,
        invoice=filled.answer(),
        printed=filled.printed,
    )
    return Planned(draft, answer, folder)


def _deed(folder: str, code: str, at: int, deed: Deed) -> Planned:
    seed = f"{code}-{SEEDS.get(folder, folder)}-{deed.id}"
    agreement = Agreement(deed.id, deed.title, deed.body, deed.header)
    paper, contract = agreements.draw_agreement(Random(seed), language(code), agreement)
    draft = agreements.DEEDS[deed.format](paper)
    answer = Answer(
        document=f"{code}-{folder}-{at:02}-{deed.id}{file_suffix(draft)}",
        type=TYPES["contract"],
        kind="contract",
        language=code,
        layout=f"{folder}-{deed.format}",
        wording=f"{code}-{folder}-{deed.id}",
        tool=draft.tool,
        held_out=folder == "held_out",
        seed=seed,
        contract=contract,
        printed={f"redact {n}": entry.text for n, entry in enumerate(contract.redact)}
        | {f"keep {n}": kept for n, kept in enumerate(contract.keep)},
    )
    return Planned(draft, answer, folder)


def _sheet(folder: str, code: str, at: int, sheet: Sheet) -> Planned:
    envelope = blocks.Envelope(
        code, sheet.subject, sheet.sender, sheet.to, "Tue, 04 Mar 2025 08:17:00 +0000"
    )
    parts = blocks.blocks(sheet.text)
    draft = blocks.FORMATS[sheet.format](parts, envelope)
    first = max((cell for row in parts[0].rows for cell in row), key=len)
    answer = Answer(
        document=f"{code}-{folder}-{at:02}-{sheet.kind}{file_suffix(draft)}",
        type=TYPES[sheet.kind],
        kind=sheet.kind,
        language=code,
        layout=f"{folder}-{sheet.kind}-{sheet.format}",
        wording=f"{code}-{folder}-{sheet.kind}",
        tool=draft.tool,
        held_out=folder == "held_out",
        seed="",
        printed={"first": first},
    )
    return Planned(draft, answer, folder)


def documents() -> Iterator[Planned]:
    """Give every document that is written out, the same each time.

    Returns:
        Sources and answers, folder by folder and language by language.
    """
    for folder in FOLDERS:
        for code in CODES:
            texts = written(folder, code)
            place = count(1)
            for bill in texts.bill:
                yield _bill(folder, code, next(place), bill)
            for deed in texts.deed:
                yield _deed(folder, code, next(place), deed)
            for sheet in texts.sheet:
                yield _sheet(folder, code, next(place), sheet)
