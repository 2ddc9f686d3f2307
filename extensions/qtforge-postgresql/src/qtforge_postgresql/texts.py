"""Texts that PostgreSQL can store: names and ids; records and messages are bytes."""

from __future__ import annotations

from qtforge_sdk.journal_errors import RecordNotStorableError

__all__ = ["check_text", "is_storable"]


def is_storable(text: str) -> bool:
    r"""Return whether a text has neither the character NUL nor half of a surrogate pair.

    >>> [is_storable(each) for each in ("Grüße", "a\0b", "\ud800")]
    [True, False, False]
    """
    if text.isascii():
        return "\x00" not in text
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def check_text(run_id: str, what: str, *texts: str | None) -> None:
    """Refuse what PostgreSQL can't store in a text.

    Args:
        run_id: The run, for the error.
        what: What the texts are of, for the error.
        texts: The texts.

    Raises:
        RecordNotStorableError: One of them is not `is_storable`.
    """
    for text in texts:
        if text is not None and not is_storable(text):
            why = f"PostgreSQL can't store the name {text!a}, which has the character NUL or"
            raise RecordNotStorableError(run_id, what, f"{why} half of a surrogate pair")
