"""Names in the paths of requests, which may have any character in them."""

from __future__ import annotations

import re
import urllib.parse
from typing import Final

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import Scope

__all__ = ["encoded_path", "with_names"]

_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class _Name(Convertor[str]):
    """A name in a path, which may have a slash in it: ``%2F``."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return urllib.parse.unquote(value)

    def to_string(self, value: str) -> str:
        return urllib.parse.quote(value, safe="")


register_url_convertor("name", _Name())


def with_names(path: str) -> str:
    """Return the path of a route as Starlette takes it.

    >>> with_names("/v1/runs/{run_id}")
    '/v1/runs/{run_id:name}'
    """
    return _PARAMETER.sub(r"{\1:name}", path)


def encoded_path(scope: Scope) -> str:
    """Return a request's path, each part of it quoted the same way."""
    raw = scope.get("raw_path") or urllib.parse.quote(scope["path"]).encode()
    parts = (urllib.parse.unquote(part) for part in raw.decode("latin-1").split("/"))
    return "/".join(urllib.parse.quote(part, safe="") for part in parts)
