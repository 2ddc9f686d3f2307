"""Full names of people, by the given name in them, and every later form of a name that is known.

A given name is one of ``given_names.toml``; the words with capitals after it are the surname.
Russian names have a patronymic or initials as well, and all of their words are declined.
"""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from qtforge_builtin_plugins.documents.facts.common_words import is_common
from qtforge_builtin_plugins.documents.facts.given_names import is_given, stem
from qtforge_builtin_plugins.documents.facts.labels import fold
from qtforge_builtin_plugins.documents.facts.things import is_thing, is_thing_compound

__all__ = [
    "CAPITAL",
    "PARTICLES",
    "PERSON_SMALL",
    "PERSON_WORD",
    "Forms",
    "Word",
    "find_people",
    "generation",
    "has_article",
    "split_words",
]

CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿа-яёğışçöüłńśźżćęą]"
"""The pattern of a capital letter."""

PERSON_WORD: Final = (
    rf"{CAPITAL}(?:\.|['’]{CAPITAL}[^\W\d_]+|[^\W\d_]+(?:['’-]{CAPITAL}?[^\W\d_]+)*|(?!\w))"
)
"""The pattern of a word of a person's name."""

PERSON_SMALL: Final = (
    r"(?:van|von|der|den|de|da|di|del|della|dos|du|ter|ten|le|la|al|bin|zu|el|ap|['’]t)"
)
"""The pattern of a small word between them, such as ``van``."""

