"""Sets texts of blocks as pages, drawings, Word files, plain text and mails.

A block's first word is its kind: `p` lines, `title`, `rows` (label and value), `grid` (a bordered
table), `above` (each label over its value, side by side), `stack` (each label over its value, one
under the other), `items` (a table with heads), `dots` (dots between label and value). Further
words: `right` (in the right half), `ends` (values end at the right edge), `box`, `small`,
`center`, `foot` (the foot of the page), `side` (a strip at the right edge), `caps`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape

import msgspec
from docx.document import Document as WordDocument
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_TAB_ALIGNMENT
from docx.shared import Cm, Pt
from docx.table import _Cell as Cell
from fpdf import FPDF
from tests.corpus.fpdf_layouts import draft, new_pdf
from tests.corpus.layout import Draft
from tests.corpus.office_layouts import LEAN, new_word, word_draft
from tests.corpus.text_layouts import mail

_WIDTH = 84


class Block(msgspec.Struct, frozen=True):
    """A block: how it is set, and its columns of lines of cells."""

    kind: str
    words: frozenset[str]
    columns: tuple[tuple[tuple[str, ...], ...], ...]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The lines of all columns that say something."""
        return [row for column in self.columns for row in column if any(row)]


def blocks(text: str) -> list[Block]:
    """Read a text of blocks."""
    found: list[Block] = []
    for part in re.split(r"(?m)^(?=\[[a-z ]+\]$)", text.strip()):
        if not part:
            continue
        head, _, body = part.partition("\n")
        kind, *words = head.strip("[] ").split()
        columns = tuple(
            tuple(
                tuple(cell.strip() for cell in re.split(r"(?<= )\|(?= |$)", line))
                for line in column.strip("\n").splitlines()
            )
            for column in re.split(r"(?m)^---$", body)
        )
        found.append(Block(kind, frozenset(words), columns))
    return found


# Pages of Chromium


def _html_column(block: Block, column: Sequence[Sequence[str]]) -> str:
    lines = [[escape(cell) for cell in row] for row in column]
    if block.kind in {"rows", "grid", "items", "dots"}:
        rows = []
        for at, line in enumerate(lines):
            tag = "th" if block.kind == "items" and at == 0 else "td"
            if any(line):
                rows.append(f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in line)}</tr>")
        return f"<table class={block.kind}>{''.join(rows)}</table>"
    if block.kind in {"above", "stack"}:
        return f"<div class={block.kind}>" + "".join(
            f"<div><span class=label>{line[0]}</span><br><span>{'<br>'.join(line[1:])}</span></div>"
            for line in lines
            if any(line)
        ) + "</div>"  # fmt: skip
    text = "<br>".join(" &nbsp; ".join(line) for line in lines)
    return f"<p>{text.replace('<br><br>', '</p><p>')}</p>"


def _html_grid_column(block: Block, column: Sequence[Sequence[str]]) -> str:
    """Set a column without any table, as newer web applications do."""
    if block.kind in {"rows", "grid", "items", "dots"}:
        rows = [row for row in column if any(row)]
        wide = max(map(len, rows), default=1)
        first = "3fr" if block.kind == "items" and wide > 2 else "1fr"
        if block.kind == "items" and rows and len(rows[0][0]) < 5:
            first = "0.5fr 3fr"
        lengths = f"{first} {'1fr ' * (wide - len(first.split()))}"
        cells = "".join(
            f"<div class='c{' end' if at == len(row) - 1 and len(row) > 1 else ''}'>"
            f"{escape(cell)}</div>"
            for row in rows
            for at, cell in enumerate([*row, *[""] * (wide - len(row))])
        )
        return (
            f"<div class={block.kind} style='display:grid;grid-template-columns:{lengths}'>"
            f"{cells}</div>"
        )
    return _html_column(block, column)


def _html_list_column(block: Block, column: Sequence[Sequence[str]]) -> str:
    """Set labels and values as a list of definitions, and labels over values as a table's head."""
    rows = [[escape(cell) for cell in row] for row in column if any(row)]
    if block.kind in {"rows", "dots"}:
        return "<dl>" + "".join(
            f"<dt>{row[0]}</dt>" + "".join(f"<dd>{cell}</dd>" for cell in row[1:]) for row in rows
        ) + "</dl>"  # fmt: skip
    if block.kind == "above":
        heads = "".join(f"<th>{row[0]}</th>" for row in rows)
        values = "".join(f"<td>{'<br>'.join(row[1:])}</td>" for row in rows)
        return f"<table class=heads><tr>{heads}</tr><tr>{values}</tr></table>"
    return _html_column(block, column)


