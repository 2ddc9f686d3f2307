"""Map the errors of the HTTP libraries to `OperationError`s.

httpx2's errors have a root class, httpcore2's have none; both occur, since our own transport
makes the connections.
"""

from __future__ import annotations

import datetime
import email.utils
import http
import ssl
from typing import Final

import httpcore2
import httpx2

from qtforge_builtin_plugins.collectors.web.decoding import CutOffError
from qtforge_sdk.errors import OperationError

__all__ = ["TRANSPORT_ERRORS", "retry_after_s", "status_error", "transport_error"]

TRANSPORT_ERRORS: Final = (
    httpx2.HTTPError,
    httpx2.StreamError,
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
)

_CONNECT_TIMEOUTS: Final = (httpx2.ConnectTimeout, httpcore2.ConnectTimeout)
_TIMEOUTS: Final = (httpx2.TimeoutException, httpcore2.TimeoutException)
_CONNECT: Final = (httpx2.ConnectError, httpcore2.ConnectError)
_NETWORK: Final = (httpx2.NetworkError, httpcore2.NetworkError)
_PROXY: Final = (httpx2.ProxyError, httpcore2.ProxyError)

# Request timeout, too early, too many requests. 501 and 505 are permanent.
_BUSY: Final = (408, 425, 429)
_NEVER: Final = (501, 505)


def transport_error(error: BaseException, label: str, subject: str) -> OperationError:
    """Return the error to raise for an error of the HTTP library.

    Args:
        error: One of `TRANSPORT_ERRORS`.
        label: The source, without secrets.
        subject: The first word of the code, such as ``http``.
    """
    tls = _tls_error(error)
    if tls is not None:
        why = getattr(tls, "verify_message", "") or tls.reason or str(tls)
        fix = f"for an authority of your own, set ca_file in [plugins.{subject}-collector.config]"
        what = f"the connection to {label} is not secure"
        return OperationError(f"{subject}.tls_failed", what, why, fix, retryable=False)
    if isinstance(error, _TIMEOUTS):
        doing = "accepted no connection" if isinstance(error, _CONNECT_TIMEOUTS) else "sent nothing"
        what = f"{label} {doing} in time"
        return OperationError(
            f"{subject}.timeout", what, type(error).__name__, "try again later", retryable=True
        )
    if isinstance(error, _PROXY):
        fix = f"check proxy in [plugins.{subject}-collector.config]"
        what = f"the proxy refused {label}"
        return OperationError(f"{subject}.proxy_failed", what, str(error), fix)
    if isinstance(error, _CONNECT):
        fix = "check that the server runs, and the port"
        return OperationError(
            f"{subject}.unreachable", f"{label} can't be reached", _why(error), fix, retryable=True
        )
    if isinstance(error, CutOffError):
        what = f"the answer of {label} is cut off"
        return OperationError(
            f"{subject}.connection_lost", what, str(error), "try again later", retryable=True
        )
    if isinstance(error, _NETWORK) or _broke_off(error):
        what = f"{label} closed the connection"
        return OperationError(
            f"{subject}.connection_lost", what, _why(error), "try again later", retryable=True
        )
    what = f"the answer of {label} is not valid HTTP"
    return OperationError(f"{subject}.invalid_answer", what, _why(error), "", retryable=False)


def status_error(
    response: httpx2.Response, excerpt: str, label: str, subject: str
) -> OperationError:
    """Return the error to raise for a status that is not a success.

    Args:
        response: The answer.
        excerpt: The beginning of its body, without secrets.
        label: The source, without secrets.
        subject: The first word of the code, such as ``http``.
    """
    status = response.status_code
    busy = status in _BUSY or (status >= 500 and status not in _NEVER)
    fixes = {
        401: "check the credentials: write a secret as ${secret.NAME} in headers or the URL",
        403: "check that these credentials may read it",
        404: "check the URL's spelling",
        429: "request less often, or give the source a retry policy",
    }
    return OperationError(
        f"{subject}.status",
        f"{label} answered {status} {_phrase(status)}".rstrip(),
        excerpt,
        fixes.get(
            status, "try again later" if busy else "to use its answer, add it to accept_status"
        ),
        retryable=busy,
        retry_after_s=retry_after_s(response.headers.get("retry-after")) if busy else None,
    )


def retry_after_s(text: str | None) -> float | None:
    """Return the value of ``Retry-After`` (RFC 9110), a number or a date, in seconds from now.

    >>> retry_after_s("120"), retry_after_s("soon"), retry_after_s(None)
    (120.0, None, None)
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        then = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if then.tzinfo is None:  # "-0000": in UTC, of an unknown zone
        then = then.replace(tzinfo=datetime.UTC)
    return max(0.0, (then - datetime.datetime.now(datetime.UTC)).total_seconds())


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    seen: BaseException | None = error
    for _ in range(8):
        if isinstance(seen, ssl.SSLError):
            return seen
        seen = None if seen is None else (seen.__cause__ or seen.__context__)
    return None


def _broke_off(error: BaseException) -> bool:
    # The words of h11 for a server that closes during or before an answer.
    return "disconnected" in str(error) or "closed connection" in str(error)


def _why(error: BaseException) -> str:
    seen: BaseException | None = error
    for _ in range(8):
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = None if seen is None else (seen.__cause__ or seen.__context__)
    return str(error) or type(error).__name__
