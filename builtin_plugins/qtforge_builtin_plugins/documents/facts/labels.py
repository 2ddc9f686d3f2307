"""The labels of invoices, by language: data in ``languages/*.toml``, found word by word.

A label is found by its words, whatever stands between them: ``Invoice-No.``, ``INVOICE NO`` and
``invoice  n°`` are the same three words. Words are compared without case and accents.
"""

# ruff: noqa: RUF001 - it has letters that look like others

from __future__ import annotations

import itertools
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["LANGUAGES", "Hit", "Labels", "Token", "collect", "fold", "load_labels", "tokenize"]

_FOLDER: Final = Path(__file__).with_name("languages")
LANGUAGES: Final = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
"""The languages that have labels, ISO 639-1."""

_FALLBACK: Final = "en"
_NUMBER_SIGN: Final = "#"
_TOKEN: Final = re.compile(
    r"(?<!\w)[^\W\d_](?: [^\W\d_]){4,20}(?!\w)"
    r"|(?<!\w)(?:n\.? ?[°º]\.?|n[o°º]?\.?|nr\.?|num\.?)(?!\w)"
    r"|(?<!\w)n[o°º]?\.(?=\d)|(?<!\w)[n][°º](?=\d)|[#№]|[^\W_]+(?:'[^\W_]+)*|[%@&+]"
)
_NUMBER_SIGNS: Final = re.compile(r"(?:n\.? ?[°º]?o?|nr|num|[#№])\.?")
# Between two words of a label: no tab, no colon, and at most one line break.
_BETWEEN: Final = re.compile(r"[ \u00a0.'’/()–-]{0,4}(?:\n[ ]{0,4})?")
_PART_AFTER: Final = re.compile(r"[-/_.](?=[a-z]{0,3}\d)")
_MOST_WORDS: Final = 8
_OPTIONAL: Final = re.compile(r"( ?)\(([^()]*)\)")
_PLAIN: Final = re.compile(r"[^\W\d_]{3,}(?: [^\W\d_]{4,})*")  # its words as they are
_NEXT_OPTION: Final = re.compile(r"( \([^()]*[^() ]\))\(")  # "facture (proforma)(finale)"
_MOST_VARIANTS: Final = 64
_MOST_READ: Final = 10_000
_LEAST_PART: Final = 2  # letters of a word's beginning or end
_NO_ROLES: Final[frozenset[str]] = frozenset()
_SINGLE: Final[Mapping[str, str]] = {
    "İ": "i", "ı": "i", "I": "i", "ё": "е", "Ё": "е", "’": "'", "‘": "'", "ł": "l", "Ł": "l",
    "ø": "o", "Ø": "o", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2007": " ",
    "\u2212": "-",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text, folded, with its place."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A label in a text.

    Attributes:
        kinds: The values that it may be the label of, such as ``due_date``.
        start: The position of its first character.
        end: The position after its last character.
        strong: Whether it is a label of the language itself, and not the English one.
        guessed: Whether it is no label of the lists, but was read by its words.
    """

    kinds: tuple[str, ...]
    start: int
    end: int
    strong: bool
    guessed: bool = False


def fold(text: str) -> str:
    """Return a text of the same length without case, accents and odd spaces.

    >>> fold("Nº de FACTURE échue"), len(fold("İŞ"))
    ('nº de facture echue', 2)
    """
    if text.isascii():
        return text.lower()
    return text.translate({ord(each): _folded(each) for each in set(text)})


@cache
def _folded(character: str) -> str:
    if character in _SINGLE:
        return _SINGLE[character]
    if character in "ºª":
        return character
    plain = unicodedata.normalize("NFD", character)[0] if character != "й" else "й"
    lower = plain.lower()
    return lower if len(lower) == 1 else character


def tokenize(folded: str) -> list[Token]:
    """Return the words of a folded text, with every sign of a number as ``#``.

    A word whose letters have spaces between them is one: ``r e c h n u n g``.
    """
    return [
        Token(
            _NUMBER_SIGN if _NUMBER_SIGNS.fullmatch(match[0]) else match[0].replace(" ", ""),
            match.start(),
            match.end(),
        )
        for match in _TOKEN.finditer(folded)
    ]


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a language, with the English ones behind them.

    Attributes:
        kinds: The label's words to the values that it may be the label of.
        strong: The labels of the language itself.
        columns: The words of a table's heading to the columns that it may be the heading of.
        titles: The words that name a document to its kind: ``invoice``, ``credit_note`` or
            ``receipt``.
        links: The words between a title and the number or date after it.
        first: The first words of all labels.
        first_titles: The first words of all titles.
        words: What single words say, such as ``due``; with the beginnings and ends of words.
        read: What words of texts said before.
        sentences: What single words say in a running sentence, such as ``amounts``.
        mentions: Words of sentences that are only in an invoice, such as ``we invoice you``.
        closings: The words of the line above who signs a letter, such as ``kind regards``.
    """

    kinds: Mapping[str, tuple[str, ...]]
    strong: frozenset[str]
    columns: Mapping[str, tuple[str, ...]]
    titles: Mapping[str, str]
    links: frozenset[str]
    first: frozenset[str] = field(default=frozenset())
    first_titles: frozenset[str] = field(default=frozenset())
    words: Mapping[str, frozenset[str]] = field(default_factory=dict)
    read: dict[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    sentences: Mapping[str, frozenset[str]] = field(default_factory=dict)
    mentions: frozenset[str] = field(default=frozenset())
    closings: frozenset[str] = field(default=frozenset())

    @staticmethod
    def words_of(folded: str) -> list[str]:
        """Return the words of a part of a folded text."""
        return list(_words(folded))

    def roles_of(self, word: str) -> frozenset[str]:
        """Return what a word says, by itself, by its beginning and by its end."""
        found = self.words.get(word)
        if found is not None:
            return found
        if word in self.read:
            return self.read[word]
        if "'" in word[1:-1]:
            return self.roles_of(word.rpartition("'")[2])  # l'acheteur
        roles = _by_parts(self.words, word)
        if len(self.read) < _MOST_READ:
            self.read[word] = roles
        return roles

    def says_of(self, word: str) -> frozenset[str]:
        """Return what a word says in a sentence, by itself, by its beginning and by its end."""
        found = self.sentences.get(word)
        if found is None and "'" in word[1:-1]:
            return self.says_of(word.rpartition("'")[2])  # dell'importo
        return _by_parts(self.sentences, word) if found is None else found

    def find(self, folded: str, tokens: Sequence[Token]) -> Iterator[Hit]:
        """Yield the labels in a text in order; the longest of several at one place."""
        for start, end in _longest(folded, tokens, self.kinds, self.first):
            key = " ".join(token.text for token in tokens[start:end])
            if _is_part(folded, tokens[start].start, tokens[end - 1].end):
                continue
            yield Hit(self.kinds[key], tokens[start].start, tokens[end - 1].end, key in self.strong)

    def find_titles(self, folded: str, tokens: Sequence[Token]) -> Iterator[tuple[str, int, int]]:
        """Yield each name of a document with its kind, its start and its end."""
        for start, end in _longest(folded, tokens, self.titles, self.first_titles):
            if _is_part(folded, tokens[start].start, tokens[end - 1].end):
                continue
            key = " ".join(token.text for token in tokens[start:end])
            yield self.titles[key], tokens[start].start, tokens[end - 1].end

    def has_mention(self, folded: str, tokens: Sequence[Token]) -> bool:
        """Return whether a sentence says that the text is an invoice."""
        firsts = frozenset(mention.split(" ", 1)[0] for mention in self.mentions)
        known = dict.fromkeys(self.mentions)
        return next(_longest(folded, tokens, known, firsts), None) is not None

    def find_columns(self, folded: str, tokens: Sequence[Token]) -> list[tuple[str, ...]]:
        """Return the columns that a line names, left to right."""
        firsts = frozenset(column.split(" ", 1)[0] for column in self.columns)
        return [
            self.columns[" ".join(token.text for token in tokens[start:end])]
            for start, end in _longest(folded, tokens, self.columns, firsts)
        ]


def _by_parts(words: Mapping[str, frozenset[str]], word: str) -> frozenset[str]:
    roles: frozenset[str] = frozenset()
    for size in range(_LEAST_PART, len(word) + 1):
        roles |= words.get(f"{word[:size]}*", _NO_ROLES)
        roles |= words.get(f"*{word[-size:]}", _NO_ROLES)
    return roles


def _is_part(folded: str, start: int, end: int) -> bool:
    """Return whether words are a part of a number such as ``PO-7312`` or ``A.49971``."""
    after = _PART_AFTER.match(folded, end)
    before = start > 1 and folded[start - 1] in "-/_" and folded[start - 2].isdigit()
    return (bool(after) and folded[end - 1] not in "#№°º.") or before


def _longest(
    folded: str, tokens: Sequence[Token], known: Mapping[str, object], firsts: frozenset[str]
) -> Iterator[tuple[int, int]]:
    index = 0
    while index < len(tokens):
        length = 0
        if tokens[index].text in firsts:
            length, first_line = _length(folded, tokens, known, index)
            if first_line is not None:
                # A title above "No. of invoice" is no "invoice no.", although its words are.
                below = index + first_line
                own = _length(folded, tokens, known, below)[0] if below < len(tokens) else 0
                if below + own > index + length:
                    length = _length(folded, tokens[:below], known, index)[0]
        if length:
            yield index, index + length
        index += length or 1


def _length(
    folded: str, tokens: Sequence[Token], known: Mapping[str, object], index: int
) -> tuple[int, int | None]:
    """Return the words of the longest label at a place, and those of them before a line's end.

    The second is None for a label on one line.
    """
    length, broken = 0, None
    line: int | None = None
    key = ""
    for size in range(1, min(_MOST_WORDS, len(tokens) - index) + 1):
        token = tokens[index + size - 1]
        if size > 1:
            gap = folded[tokens[index + size - 2].end : token.start]
            if not _BETWEEN.fullmatch(gap):
                break
            if line is None and "\n" in gap:
                line = size - 1
        key = f"{key} {token.text}" if key else token.text
        if key in known:
            length, broken = size, line
    return length, broken


@cache
def load_labels(language: str | None, folder: str | None = None) -> Labels:
    """Return the labels of a language; those of all languages for an unknown one.

    Args:
        language: ISO 639-1, or None.
        folder: A folder with further files, such as ``cs.toml``; None for no others.

    Raises:
        OSError: A file can't be read.
        ValueError: A file is not TOML.
    """
    names = [language] if language and _paths(language, folder) else list(LANGUAGES)
    own = [_read(path) for name in names for path in _paths(name, folder)]
    english = [_read(path) for path in _paths(_FALLBACK, folder)]
    strong = _collect(own, "labels")
    kinds = {**_collect(english, "labels"), **strong}
    titles: dict[str, str] = {}
    for data in (*english, *own):
        for key, kind in (("titles", "invoice"), ("receipts", "receipt"),
                          ("credits", "credit_note")):  # fmt: skip
            titles.update((each, kind) for label in data.get(key, ()) for each in _variants(label))
    links = {each for data in (*english, *own) for link in data.get("links", ())
             for each in _variants(link)}  # fmt: skip
    return Labels(
        kinds=kinds,
        strong=frozenset(strong),
        columns={**_collect(english, "columns"), **_collect(own, "columns")},
        titles=titles,
        links=frozenset(links),
        first=frozenset(key.split(" ", 1)[0] for key in kinds),
        first_titles=frozenset(key.split(" ", 1)[0] for key in titles),
        words=_roles([*english, *own], "words"),
        # The small words of one language mean other things in another.
        sentences=_roles(own, "sentences") if len(names) == 1 else {},
        mentions=_phrases("mentions", (*english, *own)),
        closings=_phrases("closings", (*english, *own)),
    )


def _phrases(key: str, files: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return all spellings of the phrases of a list."""
    return frozenset(
        each for data in files for phrase in data.get(key, ()) for each in _variants(phrase)
    )


def _roles(files: Iterable[Mapping[str, Any]], table: str) -> dict[str, frozenset[str]]:
    """Return each word of a table with what it says; a later file's come before an earlier's."""
    found: dict[str, frozenset[str]] = {}
    for data in files:
        own: dict[str, set[str]] = {}
        for role, words in data.get(table, {}).items():
            for word in words:
                own.setdefault(fold(word), set()).add(role)
        found.update({word: frozenset(roles) for word, roles in own.items()})
    return found


def _paths(language: str, folder: str | None) -> list[Path]:
    """Return the files of a language: the own one, and the user's."""
    folders = [_FOLDER, *([Path(folder)] if folder else [])]
    return [path for each in folders if (path := each / f"{language}.toml").is_file()]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def collect(tables: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    """Return the spellings of labels with the kinds that they are in.

    Args:
        tables: Kind to labels.
    """
    found: dict[str, dict[str, None]] = {}
    for table in tables:
        for kind, labels in table.items():
            for label in labels:
                for variant in _variants(label):
                    found.setdefault(variant, {})[kind] = None
    return {variant: tuple(kinds) for variant, kinds in found.items()}


def _collect(files: Iterable[Mapping[str, Any]], table: str) -> dict[str, tuple[str, ...]]:
    return collect(data.get(table, {}) for data in files)


def _variants(label: str) -> Iterator[str]:
    """Yield all spellings of a label as words: with and without its optional parts."""
    folded = fold(label)
    if _PLAIN.fullmatch(folded):  # as most are
        yield folded
        return
    label = fold(_NEXT_OPTION.sub(r"\1 (", _NEXT_OPTION.sub(r"\1 (", label)))
    whole = dict.fromkeys(_with_options(label))
    for each in itertools.islice(whole, _MOST_VARIANTS):
        if "*" in each:
            continue
        parts = re.split(r"(?<=\w)-(?=[\w#])", each)
        joined = "".join("nr" if part == _NUMBER_SIGN and index else part
                         for index, part in enumerate(parts))  # fmt: skip
        for spelling in dict.fromkeys((joined.replace("#.", "nr"), " ".join(parts))):
            words = spelling if _PLAIN.fullmatch(spelling) else " ".join(_words(spelling))
            if words:
                yield words


def _words(folded: str) -> Iterator[str]:
    return (token.text for token in tokenize(folded))


def _with_options(label: str) -> Iterator[str]:
    match = _OPTIONAL.search(label)
    if match is None:
        yield label
        return
    before, after = label[: match.start()], label[match.end() :]
    # "data (della )fattura" keeps its space, and "iban (nummer)" does not.
    is_before = match[2].endswith(" ") or after[:1].isalnum()
    yield from _with_options(before + (match[1] if is_before else "") + after)
    yield from _with_options(f"{before}{match[1]}{match[2]}{after}")
