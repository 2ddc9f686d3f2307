"""What a workflow wants of its input."""

from __future__ import annotations

import msgspec

__all__ = ["InputCheck"]


class InputCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has to hold of a run's input before the run starts.

    Attributes:
        input: The key that it is about; within tables the path, such as ``submitter.email``.
        condition: CEL over ``input``; one that can't be told does not hold.
        wants: What is accepted, in words that go on from "give", such as ``a date``.
    """

    input: str
    condition: str
    wants: str
