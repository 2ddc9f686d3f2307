"""How processes share limits, rates and circuit breakers; every journal uses it.

A journal keeps the rows, and lets one process at a time change those of a limit. The functions
here decide what the rows become.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from qtforge_sdk._journal_limits import BreakerTrial, Drawn, Holding
from qtforge_sdk.journal_kit.encoding import from_us

__all__ = ["NEW_RATE", "BreakerRow", "Claim", "RateRow", "allot", "draw", "moment", "try_breaker"]

BREAKER_AGE_S: Final = 86_400.0
"""How long after its trial time an open breaker is kept that nobody has tried, in seconds."""

_CLOSE_ENOUGH_S: Final = 1e-6  # sums of floating-point seconds are not exact
_SHARED_S: Final = 10.0  # for which each token is drawn after two processes have
_ASK_AGAIN_S: Final = 0.25  # while another process alone has the bucket, and is to return it


class Claim(NamedTuple):
    """The row of a process that holds or wants places of a limit.

    Attributes:
        owner: The process.
        held: How many places it holds.
        wanted: How many it can use.
        since_s: Since when it holds some, or has waited for the first one, on the journal's clock.
    """

    owner: str
    held: int
    wanted: int
    since_s: float


def allot(
    places: int,
    using: int,
    wanted: int,
    mine: Claim,
    others: Sequence[Claim],
    now_s: float,
) -> tuple[Claim, Holding]:
    """Return how many places of a limit a process holds from now on.

    Where another process is short, nobody holds more than it can use, and each gets the same
    number of places at least, or as many as it can use. Where there are fewer places than
    processes, those that have waited longest get them. Where nobody else is short, a process
    that needs more gets twice as many as before, so that it asks rarely.

    Args:
        places: The limit.
        using: How many places the process uses at this moment: it keeps them.
        wanted: How many it can use.
        mine: The row that it has; of a new one ``held`` is 0, and ``since_s`` the time.
        others: The rows of the other live processes.
        now_s: The time, on the journal's clock.

    Returns:
        The new row, which need not be stored where it neither holds nor wants a place, and the
        answer.
    """
    wanted = min(max(wanted, using), max(places, using))
    free = max(places - sum(each.held for each in others), 0)
    contended = any(each.wanted > each.held for each in others)
    if contended:
        share = _share(places, mine._replace(wanted=wanted), others)
    else:
        share = wanted if wanted <= mine.held else min(max(wanted, 2 * mine.held), places)
    held = max(min(share, free), using)
    since_s = mine.since_s if (held > 0) == (mine.held > 0) else now_s
    return Claim(mine.owner, held, wanted, since_s), Holding(
        held=held, share=share, contended=contended
    )


def _share(places: int, mine: Claim, others: Sequence[Claim]) -> int:
    """Return to how many places a process is entitled (max-min fairness)."""
    claims = sorted(
        (each for each in (mine, *others) if each.wanted > 0), key=lambda each: each.wanted
    )
    left = places
    for index, claim in enumerate(claims):
        level = left // (len(claims) - index)
        if claim.wanted > level:
            break
        left -= claim.wanted
    else:
        return mine.wanted
    more = [each for each in claims if each.wanted > level]
    rest = left - level * len(more)
    first = sorted(more, key=lambda each: _order(each, level))[:rest]
    return min(mine.wanted, level + any(each.owner == mine.owner for each in first))


def _order(claim: Claim, level: int) -> tuple[bool, bool, float, str]:
    """Sort processes by who gets one of the places that can't be shared out evenly.

    Who has one keeps it, unless others have none at all: then those who have waited longest
    come first, and who has had a place for longest comes last.
    """
    keeps = level > 0 and claim.held > level
    since_s = -claim.since_s if claim.held else claim.since_s
    return (not keeps, claim.held > 0, since_s, claim.owner)


class RateRow(NamedTuple):
    """The bucket of a rate (the generic cell rate algorithm of ITU-T I.371).

    Attributes:
        full_at_s: When the bucket is full again, on the journal's clock.
        owner: The process that alone has the bucket, and counts its tokens; "" for none.
        is_short: Whether another process wanted tokens meanwhile.
        drawn_by: The process that was granted tokens last.
        drawn_at_s: When.
        shared_until_s: Until when nobody gets the bucket alone.
    """

    full_at_s: float
    owner: str
    is_short: bool
    drawn_by: str
    drawn_at_s: float
    shared_until_s: float


NEW_RATE: Final = RateRow(0.0, "", is_short=False, drawn_by="", drawn_at_s=0.0, shared_until_s=0.0)
"""The row of a rate of which nothing was drawn yet: its bucket is full."""


def draw(
    row: RateRow,
    me: str,
    now_s: float,
    lives: Callable[[str], bool],
    wanted: int,
    *,
    count: int,
    period_s: float,
    spare_s: float,
    full_in_s: float | None,
) -> tuple[RateRow, Drawn]:
    """Take tokens of a rate; see `Journal.draw` for the arguments that are not here.

    Args:
        row: The rate's row.
        me: The process that asks.
        now_s: The time, on the journal's clock, which may have been set back.
        lives: Whether a process is alive.
        wanted: How many tokens.
        count: See `Journal.draw`.
        period_s: See `Journal.draw`.
        spare_s: See `Journal.draw`.
        full_in_s: See `Journal.draw`.

    Returns:
        The new row, and the answer.
    """
    empty_s = now_s + period_s  # when a bucket is full that is empty now
    interval_s = period_s / count
    row = row._replace(
        full_at_s=min(row.full_at_s, empty_s),
        drawn_at_s=min(row.drawn_at_s, now_s),
        shared_until_s=min(row.shared_until_s, now_s + _SHARED_S),
    )
    if row.owner not in ("", me) and lives(row.owner):
        if not wanted:
            return row, Drawn(granted=0, retry_after_s=0.0)
        return row._replace(is_short=True), Drawn(granted=0, retry_after_s=_ASK_AGAIN_S)
    if row.owner:
        # It returns the bucket; or it has died or forgotten, and may have emptied it.
        full_in_s = period_s if full_in_s is None or row.owner != me else full_in_s
        row = row._replace(
            full_at_s=now_s + min(max(full_in_s, 0.0), period_s),
            owner="",
            is_short=False,
            shared_until_s=now_s + _SHARED_S if row.is_short else row.shared_until_s,
        )
    if not wanted:
        return row, Drawn(granted=0, retry_after_s=0.0)
    if row.drawn_by not in ("", me) and now_s - row.drawn_at_s < _SHARED_S:
        row = row._replace(shared_until_s=now_s + _SHARED_S)
    row = row._replace(drawn_by=me, drawn_at_s=now_s)
    if now_s >= row.shared_until_s:
        answer = Drawn(granted=0, retry_after_s=0.0, full_in_s=max(row.full_at_s - now_s, 0.0))
        return row._replace(owner=me), answer
    slack_s = max(period_s - interval_s - spare_s, 0.0)
    base_s = max(row.full_at_s, now_s)
    late_s = now_s + slack_s + _CLOSE_ENOUGH_S - base_s
    granted = min(wanted, math.floor(late_s / interval_s) + 1) if late_s >= 0 else 0
    if not granted:
        return row, Drawn(granted=0, retry_after_s=max(base_s - slack_s - now_s, 0.0))
    row = row._replace(full_at_s=base_s + granted * interval_s)
    return row, Drawn(granted=granted, retry_after_s=0.0)


class BreakerRow(NamedTuple):
    """A circuit breaker that is not closed.

    Attributes:
        until_s: When a trial call may be made, on the journal's clock.
        open_for_s: How long it was opened for.
        reason: Why.
        trial: The process that makes the trial calls; "" for none.
    """

    until_s: float
    open_for_s: float
    reason: str
    trial: str

    @property
    def until(self) -> datetime.datetime:
        """`until_s` as `OpenBreaker.until`."""
        return moment(self.until_s)


def moment(seconds: float) -> datetime.datetime:
    """Return a time that a journal keeps as seconds since 1970."""
    return from_us(round(seconds * 1e6))


def try_breaker(
    row: BreakerRow | None, me: str, now_s: float, lives: Callable[[str], bool], *, give_up: bool
) -> tuple[BreakerRow | None, BreakerTrial]:
    """Decide who makes the trial calls of a breaker; see `Journal.try_breaker`.

    Args:
        row: The breaker's row; None where it is closed.
        me: The process that asks.
        now_s: The time, on the journal's clock, which may have been set back.
        lives: Whether a process is alive.
        give_up: See `Journal.try_breaker`.

    Returns:
        The new row, and the answer.
    """
    if row is None:
        return None, BreakerTrial(granted=False, is_closed=True)
    left_s = min(row.until_s - now_s, row.open_for_s)
    if give_up:
        kept = row._replace(trial="") if row.trial == me else row
        return kept, BreakerTrial(granted=False, left_s=max(left_s, 0.0))
    if left_s > 0:
        return row, BreakerTrial(granted=False, left_s=left_s)
    if row.trial not in ("", me) and lives(row.trial):
        return row, BreakerTrial(granted=False)
    return row._replace(trial=me), BreakerTrial(granted=True)
