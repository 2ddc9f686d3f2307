"""End a process that plugin code keeps from ending.

A plugin may block the event loop for ever: in its `stop`, in an operation while the process is to
end, at the interpreter's own end by a thread or an ``atexit`` function. No timeout of the loop
helps then. So a thread receives the signals, and while the process is to end it asks the loop for
signs of life. Without one it names the plugin and the line, and ends the process as SIGKILL would:
the journal is written so that the next process continues.

That thread can't run where the code holds the interpreter's lock. For this case `faulthandler` has
a timer in C; it prints the stacks of all threads, and ends the process with exit code 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import functools
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

from qtforge_host.loop_watch import ExplainedFrame, explain_frame
from qtforge_host.plugin_code import Author

__all__ = ["EndWatch", "end_within", "installed_author"]

_LOG: Final = logging.getLogger("qtforge.host")
_LIMIT_S: Final = 10.0  # until a host says what its configuration allows
_LEAST_S: Final = 2.0  # the host's own code may take so long on a busy machine
_FINISH_S: Final = 10.0  # for the end of the loop itself
_LOOK_S: Final = 0.25
_LATER_S: Final = 3.0  # the timer in C, after this thread should have acted
_SAY_S: Final = 5.0  # to write the last message: what it needs may be locked for ever
_CANCELLED: Final = 128 + signal.SIGINT
_FAILED: Final = 1
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_GROUPS: Final = "qtforge."  # of the entry points of plugins, kinds and journals
_WAKE: Final = b"\0"  # no signal has this number


class EndWatch:
    """Watches that a process that is to end does end.

    Args:
        loop: The event loop that must turn.

    Attributes:
        limit_s: How long the loop may be blocked while the process is to end, in seconds; 2 s
            at least.
        grace_s: How long what is in progress may take after a signal, in seconds: until then the
            loop may be blocked for longer, and after it for 2 s at most, unless a plugin stops.
            None where nobody has said it.
        author_of: Given a top-level package, returns the plugin that it belongs to, or None.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.limit_s = _LIMIT_S
        self.grace_s: float | None = None
        self.author_of: Callable[[str], Author | None] = installed_author
        self._loop: Final = loop
        self._handlers: Final[dict[int, Callable[[], object]]] = {}
        self._signals: Final[dict[int, int]] = {}  # how often each came
        self._before = -1
        self._thread: threading.Thread | None = None
        self._main_id = 0
        self._timer: Final = threading.Lock()
        self._depth = 0  # how many callers of `ending` are on their way
        self._is_closed = False
        self._grace_end = 0.0  # on the scale of `time.monotonic`
        self._final_end: float | None = None
        self._asked = self._turned = self._looked = 0.0
        self._blocked_s = 0.0

    def start(self) -> None:
        """Start the thread, and let it receive the signals of the process."""
        self._main_id = threading.get_ident()
        self._reading, self._writing = socket.socketpair()
        self._writing.setblocking(False)
        if threading.current_thread() is threading.main_thread():
            self._before = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, name="qtforge-end-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        if self._thread is None:
            return
        for number in tuple(self._handlers):
            self.ignore(number)
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._before)
        self._is_closed = True
        self._wake()
        self._thread.join()
        self._thread = None
        faulthandler.cancel_dump_traceback_later()
        self._reading.close()
        self._writing.close()

    def handle(self, number: int, callback: Callable[[], object]) -> None:
        """Call a function in the loop at each signal of a number.

        Args:
            number: The signal.
            callback: The function.

        Raises:
            ValueError: This is not the main thread, or there is no such signal.
        """
        signal.signal(number, _do_nothing)  # without a handler, no signal reaches the thread
        signal.siginterrupt(number, False)
        self._handlers[number] = callback

    def ignore(self, number: int) -> bool:
        """Let a signal do what it does by default; return whether it had a handler."""
        if self._handlers.pop(number, None) is None:
            return False
        is_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
        return True

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Watch the loop for a while, in which a plugin's code is to end."""
        self._depth += 1
        self._arm()  # here, since the next code may hold the lock of the interpreter for ever
        self._wake()
        try:
            yield
        finally:
            with self._timer:  # the thread must not start it again afterwards
                self._depth -= 1
                if not self._is_ending:
                    faulthandler.cancel_dump_traceback_later()

    def finish(self) -> None:
        """Note that only the loop's own cleanup is left."""
        self._final_end = time.monotonic() + _FINISH_S
        self._arm()
        self._wake()

    @property
    def _is_ending(self) -> bool:
        return self._depth > 0 or self._final_end is not None or bool(self._signals)

    @property
    def _longest_s(self) -> float:
        """How long the loop may be blocked now, in seconds."""
        if self.grace_s is None or self._depth > 0 or self._final_end is not None:
            return max(self.limit_s, _LEAST_S)
        return max(min(self.limit_s, self.grace_s), _LEAST_S)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # then it is awake
            self._writing.send(_WAKE)

    def _watch(self) -> None:
        while True:
            self._reading.settimeout(_LOOK_S if self._is_ending else None)
            try:
                received = self._reading.recv(4096)
            except TimeoutError:
                received = b""
            if self._is_closed:
                return
            for number in received:
                if number:
                    self._receive(number)
            if self._is_ending:
                self._look()
            else:
                self._asked = self._turned = 0.0

    def _receive(self, number: int) -> None:
        if number in _ENDING:
            # A second one ends the grace time at once, as in the loop.
            grace_s = 0.0 if self._signals else self.grace_s or 0.0
            self._grace_end = time.monotonic() + grace_s
            self._signals[number] = self._signals.get(number, 0) + 1
        handler = self._handlers.get(number)
        if handler is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(handler)

    def _look(self) -> None:
        now = time.monotonic()
        if self._turned >= self._asked:
            self._asked, self._blocked_s = now, 0.0
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._note_turn)
            self._arm()
        else:
            # A process that was stopped meanwhile has not had that time.
            self._blocked_s += min(now - self._looked, 4 * _LOOK_S)
        self._looked = now
        is_late = self._final_end is not None and now > self._final_end
        is_blocked = self._blocked_s > self._longest_s and now > self._grace_end
        if is_late or is_blocked:
            seconds = _FINISH_S if is_late else self._blocked_s
            code = _CANCELLED if signal.SIGINT in self._signals else _FAILED
            _end_process(code, seconds, self._main_id, self.author_of)

    def _arm(self) -> None:
        """Restart the timer in C."""
        grace_s = self._grace_end - time.monotonic()
        left_s = max(self._longest_s, grace_s) + _LATER_S
        with self._timer:
            if self._is_ending:
                faulthandler.dump_traceback_later(left_s, exit=True, file=_error_stream())

    def _note_turn(self) -> None:
        self._turned = time.monotonic()


