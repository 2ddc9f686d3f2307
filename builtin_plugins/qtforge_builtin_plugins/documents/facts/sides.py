"""Which of a contract's names are its parties: one score for each name.

What other rules have found is evidence like any other: a role or a list mark before the name, a
definition or a birth date behind it, somebody who represents it, its place in the signatures. So
a town or a club without a legal form is a party where it stands like one, and the director who
signs for a company is none although a role is near.
"""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Protocol

from qtforge_builtin_plugins.documents.facts.bodies import (
    NAME_WORD,
    SMALL_WORD,
    find_bodies,
    is_kind,
)
from qtforge_builtin_plugins.documents.facts.common_words import is_common
from qtforge_builtin_plugins.documents.facts.companies import has_form, without_form
from qtforge_builtin_plugins.documents.facts.given_names import is_given
from qtforge_builtin_plugins.documents.facts.labels import Hit, fold
from qtforge_builtin_plugins.documents.facts.things import (
    is_thing,
    is_thing_compound,
    is_thing_word,
)

__all__ = ["COLUMN", "LINE", "Named", "Reading", "choose_parties"]

_HEAD: Final = 3_000  # characters in which the parties are named
_REACH: Final = 320  # from a name to its definition
_MOST_OCCURRENCES: Final = 4
_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿа-яёğışçöüłńśźżćęą]"
_PHRASE: Final = re.compile(
    rf"(?:{NAME_WORD})(?:[ \u00a0]{SMALL_WORD}{{0,3}}{NAME_WORD}){{0,7}}(?![\w@])"
)
_PHRASE_END: Final = re.compile(r"[ ]*(?:[,;(\n\t:]|$|[–-] |  |\.\n)")
_LIST_MARK: Final = re.compile(
    r"^[ \t]{0,8}(?:\(?(?:\d{1,2}|[a-zA-Z]|[IVX]{1,4})[.)]|[-–•*])[ \t]+", re.MULTILINE
)
LINE: Final = re.compile(r"[^\n]*\S[^\n]*")
"""The pattern of a line that is not empty."""

COLUMN: Final = re.compile(r"[^\s](?:[^\t\n ]|[ ](?![ ]{2}))*")
"""The pattern of a cell of a line, up to a tab or three spaces."""

