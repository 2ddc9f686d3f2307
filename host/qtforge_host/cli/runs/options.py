"""Options that several commands share."""

from __future__ import annotations

import datetime
from typing import Final

import click

from qtforge_sdk.durations import seconds

__all__ = ["duration_option", "tag_option", "versions_option", "wait_option"]

_WAIT: Final = "10s"

wait_option = click.option(
    "--wait", default=_WAIT, show_default=True, help="How long to wait for its effect."
)
tag_option = click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME=VALUE",
    help="A tag; repeat for several.",
)
versions_option = click.option(
    "--accept-versions",
    "versions",
    flag_value="any",
    default="same-major",
    type=click.UNPROCESSED,
    help="Resume with the installed plugins, whatever their versions.",
)


def duration_option(option: str, text: str) -> datetime.timedelta:
    """Return an option's duration.

    Raises:
        click.UsageError: It is not a duration.
    """
    try:
        return datetime.timedelta(seconds=seconds(text))
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"{option}: {error}") from error
