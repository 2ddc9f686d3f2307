from __future__ import annotations

import copy
import pickle

from qtforge_host.bus.handler import failed
from qtforge_sdk import OperationError
from qtforge_sdk.errors import BreakerOpenError


def test_what_an_error_says_of_itself_goes_through_every_plugin_on_the_way() -> None:
    refused = OperationError("http.busy", "it is busy", retryable=True, retry_after_s=2.5)
    inner = failed("a.b", "inner", "1.0", refused)
    outer = failed("c.d", "outer", "2.0", inner)
    for error in (inner, outer, pickle.loads(pickle.dumps(outer)), copy.copy(outer)):
        assert (error.cause_code, error.retryable, error.retry_after_s) == ("http.busy", True, 2.5)


def test_an_open_breaker_behind_a_plugin_says_when_to_try_again() -> None:
    error = failed("a.b", "plug", "1.0", BreakerOpenError("c.d", "inner", 12.0))
    assert (error.cause_code, error.retryable, error.retry_after_s) == (
        "policy.breaker_open",
        True,
        12.0,
    )


def test_an_error_that_says_nothing_of_itself_leaves_it_open() -> None:
    for cause in (ZeroDivisionError(), OperationError("a.b", "no")):
        error = failed("a.b", "plug", "1.0", cause)
        assert (error.retryable, error.retry_after_s) == (None, None)
