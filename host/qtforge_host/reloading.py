"""Execute a command in a child process, and again when a watched file has changed.

Modules are never reloaded in place: the child ends in order, as at any other end, and a new one
begins.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tokenize
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from qtforge_sdk.errors import QtForgeError

__all__ = ["ReloadNotInstalledError", "Reloader", "WatchedPathError", "broken_files"]

_SUFFIXES: Final = (".py", ".toml")
_POLL_MS: Final = 300  # how long an end of the child may go unnoticed
_SETTLE_MS: Final = 150  # an editor writes several files at once
_END_S: Final = 60.0  # then the child is killed


class ReloadNotInstalledError(QtForgeError):
    """The library that notices changed files is not installed."""

    code = "dev.not_installed"

    def __init__(self) -> None:
        super().__init__(
            "files can't be watched",
            "the library watchfiles is not installed",
            "pip install 'qtforge-host[reload]'",
        )


class WatchedPathError(QtForgeError):
    """A path that is to be watched does not exist.

    Args:
        path: The path.
    """

    code = "dev.no_path"
    exit_code = 2

    def __init__(self, path: Path, /) -> None:
        super().__init__(f"there is no file or folder {path}", "", "check the path's spelling")


class Reloader:
    """Executes a command again and again.

    Args:
        command: The command; its output is the terminal's.
        paths: Files, and folders with all that is below them.
        say: Shows a line to the user.
        approves: Called with the files that have changed, before the command is executed again;
            False keeps it from that. None for always.
        started: Called after each start; None for nothing.
        keeps_up: Whether the command is to stay up: it is then ended only where every changed
            file can be read. Else each change executes it again.

    Raises:
        ReloadNotInstalledError: watchfiles is not installed.
        WatchedPathError: A path does not exist.
    """

    def __init__(
        self,
        command: Sequence[str],
        paths: Iterable[Path],
        say: Callable[[str], None],
        approves: Callable[[Sequence[Path]], bool] | None = None,
        started: Callable[[], None] | None = None,
        *,
        keeps_up: bool,
    ) -> None:
        try:
            import watchfiles  # of an extra
        except ImportError as error:
            raise ReloadNotInstalledError from error
        self._watch: Final = watchfiles.watch
        self._filter: Final = _Filter(watchfiles.DefaultFilter())
        self._command: Final = list(command)
        self._paths: Final = list(dict.fromkeys(path.resolve() for path in paths))
        for path in self._paths:
            if not path.exists():
                raise WatchedPathError(path)
        self._say: Final = say
        self._approves: Final = approves
        self._started: Final = started
        self._keeps_up: Final = keeps_up
        self._child: subprocess.Popen[bytes] | None = None
        self._told_end = False

    def run(self) -> int:
        """Execute the command until Ctrl-C or SIGTERM; return the exit code.

        It is 0, or that of a command that then does not end in order.
        """
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._start()
            for changes in self._watch(
                *self._paths, watch_filter=self._filter, step=_SETTLE_MS, debounce=_SETTLE_MS * 4,
                rust_timeout=_POLL_MS, yield_on_timeout=True, raise_interrupt=True,
            ):  # fmt: skip
                self._tell_end()
                if changes:
                    self._changed([Path(path) for _, path in changes])
        except KeyboardInterrupt:
            return self._end()
        finally:
            self._end()
            signal.signal(signal.SIGTERM, before)
        return 0

    def _changed(self, files: Sequence[Path]) -> None:
        names = ", ".join(sorted({each.name for each in files}))
        problems = list(broken_files(files))
        for problem in problems:
            self._say(problem)
        if problems and self._keeps_up:
            self._say(f"{names}: not restarted; correct it first")
            return
        if self._approves is not None and not self._approves(files):
            self._say(f"{names}: not restarted; correct it first")
            return
        self._say(f"{names}: starting again")
        self._end()
        self._start()

    def _start(self) -> None:
        self._told_end = False
        self._child = subprocess.Popen(self._command)
        if self._started is not None:
            self._started()

    def _tell_end(self) -> None:
        child = self._child
        if child is None or child.poll() is None or self._told_end:
            return
        self._told_end = True
        self._say(f"ended with exit code {child.returncode}; waiting for a change")

    def _end(self) -> int:
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            code = child.wait(_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        return 0 if code in (0, 130, -signal.SIGTERM, -signal.SIGINT) else code


def broken_files(files: Iterable[Path]) -> Iterable[str]:
    """Yield a line for each file that is no Python or no TOML, as its suffix says."""
    for file in sorted(set(files)):
        try:
            if file.suffix == ".py":
                with tokenize.open(file) as source:
                    compile(source.read(), str(file), "exec", dont_inherit=True)
            elif file.suffix == ".toml":
                tomllib.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            continue
        except SyntaxError as error:
            yield f"{file}:{error.lineno}: it is not Python: {error.msg}"
        except tomllib.TOMLDecodeError as error:
            yield f"{file}: it is not TOML: {error}"
        except (OSError, ValueError, RecursionError) as error:
            yield f"{file}: it can't be read: {error}"


class _Filter:
    """Lets changes of Python and TOML files pass, but for those in folders of tools."""

    def __init__(self, others: Callable[..., bool]) -> None:
        self._others = others

    def __call__(self, change: Any, path: str) -> bool:
        return path.endswith(_SUFFIXES) and self._others(change, path)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
