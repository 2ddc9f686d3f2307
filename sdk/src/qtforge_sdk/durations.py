"""Lengths of time: the one way to give them, in Python and in TOML alike.

A `Duration` is a number of seconds, a `datetime.timedelta`, or text such as ``1h30m``. Text is a
sequence of numbers with units, largest first by custom: ``ns``, ``us``, ``ms``, ``s``, ``m``,
``h``, ``d`` (24 hours), ``w`` (7 days), ``mm`` (30 days) and ``y`` (365 days). This is Go's
notation, with units above the hour added.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

__all__ = [
    "LONGEST_S",
    "UNITS",
    "Duration",
    "DurationError",
    "check_duration",
    "duration_text",
    "seconds",
    "signed_seconds",
    "wait_seconds",
]

if TYPE_CHECKING:
    Duration = float | datetime.timedelta | str
    """Seconds, a `datetime.timedelta`, or text such as ``30s``, ``500ms`` or ``1h30m``."""
else:
    # msgspec reads the fields of definitions and settings by this annotation. In a TOML table a
    # length of time is a number or text, and msgspec takes no union of text and timedelta.
    Duration = float | str

LONGEST_S: Final = 100.0 * 365 * 24 * 3600
"""The longest duration, 100 years in seconds; a date so far ahead can still be computed."""

_UNITS_S: Final[Mapping[str, float]] = MappingProxyType(
    {
        "ns": 1e-9,
        "us": 1e-6,
        "µs": 1e-6,  # the micro sign
        "μs": 1e-6,  # the Greek letter mu
        "ms": 1e-3,
        "s": 1.0,
        "m": 60.0,
        "h": 3600.0,
        "d": 86_400.0,
        "w": 7 * 86_400.0,
        "mm": 30 * 86_400.0,
        "y": 365 * 86_400.0,
    }
)
UNITS: Final = tuple(_UNITS_S)
"""The units of a length of time, such as ``h``."""

# At most 15 digits before the point and 9 after it: more can't be meant, and takes time to read.
_PART: Final = r"(\d{1,15}(?:\.\d{0,9})?|\.\d{1,9})(ns|us|µs|μs|ms|mm|s|m|h|d|w|y)"
_PARTS: Final = re.compile(_PART, re.ASCII)
_WHOLE: Final = re.compile(rf"[+-]?(?:{_PART}){{1,12}}", re.ASCII)
_ZEROS: Final = frozenset({"0", "+0", "-0"})  # the only texts without a unit
_ACCEPTED: Final = "write it as seconds, or as text such as 30s or 1h30m"
_SHOWN: Final = 80  # characters of a bad value that an error repeats


class DurationError(ValueError):
    """A value is not a duration, or not one that is accepted.

    Args:
        why: What is wrong; it names the value.
        fix: What is accepted.
    """

    def __init__(self, why: str, fix: str = _ACCEPTED, /) -> None:
        super().__init__(why, fix)
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.why}: {self.fix}"


def seconds(duration: Duration) -> float:
    """Return a duration in seconds, above zero.

    Args:
        duration: Seconds, a `datetime.timedelta`, or text.

    Raises:
        DurationError: It is not a duration, not above zero, or longer than 100 years.

    >>> seconds("1m30s"), seconds("500ms"), seconds(2), seconds(datetime.timedelta(hours=1))
    (90.0, 0.5, 2.0, 3600.0)
    >>> try:
    ...     seconds("30 sec")
    ... except DurationError as error:
    ...     print(error.why)
    '30 sec' is not a duration
    """
    found = signed_seconds(duration)
    if found <= 0:
        raise DurationError(f"{_shown(duration)} is not above zero")
    return found


def wait_seconds(duration: Duration) -> float:
    """Return how long to wait, in seconds; zero where the duration is zero or negative.

    For waits and timeouts that are computed, such as ``due - run.now()``: one that is past is
    over at once.

    Raises:
        DurationError: It is not a duration, or longer than 100 years.

    >>> wait_seconds(datetime.timedelta(seconds=-3)), wait_seconds(0), wait_seconds("2s")
    (0.0, 0.0, 2.0)
    """
    return max(0.0, signed_seconds(duration))


def check_duration(
    owner: object, name: str, *, least_s: float = 0.0, most_s: float = LONGEST_S
) -> None:
    """Check a field that is a duration, in the ``__post_init__`` of a configuration.

    Args:
        owner: The configuration.
        name: The field's name.
        least_s: The shortest length, in seconds.
        most_s: The longest length, in seconds.

    Raises:
        DurationError: The field is not a duration within these bounds.

    >>> class Config:
    ...     def __init__(self, timeout: Duration) -> None:
    ...         self.timeout = timeout
    >>> try:
    ...     check_duration(Config("2m"), "timeout", most_s=60)
    ... except DurationError as error:
    ...     print(error)
    timeout: '2m' is not within 0s and 60s: write a length within these bounds
    """
    duration: Duration = getattr(owner, name)
    try:
        found = signed_seconds(duration)
    except DurationError as error:
        raise DurationError(f"{name}: {error.why}", error.fix) from error
    if not least_s <= found <= most_s:
        raise DurationError(
            f"{name}: {_shown(duration)} is not within {duration_text(least_s)} and"
            f" {duration_text(most_s)}",
            "write a length within these bounds",
        )


def duration_text(duration: Duration) -> str:
    """Return a duration for people: text as it was given, anything else in seconds.

    >>> duration_text("1m"), duration_text(90), duration_text(datetime.timedelta(minutes=1))
    ('1m', '90s', '60s')
    """
    if isinstance(duration, str):
        return duration
    return f"{signed_seconds(duration):.9f}".rstrip("0").rstrip(".") + "s"


def signed_seconds(duration: Duration) -> float:
    """Return a duration in seconds, which may be zero or negative.

    Raises:
        DurationError: It is not a duration, or longer than 100 years.
    """
    found: float
    if isinstance(duration, str):
        found = _from_text(duration.strip())
    elif isinstance(duration, datetime.timedelta):
        found = duration.total_seconds()
    elif isinstance(duration, int | float) and not isinstance(duration, bool):
        found = duration
    else:
        raise DurationError(f"{_shown(duration)} is not a duration")
    if found != found:
        raise DurationError(f"{found} is not a duration")
    if found > LONGEST_S:
        raise DurationError(f"{_shown(duration)} is longer than 100 years", "write a shorter one")
    return float(max(found, -LONGEST_S))


@functools.lru_cache(maxsize=256)  # every step reads the few texts of its definition again
def _from_text(written: str) -> float:
    if written not in _ZEROS and _WHOLE.fullmatch(written) is None:
        raise DurationError(f"{_shown(written)} is not a duration")
    length = sum(float(number) * _UNITS_S[unit] for number, unit in _PARTS.findall(written))
    return -length if written[0] == "-" else length


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
