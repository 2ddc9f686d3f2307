"""YAKE's scores of a text's words and pairs of words.

R. Campos et al., YAKE! Keyword extraction from single documents using multiple local features,
2020, for candidates of one and two words. It finds what the package ``yake`` finds, with its
tokens, and in a quarter of its time: that package keeps each word, each candidate and the graph
of neighbours as objects, and asks numpy for the median of a few numbers. Of the package itself
only the lists of stop words are read.
"""

from __future__ import annotations

import importlib.util
import math
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Final

from segtok.segmenter import split_multi
from segtok.tokenizer import APOSTROPHES, split_contractions, web_tokenizer, word_tokenizer

__all__ = ["find_stop_words", "score_keywords"]

_PUNCTUATION: Final = frozenset(string.punctuation)
_APOSTROPHES: Final = tuple(APOSTROPHES)
_CAPITAL: Final = re.compile(r"\s*[A-Z]")
_FEWEST_CHARACTERS: Final = 3
_DIGIT: Final = "d"
_UNUSUAL: Final = "u"
_ACRONYM: Final = "a"
_NAME: Final = "n"
_PLAIN: Final = "p"
_NO_NEIGHBOURS: Final = frozenset({_DIGIT, _UNUSUAL})
# From what similarity on a candidate is another form of a better one.
_ALIKE: Final = 0.8


class _Term:
    """A word of the text: its frequency, its places and its neighbours.

    Attributes:
        is_stop_word: Whether a keyword can't begin or end with it.
        count: How often it occurs.
        acronyms: How often it is in capitals.
        names: How often it begins with a capital within a sentence.
        sentences: The numbers of the sentences with it, ascending.
        before: The distinct words directly before it, and how many in all.
        after: The same for those after it.
        score: Lower is more significant.
    """

    __slots__ = ("acronyms", "after", "after_count", "before", "before_count", "count",
                 "is_stop_word", "names", "score", "sentences")  # fmt: skip

    def __init__(self, is_stop_word: bool) -> None:
        self.is_stop_word = is_stop_word
        self.count = 0
        self.acronyms = 0
        self.names = 0
        self.sentences: list[int] = []
        self.before: set[_Term] = set()
        self.before_count = 0
        self.after: set[_Term] = set()
        self.after_count = 0
        self.score = 0.0


class _Candidate:
    """One word, or two that follow each other.

    Attributes:
        terms: Its words.
        count: How often it occurs.
        is_usual: Whether it has occurred without numbers and unusual signs.
    """

    __slots__ = ("count", "is_usual", "terms")

    def __init__(self, *terms: _Term) -> None:
        self.terms = terms
        self.count = 0
        self.is_usual = False

    @property
    def is_keyword(self) -> bool:
        """Whether it can be a keyword."""
        return self.is_usual and not (self.terms[0].is_stop_word or self.terms[-1].is_stop_word)

    @property
    def score(self) -> float:
        """Lower is more significant."""
        total, product = 0.0, 1.0
        for term in self.terms:
            total += term.score
            product *= term.score
        return product / ((total + 1) * self.count)


class _Counts:
    """The words and candidates of a text.

    Args:
        stop_words: In lower case.
    """

    def __init__(self, stop_words: frozenset[str]) -> None:
        self.terms: dict[str, _Term] = {}
        self.candidates: dict[str, _Candidate] = {}
        self.sentences = 0
        self._stop_words = stop_words
        self._tags: dict[str, tuple[str, str]] = {}

    def add(self, words: list[str]) -> None:
        """Count the words of the next sentence."""
        number = self.sentences
        self.sentences += 1
        previous: _Term | None = None
        previous_tag = previous_word = ""
        for place, word in enumerate(words):
            tags = self._tags.get(word)
            if tags is None:
                tags = self._tags[word] = _tags(word)
            tag = tags[place > 0]
            if not tag:  # a sign, which ends a run of words
                previous = None
                continue
            lower = word.lower()
            term = self._term(lower)
            term.count += 1
            if not term.sentences or term.sentences[-1] != number:
                term.sentences.append(number)
            if tag == _ACRONYM:
                term.acronyms += 1
            elif tag == _NAME:
                term.names += 1
            is_usual = tag not in _NO_NEIGHBOURS
            self._count(lower, is_usual, term)
            if previous is not None:
                is_usual_pair = is_usual and previous_tag not in _NO_NEIGHBOURS
                if is_usual_pair:
                    previous.after.add(term)
                    previous.after_count += 1
                    term.before.add(previous)
                    term.before_count += 1
                self._count(f"{previous_word} {lower}", is_usual_pair, previous, term)
            previous, previous_tag, previous_word = term, tag, lower

    def score(self) -> None:
        """Set the score of each term."""
        counts = [term.count for term in self.terms.values() if not term.is_stop_word]
        if not counts:
            return
        mean = fmean(counts)
        usual = mean + pstdev(counts, mean)
        most = max(term.count for term in self.terms.values())
        for term in self.terms.values():
            count = term.count
            before = len(term.before) / term.before_count if term.before_count else 0.0
            after = len(term.after) / term.after_count if term.after_count else 0.0
            relation = (0.5 + before * (count / most)) + (0.5 + after * (count / most))
            spread = len(term.sentences) / self.sentences
            case = max(term.acronyms, term.names) / (1.0 + math.log(count))
            place = math.log(math.log(3.0 + median(term.sentences)))
            term.score = (place * relation) / (case + count / usual / relation + spread / relation)

    def _term(self, lower: str) -> _Term:
        # The plural of English, Spanish and others counts as the singular.
        key = lower[:-1] if len(lower) > _FEWEST_CHARACTERS and lower[-1] == "s" else lower
        term = self.terms.get(key)
        if term is None:
            letters = sum(character not in _PUNCTUATION for character in key)
            is_stop_word = (
                lower in self._stop_words or key in self._stop_words or letters < _FEWEST_CHARACTERS
            )
            term = self.terms[key] = _Term(is_stop_word)
        return term

    def _count(self, key: str, is_usual: bool, *terms: _Term) -> None:
        candidate = self.candidates.get(key)
        if candidate is None:
            candidate = self.candidates[key] = _Candidate(*terms)
        candidate.count += 1
        candidate.is_usual = candidate.is_usual or is_usual


