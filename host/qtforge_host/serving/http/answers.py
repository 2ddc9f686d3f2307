"""Answers: JSON, text, and errors in their one form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import msgspec
from starlette.responses import Response

from qtforge_host.serving.errors import RefusedError
from qtforge_sdk.errors import BusClosedError, QtForgeError, StateDirectoryError

__all__ = ["Answer", "error_response", "json_bytes", "refusal_of", "response"]

JSON: Final = "application/json"

_STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "run.not_found": 404,
        "workflow.not_found": 404,
        "workflow.invalid": 409,
        "workflow.unmet": 409,
        "run.ended": 409,
        "run.exists": 409,
        "run.owned": 409,
        "run.stale_owner": 409,
        "run.amendment_refused": 409,
        "run.invalid_input": 422,
        "run.not_storable": 422,
        "bus.invalid_topic": 400,
        "bus.invalid_message": 422,
        "graph.not_drawable": 409,
        "graph.not_installed": 501,
    }
)


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


def refusal_of(error: QtForgeError) -> RefusedError:
    """Return a deliberate error with the HTTP status that fits it."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, StateDirectoryError | BusClosedError):
        status = 503
    else:
        status = _STATUSES.get(error.code, 500)
    return RefusedError(status, error.code, error.what, error.why, error.fix)


def error_response(error: RefusedError, schema_version: int) -> Response:
    """Return an error as it is sent."""
    facts = {"code": error.code, "message": error.what, "why": error.why, "fix": error.fix}
    content = {"schema_version": schema_version, "error": facts}
    return response(Answer(content, error.status, error.headers))
