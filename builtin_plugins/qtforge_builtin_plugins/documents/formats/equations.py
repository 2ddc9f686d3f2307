"""Equations of Office Math (OMML) as a line of text."""

from __future__ import annotations

from typing import Final

from lxml import etree

from qtforge_builtin_plugins.documents.formats.packages import local_name

__all__ = ["equation_text"]

_M: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_BASES: Final = {"sSup": ("e", "sup"), "sSub": ("e", "sub"), "sSubSup": ("e", "sub", "sup"),
                 "limLow": ("e", "lim"), "limUpp": ("e", "lim")}  # fmt: skip
_MARKS: Final = {"sup": "^", "sub": "_", "lim": "_"}


def equation_text(element: etree._Element) -> str:
    """Return an equation on one line, such as ``x=(-b±√(b^2-4ac))/2a``."""
    name = local_name(element)
    if name == "t":
        return element.text or ""
    if name == "f":
        return f"{_grouped(element, 'num')}/{_grouped(element, 'den')}"
    if name in _BASES:
        base, *others = _BASES[name]
        scripts = "".join(f"{_MARKS[each]}{_grouped(element, each)}" for each in others)
        return f"{_text(element, base)}{scripts}"
    if name == "rad":
        return f"{_text(element, 'deg')}√{_grouped(element, 'e')}"
    if name == "nary":
        sign = _property(element, "naryPr", "chr", "∫")
        lower, upper = _grouped(element, "sub"), _grouped(element, "sup")
        limits = (f"_{lower}" if lower else "") + (f"^{upper}" if upper else "")
        return f"{sign}{limits} {_text(element, 'e')}"
    if name == "d":
        inner = _property(element, "dPr", "sepChr", "|").join(
            map(equation_text, element.findall(f"{_M}e"))
        )
        opening = _property(element, "dPr", "begChr", "(")
        return f"{opening}{inner}{_property(element, 'dPr', 'endChr', ')')}"
    if name == "func":
        return f"{_text(element, 'fName')} {_text(element, 'e')}"
    if name in ("mr", "eqArr"):
        between = ", " if name == "mr" else "\n"
        return between.join(map(equation_text, element.findall(f"{_M}e")))
    if name == "m":
        return "; ".join(map(equation_text, element.findall(f"{_M}mr")))
    if name.endswith("Pr"):
        return ""
    return "".join(map(equation_text, element))


def _text(element: etree._Element, name: str) -> str:
    child = element.find(f"{_M}{name}")
    return "" if child is None else equation_text(child)


def _grouped(element: etree._Element, name: str) -> str:
    text = _text(element, name)
    return text if text.isalnum() or not text else f"({text})"


def _property(element: etree._Element, properties: str, name: str, default: str) -> str:
    found = element.find(f"{_M}{properties}/{_M}{name}")
    return default if found is None else found.get(f"{_M}val") or ""