_WORD: Final = re.compile(r"(?<!\w)[^\W\d_]+(?:['’-][^\W\d_]+)*(?!\w)")
# Between the words of a name: a space, one line break, and a full stop after an initial.
_GAP: Final = re.compile(r"[ \u00a0]{1,2}(?:[dDlL]?['’]|‘)?|[ ]?\n[ ]{0,4}")
_INITIAL_GAP: Final = re.compile(r"\.(?:[ \u00a0]|-)?\n?")
# After a name, and a part of it: Jane Doe, Jr.
_GENERATION: Final = re.compile(r",?[ \u00a0](?:(?:[JS]r\.?|Esq\.?)(?!\w)|I{2,3}(?!\w)|IV(?!\w))")
PARTICLES: Final = frozenset(
    [
        "van", "von", "vom", "der", "den", "de", "da", "di", "del", "dello", "della",
        "degli", "dei", "dos", "das", "du", "ter", "ten", "te", "le", "la", "las", "los",
        "al", "el", "bin", "ibn", "zu", "zur", "zum", "af", "av", "i", "y", "d", "l", "t",
        "‘t", "'t", "’t", "op", "aan", "in", "het", "lo", "mac", "mc", "st", "san",
        "santa", "ap", "ferch", "dal", "dalla",
    ]
)  # fmt: skip
_PATRONYMIC: Final = re.compile(
    r"[А-ЯЁ][а-яё]+(?:[ое]вич|ьич|[ое]вн|ичн|инич)(?:|а|у|ем|е|ы|ой|ою)"
    r"|(?:Ильи|Кузьми|Луки|Фоми)ч(?:|а|у|ом|е)"
)
_RUSSIAN_PLURAL: Final = re.compile(r"(?:ие|ые)$")
_CYRILLIC: Final = re.compile(r"[а-яё]", re.IGNORECASE)
_LEAST_STEM: Final = 2  # letters
_MOST_WORDS: Final = 7
_MOST_SURNAMES: Final = 2  # before a given name
_SIGNATURES: Final = 0.6  # the part of a contract before its signatures
_OPEN_QUOTES: Final = tuple('"“„«')
_CLOSE_QUOTES: Final = tuple('"”“»')
# Before the name of a saint, which is one of a place: Santa Cruz, San José.
_SAINTS: Final = frozenset(
    {"san", "santa", "santo", "sant", "saint", "sainte", "st", "sankt", "sint", "sao"}
)
_HOLIDAYS: Final = frozenset({"noel", "natale", "toussaint", "pascua", "pasqua", "navidad"})
_TURKISH_SUFFIX: Final = re.compile(r"(?<![cC])['’][a-zçğıöşü]+$")
_SENTENCE: Final = re.compile(r"(?:^|[.!?:;\n\t•*\"“„«(–—-])[ \u00a0\n]*(?:\(?\w{1,3}[.)] ?)?$")
_STREET_AFTER: Final = re.compile(r" (?:Street|Road|Lane|Avenue|Square|Bridge)(?!\w)")
_PART_OF_COMPOUND: Final = re.compile(r"-[ \n](?:und|oder|bzw|en|of)\b")
# A name has no article before it, and no number: two Mercedes, das Ludwig Doe Haus.
_ARTICLE_BEFORE: Final = {
    "de": re.compile(
        r"(?<!\w)(?:[Ii]m|[Aa]m|[Zz]um|[Ii]ns|[Aa]ns|[Dd]as|[Ee]ine?[mnrs]?|[Zz]wei|[Dd]rei|[Vv]ier)"
        r"[ \n]$"
    ),
    "en": re.compile(r"(?<!\w)(?:[Tt]he|[Aa]n?|[Oo]ne|[Tt]wo|[Tt]hree|[Ff]our)[ \n]$"),
    "es": re.compile(
        r"(?<!\w)(?:[Ee]l|[Ll][ao]s|[Aa]l|[Dd]el|[Uu]n(?:[ao]s?)?|[Dd]os|[Tt]res)[ \n]$"
    ),
    "fr": re.compile(
        r"(?<!\w)(?:[Ll]es?|[Aa]ux?|[Dd]es|[Dd]u|[Uu]ne?|[Dd]eux|[Tt]rois|[Cc]et(?:te)?)[ \n]$"
    ),
    "it": re.compile(r"(?<!\w)(?:[Uu]n[ao]?|[Dd]ue|[Tt]re|[Nn]el(?:lo)?|[Ss]ul)[ \n]$"),
    "nl": re.compile(r"(?<!\w)(?:[Dd]e|[Hh]et|[Ee]en|[Tt]wee|[Dd]rie)[ \n]$"),
    "tr": re.compile(r"(?<!\w)(?:[Bb]ir|[İi]ki|[Üü]ç|[Aa]det)[ \n]$"),
}
# A surname alone has no article before it: el Rey, im Sommer, the Marsh.
_ARTICLE_BEFORE_SURNAME: Final = {
    "de": re.compile(r"(?<!\w)(?:[Ii]m|[Aa]m|[Zz]um|[Ii]ns|[Aa]ns)[ \n]$"),
    "en": re.compile(r"(?<!\w)(?:[Tt]he|[Aa]n?)[ \n]$"),
    "es": re.compile(r"(?<!\w)(?:[Ee]l|[Ll]os|[Aa]l|[Dd]el|[Uu]na?)[ \n]$"),
    "fr": re.compile(r"(?<!\w)(?:[Ll]es?|[Aa]ux?|[Dd]es|[Uu]ne?)[ \n]$"),
}
# The words that a language lets follow a surname without a comma are nouns with capitals.
_BETWEEN_WORDS: Final = frozenset(
    ["of", "and", "the", "for", "to", "by", "with", "und", "für", "mit", "et", "pour", "avec",
     "con", "per", "para", "por", "voor", "met", "ve", "ile", "и", "для"]
)  # fmt: skip
_ONE_SURNAME: Final = frozenset(["de"])
_TWO_SURNAMES: Final = frozenset(["es", "pt"])


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text with its place."""

    text: str
    start: int
    end: int

    @property
    def is_capital(self) -> bool:
        """Whether it begins with a capital, also after such as ``d'``."""
        return self.text[0].isupper() or (self.text[:2] in _ELISIONS and self.text[2:3].isupper())


_ELISIONS: Final = ("d'", "d’", "l'", "l’")


def _key(word: str) -> str:
    """Return the form of a word by which its spellings and cases are compared."""
    folded = fold(word)
    return stem(folded) if _CYRILLIC.search(folded) else folded


def has_article(text: str, start: int, language: str | None) -> bool:
    """Return whether an article or a number is before a position, which people do not have.

    >>> has_article("das Ludwig Erhard Haus", 4, "de"), has_article("bei Ludwig Erhard", 4, "de")
    (True, False)
    """
    before = _ARTICLE_BEFORE.get(language or "")
    return before is not None and before.search(text[max(0, start - 8) : start]) is not None


def generation(text: str, end: int) -> str:
    """Return what is after a name that ends at a position, such as ``, Jr.``, or nothing."""
    match = _GENERATION.match(text, end)
    return match[0] if match else ""


