"""A `RunClient` for programs without an event loop: a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from qtforge_host.api.client import RunClient
from qtforge_host.api.host_client import HostClient
from qtforge_sdk.durations import Duration

__all__ = ["BlockingHostClient", "BlockingRunClient"]

P = ParamSpec("P")
T = TypeVar("T")


class _Loop:
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
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _of_runs(
    method: Callable[Concatenate[RunClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingRunClient, P], T]:
    @functools.wraps(method)
    def blocking(self: BlockingRunClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._loop.call(method(self._client, *args, **kwargs))

    return blocking


def _of_host(
    method: Callable[Concatenate[HostClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingHostClient, P], T]:
    @functools.wraps(method)
    def blocking(self: BlockingHostClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._loop.call(method(self._client, *args, **kwargs))

    return blocking


class BlockingHostClient:
    """The methods of `HostClient`, each of which returns when it is done."""

    def __init__(self, client: HostClient, loop: _Loop) -> None:
        self._client = client
        self._loop = loop

    topics = _of_host(HostClient.topics)
    request = _of_host(HostClient.request)
    publish = _of_host(HostClient.publish)
    health = _of_host(HostClient.health)
    plugins = _of_host(HostClient.plugins)
    workflows = _of_host(HostClient.workflows)
    check_workflows = _of_host(HostClient.check_workflows)
    show_workflow = _of_host(HostClient.show_workflow)
    draw_workflow = _of_host(HostClient.draw_workflow)
    replay_export = _of_host(HostClient.replay_export)


class BlockingRunClient:
    """The methods of `RunClient`, each of which returns when it is done; a context manager.

    It may be used by several threads at once. Runs execute in a thread of the client, also
    between two calls.

    Args:
        state_dir: See `RunClient.open`, as for the other arguments.
        config: The configuration's file.
        journal: Where the runs are.
        by: Who asks, for the history of runs.
        recover: Resume interrupted runs, fire timers and let published events start runs.
        grace: How long runs may execute at the end.

    Attributes:
        host: The use cases of the host itself.
    """

    host: BlockingHostClient

    def __init__(
        self,
        state_dir: Path | str | None = None,
        *,
        config: Path | str | None = None,
        journal: str | None = None,
        by: str = "an application",
        recover: bool = False,
        grace: Duration = 10.0,
    ) -> None:
        self._opening = functools.partial(
            RunClient.open,
            state_dir,
            config=config,
            journal=journal,
            by=by,
            recover=recover,
            grace=grace,
        )

    def __enter__(self) -> Self:
        self._loop = _Loop()
        self._opened = self._opening()
        try:
            self._client: RunClient = self._loop.call(self._enter())
        except BaseException:
            self._loop.close()
            raise
        self.host = BlockingHostClient(self._client.host, self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._loop.call(self._exit())
        finally:
            self._loop.close()

    async def _enter(self) -> RunClient:
        # The generator of the context manager runs in one task of its own: what is opened in
        # a task has to be closed in it.
        self._ending = asyncio.Event()
        opened: asyncio.Future[RunClient] = asyncio.get_running_loop().create_future()
        self._task = asyncio.ensure_future(self._keep_open(opened))
        return await opened

    async def _keep_open(self, opened: asyncio.Future[RunClient]) -> None:
        try:
            async with self._opened as client:
                opened.set_result(client)
                await self._ending.wait()
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    async def _exit(self) -> None:
        self._ending.set()
        await self._task

    find = _of_runs(RunClient.find)
    list = _of_runs(RunClient.list)
    show = _of_runs(RunClient.show)
    records = _of_runs(RunClient.records)
    graph = _of_runs(RunClient.graph)
    draw = _of_runs(RunClient.draw)
    follow = _of_runs(RunClient.follow)
    inbox = _of_runs(RunClient.inbox)
    start = _of_runs(RunClient.start)
    enqueue = _of_runs(RunClient.enqueue)
    run = _of_runs(RunClient.run)
    wait = _of_runs(RunClient.wait)
    send = _of_runs(RunClient.send)
    cancel = _of_runs(RunClient.cancel)
    pause = _of_runs(RunClient.pause)
    resume = _of_runs(RunClient.resume)
    resumable = _of_runs(RunClient.resumable)
    resume_all = _of_runs(RunClient.resume_all)
    retry = _of_runs(RunClient.retry)
    fork = _of_runs(RunClient.fork)
    amend = _of_runs(RunClient.amend)
    patches = _of_runs(RunClient.patches)
    unfinished = _of_runs(RunClient.unfinished)
    prune = _of_runs(RunClient.prune)
    prunable = _of_runs(RunClient.prunable)
    apply_retention = _of_runs(RunClient.apply_retention)
    export = _of_runs(RunClient.export)
    import_ = _of_runs(RunClient.import_)
    lacks_secrets = _of_runs(RunClient.lacks_secrets)
