"""An action as a page offers it: a button, and a dialog that asks first."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

__all__ = ["Action", "Check"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A box to tick in a dialog.

    Attributes:
        name: Of the form's field, which is ``true`` where it is ticked.
        label: What it does.
        flag: The same for the command line.
    """

    name: str
    label: str
    flag: str


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be done.

    Attributes:
        name: The end of its path.
        label: On its button.
        icon: The symbol on it.
        title: The question.
        text: What will happen.
        command: The same for the command line.
        tone: ``primary``, ``bad`` or "".
        confirm: On the button that does it; "" for the label.
        has_reason: Whether it takes a reason.
        steps: The steps of a run from which it may begin; none where that can't be chosen.
        first_choice: What is chosen where no step is.
        check: A box to tick; None for none.
    """

    name: str
    label: str
    icon: str
    title: str
    text: str
    command: str
    tone: str = ""
    confirm: str = ""
    has_reason: bool = False
    steps: Sequence[str] = ()
    first_choice: str = ""
    check: Check | None = None
