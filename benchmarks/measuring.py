"""Times candidates against each other: warm-up, interleaved rounds, medians, ratios.

Each round times every candidate once, and a ratio is taken within a round, so that a
machine that grows slower or faster meanwhile changes the figures and not the ratios.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

__all__ = ["Candidate", "Figure", "Goal", "figures", "measure"]

_ROUND_S = 0.04
_FIRST_CALLS = 8
_MOST_CALLS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What was promised; one of these.

    Attributes:
        per_s: At least so many calls in a second.
        ratio: At most so many times the reference's time.
        least_ratio: At least so many times the reference's time; a peer is to be that much slower.
        time_s: At most so many seconds.
    """

    per_s: float | None = None
    ratio: float | None = None
    least_ratio: float | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to time.

    Attributes:
        name: For the table.
        call: Does it so many times, and returns when all of it is done.
        goal: What was promised, or None.
        batch: It is called for a multiple of this.
    """

    name: str
    call: Callable[[int], Awaitable[None]]
    goal: Goal | None = None
    batch: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What came out for one candidate.

    Attributes:
        group: The candidates that were timed with it.
        name: The candidate's.
        time_s: Median time of one call, in seconds.
        ratio: Median, over the rounds, of its time over that of the group's first.
        goal: What was promised, or None.
    """

    group: str
    name: str
    time_s: float
    ratio: float
    goal: Goal | None

    @property
    def per_s(self) -> float:
        """Calls in a second."""
        return 1 / self.time_s

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        if self.goal.per_s is not None and self.per_s < self.goal.per_s:
            return False
        if self.goal.least_ratio is not None and self.ratio < self.goal.least_ratio:
            return False
        if self.goal.time_s is not None and self.time_s > self.goal.time_s:
            return False
        return self.goal.ratio is None or self.ratio <= self.goal.ratio


async def measure(
    group: str, candidates: Sequence[Candidate], rounds: int, round_s: float = _ROUND_S
) -> list[Figure]:
    """Time candidates.

    Args:
        group: What the candidates have in common; the first of them is the reference.
        candidates: At least one.
        rounds: How often each is timed, after its warm-up.
        round_s: About how long each is timed in a round.
    """
    calls = [await _warm_up(candidate, round_s) for candidate in candidates]
    times: list[list[float]] = [[] for _ in candidates]
    for _ in range(rounds):
        for candidate, count, found in zip(candidates, calls, times, strict=True):
            found.append(await _time(candidate, count) / count)
    named = [(candidate.name, candidate.goal) for candidate in candidates]
    return figures(group, named, times)


def figures(
    group: str, named: Sequence[tuple[str, Goal | None]], times: Sequence[Sequence[float]]
) -> list[Figure]:
    """Return medians.

    Args:
        group: The group's name.
        named: Name and goal of each candidate.
        times: Of each candidate, one call's time in each round, in seconds.
    """
    return [
        Figure(
            group=group,
            name=name,
            time_s=statistics.median(found),
            ratio=statistics.median(
                own / reference for own, reference in zip(found, times[0], strict=True)
            ),
            goal=goal,
        )
        for (name, goal), found in zip(named, times, strict=True)
    ]


async def _warm_up(candidate: Candidate, round_s: float) -> int:
    """Call it until caches are warm; return how many calls fill a round."""
    batch = candidate.batch
    calls = -(-_FIRST_CALLS // batch) * batch
    while True:
        took_s = await _time(candidate, calls)
        if took_s >= round_s / 2 or calls >= _MOST_CALLS:
            return max(1, round(calls * round_s / took_s / batch)) * batch
        calls *= 2


async def _time(candidate: Candidate, calls: int) -> float:
    gc.collect()  # nobody pays for another's garbage
    started = time.perf_counter()
    await candidate.call(calls)
    return time.perf_counter() - started
