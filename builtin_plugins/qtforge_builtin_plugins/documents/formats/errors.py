"""What the readers of all formats say of a file that they can't read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtforge_builtin_plugins.documents.formats import Source
from qtforge_sdk import OperationError

__all__ = ["damage_as_error", "damaged", "encrypted_message"]


@contextmanager
def damage_as_error(source: Source) -> Iterator[None]:
    """Turn whatever a reader of a damaged file raises into ``document.damaged``.

    Raises:
        OperationError: ``document.damaged``.
    """
    try:
        yield
    except OperationError:
        raise
    except Exception as error:
        raise damaged(source, f"{type(error).__name__}: {error}") from error


def damaged(source: Source, why: str) -> OperationError:
    """Return the error for a file that is damaged."""
    return OperationError(
        "document.damaged", f"{source.name} is damaged", why, "get a complete copy of it"
    )


def encrypted_message(source: Source) -> OperationError:
    """Return the error for a mail that only its recipient can read."""
    return OperationError(
        "document.encrypted", f"{source.name} is encrypted",
        "only the recipient's key opens this message", "save it decrypted first",
    )  # fmt: skip
