"""E-mail and web addresses; the web addresses by linkify-it, which Markdown uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from linkify_it import LinkifyIt

__all__ = ["Links", "find_links"]

# linkify-it takes quadratic time for some texts: a second for this length.
MOST_CHARACTERS: Final = 300_000
_SCHEMES: Final = frozenset({"http:", "https:", "ftp:"})
# linkify-it recognises e-mail addresses of a few old top-level domains only.
_EMAIL: Final = re.compile(
    r"(?<![\w.+-])\w(?:[\w.+-]{0,62}[\w+-])?@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,63}(?![\w-]|\.\w)"
)
# Without a scheme, `parser.py` and `README.md` look like hosts in Paraguay and Moldova.
_BARE_HOST: Final = re.compile(r"www\.|[\w.-]+\.(?:com|org|net|edu|gov|info|io)(?:[/:?#]|$)", re.I)
# A line without this has none of the above; linkify-it needs a multiple of the time to see it.
_HINT: Final = re.compile(r"//|www\.|\.(?:com|org|net|edu|gov|info|io)", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Addresses in the text's order, without repeats.

    Attributes:
        emails: Such as ``ann@example.com``.
        urls: As written, with their scheme where the text has one.
    """

    emails: tuple[str, ...]
    urls: tuple[str, ...]


def find_links(text: str) -> Links:
    """Return the addresses in the first 300,000 characters."""
    emails: dict[str, None] = {}
    urls: dict[str, None] = {}
    text = text[:MOST_CHARACTERS]
    for match in _EMAIL.finditer(text):
        emails[match.group()] = None
    for line in text.split("\n"):
        if not _HINT.search(line):
            continue
        for link in _linkify().match(line) or ():
            if link.schema in _SCHEMES or (not link.schema and _BARE_HOST.match(link.text)):
                urls[link.text] = None
    return Links(emails=tuple(emails), urls=tuple(urls))


@cache  # it compiles its patterns
def _linkify() -> LinkifyIt:
    return LinkifyIt()