_STYLES = {
    "page": (
        "@page{size:A4;margin:16mm 18mm 10mm}body{font:9pt 'Liberation Sans'}"
        ".block{margin:0 0 5mm}.cols{display:flex;gap:8mm}.cols>*{flex:1}p{margin:0 0 2.5mm}"
        "table{border-collapse:collapse}td,th{padding:.6mm 3mm .6mm 0;vertical-align:top;"
        "text-align:left}.items{width:100%}.items th{border-bottom:1px solid #000}"
        ".items td:nth-last-child(-n+3),.items th:nth-last-child(-n+3){text-align:right}"
        ".grid td{border:1px solid #888;padding:1mm 2mm}.above{display:flex;gap:7mm}"
        ".label{font-size:7pt;color:#555}.stack div{margin-bottom:1.5mm}"
    ),
    "web": (
        "@page{size:A4;margin:12mm 20mm 9mm}body{font:9.5pt 'DejaVu Sans';letter-spacing:-.2px}"
        ".block{margin:0 0 7mm}.cols{display:grid;grid-auto-flow:column;grid-auto-columns:1fr;"
        "column-gap:10mm}p{margin:0 0 3mm}.c{padding:1mm 1mm 1mm 0}.end{text-align:right}"
        ".items .c{border-bottom:1px solid #ddd}.grid .c{background:#f3f3f3;padding:1mm}"
        ".above{display:grid;grid-auto-flow:column;gap:6mm}.label{font-size:7.5pt;color:#777}"
        ".stack div{margin-bottom:2.5mm}.rows .c{border-bottom:1px dotted #ccc}"
    ),
    "ledger": (
        "@page{size:A4;margin:14mm 15mm}body{font:8pt 'Liberation Mono'}.block{margin:0 0 4mm}"
        ".cols{display:table;width:100%;table-layout:fixed}.cols>*{display:table-cell}"
        "p{margin:0 0 2mm}table{border-collapse:collapse}td,th{padding:.5mm 2mm;text-align:left;"
        "vertical-align:top}.items,.grid{width:100%}.items th,.items td,.grid td{border:1px solid}"
        ".items th{background:#ddd}.items td:last-child,.items th:last-child{text-align:right}"
        ".above{display:flex;gap:5mm}.label{font-weight:bold}.stack div{margin-bottom:1mm}"
    ),
    "card": (
        "@page{size:A4;margin:18mm 20mm}body{font:10pt 'Liberation Sans';color:#222}"
        ".block{margin:0 0 6mm}.cols{display:flex;justify-content:space-between;gap:6mm}"
        "p{margin:0 0 3mm}table{border-spacing:0}td,th{padding:1.2mm 4mm 1.2mm 0;text-align:left}"
        ".items{width:100%}.items th{font-weight:normal;color:#777;border-bottom:2px solid #222}"
        ".items td{border-bottom:1px solid #eee}.items td:nth-last-child(-n+2),"
        ".items th:nth-last-child(-n+2){text-align:right}.grid td{background:#f7f7f7}"
        ".above{display:flex;justify-content:space-between}.label{color:#777;font-size:8pt}"
        ".stack div{margin-bottom:2mm}.rows td:first-child{color:#555}"
    ),
    "serif": (
        "@page{size:A4;margin:20mm 22mm 15mm}body{font:10.5pt 'Liberation Serif'}"
        ".block{margin:0 0 5mm}.cols{display:flex;gap:12mm}.cols>*{flex:1}p{margin:0 0 2mm}"
        "table{border-collapse:collapse}td,th{padding:.8mm 5mm .8mm 0;text-align:left;"
        "vertical-align:top;font-weight:normal}.items{width:100%;border-top:.5pt solid;"
        "border-bottom:.5pt solid}.items th{font-style:italic}.items td:last-child,"
        ".items th:last-child{text-align:right;padding-right:0}.grid td{border:.5pt solid;"
        "padding:1mm 2mm}.above{display:flex;gap:9mm}.label{font-style:italic}"
        ".stack div{margin-bottom:2mm}"
    ),
    "app": (
        "@page{size:A4;margin:10mm 14mm}body{font:9pt/1.45 'DejaVu Sans';color:#1b2733}"
        ".block{margin:0 0 6mm}.cols{display:flex;gap:10mm}.cols>*{flex:1}p{margin:0 0 2mm}"
        "dl{display:grid;grid-template-columns:minmax(0,max-content) minmax(max-content,1fr);"
        "column-gap:6mm;margin:0}dd{margin:0}dt{font-weight:bold}table{width:100%;border-collapse:collapse}"
        "td,th{padding:1.5mm 2mm;text-align:left}.items th{background:#1b2733;color:#fff}"
        ".items tr:nth-child(odd) td{background:#f4f6f8}.items td:nth-last-child(-n+2),"
        ".items th:nth-last-child(-n+2){text-align:right}.heads th{font-size:7pt;color:#68788a}"
        ".heads td{padding-top:0}.stack div{margin-bottom:2mm}.label{font-size:7pt}"
    ),
    "dense": (
        "@page{size:A4;margin:9mm 11mm}body{font:7.5pt/1.25 'Liberation Sans'}"
        ".block{margin:0 0 3mm}.cols{display:flex;gap:4mm}.cols>*{flex:1}p{margin:0 0 1mm}"
        "table{border-collapse:collapse}td,th{padding:.4mm 2mm;text-align:left;border:.3pt solid"
        " #777}.rows td{border:0;border-bottom:.3pt dotted #777}.items{width:100%}"
        ".items th{background:#eee;font-size:6.5pt}.items td:nth-last-child(-n+4){text-align:right}"
        ".above{display:flex}.above>div{border:.3pt solid #777;padding:.6mm 2mm;flex:1}"
        ".label{font-size:6pt}.stack div{margin-bottom:1mm}"
    ),
    "till": (
        "@page{size:80mm 210mm;margin:4mm}body{font:8pt 'Liberation Mono'}.block{margin:0 0 3mm}"
        "p{margin:0}table{width:100%;border-collapse:collapse}td,th{padding:0;text-align:left;"
        "vertical-align:top}td:last-child,th:last-child{text-align:right}.label{font-size:7pt}"
        ".items{border-top:1px dashed;border-bottom:1px dashed}"
    ),
}
_LISTED = {"app"}
_COMMON = (
    ".right{margin-left:50%}.ends table{width:100%}.ends td:last-child{text-align:right}"
    ".box{border:1px solid #333;padding:2mm}.small{font-size:7pt}.center{text-align:center}"
    ".foot{position:fixed;bottom:0;left:0;right:0}.side{float:right;width:46mm;"
    "margin-left:8mm}.title{font-size:17pt;font-weight:bold}.caps .label,.caps td:first-child,"
    ".caps th{text-transform:uppercase}.items{clear:both}"
)


