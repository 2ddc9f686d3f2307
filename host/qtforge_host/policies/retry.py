"""Decide whether a failed step is retried, and after which delay."""

from __future__ import annotations

import fnmatch
import math
import random
from collections.abc import Iterable
from typing import Final, Protocol

from qtforge_sdk.durations import seconds
from qtforge_sdk.errors import HandlerFailedError
from qtforge_sdk.policies import NEVER_RETRIED, Retry

__all__ = ["RetryableError", "code_of", "is_retried", "next_attempt", "seeded"]


class RetryableError(Protocol):
    """What the decision depends on; `qtforge_sdk.ErrorInfo` and every QtForgeError have it."""

    @property
    def code(self) -> str:
        """The stable code."""

    @property
    def retryable(self) -> bool | None:
        """Whether the error calls itself retryable; None when it does not say."""

    @property
    def retry_after_s(self) -> float | None:
        """The minimum delay that the error asks for, in seconds."""


def seeded(idempotency_key: str, attempt: int) -> random.Random:
    """Return the random source of a delay's jitter: the same in every process for an attempt.

    >>> seeded("run/step", 1).random() == seeded("run/step", 1).random()
    True
    """
    return random.Random(f"{idempotency_key}/{attempt}")  # noqa: S311 - jitter guards no secret


def next_attempt(
    policy: Retry, attempt: int, error: RetryableError, *, random: random.Random
) -> float | None:
    """Return the delay before the next attempt, or None when there is none.

    Args:
        policy: The retry policy of the step.
        attempt: The number of the failed attempt, from 1.
        error: The error of the attempt.
        random: The source of the jitter; one number is drawn. With `seeded`, a resumed run
            computes the same delay again.

    Returns:
        Seconds, from zero to ``max_delay``, not below the error's ``retry_after_s``. None when
        the attempts are used up, the error is not retried, or its ``retry_after_s`` exceeds
        ``max_delay``.
    """
    if attempt >= policy.max_attempts or not is_retried(policy, error):
        return None
    first_s = seconds(policy.initial_delay)
    longest_s = _longest_s(policy, first_s)
    delay_s = min(longest_s, _grown(first_s, policy.backoff, attempt - 1))
    delay_s -= delay_s * policy.jitter * random.random()
    asked_s = error.retry_after_s
    if asked_s is None or not asked_s > 0:  # also when it is not a number
        return delay_s
    return max(delay_s, asked_s) if asked_s <= longest_s else None


def is_retried(policy: Retry, error: RetryableError) -> bool:
    """Return whether an error is retried, regardless of the number of attempts.

    In this order: ``exclude``; an error that calls itself not retryable; ``include``, when it
    is not empty; an error that calls itself retryable; `NEVER_RETRIED`.
    """
    code = code_of(error)
    if _matches(code, policy.exclude) or error.retryable is False:
        return False
    if policy.include:
        return _matches(code, policy.include)
    return error.retryable is True or not _matches(code, NEVER_RETRIED)


def code_of(error: RetryableError) -> str:
    """Return an error's code: the plugin's own code where it has one, as in `ErrorInfo`."""
    if isinstance(error, HandlerFailedError):
        return error.cause_code or error.code
    return error.code


def _matches(code: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(code, pattern) for pattern in patterns)


def _longest_s(policy: Retry, first_s: float) -> float:
    """Return the longest delay: a default never shortens a delay that was asked for."""
    return max(_LONGEST_S, first_s) if policy.max_delay is None else seconds(policy.max_delay)


_LONGEST_S: Final = 60.0
_LARGEST_EXPONENT: Final = 1000.0


def _grown(first_s: float, factor: float, times: int) -> float:
    if times * math.log2(factor) > _LARGEST_EXPONENT:  # 2.0 ** 1024 overflows
        return math.inf
    return first_s * math.pow(factor, times)
