from __future__ import annotations

import copy
import pickle

from qtforge_host.bus.handler import failed
from qtforge_sdk import OperationError
from qtforge_sdk.errors import BreakerOpenError


def test_retryable_and_retry_after_pass_through_every_plugin() -> None:
    refused = OperationError("http.busy", "it is busy", retryable=True, retry_after_s=2.5)
    inner = failed("a.b", "inner", "1.0", refused)
    outer = failed("c.d", "outer", "2.0", inner)
    for error in (inner, outer, pickle.loads(pickle.dumps(outer)), copy.copy(outer)):
        assert (error.cause_code, error.retryable, error.retry_after_s) == ("http.busy", True, 2.5)


def test_an_open_breaker_of_an_inner_plugin_passes_on_when_to_retry() -> None:
    error = failed("a.b", "plug", "1.0", BreakerOpenError("c.d", "inner", 12.0))
    assert (error.cause_code, error.retryable, error.retry_after_s) == (
        "policy.breaker_open",
        True,
        12.0,
    )


def test_an_error_without_retryable_leaves_it_open() -> None:
    for cause in (ZeroDivisionError(), OperationError("a.b", "no")):
        error = failed("a.b", "plug", "1.0", cause)
        assert (error.retryable, error.retry_after_s) == (None, None)
