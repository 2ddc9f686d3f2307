"""One request, as far as an endpoint needs it; and the endpoints' description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.types import ASGIApp

from qtforge_host.serving.documents import Documents
from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.answers import JSON, Answer
from qtforge_host.serving.http.shapes import NoQuery
from qtforge_host.serving.service import Service

__all__ = ["Call", "Endpoint", "Handler", "read_body", "read_query"]


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