def score_keywords(text: str, stop_words: frozenset[str], most: int) -> list[tuple[str, float]]:
    """Return the most significant words and pairs of words, in lower case, best first.

    Args:
        text: The text; its line breaks count as spaces.
        stop_words: See `find_stop_words`.
        most: The most keywords; of several forms of one word only the best is among them.

    Returns:
        Each with its score, of which lower is better.
    """
    counts = _Counts(stop_words)
    for words in _sentences(text):
        counts.add(words)
    counts.score()
    ranked = sorted(
        ((candidate.score, key) for key, candidate in counts.candidates.items()
         if candidate.is_keyword),
        key=lambda each: each[0],
    )  # fmt: skip
    found: list[tuple[str, float]] = []
    for score, key in ranked:
        if not any(_similarity(key, other) > _ALIKE for other, _ in found):
            found.append((key, score))
            if len(found) == most:
                break
    return found


@cache
def find_stop_words(language: str) -> frozenset[str]:
    """Return the stop words of a language in lower case; none for a language without a list.

    Args:
        language: ISO 639-1.

    Raises:
        ModuleNotFoundError: The package ``yake`` is not installed.
    """
    # The package itself is not imported: with networkx that takes 0.2 s.
    spec = importlib.util.find_spec("yake")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the package yake has the stop words", name="yake")
    folder = Path(spec.submodule_search_locations[0], "core", "StopwordsList")
    path = folder / f"stopwords_{language[:2].lower()}.txt"
    return frozenset(path.read_text("utf-8").lower().split("\n") if path.is_file() else ())


def _sentences(text: str) -> Iterator[list[str]]:
    """Yield the words and signs of each sentence."""
    line = text.replace("\n", " ").replace("\t", " ")
    if not _CAPITAL.match(line):
        line = f" {line}"  # as in YAKE: a mark at the very beginning ends no sentence
    for sentence in split_multi(line):
        if not sentence:
            continue
        # Only addresses and escapes need the slower one, and only apostrophes the second pass.
        is_web = "@" in sentence or "://" in sentence or "&" in sentence
        words = web_tokenizer(sentence) if is_web else word_tokenizer(sentence)
        if any(sign in sentence for sign in _APOSTROPHES) or "&" in sentence:
            words = split_contractions(words)
        yield [word for word in words if not (word.startswith("'") and len(word) > 1)]


def _tags(word: str) -> tuple[str, str]:
    """Return a word's tag at the beginning of a sentence and within it; empty for a sign."""
    signs = sum(character in _PUNCTUATION for character in word)
    if signs == len(word):
        return "", ""
    bare = word.replace(",", "")
    if bare.isdigit() or bare.replace(".", "", 1).isdigit():
        return _DIGIT, _DIGIT
    has_digit = any(map(str.isdigit, word))
    has_letter = any(map(str.isalpha, word))
    if has_digit == has_letter or signs > 1:
        return _UNUSUAL, _UNUSUAL
    if word.isupper():
        return _ACRONYM, _ACRONYM
    if len(word) > 1 and word[0].isupper() and sum(map(str.isupper, word)) == 1:
        return _PLAIN, _NAME
    return _PLAIN, _PLAIN


def _similarity(one: str, other: str) -> float:
    """Return how alike two candidates are, from 0 to 1; only those with the same ends are."""
    longer, shorter = max(len(one), len(other)), min(len(one), len(other))
    if longer > _FEWEST_CHARACTERS and (
        one[0] != other[0]
        or one[-1] != other[-1]
        or (shorter >= _FEWEST_CHARACTERS and one[1] != other[1])
    ):
        return 0.0
    if longer - shorter > 0.6 * longer or abs(one.count(" ") - other.count(" ")) > 1:
        return 0.0
    lengths = shorter / longer
    letters = _overlap(set(one), set(other))
    if lengths < 0.3 or letters < 0.2:
        return 0.0
    if longer <= 4:
        return letters * lengths
    words = _overlap(set(one.split()), set(other.split()))
    if (" " in one or " " in other) and words > 0.4:
        return words
    return min(0.3 * lengths + 0.2 * letters + 0.5 * _overlap(_triples(one), _triples(other)), 1.0)


def _triples(text: str) -> set[str]:
    return {text[start : start + 3] for start in range(len(text) - 2)}


def _overlap(one: set[str], other: set[str]) -> float:
    whole = one | other
    return len(one & other) / len(whole) if whole else 0.0
