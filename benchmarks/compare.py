"""``python -m benchmarks.compare BASE``: is this commit slower than that one?

Both commits are installed side by side, and every candidate is timed on one right after the other,
round by round. The ratio is taken within a round, so that a machine that grows slower or faster
meanwhile changes neither ratio nor spread much.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.compare_sides import Side, UnknownCommitError, make_side, resolve_commit
from benchmarks.documents import make_documents
from benchmarks.machine import describe

__all__ = ["Comparison", "compare"]

_GROUPS: Mapping[str, Sequence[str]] = {
    "bus": ("requests", "publishing"),
    "runs": ("runs", "parallel"),
    "machines": ("machines", "instances"),
    "routing": ("routing",),
    "startup": (),
    "documents": (),
    "aggregation": ("aggregation",),
}
_ROUNDS = 15
_FEW = frozenset({"parallel", "aggregation"})  # a round takes long: a third of the rounds
_TOLERANCE = 0.05
_ANSWER_S = 120.0
_PROCESS_S = 120.0
_SMALL_DOCUMENTS = 180
_WORKFLOW = """\
name = "compare"
kind = "sequential"

[[stages]]
name = "echo"
operation = "compare.echo"
message = { number = 1 }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One row: what a candidate takes on the one commit and on the other.

    Attributes:
        group: The candidates that were timed with it.
        name: The candidate's.
        base_s: Median time of one call on the base commit, in seconds.
        head_s: The same on the head commit.
        ratios: For each round, head's time over base's.
        fastest: Head's fastest round over base's fastest: other work on the machine only ever
            slows a round down, so these are the two that it disturbed least.
    """

    group: str
    name: str
    base_s: float
    head_s: float
    ratios: Sequence[float]
    fastest: float

    @property
    def ratio(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The 10th and the 90th percentile of the rounds."""
        if len(self.ratios) == 1:
            return self.ratios[0], self.ratios[0]
        tenths = statistics.quantiles(self.ratios, n=10, method="inclusive")
        return tenths[0], tenths[-1]

    @property
    def verdict(self) -> str:
        """``worse`` or ``better`` by more than 5 % beyond the spread; ``unclear``; or ``same``."""
        low, high = self.spread
        if low > 1 + _TOLERANCE and self.fastest > 1 + _TOLERANCE:
            return "worse"
        if high < 1 - _TOLERANCE and self.fastest < 1 - _TOLERANCE:
            return "better"
        return "unclear" if self.ratio > 1 + _TOLERANCE else "same"


def compare(group: str, name: str, base: Sequence[float], head: Sequence[float]) -> Comparison:
    """Return a row.

    Args:
        group: The group's name.
        name: The candidate's name.
        base: One call's time on the base commit in each round, in seconds.
        head: The same on the head commit.
    """
    return Comparison(
        group=group,
        name=name,
        base_s=statistics.median(base),
        head_s=statistics.median(head),
        ratios=[own / other for own, other in zip(head, base, strict=True)],
        fastest=min(head) / min(base),
    )


class SuiteError(RuntimeError):
    """A commit's benchmark failed, or does not measure what the other commit's does."""


class _Worker:
    """A process that times one suite of one commit."""

    def __init__(self, side: Side, suite: str, process: asyncio.subprocess.Process, log: Path):
        self._side = side
        self._suite = suite
        self._process = process
        self._log = log

    async def read(self) -> dict[str, Any]:
        """Return what it says next.

        Raises:
            SuiteError: It ended, or says nothing for too long.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_ANSWER_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise self._error(f"no answer within {_ANSWER_S:g} s") from None
        if not line:
            raise self._error("it ended early")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def ask(self, document: Mapping[str, Any]) -> None:
        """Send a request."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document).encode() + b"\n")
        await self._process.stdin.drain()

    def _error(self, what: str) -> SuiteError:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        return SuiteError(
            "\n".join([f"{self._suite} on {self._side.name} ({self._side.commit[:9]}): {what}",
                       *lines])
        )  # fmt: skip