_BLOCK: Final = re.compile(
    r"(?:^|\n[ \t]*\n)[ \t]{0,8}(?P<line>[^\W\d_a-zß-öø-ÿа-яё][^\n:;.()\d\t]{4,70})\n"
    r"(?P<rest>(?:[^\n]*\S[^\n]*\n?){1,6})"
)
# Between the names of an enumeration: a comma or "and", and a definition.
_ENUMERATION: Final = re.compile(
    r"(?: ?\([^()\n]{2,40}\))?(?:,|,?[ \n](?:and|und|et|y|e|en|и|ve))[ \n]"
    r"(?:[^\W\d_]{1,8}\.? ){0,2}"
)
_SMALL: Final = re.compile(SMALL_WORD)
_SHORT: Final = 4  # words of a role
# Between the beginning of a slot and its name: marks, and the words that describe a party.
_LEAD: Final = re.compile(
    r"[\s:–—\"“„«',(-]{0,12}"
    r"(?:(?:[^\W\dA-ZÀ-ÞА-ЯЁĞİŞÇÖÜ_][\w'’.-]{0,24}|Firma|Eheleuten?|Gesellschaft)"
    r"[ \u00a0\n]+){0,8}"
    r"[\"“„«']?"
)
_SMALL_AT_END: Final = re.compile(r"(?: [a-zà-ÿа-яё]{1,5}(?: the| la)?)$")
_GOES_ON: Final = re.compile(r"[ ]?\.\w|-[^\W\d_]")  # the dots of a legal form
_ALONE: Final = re.compile(r"[\s\W]*$")
_AFTER_NAMES: Final = frozenset({"tr"})  # whose words such as "between" are behind the names
_BEFORE_AND: Final = frozenset(",;)”»\".’'")  # between two sides; "A and B" are one
_HOUSE_NUMBER: Final = re.compile(r"\.?[ ](?:No|Nr|N|n|nº|n°)?[.:°º]{0,2}[ ]?\d")
_NUMBER_BEFORE: Final = re.compile(
    r"(?<![\w.(])\d{1,5}[a-z]?,? (?:(?:La|Le|Les|Los|Las|El|Bad|Sankt|St\.?) |L['’])?$"
)
_HOUSE_NUMBER_BELOW: Final = re.compile(r",[ \n]\d")  # of Trelawny House, 4 Fore Street
_REST_OF_ADDRESS: Final = re.compile(
    r",[ \n][^\n]{0,40}?\d"
)  # of an estate: Glebe Farm, 3 Mill Road
_DETAIL: Final = re.compile(r"[^\n\w]{0,3}\n?[^\n]{0,60}\d")
_SLOTS: Final = ("role", "also", "between", "party", "naming", "behalf")
_BEGINNINGS: Final = frozenset({"role", "also", "between", "naming", "list"})
_LEAST_BETWEEN: Final = 4  # letters; shorter words between parties are articles
# What a body without a legal form has before it where it is a party.
_STANDING: Final = frozenset(
    {"rule", "described", "after role", "after list", "after also", "after party", "after between",
     "after naming", "after behalf", "joined", "before between",
     "represented at once"}
)  # fmt: skip
# What is directly before a party, so that an article is no genitive: zwischen der Gemeinde.
_STANDING_AT: Final = frozenset({"after role", "after list", "after between"})
_NAMES: Final = frozenset({"company", "person"})
_MARKS: Final = " \t\n\"“”„«»'()–—:-,.;*_"
_SIGNATURES: Final = 0.6  # the part of a contract before its signatures
# Found by logistic regression on the contracts of the accuracy set's readable folders and 40 more
# that were written for it, each folder judged by the others; a rule's finding was left out of
# three in five, so that the others have a weight of their own.
_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "rule": 1.8, "company": 3.0, "body": 0.2, "phrase": -3.1, "part": -6.3,
        "described": 2.0, "named below a role": 1.5, "after role": 1.8, "after list": 1.8,
        "after also": 1.2, "after party": 0.3, "after naming": -1.2, "joined": 0.7,
        "after between": 0.7, "before between": 0.1, "defined": 1.0, "role below": 0.3,
        "details": 1.3,
        "is represented": 0.4, "represented at once": 1.1, "first two": 1.2, "early": 0.7,
        "in the signatures": 0.4,
        "capitals": -0.4, "follows another": -0.8, "post": -1.3, "contact": -1.4, "of": -1.5,
        "street": -1.6, "in an address": -3.0, "represents": -2.1, "acts for another": -3.5,
        "in a section": -1.8,
        "late": -3.8,
    }
)  # fmt: skip
_BIAS: Final = -3.0
_LEAST_PARTIES: Final = 2
_SURNAME: Final = 5.0  # a party has a full name
_DOUBTFUL: Final = -1.5  # the least score of a name that is taken when too few are sure
_ABOUT: Final = re.compile(
    r"(?<!\w)(?:of|di|della|dell|de|der|des|von|van|name|nom|nombre|nome|naam)[ \n'’«„“\"]{1,3}"
    r"(?:(?:the|la|le|der|den|de|het|il|el)[ ])?$"
)
_MOST_JOINT: Final = 16  # characters of " and Dr. "
_MOST_GAP: Final = 4
_NEAR: Final = 120  # from words such as "represented by" to the second of two names
# The end of a sentence, which no abbreviation has before it, and of an enumeration's part.
_SENTENCE_END: Final = re.compile(
    r"[;(]|\n\n|(?<=[^\W\d_]{6})\.\s|,[ \n](?:and|und|et|y|e|en|и|ve|sowie)[ \n]"
    r"|\n[ ]?(?:ET|E|EN|UND|AND|Y|И|und|and|et)[ :]*\n"
)


@dataclass(frozen=True, slots=True)
class Named:
    """A name in a contract: of a party, or of a person who acts for one."""

    name: str
    start: int
    is_party: bool


class Reading(Protocol):
    """What is known of a contract's text."""

    text: str
    raw: str
    folded: str
    language: str | None
    hits: list[Hit]

    @property
    def lower_words(self) -> frozenset[str]:
        """The words that the text has in small letters."""

    @property
    def middle(self) -> int:
        """The position after which parties are only named again."""

    @property
    def roles(self) -> frozenset[str]:
        """The folded words that name a role in this contract, not a party."""

    def hits_in(self, start: int, end: int) -> list[Hit]:
        """Return the words that begin between two positions."""

    def is_represented(self, start: int) -> bool:
        """Return whether words such as ``represented by`` are shortly before a position."""

    def is_described(self, start: int, end: int) -> bool:
        """Return whether words such as ``born on`` make a person a party."""

    @property
    def definitions(self) -> list[tuple[int, int]]:
        """Where roles are defined."""

    def after_title(self, position: int) -> int:
        """Return where a name begins after its titles."""