def split_words(text: str) -> list[Word]:
    """Return the words of a text; the suffix of a Turkish name is no part of it."""
    words: list[Word] = []
    for match in _WORD.finditer(text):
        written = _TURKISH_SUFFIX.sub("", match[0])
        if written[:2] in _ELISIONS and written[2:3].isupper():
            words.append(Word(written[2:], match.start() + 2, match.start() + len(written)))
        else:
            words.append(Word(written, match.start(), match.start() + len(written)))
    return words


def find_people(
    text: str,
    raw: str,
    words: Sequence[Word],
    language: str | None,
    is_other: Callable[[Word], bool],
    lower_words: frozenset[str],
    titles: frozenset[int] = frozenset(),
) -> Iterator[tuple[int, str]]:
    """Yield each full name with its place.

    Args:
        text: The text, with the lines of a paragraph joined.
        raw: The text as it is, of the same length.
        words: The words of the text, from `split_words`.
        language: ISO 639-1, or None.
        is_other: Whether a word is known to be none of a name.
        lower_words: The words that the text has in small letters.
        titles: The places at which a title ends.
    """
    found = _Finder(text, raw, words, language, is_other, lower_words, titles)
    yield from found.by_given_names()
    if language == "ru":
        yield from found.russian()
    yield from found.by_initials()