@contextlib.asynccontextmanager
async def _worker(side: Side, suite: str) -> AsyncIterator[_Worker]:
    log = side.checkout.parent / f"{suite}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            # -P: the script's folder holds modules such as requests.py, which are not for import.
            str(side.python), "-P", str(Path(__file__).with_name("compare_worker.py")), suite,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
            cwd=side.checkout, env={**side.environment, "PYTHONPATH": str(side.checkout)},
        )  # fmt: skip
    try:
        yield _Worker(side, suite, process, log)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def _compare_suite(sides: tuple[Side, Side], suite: str, rounds: int) -> list[Comparison]:
    """Let both commits do one suite, a candidate of one right after that of the other."""
    found: list[Comparison] = []
    async with _worker(sides[0], suite) as base, _worker(sides[1], suite) as head:
        workers = (base, head)
        while True:
            first, second = [await worker.read() for worker in workers]
            if first.get("done") or second.get("done"):
                if first.get("done") and second.get("done"):
                    return found
                raise SuiteError(f"{suite}: one commit has a group that the other lacks")
            # A group keeps its place when its words change.
            if len(first["names"]) != len(second["names"]):
                raise SuiteError(
                    f"{suite}: {first['names']} on base, and {second['names']} on head"
                )
            calls = [max(pair) for pair in zip(first["calls"], second["calls"], strict=True)]
            times: list[tuple[list[float], list[float]]] = [([], []) for _ in calls]
            for number in range(rounds):
                for candidate, count in enumerate(calls):
                    for place in _order(number):
                        await workers[place].ask({"time": candidate, "calls": count})
                        answer = await workers[place].read()
                        times[candidate][place].append(answer["time_s"])
            for name, (of_base, of_head) in zip(second["names"], times, strict=True):
                found.append(compare(second["group"], name, of_base, of_head))
            for worker in workers:
                await worker.ask({"next": True})


def _order(number: int) -> tuple[int, int]:
    """Return who is first in a round: each of the two in turn."""
    return (0, 1) if number % 2 == 0 else (1, 0)


def _compare_processes(
    sides: tuple[Side, Side], group: str, commands: Mapping[str, Sequence[str]], rounds: int
) -> list[Comparison]:
    """Time whole processes of ``qtforge-host``, after one of each that is not counted."""
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in commands}
    for number in range(rounds + 1):
        for name, words in commands.items():
            for place in _order(number):
                took_s = _time_process(sides[place], words)
                if number:
                    times[name][place].append(took_s)
    return [compare(group, name, *pair) for name, pair in times.items()]


def _time_process(side: Side, words: Sequence[str]) -> float:
    state = side.checkout.parent / "state"
    command = [str(side.python), str(side.script), "--state-dir", str(state), *words]
    environment = {**side.environment, "PYTHONPATH": str(side.plugins)}
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=side.checkout, env=environment, capture_output=True, text=True,
        timeout=_PROCESS_S, check=False,
    )  # fmt: skip
    took_s = time.perf_counter() - started
    if done.returncode != 0:
        raise SuiteError(f"{' '.join(words)} on {side.name}: {done.stdout[-2000:]}{done.stderr}")
    return took_s


def _commands(group: str, sides: tuple[Side, Side]) -> Mapping[str, Sequence[str]]:
    if group == "startup":
        for side in sides:
            (side.checkout / "compare.toml").write_text(_WORKFLOW, encoding="utf-8")
        return {
            "`--help`": ("--help",),
            "`plugins list`, 50 installed plugins": ("plugins", "list"),
            "`run` of one trivial stage": ("run", "compare.toml"),
        }
    # The same documents for both: the samples of head, and others that are made here.
    samples = sorted((sides[1].checkout / "examples" / "documents").iterdir())
    folder = sides[1].checkout.parent / "documents"
    folder.mkdir()
    small = make_documents(folder, _SMALL_DOCUMENTS)
    return {
        f"`run document-processing`, {title}": [
            "run", "document-processing", *map(str, paths), "--jobs", "2"
        ]
        for title, paths in (
            (f"one small file ({samples[0].name})", samples[:1]),
            (f"the {len(samples)} samples", samples),
            (f"{len(small)} small PDFs and Markdown files", small),
        )
    }  # fmt: skip