@dataclass(slots=True, eq=False)
class _Candidate:
    """A name with what speaks for and against it.

    Attributes:
        name: As written.
        start: Its first place.
        kind: ``company``, ``body``, ``person`` or ``phrase``.
        rule: Whether a rule has taken it for a party.
        places: Where it is in the contract's head.
        evidence: What was seen.
    """

    name: str
    start: int
    kind: str
    rule: bool
    places: list[int] = field(default_factory=list)
    evidence: set[str] = field(default_factory=set)
    score: float = 0.0


def choose_parties(reading: Reading, names: Sequence[Named], first_section: int) -> list[Named]:
    """Return the names with who is a party, and the bodies that are parties without a form.

    Args:
        reading: The contract.
        names: The names that rules have found.
        first_section: Where the first section begins.
    """
    found = candidates(reading, names, first_section)
    found = [each for each in found if each.kind != "body" or _STANDING & each.evidence]
    for each in found:
        if (
            each.kind == "phrase"
            and _STANDING_AT & each.evidence | {"after also"} & each.evidence
            and {"details", "is represented", "represented at once", "defined"} & each.evidence
            and not {"capitals", "street", "late"} & each.evidence
        ):
            each.evidence -= {"phrase"}
            each.evidence |= {"body"}
        is_surname = each.kind == "person" and len(each.name.split()) == 1
        each.score = _BIAS + sum(_WEIGHTS.get(seen, 0.0) for seen in each.evidence)
        each.score -= _SURNAME * is_surname
    chosen = [each for each in found if each.score > 0]
    if len(chosen) > _LEAST_PARTIES:  # the shareholders of a company, not the company
        chosen = [each for each in chosen if not {"of", "company"} <= each.evidence]
    chosen += [each for each in found if each not in chosen and _is_joined(reading, each, chosen)]
    chosen += [each for each in found if each not in chosen and _is_between(reading, each, chosen)]
    if len(chosen) < _LEAST_PARTIES:
        more = sorted(found, key=lambda each: -each.score)[:_LEAST_PARTIES]
        chosen = [
            each
            for each in more
            if each in chosen
            or (
                (chosen or each.rule)
                and each.score > _DOUBTFUL
                and "acts for another" not in each.evidence
            )
        ]
    return [
        Named(each.name, each.start, each in chosen)
        for each in found
        if (each.kind in _NAMES and not _is_only_part(reading, each, chosen)) or each in chosen
    ]


def _is_only_part(reading: Reading, each: _Candidate, chosen: Sequence[_Candidate]) -> bool:
    """Return whether words are taken for a person that are a part of a body's name everywhere."""
    return (
        each.kind == "person"
        and not is_given(each.name.split()[0], reading.language)
        and any(
            other.kind == "body"
            and all(
                any(at <= place < at + len(other.name) for at in other.places)
                for place in each.places
            )
            for other in chosen
        )
    )


def _is_between(reading: Reading, each: _Candidate, chosen: Sequence[_Candidate]) -> bool:
    """Return whether a person is enumerated with parties: A and B, or A, B and C."""
    if (
        each.kind != "person"
        or each.score <= _DOUBTFUL - 1
        or {"represents", "late"} & each.evidence
    ):
        return False
    people = [other for other in chosen if other.kind == "person"]
    place = each.places[0]
    after = [other for other in people if other.places[0] > place]
    if not after:
        return False
    following = min(after, key=lambda other: other.places[0])
    gap = reading.text[place + len(each.name) : following.places[0]]
    if "joined" in following.evidence and "rule" in each.evidence and len(gap) < _MOST_JOINT:
        return True
    before = [other for other in people if other.places[0] < place]
    if not before or _ENUMERATION.fullmatch(gap) is None:
        return False
    first = max(before, key=lambda other: other.places[0])
    return (
        _ENUMERATION.fullmatch(reading.text[first.places[0] + len(first.name) : place]) is not None
    )


