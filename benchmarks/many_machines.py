"""What the extensions are measured with, where they and their servers are there.

A server or a distribution that is missing is a line among the notes, and no failure: `make bench`
also works where only the host is installed.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any, Final

from tests.servers.nats import NatsUnavailable, running_nats
from tests.servers.postgresql import PostgreSQL, PostgreSQLUnavailable, running_postgresql

from benchmarks.measuring import Figure

__all__ = ["measure_many_machines"]

_POSTGRESQL: Final = "PostgreSQL and workers were not measured"
_NATS: Final = "requests to another process were not measured"


def measure_many_machines(rounds: int) -> tuple[list[Figure], list[str]]:
    """Time runs in PostgreSQL, four workers, and requests over NATS.

    Args:
        rounds: How often each is timed; fewer times where that takes seconds.

    Returns:
        The figures, and why others are missing.
    """
    found: list[Figure] = []
    notes: list[str] = []
    for what, measure in ((_POSTGRESQL, _on_postgresql), (_NATS, _over_nats)):
        try:
            found += measure(rounds)
        except ImportError as error:
            notes.append(f"{what}: {error.name or error} is not installed")
        except (PostgreSQLUnavailable, NatsUnavailable) as error:
            notes.append(f"{what}: {error}")
    return found, notes


def _on_postgresql(rounds: int) -> list[Figure]:
    # Imported by name: they import the extension, which need not be there.
    shared: Any = importlib.import_module("benchmarks.shared_journals")
    workers: Any = importlib.import_module("benchmarks.workers")
    measures: tuple[Callable[[PostgreSQL], list[Figure]], ...] = (
        lambda server: asyncio.run(shared.measure_shared_journals(server, min(rounds, 9))),
        lambda server: asyncio.run(shared.measure_beside_dbos(server, rounds)),
        lambda server: workers.measure_workers(server, rounds),
    )
    found: list[Figure] = []
    for measure in measures:
        with running_postgresql(durable=True) as server:  # one each: they leave tables behind
            found += measure(server)
    return found


def _over_nats(rounds: int) -> list[Figure]:
    remote: Any = importlib.import_module("benchmarks.remote_requests")
    with running_nats() as server, remote.answering(server.url):
        found: list[Figure] = asyncio.run(
            remote.measure_remote_requests(server.url, min(rounds, 9))
        )
        return found
