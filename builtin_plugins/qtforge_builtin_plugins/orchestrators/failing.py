"""The failure of a run on purpose: the key ``fail`` of stages and of final states."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

__all__ = ["Fail"]

_CODE: Final = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+(?!\n)$"


class Fail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fail the run on purpose.

    Attributes:
        code: The code of the run's error, such as ``job.broken``.
        message: A template of its message.
    """

    code: Annotated[str, msgspec.Meta(pattern=_CODE, examples=["job.broken"])]
    message: str