def _is_joined(reading: Reading, each: _Candidate, chosen: Sequence[_Candidate]) -> bool:
    """Return whether a name is the second of two in one breath, of which the first is a party."""
    return (
        "joined" in each.evidence
        and each.kind == "person"
        and each.score > _DOUBTFUL
        and any(
            other.kind == "person" and 0 < place - at - len(other.name) < _MOST_JOINT
            for other in chosen
            for place in each.places[:1]
            for at in other.places
        )
    )


def candidates(reading: Reading, names: Sequence[Named], first_section: int) -> list[_Candidate]:
    """Return the names that may be parties, with their evidence, in the text's order."""
    head = min(_HEAD, len(reading.text))
    found = [
        _Candidate(
            each.name, each.start, "company" if has_form(each.name) else "person", each.is_party
        )
        for each in names
    ]
    text = reading.text
    bodies = list(find_bodies(text, reading.language, head))
    bodies = [_without_role(reading, start, name) for start, name in bodies]
    for each in found:
        for start, name in bodies:
            if each.kind == "person" and each.start <= start and each.name.endswith(name):
                each.start, each.name, each.kind = start, name, "body"  # der Gemeinde
                break
            if (
                each.kind == "person"
                and (each.rule or text[max(0, start - 1) : start] in ("", "\n"))
                and start < each.start
                and start + len(name) == each.start + len(each.name)
            ):
                each.start, each.name, each.kind = start, name, "body"  # Galleria Rossi
                break
            if each.kind == "person" and each.start == start and name.startswith(each.name):
                name = _first_line(reading, start, name)
                each.name, each.kind = name, "body"  # the rest of a long name
                break
    covered = [(each.start, each.start + len(each.name)) for each in found]
    for start, name in bodies:
        if _GOES_ON.match(text, start + len(name)) is None:
            name = _first_line(reading, start, name)
            _add(reading, found, covered, start, name, "body")
    slots = list(_slots(reading, head))
    for slot, at, start in slots:
        phrase = _phrase_at(reading, start)
        if phrase is not None:
            is_valued = (slot == "role" and "\n" not in text[at:start]) or (
                slot == "naming" and _has_heading(reading, at)
            )
            kind = "body" if is_valued else "phrase"
            words = [
                word
                for word in phrase.split()
                if word[:1].isupper() and not _SMALL.fullmatch(f"{word.lower()} ")
            ]
            first, *others = words or [""]
            if is_given(first, reading.language):
                if others and all(is_common(word, reading.language) for word in others):
                    continue
                if is_thing_compound(first, reading.language):
                    continue
                end = start + len(phrase)
                if is_thing(text, start, end, reading.language, in_parties=start < first_section):
                    continue
                kind = "person"
            elif kind == "phrase" and (
                all(is_common(word, reading.language) for word in words)
                or (others and start > first_section and is_thing_word(first, reading.language))
            ):
                continue  # Core Team, Mount Pleasant
            _add(reading, found, covered, start, phrase, kind)
    found.sort(key=lambda each: each.start)
    _see(reading, found, slots, head, first_section)
    return found


def _without_role(reading: Reading, start: int, name: str) -> tuple[int, str]:
    """Return a body without the role before its name: Creditor Oak Bank."""
    for hit in reading.hits_in(start, start + 1):
        rest = name[hit.end - start :].lstrip()
        if is_kind(name[: hit.end - start], reading.language):
            continue
        if (
            {"role", "between"} & set(hit.kinds)
            and len(rest.split()) > 1
            and (reading.text[hit.end : hit.end + 1] == " " and hit.end - start >= _LEAST_BETWEEN)
        ):
            return start + len(name) - len(rest), rest
    return start, name


def _add(
    reading: Reading,
    found: list[_Candidate],
    covered: list[tuple[int, int]],
    start: int,
    name: str,
    kind: str,
) -> None:
    end = start + len(name)
    key = fold(name)
    for index, each in enumerate(found):
        if fold(each.name) == key:
            return
        at, until = covered[index]
        if (
            start < until
            and at < end
            and not (kind == "body" and each.kind == "person" and start < at)
        ):
            return
    is_term = any(
        hit.start == start and "other" in hit.kinds for hit in reading.hits_in(start, start + 1)
    )
    if key in reading.roles or is_term:
        return
    if kind == "phrase" and any(key in fold(each.name) for each in found):
        return
    found.append(_Candidate(name, start, kind, False))
    covered.append((start, end))


def _first_line(reading: Reading, start: int, name: str) -> str:
    """Return a name without the next line, unless it is open at the end of the first."""
    at = reading.raw.find("\n", start, start + len(name))
    first = reading.raw[start:at].rstrip() if at >= 0 else name
    is_whole = len(first.split()) > 1 and first.split()[-1][:1].isupper()
    return first if is_whole else name


