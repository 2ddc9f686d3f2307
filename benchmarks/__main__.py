"""``python -m benchmarks``: measures everything and prints one table."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from benchmarks.aggregating import large_aggregation, measure_aggregating, measure_files
from benchmarks.fanning_out import measure_fanning_out
from benchmarks.instances import SIZES, measure_instances, measure_waiting
from benchmarks.large import measure_large
from benchmarks.machine import describe
from benchmarks.machines import measure_machines
from benchmarks.many_machines import measure_many_machines
from benchmarks.measuring import Figure
from benchmarks.publishing import measure_publishing
from benchmarks.report import as_document, as_markdown, as_plot, split_at_markers
from benchmarks.requests import measure_requests
from benchmarks.routing import measure_routing
from benchmarks.runs import measure_runs
from benchmarks.stages import measure_stages
from benchmarks.startup import measure_startup
from benchmarks.telemetry import measure_telemetry
from benchmarks.testing_kit import measure_testing

_ROUNDS = 21


async def _measure_bus(rounds: int) -> list[Figure]:
    return [*await measure_requests(rounds), *await measure_publishing(rounds)]


def main() -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the table between the markers of this file"
    )
    parser.add_argument(
        "--large", action="store_true", help="also journals of a million runs: minutes, 5 GB"
    )
    parser.add_argument(
        "--only",
        choices=["startup", "telemetry", "testing"],
        help="measure just that, and print its part of the table",
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    try:  # now, and not after a minute of measuring
        around = None if options.write is None else split_at_markers(options.write)
    except (OSError, ValueError) as error:
        parser.error(f"--write: {error}")
    machine = describe()
    if options.only == "startup":
        startup = measure_startup(options.rounds)
        print(as_markdown(startup.figures, machine, startup.imports, []))
        return
    if options.only == "telemetry":
        print(as_markdown(asyncio.run(measure_telemetry(options.rounds)), machine, {}, []))
        return
    if options.only == "testing":
        print(as_markdown(measure_testing(options.rounds), machine, {}, []))
        return
    print("measuring the bus ...", file=sys.stderr)
    found = asyncio.run(_measure_bus(options.rounds))
    print("measuring runs ...", file=sys.stderr)
    found += asyncio.run(measure_runs(options.rounds))
    found += asyncio.run(measure_telemetry(options.rounds))
    found += asyncio.run(measure_fanning_out(options.rounds))
    found += asyncio.run(measure_stages(options.rounds, long=options.large))
    print("measuring the test kit ...", file=sys.stderr)
    found += measure_testing(options.rounds)
    print("measuring aggregations ...", file=sys.stderr)
    found += measure_aggregating(options.rounds)
    found += measure_files(options.rounds)
    print("measuring decisions ...", file=sys.stderr)
    found += asyncio.run(measure_routing(options.rounds))
    print("measuring machines ...", file=sys.stderr)
    found += asyncio.run(measure_machines(options.rounds))
    print("measuring start-up ...", file=sys.stderr)
    startup = measure_startup(options.rounds)
    found += startup.figures
    print("measuring machines in runs ...", file=sys.stderr)
    found += asyncio.run(measure_instances(options.rounds))
    print("measuring many machines ...", file=sys.stderr)
    many, notes = measure_many_machines(options.rounds)
    found += many
    plots: list[str] = []
    if options.large:
        large = asyncio.run(measure_large(options.rounds))
        waiting = measure_waiting()
        found += [*large.figures, *waiting.figures]
        notes += [large.memory, large_aggregation(), waiting.memory]
        plots = [
            as_plot("One step of a durable run, 64 runs at once", large.histories, large.appends),
            as_plot("One event of a machine that rests among others", SIZES, waiting.events),
        ]
    markdown = "\n\n".join((as_markdown(found, machine, startup.imports, notes), *plots))
    print(markdown)
    if options.json is not None:
        document = as_document(found, machine, startup.imports, notes)
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if around is not None:
        before, after = around
        options.write.write_text(f"{before}\n\n{markdown}\n\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
