"""Invoices as web pages, which Chromium prints to PDF."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from random import Random

from tests.corpus.layout import Draft, Layout
from tests.corpus.sheet import Block, Line, Sheet

_FONTS = ("DejaVu Sans", "Liberation Sans", "Liberation Serif", "DejaVu Serif")


def _page(sheet: Sheet, rng: Random, css: str, body: str) -> Draft:
    font = rng.choice(_FONTS)
    size = rng.choice(["9.5pt", "10pt"])
    html = (
        f'<!doctype html><html lang="{sheet.language.language}"><head><meta charset="utf-8">'
        f"<title>{escape(sheet.title)}</title><style>@page{{size:A4;margin:16mm}}"
        f"body{{font:{size} '{font}';margin:0;color:#111}}table{{border-collapse:collapse}}"
        f"td,th{{padding:1.2mm 2mm;text-align:left;vertical-align:top}}.r{{text-align:right}}"
        f"p{{margin:2mm 0}}{css}</style></head><body>{body}</body></html>"
    )
    return Draft(html.encode(), ".html", "chromium")


def _lines(texts: Iterable[str]) -> str:
    return "<br>".join(escape(text) for text in texts)


def _pairs(lines: Iterable[Line], cls: str = "", colon: str = ":") -> str:
    rows = "".join(
        f"<tr><td>{escape(line.label)}{colon}</td><td class=r>{escape(line.value)}</td></tr>"
        for line in lines
    )
    return f"<table class='{cls}'>{rows}</table>"


def _items(sheet: Sheet, columns: Sequence[str]) -> str:
    right = {"quantity", "price", "rate", "amount"}
    cells = "".join(
        f"<th class={'r' if key in right else 'l'}>{escape(sheet.columns[key])}</th>"
        for key in columns
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td class={'r' if key in right else 'l'}>{escape(row[key])}</td>" for key in columns
        )
        + "</tr>"
        for row in sheet.rows
    )
    return f"<table class=items><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"


def _party(block: Block, *, ids: bool = True, contact: bool = False) -> str:
    texts = [block.name, *block.address]
    if contact:
        texts += block.contact
    if ids:
        texts += [f"{line.label} {line.value}" for line in block.ids]
    return _lines(texts)


def _bank(sheet: Sheet) -> list[str]:
    return [f"{line.label}: {line.value}" for line in sheet.bank]


_ITEMS_CSS = (
    ".items{width:100%;margin:6mm 0}.items th{border-bottom:1px solid #333}"
    ".items td{border-bottom:1px solid #ddd}"
)


def _business_letter(sheet: Sheet, rng: Random) -> Draft:
    sender = " · ".join([sheet.seller.name, *sheet.seller.address])
    foot = "".join(
        f"<td>{_lines(texts)}</td>"
        for texts in (
            [sheet.seller.name, *sheet.seller.address],
            sheet.seller.contact,
            [f"{line.label}: {line.value}" for line in sheet.seller.ids],
            _bank(sheet),
        )
    )
    body = (
        f"<div class=window><small><u>{escape(sender)}</u></small><br>"
        f"{_party(sheet.buyer)}</div><div class=info>{_pairs(sheet.facts)}</div>"
        f"<h2>{escape(sheet.title)}</h2><p>{escape(sheet.words.hello)}</p>"
        f"{_items(sheet, ['pos', 'description', 'quantity', 'unit', 'price', 'amount'])}"
        f"<div class=totals>{_pairs(sheet.totals)}</div>"
        f"<p>{_lines(sheet.notes)}</p><p>{escape(sheet.words.bye)}<br>{escape(sheet.seller.name)}"
        f"</p><table class=foot><tr>{foot}</tr></table>"
    )
    css = _ITEMS_CSS + (
        ".window{position:absolute;top:29mm;left:0;width:85mm}.info{margin:30mm 0 0 105mm}"
        "h2{margin-top:14mm}.totals{margin-left:95mm}.totals table{width:100%}"
        ".foot{position:fixed;bottom:0;width:100%;font-size:7pt;border-top:1px solid #888}"
    )
    return _page(sheet, rng, css, body)


def _labels_above(sheet: Sheet, rng: Random) -> Draft:
    heads = "".join(f"<th>{escape(line.label)}</th>" for line in sheet.facts)
    values = "".join(f"<td>{escape(line.value)}</td>" for line in sheet.facts)
    body = (
        f"<table class=head><tr><td><h1>{escape(sheet.title)}</h1></td>"
        f"<td class=r>{_party(sheet.seller, contact=True)}</td></tr></table>"
        f"<p><b>{escape(sheet.words.buyer)}</b><br>{_party(sheet.buyer)}</p>"
        f"<table class=facts><tr>{heads}</tr><tr>{values}</tr></table>"
        f"{_items(sheet, ['description', 'quantity', 'price', 'rate', 'amount'])}"
        f"<div class=totals>{_pairs(sheet.totals, colon='')}</div>"
        f"<p>{_lines(_bank(sheet))}</p><p>{_lines(sheet.notes)}</p>"
    )
    css = _ITEMS_CSS + (
        ".head{width:100%}.facts{width:100%;background:#eef;font-size:85%}"
        ".facts th{font-weight:normal;color:#555}.totals{margin-left:90mm}"
    )
    return _page(sheet, rng, css, body)


def _two_columns(sheet: Sheet, rng: Random) -> Draft:
    sides = [
        f"<b>{escape(sheet.words.seller)}:</b><br>{_party(sheet.seller, contact=True)}",
        f"<b>{escape(sheet.words.buyer)}:</b><br>{_party(sheet.buyer)}",
    ]
    if rng.random() < 0.4:
        sides.reverse()
    summary = "".join(
        f"<tr><td>{escape(base.label)}</td><td class=r>{escape(base.value)}</td></tr>"
        for base in sheet.bases
    )
    number = sheet.fact("number")
    label = f"{sheet.title} {number.value if number else ''}"
    total = next(line for line in reversed(sheet.totals) if line.key in {"total", "amount_due"})
    body = (
        f"<h1>{escape(label)}</h1>{_pairs(sheet.facts, 'facts')}"
        f"<table class=sides><tr><td>{sides[0]}</td><td>{sides[1]}</td></tr></table>"
        f"{_items(sheet, ['pos', 'description', 'quantity', 'unit', 'price', 'rate', 'amount'])}"
        f"<table class=bases>{summary}</table>{_pairs(sheet.totals, 'totals')}"
        f"<h3>{escape(total.label)}: {escape(total.value)}</h3>"
        f"<p>{_lines(_bank(sheet))}</p><p>{_lines(sheet.notes)}</p>"
    )
    css = _ITEMS_CSS + (
        ".sides{width:100%;margin-top:8mm}.sides td{width:50%;border:1px solid #999}"
        ".items td,.items th{border:1px solid #999}.bases{margin-left:auto;color:#444}"
        ".totals{margin-left:auto}h1{text-align:center;font-size:15pt}"
    )
    return _page(sheet, rng, css, body)


def _bank_first(sheet: Sheet, rng: Random) -> Draft:
    slip = "".join(
        f"<tr><td>{escape(line.label)}</td><td>{escape(line.value)}</td></tr>"
        for line in sheet.bank
    )
    skipped = {"number", "date"}
    rest = [line for line in sheet.facts if line.key not in skipped]
    seller = ", ".join(
        [sheet.seller.name, *(f"{line.label} {line.value}" for line in sheet.seller.ids),
         *sheet.seller.address, *sheet.seller.contact]
    )  # fmt: skip
    buyer = ", ".join(
        [sheet.buyer.name, *(f"{line.label} {line.value}" for line in sheet.buyer.ids),
         *sheet.buyer.address]
    )  # fmt: skip
    body = (
        f"<table class=slip>{slip}</table><h2>{escape(sheet.title_line)}</h2><hr>"
        f"<table><tr><td>{escape(sheet.words.seller)}:</td><td><b>{escape(seller)}</b></td></tr>"
        f"<tr><td>{escape(sheet.words.buyer)}:</td><td><b>{escape(buyer)}</b></td></tr></table>"
        f"<p>{'<br>'.join(f'{escape(line.label)}: {escape(line.value)}' for line in rest)}</p>"
        f"{_items(sheet, ['pos', 'description', 'quantity', 'unit', 'price', 'amount'])}"
        f"{_pairs(sheet.totals, 'totals')}<p>{_lines(sheet.notes)}</p><hr>"
        "<p>_____________________ &nbsp; _____________________</p>"
    )
    css = _ITEMS_CSS + (
        ".slip{width:100%;margin-bottom:6mm}.slip td{border:1px solid #000}"
        ".items td,.items th{border:1px solid #000}.totals{margin-left:auto;font-weight:bold}"
    )
    return _page(sheet, rng, css, body)


def _sidebar(sheet: Sheet, rng: Random) -> Draft:
    facts = "".join(
        f"<p class=k>{escape(line.label)}</p><p class=v>{escape(line.value)}</p>"
        for line in (*sheet.facts, *sheet.bank)
    )
    side = (
        f"<div class=side><h2>{escape(sheet.seller.name)}</h2>"
        f"<p>{_lines([*sheet.seller.address, *sheet.seller.contact])}</p>"
        f"<p>{_lines(f'{line.label} {line.value}' for line in sheet.seller.ids)}</p>{facts}</div>"
    )
    total = next(line for line in sheet.totals if line.key == "total")
    main = (
        f"<div class=main><h1>{escape(sheet.title)}</h1>"
        f"<p class=big>{escape(total.value)}</p>"
        f"<p>{escape(sheet.words.buyer)}</p><p><b>{_party(sheet.buyer)}</b></p>"
        f"{_items(sheet, ['description', 'quantity', 'price', 'amount'])}"
        f"{_pairs(sheet.totals, 'totals', '')}<p>{_lines(sheet.notes)}</p></div>"
    )
    body = main + side if rng.random() < 0.5 else side + main
    css = _ITEMS_CSS + (
        ".side{position:absolute;left:0;top:0;width:52mm;min-height:250mm;background:#1f3a5f;"
        "color:#fff;padding:4mm}.side .k{color:#bcd;font-size:80%;margin:3mm 0 0}"
        ".side .v{margin:0}.main{margin-left:66mm}.big{font-size:20pt;color:#1f3a5f}"
        ".totals{margin-left:auto}"
    )
    return _page(sheet, rng, css, body)


OPEN = (
    Layout("business-letter", _business_letter, frozenset({"tax_rate"})),
    Layout("labels-above", _labels_above, frozenset({"unit"})),
    Layout("two-columns", _two_columns),
    Layout("bank-first", _bank_first, frozenset({"tax_rate"})),
)
THIRD = (Layout("sidebar", _sidebar, frozenset({"tax_rate", "unit"})),)