def _measure(sides: tuple[Side, Side], group: str, rounds: int) -> Iterator[Comparison]:
    if not _GROUPS[group]:
        few = rounds if group == "startup" else max(1, rounds // 3)
        title = "one process, from start to end"
        yield from _compare_processes(sides, title, _commands(group, sides), few)
    for suite in _GROUPS[group]:
        few = max(1, rounds // 3) if suite in _FEW else rounds
        yield from asyncio.run(_compare_suite(sides, suite, few))


def _as_text(found: Sequence[Comparison]) -> str:
    width = max((len(each.name) for each in found), default=0)
    lines = []
    group = ""
    for each in found:
        if each.group != group:
            group = each.group
            lines += ["", group]
        low, high = each.spread
        verdict = "" if each.verdict == "same" else each.verdict
        lines.append(
            f"  {each.name.ljust(width)}  {_time(each.base_s):>10}  {_time(each.head_s):>10}"
            f"  {each.ratio:5.2f}  {f'{low:.2f}-{high:.2f}':<11}  {each.fastest:7.2f}"
            f"  {verdict}".rstrip()
        )
    header = f"  {''.ljust(width)}  {'base':>10}  {'head':>10}  ratio  {'10-90 %':<11}  fastest"
    return "\n".join([header, *lines])


def _time(time_s: float) -> str:
    return f"{time_s * 1e6:.2f} µs" if time_s < 1e-3 else f"{time_s * 1e3:.1f} ms"


def _as_document(sides: tuple[Side, Side], found: Sequence[Comparison]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "machine": dict(describe()),
        "base": sides[0].commit,
        "head": sides[1].commit,
        "comparisons": [
            {
                "group": each.group,
                "name": each.name,
                "base_s": each.base_s,
                "head_s": each.head_s,
                "ratio": each.ratio,
                "spread": list(each.spread),
                "fastest": each.fastest,
                "rounds": len(each.ratios),
                "verdict": each.verdict,
            }
            for each in found
        ],
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="Time two commits against each other. A row is worse, and the exit code 1, "
        "when nine of ten rounds, and the fastest round, are more than 5 % slower on head.",
    )
    parser.add_argument("base", metavar="BASE", help="the commit to compare with")
    parser.add_argument("--head", default="HEAD", help="the other commit (default: %(default)s)")
    parser.add_argument(
        "--only", action="append", choices=list(_GROUPS), metavar="GROUP",
        help=f"measure this group alone, may be given again: {', '.join(_GROUPS)}",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def main() -> None:
    """Compare, print, and write what is asked for."""
    options = _parse()
    repository = Path(__file__).resolve().parent.parent
    try:
        commits = [resolve_commit(repository, each) for each in (options.base, options.head)]
    except UnknownCommitError as error:
        raise SystemExit(f"error: {error}; name a commit, a tag or a branch") from None
    found: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="qtforge-compare-") as name:
        print("installing both commits ...", file=sys.stderr)
        try:
            base, head = (
                make_side(repository, Path(name) / title, title, commit)
                for title, commit in zip(("base", "head"), commits, strict=True)
            )
            for group in options.only or _GROUPS:
                print(f"measuring {group} ...", file=sys.stderr)
                found += _measure((base, head), group, options.rounds)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"error: {error}\n{error.stderr}") from None
        except SuiteError as error:
            raise SystemExit(f"error: {error}") from None
        document = _as_document((base, head), found)
    print(f"base {base.commit[:9]}, head {head.commit[:9]}\n{_as_text(found)}")
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    worse = [each.name for each in found if each.verdict == "worse"]
    if worse:
        raise SystemExit(f"{len(worse)} of {len(found)} are worse: {', '.join(worse)}")


if __name__ == "__main__":
    main()