def _html(code: str, style: str, parts: Sequence[Block]) -> str:
    column = _html_grid_column if style == "web" else _html_column
    if style in _LISTED:
        column = _html_list_column
    body = []
    for block in parts:
        inner = "".join(f"<div>{column(block, lines)}</div>" for lines in block.columns)
        many = " cols" if len(block.columns) > 1 else ""
        kind = "title" if block.kind == "title" else ""
        body.append(
            f"<div class='block {kind} {' '.join(sorted(block.words))}{many}'>{inner}</div>"
        )
    return (
        f'<!doctype html><html lang="{code}"><head><meta charset="utf-8"><style>{_STYLES[style]}'
        f"{_COMMON}</style></head><body>{''.join(body)}</body></html>"
    )


# Drawings of fpdf2


def _widths(pdf: FPDF, rows: Sequence[Sequence[str]], whole: float) -> list[float]:
    """Give the columns of a table the space that their texts take, the widest the rest."""
    count = max(map(len, rows))
    widths = [
        3 + max(pdf.get_string_width(row[at]) for row in rows if at < len(row))
        for at in range(count)
    ]
    widest = max(range(count), key=lambda at: widths[at])
    widths[widest] = max(20.0, whole - sum(widths) + widths[widest])
    while (over := sum(widths) - whole) > 1:
        # A column that is too wide for the page wraps its texts.
        widest = max(range(count), key=lambda at: widths[at])
        widths[widest] -= min(over, widths[widest] / 4)
    return widths


