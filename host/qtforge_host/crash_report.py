"""Record where a process crashed or called ``os._exit``, for the process that follows it.

The marks in `code_marks` name the call of the host that was in progress, but not what a plugin does
in a task or thread of its own. So the process records the place where it crashes: `faulthandler`
writes the stack at a fatal signal, and ``os._exit`` is replaced by a
function that writes it too. SIGKILL, by an operator or for lack of memory, leaves no report.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, NamedTuple, NoReturn

from qtforge_host import event_loop
from qtforge_sdk.files import private_file

__all__ = ["Crash", "CrashReport", "find_culprit"]

_HOST_FOLDER: Final = os.path.dirname(__file__) + os.sep
_FRAME: Final = re.compile(r'^  File "(?P<file>[^"\n]*)", line (?P<line>\d+)', re.MULTILINE)
_FATAL: Final = re.compile(r"^(?:Fatal Python error: )?(?P<cause>[^\n]*)")
_MOST_BYTES: Final = 1 << 20
_EXIT: Final = os._exit


class Crash(NamedTuple):
    """How a process has ended.

    Attributes:
        cause: Such as ``Segmentation fault``.
        frames: File and line of the thread that ended it, the innermost first.
    """

    cause: str
    frames: tuple[tuple[str, int], ...]

    def background_frames(self) -> tuple[tuple[str, int], ...]:
        """Return the frames up to the host's first one; none where that is a call of the host.

        The event loop is the host's, and what it calls is a task, or a callback.
        """
        for place, (file, _) in enumerate(self.frames):
            if file.startswith(_HOST_FOLDER):
                return self.frames[:place] if file == event_loop.__file__ else ()
        return self.frames


class CrashReport:
    """The report of this process, in a file that outlives it.

    Args:
        path: The file. It belongs to one process at a time.

    Attributes:
        before: How the process before crashed; None where it did not.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._pid: Final = os.getpid()
        self._file: IO[bytes] | None = None
        self._was_enabled = False
        self.before: Final = _read(path)

    def open(self) -> None:
        """Write a report from now on, when the process crashes."""
        with contextlib.suppress(OSError):  # such as a full disk: then there is none
            self._path.unlink(missing_ok=True)
            private_file(self._path)
            self._file = self._path.open("r+b", buffering=0)
            self._was_enabled = faulthandler.is_enabled()
            faulthandler.enable(self._file, all_threads=False)
            os._exit = self._exit

    def close(self) -> None:
        """Remove the file: the process ends in order."""
        if self._file is None:
            return
        os._exit = _EXIT
        faulthandler.disable()
        if self._was_enabled:
            faulthandler.enable()
        self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _exit(self, status: int) -> NoReturn:
        if os.getpid() == self._pid and self._file is not None:  # not a child that was forked
            with contextlib.suppress(OSError, ValueError):
                frames = traceback.walk_stack(sys._getframe(1))
                lines = [f'  File "{each.f_code.co_filename}", line {at}' for each, at in frames]
                text = "\n".join([f"os._exit({status})", *lines])
                self._file.write(text.encode("utf-8", "backslashreplace"))
        _EXIT(status)


def find_culprit(crash: Crash, owner_of: Callable[[Path], str | None]) -> tuple[str, str] | None:
    """Return the plugin that crashed a process in a task or thread of its own, and the place.

    Args:
        crash: How the process ended.
        owner_of: Given a file, returns the name of the plugin that it belongs to, or None.

    Returns:
        The plugin's name, and the cause with file and line; None where no plugin did.
    """
    for file, line in crash.background_frames():
        name = owner_of(Path(file))
        if name is not None:
            return name, f"{crash.cause} at {file}:{line}"
    return None


def _read(path: Path) -> Crash | None:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    if not text:
        return None
    head = _FATAL.match(text)
    frames = tuple((each["file"], int(each["line"])) for each in _FRAME.finditer(text))
    return Crash(head["cause"] if head is not None else "", frames)
