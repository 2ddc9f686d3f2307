"""Plugins that answer, fail, wait and listen in each way that a plugin can."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import Any

import msgspec

from qtforge_sdk.errors import OperationError
from qtforge_sdk.operations import OperationContext, Proceed, operation, subscriber
from qtforge_sdk.plugin import Plugin

__all__ = [
    "Echo",
    "Failing",
    "First",
    "Happening",
    "Hearing",
    "Last",
    "Letter",
    "Note",
    "OddNumbers",
    "Reply",
    "Shouting",
    "Slow",
    "Stamping",
    "TaggedRed",
]


class Note(msgspec.Struct, frozen=True):
    """What most topics here take."""

    text: str
    number: int = 0


@dataclasses.dataclass(frozen=True)
class Letter:
    """A message of another make, with the fields of `Note`."""

    text: str
    number: int


class Reply(msgspec.Struct, frozen=True):
    """What ``note.echo`` gives."""

    text: str
    by: str


class Happening(msgspec.Struct, frozen=True):
    """What is published."""

    number: int


class Echo(Plugin):
    """Answers plainly, on the loop and in a thread, and keeps what it was given.

    Args:
        label: Told in its replies.
    """

    def __init__(self, label: str = "echo") -> None:
        self.label = label
        self.given: list[Note] = []
        self.contexts: list[OperationContext] = []
        self.threads: list[int] = []

    @operation("note.echo")
    async def echo(self, note: Note) -> Reply:
        """Say it back."""
        self.given.append(note)
        return Reply(note.text, self.label)

    @operation("note.echo_in_thread")
    def echo_in_thread(self, note: Note, context: OperationContext) -> Reply:
        """Say it back from a thread."""
        self.threads.append(threading.get_ident())
        self.contexts.append(context)
        return Reply(note.text, self.label)

    @operation("note.contextual")
    async def contextual(self, note: Note, context: OperationContext) -> Reply:
        """Say it back, and keep the context."""
        self.contexts.append(context)
        return Reply(note.text, self.label)


class First(Plugin):
    """Wants to be asked before the others."""

    @operation("note.echo", tryfirst=True)
    async def echo(self, note: Note) -> Reply:
        """Say it back."""
        return Reply(note.text, "first")


class Last(Plugin):
    """Wants to be asked after the others."""

    @operation("note.echo", trylast=True)
    async def echo(self, note: Note) -> Reply:
        """Say it back."""
        return Reply(note.text, "last")


class OddNumbers(Plugin):
    """Accepts only some messages."""

    @operation("note.echo", accepts="message.number % 2 == 1")
    async def echo(self, note: Note) -> Reply:
        """Say it back."""
        return Reply(note.text, "odd")


class TaggedRed(Plugin):
    """Accepts by a field that a message need not have."""

    @operation("thing.name", accepts="message.tags.contains('red')")
    async def name(self, thing: dict[str, Any]) -> str:
        """Name it."""
        return f"red {thing['name']}"


class Failing(Plugin):
    """Fails in each way that a handler can."""

    @operation("fail.plainly")
    async def plainly(self, note: Note) -> Reply:
        """Raise what any code raises."""
        raise LookupError(f"no {note.text}")

    @operation("fail.in_thread")
    def in_thread(self, note: Note) -> Reply:
        """Raise it in a thread."""
        raise LookupError(f"no {note.text}")

    @operation("fail.deliberately")
    async def deliberately(self, note: Note) -> Reply:
        """Raise what a careful plugin raises."""
        raise OperationError(
            "note.torn",
            "the note is torn",
            "it is old",
            "glue it",
            retryable=True,
            retry_after_s=2.5,
        )

    @operation("fail.with_its_own_timeout")
    async def with_its_own_timeout(self, note: Note) -> Reply:
        """Raise what looks like a deadline."""
        raise TimeoutError("the far end is slow")

    @operation("fail.by_exit")
    async def by_exit(self, note: Note) -> Reply:
        """Try to end the process."""
        raise SystemExit(3)


class Slow(Plugin):
    """Takes its time, and tells whether it was cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.release = threading.Event()
        self.cancelled = False

    @operation("slow.on_loop")
    async def on_loop(self, note: Note) -> Reply:
        """Wait on the loop."""
        self.begun.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return Reply(note.text, "slow")

    @operation("slow.in_thread")
    def in_thread(self, note: Note) -> Reply:
        """Wait in a thread."""
        self.release.wait(30)
        return Reply(note.text, "slow")


class Stamping(Plugin):
    """Stands around ``note.echo`` and shows in which order.

    Args:
        stamp: Put before the message's text and after the reply's.
    """

    def __init__(self, stamp: str) -> None:
        self.stamp = stamp

    @operation("note.echo", wrapper=True)
    async def around(self, note: Note, context: OperationContext, proceed: Proceed) -> Reply:
        """Stamp both ways."""
        reply: Reply = await proceed(Note(f"{self.stamp}{note.text}", note.number))
        return Reply(f"{reply.text}{self.stamp}", reply.by)


class Shouting(Plugin):
    """A wrapper that fails by itself, and one that turns an error into an answer."""

    @operation("note.contextual", wrapper=True)
    async def fail(self, note: Note, context: OperationContext, proceed: Proceed) -> Reply:
        """Fail before asking."""
        raise RuntimeError("too loud")

    @operation("fail.plainly", wrapper=True)
    async def mend(self, note: Note, context: OperationContext, proceed: Proceed) -> Reply:
        """Answer in place of a failed handler."""
        try:
            answered: Reply = await proceed(note)
        except Exception as error:  # noqa: BLE001 - this is what it is for
            return Reply(type(error).__name__, "mended")
        return answered


class Hearing(Plugin):
    """Subscribes in each way that a plugin can."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.deep: list[int] = []
        self.large: list[int] = []
        self.threads: list[int] = []

    @subscriber("happening.*")
    async def on_any(self, happening: Happening) -> None:
        """Hear one word below."""
        self.numbers.append(happening.number)

    @subscriber("happening.>", where="message.number > 10")
    async def on_large(self, happening: Happening) -> None:
        """Hear only some."""
        self.large.append(happening.number)

    @subscriber("happening.>")
    def on_deep(self, happening: Happening) -> None:
        """Hear everything below, in a thread."""
        self.threads.append(threading.get_ident())
        self.deep.append(happening.number)

    @subscriber("happening.>")
    async def on_failing(self, happening: Happening) -> None:
        """Fail at each message."""
        raise LookupError(str(happening.number))
