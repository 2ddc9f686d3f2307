"""What a workflow accepts as its input: the types of its keys, and their limits."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["InputSpec"]


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is accepted for one key of a run's input; ``[inputs.NAME]`` of a definition.

    Attributes:
        type: ``string``, ``integer``, ``number``, ``boolean``, ``date`` (``2026-11-30``),
            ``timestamp`` (RFC 3339, with an offset), ``duration``, ``table``, ``any``, or
            ``list[TYPE]``.
        default: The value where none is given.
        required: Whether a value must be given. None, which is the default, means that it must
            where there is no ``default``. What is not given and has none is null.
        description: One line for people.
        enum: The values that are accepted; None for any.
        min: The least number, date, timestamp or duration.
        max: The greatest one.
        min_length: The fewest characters of a string.
        max_length: The most.
        min_items: The fewest items of a list.
        max_items: The most.
        pattern: A regular expression (RE2) that a string matches somewhere; ``^`` and ``$`` are
            its ends.
        secret: Whether the value is kept apart and never shown, as one of ``secret_inputs``.
    """

    type: str = "any"
    default: Any = msgspec.UNSET
    required: bool | None = None
    description: str = ""
    enum: tuple[Any, ...] | None = None
    min: Any = None
    max: Any = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    pattern: str | None = None
    secret: bool = False

    @property
    def is_required(self) -> bool:
        """Whether a value must be given."""
        if self.required is None:
            return self.default is msgspec.UNSET
        return self.required
