"""Show output that is longer than the terminal in a pager, as git does.

The pager is the command of the environment variable ``PAGER``, else ``less``; none is used where
the output is redirected, where ``PAGER`` is empty or ``cat``, or with ``--no-pager``.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Final, ParamSpec, TextIO, TypeVar

import click

from qtforge_host.cli.session import Session
from qtforge_host.cli.terminal import echo, raw, terminal_size

if TYPE_CHECKING:
    import subprocess

__all__ = ["in_pager", "paged"]

P = ParamSpec("P")
R = TypeVar("R")

# Show colours, end at once where everything fits, and leave the text on the screen.
_LESS_OPTIONS: Final = "FRX"


def paged(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command show what it prints in a pager where that is longer than the terminal."""

    @functools.wraps(command)
    def within(*args: P.args, **kwargs: P.kwargs) -> R:
        session = click.get_current_context().find_object(Session)
        with in_pager() if session is None or session.pager else contextlib.nullcontext():
            return command(*args, **kwargs)

    return within


@contextlib.contextmanager
def in_pager() -> Iterator[None]:
    """Show what is printed within this in a pager where it is longer than the terminal."""
    # Without a keyboard nobody could leave it.
    words = _words() if sys.stdout.isatty() and sys.stdin is not None and sys.stdin.isatty() else []
    if not words:
        yield
        return
    stream = _Pages(raw(sys.stdout), words)
    try:
        with contextlib.redirect_stdout(stream):
            yield
    finally:
        stream.end()


def _words() -> list[str]:
    """Return the pager's command; empty for none."""
    given = os.environ.get("PAGER")
    if os.environ.get("TERM") == "dumb":
        return []
    if given is None:
        import shutil  # with its archives slow to import, and needed on a terminal alone

        return ["less"] if shutil.which("less") else []
    try:
        words = shlex.split(given)
    except ValueError:  # an unclosed quote
        words = [given]
    return [] if words == ["cat"] else words


class _Pages(io.TextIOBase):
    """A stream that holds back one screen, and starts the pager when more is written.

    Args:
        stream: The terminal.
        words: The pager's command.
    """

    def __init__(self, stream: TextIO, words: list[str]) -> None:
        self._stream = stream
        self._words = words
        self._size = terminal_size()
        self._held: list[str] = []
        self._lines = 0
        self._pager: subprocess.Popen[str] | None = None
        self._out: IO[str] | None = None  # where the text goes once it isn't held back

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the terminal."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether it is shown on a terminal: it is."""
        return True

    def fileno(self) -> int:
        """The descriptor of the terminal."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Whether it can be written."""
        return True

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        if self._out is None:
            self._held.append(text)
            # A long line takes several rows of the screen.
            self._lines += text.count("\n") + len(text) // max(self._size.columns, 1)
            if self._lines >= self._size.lines:
                self._begin()
        else:
            self._put(text)
        return len(text)

    def end(self) -> None:
        """Write what was held back, and wait until the reader has left the pager."""
        if self._out is None:
            self._stream.write("".join(self._held))
            self._stream.flush()
            return
        if self._pager is None:
            self._stream.flush()
            return
        with contextlib.suppress(OSError):
            self._out.close()
        while True:
            # Ctrl-C is the pager's: it ends a search in it, and not the pager.
            with contextlib.suppress(KeyboardInterrupt):
                self._pager.wait()
                return

    def _begin(self) -> None:
        import subprocess  # slow to import, and only here

        environ = {"LESS": _LESS_OPTIONS, "LV": "-c", **os.environ}
        try:
            # A pager of the user, with the words of the environment and no shell.
            self._pager = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                env=environ,
                text=True,
                encoding=self.encoding,
                errors="backslashreplace",
            )
        except OSError as error:
            why = error.strerror or str(error)
            echo(f"the pager '{shlex.join(self._words)}' can't be started: {why}", err=True)
            self._out = self._stream
        else:
            self._out = self._pager.stdin
        self._put("".join(self._held))
        self._held.clear()

    def _put(self, text: str) -> None:
        if self._out is not None:
            # The reader has left the pager before the end: the rest isn't wanted.
            with contextlib.suppress(BrokenPipeError):
                self._out.write(text)
