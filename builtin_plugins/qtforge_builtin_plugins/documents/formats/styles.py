"""The styles of a Word document, as far as they decide what is text, heading and list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

__all__ = ["Styles", "W", "is_on", "value"]

W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_HEADING: Final = re.compile(r"(?:title|heading ([1-9]))", re.IGNORECASE)
_MOST_ANCESTORS: Final = 20  # styles that are based on each other in a circle end there
_BODY_TEXT: Final = 9  # the outline level that is none


def value(element: etree._Element | None, name: str) -> str:
    """Return an attribute of an element; "" without element or attribute."""
    return "" if element is None else element.get(f"{W}{name}") or ""


def is_on(element: etree._Element | None) -> bool:
    """Return whether an on-off property is there and not switched off."""
    return element is not None and value(element, "val").lower() not in ("0", "false", "off")


class Styles:
    """The styles by their ids.

    Args:
        root: The part with the styles, or None.
    """

    def __init__(self, root: etree._Element | None) -> None:
        found = [] if root is None else root.findall(f"{W}style")
        self._styles = {value(style, "styleId"): style for style in found}
        self._default = next(
            (
                style
                for style in found
                if value(style, "type") == "paragraph"
                and value(style, "default").lower() in ("1", "true", "on")
            ),
            None,
        )

    def heading_level(self, properties: etree._Element | None) -> int | None:
        """Return the level of a paragraph that is a heading, from 1; None for others."""
        if properties is None:
            return None
        own = properties.find(f"{W}outlineLvl")
        if own is None:
            for style in self._chain(properties):
                match = _HEADING.fullmatch(value(style.find(f"{W}name"), "val"))
                if match is not None:
                    return int(match[1] or 1)
                own = style.find(f"{W}pPr/{W}outlineLvl")
                if own is not None:
                    break
        level = value(own, "val")
        return int(level) + 1 if level.isdecimal() and int(level) < _BODY_TEXT else None

    def numbering(self, properties: etree._Element | None) -> tuple[str, str, str]:
        """Return the list of a paragraph, its level or "", and the style that says so or ""."""
        own = None if properties is None else properties.find(f"{W}numPr")
        level = value(own.find(f"{W}ilvl"), "val") if own is not None else ""
        if own is not None and own.find(f"{W}numId") is not None:
            return value(own.find(f"{W}numId"), "val"), level, ""
        for style in self._chain(properties):
            inherited = style.find(f"{W}pPr/{W}numPr")
            if inherited is not None and inherited.find(f"{W}numId") is not None:
                number = value(inherited.find(f"{W}numId"), "val")
                level = level or value(inherited.find(f"{W}ilvl"), "val")
                return number, level, value(style, "styleId")
        return "", "", ""

    def is_hidden(self, properties: etree._Element | None) -> bool:
        """Return whether a run is hidden, by itself or by its character style."""
        if properties is None:
            return False
        own = properties.find(f"{W}vanish")
        if own is None:
            style = self._styles.get(value(properties.find(f"{W}rStyle"), "val"))
            own = None if style is None else style.find(f"{W}rPr/{W}vanish")
        return is_on(own)

    def _chain(self, properties: etree._Element | None) -> Iterator[etree._Element]:
        """Yield a paragraph's style, and the styles that it is based on."""
        name = value(properties.find(f"{W}pStyle"), "val") if properties is not None else ""
        style = self._styles.get(name) if name else self._default
        for _ in range(_MOST_ANCESTORS):
            if style is None:
                return
            yield style
            style = self._styles.get(value(style.find(f"{W}basedOn"), "val"))
