"""One request, as far as an endpoint needs it; and the endpoints' description."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp

from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.schemas import Documents, NoQuery
from qtforge_host.serving.service import Service
from qtforge_sdk.errors import QtForgeError

__all__ = [
    "Answer",
    "Call",
    "Endpoint",
    "Handler",
    "error_response",
    "json_bytes",
    "read_body",
    "read_query",
    "response",
]

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answers with.

    Attributes:
        content: Plain values, Structs and dataclasses for JSON; text as it is.
        status: The HTTP status.
        headers: Further ones.
        media_type: JSON's, or a text's.
    """

    content: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON


def json_bytes(content: Any) -> bytes:
    """Return content as JSON, as the command line prints it."""
    return msgspec.json.encode(content, enc_hook=str)


def response(answer: Answer) -> Response:
    """Return what is sent for an answer."""
    content = answer.content
    encoded = json_bytes(content) if answer.media_type == JSON else str(content).encode()
    return Response(encoded, answer.status, dict(answer.headers), answer.media_type)


def error_response(error: QtForgeError, schema_version: int) -> Response:
    """Return an error as it is sent, with the status that its class names."""
    facts = {"code": error.code, "message": error.what, "why": error.why, "fix": error.fix}
    content = {"schema_version": schema_version, "error": facts}
    headers = error.headers if isinstance(error, RefusedError) else {}
    if error.retry_after_s is not None and error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": str(max(1, math.ceil(error.retry_after_s))), **headers}
    return response(Answer(content, error.http_status, headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that was let through.

    Attributes:
        service: What serves it.
        documents: How things look.
        path: The path's parameters.
        query: Of the endpoint's type.
        body: Of the endpoint's type; None where it takes none.
        headers: By their names in lower case.
    """

    service: Service
    documents: Documents
    path: Mapping[str, str]
    query: Any
    body: Any
    headers: Mapping[str, str]

    def document(self, **content: Any) -> dict[str, Any]:
        """Return a document with the version of its shape."""
        return {"schema_version": self.documents.schema_version, **content}


Handler = Callable[[Call], Awaitable[Answer | ASGIApp]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What one method of one path does.

    Attributes:
        method: In capitals.
        path: With ``{parameters}``.
        name: The operation's name in the OpenAPI document.
        summary: What it does, in a line.
        handler: Does it.
        answers: What it answers with when all is well: JSON of that type, or the media type of
            a text, by the status.
        body: What it takes, or None.
        query: Its parameters.
        headers: Further headers that it heeds, each with its JSON schema.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    answers: Mapping[int, type | str]
    body: type | None = None
    query: type = NoQuery
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_query(items: list[tuple[str, str]], target: type) -> Any:
    """Return the query's parameters as their type.

    Raises:
        RefusedError: One is not known, is given twice, or does not fit.
    """
    lists = {
        each.encode_name
        for each in msgspec.structs.fields(target)
        if getattr(each.type, "__origin__", None) is list
    }
    found: dict[str, Any] = {}
    for key, value in items:
        if key in lists:
            found.setdefault(key, []).append(value)
        elif key in found:
            raise _invalid(f"the parameter '{key}' is given twice")
        else:
            found[key] = value
    try:
        return msgspec.convert(found, target, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(f"query: {error}") from error


def read_body(content: bytes, media_type: str, target: type) -> Any:
    """Return a body of JSON as its type.

    Raises:
        RefusedError: It is not JSON, or does not fit.
    """
    if media_type.partition(";")[0].strip().lower() != JSON:
        raise RefusedError(
            415,
            "http.unsupported_media_type",
            "the body must be JSON",
            f"its Content-Type is '{media_type}'",
            f"send it with Content-Type: {JSON}",
        )
    try:
        return msgspec.json.decode(content, type=target)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _invalid(f"body: {error}") from error
    except RecursionError as error:
        raise _invalid("body: it is nested too deeply") from error


def _invalid(why: str) -> RefusedError:
    return RefusedError(
        400, "http.invalid_request", "the request is not valid", why, "see /openapi.json"
    )
