"""Await the methods of a client from threads without an event loop: a loop in its own thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

__all__ = ["BlockingClient", "ThreadLoop", "blocking", "blocking_list"]

C = TypeVar("C", covariant=True)
D = TypeVar("D")
P = ParamSpec("P")
T = TypeVar("T")


class ThreadLoop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qtforge-client")
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work in the loop, and wait for it; an interruption cancels the work."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                concurrent.futures.wait([future])
            raise

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class BlockingClient(Generic[C]):
    """The methods of a client, each of which returns when it is done.

    Args:
        client: The client.
        loop: Where its methods are awaited.
    """

    def __init__(self, client: C, loop: ThreadLoop) -> None:
        self._client = client
        self._loop = loop

    def _call(self, method: Callable[[C], Coroutine[Any, Any, T]]) -> T:
        return self._loop.call(method(self._client))


def blocking(
    method: Callable[Concatenate[D, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingClient[D], P], T]:
    """Return the blocking form of a client's method."""

    @functools.wraps(method)
    def call(self: BlockingClient[D], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._call(lambda client: method(client, *args, **kwargs))

    return call


def blocking_list(
    method: Callable[Concatenate[D, P], AsyncIterator[T]],
) -> Callable[Concatenate[BlockingClient[D], P], list[T]]:
    """Return the blocking form of a client's method that yields: it returns a list."""

    async def listed(found: AsyncIterator[T]) -> list[T]:
        return [each async for each in found]

    @functools.wraps(method)
    def call(self: BlockingClient[D], /, *args: P.args, **kwargs: P.kwargs) -> list[T]:
        return self._call(lambda client: listed(method(client, *args, **kwargs)))

    return call
