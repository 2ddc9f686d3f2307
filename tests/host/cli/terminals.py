"""Commands in a terminal of their own."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

_COMMAND = str(Path(sys.executable).with_name("qtforge-host"))


def in_terminal(
    environment: Mapping[str, str],
    *words: str,
    lines: int = 100,
    columns: int = 80,
    keyboard: bool = True,
) -> tuple[int, str]:
    """Run a command in a terminal, without a pager; return its exit code and what it shows.

    Args:
        environment: Its environment variables.
        words: Its arguments.
        lines: The height of the terminal.
        columns: The width of the terminal.
        keyboard: Whether its standard input is the terminal, too.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    env = {"NO_COLOR": "1", "TERM": "xterm", "PAGER": "cat", **environment}
    shown = b""
    with subprocess.Popen(
        [_COMMAND, *words],
        stdin=theirs if keyboard else subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=env,
    ) as child:
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that nobody writes any more
                break
            shown += piece
        os.close(ours)
        code = child.wait(60)
    return code, shown.decode().replace("\r\n", "\n")
