"""Policies: what happens when a step fails, is slow, or is requested too often.

TOML and Python have the same names and defaults: ``retry = { max_attempts = 3 }`` in a
definition is ``Retry(max_attempts=3)`` in code. A length of time is a
`qtforge_sdk.Duration`: seconds, text such as ``30s``, or in Python also a
`datetime.timedelta`, which is kept as seconds.

Every value is checked when a policy is made. A wrong one is a ``ValueError`` in Python, which
names each wrong field and what it accepts; in TOML it is a `msgspec.ValidationError` with the
path of the policy's table.
"""

from __future__ import annotations

import datetime
import math
import re
from typing import Any, Final

import msgspec

from qtforge_sdk.durations import Duration, seconds

__all__ = [
    "NEVER_RETRIED",
    "Breaker",
    "Cache",
    "Fallback",
    "Limits",
    "ParsedRate",
    "Rate",
    "Retry",
    "TopicPolicy",
    "parse_rate",
]

Rate = str
"""How many requests in which time, as text: ``10/s``, ``300/m``, ``1000/h`` or ``5/30s``."""

# Compiled when it is first used, which most commands never do.
_RATE: Final = r"(\d{1,9})\s*/\s*(\S.*)"


class ParsedRate(msgspec.Struct, frozen=True):
    """A rate as numbers.

    Attributes:
        count: How many requests.
        period_s: In how many seconds.
    """

    count: int
    period_s: float


def parse_rate(text: Rate) -> ParsedRate:
    """Return the count and the period of a rate.

    Raises:
        ValueError: It is not a rate; the message names what is accepted.

    >>> parse_rate("300/m"), parse_rate("5/30s")
    (ParsedRate(count=300, period_s=60.0), ParsedRate(count=5, period_s=30.0))
    """
    match = re.fullmatch(_RATE, text.strip(), re.ASCII)
    try:
        if match is None or int(match[1]) == 0:
            raise ValueError
        period = match[2]
        return ParsedRate(int(match[1]), seconds(period if period[0].isdecimal() else f"1{period}"))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a rate: write it as 10/s, 300/m or 5/30s") from error


NEVER_RETRIED: Final = (
    "bus.closed",
    "bus.invalid_message",
    "bus.invalid_topic",
    "bus.no_handler",
    "expression.*",
    "run.cancelled",
    "workflow.*",
)
"""Codes of errors that another attempt cannot fix; only ``include`` makes `Retry` repeat them."""


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Try a step again when it fails; a policy of a step.

    The delay before attempt n + 1 is ``initial_delay * backoff ** (n - 1)``, at most
    ``max_delay``, less a random share of up to ``jitter``. An error's ``retry_after_s`` is
    the minimum delay; if it is above ``max_delay``, there is no further attempt.

    Attributes:
        max_attempts: The number of attempts in all, at least 1; default 1, which is no retry.
        initial_delay: The delay before the second attempt, a duration; default 1s.
        backoff: The factor by which the delay grows with each attempt, at least 1; default 2.
        max_delay: The longest delay, a duration; default 1m, or ``initial_delay`` where that is
            longer.
        jitter: The share of the delay that is random, 0 to 1; default 0.5.
        include: Codes of errors to retry, with ``*`` as in ``document.*``. Empty, which is the
            default, means all but `NEVER_RETRIED`. An error whose ``retryable`` is False is
            never retried; one whose ``retryable`` is True is, where ``include`` is empty.
        exclude: Codes of errors not to retry, with ``*``; they override everything else.
            Default none.
    """

    max_attempts: int = 1
    initial_delay: Duration = "1s"
    backoff: float = 2.0
    max_delay: Duration | None = None
    jitter: float = 0.5
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(
            _least(self, "max_attempts", 1),
            _duration(self, "initial_delay"),
            _number(self, "backoff", 1.0, math.inf, "a finite number of 1 or more"),
            None if self.max_delay is None else _duration(self, "max_delay"),
            _number(self, "jitter", 0.0, 1.0, "a share from 0 to 1"),
        )


class Breaker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stop sending requests to a plugin that keeps failing on a topic; a policy of a topic.

    There is one breaker for each topic and plugin, shared by all runs of the host, and of all
    hosts that share its journal.

    Attributes:
        failures: The number of failures within ``window`` that open it, at least 1; default 5.
        window: How long a failure counts, a duration; default 1m.
        open_for: How long it stays open, a duration; default 30s. Then it is half open.
        half_open: The number of trial calls that it lets through at once when half open, and
            that must succeed for it to close, at least 1; default 1. One failure opens it again.
        shared: Whether it is open in all processes of a journal where it is open in one; default
            true. One process at a time makes the trial calls.
    """

    failures: int = 5
    window: Duration = "1m"
    open_for: Duration = "30s"
    half_open: int = 1
    shared: bool = True

    def __post_init__(self) -> None:
        _check(
            _least(self, "failures", 1),
            _duration(self, "window"),
            _duration(self, "open_for"),
            _least(self, "half_open", 1),
            _flag(self, "shared"),
        )


