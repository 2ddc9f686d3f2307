"""Pages that stay up to date: one listener of the journal, and fragments of pages for browsers.

A page is sent a fragment when what it shows has changed, at most four times a second, however
many records there are. What tells one fragment from another is a fingerprint of its HTML: a
browser says which one it has when it connects, so that nothing is lost between the page and the
stream, nor while a laptop sleeps or the host restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NamedTuple, Self

from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.streaming import Live, Streams
from qtforge_sdk.errors import QtForgeError

__all__ = ["Changes", "Fragment", "PageStream", "encoded", "fingerprint", "partial"]

_LOG: Final = logging.getLogger("qtforge.http")
_TIME: Final = re.compile(r"(<time [^>]*>)[^<]*(?=</time>)")
_ID: Final = re.compile(r'\s*<\w+[^>]*?\sid="([^"]*)"')
_MOST: Final = 100  # pages that are kept up to date at once
_RUNS: Final = 20_000  # whose last change is known
_PAUSE_S: Final = 0.25  # at least, between two fragments for a page
_MOVES_S: Final = 1.0  # after which a page that changes with the time is made again
_QUIET_S: Final = 60.0  # after which any page is made again: its login may be over
_AGAIN_S: Final = 1.0  # after a failure of the journal


def fingerprint(html: str) -> str:
    """Return what tells a fragment from another; how long ago something was does not count.

    >>> fingerprint("<time x>5 s ago</time>") == fingerprint("<time x>6 s ago</time>")
    True
    """
    return hashlib.sha256(_TIME.sub(r"\1", html).encode()).hexdigest()[:16]


class Changes:
    """Tells who waits when a run has changed, in this process or in another.

    It listens while somebody waits.

    Args:
        streams: Gives the records of the journal.
    """

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._task: asyncio.Task[None] | None = None
        self._open = 0
        self._version = 0
        self._of_runs: dict[str, int] = {}
        self._forgotten = 0  # up to this version it is not known which runs changed
        self._waiting: set[tuple[str | None, asyncio.Future[None]]] = set()
        self.has_ended = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Listen for one more page.

        Raises:
            RefusedError: There are too many already.
        """
        if self._open >= _MOST:
            raise RefusedError(
                429, "http.too_many_streams", "too many pages are kept up to date already",
                f"there are {_MOST}", "close some of them", {"Retry-After": "10"},
            )  # fmt: skip
        self._open += 1
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            self._open -= 1
            if not self._open and self._task is not None:
                self._task.cancel()
                self._task = None
                # What happens until it listens again is not noticed.
                self._forget()

    @property
    def version(self) -> int:
        """A number that grows with each change."""
        return self._version

    async def after(self, version: int, run_id: str | None) -> None:
        """Wait for a change after a version: of a run, or of any run.

        It returns at once when there was one, or when nothing more will be told.
        """
        while not self.has_ended and not self._has_changed(version, run_id):
            waiter = run_id, asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter[1]
            finally:
                self._waiting.discard(waiter)

    def _has_changed(self, version: int, run_id: str | None) -> bool:
        if run_id is None:
            return self._version > version
        return max(self._of_runs.get(run_id, 0), self._forgotten) > version

    async def _listen(self) -> None:
        while not self.has_ended:
            try:
                with await self._streams.open(None, None, None) as stream:
                    self._forget()  # what has happened before it was open
                    while True:
                        with contextlib.suppress(TimeoutError):
                            event = await stream.next(_QUIET_S)
                            if event is None:  # the service ends
                                self.has_ended = True
                                break
                            self._take(event)
            except QtForgeError as error:
                _LOG.warning("pages are not kept up to date: %s", error)
                await asyncio.sleep(_AGAIN_S)
        self._wake(None)

    def _take(self, event: Live) -> None:
        run_id = event.data.get("run_id") if event.name == "record" else None
        if not isinstance(run_id, str):  # records were missed
            self._forget()
            return
        self._version += 1
        self._of_runs[run_id] = self._version
        if len(self._of_runs) > _RUNS:
            self._of_runs.clear()
            self._forgotten = self._version
        self._wake(run_id)

    def _forget(self) -> None:
        self._version += 1
        self._forgotten = self._version
        self._wake(None)

    def _wake(self, run_id: str | None) -> None:
        """Wake those who wait for a run, and those who wait for any; None wakes all."""
        for wanted, future in self._waiting:
            if (run_id is None or wanted in (None, run_id)) and not future.done():
                future.set_result(None)


