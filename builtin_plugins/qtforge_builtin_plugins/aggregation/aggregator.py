"""data-aggregator: aggregate the rows of many sources; answers ``rows.aggregate``."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from qtforge_builtin_plugins.aggregation.messages import (
    Aggregated,
    AggregateRequest,
    Aggregation,
    Merge,
    SourceRows,
)
from qtforge_builtin_plugins.aggregation.options import names_of, read_aggregation
from qtforge_sdk import (
    OperationContext,
    OperationError,
    Plugin,
    PluginContext,
    operation,
)

__all__ = ["AggregatorConfig", "DataAggregator"]

_INTERRUPT_S: Final = 0.1


class AggregatorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[plugins.data-aggregator.config]``.

    Attributes:
        memory_mib: The memory limit of one aggregation, in MiB; beyond it uses the disk.
        threads: The threads of one aggregation; by default the processor's, at most 4.
        at_once: The most aggregations at once; others wait.
    """

    memory_mib: int = 768
    threads: int | None = None
    at_once: int = 1

    def __post_init__(self) -> None:
        for name, least in (("memory_mib", 128), ("at_once", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be {least} or more")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}: it must be 1 or more")


class DataAggregator(Plugin):
    """Merges, unites, intersects and computes statistics, on disk if memory does not suffice."""

    workflows = ("data-aggregation.toml",)
    Config = AggregatorConfig
    config: AggregatorConfig

    async def start(self, context: PluginContext) -> None:
        """Keep the context, and limit the number of aggregations at once."""
        self._context = context
        self._turns = asyncio.Semaphore(self.config.at_once)

    @operation("rows.aggregate")
    async def aggregate(self, request: AggregateRequest, context: OperationContext) -> Aggregated:
        """Aggregate the rows of many sources.

        Raises:
            OperationError: ``aggregation.*`` or ``rows.*``; see docs/aggregation.md.
        """
        how = read_aggregation(request.aggregation)
        self._check(request.sources, context)
        counts = {
            each.name: each.dataset.rows if each.dataset else len(each.rows or ())
            for each in request.sources
        }
        if isinstance(how, Merge) and not names_of(how.key):
            found = _by_source(request.sources, counts)
        else:
            async with self._turns:
                found = await self._in_thread(request.sources, how, context)
        warnings = tuple(
            msgspec.structs.replace(warning, source=each.name)
            for each in request.sources
            for warning in each.warnings
        )
        return msgspec.structs.replace(found, sources=counts, warnings=warnings)

    async def _in_thread(
        self, sources: list[SourceRows], how: Aggregation, context: OperationContext
    ) -> Aggregated:
        """Compute in a thread; when the caller is cancelled, interrupt the computation."""
        # Imported here: the library is heavy, and needed for a computation only.
        from qtforge_builtin_plugins.aggregation.computing import Computation

        folder = self._context.run_dir(context.run_id)
        threads = self.config.threads or min(4, os.cpu_count() or 1)
        work: asyncio.Future[Aggregated]
        name = _file_name(context.step or "aggregated")
        with _workplace(folder, name) as place:
            computation = Computation(place, folder, name, self.config.memory_mib, threads)
            work = asyncio.ensure_future(asyncio.to_thread(computation.run, sources, how))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                while not work.done():  # repeated: between statements an interrupt has no effect
                    computation.interrupt()
                    await asyncio.wait([work], timeout=_INTERRUPT_S)
                if not work.cancelled():
                    work.exception()
                raise

    def _check(self, sources: list[SourceRows], context: OperationContext) -> None:
        if not sources:
            what, fix = "there is nothing to aggregate", "name at least one source"
            raise OperationError("aggregation.no_sources", what, "", fix, retryable=False)
        names = [each.name for each in sources]
        for name in names:
            if names.count(name) > 1:
                what = f"there are two sources '{name}'"
                raise OperationError("aggregation.invalid", what, retryable=False)
        for each in sources:
            if each.dataset is not None:
                self._check_dataset(each, context)

    def _check_dataset(self, source: SourceRows, context: OperationContext) -> None:
        assert source.dataset is not None  # noqa: S101 - checked by the caller
        path, runs = Path(source.dataset.path), self._context.runs_dir
        if runs is not None and not path.resolve().is_relative_to(runs.resolve()):
            raise OperationError(
                "rows.dataset_outside",
                f"the rows of '{source.name}' are outside the files of runs",
                str(path),
                "read it with a source of the type file",
                retryable=False,
            )
        size_bytes = path.stat().st_size if path.is_file() else None
        if size_bytes != source.dataset.size_bytes:
            gone = "is missing" if size_bytes is None else "has changed"
            raise OperationError(
                "rows.dataset_missing",
                f"the file with the rows of '{source.name}' {gone}",
                str(path),
                f"read them again: qtforge-host runs retry {context.run_id or 'RUN'}"
                f" --from {source.name}",
                retryable=False,
            )


def _by_source(sources: list[SourceRows], counts: dict[str, int]) -> Aggregated:
    """Return each source's rows under its name; files are not copied."""
    return Aggregated(
        method="merge",
        count=sum(counts.values()),
        by_source={
            each.name: msgspec.structs.replace(each, count=counts[each.name]) for each in sources
        },
        sources=counts,
    )


@contextlib.contextmanager
def _workplace(folder: Path | None, name: str) -> Iterator[Path]:
    """Make an empty folder, and remove it; in the run's folder, which is deleted with the run."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="qtforge-aggregation-") as made:
            yield Path(made)
        return
    place = folder / f".{name}.work"
    shutil.rmtree(place, ignore_errors=True)  # left by a process that was killed
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _file_name(step: str) -> str:
    """Return a unique file name for a step."""
    kept = "".join(each if each.isascii() and each.isalnum() else "_" for each in step)[:80]
    return kept if kept == step else f"{kept}-{hashlib.sha256(step.encode()).hexdigest()[:8]}"
