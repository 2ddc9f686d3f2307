"""Arguments that are texts: those that are not UTF-8 are refused before anything is done."""

from __future__ import annotations

from typing import Any, Final

import click
from click.types import StringParamType

__all__ = ["refuse_bad_texts"]


class _Text(StringParamType):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = super().convert(value, param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:  # Linux gives a program any bytes
            self.fail("it is not UTF-8, so that it can be neither stored nor found", param, ctx)
        return text


_TEXT: Final = _Text()
_PLACES: Final = ("PATH", "FILE", "WORKFLOW")


def refuse_bad_texts(command: click.Command) -> click.Command:
    """Let a command, and all below it, refuse arguments that are not UTF-8; return it.

    Files may have any name: arguments that may be a path are left as they are.

    Args:
        command: A command of the host.
    """
    for param in command.params:
        if type(param.type) is StringParamType and not _may_be_path(param):
            param.type = _TEXT
    if isinstance(command, click.Group):
        for each in command.commands.values():
            refuse_bad_texts(each)
    return command


def _may_be_path(param: click.Parameter) -> bool:
    said = param.metavar or (param.name or "").upper()
    return isinstance(param, click.Argument) and any(word in said for word in _PLACES)
