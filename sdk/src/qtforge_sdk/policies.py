"""Policies: what happens when a step fails, is slow, or is asked too often.

One set of names and defaults, for TOML and for Python alike: ``retry = { max_attempts = 3 }``
in a definition is ``Retry(max_attempts=3)`` in code. Durations are text, such as ``30s``;
`durations_of` and ``Limits.rate`` give what is to be parsed. Numbers out of range are a
``ValueError`` in Python and a `msgspec.ValidationError` with the key's path in TOML.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from qtforge_sdk.durations import Duration

__all__ = [
    "NEVER_RETRIED",
    "Breaker",
    "Cache",
    "Fallback",
    "Limits",
    "Rate",
    "Retry",
    "TopicPolicy",
    "durations_of",
]

Rate = str
"""How many in which time, as text: ``10/s``, ``300/m``, ``1000/h``, or ``5/30s``."""

NEVER_RETRIED: Final = (
    "bus.closed",
    "bus.invalid_message",
    "bus.invalid_topic",
    "bus.no_handler",
    "expression.*",
    "run.cancelled",
    "workflow.*",
)
"""Codes that a further try can't mend: `Retry` leaves them unless ``include`` names them."""


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Try a step again when it fails; a step's policy.

    The wait before attempt n + 1 is ``initial_delay * backoff ** (n - 1)``, at most
    ``max_delay``, less a random share of up to ``jitter``. An error's ``retry_after_s`` is
    the least wait; where it is above ``max_delay``, there is no further attempt.

    Attributes:
        max_attempts: How often the step is tried in all; default 1, which is no retry.
        initial_delay: The wait before the second attempt, a duration; default 1s.
        backoff: By what factor the wait grows with each attempt, at least 1; default 2.
        max_delay: The longest wait, a duration; default 1m.
        jitter: Which share of the wait is random, 0 to 1; default 0.5.
        include: Error codes to try again, with ``*`` as in ``document.*``. Empty, which is
            the default, means all but `NEVER_RETRIED`. An error that says of itself that it
            is not retryable is left, an error that says that it is is tried again.
        exclude: Error codes not to try again, with ``*``; they win over everything else.
            Default none.
    """

    max_attempts: int = 1
    initial_delay: Duration = "1s"
    backoff: float = 2.0
    max_delay: Duration = "1m"
    jitter: float = 0.5
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _at_least("max_attempts", self.max_attempts, 1)
        if not 1 <= self.backoff < float("inf"):
            raise ValueError(f"backoff is {self.backoff:g}: it must be 1 or more, and finite")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter:g}: it must be a share from 0 to 1")


class Breaker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stop asking a plugin that keeps failing on a topic; a topic's policy.

    One breaker for each topic and plugin, shared by all runs of the host.

    Attributes:
        failures: How many failures within ``window`` open it; default 5.
        window: How long a failure counts, a duration; default 1m.
        open_for: How long it stays open, a duration; default 30s. Then it is half open.
        half_open: How many trial calls it lets through at once when half open, and how many
            must succeed for it to close; default 1. One failure opens it again.
    """

    failures: int = 5
    window: Duration = "1m"
    open_for: Duration = "30s"
    half_open: int = 1

    def __post_init__(self) -> None:
        _at_least("failures", self.failures, 1)
        _at_least("half_open", self.half_open, 1)


class Fallback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to answer when a step has failed for good; a step's policy.

    The step then counts as degraded. Give either ``value`` or ``topic``.

    Attributes:
        value: The answer itself; no default.
        topic: Another topic to ask; no default.
        message: With what to ask it; default None, the step's own message.
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
    """Answer a step from an earlier answer to the same question; a step's policy.

    The same question is the same topic, plugin, plugin version and message.

    Attributes:
        ttl: How long an answer may be used, a duration; default 1h.
        max_entries: How many answers of the topic are kept; default 10,000.
    """

    ttl: Duration = "1h"
    max_entries: int = 10_000

    def __post_init__(self) -> None:
        _at_least("max_entries", self.max_entries, 1)


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may be asked of a topic; a topic's policy, shared by all runs of the host.

    Attributes:
        concurrency: How many requests at once; default None, no limit.
        rate: How many requests in a time, such as ``10/s``; default None, no limit. So many
            may come at once, after a quiet time; after that they are spread evenly.
        queue: How many requests may wait for their turn, first come, first served; default
            1024. One more is refused with ``policy.overloaded``.
    """

    concurrency: int | None = None
    rate: Rate | None = None
    queue: int = 1024

    def __post_init__(self) -> None:
        if self.concurrency is not None:
            _at_least("concurrency", self.concurrency, 1)
        _at_least("queue", self.queue, 0)


class TopicPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[topics."a.b"]`` of the configuration.

    Attributes:
        breaker: Stops asking a plugin that keeps failing; None for no breaker.
        limits: How much may be asked; None for no limits.
    """

    breaker: Breaker | None = None
    limits: Limits | None = None


def durations_of(policy: Retry | Breaker | Fallback | Cache | Limits) -> Iterator[tuple[str, str]]:
    """Give each duration of a policy, for a checker: its field's name and its text.

    >>> list(durations_of(Retry()))
    [('initial_delay', '1s'), ('max_delay', '1m')]
    """
    for name in ("initial_delay", "max_delay", "window", "open_for", "ttl"):
        if name in policy.__struct_fields__:
            yield name, getattr(policy, name)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} is {value}: it must be {least} or more")