def _slots(reading: Reading, head: int) -> Iterator[tuple[str, int, int]]:
    """Yield the kind of each place at which a party's name may begin, its place, and the name's."""
    text = reading.text
    for hit in reading.hits_in(0, head):
        kinds = set(hit.kinds)
        kind = next((each for each in _SLOTS if each in kinds), None)
        if kind is None:
            continue
        if (
            kind == "between"
            and hit.end - hit.start < _LEAST_BETWEEN
            and not text[hit.start].isupper()
        ):
            continue
        follower = text[hit.end : hit.end + 2]
        if kind in ("role", "naming"):
            line = text.rfind("\n", 0, hit.start) + 1
            is_first = _ALONE.match(text[line : hit.start]) is not None
            is_valued = (
                follower.lstrip(" ")[:1] in (":", "\t", "–", "—", "\n", "|") or follower == "  "
            )
            if follower[:1] == "," or not (is_valued or (is_first and kind == "role")):
                continue
            if follower.lstrip(" ")[:1] == "\n" and kind == "naming":
                continue
            if any("contact" in each.kinds for each in reading.hits_in(line, hit.start)):
                continue  # contact of the museum: Jane Doe
        start = _name_start(reading, hit.end)
        if start is not None:
            yield kind, hit.start, start
    for match in _LIST_MARK.finditer(reading.raw, 0, head):
        if any("title" in hit.kinds for hit in reading.hits_in(match.start(), match.end())):
            continue  # D. Juan
        start = _name_start(reading, match.end())
        if start is not None:
            yield "list", match.start(), start
    yield from _columns(reading, head)
    yield from _blocks(reading, head)


def _blocks(reading: Reading, head: int) -> Iterator[tuple[str, int, int]]:
    """Yield the first lines of paragraphs that are a name with its details in the lines below."""
    for match in _BLOCK.finditer(reading.raw, 0, head):
        if (
            match.start("line")  # not the head of a letter
            and any(map(str.isdigit, match["rest"]))
            and match["line"].strip(" ,") != match["line"].upper()
        ):
            start = _name_start(reading, match.start("line"))
            if start is not None and start < match.end("line"):
                yield "list", match.start("line"), start


def _columns(reading: Reading, head: int) -> Iterator[tuple[str, int, int]]:
    """Yield the first cell below each role of a line that has only roles, as tables have it."""
    lines = list(LINE.finditer(reading.raw, 0, head))
    for line, following in pairwise(lines):
        cells = list(COLUMN.finditer(reading.raw, *line.span()))
        below = list(COLUMN.finditer(reading.raw, *following.span()))
        if len(cells) < _LEAST_PARTIES or len(below) != len(cells):
            continue
        roles = [
            {"role"} & {kind for hit in reading.hits_in(*cell.span()) for kind in hit.kinds}
            and len(cell[0].split()) < _SHORT
            for cell in cells
        ]
        if not all(roles):
            continue
        for cell, role in zip(below, cells, strict=True):
            start = _name_start(reading, cell.start())
            if start is not None:
                yield "role", role.start(), start


def _name_start(reading: Reading, position: int) -> int | None:
    lead = _LEAD.match(reading.text, position)
    start = reading.after_title(lead.end() if lead else position)
    return (
        start
        if reading.text[start : start + 1].isupper() or reading.text[start : start + 1].isdigit()
        else None
    )


