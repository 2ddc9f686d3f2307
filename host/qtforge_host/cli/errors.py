"""Errors as one block on standard error, and as exit codes; the one place for both."""

from __future__ import annotations

import sys
import traceback
from typing import Final

import click

from qtforge_sdk.errors import (
    ConfigError,
    HandlerFailedError,
    QtForgeError,
    RunInputError,
    StateDirectoryError,
    WorkflowNotFoundError,
)

__all__ = ["CANCELLED", "FAILED", "NOT_FOUND", "USAGE", "NotFoundError", "exit_code", "show"]

FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
STATE: Final = 4
CANCELLED: Final = 130
_NOT_FOUND: Final = ("run.not_found", "run.unknown_step")  # their modules are not needed for this


class NotFoundError(QtForgeError):
    """Nothing has the name that was given on the command line."""

    code = "cli.not_found"


def exit_code(error: QtForgeError) -> int:
    """Return the exit code of a deliberate error."""
    if isinstance(error, NotFoundError | WorkflowNotFoundError) or error.code in _NOT_FOUND:
        return NOT_FOUND
    if isinstance(error, ConfigError | RunInputError):
        return USAGE
    if isinstance(error, StateDirectoryError):
        return STATE
    return FAILED


def show(error: QtForgeError, *, debug: bool) -> None:
    """Print an error: code, what, why, fix; its traceback only with ``--debug``."""
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    # A plugin's own code says more than that it failed; which plugin it was stands in the text.
    code = error.cause_code if isinstance(error, HandlerFailedError) else ""
    click.secho(f"error[{code or error.code}]: {error.what}", fg="red", err=True)
    for line in error.why.splitlines():
        click.echo(f"  why: {line}", err=True)
    if error.fix:
        click.echo(f"  fix: {error.fix}", err=True)
