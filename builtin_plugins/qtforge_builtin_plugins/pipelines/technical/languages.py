"""Detect the language of a block of code."""

from __future__ import annotations

import ast
import json
import tomllib
import warnings
from typing import Final, Literal

import msgspec
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename, guess_lexer
from pygments.util import ClassNotFound

__all__ = ["Language", "by_name", "of_file", "recognize"]

# Pygments is often wrong below this, and about Python, which is parsed here instead.
_LEAST_SURE: Final = 0.4
_MOST_PARSED: Final = 100_000
_NOT_CODE: Final = frozenset({"text", "output", "restructuredtext", "markdown"})
_NO_LANGUAGE: Final = frozenset(
    {"text", "txt", "plain", "plaintext", "none", "nohighlight", "output", "no-highlight"}
)
_PYTHON_SIGNS: Final = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For,
    ast.While, ast.With, ast.Try, ast.If,
)  # fmt: skip


class Language(msgspec.Struct, frozen=True, kw_only=True):
    """A language, and how it was determined.

    Attributes:
        name: Lower case; None when unknown.
        source: As in `CodeBlock.language_source`.
        lexer: The lexer that distinguishes comments from code, or None.
    """

    name: str | None
    source: Literal["given", "parsed", "guessed", "unknown"]
    lexer: Lexer | None


def by_name(name: str) -> Language:
    """Return the language that a document names; one unknown to Pygments keeps its name."""
    if name in _NO_LANGUAGE:
        return Language(name=None, source="unknown", lexer=None)
    try:
        lexer = get_lexer_by_name(name)
    except ClassNotFound:
        return Language(name=name, source="given", lexer=None)
    return Language(name=_alias(lexer), source="given", lexer=lexer)


def of_file(name: str) -> Language | None:
    """Return the language of a file name's suffix; None when it is not of code."""
    try:
        lexer = get_lexer_for_filename(name)
    except ClassNotFound:
        return None
    alias = _alias(lexer)
    return None if alias in _NOT_CODE else Language(name=alias, source="given", lexer=lexer)


def recognize(code: str) -> Language:
    """Return the language of an unmarked block: by parsing, which is certain, or by guessing."""
    name = _parsed(code) if len(code) <= _MOST_PARSED else None
    if name is not None:
        return Language(name=name, source="parsed", lexer=get_lexer_by_name(name))
    try:
        lexer = guess_lexer(code[:_MOST_PARSED])
    except ClassNotFound:
        return Language(name=None, source="unknown", lexer=None)
    alias = _alias(lexer)
    if alias in _NOT_CODE or alias == "python" or type(lexer).analyse_text(code) < _LEAST_SURE:
        return Language(name=None, source="unknown", lexer=None)
    return Language(name=alias, source="guessed", lexer=lexer)


def _parsed(code: str) -> str | None:
    for name, parses in (("json", _is_json), ("toml", _is_toml), ("python", _is_python)):
        if parses(code):
            return name
    return None


def _is_json(code: str) -> bool:
    try:
        return isinstance(json.loads(code), (dict, list))
    except (ValueError, RecursionError):
        return False


def _is_toml(code: str) -> bool:
    try:
        return bool(tomllib.loads(code))
    except (ValueError, RecursionError):
        return False


def _is_python(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as invalid escapes: it is not our code
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    # A single word or call is valid Python, but also valid in many other languages.
    return any(isinstance(node, _PYTHON_SIGNS) for node in tree.body)


def _alias(lexer: Lexer) -> str:
    return str(lexer.aliases[0] if lexer.aliases else lexer.name).lower()
