"""Count the lines of a block of code, and measure the complexity of its functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import lizard
from pygments.lexer import Lexer
from pygments.token import Comment, String, Token

from qtforge_builtin_plugins.pipelines.technical.messages import CodeFunction, LineCounts

__all__ = ["count_lines", "find_functions", "sum_lines"]

_MOST_FUNCTIONS: Final = 500
# Pygments' name to the extension by which lizard knows the language.
_EXTENSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"c": "c", "cpp": "cpp", "csharp": "cs", "erlang": "erl", "fortran": "f90", "gdscript": "gd",
     "go": "go", "java": "java", "javascript": "js", "kotlin": "kt", "lua": "lua",
     "objective-c": "m", "perl": "pl", "php": "php", "python": "py", "ruby": "rb", "rust": "rs",
     "scala": "scala", "solidity": "sol", "swift": "swift", "tsx": "tsx", "typescript": "ts",
     "zig": "zig"}
)  # fmt: skip


def count_lines(code: str, lexer: Lexer | None) -> LineCounts:
    """Return the numbers of lines of code, of comments and of blank lines.

    A line with both is code. Documentation strings are comments. Without a lexer comments
    can't be recognised, and every line that is not blank is code.
    """
    lines = code.rstrip("\n").split("\n")
    has_code: set[int] = set()
    has_comment: set[int] = set()
    if lexer is None:
        has_code = {number for number, line in enumerate(lines) if line.strip()}
    else:
        number = 0
        for kind, text in _tokens(code, lexer):
            is_comment = kind in Comment and kind not in Comment.Preproc
            is_comment = is_comment or kind in String.Doc
            for offset, part in enumerate(text.split("\n")):
                if part.strip():
                    (has_comment if is_comment else has_code).add(number + offset)
            number += text.count("\n")
    comments = len(has_comment - has_code)
    blank = sum(not line.strip() for line in lines)
    return LineCounts(code=len(lines) - comments - blank, comment=comments, blank=blank)


def _tokens(code: str, lexer: Lexer) -> Iterable[tuple[Token, str]]:
    # Not get_tokens: it removes leading blank lines.
    for _, kind, text in lexer.get_tokens_unprocessed(code):
        yield kind, text


def sum_lines(counts: Iterable[LineCounts]) -> LineCounts:
    """Return the sums."""
    every = list(counts)
    return LineCounts(
        code=sum(each.code for each in every),
        comment=sum(each.comment for each in every),
        blank=sum(each.blank for each in every),
    )


def find_functions(code: str, language: str | None) -> list[CodeFunction]:
    """Return a block's functions with their cyclomatic complexity, at most 500.

    lizard reads what is not whole, as excerpts in documents are not; languages that it does
    not know give none.
    """
    extension = _EXTENSIONS.get(language or "")
    if extension is None:
        return []
    try:
        found = lizard.analyze_file.analyze_source_code(f"block.{extension}", code)
    except (RecursionError, IndexError, ValueError, AttributeError, StopIteration):
        return []  # its readers may fail on the content of a document
    return [
        CodeFunction(
            name=function.name,
            line=function.start_line,
            complexity=function.cyclomatic_complexity,
            parameters=function.parameter_count,
        )
        for function in found.function_list[:_MOST_FUNCTIONS]
    ]
