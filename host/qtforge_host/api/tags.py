"""Read tags from the texts in which people and programs give them."""

from __future__ import annotations

from collections.abc import Iterable

from qtforge_sdk.journal_errors import TagsInvalidError
from qtforge_sdk.journal_kit.admission import check_tags

__all__ = ["changes_of", "tags_of"]


def tags_of(texts: Iterable[str]) -> dict[str, str]:
    """Return the tags of texts such as ``customer=ACME``.

    Raises:
        TagsInvalidError: One is none.

    >>> tags_of(["customer=ACME", "n=a=b"])
    {'customer': 'ACME', 'n': 'a=b'}
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value:
            why = "a tag has a name and a value"
            raise TagsInvalidError(f"{text[:80]!a} is no tag", why, "such as customer=ACME")
        found[name] = value
    check_tags(found)
    return found


def changes_of(texts: Iterable[str]) -> dict[str, str | None]:
    """Return the changes of tags of texts such as ``customer=ACME``, or ``customer=`` to remove it.

    Raises:
        TagsInvalidError: One is none.

    >>> changes_of(["customer=ACME", "old="])
    {'customer': 'ACME', 'old': None}
    """
    found: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            why, fix = "it has no '='", "such as customer=ACME, or customer= to remove it"
            raise TagsInvalidError(f"{text[:80]!a} is no tag", why, fix)
        found[name] = value or None
    check_tags(found)
    return found
