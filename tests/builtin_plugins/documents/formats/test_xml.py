"""XML and SVG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SVG = """<?xml version="1.0"?>
<!-- drawn by hand -->
<svg xmlns="http://www.w3.org/2000/svg"><title>The plan</title><style>text { fill: red }</style>
<text x="1">Room <tspan>12</tspan></text><script>var hidden;</script></svg>"""


def test_the_texts_of_a_drawing_are_read(parse: Any) -> None:
    response = parse(SVG.encode(), "plan.txt")
    assert response.parsed_content == "The plan\nRoom 12"
    assert (response.metadata.media_type, response.metadata.title) == ("image/svg+xml", "The plan")


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251", "utf-16"])
def test_xml_is_read_element_by_element(parse: Any, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>'
    text += "<a><b>Привет</b><c>, <d>мир</d> &amp; я</c><e/></a>"
    response = parse(text.encode(encoding), "a.xml")
    assert response.parsed_content == "Привет\n, мир & я"
    assert response.metadata.media_type == "application/xml"


def test_damaged_markup_is_returned_and_said(parse: Any) -> None:
    response = parse(b"<?xml version='1.0'?><a>words", "a.xml")
    assert "words" in response.parsed_content
    assert response.warnings == ("damaged_markup",)


def test_entities_are_neither_fetched_nor_multiplied(parse: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("top secret")
    secret = (tmp_path / "secret").as_uri()
    bomb = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    text = (
        f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "{secret}"><!ENTITY e0 "ha">{bomb}]>'
        "<a><b>words</b><c>&x;</c><d>&e9;</d></a>"
    )
    response = parse(text.encode(), "a.xml")
    assert "words" in response.parsed_content
    assert "secret</" not in response.parsed_content
    assert "top secret" not in response.parsed_content
    assert len(response.parsed_content) < 10_000