class _Finder:
    def __init__(
        self,
        text: str,
        raw: str,
        words: Sequence[Word],
        language: str | None,
        is_other: Callable[[Word], bool],
        lower_words: frozenset[str],
        titles: frozenset[int],
    ) -> None:
        self._text = text
        self._raw = raw
        self._words = words
        self._language = language
        self._is_other = is_other
        self._lower = lower_words
        self._titles = titles

    @cached_property
    def _title_end(self) -> int:
        """The end of a first line of three words or more that has only capitals."""
        start = len(self._raw) - len(self._raw.lstrip())
        line = self._raw[start : self._raw.find("\n", start) % 10**9]
        is_title = line.isupper() and len(line.split()) > _MOST_SURNAMES
        return start + len(line) if is_title else 0

    def by_given_names(self) -> Iterator[tuple[int, str]]:
        """Yield the names that begin with a given name, or have it after a surname in capitals."""
        index = 0
        while index < len(self._words):
            word = self._words[index]
            end = index
            if (
                word.is_capital
                and is_given(word.text, self._language)
                and not self._is_other(word)
                and self._is_no_common_word(index)
                and not self._has_patronymic(index)
                and not is_thing_compound(word.text, self._language)
                and not self._is_holiday(index)
                and not self._is_in_capitals(index)
                and not (word.text.isupper() and word.end <= self._title_end)
            ):
                end = self._end(index)
                if self._is_of_thing(index):
                    index = end  # the rest of it is no name either: das Ludwig Erhard Haus
                    continue
                start = index
                if end == index + 1:
                    start = self._surname_before(index)
                if end > index + 1 or start < index:
                    yield self._slice(start, end)
            index = max(end, index + 1)

    def _is_of_thing(self, index: int) -> bool:
        """Return whether a given name is in the name of a thing: the Marine Board, Santa Cruz."""
        start = self._words[index].start
        return has_article(self._text, start, self._language) or self._is_saint(index)

    def _is_saint(self, index: int) -> bool:
        """Return whether a given name is the one of a saint, and so of a place: Santa Cruz."""
        before = self._words[index - 1] if index else None
        return (
            before is not None
            and before.is_capital
            and fold(before.text) in _SAINTS
            and self._gap(index) in (" ", "-", ". ")
            # Archibald St. John Doe
            and not (
                fold(before.text) == "st"
                and index > 1
                and self._words[index - 2].is_capital
                and self._gap(index - 1) == " "
            )
        )

    def _is_holiday(self, index: int) -> bool:
        """Return whether a given name is the one of a holiday: le marché de Noël."""
        before = self._words[index - 1] if index else None
        return (
            fold(self._words[index].text) in _HOLIDAYS
            and before is not None
            and before.text.islower()
            and self._gap(index) == " "
        )

    def _is_in_capitals(self, index: int) -> bool:
        """Return whether two words before are in capitals, too, as in a line of capitals."""
        before = self._words[max(0, index - 2) : index]
        return (
            before[-1:] != []
            and before[-1].end not in self._titles
            and len(before) == _MOST_SURNAMES
            and all(
                len(word.text) > 1
                and word.text.isupper()
                and fold(word.text) not in PARTICLES
                and not is_given(word.text, self._language)
                for word in (*before, self._words[index])[:_MOST_SURNAMES]
            )
            and self._words[index].text.isupper()
            and self._gap(index) == self._gap(index - 1) == " "
        )

    def _has_patronymic(self, index: int) -> bool:
        following = self._words[index + 1] if index + 1 < len(self._words) else None
        return following is not None and bool(_PATRONYMIC.fullmatch(following.text))

    def _is_no_common_word(self, index: int) -> bool:
        """Return whether the text has a word in small letters neither here nor elsewhere."""
        word = self._words[index]
        if word.text.lower() not in self._lower:
            return True
        before = self._text[max(0, word.start - 12) : word.start]
        return self._language != "de" and _SENTENCE.search(before) is None

    def _slice(self, start: int, end: int) -> tuple[int, str]:
        begin = self._words[start].start
        return begin, self._text[begin : self._words[end - 1].end]

    def _gap(self, index: int) -> str:
        return self._text[self._words[index - 1].end : self._words[index].start]

    def _is_broken(self, index: int) -> bool:
        """Return whether a line ends before a word."""
        return "\n" in self._raw[self._words[index - 1].end : self._words[index].start]

    def _is_initial(self, index: int) -> bool:
        word = self._words[index]
        if self._is_other(word):
            return False
        return (
            len(word.text) == 1 and word.is_capital and self._text[word.end : word.end + 1] == "."
        )

    def _end(self, start: int) -> int:
        """Return the index after the last word of the name that begins at a given name."""
        most = 1 if self._language in _ONE_SURNAME else 2
        end = start + 1
        surnames = 0
        index = start + 1
        is_upper = self._words[start].text.isupper()
        while index < min(len(self._words), start + _MOST_WORDS):
            word, gap = self._words[index], self._gap(index)
            after_initial = self._is_initial(index - 1) or self._words[index - 1].text == "St"
            is_gap = _INITIAL_GAP.fullmatch(gap) if after_initial else _GAP.fullmatch(gap)
            if not is_gap or "\n" in gap or (self._is_broken(index) and end > start + 1):
                break
            folded = fold(word.text)
            if not word.is_capital:
                if folded not in PARTICLES or surnames:
                    break
                if folded == "in" and not self._is_dutch_in(index):
                    break
                index += 1
                continue
            if fold(word.text) in _BETWEEN_WORDS:
                break  # a line of capitals: BILL OF SALE
            if len(word.text) == 1 and self._text[word.end : word.end + 2].strip().isdigit():
                break  # Mercedes-Benz C 220
            if self._is_other(word) or (
                is_upper != word.text.isupper() and len(word.text) > 1 and is_upper
            ):
                break
            if is_thing_compound(word.text, self._language):
                return start + 1  # Robert Koch-Institut
            given = is_given(word.text, self._language)
            if self._is_initial(index):
                if surnames:
                    break
            elif given and surnames and self._begins_another(index):
                break
            elif not given and folded not in PARTICLES:
                if is_common(word.text, self._language) and (
                    self._words[start].start - 1 not in self._titles
                ):
                    break  # Max Load, and not Mr Max Load
                surnames += 1
                if surnames > 1 and word.text.lower() in self._lower:
                    break
                if surnames > most and not (surnames == most + 1 and self._is_last(index)):
                    break
            index += 1
            if folded not in PARTICLES:
                end = index
        return end

    def _is_dutch_in(self, index: int) -> bool:
        """Return whether ``in`` is a part of a Dutch surname: in 't Veld, and no preposition."""
        following = self._words[index + 1] if index + 1 < len(self._words) else None
        return (
            self._language == "nl"
            and following is not None
            and not following.is_capital
            and fold(following.text) in PARTICLES
        )

    def _is_last(self, index: int) -> bool:
        """Return whether a name in a language of two surnames ends with a word, by the mark."""
        end = self._words[index].end
        return self._language in _TWO_SURNAMES and self._text[end : end + 1] in (",", "(", ";")

    def _begins_another(self, index: int) -> bool:
        """Return whether a given name has a surname of its own after it."""
        if self._language in _TWO_SURNAMES:
            return False
        if index + 1 >= len(self._words) or not _GAP.fullmatch(self._gap(index + 1)):
            return False
        following = self._words[index + 1]
        return following.is_capital and not self._is_other(following)

    def _surname_before(self, index: int) -> int:
        """Return the index of the first word of a surname in capitals: LE GOFF Anne-Laure."""
        start = index
        if self._words[index].text.isupper():
            return index
        while start and index - start < 3 and self._gap(start) == " ":
            word = self._words[start - 1]
            if not word.text.isupper() or len(word.text) < 2 or self._is_other(word):
                break
            start -= 1
        return start

    def russian(self) -> Iterator[tuple[int, str]]:
        """Yield the names with a patronymic, and those of a surname before a given name."""
        for index in range(1, len(self._words)):
            word = self._words[index]
            if not self._follows(index) or not self._is_name(index - 1):
                continue
            if _RUSSIAN_PLURAL.search(self._words[index - 1].text):
                continue  # Великие Луки
            if _PATRONYMIC.fullmatch(word.text) and not _is_surname(word.text):
                start, end = index - 1, index + 1
                if start and self._follows(start) and self._is_name(start - 1):
                    start -= 1
                elif end < len(self._words) and self._follows(end) and self._is_name(end):
                    end += 1
                yield self._slice(start, end)
            elif (
                is_given(word.text, self._language)
                and not is_given(self._words[index - 1].text, self._language)
                and self._text[word.end : word.end + 1] in (",", ".", ";", "\n", "\t", "", ")")
                and self._words[index - 1].text.istitle()
            ):
                yield self._slice(index - 1, index + 1)

    def _follows(self, index: int) -> bool:
        return bool(_GAP.fullmatch(self._gap(index))) if index else False

    def _is_name(self, index: int) -> bool:
        word = self._words[index]
        return (
            len(word.text) > 1
            and word.text[:2].istitle()
            and word.is_capital
            and not self._is_other(word)
        )

    def by_initials(self) -> Iterator[tuple[int, str]]:
        """Yield the names with two initials: S.T. Hoekstra, also after a Russian surname."""
        index = 0
        while index < len(self._words) - 1:
            end = index
            while end < len(self._words) and self._is_initial(end) and end - index < 3:
                end += 1
                if end < len(self._words) and not _INITIAL_GAP.fullmatch(self._gap(end)):
                    break
            if end - index < 2:
                index += 1
                continue
            after = end
            while after < len(self._words) and fold(self._words[after].text) in PARTICLES:
                after += 1
            glued = end < len(self._words) and _INITIAL_GAP.fullmatch(self._gap(end))
            before = index and self._follows(index) and self._is_name(index - 1)
            if self._language == "ru" and before:
                yield self._slice(index - 1, end)
            elif glued and after < len(self._words) and self._is_name(after) and (
                after == end or _GAP.fullmatch(self._gap(after))
            ):  # fmt: skip
                yield self._slice(index, self._hyphened(after) + 1)
            index = end

    def _hyphened(self, index: int) -> int:
        """Return the index of a surname's last word: Braak in Oosterhof-ter Braak."""
        last = index
        while (
            last + 1 < len(self._words)
            and (last > index or "-" in self._words[last].text)
            and fold(self._words[last].text.rpartition("-")[2]) in PARTICLES
            and self._gap(last + 1) == " "
        ):
            last += 1
        return last if self._words[last].is_capital else index


