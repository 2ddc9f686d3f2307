"""The parameters of a source of the type ``http``, and the request made from them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import httpx2
import msgspec

from qtforge_builtin_plugins.collectors.parameters import invalid_parameter, read_parameters
from qtforge_sdk.conversion import to_json
from qtforge_sdk.errors import OperationError

__all__ = ["Cursor", "HttpParameters", "build", "http_parameters"]

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"]
Scalar = str | int | float | bool
# Set from the connection and the address, not by the source.
_OURS: Final = ("connection", "content-length", "host", "transfer-encoding")


class Cursor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cursor in the answer that leads to the next page.

    Attributes:
        source: ``from``: the path to it within the answer, such as ``meta.next``.
        target: ``as``: the name in the query that it is sent as; None when it is a URL.
        end: The value of the last page's cursor, besides null, false, "" and an empty list or
            object, which always mean that.
    """

    source: str = msgspec.field(name="from")
    target: str | None = msgspec.field(name="as", default=None)
    end: Scalar | None = None


class HttpParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a source of the type ``http``.

    Attributes:
        method: In upper or lower case.
        headers: The headers by name.
        query: Added to the URL's own query; a list repeats the name.
        json: The body, as JSON.
        text: The body, as text.
        rows: The path to the rows within the answer, such as ``data.items``.
        format: The format of the answer.
        pagination: ``link`` for the Link header's ``next``, or a `Cursor`.
        max_pages: The most pages to request.
        limit: The most rows to take.
        accept_status: Further statuses whose answer is read.
        max_bytes: The largest answer, in bytes after decompression; None for the
            configuration's.
    """

    method: Method = "GET"
    headers: dict[str, str] = {}
    query: dict[str, Scalar | list[Scalar]] = {}
    json: Any = msgspec.UNSET
    text: str | None = None
    rows: str | None = None
    format: Literal["json", "jsonl", "text"] = "json"
    pagination: Literal["link"] | Cursor | None = None
    max_pages: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100
    limit: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    accept_status: list[Annotated[int, msgspec.Meta(ge=200, le=599)]] = []
    max_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None


def http_parameters(given: dict[str, Any]) -> HttpParameters:
    """Return a source's parameters, checked.

    Raises:
        OperationError: ``http.invalid_parameters``.
    """
    method = given.get("method")
    if isinstance(method, str):
        given = {**given, "method": method.upper()}
    found = read_parameters(given, HttpParameters, "http", "a header goes into headers")
    if found.json is not msgspec.UNSET and found.text is not None:
        raise invalid_parameter("http", "json and text are both given", "a request has one body")
    if found.format != "json" and (found.rows or isinstance(found.pagination, Cursor)):
        why = f"rows and a cursor are paths into JSON, and the format is {found.format}"
        raise invalid_parameter("http", why, 'use format = "json", or pagination = "link"')
    for name in found.headers:
        if name.lower() in _OURS:
            raise invalid_parameter("http", f"the header '{name}' is set by the collector itself")
    return found


def build(
    client: httpx2.AsyncClient, url: str, parameters: HttpParameters, label: str
) -> httpx2.Request:
    """Return the first page's request.

    Args:
        client: Has the defaults.
        url: The URL with its secrets.
        parameters: The parameters with their secrets.
        label: The source, without secrets.

    Raises:
        OperationError: ``http.invalid_endpoint`` or ``http.invalid_parameters``.
    """
    try:
        target = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        what = f"{label} is not a URL"
        fix = "write it as https://host/path"
        raise OperationError(
            "http.invalid_endpoint", what, str(error), fix, retryable=False
        ) from error
    headers = dict(parameters.headers)
    body: dict[str, Any] = {}
    if parameters.json is not msgspec.UNSET:
        body["content"] = to_json(parameters.json)
        headers = {"Content-Type": "application/json", **headers}
    elif parameters.text is not None:
        body["content"] = parameters.text.encode()
        headers = {"Content-Type": "text/plain; charset=utf-8", **headers}
    for name, value in headers.items():
        if "\r" in value or "\n" in value:
            fix = "a secret read from a file may end with one"
            raise invalid_parameter("http", f"the header '{name}' has a line break", fix)
    if parameters.query:
        target = target.copy_merge_params(parameters.query)
    try:
        return client.build_request(parameters.method, target, headers=headers, **body)
    except (ValueError, TypeError) as error:  # such as a header's value outside of ASCII
        raise invalid_parameter("http", "a header or a query's value can't be sent") from error
