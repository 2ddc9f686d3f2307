"""Keep what the code of runs logs, prints and warns of; see `qtforge_sdk.run_logs`.

The context says which run and step logs something. Whatever fails in keeping it is a warning of
the host, never a failure of the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import logging
import sys
import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import BinaryIO, Final, Protocol, TextIO, runtime_checkable

import msgspec

from qtforge_host.bus import processes
from qtforge_host.config.logs import LogRules
from qtforge_host.plugin_code import is_host_code, valid_text
from qtforge_host.runs.context import ATTEMPT, RUN, STEP
from qtforge_host.sizes import size_text
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.run_logs import LOG_LEVELS, LogEntry, LogKeeper, LogLevel

__all__ = ["HeardStream", "LogCapture"]

_LOG: Final = logging.getLogger("qtforge.logs")
_PLUGINS: Final = "qtforge.plugin"  # above the loggers that plugins get from the host
_MOST_TEXT: Final = 16_000  # characters of one entry
_MOST_WAITING: Final = 20_000  # entries that are not written yet
_MOST_LINES: Final = 1_000  # begun, and not ended
_AT_ONCE: Final = 1_000
_WRITE_S: Final = 0.2  # between two writes
_LINE_S: Final = 1.0  # after which a line that is not ended is kept as it is
_PRUNE_S: Final = 60.0  # between two removals of old entries by a process that adds some
_PRUNE_IDLE_S: Final = 1800.0  # by one that adds none, and asks a shared journal for little
_MOST_KNOWN: Final = 10_000  # runs whose size is remembered
# What stands between the code that prints and the stream.
_LIBRARIES: Final = ("click", "rich", "warnings", "logging", "contextlib", "traceback")


@runtime_checkable
class HeardStream(Protocol):
    """A stream of text that others hear.

    Attributes:
        listeners: Called with each text that is written, without secrets.
    """

    listeners: list[Callable[[str], None]]


class _Heard(io.TextIOBase):
    """Another stream of text, which others hear.

    Args:
        stream: Where it is written; it is asked for everything else.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.listeners: list[Callable[[str], None]] = []

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        length = self.stream.write(text)
        for listen in self.listeners:
            listen(text)
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

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What the stream does with characters that its encoding lacks."""
        return self.stream.errors

    @property
    def buffer(self) -> BinaryIO:
        """The bytes beneath; what is written there is not heard."""
        return self.stream.buffer


class LogCapture(logging.Handler):
    """Hears the loggers and the printing of this process, and keeps what runs have said.

    Args:
        rules: What is kept.
        mask: Removes secrets.
        clock: The time.
        keeper: Keeps it.

    Attributes:
        keeper: Keeps it.
    """

    def __init__(
        self, rules: LogRules, mask: Callable[[str], str], clock: Clock, keeper: LogKeeper
    ) -> None:
        level = len(LOG_LEVELS) if rules.keep is None else LOG_LEVELS.index(rules.keep)
        super().__init__((level + 1) * 10)  # as `logging` numbers them
        self.keeper: Final = keeper
        self._rules: Final = rules
        self._mask: Final = mask
        self._clock: Final = clock
        self._format: Final = logging.Formatter().formatException
        self._waiting: deque[LogEntry] = deque()
        self._lost: dict[str, int] = {}
        self._lines: OrderedDict[tuple[str, str, str], tuple[LogEntry, float]] = OrderedDict()
        self._guard: Final = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._listeners: list[tuple[HeardStream, Callable[[str], None]]] = []
        self._before = logging.NOTSET
        self._task: asyncio.Task[None] | None = None
        self._complained = False
        self._has_added = False  # since the last removal of old entries
        self._pruned_at = 0.0  # on the scale of the clock's seconds

    def begin(self) -> None:
        """Hear from now on."""
        if self._rules.keep is None or self._task is not None:
            return
        logging.getLogger().addHandler(self)
        plugins = logging.getLogger(_PLUGINS)
        self._before = plugins.level
        if plugins.getEffectiveLevel() > self.level:
            plugins.setLevel(self.level)
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None or any(each is stream for each, _ in self._listeners):
                continue  # both are one stream where a command prints nothing but its result
            if not isinstance(stream, HeardStream):
                stream = _Heard(stream)
                setattr(sys, name, stream)
            hear = self._hears(name)
            stream.listeners.append(hear)
            self._listeners.append((stream, hear))
        self._pruned_at = self._clock.monotonic()
        self._task = asyncio.ensure_future(self._write_all())

    async def end(self) -> None:
        """Keep what was heard, and hear no more."""
        if self._task is None:
            return
        logging.getLogger().removeHandler(self)
        logging.getLogger(_PLUGINS).setLevel(self._before)
        for stream, hear in self._listeners:
            stream.listeners.remove(hear)
            for name in ("stdout", "stderr"):
                if getattr(sys, name) is stream and isinstance(stream, _Heard):
                    setattr(sys, name, stream.stream)
        self._listeners.clear()
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        self._end_lines(0.0)
        await self._write()
        if self._has_added:  # a command that is short-lived removes old entries too
            await self._prune()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record of a run."""
        if RUN.get() and record.name != _LOG.name:
            try:
                text = record.getMessage()
                if record.exc_info or record.exc_text:
                    told = record.exc_text or self._format(record.exc_info)  # type: ignore[arg-type]
                    text = f"{text}\n{told}"
            except Exception as error:  # noqa: BLE001 - the arguments of a plugin's message
                text = f"{record.msg!r} can't be formatted: {type(error).__name__}"
            self._add(self._entry(_level(record.levelno), record.name, text))

    def _hears(self, name: str) -> Callable[[str], None]:
        def hear(text: str) -> None:
            if not RUN.get():
                return
            logger = _printer(sys._getframe(1), name)
            if logger:
                self._print(logger, text)

        return hear

    def _print(self, logger: str, text: str) -> None:
        level: LogLevel = "warning" if logger == "py.warnings" else "info"
        key = (RUN.get(), STEP.get(), logger)
        with self._guard:
            begun, at = self._lines.pop(key, (None, self._clock.monotonic()))
        whole = ("" if begun is None else begun.text) + text
        *lines, rest = whole.split("\n")
        for line in lines:
            if line.strip():
                self._add(self._entry(level, logger, line))
        if rest:
            with self._guard:
                self._lines[key] = (self._entry(level, logger, rest), at)
                surplus = len(self._lines) > _MOST_LINES or len(rest) > _MOST_TEXT
            if surplus:
                self._end_lines(0.0)

    def _end_lines(self, after_s: float) -> None:
        """Keep the lines that were begun so many seconds ago, as they are."""
        now = self._clock.monotonic()
        with self._guard:
            old = [key for key, (_, at) in self._lines.items() if now - at >= after_s]
            found = [self._lines.pop(key)[0] for key in old]
        for entry in found:
            self._add(entry)

    def _entry(self, level: LogLevel, logger: str, text: str) -> LogEntry:
        text = self._mask(valid_text(text).replace("\0", "\N{SYMBOL FOR NULL}"))
        if len(text) > _MOST_TEXT:
            text = f"{text[:_MOST_TEXT]}… ({len(text) - _MOST_TEXT:,} more characters)"
        return LogEntry(
            run_id=RUN.get(),
            at=self._clock.now(),
            level=level,
            logger=valid_text(logger)[:200].replace("\0", ""),
            text=text,
            step=STEP.get(),
            attempt=ATTEMPT.get() if STEP.get() else 0,
        )

    def _add(self, entry: LogEntry) -> None:
        if LOG_LEVELS.index(entry.level) < LOG_LEVELS.index(self._rules.keep or "critical"):
            return
        with self._guard:
            if len(self._waiting) >= _MOST_WAITING:
                self._lost[entry.run_id] = self._lost.get(entry.run_id, 0) + 1
            else:
                self._waiting.append(entry)

    async def _write_all(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_S)  # not the runs' clock: that may be a test's
            self._end_lines(_LINE_S)
            await self._write()
            wait_s = _PRUNE_S if self._has_added else _PRUNE_IDLE_S
            if self._clock.monotonic() >= self._pruned_at + wait_s:
                await self._prune()

    async def _prune(self) -> None:
        """Remove old entries, and the oldest while all together are too large."""
        self._pruned_at, self._has_added = self._clock.monotonic(), False
        before = self._clock.now() - datetime.timedelta(seconds=self._rules.age_s)
        with self._told():
            await self.keeper.prune_logs(before, self._rules.most_bytes)

    async def _write(self) -> None:
        while True:
            with self._guard:
                some = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
                lost, self._lost = self._lost, {}
            some += [self._lost_note(run_id, count) for run_id, count in lost.items()]
            if not some:
                return
            with self._told():
                fitting = await self._fitting(some)
                if fitting:
                    self._has_added = True
                    await self.keeper.add_logs(fitting)

    async def _fitting(self, entries: Sequence[LogEntry]) -> Sequence[LogEntry]:
        """Return the entries of runs that have not said too much already."""
        found = []
        most = self._rules.most_per_run
        for entry in entries:
            size = self._sizes.pop(entry.run_id, None)
            if size is None:
                size = await self.keeper.log_size(entry.run_id)
            if size <= most:
                size += len(entry.text)
                if size > most:
                    text = f"the log of this run has {size_text(most)}; no more of it is kept"
                    entry = _note(entry, text)
                found.append(entry)
            self._sizes[entry.run_id] = size
            if len(self._sizes) > _MOST_KNOWN:
                self._sizes.popitem(last=False)
        return found

    def _lost_note(self, run_id: str, count: int) -> LogEntry:
        entry = LogEntry(
            run_id=run_id, at=self._clock.now(), level="warning", logger=_LOG.name, text=""
        )
        return _note(entry, f"{count:,} entries came too quickly, and were not kept")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except QtForgeError as error:
            if not self._complained:
                self._complained = True
                _LOG.warning("the logs of runs are not kept: %s", error)


def _note(entry: LogEntry, text: str) -> LogEntry:
    return msgspec.structs.replace(entry, level="warning", logger=_LOG.name, text=text)


def _level(number: int) -> LogLevel:
    return LOG_LEVELS[min(max(number // 10 - 1, 0), len(LOG_LEVELS) - 1)]


def _printer(frame: FrameType | None, stream: str) -> str:
    """Return the name under which a text is kept; "" for one that the host prints itself."""
    name = stream
    own = frame.f_code.co_filename if frame is not None else ""
    frame = None if frame is None else frame.f_back
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        package = module.partition(".")[0]
        if module == warnings.__name__:
            name = "py.warnings"
        elif module == logging.__name__ or frame.f_code is _Heard.write.__code__:
            return ""  # a handler writes a record, which `emit` has, or another stream is heard
        elif module == processes.__name__:
            return "stdout"  # a worker process has printed it
        elif package not in _LIBRARIES and frame.f_code.co_filename != own:
            return "" if is_host_code(frame.f_code) else name
        frame = frame.f_back
    return name
