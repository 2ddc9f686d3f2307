"""XML and SVG, by lxml: the text without its markup."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.packages import local_name, parse_xml
from qtforge_builtin_plugins.documents.formats.plain import decode

__all__ = ["extract"]

_UNSEEN = frozenset({"style", "script", "metadata", "defs"})
_SVG_NAMESPACE = "{http://www.w3.org/2000/svg}"


def extract(source: Source) -> Extracted:
    """Return the text of the elements, each on a line of its own.

    Of SVG, styles and scripts are left out. Markup that is damaged is returned as it is, with
    the warning ``damaged_markup``.

    Raises:
        OperationError: ``document.undecodable``: the text of damaged markup.
    """
    try:
        data = source.data
        if source.encoding is not None:
            data = decode(data, source.encoding, source.name).text.encode()
            root = etree.fromstring(
                data,
                etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True),
            )
        else:
            root = parse_xml(data)
    except etree.XMLSyntaxError as error:
        decoded = decode(source.data, source.encoding, source.name)
        return Extracted(
            text=decoded.text,
            encoding=decoded.encoding,
            warnings={**decoded.warnings, "damaged_markup": f"it is no well-formed XML: {error}"},
        )
    is_svg = local_name(root) == "svg"
    title = root.find(f"{_SVG_NAMESPACE}title") if is_svg else root.find("{*}title")
    return Extracted(
        text="\n".join(_lines(root, is_svg)),
        title=" ".join("".join(title.itertext()).split()) or None if title is not None else None,
        encoding=(root.getroottree().docinfo.encoding or "utf-8").lower(),
    )


def _lines(root: etree._Element, is_svg: bool) -> Iterator[str]:
    """Yield the text of each element that has text itself, with the elements within it."""
    # An explicit stack, in the order of the document.
    pending = [root]
    while pending:
        element = pending.pop()
        if not isinstance(element.tag, str) or (is_svg and local_name(element) in _UNSEEN):
            continue
        own = [element.text, *(child.tail for child in element)]
        if any(text and text.strip() for text in own):
            text = " ".join("".join(element.itertext(tag=etree.Element)).split())
            if text:
                yield text
        else:
            pending.extend(reversed(element))