class Fragment(NamedTuple):
    """What a page shows now.

    Attributes:
        html: The part that changes: one element with an id.
        more: Another such element that stands elsewhere in the page, or "".
        run_id: The run whose records alone change it; None for those of all runs.
        moves: Whether it changes with the time, too.
        is_last: Whether nothing follows: the login is over.
    """

    html: str
    more: str = ""
    run_id: str | None = None
    moves: bool = False
    is_last: bool = False


def partial(html: str) -> str:
    """Return an element as htmx puts it into a page: in place of that with the same id.

    >>> partial('<p id="a">b</p>')
    '<hx-partial hx-target="#a" hx-swap="outerMorph"><p id="a">b</p></hx-partial>'
    """
    found = _ID.match(html)
    name = found[1] if found else ""
    return f'<hx-partial hx-target="#{name}" hx-swap="outerMorph">{html}</hx-partial>'


def encoded(live: Live) -> bytes:
    """Return an event whose data is HTML, as server-sent events have it."""
    lines = [] if live.id is None else [f"id: {live.id}"]
    lines += [f"event: {live.name}"] if live.name else []
    lines += [f"data: {line}" for line in str(live.data).splitlines() or [""]]
    return "\n".join([*lines, "", ""]).encode()


class PageStream:
    """The fragments of one page for one browser; a context manager.

    Args:
        changes: Tells when there may be another one.
        make: Makes the fragment as it is now.
        seen: The fingerprint of the one that the browser has.
    """

    def __init__(
        self, changes: Changes, make: Callable[[], Awaitable[Fragment]], seen: str
    ) -> None:
        self._changes = changes
        self._make = make
        self._stack = contextlib.ExitStack()
        self._ready: deque[Live] = deque()
        self._more = ""
        self._has_ended = False
        self._shown: Fragment | None = None
        self._version = 0
        self._next_at_s = self._again_at_s = 0.0
        self.position = seen

    def __enter__(self) -> Self:
        self._stack.enter_context(self._changes.opened())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def next(self, within_s: float) -> Live | None:
        """Return the next fragment; None at the end.

        Raises:
            TimeoutError: There was none in time.
            QtForgeError: The page can't be shown any more.
        """
        async with asyncio.timeout(within_s):
            while not self._ready:
                await self._paced()
                if self._has_ended or self._changes.has_ended:
                    return None
                await self._changed()
                version = self._changes.version
                self._shown = await self._make()
                self._version = version  # last: a wait may be cut off before
                self._again_at_s = _now_s() + (_MOVES_S if self._shown.moves else _QUIET_S)
                self._take(self._shown)
        return self._ready.popleft()

    async def _paced(self) -> None:
        """Wait until another fragment may be made; a wait that is cut off goes on later."""
        await asyncio.sleep(max(0.0, self._next_at_s - _now_s()))

    async def _changed(self) -> None:
        """Wait until what was made last may not be true any more."""
        if self._shown is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._again_at_s):
                    await self._changes.after(self._version, self._shown.run_id)
        self._next_at_s = _now_s() + _PAUSE_S

    def _take(self, fragment: Fragment) -> None:
        mark = fingerprint(fragment.html)
        is_new = mark != self.position or fragment.is_last
        html = partial(fragment.html) if is_new else ""
        if fragment.more and fragment.more != self._more:
            html += partial(fragment.more)
            self._more = fragment.more
        if html:
            self.position = mark
            self._ready.append(Live("", html, mark))
        if fragment.is_last:
            self._ready.append(Live("end", "", mark))
            self._has_ended = True


def _now_s() -> float:
    return asyncio.get_running_loop().time()
