"""The parties and people that a contract names, and the words by which it names them.

A name is taken where a contract names somebody: after a role (``Tenant: Jane Doe``), in a
definition (``Acme Ltd (the "Supplier")``), in a signature block, as a representative, or beside a
phone number or a mail address. The words are data, ``contracts.toml``.
"""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final

from qtforge_builtin_plugins.documents.facts.bodies import NAME_WORD, SMALL_WORD
from qtforge_builtin_plugins.documents.facts.common_words import is_common
from qtforge_builtin_plugins.documents.facts.companies import (
    find_companies,
    has_form,
    without_form,
    without_partners,
)
from qtforge_builtin_plugins.documents.facts.given_names import is_given
from qtforge_builtin_plugins.documents.facts.labels import (
    Hit,
    Labels,
    Token,
    collect,
    fold,
    tokenize,
)
from qtforge_builtin_plugins.documents.facts.name_fields import find_in_fields
from qtforge_builtin_plugins.documents.facts.name_parts import (
    is_joined,
    is_short_form,
    known_end,
    without_parts,
)
from qtforge_builtin_plugins.documents.facts.own_roles import CLAUSE_CHARACTERS, find_own_roles
from qtforge_builtin_plugins.documents.facts.people import (
    CAPITAL,
    PARTICLES,
    PERSON_SMALL,
    PERSON_WORD,
    Forms,
    Word,
    find_people,
    generation,
    has_article,
    split_words,
)
from qtforge_builtin_plugins.documents.facts.sides import COLUMN, LINE, Named, choose_parties
from qtforge_builtin_plugins.documents.facts.things import (
    follows_thing_word,
    is_famous,
    is_honorific,
    is_thing,
    is_thing_compound,
    is_thing_word,
)

__all__ = ["LANGUAGES", "Contract", "Named", "is_organisation", "load_words"]

