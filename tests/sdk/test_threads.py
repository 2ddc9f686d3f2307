from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from qtforge_sdk.threads import resolve


def resolved(function: Callable[[], Any]) -> Any:
    async def case() -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        threading.Thread(target=resolve, args=(future, function)).start()
        return await asyncio.wait_for(future, 60)

    return asyncio.run(case())


def test_a_result_is_set_from_the_thread() -> None:
    assert resolved(lambda: 42) == 42


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, StopIteration])
def test_whatever_a_function_raises_is_the_callers_exception(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind("why")

    with pytest.raises((ValueError, RuntimeError), match="why"):
        resolved(fail)


def test_a_future_that_is_done_stays_as_it_is() -> None:
    async def case() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.cancel()
        await asyncio.to_thread(resolve, future, lambda: 1)
        await asyncio.sleep(0)
        assert future.cancelled()

    asyncio.run(case())


def test_a_loop_that_is_closed_is_no_error() -> None:
    loop = asyncio.new_event_loop()
    future: asyncio.Future[int] = loop.create_future()
    loop.close()
    resolve(future, lambda: 1)
    assert not future.done()
