"""Notice an event loop that is blocked, and name the plugin that blocks it.

A thread asks the loop for a sign of life twice in the allowed time. Without one it looks at the
stack of the loop's thread: the frames say which operation runs, and at which line. So watching
costs the loop two callbacks in that time, and a call of an operation nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

import msgspec

from qtforge_host.plugin_code import NO_AUTHOR, Author, file_and_line, is_host_code, is_own_code
from qtforge_sdk import Health

__all__ = [
    "Block",
    "ExplainedFrame",
    "LoopWatch",
    "explain_coroutine",
    "explain_frame",
    "explain_task",
    "waits_in_host",
]

_LOG: Final = logging.getLogger("qtforge.host")
_REMEMBERED: Final = 32  # blocks, for the reason of a timeout
_UNHEALTHY_AFTER: Final = 3  # blocks in a row
_IN_A_ROW_S: Final = (
    300.0  # a plugin that has not blocked the loop for so long is counted from zero
)
_END_S: Final = 5.0
_LOOK_S: Final = 10.0  # for one round of the thread
_DEEPEST: Final = 1_000  # coroutines that await one another
_END: Final = -1.0  # asks the thread to end, where it expects a time
_WAITING: Final = frozenset({"select", "_run_once"})  # functions of asyncio: the loop is idle


class ExplainedFrame(NamedTuple):
    """The plugin code that a thread executes.

    Attributes:
        author: The plugin; empty where none is known.
        operation: Its topic, pattern or workflow, or "".
        place: ``file:line`` of its code, or "".
    """

    author: Author
    operation: str
    place: str

    def __str__(self) -> str:
        operation = f" in '{self.operation}'" if self.operation else ""
        place = f" at {self.place}" if self.place else ""
        return f"{self.author}{operation}{place}"


class Block(msgspec.Struct, kw_only=True):
    """A period in which the event loop was blocked.

    Attributes:
        author: The plugin whose code ran; empty where none is known.
        operation: Its topic, pattern or workflow, or "".
        place: ``file:line`` of its code, or "".
        started: On `time.monotonic`'s scale.
        ended: On the same scale; None while it lasts.
    """

    author: Author
    operation: str
    place: str
    started: float
    ended: float | None = None

    @property
    def duration_s(self) -> float:
        """How long it has lasted, in seconds."""
        return (time.monotonic() if self.ended is None else self.ended) - self.started

    def __str__(self) -> str:
        return str(ExplainedFrame(self.author, self.operation, self.place))


class LoopWatch:
    """Watches the event loop of the thread that starts it.

    Args:
        limit_s: How long the loop may be blocked before that is reported, in seconds.
        author_of: Given a top-level package, returns the plugin that it belongs to, or None.
    """

    def __init__(self, limit_s: float, author_of: Callable[[str], Author | None]) -> None:
        self._limit_s: Final = limit_s
        self._author_of: Final = author_of
        self._signals: Final[queue.SimpleQueue[float]] = queue.SimpleQueue()
        self._blocks: Final[deque[Block]] = deque(maxlen=_REMEMBERED)
        self._in_a_row: Final[dict[str, int]] = {}  # by plugin
        self._last: Final[dict[str, Block]] = {}  # by plugin
        self._totals: Final[dict[str, tuple[int, float]]] = {}  # by plugin
        self._rounds = 0  # written by the thread
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread that watches the running event loop."""
        if self._thread is None:
            arguments = (asyncio.get_running_loop(), threading.get_ident())
            self._thread = threading.Thread(
                target=self._watch, args=arguments, name="qtforge-loop-watch", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._signals.put(_END)
            self._thread.join(_END_S)
            self._thread = None

    def reason_for_delay(self, since: float, own: Author) -> tuple[str, float]:
        """Return what blocked the loop since a time, or "" where nothing did.

        Args:
            since: On `time.monotonic`'s scale.
            own: The plugin that was late; its own blocks are a reason, and no excuse.

        Returns:
            The reason, and how long others have blocked the loop since then, in seconds.
        """
        found = [
            block for block in tuple(self._blocks) if block.ended is None or block.ended >= since
        ]
        if not found:
            return "", 0.0
        longest = max(found, key=lambda block: block.duration_s)
        reason = f"the event loop was blocked for {longest.duration_s:.1f} s by {longest}"
        now, others = time.monotonic(), [block for block in found if block.author != own]
        return reason, sum((block.ended or now) - max(block.started, since) for block in others)

    def health(self, plugin: str) -> Health | None:
        """Return what a plugin's blocks say about its health; None without a recent one."""
        last = self._last.get(plugin)
        if last is None or _is_past(last):
            return None
        times = self._in_a_row.get(plugin, 0)
        text = f"it blocked the event loop {times} times in a row, last for"
        status: Final = "unhealthy" if times >= _UNHEALTHY_AFTER else "degraded"
        return Health(status, f"{text} {last.duration_s:.1f} s: {last}")

    def totals(self) -> Mapping[str, tuple[int, float]]:
        """Return how often and for how many seconds each plugin blocked the loop, by name."""
        return dict(self._totals)

    async def looked(self) -> None:
        """Wait until every block has been counted that ended before this call."""
        rounds = self._rounds
        with contextlib.suppress(TimeoutError):  # nobody watches, or not any more
            async with asyncio.timeout(_LOOK_S):
                while self._rounds == rounds:  # noqa: ASYNC110 - of another thread
                    await asyncio.sleep(self._limit_s / 10)

    def _watch(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        while True:
            if self._signal(self._limit_s / 2) == _END:
                return
            asked = time.monotonic()
            try:
                loop.call_soon_threadsafe(self._turned)
            except RuntimeError:  # the loop is closed
                return
            turned = self._signal(self._limit_s)
            if turned is None:
                turned = self._blocked(asked, loop, thread_id)
            elif turned - asked > self._limit_s:  # this thread did not get to run either
                block = Block(author=NO_AUTHOR, operation="", place="", started=asked)
                self._begin(block)
                self._end(block, turned)
            if turned == _END:
                return
            self._rounds += 1

    def _blocked(self, asked: float, loop: asyncio.AbstractEventLoop, thread_id: int) -> float:
        """Follow a block to its end; return when the loop turned, or that it is time to end."""
        block: Block | None = None
        turned: float | None = None
        while turned is None:
            if block is None and loop.is_running():
                block = self._look(asked, thread_id)
                if block is not None:
                    self._begin(block)
            turned = self._signal(self._limit_s)
        if block is not None:
            self._end(block, time.monotonic() if turned == _END else turned)
        return turned

    def _begin(self, block: Block) -> None:
        self._blocks.append(block)
        _LOG.log(
            _level(block), "the event loop has been blocked for %.1f s by %s",
            block.duration_s, block,
        )  # fmt: skip
        plugin = block.author.plugin
        if plugin:
            last = self._last.get(plugin)
            fresh = last is None or _is_past(last)
            self._in_a_row[plugin] = 1 if fresh else self._in_a_row[plugin] + 1
            self._last[plugin] = block

    def _end(self, block: Block, turned: float) -> None:
        block.ended = turned
        count, seconds = self._totals.get(block.author.plugin, (0, 0.0))
        self._totals[block.author.plugin] = count + 1, seconds + block.duration_s
        text = "the event loop turns again; it was blocked for %.1f s"
        _LOG.log(_level(block), text, block.duration_s)

    def _look(self, asked: float, thread_id: int) -> Block | None:
        """Return the block as the stack shows it; None when the loop only waits."""
        frame = sys._current_frames().get(thread_id)
        if frame is None or frame.f_code.co_name in _WAITING:
            return None
        author, operation, place = explain_frame(frame, self._author_of)
        return Block(author=author, operation=operation, place=place, started=asked)

    def _signal(self, timeout_s: float) -> float | None:
        with contextlib.suppress(queue.Empty):
            return self._signals.get(timeout=timeout_s)
        return None

    def _turned(self) -> None:
        self._signals.put(time.monotonic())


def explain_frame(
    innermost: FrameType, author_of: Callable[[str], Author | None]
) -> ExplainedFrame:
    """Return the plugin code that a thread executes.

    Args:
        innermost: Where the thread is.
        author_of: Given a top-level package, returns the plugin that it belongs to, or None.
    """
    return _explain(_callers(innermost), author_of)


def explain_task(
    task: asyncio.Task[Any], author_of: Callable[[str], Author | None]
) -> ExplainedFrame:
    """Return the plugin code in which a task waits.

    Args:
        task: It is not done.
        author_of: As for `explain_frame`.
    """
    return _explain(_awaiters(task.get_coro()), author_of)


def explain_coroutine(coroutine: object, author: Author, operation: str) -> ExplainedFrame:
    """Return the plugin code in which a coroutine waits.

    Args:
        coroutine: It is suspended.
        author: Whose code it is.
        operation: Its topic, pattern or workflow, or "".
    """
    found = _explain(_awaiters(coroutine), lambda _: None)
    return ExplainedFrame(author, operation, found.place)


def waits_in_host(coroutine: object) -> bool:
    """Return whether the code in which a coroutine waits is the host's, and not a plugin's.

    Args:
        coroutine: It is suspended.
    """
    for frame in _awaiters(coroutine):
        if is_host_code(frame.f_code):
            return True
        if is_own_code(frame.f_code):
            return False
    return False


def _callers(innermost: FrameType) -> Iterator[FrameType]:
    frame: FrameType | None = innermost
    while frame is not None:
        yield frame
        frame = frame.f_back


def _awaiters(coroutine: object) -> list[FrameType]:
    """Return the frames of a coroutine and of what it awaits, the innermost first."""
    frames: list[FrameType] = []
    for _ in range(_DEEPEST):
        frame = getattr(coroutine, "cr_frame", None)
        if isinstance(frame, FrameType):
            frames.append(frame)
        coroutine = getattr(coroutine, "cr_await", None)
    return frames[::-1]


def _explain(
    frames: Iterable[FrameType], author_of: Callable[[str], Author | None]
) -> ExplainedFrame:
    place, first, package = "", "", NO_AUTHOR
    for frame in frames:
        code = frame.f_code
        first = first or file_and_line(code, frame.f_lineno)
        if is_own_code(code):
            if package.plugin:
                continue
            owner = author_of(str(frame.f_globals.get("__name__")).partition(".")[0])
            if not place or owner is not None:
                place = file_and_line(code, frame.f_lineno)
            package = package if owner is None else owner
        elif is_host_code(code):
            caller = _caller(frame)
            if caller is not None:
                return ExplainedFrame(*caller, place or first)
    return ExplainedFrame(package, "", place or first)


def _caller(frame: FrameType) -> tuple[Author, str] | None:
    """Return the plugin and the operation that a frame of the host calls, or None."""
    owner = frame.f_locals.get("self")
    author = getattr(owner, "identity", None)
    if not isinstance(author, Author):
        return None
    return author, str(getattr(owner, "topic", "") or getattr(owner, "pattern", ""))


def _level(block: Block) -> int:
    """Return the level of what is logged: the host's own imports are no plugin's fault."""
    return logging.WARNING if block.author.plugin else logging.DEBUG


def _is_past(block: Block) -> bool:
    return block.ended is not None and block.ended < time.monotonic() - _IN_A_ROW_S