_DATA: Final = Path(__file__).with_name("contracts.toml")
_FALLBACK: Final = "en"
_NAME: Final = re.compile(
    rf"{PERSON_WORD}(?:[ \u00a0]{{1,2}}(?:{PERSON_SMALL}[ \u00a0]){{0,2}}{PERSON_WORD}){{1,3}}"
    r"(?![\d_]|(?<=\w)\w)"
)
# Between a label and its name: marks, titles, and a post in small letters.
_LEAD: Final = re.compile(r"[ ]{0,40}[\s:.,–—_-]{0,6}[ \t]{0,40}")
_POST: Final = re.compile(r"(?:[^\W\dA-ZÀ-ÞА-ЯЁĞİŞÇÖÜ_][\w'’.-]*[ \u00a0]+){0,4}")
_STRONG_TITLE: Final = re.compile(
    r"(?<!\w)(?:Herrn?|Frau|Mrs?\.?|Ms\.?|Miss|Mme|Mlle|Madame|Monsieur|M\.|Sra?\.|Don|Doña|D\.ª?|Dª"
    r"|Sig\.(?:ra)?|Signora|Signor|[Dd]ott\.(?:ssa)?|[Aa]vv\.|[Aa]rch\.|[Gg]eom\.|[Ii]ng\.|[Rr]ag\."
    r"|[Ll]ic\.|[Aa]rq\.|dhr\.|mevr\.|mw\.|[Dd]e heer|[Mm]evrouw|г-н"
    r"|г-жа|гр\.|гражданин|гражданка|Sayın|Dr\.|Prof\.|i\. ?V\.|i\. ?A\.|ppa\.|p\.p\."
    r"|[Ии]ндивидуальн(?:ый|ого) предпринимател[ья])[ \u00a0]+(?=[^\W\d_])"
)
_LABELLED_LINE: Final = re.compile(
    r"^[ \t]{0,8}(?:\(?\w{1,2}[.)][ \t]{1,4})?[^\W\d_][^\n:\d,;.]{2,40}:[ \t]{0,4}(?=[^\W\d_])",
    re.MULTILINE,
)
_QUOTES: Final = "\"“”„«»'‘’"
_ROLE_IN_QUOTES: Final = re.compile(
    r"(?P<open>\(?)(?P<before>[^()\"“„«\n]{0,40}?)[\"“„«][ ]?"
    r"(?P<role>[^\"“”„«»()\n]{2,40}?)[ ]?[\"”“»]"
)
_CLAUSE_START: Final = re.compile(
    r"\n|;|:\s|[\"”»“’]\),?\s+(?=\S)|(?<=[^\W\d_]{5})\.\s(?=\w)|,\s(?:and|und|et|y|e|en|и|ve)\s"
)
_REACH: Final = 320
_NEAR: Final = 70
_PARTIES_END: Final = 8_000
_BROKEN_LINE: Final = re.compile(
    r"(?<=[^\n]{28})\n(?=[^\W_])(?!\d+[.)]|[^\n]{0,40}:)|(?<=[^\W\d_] )\n|(?<=,)\n(?=\w)"
)
_CONTACT: Final = re.compile(r"\+\d[\d ()./-]{6,20}\d|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ROLE_ENDING: Final = re.compile(r"['’]?[^\W\d_]{0,3}$")
_PATRONYMIC: Final = re.compile(r"(?:вич|вна|ична|вича|вны|ичны|вичем|вной)$")
_BEFORE_POST: Final = re.compile(
    r"[ ]?[,(–-][ ]?(?:(?:als|the|its|le|la|el|il|de|ihr|seine?|его|ее)[ ])?"
)
_ANY_LABEL: Final = re.compile(r"[^\W\d_][^\n:\t\d]{1,48}:[ ]?(?=[^\W\d_])")
_AFTER_SIGNED: Final = re.compile(r"[ ]*(?:$|\n|\t|   |,|\(|[^\W\d_][^\n:\t]{1,40}:)")
_PARTIES: Final = 0.3  # the part of a contract without sections that has its parties
_MOST_OF_PARTIES: Final = 0.5  # where the first section is late, or no section
_SIGNATURES: Final = 0.6  # the part of a contract before its signatures
_CELL: Final = re.compile(r"(?:(?<=\n)|(?<=\t)|(?<=   ))[ ]{0,40}[^\t\n]{4,60}?(?=\t|\n|   |$)")
_MOST_SIGNED: Final = 2  # names in a line
# Leipzig, den 3. Mai 2026; in Russian with much space before the day.
_TOWN_AND_DAY: Final = re.compile(
    r"^[ \t]{0,8}(?:(?:En|A|À|In|Te|Fait à|Done at|г\.)[ \u00a0]?)?"
    rf"(?P<town>{CAPITAL}[\w'’-]+"
    rf"(?:[ ](?:{CAPITAL}[\w'’-]+|de|del|di|la|le|am|an|der|im|upon|on)){{0,4}})"
    r"(?:,?[ \t]{1,60}(?:(?:den|le|the|il|a|op|on|lì|this)[ ]){0,2}|\t{1,4})"
    r"\d{1,2}(?:\.|er|st|nd|rd|th)?[ ./]",
    re.MULTILINE,
)
_BEFORE_TOWN: Final = re.compile(
    r"(?:(?<![\w.(/-])\d{5}|(?<!\w)(?:г\.|пос\.|дер\.|с\.))[ \u00a0]"
    r"(?:(?:La|Le|Les|Los|Las|El|Bad|Sankt|St\.?)[ ]|L['’])?$"
)
_SPA_WORDS: Final = 2
_TOWNS: Final = frozenset({"san", "santa", "sankt"})  # the first word of many a town
_AS_TURKISH: Final = re.compile(r"[ \n]olarak(?!\w)")
_BARE_LETTER: Final = re.compile(rf"(?<=[^\W\d_]{{3}}) {CAPITAL}$")  # Mercedes-Benz C 220
_MOST_NAMES: Final = 120
_ENUMERATED: Final = re.compile(
    r"(?:Firma|Fa\.|Ditta|Sté) (?=\S)|(?:[A-Z]|[A-ZÁÉÍÓÚÑ]{3,8})\. (?=\S)|ИП "
)
_GENITIVE: Final = re.compile(r"(?:[^\W\d_][\w-]+ ){1,2}(?:der|des) (?=[^\W\d_a-zß-öø-ÿ])")
_GERMAN_ARTICLE: Final = re.compile(r"(?<!\w)(?:[Dd](?:ie|er|en|as|es|em))[ \n]$")
# Before a post, which is before the name of who has it: durch die Verwalterin Acme GmbH.
_DETERMINED: Final = re.compile(
    r"(?<!\w)(?:die|den|der|dem|ihre|ihren|the|its|la|le|sa|son|il|el|su|de|het|haar|zijn)[ \n]$"
)
_FORM_BEHIND: Final = re.compile(r", [A-Z.]{2,8} (?:au|à) capital")
_NORDIC_FORMS: Final = (" AB", " AS")  # which are also letters of parts and lots
_SECOND_FORM: Final = re.compile(r" (?:plc|PLC|Ltd|LTD|LLC|LLP|Inc)(?!\w)\.?")
_LEAST_BETWEEN: Final = 4  # letters; shorter ones are articles, too
_GENDER: Final = re.compile(
    r"(?:[/*_]-?|:(?=in[ :]))(?:in|innen|r|e|a|o|ne|se|esse|trice|rice)(?!\w)"
    r"|\((?:in|e|a|r|s|trice)\)"
)
_MOST_BETWEEN: Final = 2  # words between a name and its phone number
_MAILBOX: Final = re.compile(r"(?<![\w.-])([\w.-]{4,64})@(?=\w)")
_DOMAIN: Final = re.compile(r"@(?:[\w-]+\.)*([\w-]{4,40})\.[^\W\d_]{2,12}(?![\w.-]*[\w-])")
_MAILBOXES: Final = frozenset(
    ["service", "services", "support", "office", "sales", "team", "resources", "protection",
     "accounts", "finance", "legal", "desk", "help", "info", "contact", "customer", "kunden",
     "dienst", "privacy", "datenschutz", "billing", "invoices", "contracts", "projects", "client",
     "works", "council", "data", "general", "public"]
)  # fmt: skip
_ARTICLES: Final = frozenset(
    ["le", "la", "les", "el", "los", "las", "il", "lo", "i", "gli", "het", "l", "os", "as"]
)
_ORDINALS: Final = frozenset("ªº")
_ABBREVIATION: Final = re.compile(r"[А-ЯЁ]{2,3}")  # a citizen of the РФ
_NO_NAME_LEAD: Final = re.compile(r"(?:[А-ЯЁ]{2,3}|[ªº])[ \n]+(?=[^\W\d_])")
_HOUSE_NUMBER: Final = re.compile(r" \d{1,4} ?[a-z]?,[ \n]\d{4,5} ")  # after the name of a street
_NUMBER_BELOW: Final = re.compile(r",[ \n]\d")
_STREET_NUMBER: Final = re.compile(r"(?<=, )\d{1,4}[a-z]? $")
_LEAST_TITLE: Final = 3
_LEAST_LEAD: Final = 3  # characters of a word before a company's name, with its space
_WITH_TOWN: Final = 4  # words
_SURNAME_AFTER: Final = re.compile(rf"[.]?[ ]({CAPITAL}[^\W\d_]+(?:-{CAPITAL}[^\W\d_]+)?)(?!\w)")
_TRADE_NAME: Final = re.compile(
    rf"[ \t:.]{{0,3}}(?:[\"“„«'‘][ ]?(?P<quoted>[^\"“”„«»\n]{{3,60}}?)[ ]?[\"”“»'’]"
    rf"|(?P<plain>{NAME_WORD}(?:[ \u00a0]{SMALL_WORD}{{0,2}}{NAME_WORD}){{0,5}}))"
)
_OPEN_QUOTES: Final = tuple('"“„«')
_CLOSE_QUOTES: Final = tuple('"”“»')
_ROLE_ARTICLES: Final = _ARTICLES | frozenset(["the", "der", "die", "das", "de"])
_MOST_TITLES: Final = 5
_LINK: Final = re.compile(r"(?:https?://|www\.)\S+|[^\s@<(]+@[^\s@>)]+")
_REACH_OF_DETAILS: Final = 14
_LONGEST_WORDS: Final = 100  # characters of the words of a hit, and from them to a name
_TITLE_BEFORE: Final = re.compile(r"(?:[^\W\d_]{1,8}\.? ){1,2}$")
_OF_TOWN: Final = re.compile(
    r"^(?:[^\W\d_]+|(?:[A-Z]\.){2,4}) (?:de|di|da|von|van) ([^\W\d_][\w'’-]+)$"
)
_ORGANISATION: Final = re.compile(
    r"(?:Stichting|Vereniging|Coöperatie|Fundación|Asociación|Cooperativa|Fondazione|Associazione"
    r"|Fondation|Association|Foundation|Stiftung|Verein|Genossenschaft|Vakfı|Derneği) "
)
_SUFFIX: Final = re.compile(r"['’][a-zçğıöşü]+$")
_AFTER_TITLE: Final = re.compile(r"\.?[ \u00a0]{0,2}\n?[ ]{0,4}(?=[^\W\d_])")
_ABSTRACT: Final = {
    "en": re.compile(r"(?:tion|ness|ship|ity)$"),
    "de": re.compile(r"(?:ung|heit|keit|schaft|tion)$"),
    "fr": re.compile(r"tion$"),
    "es": re.compile(r"ción$"),
    "it": re.compile(r"(?:zione|tà)$"),
    "nl": re.compile(r"(?:heid|tie)$"),
    "ru": re.compile(r"(?:ость|ение|ция)$"),
}
_ELISION: Final = re.compile(r"(?:d|l|dell|all|dall)['’](?=\w)", re.IGNORECASE)
_WITH_PATRONYMIC: Final = 3  # words
_GERMAN_ARTICLES: Final = frozenset(["der", "den", "die", "das", "dem", "zur", "zum"])
_GERMAN_DETERMINER: Final = re.compile(
    r"(?<!\w)(?:(?:mein|dein|sein|ihr|unser)(?:e[mnrs]?)?|d(?:ie|er|en|em))[ \n]$"
)
_DETERMINER: Final = re.compile(
    r"(?<!\w)(?:the|its|their|our|a|an|la|le|les|du|el|los|las|su|sus|son|sa|ses|leur|il|gli|suo|sua|het"
    r"|zijn|haar)[ \n]$"
)
_LABEL_KINDS: Final = frozenset(["role", "stop", "party", "signature", "contact", "id", "account"])
_NO_NAMES: Final = frozenset(
    ["family", "given", "role", "stop", "post", "signature", "represents", "contact", "other", "id",
     "account",
     "title", "party"]
)  # fmt: skip


@cache
def load_words(language: str | None) -> Labels:
    """Return the words of a language, with the English posts; of all for an unknown language."""
    data: Mapping[str, Mapping[str, Sequence[str]]] = tomllib.loads(_DATA.read_text("utf-8"))
    own = [data[language]] if language and language in data else list(data.values())
    # International companies have English posts; other English words mean something else.
    posts = {"post": data[_FALLBACK]["post"]}
    kinds = {**collect([posts]), **collect(own)}
    return Labels(
        kinds=kinds, strong=frozenset(kinds), columns={}, titles={}, links=frozenset(),
        first=frozenset(key.split(" ", 1)[0] for key in kinds),
    )  # fmt: skip


LANGUAGES: Final = frozenset(tomllib.loads(_DATA.read_text("utf-8")))
"""The languages that have words, ISO 639-1."""


class Contract:
    """A contract's text, read for names.

    Attributes:
        language: ISO 639-1, or None.
        text: The text with the lines of a paragraph joined, of the same length.
        raw: The text as it is.
    """

    def __init__(self, text: str, language: str | None) -> None:
        self.raw = text
        self.language = language
        self._labels = load_words(language)
        self.text = _BROKEN_LINE.sub(lambda match: " " * len(match[0]), text)
        self.folded = fold(self.text)
        self._tokens: list[Token] = tokenize(self.folded)
        self.hits: list[Hit] = list(self._labels.find(self.folded, self._tokens))
        if own := find_own_roles(self):
            self.hits = sorted([*self.hits, *own], key=lambda hit: hit.start)
        self.hits = list(map(self._with_gender, self.hits))
        self._starts = {hit.start: hit for hit in self.hits}
        self._alone: dict[str, bool] = {}
        self._order = [hit.start for hit in self.hits]

    def _with_gender(self, hit: Hit) -> Hit:
        """Return a role with the other gender that is written behind it: ``Vermieter/in``."""
        gender = _GENDER.match(self.text, hit.end) if "role" in hit.kinds else None
        return replace(hit, end=gender.end()) if gender else hit

    def is_of(self, text: str) -> bool:
        """Return whether it was read from this text."""
        return self.raw == text

    @cached_property
    def lower_words(self) -> frozenset[str]:
        """The words that the text has in small letters, but for those of mail addresses."""
        text = _LINK.sub(" ", self.text)
        return frozenset(word for word in re.findall(r"[^\W\d_]+", text) if word.islower())

    @cached_property
    def names(self) -> list[Named]:
        """The parties and people in the text's order, each once."""
        guessed = [
            *self._defined(),
            *self._beside_contacts(),
            *self._between(),
            *self._after_labels(),
            *self._signed(),
            *self._beside_signed(),
        ]
        found = sorted(
            [
                *self._companies(),
                *self._bodies(),
                *self._after_titles(),
                *self._people,
                *self._surnames(),
                *self._of_addresses(),
                *self._born(),
                *find_in_fields(self),
                *(
                    named
                    for named in (*self._after_words(), *self._beside_posts())
                    if not self._has_common_word(named)
                ),
                *(
                    named
                    for named in guessed
                    if self._is_plausible(named.name, is_party=self._is_in_clause(named))
                    and not self._is_no_name(named)
                ),
            ],
            key=lambda named: (named.start, -len(named.name)),
        )
        unique: dict[str, Named] = {}
        for named in found:
            name = " ".join(named.name.split())
            if self.language == "tr":
                name = _SUFFIX.sub("", name)
            if not has_form(name):
                end = named.start + len(named.name)
                name = self._bare(name) + generation(self.text, end)
                if self._is_of_company(name) or self._is_term(name) or self._is_of_town(name):
                    continue
                if self._is_thing(name, named.start):
                    continue
            key = fold(name)
            known = unique.get(key) if name else None
            if not name:
                continue
            if known is None:
                is_party = named.is_party or (
                    not has_form(name)
                    and self.is_described(named.start, named.start + len(named.name))
                )
                unique[key] = Named(name, named.start, is_party)
            elif (
                named.is_party
                and not known.is_party
                and (named.start < self.middle or not self.is_represented(known.start))
            ):
                unique[key] = Named(known.name, known.start, True)
        settled = self._settled(list(unique.values())[:_MOST_NAMES])
        section = _FIRST_SECTION.search(self.raw)
        return choose_parties(self, settled, section.start() if section else len(self.text))

    def _settled(self, names: list[Named]) -> list[Named]:
        """Return names without those that are two at once, with who is a party decided together."""
        keys = {fold(named.name) for named in names}
        names = [named for named in names if not is_joined(named.name, keys)]
        names = without_parts(names)
        names = [self._from_its_beginning(named) for named in names]
        is_party = [named.is_party for named in names]
        for index, other in [*pairwise(range(len(names))), *_reversed_pairs(len(names))]:
            first, second = sorted((names[index], names[other]), key=lambda each: each.start)
            gap = self.text[first.start + len(first.name) : second.start]
            if (
                is_party[index]
                and not is_party[other]
                and not has_form(first.name)
                and not has_form(second.name)
                and _JOINED.fullmatch(gap)
                and not self.is_represented(names[other].start)
            ):
                is_party[other] = True  # A and B are both parties if one is
        sure = sum(
            party and named.start < self.middle
            for named, party in zip(names, is_party, strict=True)
        )
        settled: list[Named] = []
        for named, party in zip(names, is_party, strict=True):
            is_early = named.start < self.middle
            is_company = has_form(named.name.replace("-", " "))  # Verwaltungs-GmbH
            acts_for_another = (
                is_company
                and self.language != "tr"  # whose such words are after the represented
                and self.is_represented(named.start)
            )
            is_more = (sure > 1 and not is_early) or (sure > 2 and self._is_mentioned(named))
            if party and (acts_for_another or is_more):
                party = False
                sure -= is_early
            settled.append(Named(named.name, named.start, party))
        known = [each.name for each in settled if each.is_party and each.start < self.middle]
        return [
            Named(each.name, each.start, False)
            if each.is_party and any(is_short_form(each.name, name) for name in known)
            else each
            for each in settled
        ]

    @cached_property
    def _clause_end(self) -> int:
        """The end of the part in which a contract names its parties."""
        section = _FIRST_SECTION.search(self.raw)
        share = _MOST_OF_PARTIES if section else _PARTIES
        end = int(len(self.text) * share)
        return min(section.start(), end) if section else end

    def _is_in_clause(self, named: Named) -> bool:
        return named.is_party and named.start < self._clause_end

    @cached_property
    def middle(self) -> int:
        """The position after which parties are only named again, and others sign for them."""
        section = _FIRST_SECTION.search(self.raw)
        end = max(int(len(self.text) * _SIGNATURES), section.start() if section else 0)
        return min(_PARTIES_END, end)

    def _is_mentioned(self, named: Named) -> bool:
        """Return whether a company is what a contract is about: the shares of Acme Ltd."""
        if not has_form(named.name):
            return False
        before = self.text[max(0, named.start - _NEAR) : named.start]
        return _ABOUT.search(before) is not None

    def is_represented(self, start: int) -> bool:
        """Return whether words such as ``represented by`` are shortly before a position."""
        return any(
            "represents" in hit.kinds and _UP_TO_NAME.fullmatch(self.text[hit.end : start])
            for hit in self.hits_in(start - _NEAR, start)
        )

    def _from_its_beginning(self, named: Named) -> Named:
        """Return a name with the word before its small one: María del Carmen, not del Carmen."""
        if not named.name[:1].islower() or fold(named.name.split()[0]) not in PARTICLES:
            return named
        before = _WORD_BEFORE.search(self.raw, max(0, named.start - 40), named.start)
        if before is None:
            return named
        if not is_given(before["word"], self.language):
            return Named(named.name, named.start, False)  # Route de Lamalou
        return Named(f"{before['word']} {named.name}", before.start("word"), named.is_party)

    @cached_property
    def _found_companies(self) -> list[tuple[int, str]]:
        """Every place of a company with its name."""
        return list(find_companies(self.text))

    @cached_property
    def _company_starts(self) -> frozenset[int]:
        """Every position at which a company's name begins, also after such as ``Für``."""
        found: set[int] = set()
        for start, name in self._found_companies:
            found.add(start)
            found.add(self._without_words(start, name))
        return frozenset(found)

    @cached_property
    def roles(self) -> frozenset[str]:
        """The folded words that name a role in this contract, not a party."""
        defined = {
            fold(match["role"]).strip(" .,")
            for match in _ROLE_IN_QUOTES.finditer(self.text)
            if match["open"] or self._introduced(match)
        }
        known = {self.folded[hit.start : hit.end] for hit in self.hits if "role" in hit.kinds}
        return frozenset(defined | known)

    def _introduced(self, match: re.Match[str]) -> bool:
        """Return whether words such as ``hereinafter`` are before a text in quotation marks."""
        return any(
            "defined" in hit.kinds for hit in self.hits_in(match.start(), match.start("role"))
        )

    def _companies(self) -> Iterator[Named]:
        """Yield the companies of the parties' clause, and after words of a signature block."""
        section = _FIRST_SECTION.search(self.raw)
        end = section.start() if section else min(len(self.text), _PARTIES_END)
        found = self._found_companies
        known: dict[str, set[str]] = {}
        for start, name in found:
            earlier = self.raw[max(0, start - _NEAR) : start].split()
            known.setdefault(name, set()).add(earlier[-1] if earlier else "")
        for start, name in found:
            cut = self._without_words(start, name)
            for hit in self.hits_in(cut, start + len(name)):
                if "role" in hit.kinds and self.raw[max(0, hit.start - 1)] == "\n":
                    cut = self._without_words(hit.start, name[hit.start - start :])
            name = name[cut - start :]
            shorter = known_end(name, known)
            cut += len(name) - len(shorter)
            name = shorter
            genitive = _GENITIVE.match(name) if self.language == "de" else None
            if genitive and _GERMAN_ARTICLE.search(self.text, max(0, cut - 6), cut):
                cut += genitive.end()  # Die Gesellschafter der Acme GmbH
                name = name[genitive.end() :]
            number = _ENUMERATED.match(name)
            if number and (
                len(number[0]) > _LEAST_LEAD
                or number[0] == "ИП "
                or self.raw[max(0, cut - 1) : cut] in ("", "\n", "\t")
            ):
                cut += number.end()
                name = name[number.end() :]
            more = _SECOND_FORM.match(self.text, cut + len(name))
            name += more[0] if more else ""
            is_described = _FORM_BEHIND.match(self.text, cut + len(name)) is not None
            is_company = has_form(name) or is_described
            if not is_company or not without_form(name) or self._is_role(name):
                continue
            if name[-3:] in _NORDIC_FORMS and is_common(name[:-3], self.language):
                continue  # Section AB
            before = next((hit for hit in self._hits_before(cut)), None)
            named_by = before is not None and {"party", "role", "represents"} & set(before.kinds)
            if cut < max(end, 600) or named_by:
                yield Named(name, cut, True)

    def _bodies(self) -> Iterator[Named]:
        """Yield the bodies without a legal form: L'association Les Amis, dont le siège est."""
        for match in _BODY.finditer(self.text, 0, self.middle):
            name = match["named"] or match["seated"]
            start = match.start("named" if match["named"] else "seated")
            if match["named"] and _GENITIVE_BEFORE.search(self.text, 0, match.start()):
                continue  # the shares of a company
            kind = _ELIDED_KIND.match(name)
            if kind:  # L'association Les Amis
                start += kind.end()
                name = name[kind.end() :]
            words = name.split()
            if has_form(name) or any(map(str.isdigit, name)) or self._is_role(name):
                continue
            if start in self._company_places or (
                is_given(words[0], self.language) and not _ORGANISATION.match(name)
            ):
                continue
            hit = self._starts.get(start)
            is_label = hit is not None and _LABEL_KINDS & set(hit.kinds)
            if not is_label or _ORGANISATION.match(name):
                yield Named(name, start, True)

    def _without_words(self, start: int, name: str) -> int:
        """Return where a name begins after words such as ``between`` and ``Tenant``."""
        at = start
        end = start + len(name)
        while True:
            hit = self._starts.get(at)
            if hit is None or hit.end >= end:
                return at
            is_post = {"post", "naming"} & set(hit.kinds) and _DETERMINED.search(
                self.text, max(0, at - 8), at
            )
            if not is_post and not {"party", "between", "role", "defined"} & set(hit.kinds):
                return at
            rest = self.text[hit.end : end]
            following = hit.end + len(rest) - len(rest.lstrip(" ,:"))
            small = self.text[at : at + 1].islower()
            if not small and not is_post and "role" not in hit.kinds and _is_own_word(self.raw, at):
                return at
            at = following

    def _hits_before(self, position: int) -> Iterator[Hit]:
        """Yield the word directly before a position."""
        for hit in self.hits_in(position - _LONGEST_WORDS, position):
            if hit.end <= position <= hit.end + 4 and not re.search(
                r"\w", self.text[hit.end : position]
            ):
                yield hit

    def _after_words(self) -> Iterator[Named]:
        """Yield the names after words of signatures, representation, contact and roles."""
        for hit in self.hits:
            kinds = set(hit.kinds)
            is_party = "role" in kinds
            is_listed = is_party or "party" in kinds
            if not kinds & {"signature", "represents", "contact", "role", "party"}:
                continue
            after = self.text[hit.end : hit.end + 3]
            colon = after.lstrip(" .")[:1] in (":", "–", "—")
            if kinds & {"signature"} and not colon and " " not in self.folded[hit.start : hit.end]:
                continue
            line_start = self.text.rfind("\n", 0, hit.start) + 1
            at_start = not self.text[line_start : hit.start].strip(" \t*#-")
            in_cell = self.text[max(0, hit.start - 1) : hit.start] in ("\t", "")
            if (
                is_listed
                and "represents" not in kinds
                and not (is_party and self._is_introduced(hit))
                and not colon
                and not at_start
                and not in_cell
            ):
                continue
            name = self._name_at(
                hit.end, allow_post="represents" in kinds, is_sure=colon or "represents" in kinds
            )
            if name is not None:
                is_other = kinds & {"signature", "represents", "post"}
                yield Named(name[1], name[0], is_party and not is_other)
                yield from self._second(name)

    def _is_introduced(self, hit: Hit) -> bool:
        """Return whether a role stands before a name with details: the seller Jane Doe (Main St."""
        if hit.start > CLAUSE_CHARACTERS // 2:
            return False
        match = _NAME.match(self.text, min(hit.end + 1, len(self.text)))
        return match is not None and self.text[match.end() :][:2] == " ("

    def _second(self, first: tuple[int, str]) -> Iterator[Named]:
        """Yield the person after another one and a word such as ``and``."""
        end = first[0] + len(first[1])
        between = re.match(r"[ \n]*(?:\([^()\n]{2,40}\))?,?[ \n]*", self.text[end : end + 60])
        at = end + (between.end() if between else 0)
        hit = self._starts.get(at)
        if hit is not None and "also" in hit.kinds:
            name = self._name_at(hit.end)
            if name is not None:
                yield Named(name[1], name[0], False)

    def _beside_posts(self) -> Iterator[Named]:
        """Yield the names directly before or after a post, such as ``Jane Doe, Director``."""
        for hit in self.hits:
            if "post" not in hit.kinds:
                continue
            following = self._name_at(hit.end)
            gap = self.text[hit.end : following[0]] if following else ""
            if following and gap.strip(" ") in ("", ":", ",", "–", "-") and "\n" not in gap:
                yield Named(following[1], following[0], False)
                yield from self._second(following)
            begin = max(0, hit.start - _NEAR)
            before = self.text[begin : hit.start]
            last = next(iter([*_NAME.finditer(before)][-1:]), None)
            if last is not None and _BEFORE_POST.fullmatch(before[last.end() :]):
                person = self._cut(begin + last.start(), last[0])
                if person is not None and person[0] + len(person[1]) == begin + last.end():
                    yield Named(person[1], person[0], False)

    def _signed(self) -> Iterator[Named]:
        """Yield the names after any label, or alone in a line, of the signatures at the end."""
        begin = int(len(self.raw) * _SIGNATURES)
        for match in _ANY_LABEL.finditer(self.raw, begin):
            label = self.hits_in(match.start(), match.end())
            last = [hit for hit in label if hit.end <= match.end() and "stop" in hit.kinds]
            if last and not {"signature", "role", "post"} & set(last[-1].kinds):
                continue
            name = self._name_at(match.end())
            if name is None or name[0] > match.end() + 10:
                continue
            end = name[0] + len(name[1])
            others = [hit for hit in self.hits_in(name[0], end) if "other" in hit.kinds]
            if not others and _AFTER_SIGNED.match(self.raw, end):
                yield Named(name[1], name[0], False)
        for match in _CELL.finditer(self.raw, begin):
            cell = match[0].strip(" ()/_.*")
            if _NAME.fullmatch(cell) is None or len(cell.split()) > 4 or cell.isupper():
                continue
            start = match.start() + match[0].index(cell)
            around = self.raw[max(0, start - 200) : start + 200]
            is_near = "___" in around or "....." in around or any(
                {"role", "signature", "party", "post"} & set(hit.kinds)
                for hit in self.hits_in(max(0, start - 160), start + 120)
            )  # fmt: skip
            person = self._cut(start, cell) if is_near else None
            if person is not None and person[1] == cell:
                yield Named(person[1], person[0], False)

    def _beside_signed(self) -> Iterator[Named]:
        """Yield the names beside one that the contract has before, in a line of signatures."""
        begin = int(len(self.raw) * _SIGNATURES)
        head = self.folded[:begin]
        for line in LINE.finditer(self.raw, begin):
            cells = [
                (line.start() + match.start(), match[0].strip())
                for match in COLUMN.finditer(line[0])
            ]
            if len(cells) != _MOST_SIGNED or not all(
                _NAME.fullmatch(cell) and not cell.isupper() for _, cell in cells
            ):
                continue
            known = [fold(cell.split()[-1]) in head for _, cell in cells]
            if sum(known) != 1:
                continue
            start, cell = cells[known.index(False)]
            person = self._cut(start, cell)
            if person is not None and person[1] == cell:
                yield Named(cell, start, False)

    def _name_at(
        self, position: int, *, allow_post: bool = False, is_sure: bool = False
    ) -> tuple[int, str] | None:
        """Return start and text of the person's name directly after a position."""
        lead = _LEAD.match(self.text, position)
        at = lead.end() if lead else position
        if "\n\n" in self.text[position:at]:
            return None
        if allow_post:
            post = _POST.match(self.text, at)
            at = post.end() if post else at
        at = self.after_title(at)
        match = _NAME.match(self.text, at)
        if match is None:
            return None
        return self._cut(at, match[0], is_sure=is_sure)

    def after_title(self, position: int) -> int:
        """Return where a name begins after its titles: after ``Dr`` in ``Dr Jane Doe``."""
        for _ in range(_MOST_TITLES):
            hit = self._starts.get(position)
            if hit is None or "title" not in hit.kinds:
                break
            gap = _AFTER_TITLE.match(self.text, hit.end)
            if gap is None or not self.text[gap.end()].isupper():
                break
            position = gap.end()
        return position

    def _cut(self, start: int, name: str, *, is_sure: bool = False) -> tuple[int, str] | None:
        """Return a name without the label after it; None when it is not one of a person."""
        end = start + len(name)
        for hit in self.hits_in(start - _LEAST_BETWEEN * 4, start + 1):
            is_long = hit.end - start > _LEAST_BETWEEN and self.text[start : hit.end].isupper()
            if is_long and "between" in hit.kinds and hit.end + 1 < end:
                start = hit.end + 1  # made BETWEEN Jane Doe
                break
        first = self._starts.get(start)
        if (
            first is not None
            and "between" in first.kinds
            and len(self.text[start : first.end]) >= _LEAST_BETWEEN
            and first.end + 1 < end
        ):
            start = first.end + 1  # Zwischen Jane Doe
        for hit in self.hits_in(start, end):
            if start < hit.start < end and (
                self.text[hit.end : hit.end + 1] == ":"
                or {"stop", "role", "post", "signature"} & set(hit.kinds)
            ):
                end = hit.start
                break
            if hit.start == start and _LABEL_KINDS & set(hit.kinds) and "title" not in hit.kinds:
                return None
        if start in self._company_starts or any(
            "id" in hit.kinds and hit.start < start < hit.end
            for hit in self.hits_in(start - _LEAST_BETWEEN * 4, start)
        ):
            return None
        if self.text[max(0, start - 4) : start] in (" of ", " at ") and _NUMBER_BELOW.match(
            self.text, end
        ):
            return None  # of Trelawny House, 4 Fore Street
        if not is_sure and _STREET_NUMBER.search(self.text, max(0, start - 6), start):
            return None  # 4 Fore Street
        start = self._after_post(start)
        lead = _NO_NAME_LEAD.match(self.text, start, end)
        start = lead.end() if lead else start
        if start >= end or (not is_sure and _HOUSE_NUMBER.match(self.text, end)):
            return None
        end = self._line_end(start, end)
        for hit in self.hits_in(start, end):
            if hit.end <= end and "other" in hit.kinds:
                if hit.start == start:
                    return None
                if " " in self.folded[hit.start : hit.end]:  # Jane Price is a name, too
                    end = hit.start
                    break
        start = min(self.after_title(start), end)
        name = self.text[start:end].rstrip(" .,")
        if self.text[end : end + 2].strip().isdigit():
            name = _BARE_LETTER.sub("", name)
        words = name.split()
        if len(words) < 2 or has_form(name) or self._is_role(name):
            return None
        if {"signature", "title"} & set(self._labels.kinds.get(fold(words[-1]), ())):
            return None  # Signed for Oak   Signed for Elm
        if self.language == "tr" and _AS_TURKISH.match(self.text, end):
            return None  # who works as a machine operator
        elided = _ELISION.match(words[0])
        if elided and {"post", "role", "other"} & set(
            self._labels.kinds.get(fold(words[0][elided.end() :]), ())
        ):
            return None  # L'Amministratrice Unica
        if len(words) > 2 and self._stands_alone(words[0]):
            start += len(words[0]) + 1
            words = words[1:]
            name = " ".join(words)
        following = self.text[start + len(name) : start + len(name) + 1]
        if following == ":" and len(words) > 2:
            name = " ".join(words[:-1])
            words = words[:-1]
        if (
            self.language == "ru"
            and len(words) == _WITH_PATRONYMIC + 1
            and (_PATRONYMIC.search(words[-1]))
        ):
            start += len(words[0]) + 1  # Фотограф Доу Анна Ивановна
            words = words[1:]
            name = " ".join(words)
        if self.language == "de":
            if words[0] in _GERMAN_ARTICLES:
                return None  # bei der Hochzeit
            if (
                len(words) > 2
                and is_given(words[1], "de")
                and not is_given(words[0], "de")
                and _GERMAN_DETERMINER.search(self.text, max(0, start - 9), start)
            ):
                start += len(words[0]) + 1  # meinem Neffen Jan Doe
                words = words[1:]
                name = " ".join(words)
        # Words that the text also has in small letters are no name, unless one is not among them.
        lower = [word.strip(".,").lower() in self.lower_words for word in words]
        if is_sure:
            return start, name
        if all(lower) or (
            all(map(str.isupper, words))
            and not any(word[-1] == "." for word in words)
            and not any(is_given(words[at], self.language) for at in (0, -1))
        ):
            return None
        if all(map(str.isupper, words)) and fold(words[0]) in _ROLE_ARTICLES | PARTICLES:
            return None  # DE UNA PARTE
        return start, name

    def _after_post(self, position: int) -> int:
        """Return where a name begins after a post at a position, or around it."""
        for hit in self.hits_in(position - _LONGEST_WORDS, position + 1):
            is_post = hit.start == position and "post" in hit.kinds  # General Counsel Jane Doe
            is_inside = hit.start < position < hit.end and {"post", "other", "represents"} & set(
                hit.kinds
            )
            if is_post or is_inside:
                rest = self.text[hit.end : hit.end + _NEAR]
                return hit.end + len(rest) - len(rest.lstrip())
        return position

    def _stands_alone(self, word: str) -> bool:
        """Return whether a word is also used outside of names, such as a heading."""
        more = r"(?!(?:del|de|di|della|dos|da) )" if is_given(word, self.language) else ""
        pattern = (
            rf"(?<!\w){re.escape(word)}(?!\w)"
            rf"(?=[ .:]*(?:\n|$)|,? {more}[^\W\d_A-ZÀ-ÞА-ЯЁİĞŞÇÖÜ])"
        )
        return re.search(pattern, self.raw) is not None

    def _line_end(self, start: int, end: int) -> int:
        """Return the end of a name, which continues in the next line only if it must."""
        broken = self.raw.find("\n", start, end)
        if broken < 0:
            return end
        following = self.raw[broken:end].split()
        whole = len(self.raw[start:broken].split()) > 1
        if whole and not (following and _PATRONYMIC.search(following[0])):
            return broken
        return end

    def is_known_role(self, name: str) -> bool:
        """Return whether a name is a role in contracts of the language, such as ``Tenant``."""
        key = " ".join(token.text for token in tokenize(fold(name)))
        return "role" in self._labels.kinds.get(key, ())

    def cut(self, name: str) -> str | None:
        """Return a name found by other means without the label after it, or None."""
        at = self.text.find(name)
        if at < 0:  # it is over two lines
            return name
        cut = self._cut(at, name, is_sure=True)
        return cut[1] if cut else None

    def _is_role(self, name: str) -> bool:
        folded = fold(name)
        first, _, rest = folded.partition(" ")
        return folded in self.roles or (first in _ROLE_ARTICLES and rest in self.roles)

    def _defined(self) -> Iterator[Named]:
        """Yield the person before a definition, such as ``(the "Borrower")``."""
        previous = 0
        for start, end in self.definitions:
            clause = self._clause_before(max(previous, start - _REACH), start)
            previous = end
            if any(True for _ in find_companies(self.text[clause:start])):
                continue
            for found in _NAME.finditer(self.text, clause, start):
                if found.end() == start and self.text[start : start + 1].isalnum():
                    continue  # the words before the definition begin within a name
                person = self._cut(found.start(), found[0])
                # The sale of its Baltic Division ("Operation Rose") is of no person.
                if person is not None and _DETERMINER.search(
                    self.text[max(0, person[0] - 8) : person[0]]
                ):
                    continue
                usual = next((each for each in self._people if clause <= each.start < start), None)
                if person is not None and usual is not None and usual.start < person[0]:
                    person = usual.start, usual.name
                if person is not None:
                    for_another = any(
                        {"represents", "post"} & set(hit.kinds)
                        for hit in self.hits_in(person[0] - 40, person[0])
                    ) or any("represents" in hit.kinds for hit in self.hits_in(clause, person[0]))
                    yield Named(person[1], person[0], not for_another)
                    break

    @cached_property
    def definitions(self) -> list[tuple[int, int]]:
        """Where roles are defined: in quotation marks, in brackets, or after a word."""
        places: list[tuple[int, int]] = []
        for match in _ROLE_IN_QUOTES.finditer(self.text[:_PARTIES_END]):
            start, end = match.start("role"), match.end("role")
            is_role = any(
                "role" in hit.kinds and hit.start <= start + 4 and hit.end >= start
                for hit in self.hits_in(start, end)
            )
            is_other = any("other" in hit.kinds for hit in self.hits_in(start, end))
            if is_role or (not is_other and (match["open"] or self._introduced(match))):
                places.append((match.start(), match.end()))
        for hit in self.hits:
            if hit.start > _PARTIES_END:
                break
            bracketed = (
                self.text[max(0, hit.start - 5) : hit.start].rpartition("(")[1]
                and self.text[hit.end : hit.end + 1] == ")"
            )
            phrase = "defined" in hit.kinds and len(self.folded[hit.start : hit.end]) > 5
            if ("role" in hit.kinds and bracketed) or phrase:
                places.append((hit.start, hit.end))
        section = _FIRST_SECTION.search(self.raw)
        end = min(section.start() if section else CLAUSE_CHARACTERS, CLAUSE_CHARACTERS)
        for match in _BRACKETED.finditer(self.text, 0, end):  # Mr Jane Doe, Main St. 5 (Employee)
            if match["role"] not in self.domains and not any(
                "other" in hit.kinds for hit in self.hits_in(*match.span("role"))
            ):
                places.append(match.span())
        return sorted(places)

    def _clause_before(self, begin: int, end: int) -> int:
        before = self.text[begin:end]
        starts = [found.end() for found in _CLAUSE_START.finditer(before)]
        # A definition on a line of its own belongs to the line before it.
        while starts and not before[starts[-1] :].strip(' ,("“„«'):
            starts.pop()
        return begin + (starts[-1] if starts else 0)

    def _between(self) -> Iterator[Named]:
        """Yield the people after ``between`` and ``and`` in the parties' clause."""
        for hit in self.hits:
            if hit.start > CLAUSE_CHARACTERS:
                return
            if not {"between", "also"} & set(hit.kinds):
                continue
            name = self._name_at(hit.end)
            if name is None or name[0] > hit.end + 3:
                continue
            after = self.text[name[0] + len(name[1]) :][:2]
            if after[:1] in (",", "(", ";") or after == " (":
                end = name[0] + len(name[1])
                for_another = any(
                    {"party", "represents"} & set(each.kinds) for each in self.hits_in(end, end + 6)
                )
                yield Named(name[1], name[0], not for_another)

    def _after_titles(self) -> Iterator[Named]:
        """Yield the names after Mr, Frau, Mme and the like."""
        for title in _STRONG_TITLE.finditer(self.text):
            if title[0].startswith("M.") and self.language != "fr":
                continue  # an initial
            name = self._name_at(title.end(), is_sure=True)
            if name is not None and self.language == "de" and self._is_known_surname(name[1]):
                continue  # Herr Doe Ersatz
            if name is not None and name[0] <= title.end() + 8:
                yield Named(name[1], name[0], False)

    def _is_known_surname(self, name: str) -> bool:
        """Return whether a name begins with the surname of somebody who is named whole."""
        first, _, rest = name.partition(" ")
        return (
            bool(rest)
            and not is_given(first, self.language)
            and any(each.name.endswith(f" {first}") for each in self._people)
        )

    def _after_labels(self) -> Iterator[Named]:
        """Yield the names after any label of a line that continues with an address or a number."""
        for match in _LABELLED_LINE.finditer(self.text[:_PARTIES_END]):
            # The label may have begun in the line before.
            label = self.hits_in(match.start() - 24, match.end())
            name = self._name_at(match.end())
            if name is None or any(
                {"contact", "signature", "represents", "stop", "post"} & set(hit.kinds)
                for hit in label
            ):
                continue
            after = self.text[name[0] + len(name[1]) : self.text.find("\n", name[0]) % 10**9]
            if _CONTACT.match(after.lstrip(" ,;(")):
                continue  # somebody to be asked
            is_street = after[:1] == " " and after[1:2].isdigit()
            if after[:1] in (",", ";", " ") and not is_street and any(map(str.isdigit, after)):
                yield Named(name[1], name[0], True)

    @cached_property
    def _words(self) -> list[Word]:
        return split_words(self.text)

    @cached_property
    def _not_names(self) -> frozenset[int]:
        """The places of the words of roles, posts, labels and terms."""
        found: set[int] = set()
        for hit in self.hits:
            if not _NO_NAMES & set(hit.kinds):
                continue
            # Jane Price is a name, and so the only word of a term may be one before a comma.
            is_word = set(hit.kinds) == {"other"} and " " not in self.folded[hit.start : hit.end]
            if is_word and self.text[hit.end : hit.end + 1] in (",", ".", ";", ")", "\n", ""):
                continue
            found.update(range(hit.start, hit.end))
        return frozenset(found)

    @cached_property
    def _company_places(self) -> frozenset[int]:
        return frozenset(
            place
            for start, name in self._found_companies
            if not name.startswith("ИП ")  # who is a person
            for place in range(self._without_words(start, name), start + len(name))
        )

    @cached_property
    def _company_names(self) -> tuple[list[str], ...]:
        """The words of each company's name."""
        return tuple(
            re.findall(r"\w+", fold(without_partners(name))) for _, name in self._found_companies
        )

    def _is_of_company(self, name: str) -> bool:
        """Return whether words are some of a company's name, and no person's name of their own."""
        words = re.findall(r"\w+", fold(name))
        if len(words) < 2 or self.language == "ru":
            return False
        return any(
            set(company).issuperset(words)
            and company != words  # a company whose form is only described
            and (company[0] != words[0] or not is_given(words[0], self.language))
            for company in self._company_names
        )

    def _is_of_town(self, name: str) -> bool:
        """Return whether a name ends with a town of an address: Ville de Mende, 48000 Mende."""
        match = _OF_TOWN.search(name)
        return match is not None and (
            re.search(rf"(?<!\d)\d{{4,6}}[ \n]{re.escape(match[1])}(?!\w)", self.raw) is not None
        )

    def _is_term(self, name: str) -> bool:
        """Return whether words are or begin with those of a department: Klinische Forschung."""
        words = name.split()
        ending = _ABSTRACT.get(self.language or "")
        first = next((i for i, word in enumerate(words) if is_given(word, self.language)), None)
        before = words[:first]
        return (
            len(before) > 1 and ending is not None and ending.search(before[-1].lower()) is not None
        )

    def _bare(self, name: str) -> str:
        """Return a person's name without the titles, posts and labels before it."""
        words = name.split()
        kinds = [set(self._labels.kinds.get(fold(word).rstrip("."), ())) for word in words]
        first = 0
        while first < len(words) - 1 and (
            {"post", "stop", "signature", "represents", "title", "also"} & kinds[first]
            or words[first] in _ORDINALS
            or _ABBREVIATION.fullmatch(words[first])
        ):
            first += 1
        if (
            self.language == "it"
            and len(words) - first == _WITH_TOWN
            and words[-2] == "di"
            and is_given(words[first], "it")
            and not is_given(words[first + 1], "it")
        ):
            words = words[:-2]  # Ettore Vinai di Alba
        while (
            self.language == "tr"
            and len(words) - first > 1
            and "after" in self._labels.kinds.get(fold(_SUFFIX.sub("", words[-1])), ())
        ):
            words = words[:-1]  # Kemal Bey
        # Before Maître Doe: what is before a title is none of the name.
        inner = [at for at in range(first, len(words) - 1) if {"title"} & kinds[at]]
        if inner and len(fold(words[inner[-1]])) > _LEAST_TITLE:
            first = inner[-1] + 1
        return " ".join(words[first:])

    @cached_property
    def domains(self) -> frozenset[str]:
        """The names of the domains of its mail addresses, without their ends."""
        return frozenset(map(fold, _DOMAIN.findall(self.raw)))

    def is_free(self, word: str) -> bool:
        """Return whether a word is none of the words of contracts in the language."""
        return not _NO_NAMES & set(self._labels.kinds.get(fold(word), ()))

    @cached_property
    def _role_words(self) -> frozenset[str]:
        """The words of the roles that are no part of a company's name."""
        named = {word for _, name in self._found_companies for word in fold(name).split()}
        return frozenset(word for role in self.roles for word in role.split()) - named

    def _is_other(self, word: Word) -> bool:
        if self.language == "tr" and not self.is_free(word.text):
            return True
        return (
            word.start in self._not_names
            or word.start in self._company_places
            or (len(word.text) > 3 and fold(word.text) in self._role_words)
        )

    @cached_property
    def places(self) -> frozenset[str]:
        """The folded names of towns: before a day in a line that begins with them."""
        found = {fold(match["town"]) for match in _TOWN_AND_DAY.finditer(self.raw)}
        return frozenset(" ".join(town.split()) for town in found)

    def _is_no_name(self, named: Named) -> bool:
        """Return whether words are a town, or end in a title: nobody is named so."""
        before = self.text[max(0, named.start - 16) : named.start]
        words = named.name.split()
        is_spa = self.language == "de" and words[0] == "Bad" and len(words) == _SPA_WORDS
        is_town = is_spa or (not named.is_party and fold(words[0]) in _TOWNS)
        if "title" in self._labels.kinds.get(fold(words[-1]), ()):
            return True  # Il Sig.
        return not has_form(named.name) and (
            is_town or _BEFORE_TOWN.search(before) is not None or fold(named.name) in self.places
        )

    def _has_title(self, start: int) -> bool:
        """Return whether a form of address such as ``Mr`` is directly before a position."""
        return any("title" in hit.kinds for hit in self._hits_before(start))

    def _is_thing(self, name: str, start: int) -> bool:
        """Return whether a name is one of a thing that is named like a person."""
        first, *others = name.split()
        end = start + len(name)
        if " ".join(self.text[start:end].split()) != name:
            return False
        in_parties = start < self._clause_end
        is_named = is_thing(self.text, start, end, self.language, in_parties=in_parties)
        if is_given(first, self.language) and is_famous(name) and not self._has_title(start):
            return True
        if start - 1 in self.titles:
            return is_named and is_honorific(self.text, start, self.language)  # the opera Don Doe
        if any(is_thing_compound(word, self.language) for word in name.split()):
            return True
        if others and is_thing_word(first, self.language) and not is_given(first, self.language):
            return True  # Marke Haro
        if is_given(first, self.language):
            return is_named or has_article(self.text, start, self.language)
        return follows_thing_word(self.text, start, self.language, in_parties=in_parties)

    def _has_common_word(self, named: Named) -> bool:
        """Return whether a name without a usual given name has a word of contracts."""
        words = [word.text for word in split_words(named.name)]
        return (
            not has_form(named.name)
            and not any(is_given(word, self.language) for word in words)
            and any(is_common(word, self.language) for word in words)
        )

    def _is_plausible(self, name: str, *, is_party: bool = False) -> bool:
        """Return whether words are a person's name, and not words at a sentence's beginning."""
        if has_form(name) or _ORGANISATION.match(name):
            return True
        words = [word.text for word in split_words(name) if fold(word.text) not in PARTICLES]
        common = [is_common(word, self.language) for word in words]
        if any(is_given(word, self.language) and len(word) > 2 for word in words):
            return not all(
                other or is_given(word, self.language)
                for word, other in zip(words, common, strict=True)
            ) or not any(common)
        if all(common) if is_party else any(common):
            return False  # Interest Period, Regolamento Interno, and not Oak Studios
        is_upper = [word.isupper() and len(word) > 1 for word in words]
        return not any(word.lower() in self.lower_words and len(word) > 1 for word in words) and (
            all(is_upper) or not any(is_upper)
        )

    @cached_property
    def _people(self) -> list[Named]:
        """The people whose given name is a usual one, in the text's order."""
        return sorted(self._with_given_names(), key=lambda each: each.start)

    def _with_given_names(self) -> Iterator[Named]:
        """Yield the people whose given name is a usual one."""
        for start, name in find_people(
            self.text,
            self.raw,
            self._words,
            self.language,
            self._is_other,
            self.lower_words,
            self.titles,
        ):
            is_titled = self._has_title(start)
            end = start + len(name)
            in_parties = start < self._clause_end
            if is_thing(self.text, start, end, self.language, in_parties=in_parties) or (
                is_famous(name) and not is_titled
            ):
                continue
            quoted = self.text[max(0, start - 1) : start] in _OPEN_QUOTES
            if not (
                quoted and self.text[start + len(name) :][:1] in _CLOSE_QUOTES
            ):  # "Delfino Blu"
                yield Named(name, start, False)
        for before, word in pairwise(self._words):  # Kemal Bey
            if (
                self.language == "tr"
                and "after" in self._labels.kinds.get(fold(word.text), ())
                and word.is_capital
                and before.is_capital
                and self.text[before.end : word.start] == " "
            ):
                yield Named(before.text, before.start, False)

    def _born(self) -> Iterator[Named]:
        """Yield the surnames that people had before: née Doe."""
        for hit in self.hits:
            if "born" not in hit.kinds:
                continue
            match = _SURNAME_AFTER.match(self.text, hit.end)
            if match and not self._is_other(Word(match[1], match.start(1), match.end(1))):
                yield Named(match[1], match.start(1), False)

    @cached_property
    def trade_names(self) -> list[str]:
        """The names under which a party trades, in the text's order."""
        ends = [each.start + len(each.name) for each in self.names]
        found = (
            _TRADE_NAME.match(self.raw, hit.end)
            for hit in self.hits
            if "trade" in hit.kinds
            and hit.start < self.middle
            and any(end <= hit.start < end + _NEAR for end in ends)
        )
        names = (match["quoted"] or match["plain"] for match in found if match)
        return list(
            dict.fromkeys(
                name.strip(" .,")
                for name in names
                if not self._is_role(name) and name.lower() not in self.lower_words
            )
        )

    def _of_addresses(self) -> Iterator[Named]:
        """Yield the people that a mail address is named for: j.doe@ and Jane Doe."""
        wanted: set[tuple[str, str]] = set()
        for match in _MAILBOX.finditer(self.text):
            parts = [part for part in re.split(r"[._-]", fold(match[1])) if part.isalpha()]
            if len(parts) == 2 and len(parts[1]) > 2 and not _MAILBOXES & set(parts):
                wanted.add((parts[0], parts[1]))
        if not wanted:
            return
        for before, word in pairwise(self._words):
            gap = self.text[before.end : word.start]
            if not before.is_capital or not word.is_capital or gap not in (" ", ". ", ".\n"):
                continue
            given, surname = fold(before.text), fold(word.text)
            if ((given, surname) in wanted or (given[0], surname) in wanted) and not (
                self._is_other(before) or self._is_other(word)
            ):
                yield Named(self.text[before.start : word.end], before.start, False)

    def is_described(self, start: int, end: int) -> bool:
        """Return whether words such as ``born on`` or ``I`` make a person a party."""
        section = _FIRST_SECTION.search(self.raw)
        if start > max(CLAUSE_CHARACTERS // 2, section.start() if section else 0):
            return False
        if self.is_represented(start):
            return False
        title = _TITLE_BEFORE.search(self.text, max(0, start - 24), start)
        before = title.start() if title else start
        for hit in self.hits_in(start - _LONGEST_WORDS, end + _REACH_OF_DETAILS + 1):
            kinds = set(hit.kinds)
            if "self" in kinds and (
                hit.end <= before <= hit.end + 3 or hit.end <= start <= hit.end + 3
            ):
                return True
            if "personal" not in kinds:
                continue
            gap = self.text[end : hit.start] if hit.start >= end else "x"
            if hit.start >= end and not re.search(r"[^\W\d_]|\n\n", gap):
                return True
            is_before = self.language == "tr" and (
                0 <= before - hit.end < 4 or 0 <= start - hit.end < 4
            )
            if is_before:
                return True
        return False

    @cached_property
    def titles(self) -> frozenset[int]:
        """The places at which a title, a post or a label before a person ends."""
        kinds = {"title", "post", "represents", "signature", "contact"}
        return frozenset(
            hit.end
            for hit in self.hits
            # The letters of M.-A. Doe are no titles.
            if kinds & set(hit.kinds)
            and self.text[hit.end : hit.end + 2] != ".-"
            and self.text[max(0, hit.start - 2) : hit.start] != ".-"
        )

    def _surnames(self) -> Iterator[Named]:
        """Yield the surnames directly after a title: Mr Doe, M. de Kermadec."""
        words = self._words
        starts = {word.start: index for index, word in enumerate(words)}
        for hit in self.hits:
            if "title" not in hit.kinds:
                continue
            if hit.end - hit.start == 1 and self._is_list_letter(hit):
                continue
            gap = _AFTER_TITLE.match(self.text, hit.end)
            index = starts.get(gap.end()) if gap else None
            if index is None:
                continue
            last = index
            while last < len(words) - 1 and not words[last].is_capital and last - index < 3:
                last += 1
            word = words[last]
            known = fold(word.text) in self._role_words or word.start in self._not_names
            following = words[last + 1] if last + 1 < len(words) else None
            is_full = (
                following is not None
                and following.is_capital
                and self.text[word.end : following.start] == " "
                and is_given(word.text, self.language)
            )
            if is_full:
                continue  # a given name, which find_people has read with its surname
            while (
                fold(word.text) in PARTICLES
                and last + 1 < len(words)
                and words[last + 1].is_capital
                and self.text[word.end : words[last + 1].start] == " "
            ):
                last += 1
                word = words[last]
            if not word.is_capital or len(word.text) < 2 or known or last - index > 2:
                continue
            if _ABBREVIATION.fullmatch(word.text):
                continue
            between = self.text[hit.start : word.start]
            if "\n\n" in between or word.start in self._company_places:
                continue
            particles = (
                each.text in PARTICLES - _ARTICLES or each.is_capital for each in words[index:last]
            )
            if not all(particles):
                continue
            more = words[last + 1] if last + 1 < len(words) else None
            if (
                more is not None
                and self.language != "de"  # whose nouns have capitals
                and more.is_capital
                and len(more.text) > 2
                and self.text[word.end : more.start] == " "
                and more.text.lower() not in self.lower_words
                and more.text.isupper() == word.text.isupper()
                and not self._is_other(more)
            ):
                word = more
            yield Named(self.text[words[index].start : word.end], words[index].start, False)

    def _is_list_letter(self, hit: Hit) -> bool:
        """Return whether a title of one letter numbers a paragraph, as the one before it does."""
        if self.raw[max(0, hit.start - 1) : hit.start] not in ("", "\n"):
            return False
        before = chr(ord(self.raw[hit.start]) - 1)
        return re.search(rf"^{re.escape(before)}[.)] ", self.raw, re.MULTILINE) is not None

    def forms(self) -> Forms:
        """Return the forms of names in this contract, without a name yet."""
        return Forms(self.language, self.lower_words, self.titles, self._is_other)

    def hits_in(self, start: int, end: int) -> list[Hit]:
        """Return the words that begin between two positions."""
        return self.hits[bisect_left(self._order, start) : bisect_left(self._order, end)]

    def _beside_contacts(self) -> Iterator[Named]:
        """Yield the person whose phone number or mail address follows in the same sentence."""
        for contact in _CONTACT.finditer(self.text):
            begin = max(0, contact.start() - _NEAR)
            before = self.text[begin : contact.start()]
            sentence = max(before.rfind(". ") + 1, before.rfind("\n") + 1, 0)
            names = [
                person
                for match in _NAME.finditer(before, sentence)
                if (person := self._cut(begin + match.start(), match[0])) is not None
            ]
            if names and not any(has_form(name) for _, name in names[-1:]):
                start, name = names[-1]
                between = before[start - begin + len(name) :]
                is_near = sum(word.islower() for word in between.split()) <= _MOST_BETWEEN
                if not _is_partial(self.text, start) and is_near:
                    yield Named(name, start, False)


# Between two people who are one party, or two that are named in one breath.
_JOINED: Final = re.compile(
    r"[ \n]?(?:,?[ \n](?:and|und|et|y|e|en|con|и|ve|mit|with|avec|met)|, (?:and|con|and))[ \n]"
    r"(?:(?:la|il|der|die|the|de|den)[ \n])?(?:[^\W\d_]{1,8}\.?(?:[ªº]\.?|ra)?[ \n]){0,2}"
)
_BRACKETED: Final = re.compile(rf"\((?P<role>{CAPITAL}[^\W\d_]{{4,30}})\)(?=[ ]*(?:[\n,;.]|$|  ))")
_UP_TO_NAME: Final = re.compile(r"(?:[ \n:]+[^\W\d_]+[.,]?){0,6}[ \n:]+")
_ABOUT: Final = re.compile(
    r"(?<!\w)(?:of|di|della|dell|de|der|des|von|van|name|nom|nombre|nome|Firma|naam)"
    r"[ \n'’«„“\"]{1,3}$"
)
_WORD_BEFORE: Final = re.compile(r"(?<!\w)(?P<word>[^\W\d_][\w'’-]+)[ \u00a0]$")
_BODY_NAME: Final = (
    rf"{CAPITAL}[\w'’-]*(?:[ \u00a0](?:{CAPITAL}[\w'’-]*|&|de|du|des|la|le|les|del|della|dei|di"
    r"|van|von|der|den|of|the|für|for|voor|d['’]\w+|l['’]\w+)){1,8}"
)
_ELIDED_KIND: Final = re.compile(r"[DLdl]['’][^\W\d_A-ZÀ-Þ]\w+ (?=[^\W\d_])")
_GENITIVE_BEFORE: Final = re.compile(
    r"(?<!\w)(?:d['’]une|de (?:la|l['’]|una?)|della?|dell['’]|di una|van(?: de| het| een)?)[ ]?$"
)
_BODY: Final = re.compile(
    r"(?:(?<=\W)|^)(?:association|société|fondation|coopérative|asociación|sociedad|fundación"
    r"|cooperativa|associazione|società|fondazione|vereniging|stichting|derneği|vakfı)[ ]"
    rf"(?P<named>{_BODY_NAME})(?=,)"
    rf"|(?<!\w)(?P<seated>{_BODY_NAME}),?[ ](?:dont le siège|ayant (?:son )?siège|mit Sitz|con sede"
    r"|con domicilio social|(?:statutair )?gevestigd"
    r"|(?:with|having) its (?:registered|principal|seat))"
)
_FIRST_SECTION: Final = re.compile(
    r"^[ \t]{0,8}(?:1[.)\t ]|§ ?1\b|(?:article|artikel|art\.?|section|clause|статья|madde) ?1\b"
    r"|primera\b|primero\b)",
    re.IGNORECASE | re.MULTILINE,
)


def is_organisation(name: str) -> bool:
    """Return whether a name begins with the kind of a body, such as ``Stichting``."""
    return _ORGANISATION.match(name) is not None


def _reversed_pairs(count: int) -> Iterator[tuple[int, int]]:
    return ((index, index - 1) for index in range(count - 1, 0, -1))


def _is_partial(text: str, start: int) -> bool:
    return start > 0 and text[start - 1].isalnum()


def _is_own_word(text: str, at: int) -> bool:
    """Return whether a capital at the beginning belongs to a name, not to a sentence."""
    line_start = text.rfind("\n", 0, at) + 1
    before = text[line_start:at].rpartition("\t")[2]
    return bool(before.strip(' "“„«')) and text[max(0, at - 2) : at] not in (". ", ": ")