class Fallback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to respond with when the last attempt of a step failed; a policy of a step.

    The run then counts as degraded. Give either ``value`` or ``topic``.

    Attributes:
        value: The response itself; no default.
        topic: Another topic to request; no default.
        message: The message for that topic; default None, which is the step's own message.
    """

    value: Any = msgspec.UNSET
    topic: str | None = None
    message: Any = None

    def __post_init__(self) -> None:
        if (self.value is msgspec.UNSET) == (self.topic is None):
            raise ValueError("a fallback needs either a value or a topic")
        if self.topic is None and self.message is not None:
            raise ValueError("a fallback's message needs a topic")


class Cache(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reuse the response to an earlier, equal request; a policy of a step.

    Requests are equal when topic, plugin, plugin version and message are.

    Attributes:
        ttl: How long a response may be reused, a duration; default 1h.
        max_entries: The number of responses of the topic that are kept, at least 1;
            default 10,000.
    """

    ttl: Duration = "1h"
    max_entries: int = 10_000

    def __post_init__(self) -> None:
        _check(_duration(self, "ttl"), _least(self, "max_entries", 1))


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many requests a topic accepts; a policy of a topic.

    It is shared by all runs of the host, and of all hosts that share its journal.

    Attributes:
        concurrency: The number of requests at once, at least 1; default None, no limit.
        rate: The number of requests in a time, such as ``10/s``; default None, no limit. That
            many may come at once after a quiet time; after that they are spread evenly.
        queue: The number of requests that may wait for their turn, first come, first served;
            default 1024. One more is refused with ``policy.overloaded``. Each process has a queue
            of its own.
        shared: Whether ``concurrency`` and ``rate`` are those of all processes of a journal
            together; default true. Otherwise each process has as many.
    """

    concurrency: int | None = None
    rate: Rate | None = None
    queue: int = 1024
    shared: bool = True

    def __post_init__(self) -> None:
        _check(
            None if self.concurrency is None else _least(self, "concurrency", 1),
            _rate(self.rate),
            _least(self, "queue", 0),
            _flag(self, "shared"),
        )


class TopicPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[topics."a.b"]`` of the configuration.

    Attributes:
        breaker: When to stop sending requests to a plugin that keeps failing; None for never.
        limits: How many requests the topic accepts; None for no limits.
    """

    breaker: Breaker | None = None
    limits: Limits | None = None

    @property
    def is_shared(self) -> bool:
        """Whether a part of it is shared with other processes."""
        return any(each is not None and each.shared for each in (self.breaker, self.limits))


def _check(*problems: str | None) -> None:
    found = [problem for problem in problems if problem is not None]
    if found:
        raise ValueError("; ".join(found))


def _least(policy: msgspec.Struct, name: str, least: int) -> str | None:
    value = getattr(policy, name)
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return None
    return f"{name} is {value!r}: it must be a whole number of {least} or more"


def _flag(policy: msgspec.Struct, name: str) -> str | None:
    value = getattr(policy, name)
    return None if isinstance(value, bool) else f"{name} is {value!r}: it must be true or false"


def _number(
    policy: msgspec.Struct, name: str, least: float, most: float, accepted: str
) -> str | None:
    value = getattr(policy, name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and least <= value <= most and math.isfinite(value):
        return None
    return f"{name} is {value!r}: it must be {accepted}"


def _duration(policy: msgspec.Struct, name: str) -> str | None:
    value: Duration = getattr(policy, name)
    try:
        found = seconds(value)
    except ValueError as error:
        return f"{name}: {error}"
    if isinstance(value, datetime.timedelta):  # msgspec could not read it back
        msgspec.structs.force_setattr(policy, name, found)
    return None


def _rate(rate: Rate | None) -> str | None:
    if rate is None:
        return None
    if not isinstance(rate, str):
        return f"rate is {rate!r}: write it as 10/s, 300/m or 5/30s"
    try:
        parse_rate(rate)
    except ValueError as error:
        return f"rate: {error}"
    return None
