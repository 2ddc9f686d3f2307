"""Check that an invoice is due after its date of issue, and issued before now."""

# ruff: noqa: RUF001 - it has labels in Russian

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from qtforge_builtin_plugins.documents.facts.dates import iterate_dates
from qtforge_builtin_plugins.pipelines.financial.messages import FraudFinding
from qtforge_builtin_plugins.pipelines.financial.numbers import TextLine
from qtforge_builtin_plugins.pipelines.financial.verdicts import (
    Verdict,
    evidence,
    found,
    passed,
    unchecked,
)

__all__ = ["check_dates", "issued_on"]

NAME: Final = "dates"
_FAR_FUTURE: Final = datetime.timedelta(days=31)  # an invoice may be written ahead of a month
_GAP: Final = 30
_ISSUED: Final = tuple(
    re.compile(labels, re.IGNORECASE)
    for labels in (
        r"(?<!\w)(?:invoice|bill|receipt) date(?!\w)|(?<!\w)date (?:of issue|issued)(?!\w)"
        r"|(?<!\w)(?:issue date|issued(?: on)?)(?!\w)|(?<!\w)rechnungsdatum(?!\w)"
        r"|(?<!\w)date de (?:la )?facture(?!\w)|(?<!\w)fecha de (?:factura|emisión)(?!\w)"
        r"|(?<!\w)data fattura(?!\w)|(?<!\w)дата (?:выставления )?сч[её]та(?!\w)"
        r"|^\W{0,3}(?:сч[её]т|счет-фактура)\b.{0,40}?\bот(?!\w)",
        r"^\W{0,3}(?:date|datum|дата)(?!\w)",
    )
)
_DUE: Final = re.compile(
    r"(?<!\w)(?:due date|payment due(?: date| by| on)?|due (?:on|by)|pay(?:able)? (?:by|before"
    r"|until)"
    r"|fällig(?:keit(?:sdatum)?)?(?: am| bis)?(?: zum)?|zahlbar bis(?: zum)?|zahlungsziel"
    r"|zu zahlen bis(?: zum)?|date d[’']échéance|échéance|vencimiento|scadenza|срок оплаты"
    r"|оплатить до)(?!\w)",
    re.IGNORECASE,
)
_SLASHED: Final = re.compile(r"(?<!\d)(\d{1,2})[/-](\d{1,2})[/-]\d{2,4}(?!\d)")


class _Stated(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled date, under both orders of day and month."""

    line: TextLine
    text: str
    day_first: datetime.date
    month_first: datetime.date


def check_dates(lines: Sequence[TextLine], language: str | None, now: datetime.date) -> Verdict:
    """Compare the date of issue with the due date, and with today.

    If the order of day and month is not known, a contradiction must exist in both orders.
    """
    issued = _issued(lines, language)
    if issued is None:
        return unchecked(NAME, "no date of issue was found")
    due = list(_labelled(lines, (_DUE,), language))
    findings = [*_order(issued, due), *_future(issued, now)]
    if findings:
        return found(NAME, *findings)
    if issued.day_first != issued.month_first and (issued.day_first > now + _FAR_FUTURE) != (
        issued.month_first > now + _FAR_FUTURE
    ):
        return unchecked(NAME, f"'{issued.text}' is in the future if its day comes first or last")
    if not due:
        return passed(NAME, f"issued on {issued.text}; no due date is stated")
    if any(one.day_first < issued.day_first or one.month_first < issued.month_first for one in due):
        return unchecked(
            NAME, f"'{issued.text}' and '{due[0].text}' may be read with day or month first"
        )
    return passed(NAME, f"issued on {issued.text}, due on {due[-1].text}")


def issued_on(lines: Sequence[TextLine], language: str | None) -> datetime.date | None:
    """Return the date of issue; None when there is none, or it has two readings."""
    issued = _issued(lines, language)
    if issued is None or issued.day_first != issued.month_first:
        return None
    return issued.day_first


def _issued(lines: Sequence[TextLine], language: str | None) -> _Stated | None:
    return next(_labelled(lines, _ISSUED, language), None)


def _order(issued: _Stated, due: Sequence[_Stated]) -> Iterator[FraudFinding]:
    # If there are several, such as with and without a discount, the last must be late enough.
    if due and all(
        one.day_first < issued.day_first and one.month_first < issued.month_first for one in due
    ):
        yield FraudFinding(
            check=NAME,
            code="dates.order",
            severity="medium",
            message=f"it is due on {due[0].text}, before it was issued on {issued.text}",
            evidence=evidence(issued.line, *(one.line for one in due)),
            stated=due[0].text,
            computed=issued.text,
        )


def _future(issued: _Stated, now: datetime.date) -> Iterator[FraudFinding]:
    if min(issued.day_first, issued.month_first) > now + _FAR_FUTURE:
        yield FraudFinding(
            check=NAME,
            code="dates.future",
            severity="medium",
            message=f"it is issued on {issued.text}, more than {_FAR_FUTURE.days} days after"
            f" {now.isoformat()}",
            evidence=evidence(issued.line),
            stated=issued.text,
            computed=now.isoformat(),
        )


def _labelled(
    lines: Sequence[TextLine], labels: Sequence[re.Pattern[str]], language: str | None
) -> Iterator[_Stated]:
    """Yield the dates after a label, or alone on the line below it; stronger labels first."""
    is_decided = _decided_order(lines)
    for label in labels:
        for index, line in enumerate(lines):
            for match in label.finditer(line.text):
                places = [(line, line.text[match.end() :])]
                if not any(map(str.isdigit, places[0][1])) and index + 1 < len(lines):
                    places.append((lines[index + 1], lines[index + 1].text))
                for place, text in places:
                    stated = _dated(place, text, language, is_decided)
                    if stated is not None:
                        yield stated
                        break


def _dated(line: TextLine, text: str, language: str | None, order: str | None) -> _Stated | None:
    readings = []
    for each in (order or "DMY", order or "MDY"):
        placed = next(iterate_dates(text, language, order=each), None)
        if placed is None or placed.start > _GAP:
            return None
        readings.append(placed.date)
    first, second = (datetime.date.fromisoformat(reading.date) for reading in readings)
    return _Stated(line=line, text=readings[0].text, day_first=first, month_first=second)


def _decided_order(lines: Sequence[TextLine]) -> str | None:
    """Return the order of day and month if some date has only one reading."""
    for line in lines:
        for match in _SLASHED.finditer(line.text):
            first, second = int(match[1]), int(match[2])
            if 12 < first <= 31 and second <= 12:
                return "DMY"
            if 12 < second <= 31 and first <= 12:
                return "MDY"
    return None
