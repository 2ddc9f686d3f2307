"""Print an error as one block on standard error."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from textwrap import indent
from typing import Final

from qtforge_host.cli.terminal import echo, echo_lines, style
from qtforge_sdk.errors import HandlerFailedError, QtForgeError

__all__ = ["CANCELLED", "FAILED", "UnsupportedPlatformError", "no_such_command", "show"]

FAILED: Final = QtForgeError.exit_code
CANCELLED: Final = 130


class UnsupportedPlatformError(QtForgeError):
    """The operating system lacks what the host needs."""

    code = "cli.unsupported_platform"


def no_such_command(name: str, known: Iterable[str]) -> str:
    """Return what is said of a command that there is not, with the nearest one.

    Args:
        name: What was typed.
        known: The commands that there are.
    """
    from qtforge_sdk.validation import nearest  # only here: most names are right

    near = nearest(name, list(known))
    return f"No such command '{name}'." + (f" Did you mean '{near}'?" if near else "")


def show(error: QtForgeError, *, debug: bool) -> None:
    """Print an error: code, what, why, where, fix; its traceback only with ``--debug``."""
    if debug:
        # Indented: texts of plugins in it may have several lines.
        echo_lines(indent("".join(traceback.format_exception(error)), "  "), nl=False, err=True)
    # The plugin's own code is more specific; the text names the plugin.
    code = error.cause_code if isinstance(error, HandlerFailedError) else ""
    echo(style(f"error[{code or error.code}]: {error.what}", fg="red"), err=True)
    for line in error.why.splitlines():
        echo(f"  why: {line}", err=True)
    if isinstance(error, HandlerFailedError) and error.place:
        echo(f"  at: {error.place}", err=True)
    if error.fix:
        echo(f"  fix: {error.fix}", err=True)
