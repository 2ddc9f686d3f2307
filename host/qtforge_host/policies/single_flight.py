"""Work that several ask for at the same time is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["SingleFlight"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class _HandedOver:
    """Whoever led was cancelled: the next in the queue leads."""


class SingleFlight(Generic[T]):
    """The first to ask for a key does the work; those that come meanwhile share its result.

    When it fails, they get its exception. When it is cancelled, the first of them does the
    work anew, with its own function. For use on one event loop.
    """

    def __init__(self) -> None:
        self._flights: Final[dict[str, asyncio.Future[_Done[T] | _Failed | _HandedOver]]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Do the work, or wait for who does it.

        Args:
            key: What is asked for.
            work: How to do it; it should have a deadline of its own, since others wait.

        Returns:
            The result, and whether this call did the work itself.
        """
        while (flight := self._flights.get(key)) is not None:
            await asyncio.wait((flight,))  # being cancelled here leaves the flight alone
            outcome = flight.result()
            if isinstance(outcome, _Done):
                return outcome.value, False
            if isinstance(outcome, _Failed):
                raise outcome.error
        return await self._lead(key, work), True

    async def _lead(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        outcome: _Done[T] | _Failed | _HandedOver = _HandedOver()
        try:
            value = await work()
            outcome = _Done(value)
            return value
        except Exception as error:
            outcome = _Failed(error)
            raise
        finally:  # also when cancelled or when the process is to exit
            del self._flights[key]
            flight.set_result(outcome)
