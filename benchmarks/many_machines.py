"""What the extensions are measured with, where they and their servers are there.

A server or a distribution that is missing is a line among the notes, and no failure: `make bench`
also works where only the host is installed. ``python -m benchmarks.many_machines --only PART``
measures some of it.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from collections.abc import Callable, Collection
from typing import Any, Final

from tests.servers.nats import NatsUnavailable, running_nats
from tests.servers.postgresql import PostgreSQL, PostgreSQLUnavailable, running_postgresql

from benchmarks.machine import describe
from benchmarks.measuring import Figure
from benchmarks.report import as_markdown

__all__ = ["PARTS", "measure_many_machines"]

PARTS: Final = ("journals", "dbos", "workers", "requests")
"""Runs in PostgreSQL, beside DBOS, four workers beside one, and requests over NATS."""

_POSTGRESQL: Final = "PostgreSQL and workers were not measured"
_NATS: Final = "requests to another process were not measured"


def measure_many_machines(
    rounds: int, only: Collection[str] = PARTS
) -> tuple[list[Figure], list[str]]:
    """Time runs in PostgreSQL, four workers, and requests over NATS.

    Args:
        rounds: How often each is timed; fewer times where that takes seconds.
        only: Some of `PARTS`.

    Returns:
        The figures, and why others are missing.
    """
    found: list[Figure] = []
    notes: list[str] = []
    for what, parts, measure in (
        (_POSTGRESQL, PARTS[:-1], _on_postgresql),
        (_NATS, PARTS[-1:], _over_nats),
    ):
        wanted = [each for each in parts if each in only]
        if not wanted:
            continue
        try:
            found += measure(rounds, wanted)
        except ImportError as error:
            notes.append(f"{what}: {error.name or error} is not installed")
        except (PostgreSQLUnavailable, NatsUnavailable) as error:
            notes.append(f"{what}: {error}")
    return found, notes


def _on_postgresql(rounds: int, parts: Collection[str]) -> list[Figure]:
    # Imported by name: they import the extension, which need not be there.
    shared: Any = importlib.import_module("benchmarks.shared_journals")
    workers: Any = importlib.import_module("benchmarks.workers")
    measures: dict[str, Callable[[PostgreSQL], list[Figure]]] = {
        "journals": lambda server: asyncio.run(
            shared.measure_shared_journals(server, min(rounds, 9))
        ),
        "dbos": lambda server: asyncio.run(shared.measure_beside_dbos(server, rounds)),
        "workers": lambda server: workers.measure_workers(server, rounds),
    }
    found: list[Figure] = []
    for part in parts:
        with running_postgresql(durable=True) as server:  # one each: they leave tables behind
            found += measures[part](server)
    return found


def _over_nats(rounds: int, _: Collection[str]) -> list[Figure]:
    remote: Any = importlib.import_module("benchmarks.remote_requests")
    with running_nats() as server, remote.answering(server.url):
        found: list[Figure] = asyncio.run(
            remote.measure_remote_requests(server.url, min(rounds, 9))
        )
        return found


def main() -> int:
    """Measure, and print a table and what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_machines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="some of them; may be repeated"
    )
    options = parser.parse_args()
    found, notes = measure_many_machines(options.rounds, options.only or PARTS)
    print(as_markdown(found, describe(), {}, notes))
    return 1 if notes else 0


if __name__ == "__main__":
    sys.exit(main())
