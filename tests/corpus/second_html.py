"""Invoices of the second tranche as web pages, which Chromium prints to PDF."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from random import Random

from tests.corpus.layout import Draft, Layout
from tests.corpus.sheet import Line, Sheet
from tests.corpus.stationery import (
    address_block,
    bank_lines,
    buyer_lines,
    capitals,
    columns,
    company_lines,
    pairs,
    payable,
    split_facts,
    tax_rows,
)

_FONTS = ("Liberation Sans", "Liberation Serif", "DejaVu Sans", "Liberation Sans Narrow")
_RIGHT = {"quantity", "price", "rate", "amount"}


def _page(sheet: Sheet, rng: Random, css: str, body: str) -> Draft:
    html = (
        f'<!doctype html><html lang="{sheet.language.language}"><head><meta charset="utf-8">'
        f"<title>{escape(sheet.title)}</title><style>@page{{size:A4;margin:14mm 17mm}}"
        f"body{{font:9.5pt '{rng.choice(_FONTS)}';margin:0}}table{{border-collapse:collapse}}"
        "td,th{padding:1mm 2mm;text-align:left;vertical-align:top}.r{text-align:right}"
        f".items{{width:100%;margin:5mm 0}}p{{margin:2mm 0}}{css}</style></head>"
        f"<body>{body}</body></html>"
    )
    return Draft(html.encode(), ".html", "chromium")


def _lines(texts: Iterable[str]) -> str:
    return "<br>".join(map(escape, texts))


def _rows(rows: Iterable[Sequence[str]], right_from: int = 1, cls: str = "") -> str:
    filled = "".join(
        "<tr>"
        + "".join(
            f"<td class='{'r' if at >= right_from else ''}'>{escape(text)}</td>"
            for at, text in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table class='{cls}'>{filled}</table>"


def _items(sheet: Sheet, keys: Sequence[str], *, upper: bool = False) -> str:
    def row(cells: dict[str, str], tag: str) -> str:
        return "".join(
            f"<{tag} class='{'r' if key in _RIGHT else ''}'>{escape(cells[key])}</{tag}>"
            for key in keys
        )

    heads = {key: capitals(text, sheet) if upper else text for key, text in sheet.columns.items()}
    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in sheet.rows)
    head = f"<thead><tr>{row(heads, 'th')}</tr></thead>"
    return f"<table class=items>{head}<tbody>{body}</tbody></table>"


def _letterhead_right(sheet: Sheet, rng: Random) -> Draft:
    """Draw a letterhead on the right, a customer without a label, company data in one line."""
    facts, sentences = split_facts(sheet, rng)
    seller = [*sheet.seller.address, *sheet.seller.contact]
    sender = ", ".join([sheet.seller.name, *sheet.seller.address])
    foot = rng.choice([" | ", " · ", " - "]).join(
        [sheet.seller.name, *company_lines(sheet), *bank_lines(sheet)]
    )
    name = capitals(sheet.seller.name, sheet)
    info = "".join(f"<div>{escape(text)}</div>" for text in pairs(facts, sheet.words.colon))
    body = (
        f"<div class=head><b>{escape(name)}</b><br>{_lines(seller)}</div>"
        f"<div class=to><small>{escape(sender)}</small><br>{_lines(address_block(sheet))}</div>"
        f"<h3>{escape(sheet.title)}</h3><div class=info>{info}</div>"
        f"<p>{escape(sheet.words.hello)}</p>{_items(sheet, columns(rng))}"
        f"<div class=sum>{_rows((line.label, line.value) for line in sheet.totals)}</div>"
        f"<p>{_lines([*sentences, *sheet.notes])}</p><p>{escape(sheet.words.bye)}</p>"
        f"<div class=foot>{escape(foot)}</div>"
    )
    css = (
        ".head{margin-left:115mm;font-size:8.5pt}.head b{font-size:12pt}.to{margin-top:6mm}"
        ".to small{font-size:6.5pt;color:#555}.info{columns:2;font-size:9pt}"
        ".items th{background:#ddd}.sum{margin-left:100mm}"
        ".foot{position:fixed;bottom:0;font-size:6.5pt;text-align:center;width:100%}"
    )
    return _page(sheet, rng, css, body)


def _label_bands(sheet: Sheet, rng: Random) -> Draft:
    """Draw bands of label cells over value cells, parties in boxes, and totals on the left."""
    facts, sentences = split_facts(sheet, rng)
    bands = ""
    for at in range(0, len(facts), 3):
        part = facts[at : at + 3]
        for tag, texts in (("th", [x.label for x in part]), ("td", [x.value for x in part])):
            cells = "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
            bands += f"<tr>{cells}</tr>"
    seller = [sheet.seller.name, *sheet.seller.address, *sheet.seller.contact]
    boxes = [
        (sheet.words.seller, [*seller, *company_lines(sheet)]),
        (sheet.words.buyer, buyer_lines(sheet)),
    ]
    if sheet.words.ship_to:
        street = rng.choice(sheet.invoice.customer.country.streets).format(n=rng.randrange(3, 90))
        boxes.append((sheet.words.ship_to, [sheet.buyer.name, street, sheet.buyer.address[1]]))
    heads = "".join(f"<th>{escape(head)}</th>" for head, _ in boxes)
    inner = "".join(f"<td>{_lines(texts)}</td>" for _, texts in boxes)
    body = (
        f"<h1>{escape(sheet.title)}</h1>"
        f"<table class=boxes><tr>{heads}</tr><tr>{inner}</tr></table>"
        f"<table class=bands>{bands}</table>{_items(sheet, columns(rng), upper=True)}"
        f"{_rows(((line.label, line.value) for line in sheet.totals), cls='sum')}"
        f"<p>{_lines([*sentences, *bank_lines(sheet), *sheet.notes])}</p>"
    )
    css = (
        "h1{font-size:15pt}.boxes{width:100%}.boxes th{background:#eee;font-size:8pt}"
        ".bands{width:100%;margin-top:5mm}.bands td,.bands th{border:1px solid #999;width:33%}"
        ".bands th{font-weight:normal;font-size:7.5pt;color:#444}.items th{font-size:7.5pt;"
        "border-bottom:2px solid #000}.sum{border:1px solid #000;width:80mm}"
    )
    return _page(sheet, rng, css, body)


def _tax_table(sheet: Sheet, rng: Random) -> Draft:
    """Draw the amount on top, facts without colons, and a table of taxes beside that of items."""
    facts, sentences = split_facts(sheet, rng)
    due = payable(sheet)
    taxes = _rows(tax_rows(sheet), cls="tax") if sheet.invoice.taxes else ""
    seller = [*sheet.seller.address, *sheet.seller.contact, *company_lines(sheet)]
    body = (
        f"<table class=top><tr><td><h2>{escape(sheet.seller.name)}</h2>{_lines(seller)}</td>"
        f"<td><div class=big>{escape(due.label)}<br><b>{escape(due.value)}</b></div></td></tr>"
        f"<tr><td><i>{escape(sheet.words.buyer)}</i><br>{_lines(buyer_lines(sheet))}</td>"
        f"<td><b>{escape(sheet.title)}</b>"
        f"{_rows(((line.label, line.value) for line in facts), right_from=9)}</td></tr></table>"
        f"{_items(sheet, columns(rng))}<table class=end><tr><td>{taxes}</td><td>"
        f"{_rows((line.label, line.value) for line in sheet.totals)}</td></tr></table>"
        f"<p>{_lines([*sentences, *sheet.notes])}</p><p>{_lines(bank_lines(sheet))}</p>"
    )
    css = (
        ".top,.end{width:100%}.top>tbody>tr>td{width:50%}.big{border:2px solid #000;padding:3mm;"
        "text-align:center}.big b{font-size:14pt}.items tbody tr:nth-child(odd){background:#f3f3f3}"
        ".tax td{border:1px solid #aaa;font-size:8pt}"
    )
    return _page(sheet, rng, css, body)


def _payment_slip(sheet: Sheet, rng: Random) -> Draft:
    """Draw an invoice whose lower third is a slip for the payment."""
    facts, _ = split_facts(sheet, rng, sentences=False)
    due = payable(sheet)
    slip = [
        (sheet.words.seller, sheet.seller.name),
        *((line.label, line.value) for line in sheet.bank),
        *((x.label, x.value) for x in facts if x.key in {"payment_reference", "due_date"}),
        (due.label, due.value),
    ]
    listed: list[Line] = [x for x in facts if x.key not in {"payment_reference", "due_date"}]
    body = (
        f"<table class=top><tr><td>{_lines(address_block(sheet))}</td>"
        f"<td><b>{escape(sheet.seller.name)}</b><br>{_lines(sheet.seller.address)}<br>"
        f"{_lines(sheet.seller.contact)}</td></tr></table><h2>{escape(sheet.title_line)}</h2>"
        f"<p>{escape('; '.join(pairs(listed, sheet.words.colon)))}</p>"
        f"{_items(sheet, columns(rng))}"
        f"{_rows(((line.label, line.value) for line in sheet.totals), cls='sum')}"
        f"<p>{_lines(sheet.notes)}</p><p class=small>{_lines(company_lines(sheet))}</p>"
        f"<div class=slip>{_rows(slip, right_from=9)}</div>"
    )
    css = (
        ".top{width:100%}.top td{width:60%}h2{font-size:12pt;margin-top:12mm}.small{font-size:7pt}"
        ".items td,.items th{border-bottom:1px dotted #777}.sum{width:100%}"
        ".slip{border-top:1px dashed #000;margin-top:10mm;padding-top:3mm}"
        ".slip td:first-child{font-size:7pt;width:45mm}"
    )
    return _page(sheet, rng, css, body)


LAYOUTS = (
    Layout("letterhead-right", _letterhead_right),
    Layout("label-bands", _label_bands),
    Layout("tax-table", _tax_table),
    Layout("payment-slip", _payment_slip),
)
