"""Invoices as mail, plain text and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from random import Random

from tests.corpus.layout import Draft, Layout
from tests.corpus.sheet import Sheet


def mail(
    subject: str,
    sender: tuple[str, str],
    receiver: tuple[str, str],
    *,
    plain: str | None = None,
    html: str | None = None,
    charset: str = "utf-8",
    when: str = "Wed, 01 Jan 2025 09:00:00 +0000",
) -> Draft:
    """Write a mail with the given parts, the same bytes each time."""
    message = EmailMessage(policy=SMTP)
    message["From"] = f'"{sender[0]}" <{sender[1]}>'
    message["To"] = f'"{receiver[0]}" <{receiver[1]}>'
    message["Subject"] = subject
    message["Date"] = when
    message["Message-ID"] = f"<{abs(hash_text(subject + when))}@mail.example>"
    if plain is not None:
        message.set_content(plain, charset=charset)
        if html is not None:
            message.add_alternative(html, subtype="html", charset=charset)
    elif html is not None:
        message.set_content(html, subtype="html", charset=charset, cte="quoted-printable")
    if message.is_multipart():
        message.set_boundary("=-part-of-the-mail-=")
    return Draft(message.as_bytes(), ".eml", "email")


def hash_text(text: str) -> int:
    """Give a number for a text that is the same in every process."""
    value = 7
    for sign in text:
        value = (value * 131 + ord(sign)) % 1_000_000_007
    return value


def _table(rows: Sequence[Sequence[str]], right_from: int) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            text.rjust(width) if at >= right_from else text.ljust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _rows(sheet: Sheet, columns: Sequence[str]) -> list[list[str]]:
    return [[cells[key] for key in columns] for cells in (sheet.columns, *sheet.rows)]


def _totals(sheet: Sheet, indent: int) -> list[str]:
    wide = max(len(line.label) for line in sheet.totals)
    money = max(len(line.value) for line in sheet.totals)
    return [
        " " * indent + line.label.ljust(wide + 2) + line.value.rjust(money) for line in sheet.totals
    ]


def _seller(sheet: Sheet) -> list[str]:
    ids = [f"{line.label}: {line.value}" for line in sheet.seller.ids]
    return [sheet.seller.name, *sheet.seller.address, *sheet.seller.contact, *ids]


def _buyer(sheet: Sheet) -> list[str]:
    ids = [f"{line.label}: {line.value}" for line in sheet.buyer.ids]
    return [sheet.buyer.name, *sheet.buyer.address, *ids]


def _bank(sheet: Sheet) -> list[str]:
    return [f"{line.label}: {line.value}" for line in sheet.bank]


def _facts(sheet: Sheet) -> list[str]:
    wide = max(len(line.label) for line in sheet.facts) + 1
    return [f"{line.label}:".ljust(wide + 1) + line.value for line in sheet.facts]


def _when(sheet: Sheet) -> str:
    return sheet.invoice.date.strftime("%a, %d %b %Y 08:12:00 +0000")


def _to(sheet: Sheet) -> tuple[str, str]:
    return sheet.buyer.name, sheet.invoice.customer.email


def _from(sheet: Sheet) -> tuple[str, str]:
    return sheet.seller.name, sheet.invoice.issuer.email


def _mail_plain(sheet: Sheet, rng: Random) -> Draft:
    number = sheet.fact("number")
    columns = ["description", "quantity", "unit", "price", "amount"]
    lines = [
        sheet.words.hello, "", sheet.title.upper(), "", *_facts(sheet), "",
        f"{sheet.words.buyer}:", *_buyer(sheet), "",
        *_table(_rows(sheet, columns), 3), "", *_totals(sheet, 4), "",
        *_bank(sheet), "", *sheet.notes, "", sheet.words.bye, "", "-- ", *_seller(sheet),
    ]  # fmt: skip
    subject = f"{sheet.title} {number.value if number else ''}"
    return mail(subject, _from(sheet), _to(sheet), plain="\n".join(lines), when=_when(sheet))


def _mail_html(sheet: Sheet, rng: Random) -> Draft:
    def row(cells: Sequence[str], tag: str = "td") -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    items = _rows(sheet, ["description", "quantity", "price", "rate", "amount"])
    buyer = "<br>".join(map(escape, _buyer(sheet)))
    html = (
        "<html><head><style>td{padding:4px}</style></head><body>"
        f"<p>{escape(sheet.words.hello)}</p><h2>{escape(sheet.title)}</h2><table>"
        + "".join(row([line.label, line.value]) for line in sheet.facts)
        + f"</table><p>{escape(sheet.words.buyer)}:<br>{buyer}</p>"
        + f"<table>{row(items[0], 'th')}{''.join(row(item) for item in items[1:])}</table><table>"
        + "".join(row([line.label, line.value]) for line in sheet.totals)
        + f"</table><p>{'<br>'.join(map(escape, _bank(sheet)))}</p>"
        + f"<p>{'<br>'.join(map(escape, sheet.notes))}</p>"
        + f"<p><small>{'<br>'.join(map(escape, _seller(sheet)))}</small></p></body></html>"
    )
    subject = f"{sheet.seller.name}: {sheet.title}"
    return mail(subject, _from(sheet), _to(sheet), html=html, when=_when(sheet))


def _mail_sentence(sheet: Sheet, rng: Random) -> Draft:
    """A bill as a provider sends it: all facts in one sentence, in two parts of a mail."""
    seller, bank = _seller(sheet), _bank(sheet)
    net = [f"{line.label}: {line.value}" for line in sheet.totals]
    plain = "\n".join(
        [sheet.words.hello, "", sheet.sentence, "", *net, "", *bank, "", *sheet.notes, "",
         sheet.words.bye, *seller]
    )  # fmt: skip
    html = (
        f"<html><body><div><p>{escape(sheet.words.hello)}</p><p>{escape(sheet.sentence)}</p>"
        f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in net)}</ul>"
        f"<p>{'<br>'.join(map(escape, bank))}</p><p>{escape(sheet.words.bye)}<br>"
        f"{'<br>'.join(map(escape, seller))}</p></div></body></html>"
    )
    subject = f"{sheet.words.title} \u2013 {sheet.seller.name}"
    return mail(subject, _from(sheet), _to(sheet), plain=plain, html=html, when=_when(sheet))


def _text_columns(sheet: Sheet, rng: Random) -> Draft:
    seller, buyer = _seller(sheet), _buyer(sheet)
    height = max(len(seller), len(buyer) + 1)
    left = seller + [""] * (height - len(seller))
    right = [f"{sheet.words.buyer}:", *buyer, *[""] * (height - len(buyer) - 1)]
    wide = max(map(len, left)) + 6
    columns = ["pos", "description", "quantity", "unit", "price", "rate", "amount"]
    lines = [
        *(a.ljust(wide) + b for a, b in zip(left, right, strict=True)), "",
        sheet.title, "=" * len(sheet.title), *_facts(sheet), "",
        *_table(_rows(sheet, columns), 4), "", *_totals(sheet, 30), "",
        *_bank(sheet), "", *sheet.notes,
    ]  # fmt: skip
    return Draft(("\n".join(line.rstrip() for line in lines) + "\n").encode(), ".txt", "text")


def _text_narrow(sheet: Sheet, rng: Random) -> Draft:
    """Forty signs wide with leading dots, as till printers and old programs write."""

    def dotted(label: str, value: str) -> str:
        return f"{label} ".ljust(max(39 - len(value), len(label) + 3), ".") + f" {value}"

    lines = [sheet.seller.name, *sheet.seller.address, *sheet.seller.contact, ""]
    lines += [f"{line.label} {line.value}" for line in sheet.seller.ids]
    lines += ["", sheet.title.center(40).rstrip(), "-" * 40]
    lines += [dotted(line.label, line.value) for line in sheet.facts]
    lines += ["-" * 40, f"{sheet.words.buyer}:", *_buyer(sheet), "-" * 40]
    for row in sheet.rows:
        lines += [
            row["description"],
            dotted(f"  {row['quantity']} x {row['price']}", row["amount"]),
        ]
    lines += ["-" * 40, *(dotted(line.label, line.value) for line in sheet.totals), "-" * 40]
    lines += [*_bank(sheet), *sheet.notes]
    return Draft(("\n".join(lines) + "\n").encode(), ".txt", "text")


def _markdown(sheet: Sheet, rng: Random) -> Draft:
    def table(rows: Sequence[Sequence[str]]) -> list[str]:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:], ""]

    columns = ["description", "quantity", "unit", "price", "rate", "amount"]
    lines = [
        f"# {sheet.title}", "", *(f"**{line.label}:** {line.value}  " for line in sheet.facts), "",
        f"## {sheet.words.seller}", "", *(f"{text}  " for text in _seller(sheet)), "",
        f"## {sheet.words.buyer}", "", *(f"{text}  " for text in _buyer(sheet)), "",
        *table(_rows(sheet, columns)),
        *(f"- {line.label}: {line.value}" for line in sheet.totals), "",
        *(f"{text}  " for text in _bank(sheet)), "", *sheet.notes,
    ]  # fmt: skip
    return Draft(("\n".join(lines) + "\n").encode(), ".md", "text")


OPEN = (
    Layout("mail-plain", _mail_plain, frozenset({"tax_rate"}), hard_spaces=False),
    Layout("mail-html", _mail_html, frozenset({"unit"}), hard_spaces=False),
    Layout("text-columns", _text_columns, hard_spaces=False),
    Layout("markdown", _markdown, hard_spaces=False),
)
THIRD = (
    Layout("text-narrow", _text_narrow, frozenset({"tax_rate", "unit"}), hard_spaces=False),
    Layout(
        "mail-sentence",
        _mail_sentence,
        frozenset({
            "items", "service_date", "customer_number", "order_reference", "delivery_note",
            "original_number", "payment_reference", "customer_vat_id", "discount_rate",
        }),
        hard_spaces=False,
        sentence=True,
    ),
)  # fmt: skip