def _phrase_at(reading: Reading, start: int) -> str | None:
    """Return the words with capitals at a place, if they may be a name."""
    match = _PHRASE.match(reading.text, start)
    if match is None:
        return None
    end = match.end()
    for hit in reading.hits_in(start, end):
        if hit.start == start and {
            "other",
            "stop",
            "role",
            "id",
            "between",
            "defined",
            "signature",
        } & set(hit.kinds):
            return None
        if hit.start > start and {
            "represents",
            "personal",
            "id",
            "defined",
            "stop",
            "between",
            "also",
        } & set(hit.kinds):
            is_word = reading.text[hit.start - 1].isspace()
            if is_word and (reading.text[hit.start].islower() or hit.end >= end):
                end = hit.start
                break
    if any("title" in hit.kinds and hit.end >= end - 1 for hit in reading.hits_in(start, end)):
        return None  # Il Sig.
    name = _first_line(reading, start, reading.text[start:end]).rstrip(" ,.–-\n")
    name = _SMALL_AT_END.sub("", name)
    end = min(end, start + len(name))
    if any("other" in hit.kinds for hit in reading.hits_in(start, end)) or name[0].isdigit():
        return None
    words = re.findall(r"[^\W\d_]+", name)
    is_alone = not reading.raw[reading.raw.rfind("\n", 0, start) + 1 : start].strip() and (
        reading.raw[end : end + 1] in ("\n", "")
    )
    is_heading = name.isupper() and not has_form(name) and (len(words) > 2 or is_alone)
    if is_heading or len(words) < 2 or len(name) > 90 or not any(len(word) > 2 for word in words):
        return None
    if all(word.lower() in reading.lower_words for word in words if len(word) > 2):
        return None
    if _PHRASE_END.match(reading.text, end) is None and not any(
        hit.start <= end + 2 for hit in reading.hits_in(end, end + 3)
    ):
        return None
    return name


def _see(
    reading: Reading,
    found: list[_Candidate],
    slots: Sequence[tuple[str, int, int]],
    head: int,
    first_section: int,
) -> None:
    text = reading.text
    folded = reading.folded[:head].replace("\n", " ")
    tail = reading.folded[int(len(text) * _SIGNATURES) :]
    for each in found:
        key = " ".join(fold(each.name).split())
        places: list[int] = []
        at = folded.find(key)
        while at >= 0 and len(places) < _MOST_OCCURRENCES:
            places.append(at)
            at = folded.find(key, at + len(key))
        each.places = sorted({each.start, *places})
    starts = sorted(place for each in found for place in each.places)
    definitions = reading.definitions
    posts = [hit for hit in reading.hits if "post" in hit.kinds]
    ends = sorted((place + len(each.name), place) for each in found for place in each.places)
    for index, each in enumerate(found):
        seen = each.evidence
        if any(_is_part(each, other) for other in found):
            seen.add("part")
        seen.add(each.kind)
        if each.rule:
            seen.add("rule")
        if each.name.isupper() and each.kind != "company":
            seen.add("capitals")
        first = each.places[0]
        if first > reading.middle:
            seen.add("late")
        elif first > first_section:
            seen.add("in a section")
        if first < 1000:
            seen.add("early")
        for place in each.places:
            end = place + len(each.name)
            for kind, at, start in slots:
                is_inside = each.kind == "body" and place <= start < end
                if (
                    start == place
                    or is_inside
                    or (start < place and _is_lead(reading, start, place))
                ):
                    is_joined = (
                        kind == "also"
                        and text[:at].rstrip()[-1:] not in _BEFORE_AND
                        and reading.raw[at - 1 : at] != "\n"
                    )
                    seen.add("joined" if is_joined else f"after {kind}")
                    if kind == "naming" and _has_heading(reading, at):
                        seen.add("named below a role")
            before = [at for at in ends if at[0] <= place and place - at[0] < 250][-1:]
            if (
                place == first
                and before
                and not any(at == place and kind in _BEGINNINGS for kind, _, at in slots)
            ):
                gap = text[before[0][0] : place]
                if gap == ", " and _REST_OF_ADDRESS.match(text, end):
                    seen.add("in an address")
                if "\n\n" not in gap and not any(
                    before[0][0] < stop <= place for _, stop in definitions
                ):
                    seen.add("follows another")
            following = starts[bisect_left(starts, end) :]
            until = min(
                (
                    next((s for s in following if _is_side(slots, s)), len(text)),
                    end + _REACH,
                    len(text),
                )
            )
            if any(end < stop <= until + 4 for _, stop in definitions):
                seen.add("defined")
            for hit in reading.hits_in(end, until):
                kinds = set(hit.kinds)
                if "represents" in kinds and hit.start < until:
                    seen.add("is represented")
                    if hit.start <= end + _MOST_GAP:
                        seen.add("represented at once")
                if "behalf" in kinds and place == first:
                    seen.add("acts for another")
                if "role" in kinds and _is_alone(text, hit):
                    seen.add("role below")
            own = [
                at for kind, at, start in slots if start == place and kind in _BEGINNINGS - {"also"}
            ]
            if place == first and _represents(
                reading, place, end, max(own, default=0), definitions
            ):
                seen.add("represents")
            if text[place - 1 : place] == "(" and text[end : end + 1] == ")" and place == first:
                seen.add("represents")  # Oak Stables (Jane Doe)
            if reading.language in _AFTER_NAMES and any(
                "between" in hit.kinds for hit in reading.hits_in(end, end + 4)
            ):
                seen.add("before between")
            if (
                _HOUSE_NUMBER.match(text, end)
                or _NUMBER_BEFORE.search(text, max(0, place - 16), place)
                or (
                    text[max(0, place - 4) : place] == " of "
                    and _HOUSE_NUMBER_BELOW.match(text, end)
                )
            ):
                seen.add("street")
            if _DETAIL.match(text, end):
                seen.add("details")
            if reading.is_described(place, end):
                seen.add("described")
            if place == first and any(
                {"contact"} & set(hit.kinds) and hit.end <= place <= hit.end + 12
                for hit in reading.hits_in(place - 60, place)
            ):
                seen.add("contact")
            if place == first and any(
                (0 <= place - hit.end <= 3)
                or (each.kind == "person" and 0 <= hit.start - end <= 4)
                or (hit.end < place and reading.after_title(hit.end + 1) == place)
                for hit in posts
            ):
                seen.add("post")
        if "represents" in seen:
            seen -= {"defined", "role below", "after also", "after role"}
        if fold(each.name) in tail:
            seen.add("in the signatures")
        if index < 2:
            seen.add("first two")
        if (
            each.kind != "person"
            and not (each.kind == "body" and _STANDING_AT & seen)
            and _ABOUT.search(text, max(0, first - 40), first)
        ):
            seen.add("of")


