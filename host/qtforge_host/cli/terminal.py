r"""The one place through which text for people reaches the terminal.

Names, errors, fixes and prints of plugins, and the documents and sources that they read, may
hold escape sequences, control characters, bidirectional overrides and line breaks. They would
move the cursor, change the clipboard, or forge lines that the host seems to say. So everything
is written with `echo` and `echo_lines`, and standard error is a `CleanStream`: such characters
are shown as escapes such as ``\x1b``. Only what `style` has made keeps its colour.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

import click

__all__ = [
    "CleanStream",
    "clean_line",
    "clean_lines",
    "echo",
    "echo_json",
    "echo_lines",
    "plain",
    "raw",
    "rendered",
    "style",
    "terminal_size",
]

_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
# What a style begins with, instead of the escape character alone: no text that the host was
# given can hold it, so a colour in it is the host's own.
_MARK: Final = f"\x1b{os.urandom(8).hex()}"
# What the host's own texts use instead where the output can't show a sign; as wide as it.
_REPLACED: Final = str.maketrans({"…": "~", "→": ">", "└": "+"})
_LONGEST_SIZE: Final = 6  # digits
_UNKNOWN_SIZE: Final = (80, 24)
_NAMES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


# Most texts need none of these patterns, and the two of many characters take a millisecond.
@functools.cache
def _harmful() -> re.Pattern[str]:
    return re.compile(f"[{_CONTROLS}]")


@functools.cache
def _harmful_in_lines() -> re.Pattern[str]:
    return re.compile(rf"(?![\n\t])[{_CONTROLS}]")


@functools.cache
def _color() -> re.Pattern[str]:
    return re.compile(r"\x1b\[[0-9;]*m")


@functools.cache
def _style() -> re.Pattern[str]:
    return re.compile(rf"{_MARK}(\[[0-9;]*m)")


def style(text: str, **options: Any) -> str:
    """Return a text with a colour, to be printed with `echo`.

    Args:
        text: The text.
        options: Those of `click.style`.
    """
    begin, end = click.style("\0", **options).split("\0")
    return f"{_marked(begin)}{text}{_marked(end)}"


def plain(line: str) -> str:
    """Return a line as it is shown, without the colours of `style`."""
    return clean_line(_style().sub("", line) if _MARK in line else line)


def rendered(line: str) -> str:
    """Return a line as it is shown, with the escape sequences of its colours."""
    if _MARK not in line:
        return clean_line(line)
    parts = _style().split(line)
    # Every other one is what a style has captured.
    parts[::2] = map(clean_line, parts[::2])
    parts[1::2] = [f"\x1b{each}" for each in parts[1::2]]
    return "".join(parts)


def echo(line: str = "", *, err: bool = False) -> None:
    r"""Print one line; a line break in it is shown as ``\n``.

    Args:
        line: The line, with colours of `style`.
        err: Whether it goes to standard error.
    """
    _write(rendered(line), err=err)


def terminal_size() -> os.terminal_size:
    """Return the columns and lines of the terminal; ``COLUMNS`` and ``LINES`` go before.

    As `shutil` does, which with its archives is slow to import.
    """
    given = [os.environ.get(name, "") for name in ("COLUMNS", "LINES")]
    sizes = [int(each) if each.isdecimal() and len(each) < _LONGEST_SIZE else 0 for each in given]
    found = _UNKNOWN_SIZE
    if not all(sizes):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # no terminal, or closed
            found = os.get_terminal_size(sys.__stdout__.fileno())  # type: ignore[union-attr]
    columns, lines = (
        said or seen or default
        for said, seen, default in zip(sizes, found, _UNKNOWN_SIZE, strict=True)
    )
    return os.terminal_size((columns, lines))


def echo_lines(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Print a text of several lines, such as a file.

    Args:
        text: The text.
        nl: Whether a line break is added.
        err: Whether it goes to standard error.
    """
    _write(clean_lines(text), nl=nl, err=err)


def echo_json(text: str) -> None:
    """Print JSON; what is harmful in it becomes an escape of JSON, which says the same."""
    # The control characters of ASCII are escapes already, but for the last one.
    if not text.isascii() or "\x7f" in text:
        text = _harmful_in_lines().sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    _write(text, err=False)


def clean_line(text: str) -> str:
    r"""Return a text in one line, with the harmful characters as escapes.

    >>> print(clean_line("a\nb \x1b[31mred\u202e"))
    a\nb \x1b[31mred\u202e
    """
    return text if text.isprintable() else _harmful().sub(_escape, text)


def clean_lines(text: str) -> str:
    r"""Return a text of several lines, with the other harmful characters as escapes.

    A carriage return, which would let a line overwrite itself, becomes a line break.

    >>> print(clean_lines("10 %\r20 %\x07"))
    10 %
    20 %\x07
    """
    if text.isprintable():
        return text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _harmful_in_lines().sub(_escape, text)


class CleanStream(io.TextIOBase):
    """A stream of text that shows harmful characters as escapes.

    Args:
        stream: Where it is written.
        colors: Whether escape sequences of colours are left as they are.
        masks_of: The stream whose masks it has; None for ``stream`` itself.

    Attributes:
        masks: Functions that remove secrets from what is written; shared with ``masks_of``.
        listeners: Called with what is written, without secrets.
    """

    def __init__(
        self, stream: TextIO, *, colors: bool = False, masks_of: TextIO | None = None
    ) -> None:
        self.stream = stream
        beneath = stream if masks_of is None else masks_of
        self.masks: list[Callable[[str], str]] = []
        self.listeners: list[Callable[[str], None]] = []
        if isinstance(beneath, CleanStream):
            self.masks = beneath.masks
        self._colors = colors

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What the stream does with characters that its encoding lacks."""
        return self.stream.errors

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        length = len(text)
        for mask in self.masks:
            text = mask(text)
        for listen in self.listeners:
            listen(text)
        self.stream.write(_apart(_color(), text) if self._colors else clean_lines(text))
        return length

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """Whether the stream can be written."""
        return True

    def close(self) -> None:
        """Do nothing: the stream belongs to the process."""


def raw(stream: TextIO) -> TextIO:
    """Return the stream beneath a `CleanStream`, or another stream itself."""
    return stream.stream if isinstance(stream, CleanStream) else stream


def _write(shown: str, *, nl: bool = True, err: bool) -> None:
    stream = raw(sys.stderr if err else sys.stdout)
    # Also after the command, where click no longer knows the options of its main program.
    color = False if os.environ.get("NO_COLOR") else None
    click.echo(_encodable(shown, stream), file=stream, nl=nl, color=color)


def _encodable(text: str, stream: TextIO) -> str:
    """Return a text with what a stream can't encode as escapes: an old terminal is no error."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if text.isascii():
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_REPLACED).encode(encoding, "backslashreplace").decode(encoding)
    return text


def _marked(codes: str) -> str:
    return codes.replace("\x1b", _MARK)


def _apart(kept: re.Pattern[str], text: str) -> str:
    """Clean a text but for what a pattern finds."""
    shown, end = [], 0
    for found in kept.finditer(text):
        shown += [clean_lines(text[end : found.start()]), found[0]]
        end = found.end()
    return "".join([*shown, clean_lines(text[end:])])


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _NAMES.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
