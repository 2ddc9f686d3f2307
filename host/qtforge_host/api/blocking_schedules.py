"""A `ScheduleClient` for programs without an event loop."""

from __future__ import annotations

from qtforge_host.api.blocking_calls import BlockingClient, blocking
from qtforge_host.api.schedules import ScheduleClient

__all__ = ["BlockingScheduleClient"]


class BlockingScheduleClient(BlockingClient[ScheduleClient]):
    """The methods of `ScheduleClient`, each of which returns when it is done."""

    list = blocking(ScheduleClient.list)
    show = blocking(ScheduleClient.show)
    pause = blocking(ScheduleClient.pause)
    resume = blocking(ScheduleClient.resume)
    trigger = blocking(ScheduleClient.trigger)
    backfill = blocking(ScheduleClient.backfill)