def _wrapped(pdf: FPDF, text: str, width: float) -> list[str]:
    """Break a text into lines of a width."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and pdf.get_string_width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _draw_table(
    pdf: FPDF, rows: Sequence[Sequence[str]], x: float, y: float, whole: float, *, heads: bool
) -> float:
    widths = _widths(pdf, rows, whole)
    for line, row in enumerate(rows):
        pdf.set_font(style="B" if heads and line == 0 else "")
        left, below = x, y
        for at, cell in enumerate(row):
            for down, text in enumerate(_wrapped(pdf, cell, widths[at] - 1)):
                shift = 0.0
                if heads and at >= len(row) - 2:
                    shift = widths[at] - 3 - pdf.get_string_width(text)
                pdf.text(left + shift, y + 4.2 * down, text)
                below = max(below, y + 4.2 * down)
            left += widths[at]
        y = below + 5
    return y


def _draw_column(
    pdf: FPDF, block: Block, column: Sequence[Sequence[str]], x: float, y: float, whole: float
) -> float:
    rows = [row for row in column if any(row)]
    if block.kind in {"items", "grid"} and rows:
        return _draw_table(pdf, rows, x, y, whole, heads=block.kind == "items")
    if block.kind in {"rows", "dots"} and rows:
        wide = 4 + max(pdf.get_string_width(row[0]) for row in rows)
        for row in rows:
            pdf.text(x, y, row[0])
            for at, cell in enumerate(row[1:], 1):
                if "ends" in block.words:
                    place = x + whole * at / (len(row) - 1) - pdf.get_string_width(cell)
                else:
                    place = x + wide + (whole - wide) * (at - 1) / max(1, len(row) - 1)
                if block.kind == "dots" and at == 1:
                    start = x + pdf.get_string_width(row[0]) + 1
                    dots = int((place - start - 1) / pdf.get_string_width("."))
                    pdf.text(start, y, "." * dots)
                pdf.text(place, y, cell)
            y += 4.8
        return y
    if block.kind == "above" and rows:
        widths = [4 + max(map(pdf.get_string_width, row)) for row in rows]
        for row, width in zip(rows, widths, strict=True):
            for down, cell in enumerate(row):
                pdf.text(x, y + 4 * down, cell)
            x += width
        return y + 5 * max(map(len, rows))
    if block.kind == "stack":
        for row in rows:
            for cell in row:
                pdf.text(x, y, cell)
                y += 4.2
            y += 1.2
        return y
    for row in column:
        text = "   ".join(row)
        step = 7 if block.kind == "title" else 4.2
        for line in _wrapped(pdf, text, whole):
            shift = (whole - pdf.get_string_width(line)) / 2 if "center" in block.words else 0.0
            if line:
                pdf.text(x + shift, y, line)
            y += step
    return y


def _drawn(parts: Sequence[Block], left: float) -> Draft:
    pdf = new_pdf()
    y, beside = 20.0, 20.0
    feet = 284 - 3.6 * sum(max(map(len, block.columns)) for block in parts if "foot" in block.words)
    for block in parts:
        size = 15 if block.kind == "title" else 6.5 if "small" in block.words else 8.5
        pdf.set_font("body", "B" if block.kind == "title" else "", size)
        whole = 206 - left - 18
        x = left
        if "right" in block.words:
            x, whole = left + whole / 2, whole / 2
        if "side" in block.words:
            for column in block.columns:
                beside = 3 + _draw_column(pdf, block, column, 152, beside, 46)
            continue
        if beside > y and y < 80:
            whole = min(whole, 148 - x)
        start = feet if "foot" in block.words else y
        if start > 270 and "foot" not in block.words:
            pdf.add_page()
            start = 22.0
        count = len(block.columns)
        ends = [
            _draw_column(pdf, block, column, x + whole * at / count, start, whole / count - 3)
            for at, column in enumerate(block.columns)
        ]
        if "foot" in block.words:
            feet = max(ends)
        else:
            y = max(ends) + 4
    return draft(pdf)


# Word


def _into(cell: Cell, block: Block, column: Sequence[Sequence[str]]) -> None:
    texts = []
    for row in column:
        sign = "\n" if block.kind in {"stack", "above"} else "\t" if block.kind == "rows" else "  "
        texts.append(sign.join(row))
    cell.text = "\n".join(texts)


def _word_shaded(parts: Sequence[Block]) -> WordDocument:
    """Set a Word file in a larger serif type, its tables in one of Word's own styles."""
    document = _word(parts, tabs=False)
    normal = document.styles["Normal"].font
    normal.name, normal.size = "Liberation Serif", Pt(11)
    for table in document.tables:
        if len(table.rows) > 1:
            table.style = "Light List"
    return document