def _is_surname(word: str) -> bool:
    """Return whether a word has the form of a patronymic, and is no longer one: Рабинович."""
    return fold(word) in ("рабинович", "абрамович", "каганович")


def _is_quoted(text: str, word: Word) -> bool:
    """Return whether a word stands alone in quotation marks."""
    return text[word.start - 1 : word.start] in _OPEN_QUOTES and (
        text[word.end : word.end + 1] in _CLOSE_QUOTES
    )


@dataclass(slots=True)
class _Known:
    """What is known of one word of the names."""

    name: str
    is_surname: bool
    particles: frozenset[str] = frozenset()
    is_upper: bool = False


@dataclass(slots=True)
class Forms:
    """The forms in which names that are known may occur again.

    Attributes:
        language: ISO 639-1, or None.
        lower_words: The words that the text has in small letters.
        titles: The places at which a title ends, such as ``Mr``.
        is_other: Whether a word is known to be none of a name.
    """

    language: str | None
    lower_words: frozenset[str]
    titles: frozenset[int]
    is_other: Callable[[Word], bool] = lambda word: False
    _known: dict[str, _Known] = field(default_factory=dict)

    def add(self, name: str) -> None:
        """Add the words of a person's name, or a surname alone."""
        family, comma, given_names = name.partition(",")
        if comma:  # Doe, Jane
            name = f"{given_names} {family}"
        words = [
            word
            for word in split_words(name)
            if len(word.text) > 1 or (word.text.islower() and fold(word.text) in PARTICLES)
        ]
        whole = " ".join(name.split()).lower()
        particles = frozenset(
            fold(word.text) for word in words[:-1] if fold(word.text) in PARTICLES
        ) | frozenset(fold(word.text) for word in words[:1] if not word.is_capital)
        bare = [word for word in words if fold(word.text) not in particles or word.is_capital]
        surname_first = len(bare) > 1 and (
            bare[0].text.isupper() != bare[-1].text.isupper() and bare[0].text.isupper()
        )
        for index, word in enumerate(bare):
            key = _key(word.text)
            if key in PARTICLES or len(key) < _LEAST_STEM:
                continue
            given = is_given(word.text, self.language)
            is_last = index == len(bare) - 1
            if self.language == "ru":
                is_surname = not _PATRONYMIC.fullmatch(word.text) and (not given or len(bare) == 1)
            elif surname_first:
                is_surname = word.text.isupper()
            elif given and is_last and not is_given(bare[0].text, self.language):
                is_surname = len(bare) == 1  # Doe Jane
            elif not given and is_given(bare[-1].text, self.language):
                is_surname = True
            else:
                is_surname = is_last or (index > 0 and not given)
            known = self._known.get(key)
            if known is None or (is_surname and not known.is_surname):
                self._known[key] = _Known(whole, is_surname, particles, word.text.isupper())

    def find(self, text: str, words: Sequence[Word]) -> Iterator[tuple[int, int, str]]:
        """Yield start, end and name of each place with a part of a name.

        Args:
            text: The text.
            words: Its words.
        """
        keys = [self._lookup(word) for word in words]
        index = floor = 0
        while index < len(words):
            if keys[index] is None:
                index += 1
                continue
            start, end = index, index + 1
            while end < len(words) and end - start < 2 * _MOST_WORDS:
                step = self._next(text, words, keys, start, end)
                if not step:
                    break
                end = step
            start = self._before(text, words, start, keys[index], floor)
            end = self._initials_after(text, words, end)
            if self._holds(text, words, keys, start, end):
                first = keys[index]
                surname = next(
                    (each for each in keys[start:end] if each and each.is_surname), first
                )
                stop = words[end - 1].end
                if len(words[end - 1].text) == 1 and text[stop : stop + 1] == ".":
                    stop += 1
                stop += len(generation(text, stop))
                yield words[start].start, stop, (surname or _Known("", False)).name
            index = floor = end

    def _lookup(self, word: Word) -> _Known | None:
        if len(word.text) < 2 or not word.is_capital:
            return None
        key = _key(word.text)
        known = self._known.get(key)
        if known is None and key.endswith("s") and self.language in ("de", "nl", "sv", "da"):
            known = self._known.get(key[:-1])
            return known if known and known.is_surname else None
        if known is None and ("'" in word.text or "’" in word.text):
            known = self._known.get(re.split(r"['’]", key)[0])
        return known

    def _next(
        self, text: str, words: Sequence[Word], keys: Sequence[_Known | None], start: int, end: int
    ) -> int | None:
        """Return the index after the next word of the same name, or None."""
        at = end
        last = keys[end - 1]
        particles = last.particles if last else frozenset()
        while at < len(words) and at - end < 3:
            gap = text[words[at - 1].end : words[at].start]
            if not (_GAP.fullmatch(gap) or (len(words[at - 1].text) == 1 and
                                            _INITIAL_GAP.fullmatch(gap))):  # fmt: skip
                return None
            if keys[at] is not None:
                is_whole = any(each and each.is_surname for each in keys[start:end])
                following = keys[at]
                other = (
                    following is not None
                    and not following.is_surname
                    and is_whole
                    # Doe Jane, and not the surname of one and the given name of another
                    and (last is None or following.name != last.name)
                )
                if self.language == "ru" and following is not None and following.is_surname:
                    # Two columns: the surname and initials of one, and of another.
                    other = any(
                        each and each.is_surname and each.name != following.name
                        for each in keys[start:end]
                    )
                return None if other or ("\n" in gap and is_whole) else at + 1
            word = words[at]
            is_small = fold(word.text) in particles
            is_initial = len(word.text) == 1 and text[word.end : word.end + 1] == "."
            if not is_small and not is_initial:
                return None
            at += 1
        return None

    def _before(
        self, text: str, words: Sequence[Word], start: int, known: _Known | None, floor: int
    ) -> int:
        """Return the index of the first particle or initial before a name, from ``floor`` on."""
        particles = known.particles if known else frozenset()
        while start > floor and _GAP.fullmatch(text[words[start - 1].end : words[start].start]):
            if fold(words[start - 1].text) not in particles:
                break
            start -= 1
        first = start
        while start > floor and first - start < 3:
            word = words[start - 1]
            gap = text[word.end : words[start].start]
            if len(word.text) != 1 or not word.is_capital or not _INITIAL_GAP.fullmatch(gap):
                break
            if word.end in self.titles and not self._is_own_initial(text, word, known):
                break
            start -= 1
        is_before = self.language != "ru"  # whose surnames come first
        if is_before and start == first and start > floor and known and known.is_surname:
            word = words[start - 1]
            # Jane Doe, who signs as J. Doe, or whose family has been named.
            is_initial = known.name[:2] == f"{word.text[0].lower()}."
            begins = _SENTENCE.search(text[max(0, word.start - 12) : word.start]) is not None
            if (
                text[word.end : words[start].start] == " "
                and word.is_capital
                and len(word.text) > _LEAST_STEM
                and word.text.isupper() == words[start].text.isupper()
                and word.end not in self.titles
                and word.text.lower() not in self.lower_words
                and not self.is_other(word)
                and (is_initial or (self.language != "de" and not begins))
            ):
                start -= 1
        return start

    def _is_own_initial(self, text: str, word: Word, known: _Known | None) -> bool:
        """Return whether a title of one letter is the initial of who signs: M. Doe, for Mary."""
        before = text[max(0, word.start - 2) : word.start]
        return (
            known is not None
            and word.start > _SIGNATURES * len(text)
            and known.name.startswith(word.text.lower())
            and (before in ("", "  ") or before[-1:] in ("\n", "\t"))
        )

    def _initials_after(self, text: str, words: Sequence[Word], end: int) -> int:
        if self.language != "ru":
            return end
        last = end
        while last < len(words) and last - end < 2:
            gap = text[words[last - 1].end : words[last].start]
            word = words[last]
            is_gap = _GAP.fullmatch(gap) if last == end else _INITIAL_GAP.fullmatch(gap)
            if last == end and "\n" in gap:
                break  # the initials below a name are those of the place for the stamp
            if not is_gap or len(word.text) != 1 or text[word.end : word.end + 1] != ".":
                break
            last += 1
        return last

    def _holds(
        self,
        text: str,
        words: Sequence[Word],
        keys: Sequence[_Known | None],
        start: int,
        end: int,
    ) -> bool:
        """Return whether words at a place are a name there, and not common words."""
        named = [index for index in range(start, end) if keys[index] is not None]
        has_initial = any(len(words[index].text) == 1 for index in range(start, end))
        if len(named) > 1 or has_initial:
            return True
        word, known = words[named[0]], keys[named[0]]
        if _PART_OF_COMPOUND.match(text, word.end) or (
            self.language == "en" and _STREET_AFTER.match(text, word.end)
        ):  # Koch- und Rezeptdaten; Hart Street
            return False
        titled = any(words[start].start - 3 <= place <= words[start].start for place in self.titles)
        if titled:
            return True
        if start + 1 == end and _is_quoted(text, word):
            return False  # the stove "Vera"
        if is_thing(text, words[start].start, words[end - 1].end, self.language):
            return False
        if word.text.isupper() and len(word.text) > 1:
            near = [*range(max(0, start - 2), start), *range(end, min(end + 2, len(words)))]
            is_own = known is not None and known.is_upper  # written in capitals where it is whole
            around = [words[index] for index in near if not (is_own and keys[index])]
            if sum(len(each.text) > 1 and each.text.isupper() for each in around) > 0:
                return False
        before = _ARTICLE_BEFORE_SURNAME.get(self.language or "")
        if before is not None and before.search(
            text, max(0, words[start].start - 8), words[start].start
        ):
            return False
        begins = _SENTENCE.search(text[max(0, word.start - 12) : word.start])
        if known is None or word.text.lower() not in self.lower_words:
            # The first word of a name that no given name makes one: Greener pastures
            return True
        return self.language != "de" and begins is None and known.is_surname
