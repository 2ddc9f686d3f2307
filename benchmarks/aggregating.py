"""A million rows as one result, beside plain Python; and ten million, with the memory they took.

Also CSV and Parquet files from their reading to the result, beside bare DuckDB on these files.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from benchmarks.measuring import Figure, Goal, figures
from qtforge_builtin_plugins.aggregation.computing import Computation
from qtforge_builtin_plugins.aggregation.messages import SourceRows
from qtforge_builtin_plugins.aggregation.options import read_aggregation
from qtforge_builtin_plugins.collectors.allowed_paths import AllowedPaths
from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.files.reader import FileReader
from qtforge_builtin_plugins.collectors.files.settings import FileConfig, FileParameters
from qtforge_sdk.messages import Dataset

__all__ = ["large_aggregation", "measure_aggregating", "measure_files"]

_ROWS = 1_000_000
_LARGE_ROWS = 10_000_000
_SOURCES = 2
_ROUNDS = 3
_MEMORY_MIB = 768
_LIMIT_MIB = 2048
_METHODS: dict[str, dict[str, Any]] = {
    "union": {"method": "union", "distinct": True, "key": "id"},
    "intersect": {"method": "intersect", "key": "id"},
    "statistical": {"method": "statistical", "fields": ["amount"], "group_by": ["region"]},
}


def write_sources(folder: Path, rows: int) -> list[SourceRows]:
    """Write so many rows in all as sources; of the keys, half are in both."""
    found = []
    for source in range(_SOURCES):
        path = folder / f"source-{source}.jsonl"
        with path.open("wb") as file:
            for number in range(rows // _SOURCES):
                key = number + source * (rows // _SOURCES // 2)
                region = "abcdefgh"[number % 8]
                amount = (number * 7919) % 100_000 / 100
                row = {"id": key, "region": region, "amount": amount, "note": f"n{key}"}
                file.write(msgspec.json.encode(row) + b"\n")
        size = path.stat().st_size
        dataset = Dataset(
            path=str(path), format="jsonl", rows=rows // _SOURCES, size_bytes=size, sha256=""
        )
        found.append(SourceRows(name=f"source-{source}", dataset=dataset))
    return found


def aggregate(folder: Path, sources: list[SourceRows], method: str) -> int:
    """Do it as the plugin does; return how many rows came out."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        computation = Computation(Path(place), folder, method, _MEMORY_MIB, 2)
        return computation.run(sources, read_aggregation(_METHODS[method])).count


def measure_aggregating(rounds: int) -> list[Figure]:
    """Time a million rows from their files to the result's file.

    Raises:
        RuntimeError: The two do not agree.
    """
    plain: dict[str, Callable[[Path, list[SourceRows]], int]] = {
        "union": _union, "intersect": _intersect, "statistical": _statistical
    }  # fmt: skip
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as name:
        folder = Path(name)
        sources = write_sources(folder, _ROWS)
        for method in _METHODS:
            times: list[list[float]] = [[], []]
            for _ in range(min(rounds, _ROUNDS)):
                started = time.perf_counter()
                counts = [aggregate(folder, sources, method)]
                between = time.perf_counter()
                counts.append(plain[method](folder, sources))
                times[0].append(between - started)
                times[1].append(time.perf_counter() - between)
                if counts[0] != counts[1]:
                    raise RuntimeError(f"{method}: {counts}")
            named: list[tuple[str, Goal | None]] = [
                ("data-aggregator", None),
                ("plain Python", None),
            ]
            found += figures(f"{method} of {_ROWS:,} rows", named, times)
    return found


_FILE_GOALS: dict[str, Goal] = {"parquet": Goal(ratio=2.0), "csv": Goal(ratio=2.75)}
_STATISTICAL: dict[str, Any] = {
    "method": "statistical", "fields": ["amount"], "group_by": ["region"]
}  # fmt: skip
_OVER_FILES: dict[str, dict[str, Any]] = {
    "statistical": _STATISTICAL,
    "union to Parquet": {"method": "union", "format": "parquet"},
}


def measure_files(rounds: int) -> list[Figure]:
    """Time CSV and Parquet files, from their reading for a run to the result.

    Bare DuckDB answers the same question with one statement over the same files. It keeps no
    copy for a resumed run, no checksum, and syncs nothing to the disk.

    Raises:
        RuntimeError: The two do not agree.
    """
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as name:
        folder = Path(name)
        for format, goal in _FILE_GOALS.items():
            paths = _write_files(folder, format)
            for method, aggregation in _OVER_FILES.items():
                times: list[list[float]] = [[], []]
                for _ in range(max(rounds, _ROUNDS)):
                    started = time.perf_counter()
                    counts = [_bare(folder, format, paths, method)]
                    between = time.perf_counter()
                    counts.append(_collected_and_aggregated(folder, paths, aggregation))
                    times[0].append(between - started)
                    times[1].append(time.perf_counter() - between)
                    if counts[0] != counts[1]:
                        raise RuntimeError(f"{method} of {format}: {counts}")
                named: list[tuple[str, Goal | None]] = [
                    ("DuckDB", None),
                    ("file-collector and data-aggregator", goal),
                ]
                found += figures(f"{method} of {_ROWS:,} rows of {format} files", named, times)
    return found


