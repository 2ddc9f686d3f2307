"""`MortalJournal`: a journal whose process dies before or after a write."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from qtforge_sdk import Record
from qtforge_sdk.journal import InboxMessage, Journal, Ownership, Posted
from qtforge_sdk.records import RunStarted

__all__ = [
    "Crash",
    "Moment",
    "MortalJournal",
    "at_write",
    "kill_process",
    "quiet_about_crashes",
]

T = TypeVar("T")


class Crash(BaseException):
    """The process died; nothing of it may do anything afterwards."""


class Moment(NamedTuple):
    """A moment before or after a write.

    Attributes:
        write: The number of the write, from 1.
        after: Whether the journal has made it.
        what: What is written: the tag of its last record, or the journal's method.
        step: The step that its last record is about, or "".
        records: The records that are written.
    """

    write: int
    after: bool
    what: str
    step: str
    records: Sequence[Record]

    def __str__(self) -> str:
        """Return it in words, such as ``after step_succeeded of 'charge'``."""
        of = f" of '{self.step}'" if self.step else ""
        return f"{'after' if self.after else 'before'} {self.what}{of}"


def at_write(write: int, after: bool) -> Callable[[Moment], bool]:
    """Return a function that is true of one moment.

    Args:
        write: The number of a write, from 1.
        after: After that write, else before it.
    """
    return lambda moment: moment.write == write and moment.after == after


@contextlib.contextmanager
def quiet_about_crashes() -> Iterator[None]:
    """Keep the host's log of runs free of crashes within the context: they are on purpose."""

    def is_other(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], Crash))

    log = logging.getLogger("qtforge.runs")
    log.addFilter(is_other)
    try:
        yield
    finally:
        log.removeFilter(is_other)


def kill_process() -> None:
    """Kill this process, as `MortalJournal.die` of one that is no fake."""
    os.kill(os.getpid(), signal.SIGKILL)


class MortalJournal:
    """A journal whose process dies at a moment, and does nothing afterwards.

    It implements `qtforge_sdk.journal.Journal` for an engine. The writes that are counted are
    those that change a run: its records, its queue, its owner and its inbox.

    Args:
        inner: The journal; it is still usable by a test when the process is dead.
        dies: Whether the process dies at a moment.
        die: Ends the process for real, and does not return; None to raise `Crash`.
        owners: Whether what is claimed, released and posted counts as a write, too.

    Attributes:
        inner: The journal.
        died_at: The moment at which the process died; None while it lives.
        in_progress: How many calls of the journal have not returned.
    """

    def __init__(
        self,
        inner: Journal,
        dies: Callable[[Moment], bool] = lambda moment: False,
        *,
        die: Callable[[], None] | None = None,
        owners: bool = False,
    ) -> None:
        self.inner = inner
        self.died_at: Moment | None = None
        self.in_progress = 0
        self._dies = dies
        self._die = die
        self._owners = owners
        self._writes = 0

    @property
    def dead(self) -> bool:
        """Whether the process died."""
        return self.died_at is not None

    def kill(self) -> None:
        """Let the process die now, between two writes."""
        self.died_at = Moment(self._writes, True, "its last write", "", ())

    async def create(self, started: RunStarted, records: Sequence[Record] = ()) -> Ownership:
        """Create a run; see `Journal`."""
        return await self._write("create", [started, *records], self.inner.create, started, records)

    async def enqueue(self, started: RunStarted) -> Sequence[str]:
        """Queue a run; see `Journal`."""
        return await self._write("enqueue", [started], self.inner.enqueue, started)

    async def append(
        self, ownership: Ownership, records: Sequence[Record], posts: Any = ()
    ) -> None:
        """Append records; see `Journal`."""
        if records:
            await self._write("append", records, self.inner.append, ownership, records, posts)
        else:
            await self._call(self.inner.append, ownership, records, posts)

    async def claim(self, run_id: str) -> Ownership:
        """Claim a run; see `Journal`."""
        return await self._write_of_owner("claim", self.inner.claim, run_id)

    async def admit(self, ownership: Ownership) -> Sequence[str]:
        """Let a run hold a place; see `Journal`."""
        return await self._write_of_owner("admit", self.inner.admit, ownership)

    async def take(self, limit: int, **options: Any) -> Sequence[Ownership]:
        """Own runs that are to be executed; see `Journal`."""
        return await self._write_of_owner("take", self.inner.take, limit, **options)

    async def tag(self, run_id: str, changed: Mapping[str, str | None]) -> Mapping[str, str]:
        """Change tags of a run; see `Journal`."""
        return await self._write_of_owner("tag", self.inner.tag, run_id, changed)

    async def release(self, ownership: Ownership, **options: Any) -> None:
        """Release a run; see `Journal`."""
        await self._write_of_owner("release", self.inner.release, ownership, **options)

    async def post(self, run_id: str, message: InboxMessage) -> Posted:
        """Post a message; see `Journal`."""
        return await self._write_of_owner("post", self.inner.post, run_id, message)

    def __getattr__(self, name: str) -> Any:
        """Return the rest of the journal, while the process lives."""
        self.refuse_dead()
        found = getattr(self.inner, name)
        if name == "changed" or not inspect.iscoroutinefunction(found):
            return found  # a wait for others is no work
        return functools.partial(self._call, found)

    async def _write_of_owner(
        self, name: str, method: Callable[..., Awaitable[T]], *args: Any, **options: Any
    ) -> T:
        if self._owners:
            return await self._write(name, (), method, *args, **options)
        return await self._call(method, *args, **options)

    async def _call(self, method: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
        """Call the journal, and count the call while it is in progress."""
        self.refuse_dead()
        self.in_progress += 1
        try:
            return await method(*args, **options)
        finally:
            self.in_progress -= 1

    async def _write(
        self,
        name: str,
        records: Sequence[Record],
        method: Callable[..., Awaitable[T]],
        *args: Any,
        **options: Any,
    ) -> T:
        what, step = name, ""
        if records:
            last = records[-1]
            what, step = str(type(last).__struct_config__.tag), getattr(last, "step", "")
        self._writes += 1
        write = self._writes
        self._pass(Moment(write, False, what, step, records))
        returned = await self._call(method, *args, **options)
        self._pass(Moment(write, True, what, step, records))
        return returned

    def _pass(self, moment: Moment) -> None:
        self.refuse_dead()
        if self._dies(moment):
            self.died_at = moment
            if self._die is not None:
                self._die()
            raise Crash

    def refuse_dead(self) -> None:
        """Raise `Crash` when the process died."""
        if self.died_at is not None:
            raise Crash
