"""Pages that are made from the code: each function returns pages by their paths on the site."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tools.site.reference.cli import cli_pages
from tools.site.reference.errors import error_pages
from tools.site.reference.http import http_pages
from tools.site.reference.keys import key_pages
from tools.site.reference.sdk import sdk_pages

__all__ = ["GENERATORS"]

GENERATORS: Final[Mapping[str, Callable[[str], dict[str, str]]]] = {
    "cli.md": cli_pages,
    "errors.md": error_pages,
    "http.md": http_pages,
    "sdk.md": sdk_pages,
    "toml.md": key_pages,
}
