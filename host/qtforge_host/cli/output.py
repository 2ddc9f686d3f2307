"""Print JSON documents, and states as a glyph and a word."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Coroutine, Iterator
from typing import Any, Final, TextIO, TypeVar

import click

from qtforge_host.cli.terminal import echo_json, style

__all__ = [
    "data_only",
    "glyph",
    "json_option",
    "print_json",
    "run_async",
    "state",
]

T = TypeVar("T")


@contextlib.contextmanager
def data_only() -> Iterator[TextIO]:
    """Redirect prints to standard error, and give the stream for the command's data."""
    data = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        yield data


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine, with what plugins print on standard error."""
    from qtforge_host import event_loop  # asyncio is heavy, and a listing does without it

    with data_only():
        return event_loop.run(main)


_GLYPHS: Final = {
    "active": ("●", "green"),
    "draining": ("↷", "cyan"),
    "drained": ("■", "yellow"),
    "ready": ("○", "green"),
    "disabled": ("·", "bright_black"),
    "blocked": ("⊘", "yellow"),
    "unmet": ("△", "yellow"),
    "incompatible": ("≠", "yellow"),
    "conflict": ("⇄", "yellow"),
    "broken": ("✗", "red"),
    "quarantined": ("☣", "red"),
    "healthy": ("✓", "green"),
    "degraded": ("!", "yellow"),
    "unhealthy": ("✗", "red"),
    "closed": ("✓", "green"),
    "half open": ("!", "yellow"),
    "open": ("✗", "red"),
    "valid": ("✓", "green"),
    "expired": ("·", "bright_black"),
    "ok": ("✓", "green"),
    "wrong": ("✗", "red"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "compensated": ("↶", "yellow"),
    "compensating": ("↶", "cyan"),
    "cancelled": ("■", "yellow"),
    "skipped": ("·", "bright_black"),
    "warning": ("!", "yellow"),
    "running": ("▸", "cyan"),
    "taken": ("✓", "green"),
    "not taken": ("✗", "yellow"),
    "queued": ("◌", "cyan"),
    "waiting": ("◔", "cyan"),
    "paused": ("‖", "yellow"),
    "interrupted": ("↯", "red"),
    "held": ("✓", "green"),
    "also held": ("✓", "bright_black"),
    "not held": ("·", "bright_black"),
    "not reached": ("·", "bright_black"),
}


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def glyph(name: str) -> tuple[str, str]:
    """Return a state's glyph, in ASCII where the output can't show it, and its colour."""
    sign, color = _GLYPHS.get(name, ("?", "white"))
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        sign = "*"
    return sign, color


def state(name: str) -> str:
    """Return a state as a glyph and a word; its colour only repeats them."""
    sign, color = glyph(name)
    return style(f"{sign} {name}", fg=color)


def print_json(content: Any, *, one_line: bool = False) -> None:
    """Print a document, or plain values, as JSON on standard output."""
    import msgspec  # plain listings do without it

    from qtforge_sdk.conversion import to_json

    encoded = to_json(content, str)
    if not one_line:
        encoded = msgspec.json.format(encoded, indent=2)
    echo_json(encoded.decode())