def _write_files(folder: Path, format: str) -> list[Path]:
    paths = [folder / f"files-{source}.{format}" for source in range(_SOURCES)]
    with duckdb.connect(":memory:") as connection:
        for source, path in enumerate(paths):
            connection.execute(
                f"COPY (SELECT i + {source * _ROWS} AS id, substr('abcdefgh', i % 8 + 1, 1) AS"
                " region, (i * 7919 % 100000) / 100.0::DOUBLE AS amount, 'n' || i AS note,"
                " DATE '2026-01-01' + (i % 365)::INTEGER AS day, 'customer ' || (i % 1000) AS"
                f" customer FROM range({_ROWS // _SOURCES}) AS t(i)) TO '{path}'"
            )
    return paths


def _collected_and_aggregated(folder: Path, paths: list[Path], aggregation: dict[str, Any]) -> int:
    run = folder / "run"

    def collected(path: Path) -> SourceRows:
        reader = FileReader(
            config=FileConfig(),
            parameters=FileParameters(),
            roots=AllowedPaths([str(folder)], "file-collector"),
            folder=run,
            name=path.stem,
            interrupt=Interrupt(),
        )
        return SourceRows(name=path.stem, dataset=reader.collect(path.name).dataset)

    with ThreadPoolExecutor() as threads:  # as the plugin: all sources at once
        sources = list(threads.map(collected, paths))
    with tempfile.TemporaryDirectory(dir=folder) as place:
        computation = Computation(Path(place), run, "result", _MEMORY_MIB, 2)
        return computation.run(sources, read_aggregation(aggregation)).count


def _bare(folder: Path, format: str, paths: list[Path], method: str) -> int:
    rows = " UNION ALL ".join(f"SELECT * FROM read_{format}('{path}')" for path in paths)
    target, query = folder / "bare.parquet", f"SELECT * FROM ({rows})"
    if method == "statistical":
        target = folder / "bare.json"
        query = (
            "SELECT region, count(*), count(amount), sum(amount), avg(amount), min(amount),"
            " max(amount), stddev_samp(amount), quantile_cont(amount, [0.25, 0.5, 0.75])"
            f" FROM ({rows}) GROUP BY region"
        )
    with duckdb.connect(":memory:", config={"threads": 2}) as connection:
        row = connection.execute(f"COPY ({query}) TO '{target}'").fetchone()
    return int(row[0]) if row else 0


def large_aggregation() -> str:
    """Return what ten million rows took, in words; each method in a process of its own.

    Raises:
        RuntimeError: It failed, or took more memory than was promised.
    """
    told = []
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as name:
        write_sources(Path(name), _LARGE_ROWS)
        for method in _METHODS:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.aggregating", name, method],
                check=False, capture_output=True, text=True, timeout=600,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"{method} of {_LARGE_ROWS} rows: {done.stderr}")
            rows, took_s, peak_mib = map(float, done.stdout.split())
            if peak_mib > _LIMIT_MIB:
                raise RuntimeError(f"{method} of {_LARGE_ROWS} rows took {peak_mib:g} MiB")
            told.append(f"{method} {took_s:.1f} s, {rows:,.0f} rows, at most {peak_mib:,.0f} MiB")
    return f"Of {_LARGE_ROWS:,} rows in all: {'; '.join(told)}."


def _rows(sources: list[SourceRows]) -> Iterator[tuple[int, dict[str, Any]]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    for place, source in enumerate(sources):
        assert source.dataset is not None
        with open(source.dataset.path, "rb") as file:
            for line in file:
                yield place, decoder.decode(line)


def _write(folder: Path, rows: list[dict[str, Any]]) -> int:
    encoder = msgspec.json.Encoder()
    with (folder / "plain.jsonl").open("wb") as file:
        file.writelines(encoder.encode(row) + b"\n" for row in rows)
    return len(rows)


def _union(folder: Path, sources: list[SourceRows]) -> int:
    found: dict[int, dict[str, Any]] = {}
    for _, row in _rows(sources):
        found.setdefault(row["id"], row)
    return _write(folder, list(found.values()))


def _intersect(folder: Path, sources: list[SourceRows]) -> int:
    keys: list[dict[int, dict[str, Any]]] = [{} for _ in sources]
    for place, row in _rows(sources):
        keys[place].setdefault(row["id"], row)
    return _write(folder, [row for key, row in keys[0].items() if key in keys[1]])


def _statistical(folder: Path, sources: list[SourceRows]) -> int:
    groups: dict[str, list[float]] = defaultdict(list)
    for _, row in _rows(sources):
        groups[row["region"]].append(row["amount"])
    made = [
        {
            "region": region, "count": len(numbers), "sum": sum(numbers),
            "mean": statistics.fmean(numbers), "min": min(numbers), "max": max(numbers),
            "deviation": statistics.stdev(numbers),
            "quantiles": statistics.quantiles(numbers, n=4, method="inclusive"),
        }
        for region, numbers in groups.items()
    ]  # fmt: skip
    return _write(folder, made)


def _main() -> None:
    folder, method = Path(sys.argv[1]), sys.argv[2]
    sources = []
    for path in sorted(folder.glob("source-*.jsonl")):
        size = path.stat().st_size
        dataset = Dataset(
            path=str(path), format="jsonl", rows=_LARGE_ROWS // _SOURCES, size_bytes=size, sha256=""
        )
        sources.append(SourceRows(name=path.stem, dataset=dataset))
    started = time.perf_counter()
    count = aggregate(folder, sources, method)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(count, time.perf_counter() - started, peak_mib)


if __name__ == "__main__":
    _main()
