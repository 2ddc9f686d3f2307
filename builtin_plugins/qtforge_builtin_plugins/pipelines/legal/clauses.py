"""Find the clauses that a contract has and lacks, by the terms of ``clauses.toml``."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qtforge_builtin_plugins.pipelines.legal.messages import Clause, ComplianceReport, MissingClause
from qtforge_builtin_plugins.pipelines.legal.sections import Sections
from qtforge_sdk.messages import Section as MarkedSection

__all__ = ["ClauseChecker", "load_checker"]

_DATA: Final = Path(__file__).with_name("clauses.toml")
_GENERAL: Final = "general"
_BEGINNING: Final = 400  # characters that contain the contract's title
_LEAST_SCORE: Final = 3
_MOST_COUNT: Final = 5  # further occurrences of a word add nothing to the score
_TITLE_SCORE: Final = 5
_MOST_MATCHED: Final = 100
# Within a sentence and a paragraph; the points in "1. März" and "31.12." do not end one.
_BETWEEN: Final = r"\b(?:[^.;\n]|(?<=\d)\.|\n(?!\s*\n)){0,80}?\b"
_BEGINS_WITH_WORD: Final = re.compile(r"[^\W_]|\*")
_ENDS_WITH_WORD: Final = re.compile(r"(?:[^\W_]|\*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """The terms of one clause in one language, as written and compiled."""

    headings: tuple[tuple[str, re.Pattern[str]], ...]
    text: tuple[tuple[str, re.Pattern[str]], ...]


class ClauseChecker:
    """The clauses of each kind of contract; made by `load_checker`.

    Attributes:
        languages: The languages that have terms, ISO 639-1.
        kinds: The kinds of contracts.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._clauses: Mapping[str, Mapping[str, Any]] = data["clauses"]
        self._kinds: Mapping[str, Mapping[str, Any]] = data["kinds"]
        self.kinds = tuple(self._kinds)
        self.languages = tuple(key for key in self._kinds[_GENERAL] if len(key) == 2)

    def kind_of(self, text: str, language: str) -> str:
        """Return the kind of contract whose terms the text has most, or ``general``."""
        sections = Sections(text)
        scores = {
            kind: sum(_score(sections.plain, term) for term in given[language])
            for kind, given in self._kinds.items()
        }
        best = max(scores, key=lambda kind: scores[kind])
        return best if scores[best] >= _LEAST_SCORE else _GENERAL

    def check(
        self, text: str, language: str, kind: str, marked: Sequence[MarkedSection] = ()
    ) -> ComplianceReport:
        """Return which clauses of the kind the text has.

        Args:
            text: The contract's text.
            language: One of `languages`.
            kind: One of `kinds`.
            marked: The headings that the text's format marks.
        """
        sections = Sections(text, marked)
        found: list[Clause] = []
        missing: list[MissingClause] = []
        for required in (True, False):
            for name in self._kinds[kind]["required" if required else "advised"]:
                terms = self._terms(name, language)
                clause = _find(name, self._clauses[name]["title"], terms, sections, required)
                if clause is not None:
                    found.append(clause)
                else:
                    looked_for = [term for term, _ in (*terms.headings, *terms.text)]
                    missing.append(
                        MissingClause(
                            name=name,
                            title=self._clauses[name]["title"],
                            required=required,
                            looked_for=list(dict.fromkeys(looked_for)),
                        )
                    )
        return ComplianceReport(
            contract_kind=kind,
            language=language,
            complete=not any(each.required for each in missing),
            clauses=sorted(found, key=lambda clause: clause.line),
            missing=missing,
        )

    def _terms(self, name: str, language: str) -> _Terms:
        given = self._clauses[name][language]
        return _Terms(
            headings=tuple((term, _compile_title(term)) for term in given["headings"]),
            text=tuple((term, _compile(term)) for term in given["text"]),
        )


def load_checker() -> ClauseChecker:
    """Load the terms."""
    return ClauseChecker(tomllib.loads(_DATA.read_text("utf-8")))


def _find(
    name: str, title: str, terms: _Terms, sections: Sections, required: bool
) -> Clause | None:
    place = _under_heading(terms.headings, sections) or _in_text(terms.text, sections)
    if place is None:
        return None
    start, end, matched = place
    quoted = sections.quote(start, end)
    heading = sections.heading_at(start)
    return Clause(
        name=name,
        title=title,
        required=required,
        line=sections.line_of(quoted.start),
        heading=None if heading is None else heading.text,
        extract=quoted.text,
        matched=" ".join(matched.split())[:_MOST_MATCHED],
    )


def _under_heading(
    terms: Iterable[tuple[str, re.Pattern[str]]], sections: Sections
) -> tuple[int, int, str] | None:
    """Return the first sentence below a heading of that name; empty sections do not count."""
    for _, pattern in terms:
        for section in sections.sections:
            if section.body is not None and any(map(pattern.fullmatch, section.names)):
                return section.body, section.body, section.heading.text
    return None


def _in_text(
    terms: Iterable[tuple[str, re.Pattern[str]]], sections: Sections
) -> tuple[int, int, str] | None:
    found = [place for _, pattern in terms if (place := _first(pattern, sections)) is not None]
    if not found:
        return None
    first = min(found, key=lambda match: match.start())
    return first.start(), first.end(), first[0]


def _first(pattern: re.Pattern[str], sections: Sections) -> re.Match[str] | None:
    """Return the first match that is not just the heading of an empty section."""
    for match in pattern.finditer(sections.plain):
        if not sections.is_bare_heading(match.start(), match.end()):
            return match
    return None


def _score(plain: str, term: str) -> int:
    pattern = _compile(term)
    count = sum(1 for _ in itertools.islice(pattern.finditer(plain), _MOST_COUNT))
    return count + _TITLE_SCORE * bool(pattern.search(plain, 0, _BEGINNING))


def _compile_title(term: str) -> re.Pattern[str]:
    return re.compile(re.escape(term).replace(r"\*", ".*").replace(r"\ ", r"\s+"), re.IGNORECASE)


def _compile(term: str) -> re.Pattern[str]:
    body = _BETWEEN.join(map(_phrase, term.split(" ... ")))
    start = r"(?<!\w)" if _BEGINS_WITH_WORD.match(term) else ""
    end = r"(?!\w)" if _ENDS_WITH_WORD.search(term) else ""
    return re.compile(start + body + end, re.IGNORECASE)


def _phrase(text: str) -> str:
    return r"\s+".join(re.escape(word).replace(r"\*", r"\w*") for word in text.split())
