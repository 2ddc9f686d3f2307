"""`Window`: the limits of a reading of a stream; `Intake`: the reading."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import math
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Literal

import msgspec

from qtforge_builtin_plugins.collectors.row_sink import RowSink
from qtforge_builtin_plugins.collectors.streams.lines import TooLong
from qtforge_builtin_plugins.collectors.web.answers import NOT_JSON, as_row
from qtforge_sdk.errors import OperationError

__all__ = ["EndedBy", "Intake", "Window"]

EndedBy = Literal["count", "time", "idle", "deadline", "end", "size"]
Source = AsyncGenerator[list[bytes | TooLong], None]

_TIME: Final[EndedBy] = "time"
_DEADLINE: Final[EndedBy] = "deadline"
_IDLE: Final[EndedBy] = "idle"


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a reading; the first one that is reached ends it.

    Attributes:
        count: The most rows.
        time_s: Seconds from the opening of the source.
        opening_s: The timeout of the opening, in seconds.
        idle_s: The longest silence in seconds, or None.
        deadline: When the reading must end, in `time.monotonic` seconds, or None.
    """

    count: int
    time_s: float
    opening_s: float
    idle_s: float | None = None
    deadline: float | None = None


class Intake:
    """Puts the rows that arrive within a window into a sink.

    Args:
        window: The limits.
        sink: The sink.
        label: The source, without secrets.
        strict: Whether an invalid line is an error; otherwise it is counted.
        hide: Masks the secrets in a row; None when none were used.
    """

    def __init__(
        self,
        window: Window,
        sink: RowSink,
        label: str,
        *,
        strict: bool,
        hide: Callable[[Any], Any] | None,
    ) -> None:
        self._window = window
        self._sink = sink
        self._label = label
        self._strict = strict
        self._hide = hide
        self._lines = 0
        self.invalid = 0

    async def take(self, source: Source) -> EndedBy:
        """Take lines until the window ends, and close their source.

        Args:
            source: Yields lines in order; each list has the lines that arrived at once. The
                first list, which may be empty, means that the source is open.

        Raises:
            OperationError: ``stream.timeout`` when it could not be opened in time,
                ``stream.invalid_line`` when strict, and those of the source.
        """
        async with contextlib.aclosing(source):
            try:
                ended = await self._open(source)
                return ended or await self._within(source)
            except StopAsyncIteration:
                return "end"

    async def _open(self, source: Source) -> EndedBy | None:
        now, deadline = time.monotonic(), self._window.deadline
        left = math.inf if deadline is None else deadline - now
        try:
            async with asyncio.timeout(min(left, self._window.opening_s)):
                return self._put(await anext(source))
        except TimeoutError as error:
            what = f"{self._label} did not open in time"
            raise OperationError(
                "stream.timeout", what, "", "try again later", retryable=True
            ) from error

    async def _within(self, source: Source) -> EndedBy:
        window = self._window
        ends, when_over = time.monotonic() + window.time_s, _TIME
        if window.deadline is not None and window.deadline < ends:
            ends, when_over = window.deadline, _DEADLINE
        while (left := ends - time.monotonic()) > 0:
            wait, when_silent = left, when_over
            if window.idle_s is not None and window.idle_s < left:
                wait, when_silent = window.idle_s, _IDLE
            try:
                async with asyncio.timeout(wait):
                    lines = await anext(source)
            except TimeoutError:
                return when_silent
            ended = self._put(lines)
            if ended is not None:
                return ended
        return when_over

    def _put(self, lines: list[bytes | TooLong]) -> EndedBy | None:
        for line in lines:
            self._lines += 1
            if isinstance(line, TooLong):
                self._bad("is longer than max_line_bytes", "")
                continue
            if self._lines == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.strip():
                continue
            try:
                row = as_row(msgspec.json.decode(line))
                wanted = self._sink.add(row if self._hide is None else self._hide(row))
            except NOT_JSON as error:
                self._bad("is not JSON", str(error))
                continue
            if not wanted:
                return "size"
            if self._sink.count >= self._window.count:
                return "count"
        return None

    def _bad(self, what: str, why: str) -> None:
        self.invalid += 1
        message = f"line {self._lines} {what}{f': {why}' if why else ''}"
        self._sink.warnings.add("stream.invalid_line", message)
        if self._strict:
            raise OperationError(
                "stream.invalid_line",
                f"line {self._lines} of {self._label} {what}",
                why,
                "fix the writer, or remove strict to count invalid lines instead",
                retryable=False,
            )