def _represents(
    reading: Reading, place: int, end: int, slot: int, definitions: Sequence[tuple[int, int]]
) -> bool:
    """Return whether words such as ``represented by`` are before a name, or one joined to it."""
    if reading.language == "tr" and any(
        "represents" in hit.kinds for hit in reading.hits_in(end, end + _MOST_GAP + 1)
    ):
        return True  # whose such words are after the name
    for hit in reading.hits_in(max(slot, place - _NEAR), place):
        if "represents" not in hit.kinds or hit.end > place:
            continue
        gap = reading.text[hit.end : place]
        if reading.language == "tr" and len(gap) > _MOST_GAP:
            continue
        if _SENTENCE_END.search(gap) is None and not any(
            hit.end < stop <= place for _, stop in definitions
        ):
            return True
    return False


def _is_part(each: _Candidate, other: _Candidate) -> bool:
    """Return whether a name is a shorter form of another one."""
    if each is other:
        return False
    inner, outer = each.places, other.places
    is_inside = all(
        any(at <= place and place + len(each.name) <= at + len(other.name) for at in outer)
        for place in inner
    )
    if (
        is_inside
        and len(each.name) < len(other.name)
        and other.kind in ("body", "company")
        and each.kind == "person"
    ):
        return True
    if each.rule and not other.rule:
        return False
    words, others = _key(each.name), _key(other.name)
    if len(words) < len(others) and set(words) <= set(others):
        return True
    return words == others and (other.rule, len(other.name)) > (each.rule, len(each.name))


def _key(name: str) -> list[str]:
    return re.findall(r"\w+", fold(without_form(name)))


def _is_side(slots: Sequence[tuple[str, int, int]], start: int) -> bool:
    return any(at == start for _, _, at in slots)


def _is_lead(reading: Reading, start: int, place: int) -> bool:
    """Return whether only a kind of body or a title is between a slot and a name."""
    between = reading.text[start:place]
    return (
        len(between) < 40
        and re.fullmatch(r"[^\W\d_][\w'’.-]*[ «\"„“]{1,2}(?:[a-z]\w*[ ]){0,2}", between) is not None
    )


def _has_heading(reading: Reading, position: int) -> bool:
    """Return whether a role is alone in a line shortly before a position."""
    return any(
        {"role", "side"} & set(hit.kinds) and (_is_alone(reading.text, hit) or "side" in hit.kinds)
        for hit in reading.hits_in(position - 160, position)
    )


def _is_alone(text: str, hit: Hit) -> bool:
    """Return whether a role has its line for itself."""
    line = text.rfind("\n", 0, hit.start) + 1
    end = text.find("\n", hit.end)
    before, after = (
        text[line : hit.start].strip(_MARKS),
        text[hit.end : end if end >= 0 else len(text)].strip(_MARKS),
    )
    return len(before) < 24 and before.islower() | (not before) and not after