def _word_table(document: WordDocument, rows: Sequence[Sequence[str]], style: str) -> None:
    table = document.add_table(rows=len(rows), cols=max(map(len, rows)))
    table.style = style
    for cells, row in zip(table.rows, rows, strict=True):
        for cell, text in zip(cells.cells, row, strict=False):
            cell.text = text
    document.add_paragraph()


def _word(parts: Sequence[Block], *, tabs: bool) -> WordDocument:
    document = new_word()
    section = document.sections[0]
    section.left_margin = section.right_margin = Cm(2)
    for block in parts:
        style = "Table Grid" if {"box"} & block.words or block.kind == "grid" else "Normal Table"
        if {"foot", "side"} & block.words:
            place = section.footer if "foot" in block.words else section.header
            lines = ["   ".join(row) for row in block.rows]
            place.paragraphs[0].text = "\n".join(lines)
            if "side" in block.words:
                place.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT
        elif len(block.columns) > 1:
            table = document.add_table(rows=1, cols=len(block.columns))
            table.style = style
            for cell, column in zip(table.rows[0].cells, block.columns, strict=True):
                _into(cell, block, column)
            document.add_paragraph()
        elif block.kind == "title":
            document.add_paragraph("\n".join(" ".join(row) for row in block.rows), style="Title")
        elif block.kind in {"items", "grid"} or (block.kind == "rows" and not tabs):
            _word_table(document, block.rows, style)
        elif block.kind == "above":
            _word_table(document, [["\n".join(row) for row in block.rows]], style)
        elif block.kind in {"rows", "dots"}:
            for row in block.rows:
                paragraph = document.add_paragraph("\t".join(row))
                stops = paragraph.paragraph_format.tab_stops
                if "ends" in block.words:
                    stops.add_tab_stop(Cm(16), WD_TAB_ALIGNMENT.RIGHT)
                else:
                    stops.add_tab_stop(Cm(7))
                paragraph.paragraph_format.space_after = Pt(0)
                if "right" in block.words:
                    paragraph.paragraph_format.left_indent = Cm(8)
            document.add_paragraph()
        elif block.kind == "stack":
            for row in block.rows:
                document.add_paragraph("\n".join(row)).paragraph_format.space_after = Pt(3)
        else:
            text = "\n".join("   ".join(row) for row in block.columns[0])
            for piece in text.split("\n\n"):
                paragraph = document.add_paragraph(piece)
                if "right" in block.words:
                    paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    return document


# Plain text


def _text_column(block: Block, column: Sequence[Sequence[str]], width: int) -> list[str]:
    rows = [row for row in column if any(row)]
    if not rows:
        return []
    count = max(map(len, rows))
    if block.kind in {"rows", "dots"}:
        wide = 2 + max(len(row[0]) for row in rows)
        lines = []
        for row in rows:
            value = "   ".join(row[1:])
            if block.kind == "dots":
                gap = "." * max(2, width - len(row[0]) - len(value) - 2)
                lines.append(f"{row[0]} {gap} {value}")
            elif "ends" in block.words:
                lines.append(row[0] + value.rjust(width - len(row[0])))
            else:
                lines.append((row[0].ljust(wide) + value).rstrip())
        return lines
    if block.kind in {"items", "grid", "above"}:
        if block.kind == "above":
            rows = [tuple(row[at] if at < len(row) else "" for row in rows) for at in range(count)]
            count = len(rows[0])
        wides = [max(len(row[at]) for row in rows if at < len(row)) for at in range(count)]
        lines = []
        for row in rows:
            cells = [
                cell.rjust(wides[at]) if block.kind == "items" and at >= count - 2
                else cell.ljust(wides[at])
                for at, cell in enumerate(row)
            ]  # fmt: skip
            lines.append("  ".join(cells).rstrip())
        if block.kind == "items":
            lines.insert(1, "-" * max(map(len, lines)))
        return lines
    if block.kind == "stack":
        return [cell for row in rows for cell in (*row, "")]
    lines = ["   ".join(row) for row in column]
    if "center" in block.words:
        lines = [line.center(width).rstrip() for line in lines]
    return lines