def end_within(code: int, limit_s: float = _LIMIT_S) -> None:
    """End the process by force, should the interpreter's own end take longer.

    That waits for threads that plugins have started, and calls what they gave to `atexit`.

    Args:
        code: The exit code.
        limit_s: How long it may take, in seconds.
    """
    main_id = threading.get_ident()

    def wait_and_end() -> None:
        time.sleep(limit_s)
        _end_process(code, limit_s, main_id, installed_author)

    faulthandler.dump_traceback_later(limit_s + _LATER_S, exit=True, file=_error_stream())
    threading.Thread(target=wait_and_end, name="qtforge-end-watch", daemon=True).start()


def installed_author(package: str) -> Author | None:
    """Return the installed plugin that a top-level package belongs to, or None.

    For the time before a host has found its plugins, and after it has left them.
    """
    from importlib import metadata  # slow, and needed only in the last moment of a process

    for distribution in metadata.distributions():
        for point in distribution.entry_points:
            if point.group.startswith(_GROUPS) and point.module.partition(".")[0] == package:
                return Author(point.name, distribution.version)
    return None


def _end_process(
    code: int, seconds: float, main_id: int, author_of: Callable[[str], Author | None]
) -> None:
    """Log what keeps the process from ending, and end it without any further code of Python."""
    faulthandler.dump_traceback_later(_SAY_S + _LATER_S, exit=True, file=_error_stream())
    say = functools.partial(_say, seconds, main_id, author_of)
    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    thread.join(_SAY_S)
    os._exit(code)


def _say(seconds: float, main_id: int, author_of: Callable[[str], Author | None]) -> None:
    _LOG.error(
        "the process has been kept from ending for %.0f s by %s: it is ended now, and the next"
        " process resumes its runs",
        seconds, _culprit(main_id, author_of),
    )  # fmt: skip
    for stream in (sys.__stdout__, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


def _culprit(main_id: int, author_of: Callable[[str], Author | None]) -> ExplainedFrame:
    """Return the code that a process waits for: a plugin's, else what the main thread executes."""
    frames = sys._current_frames()
    waited_for = [each.ident for each in threading.enumerate() if not each.daemon]
    found = [
        explain_frame(frames[each], author_of)
        for each in dict.fromkeys([main_id, *waited_for])
        if each in frames
    ]
    return next((each for each in found if each.author.plugin), found[0])


def _error_stream() -> int:
    """Return the descriptor of standard error: a timer in C writes nowhere else."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return sys.stderr.fileno()
    return 2


def _do_nothing(number: int, frame: FrameType | None, /) -> Any:
    """Handle a signal that the thread has received."""
