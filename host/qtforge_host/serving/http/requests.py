"""A request as an endpoint sees it, its answer, and the description of an endpoint."""

from __future__ import annotations

import contextlib
import math
import re
import typing
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp

from qtforge_host.api.documents import error_document
from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.schemas import NoQuery
from qtforge_host.serving.service import Service
from qtforge_host.serving.tokens import TokenScope
from qtforge_sdk.conversion import to_json
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.validation import decoded, validation_errors

__all__ = [
    "ARCHIVE",
    "JSON",
    "Answer",
    "Call",
    "Endpoint",
    "Handler",
    "error_response",
    "invalid_request",
    "json_bytes",
    "read_body",
    "read_query",
    "response",
    "wait_s",
]

JSON: Final = "application/json"
ARCHIVE: Final = "application/octet-stream"
_EXPLAINED_BYTES: Final = 64 << 10  # of a larger body only the first error is looked for
_MOST_ERRORS: Final = 20
_NUMBER_OR_BOOL: Final = re.compile(r"true|false|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class Answer(msgspec.Struct, frozen=True):
    """What an endpoint answers with.

    Attributes:
        content: A document for JSON; text and bytes as they are.
        status: The HTTP status.
        headers: Further ones.
        media_type: JSON's, or a text's.
    """

    content: Any
    status: int = 200
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    media_type: str = JSON


def json_bytes(content: Any) -> bytes:
    """Return content as JSON, as the command line prints it."""
    return to_json(content, str)


def response(answer: Answer) -> Response:
    """Return what is sent for an answer."""
    content = answer.content
    if answer.media_type == JSON:
        encoded = json_bytes(content)
    else:
        encoded = content if isinstance(content, bytes) else str(content).encode()
    return Response(encoded, answer.status, dict(answer.headers), answer.media_type)


def error_response(error: QtForgeError) -> Response:
    """Return an error as it is sent, with the status that its class names."""
    headers = error.headers if isinstance(error, RefusedError) else {}
    if error.retry_after_s is not None and error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": str(max(1, math.ceil(error.retry_after_s))), **headers}
    return response(Answer(error_document(error), error.http_status, headers))


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was authenticated and checked.

    Attributes:
        service: The running service.
        path: The path's parameters.
        query: Of the endpoint's type.
        body: Of the endpoint's type; None where it takes none.
        headers: By their names in lower case.
    """

    service: Service
    path: Mapping[str, str]
    query: Any
    body: Any
    headers: Mapping[str, str]


Handler = Callable[[Call], Awaitable[Answer | ASGIApp]]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    Attributes:
        method: In capitals.
        path: With ``{parameters}``.
        name: The operation's name in the OpenAPI document.
        scope: What a token must allow.
        summary: What it does, in a line.
        handler: Answers the request.
        answers: The answers that are no errors, by status: the type of a JSON document, or the
            media type of anything else.
        body: The type of its body: a Struct for JSON, `bytes` for a file, None for no body.
        body_optional: Whether an empty body stands for one without any key.
        query: Its parameters.
        headers: Further request headers that it reads, each with its JSON schema.
    """

    method: str
    path: str
    name: str
    scope: TokenScope
    summary: str
    handler: Handler
    answers: Mapping[int, type | str]
    body: type | None = None
    body_optional: bool = False
    query: type = NoQuery
    headers: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict)

    @property
    def body_type(self) -> str:
        """The media type of its body."""
        return ARCHIVE if self.body is bytes else JSON


def read_query(items: list[tuple[str, str]], target: type) -> Any:
    """Return the query's parameters as their type, each written as in JSON.

    Raises:
        RefusedError: One is not known, is given twice, or does not fit.
    """
    fields = msgspec.structs.fields(target)
    lists = {each.encode_name for each in fields if typing.get_origin(each.type) is list}
    plain = {each.encode_name for each in fields if _takes_number_or_bool(each.type)}
    found: dict[str, Any] = {}
    for key, text in items:
        value = _number_or_bool(text) if key in plain else text
        if key in lists:
            found.setdefault(key, []).append(value)
        elif key in found:
            raise invalid_request(f"the parameter '{key}' is given twice")
        else:
            found[key] = value
    try:
        return msgspec.convert(found, target)
    except msgspec.ValidationError as error:
        raise invalid_request(_errors("query", found, target)) from error


def _takes_number_or_bool(annotation: Any) -> bool:
    parts = typing.get_args(annotation)
    return annotation in (int, float, bool) or any(map(_takes_number_or_bool, parts))


def _number_or_bool(text: str) -> Any:
    """Return what a text stands for in JSON; another text is returned as it is.

    msgspec's lax conversion takes more than the schema allows: 1 and ``TRUE`` for a bool, ``null``
    for a parameter that is left out, 7 for a time.
    """
    if not _NUMBER_OR_BOOL.fullmatch(text):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.ValidationError:  # such as 1e999
        return text


def read_body(content: bytes, headers: Headers, endpoint: Endpoint) -> Any:
    """Return a body as the type that an endpoint takes.

    Raises:
        RefusedError: It is compressed, of another media type, is not JSON, or does not fit.
    """
    encoding = ", ".join(headers.getlist("content-encoding"))
    if encoding.strip().lower() not in ("", "identity"):
        raise RefusedError(
            415,
            "http.unsupported_encoding",
            "the body must not be compressed",
            f"its Content-Encoding is '{encoding}'",
            "send it as it is, without Content-Encoding",
            {"Accept-Encoding": "identity"},
        )
    if not content and endpoint.body_optional and endpoint.body is not None:
        return endpoint.body()
    media_type = headers.get("content-type", "")
    wanted = endpoint.body_type
    if media_type.partition(";")[0].strip().lower() != wanted:
        raise RefusedError(
            415,
            "http.unsupported_media_type",
            f"the body must be {wanted}",
            f"its Content-Type is '{media_type}'",
            f"send it with Content-Type: {wanted}",
        )
    if endpoint.body is bytes:
        return content
    try:
        return decoded(msgspec.json.Decoder(endpoint.body).decode, content)
    except msgspec.ValidationError as error:
        why = f"body: {error}"
        if len(content) <= _EXPLAINED_BYTES:
            # The rest of it may be no JSON.
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                given = decoded(msgspec.json.decode, content)
                why = _errors("body", given, endpoint.body) or why
        raise invalid_request(why) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_request(f"body: it is not JSON: {error}") from error


def _errors(where: str, given: object, target: Any) -> str:
    """Return every error of what a client sent, each in a line with its path."""
    errors = validation_errors(given, target, where)
    lines = [str(each) for each in errors[:_MOST_ERRORS]]
    more = len(errors) - _MOST_ERRORS
    return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


def wait_s(call: Call) -> float:
    """Return how long the client wants to wait, in seconds."""
    return float(call.query.wait.removesuffix("s"))


def invalid_request(why: str) -> RefusedError:
    """Return the error of a request that is not as the OpenAPI document says."""
    return RefusedError(
        400, "http.invalid_request", "the request is not valid", why, "see /openapi.json"
    )
