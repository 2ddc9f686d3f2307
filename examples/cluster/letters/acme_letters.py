"""A plugin for a machine of its own: the one with the printer."""

from __future__ import annotations

import msgspec

from qtforge_sdk import Plugin, operation


class Letter(msgspec.Struct, frozen=True):
    """What is printed.

    Attributes:
        to: Who gets it.
        text: Its text.
    """

    to: str
    text: str


class Letters(Plugin):
    """Prints letters; here, into the log of its node."""

    @operation("letter.print")
    async def print_letter(self, letter: Letter) -> str:
        """Print a letter, and return what it says."""
        print(f"printed: to {letter.to}: {letter.text}", flush=True)
        return letter.text
