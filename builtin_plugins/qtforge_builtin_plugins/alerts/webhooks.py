"""Standard Webhooks: sign a message, and post it (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import ssl
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from qtforge_sdk import OperationError

__all__ = ["post", "signed_headers"]

_PREFIX: Final = "whsec_"
_GONE: Final = 410
_LONGEST_WAIT_S: Final = 3600.0  # of Retry-After: a server may say anything


def signed_headers(
    message_id: str, timestamp: int, body: bytes, secrets: Sequence[str]
) -> Mapping[str, str]:
    """Return the headers of a message.

    Args:
        message_id: Its id, the same in every attempt.
        timestamp: The time of the attempt, in seconds since 1970.
        body: The body.
        secrets: The keys, each ``whsec_`` and Base64; one signature for each.

    Raises:
        OperationError: ``alert.invalid_secret``: one is no such key.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    if secrets:
        headers["webhook-signature"] = " ".join(_signature(_key(each), signed) for each in secrets)
    return headers


def post(url: str, headers: Mapping[str, str], body: bytes, wait_s: float) -> int:
    """Post a message; return the status of the answer. Redirects are not followed.

    Args:
        url: The address of the webhook.
        headers: See `signed_headers`.
        body: The body.
        wait_s: The timeout of the connection and of each answer, in seconds.

    Raises:
        OperationError: ``alert.invalid_url``, ``.unreachable``, ``.tls``, ``.gone``, ``.refused``;
            each says whether it is retryable. None repeats more of the address than its host.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in ("http", "https") or not url.isascii():
        raise OperationError(
            "alert.invalid_url", "the webhook's address is not a URL of a web server", "",
            "write it as https://HOST/PATH, with other characters percent-encoded",
            retryable=False,
        )  # fmt: skip
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        connection = (
            http.client.HTTPSConnection(
                host, port, timeout=wait_s, context=ssl.create_default_context()
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=wait_s)
        )
        try:
            connection.request("POST", target, body, dict(headers))
            answer = connection.getresponse()
            status, retry_after = answer.status, answer.headers.get("retry-after", "")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        _refuse(error, host)
    if not 200 <= status < 300:
        _refuse_status(status, retry_after, host)
    return status


def _refuse(error: Exception, host: str) -> NoReturn:
    why = str(error) or type(error).__name__
    if isinstance(error, ssl.SSLError):
        raise OperationError(
            "alert.tls", f"no secure connection to {host}", why,
            "check the host's certificate", retryable=False,
        ) from error  # fmt: skip
    if isinstance(error, http.client.InvalidURL):
        raise OperationError(
            "alert.invalid_url", "the webhook's address is not a URL of a web server", "",
            "write it as https://HOST/PATH, with other characters percent-encoded",
            retryable=False,
        ) from error  # fmt: skip
    raise OperationError(
        "alert.unreachable", f"{host} can't be reached", why,
        "check the webhook's address, and that the server runs", retryable=True,
    ) from error  # fmt: skip


def _refuse_status(status: int, retry_after: str, host: str) -> NoReturn:
    if status == _GONE:
        raise OperationError(
            "alert.gone", f"{host} wants no more messages", f"it answered {status}",
            "remove the webhook from 'to' of the alert", retryable=False,
        )  # fmt: skip
    wait_s = min(float(retry_after), _LONGEST_WAIT_S) if retry_after.isdecimal() else None
    raise OperationError(
        "alert.refused", f"{host} did not accept the message", f"it answered {status}",
        "check the webhook's address and the server's log",
        # The specification asks for another attempt after every answer but 2xx and 410.
        retryable=True, retry_after_s=wait_s,
    )  # fmt: skip


def _signature(key: bytes, signed: bytes) -> str:
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise OperationError(
            "alert.invalid_secret", "a key for webhooks is not valid", "",
            "it must be whsec_ and 24 to 64 bytes in Base64", retryable=False,
        )  # fmt: skip
    return key
