"""A run's steps over time, in percent of the width: attributes of SVG need no style."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from qtforge_host.serving.web.steps import Step
from qtforge_host.serving.web.words import length_text

__all__ = ["Bar", "Gantt", "Row", "Tick", "gantt"]

_LEAST_WIDTH: Final = 0.9  # percent: a bar of a millisecond can still be clicked
_MOST_TICKS: Final = 5
_IDLE_SHARE: Final = 0.6  # of the whole time; more than that is cut out
_LONG_GAP: Final = 0.12  # of the whole time; a shorter one stays as it is
_CUT_WIDTH: Final = 5.0  # percent of each gap that was cut
_FOLDED: Final = 10  # items of a group that are shown one by one
_TICKS_S: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600,
    1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000, 31536000,
)  # fmt: skip
_MANY: Final = 200  # rows of a page


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt.

    Attributes:
        x: Where it begins, in percent.
        width: In percent.
        status: As of an `Attempt`.
        text: What it was, for who points at it.
        moves: Whether it is in progress.
    """

    x: float
    width: float
    status: str
    text: str
    moves: bool


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A step, or a group of items.

    Attributes:
        step: The step; of a group its first item.
        name: Its name.
        count: The number of items of a group; 0 for a step.
        status: Its status.
        bars: The attempts; of a group one bar.
        waits: From where to where it waited for the next attempt, in percent.
        took_s: How long it took.
        is_item: Whether it belongs to the group above.
    """

    step: Step
    name: str
    count: int
    status: str
    bars: Sequence[Bar]
    waits: Sequence[tuple[float, float]]
    took_s: float
    is_item: bool


class Tick(msgspec.Struct, frozen=True):
    """A line of the axis: where, in percent, and its text."""

    x: float
    text: str


class Gantt(msgspec.Struct, frozen=True, kw_only=True):
    """The whole picture.

    Attributes:
        rows: Its rows.
        ticks: The axis.
        cuts: Where idle time was cut out: from, to (in percent), and how long it was.
        more: The number of rows that are left out.
    """

    rows: Sequence[Row]
    ticks: Sequence[Tick]
    cuts: Sequence[tuple[float, float, str]]
    more: int


def gantt(
    steps: Sequence[Step], start: datetime.datetime, end: datetime.datetime, *, skip: int = 0
) -> Gantt:
    """Return the picture of steps.

    Args:
        steps: What the run did, in order.
        start: When the run began.
        end: When it ended, or now.
        skip: The number of rows that earlier pages have.
    """
    scale = _Scale(_busy(steps, start, end), (end - start).total_seconds())
    every = list(_rows(steps, start, end, scale))
    rows = every[skip : skip + _MANY]
    return Gantt(
        rows=rows, ticks=scale.ticks(), cuts=scale.cuts, more=max(0, len(every) - skip - len(rows))
    )


def _rows(
    steps: Sequence[Step], start: datetime.datetime, end: datetime.datetime, scale: _Scale
) -> Iterable[Row]:
    groups: dict[str, list[Step]] = {}
    for step in steps:
        if step.group:
            groups.setdefault(step.group, []).append(step)
    done: set[str] = set()
    for step in steps:
        name = step.group or (step.name if step.kind == "step" else "")
        if name not in groups:
            yield _row(step, start, end, scale, is_item=False)
        elif name not in done:
            done.add(name)
            items = groups[name]
            yield _group(name, items, start, end, scale)
            if len(items) <= _FOLDED:
                for each in items:
                    yield _row(each, start, end, scale, is_item=True)


def _row(
    step: Step, start: datetime.datetime, end: datetime.datetime, scale: _Scale, *, is_item: bool
) -> Row:
    bars: list[Bar] = []
    waits: list[tuple[float, float]] = []
    for number, each in enumerate(step.attempts, 1):
        begun, ended = _seconds(each.start, start), _seconds(each.end or end, start)
        x, width = scale.bar(begun, ended)
        if bars:
            waits.append((round(bars[-1].x + bars[-1].width, 2), x))
        words = [f"attempt {number}" if len(step.attempts) > 1 else "", each.status]
        text = f"{step.name}: {' '.join(filter(None, words))}, {length_text(ended - begun)}"
        text += f": {each.error.message}" if each.error is not None else ""
        bars.append(
            Bar(x=x, width=width, status=each.status, text=text[:300], moves=each.end is None)
        )
    name = f"undo {step.name}" if step.kind == "undo" else step.name
    return Row(
        step=step, name=name, count=0, status=step.status, bars=bars, waits=waits,
        took_s=step.took_s(end), is_item=is_item,
    )  # fmt: skip


def _group(
    name: str,
    items: Sequence[Step],
    start: datetime.datetime,
    end: datetime.datetime,
    scale: _Scale,
) -> Row:
    tries = [each for item in items for each in item.attempts]
    first = min((each.start for each in tries), default=start)
    moves = any(each.end is None for each in tries)
    last = end if moves else max((each.end or end for each in tries), default=start)
    statuses = {item.status for item in items}
    order = ("running", "failed", "retried", "warning", "succeeded")
    status = next((each for each in order if each in statuses), "skipped")
    x, width = scale.bar(_seconds(first, start), _seconds(last, start))
    bar = Bar(x=x, width=width, status=status, text=f"{name}: {len(items)} items", moves=moves)
    return Row(
        step=items[0], name=name, count=len(items), status=status, bars=[bar], waits=(),
        took_s=(last - first).total_seconds(), is_item=False,
    )  # fmt: skip


def _seconds(at: datetime.datetime, start: datetime.datetime) -> float:
    return max(0.0, (at - start).total_seconds())


def _busy(
    steps: Sequence[Step], start: datetime.datetime, end: datetime.datetime
) -> list[tuple[float, float]]:
    """Return the spans in which something was in progress, in seconds, joined and in order."""
    spans = sorted(
        (_seconds(each.start, start), _seconds(each.end or end, start))
        for step in steps
        if step.kind != "wait"
        for each in step.attempts
    )
    joined: list[tuple[float, float]] = []
    for begun, ended in spans:
        if joined and begun <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ended))
        else:
            joined.append((begun, ended))
    return joined


class _Scale:
    """From seconds to percent; long idle times have a small width where they are most of it.

    Args:
        busy: When something was in progress, in seconds.
        total_s: The whole time.

    Attributes:
        cuts: Where time was cut out: from, to (in percent), and how long it was.
    """

    def __init__(self, busy: Sequence[tuple[float, float]], total_s: float) -> None:
        self._total_s = max(total_s, max((ended for _, ended in busy), default=0.0), 0.001)
        gaps = self._long_gaps(busy)
        if sum(ended - begun for begun, ended in gaps) < _IDLE_SHARE * self._total_s:
            gaps = []
        # One piece after another: its start and end in seconds, and its start and end in percent.
        self._pieces: list[tuple[float, float, float, float]] = []
        self.cuts: list[tuple[float, float, str]] = []
        kept_s = self._total_s - sum(ended - begun for begun, ended in gaps)
        factor = (100.0 - _CUT_WIDTH * len(gaps)) / max(kept_s, 1e-9)
        at_s = at = 0.0
        for begun, ended in [*gaps, (self._total_s, self._total_s)]:
            upto = at + (begun - at_s) * factor
            self._pieces.append((at_s, begun, at, upto))
            if ended > begun:
                self._pieces.append((begun, ended, upto, upto + _CUT_WIDTH))
                text = length_text(ended - begun)
                self.cuts.append((round(upto, 2), round(upto + _CUT_WIDTH, 2), text))
                upto += _CUT_WIDTH
            at_s, at = ended, upto

    def bar(self, begun_s: float, ended_s: float) -> tuple[float, float]:
        """Return where a bar begins, and its width, in percent."""
        x = min(self.at(begun_s), 100.0 - _LEAST_WIDTH)
        width = max(self.at(ended_s) - x, _LEAST_WIDTH)
        return round(x, 2), round(min(width, 100.0 - x), 2)

    def at(self, seconds: float) -> float:
        """Return where a time is, in percent."""
        for begun_s, ended_s, begun, ended in self._pieces:
            if seconds <= ended_s:
                share = (seconds - begun_s) / (ended_s - begun_s) if ended_s > begun_s else 0.0
                return begun + max(share, 0.0) * (ended - begun)
        return 100.0

    def ticks(self) -> list[Tick]:
        """Return the lines of the axis; none within what was cut."""
        if self.cuts:
            ends = [(0.0, 0.0), *((ended, begun) for _, begun, _, ended in self._pieces[1::2])]
            return [Tick(round(x, 2), f"+{length_text(at_s)}" if at_s else "0 s")
                    for x, at_s in ends]  # fmt: skip
        step = next(
            (each for each in _TICKS_S if self._total_s / each <= _MOST_TICKS), _TICKS_S[-1]
        )
        count = int(self._total_s / step + 1e-6)
        return [Tick(round(self.at(number * step), 2), length_text(number * step))
                for number in range(min(count, _MOST_TICKS) + 1)]  # fmt: skip

    def _long_gaps(self, busy: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        least_s = _LONG_GAP * self._total_s
        edges = [0.0, *(each for span in busy for each in span), self._total_s]
        gaps = zip(edges[::2], edges[1::2], strict=False)
        return [(begun, ended) for begun, ended in gaps if ended - begun > least_s]
