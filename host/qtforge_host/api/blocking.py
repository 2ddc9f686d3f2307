"""A `RunClient` for programs without an event loop: a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Self

from qtforge_host.api.blocking_calls import BlockingClient, ThreadLoop, blocking, blocking_list
from qtforge_host.api.client import RunClient
from qtforge_host.api.extras import SCHEDULES, check_installed
from qtforge_host.api.host_client import HostClient
from qtforge_host.api.nodes import NodeClient
from qtforge_sdk.durations import Duration

if TYPE_CHECKING:  # it needs an extra
    from qtforge_host.api.blocking_schedules import BlockingScheduleClient

__all__ = ["BlockingHostClient", "BlockingNodeClient", "BlockingRunClient"]


class BlockingHostClient(BlockingClient[HostClient]):
    """The methods of `HostClient`, each of which returns when it is done."""

    topics = blocking(HostClient.topics)
    request = blocking(HostClient.request)
    publish = blocking(HostClient.publish)
    health = blocking(HostClient.health)
    plugins = blocking(HostClient.plugins)
    plugin = blocking(HostClient.plugin)
    offers = blocking(HostClient.offers)
    plugin_settings = blocking(HostClient.plugin_settings)
    workflows = blocking(HostClient.workflows)
    check_workflows = blocking(HostClient.check_workflows)
    show_workflow = blocking(HostClient.show_workflow)
    draw_workflow = blocking(HostClient.draw_workflow)
    workflow_graph = blocking(HostClient.workflow_graph)
    new_workflow = blocking(HostClient.new_workflow)
    new_plugin = blocking(HostClient.new_plugin)
    workflow_schema = blocking(HostClient.workflow_schema)
    config_schema = blocking(HostClient.config_schema)
    replay = blocking_list(HostClient.replay)
    replay_page = blocking(HostClient.replay_page)
    replay_export = blocking(HostClient.replay_export)


class BlockingNodeClient(BlockingClient[NodeClient]):
    """The methods of `NodeClient`, each of which returns when it is done."""

    list = blocking(NodeClient.list)
    show = blocking(NodeClient.show)
    drain = blocking(NodeClient.drain)
    resume = blocking(NodeClient.resume)
    pools = blocking(NodeClient.pools)
    pause_pool = blocking(NodeClient.pause_pool)
    resume_pool = blocking(NodeClient.resume_pool)


class BlockingRunClient(BlockingClient[RunClient]):
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
        host: The use cases of the host itself: topics, requests, health, plugins.
        nodes: The use cases of the processes that take runs, and of pools.
    """

    host: BlockingHostClient
    nodes: BlockingNodeClient

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
        self._loop = ThreadLoop()
        self._opened = self._opening()
        try:
            self._client = self._loop.call(self._enter())
        except BaseException:
            self._loop.close()
            raise
        self.host = BlockingHostClient(self._client.host, self._loop)
        self.nodes = BlockingNodeClient(self._client.nodes, self._loop)
        return self

    @property
    def schedules(self) -> BlockingScheduleClient:
        """The use cases of schedules.

        Raises:
            ServeNotInstalledError: The libraries of the extra ``serve`` are not installed.
        """
        check_installed(SCHEDULES)
        # It imports the library that reads cron expressions, which may not be there.
        from qtforge_host.api.blocking_schedules import BlockingScheduleClient

        return BlockingScheduleClient(self._client.schedules, self._loop)

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

    find = blocking(RunClient.find)
    list = blocking(RunClient.list)
    status = blocking(RunClient.status)
    show = blocking(RunClient.show)
    records = blocking(RunClient.records)
    graph = blocking(RunClient.graph)
    draw = blocking(RunClient.draw)
    follow = blocking(RunClient.follow)
    follow_logs = blocking_list(RunClient.follow_logs)
    logs = blocking(RunClient.logs)
    count = blocking(RunClient.count)
    inbox = blocking(RunClient.inbox)
    start = blocking(RunClient.start)
    enqueue = blocking(RunClient.enqueue)
    run = blocking(RunClient.run)
    wait = blocking(RunClient.wait)
    send = blocking(RunClient.send)
    cancel = blocking(RunClient.cancel)
    pause = blocking(RunClient.pause)
    cancel_all = blocking(RunClient.cancel_all)
    pause_all = blocking(RunClient.pause_all)
    resume = blocking(RunClient.resume)
    resumable = blocking(RunClient.resumable)
    resume_all = blocking(RunClient.resume_all)
    retry_all = blocking(RunClient.retry_all)
    retry = blocking(RunClient.retry)
    fork = blocking(RunClient.fork)
    rerun = blocking(RunClient.rerun)
    run_again = blocking(RunClient.run_again)
    plan = blocking(RunClient.plan)
    tag = blocking(RunClient.tag)
    amend = blocking(RunClient.amend)
    patches = blocking(RunClient.patches)
    selected = blocking(RunClient.selected)
    prune = blocking(RunClient.prune)
    apply_retention = blocking(RunClient.apply_retention)
    export = blocking(RunClient.export)
    import_ = blocking(RunClient.import_)
    lacks_secrets = blocking(RunClient.lacks_secrets)
