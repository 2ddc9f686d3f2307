"""Parse the source of plugins, whatever is in it."""

from __future__ import annotations

import ast
import warnings
from typing import Final

from qtforge_host.plugin_code import clean_text

__all__ = ["expression_text", "parse_source", "unparse"]

_MAX_TEXT: Final = 80  # characters of an expression


def parse_source(text: str | bytes) -> ast.Module:
    """Parse Python's source; warnings about it are its author's, and are not shown.

    Args:
        text: The source; bytes are decoded by their own declaration.

    Raises:
        SyntaxError: It can't be parsed, for whatever reason: it is nested too deeply, has a NUL,
            or an unknown encoding.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            try:
                return ast.parse(text)
            except SystemError:
                # CPython 3.11 raises it where a garbage collection during the parse runs code that
                # parses as well, such as the formatting of a traceback for the log.
                return ast.parse(text)
        except (RecursionError, MemoryError):  # the parser says it with either
            raise SyntaxError("it is nested too deeply") from None
        except ValueError as error:
            raise SyntaxError(clean_text(error)) from None


def unparse(node: ast.AST) -> str:
    """Return the source of an expression; "" where it is nested too deeply, or too long."""
    try:
        return ast.unparse(node)
    except (RecursionError, ValueError):  # ValueError: a number of very many digits
        return ""


def expression_text(node: ast.AST) -> str:
    """Return the source of an expression as a message shows it: bounded, and valid Unicode."""
    text = clean_text(unparse(node)[: _MAX_TEXT + 1]) or "an expression that is too long"
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
