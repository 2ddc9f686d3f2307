"""The table, as Markdown that is aligned for a terminal too; and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import Figure, Goal

__all__ = ["as_document", "as_markdown", "as_plot", "split_at_markers"]

_BEGIN = "<!-- benchmarks: begin -->"
_END = "<!-- benchmarks: end -->"
_LONG_S = 1e-3  # from here on in milliseconds
_HEADER = ("", "time", "per second", "of the first's time", "goal")


def as_markdown(
    found: Sequence[Figure],
    machine: Mapping[str, str],
    imports: Mapping[str, str],
    notes: Sequence[str] = (),
) -> str:
    """Return the machine's description, one table, what the commands import, and notes."""
    rows: list[Sequence[str]] = []
    group = ""
    for figure in found:
        if figure.group != group:
            group = figure.group
            rows.append((f"**{group}**", "", "", "", ""))
        rows.append(
            (
                figure.name,
                _time(figure.time_s),
                f"{figure.per_s:,.0f}" if figure.time_s < _LONG_S else "",
                f"{figure.ratio:.2f} times",
                _goal(figure),
            )
        )
    described = "\n".join(f"- {key}: {value}" for key, value in machine.items())
    lines = [f"{command} imports {what}." for command, what in imports.items()]
    below = "\n".join(f"- {line}" for line in (*lines, *notes))
    parts = [described, _table([_HEADER, *rows]), below]
    return "\n\n".join(part for part in parts if part)


def as_document(
    found: Sequence[Figure],
    machine: Mapping[str, str],
    imports: Mapping[str, str],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the same as plain values."""
    return {
        "schema_version": 1,
        "machine": dict(machine),
        "figures": [
            {
                "group": figure.group,
                "name": figure.name,
                "time_s": figure.time_s,
                "per_s": figure.per_s,
                "ratio": figure.ratio,
                "goal": None if figure.goal is None else _goal_text(figure.goal),
                "met": figure.met,
            }
            for figure in found
        ],
        "imports": dict(imports),
        "notes": list(notes),
    }


def as_plot(title: str, histories: Sequence[int], found: Sequence[Figure]) -> str:
    """Return a Mermaid diagram: a time over how many runs the journal holds."""
    times = [figure.time_s * 1e6 for figure in found]
    points = ", ".join(f"{each:.1f}" for each in times)
    names = ", ".join(f'"{each:,}"' for each in histories)
    return "\n".join(
        (
            "```mermaid",
            "xychart-beta",
            f'    title "{title}"',
            f'    x-axis "runs in the journal" [{names}]',
            f'    y-axis "µs" 0 --> {2 * max(times):.0f}',
            f"    line [{points}]",
            "```",
        )
    )


def split_at_markers(path: Path) -> tuple[str, str]:
    """Return a file's text up to its first marker and from its second one on.

    Raises:
        OSError: It can't be read.
        ValueError: It has not exactly one of each, in their order.
    """
    before, begin, rest = path.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end or _BEGIN in rest or _END in after:
        raise ValueError(f"{path} must have one line '{_BEGIN}' and below it one '{_END}'")
    return before + begin, end + after


def _time(time_s: float) -> str:
    return f"{time_s * 1e6:.2f} µs" if time_s < _LONG_S else f"{time_s * 1e3:.1f} ms"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{_goal_text(figure.goal)}: {'met' if figure.met else 'missed'}"


def _goal_text(goal: Goal) -> str:
    if goal.per_s is not None:
        return f"at least {goal.per_s:,.0f} per second"
    if goal.least_ratio is not None:
        return f"at least {goal.least_ratio:.3g} times"
    if goal.time_s is not None:
        return f"at most {_time(goal.time_s)}"
    return f"at most {goal.ratio:.3g} times"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:-1]), "-" * widths[-1]]
    return "\n".join([lines[0], f"| {' | '.join(rule)} |", *lines[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers, last = cells
    padded = [
        first.ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True)),
        last.ljust(widths[-1]),
    ]
    return f"| {' | '.join(padded)} |"