def _plain(parts: Sequence[Block], width: int = _WIDTH) -> str:
    lines: list[str] = []
    for block in sorted(parts, key=lambda block: "foot" in block.words):
        count = len(block.columns)
        columns = [_text_column(block, column, width // count) for column in block.columns]
        if count > 1:
            wide = [max(map(len, column), default=0) + 4 for column in columns]
            for at in range(max(map(len, columns))):
                line = "".join(
                    (column[at] if at < len(column) else "").ljust(wide[index])
                    for index, column in enumerate(columns)
                )
                lines.append(line.rstrip())
        else:
            indent = " " * 40 if "right" in block.words else ""
            lines += [indent + line if line else "" for line in columns[0]]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


class Envelope(msgspec.Struct, frozen=True):
    """What only a mail has, and the document's language."""

    code: str
    subject: str = ""
    sender: tuple[str, str] = ("", "")
    to: tuple[str, str] = ("", "")
    when: str = ""


def _as_mail(parts: Sequence[Block], envelope: Envelope) -> Draft:
    return mail(
        envelope.subject, envelope.sender, envelope.to, plain=_plain(parts, 72), when=envelope.when
    )


def _as_both(parts: Sequence[Block], envelope: Envelope) -> Draft:
    return mail(
        envelope.subject, envelope.sender, envelope.to, plain=_plain(parts, 72),
        html=_html(envelope.code, "card", parts), when=envelope.when,
    )  # fmt: skip


def _note(parts: Sequence[Block]) -> str:
    """Write Markdown, as technical notes are kept beside their code."""
    lines: list[str] = []
    for block in parts:
        if block.kind == "title":
            lines += [f"# {' '.join(row)}" for row in block.rows]
        elif block.kind == "rows":
            first, *rest = block.rows
            lines.append(f"| {' | '.join(first)} |")
            lines.append("|" + "---|" * len(first))
            lines += [f"| {' | '.join(row)} |" for row in rest]
        else:
            lines += ["   ".join(row) for row in block.columns[0]]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _mail_page(style: str) -> Callable[[Sequence[Block], Envelope], Draft]:
    def made(parts: Sequence[Block], envelope: Envelope) -> Draft:
        html = _html(envelope.code, style, parts)
        return mail(envelope.subject, envelope.sender, envelope.to, html=html, when=envelope.when)

    return made


def _page(style: str) -> Callable[[Sequence[Block], Envelope], Draft]:
    return lambda parts, envelope: Draft(
        _html(envelope.code, style, parts).encode(), ".html", "chromium"
    )


FORMATS: dict[str, Callable[[Sequence[Block], Envelope], Draft]] = {
    "page": _page("page"),
    "web": _page("web"),
    "drawn": lambda parts, _: _drawn(parts, 18),
    "narrow": lambda parts, _: _drawn(parts, 40),
    "office": lambda parts, _: word_draft(_word(parts, tabs=True), "libreoffice", without=LEAN),
    "boxes": lambda parts, _: word_draft(_word(parts, tabs=False), "libreoffice", without=LEAN),
    "word": lambda parts, _: word_draft(_word(parts, tabs=True), without=LEAN),
    "tables": lambda parts, _: word_draft(_word(parts, tabs=False), without=LEAN),
    "text": lambda parts, _: Draft(_plain(parts).encode(), ".txt", "text"),
    "ledger": _page("ledger"),
    "card": _page("card"),
    "html": lambda parts, envelope: Draft(
        _html(envelope.code, "card", parts).encode(), ".html", "text"
    ),
    "print": lambda parts, _: Draft(_plain(parts, 100).encode(), ".txt", "text"),
    "note": lambda parts, _: Draft(_note(parts).encode(), ".md", "text"),
    "serif": _page("serif"),
    "app": _page("app"),
    "dense": _page("dense"),
    "till": _page("till"),
    "portal": lambda parts, envelope: Draft(
        _html(envelope.code, "app", parts).encode(), ".html", "text"
    ),
    "shaded": lambda parts, _: word_draft(_word_shaded(parts), without=LEAN),
    "shaded-pdf": lambda parts, _: word_draft(_word_shaded(parts), "libreoffice", without=LEAN),
    "wide": lambda parts, _: Draft(_plain(parts, 118).encode(), ".txt", "text"),
    "slim": lambda parts, _: Draft(_plain(parts, 42).encode(), ".txt", "text"),
    "margin": lambda parts, _: _drawn(parts, 26),
    "mail-app": _mail_page("app"),
    "mail": _as_mail,
    "mail-both": _as_both,
    "mail-page": _mail_page("page"),
    "mail-web": _mail_page("web"),
}
