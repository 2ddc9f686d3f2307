"""What is written down: one line of JSON each."""

from __future__ import annotations

import datetime
from typing import Any, Literal

import msgspec

from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import HandlerFailedError, QtForgeError

__all__ = ["AuditEntry", "EntryError", "error_of", "plain_or_none"]


class EntryError(msgspec.Struct, frozen=True, kw_only=True):
    """A failure.

    Attributes:
        code: The plugin's own code where it gave one, else the bus's, else the type's name.
        message: What happened and why.
    """

    code: str
    message: str


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the audit file; what does not apply is left out.

    Attributes:
        at: When it was noted, UTC.
        event: What it is.
        topic: What was asked; for ``published`` the pattern that was subscribed to.
        plugin: Who answered or failed.
        duration_s: How long it took, in seconds.
        message_type: The name of the message's type.
        message: What was published, in plain form.
        error: For ``failed``.
        count: For ``dropped``: how many entries are missing here.
    """

    at: datetime.datetime
    event: Literal["answered", "failed", "published", "dropped"]
    topic: str | None = None
    plugin: str | None = None
    duration_s: float | None = None
    message_type: str | None = None
    message: Any = None
    error: EntryError | None = None
    count: int | None = None


def error_of(error: BaseException) -> EntryError:
    """Return a failure as it is written down."""
    code = type(error).__name__
    if isinstance(error, HandlerFailedError):
        code = error.cause_code or error.code
    elif isinstance(error, QtForgeError):
        code = error.code
    return EntryError(code=code, message=str(error))


def plain_or_none(message: object) -> Any:
    """Return the message in plain form, or None when it has none."""
    try:
        return to_plain(message)
    except TypeError:
        return None
