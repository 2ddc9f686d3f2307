"""Find the names of a contract's parties, and of the people who sign for them."""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from qtforge_builtin_plugins.documents.facts import bodies, contracts, parties
from qtforge_builtin_plugins.documents.facts import people as people_in
from qtforge_builtin_plugins.documents.facts.companies import has_form, without_form
from qtforge_builtin_plugins.documents.facts.contract_numbers import find_numbers
from qtforge_builtin_plugins.documents.facts.given_names import is_given
from qtforge_builtin_plugins.documents.facts.labels import fold
from qtforge_builtin_plugins.pipelines.legal.spans import Span

__all__ = ["find_names", "find_registrations", "read_contract"]

# Roles of parties in contracts; a blank form has the role in place of the name.
_ROLE: Final = re.compile(
    r"(?:the |der |die )?(?:supplier|customer|client|(?:service )?provider|(?:sub)?contractor"
    r"|seller|buyer|purchaser|vendor|landlord|tenant|lessor|lessee|licen[sc]or|licen[sc]ee"
    r"|employer|employee|company|consultant|advis[eo]r|agent|distributor|reseller|developer|investor"
    r"|borrower|lender|guarantor|principal|recipient|discloser|owner|publisher|author|artist"
    r"|franchisor|franchisee|(?:disclosing|receiving) party|party(?: [ab12])?|parties|name"
    r"|(?:auftraggeber|auftragnehmer|vermieter|mieter|verkäufer|käufer|lieferant|berater"
    r"|arbeitgeber|arbeitnehmer|lizenzgeber|lizenznehmer|darlehensgeber|darlehensnehmer)(?:in)?"
    r"|kunde|kundin|partei(?:en)?|исполнитель|заказчик|подрядчик|продавец|покупатель|поставщик"
    r"|арендодатель|арендатор|займодавец|за[её]мщик|работодатель|работник|агент|принципал"
    r"|(?:раскрывающая |получающая )?сторона|стороны)",
    re.IGNORECASE,
)
_MOST_CONTRACT: Final = 2_000_000
_TITLE: Final = re.compile(
    r"(?:(?:Herrn?|Frau|Mr|Mrs|Ms|Miss|Dr|Prof|Sir|гражданин|гражданка|гр|г-н|г-жа)\.?\s+)+", re.I
)
_QUOTED: Final = re.compile(r"[«„“\"]\s?([^«»„“”\"]{3,80}?)\s?[»“”\"]")
# Acme Trading Ltd ("ATL"); with an article, as in (the "Supplier"), it is a role.
_SHORT_NAME: Final = (
    r"(?:[^\"“„«()]|\([^()\"“„«]{1,40}\)){0,400}?"
    r"(?:\([^\W\dA-ZÀ-ÞА-ЯЁ_]?[^\"“„«()\n]{0,40}"
    r"|(?i:hereinafter|nachfolgend|im folgenden|ci-après|en adelante|di seguito|hierna|далее)"
    r"[^\"“„«()\n]{0,30})"
    r"[\"“„«] ?(?P<short>[A-ZА-ЯЁÄÖÜ0-9][^\"“”„«»()\n]{1,40}?) ?[\"”“»]"
)
_BROKEN_LINE: Final = re.compile(r"(?<=[^\n]{40})\n(?=[^\W_])(?!\d+[.)])")
_LEAST_LETTERS: Final = 4
_ARTICLE: Final = r"(?:\b(?:the|a|an|le|la|les|un|une|el|los|las|il|lo|i|gli|het|de|een)|\bl['’])"
_PREPOSITION: Final = (
    r"\b(?:for|with|by|at|from|to|per|con|da|di|a|pour|avec|par|chez|para|por|voor|met|door|bij|van"
    r"|для|с|от|у)\s"
)
_MOST_PARTS: Final = 6  # words of a company's name
# Where a word is a town or a country: 04109 Leipzig; Leipzig, 3 May; the courts of Leipzig.
_PLACE: Final = (
    r"(?:\d{{4,6}}|\d[A-Z]{{2}}|г\.|,) {word}(?!\w)"
    r"|{word}(?:,? [A-Z]{{1,2}}\d|, (?:on |den |am |il |le |a |lì |op |в )?\d{{1,2}}[./ ])"
    r"|(?:courts?|laws?|tribunal\w*|tribunale|rechtbank|tribunaux|juzgados|суд\w*|foro|in|en|à|te) "
    r"(?:of |de |di |da |d['’])?{word}(?!\w)|{word}(?= (?:Asliye|Mahkeme|Courts?))"
)
_CYRILLIC_NAME: Final = re.compile(r"(?:[А-ЯЁ][а-яё]+(?:-[А-ЯЁ][а-яё]+)?\s+){1,2}[А-ЯЁ][а-яё]+")
_CYRILLIC_END: Final = re.compile(r"[аеёиоуыэюяйь]{0,2}$")
_ENDING: Final = "[а-яё]{0,3}"

_NAME: Final = r"[^\W\d_a-zа-яё][^\W\d_]*(?:[-'’][^\W\d_]+)?"
_FULL_NAME: Final = rf"{_NAME}(?:[ \u00a0](?:[A-ZА-ЯЁ]\.|{_NAME}|de|van|von|der)){{1,3}}"
_POST: Final = (
    r"(?:(?:Managing|Executive|General|Finance|Sales|Legal|Technical|Company) )?"
    r"(?:Director|Partner|Secretary|Manager|Officer|President|Chairman|Chairwoman"
    r"|Chair|Counsel|Attorney|Trustee|Owner|Proprietor|CEO|CFO|COO|CTO)\b"
    r"|(?:Vice|Chief) \w+|Geschäftsführer(?:in)?\b|Vorstand\b|Prokurist(?:in)?\b"
    r"|Inhaber(?:in)?\b|Генеральный директор|Директор"
)
_POST_WORD: Final = re.compile(rf"{_POST}|Managing|Executive|General|Chief|Vice|The")
_PEOPLE: Final = (
    # Miriam Oduya, Director
    re.compile(rf"(?P<name>{_FULL_NAME})[ \t]*,[ \t]*(?:the |its )?(?:{_POST})"),
    # Name: Miriam Oduya
    re.compile(
        r"(?:^|[\s(|])(?:Printed name|Print name|Full name|Name|Signed by|Signatory|ФИО|Имя"
        r"|Ф\.И\.О\.?)"
        rf"[ \t]*[:\t][ \t]*(?P<name>{_FULL_NAME})(?![ \t]*(?:Ltd|LLC|Inc|GmbH|AG)\b)"
    ),
    # represented by its director Miriam Oduya; vertreten durch den Geschäftsführer Jan Holz
    re.compile(
        r"(?:represented by|acting through|vertreten durch)[ \t]+(?:[a-zäöüß]\S*[ \t]+){0,3}"
        r"(?:(?:Geschäftsführer(?:in)?|Vorstand|Herrn?|Frau|Director|Mr\.?|Ms\.?|Mrs\.?)[ \t]+)"
        r"{0,2}"
        rf"(?P<name>{_FULL_NAME})"
    ),
    # в лице генерального директора Петрова Петра Петровича, действующего на основании
    re.compile(
        r"в лице[ \t]+(?:[А-ЯЁа-яё][а-яё-]+[ \t]+){0,4}?"
        r"(?P<name>[А-ЯЁ][а-яё]+(?:-[А-ЯЁ][а-яё]+)?\s+"
        r"(?:[А-ЯЁ][а-яё]+\s+[А-ЯЁ][а-яё]+|[А-ЯЁ]\.\s?[А-ЯЁ]\.))"
    ),
)  # fmt: skip


def read_contract(text: str, language: str | None) -> contracts.Contract:
    """Return a contract, once for all that is searched by its names.

    Args:
        text: The whole contract.
        language: ISO 639-1, or None.
    """
    return contracts.Contract(text[:_MOST_CONTRACT], language)


def find_names(
    text: str, beginning: str, contract: contracts.Contract, more: Iterable[str]
) -> Iterator[Span]:
    """Yield every place of the names of parties and people, also in their shorter forms.

    Args:
        text: The text to search.
        beginning: The contract that names them.
        contract: The same contract, read by `read_contract`.
        more: Further names of parties.
    """
    language = contract.language
    # A name may continue on the next line.
    unbroken = _BROKEN_LINE.sub(" ", beginning[: 2 * parties.MOST_CHARACTERS])
    is_read = sum(each.is_party for each in contract.names) > 1
    named = [
        name
        for name in (() if is_read else parties.find_parties(unbroken))
        if not _ROLE.fullmatch(name)
        and not contract.is_known_role(name)
        # The same name with words before it: the Manager Acme Ltd.
        and not any(name.endswith(f" {each.name}") for each in contract.names)
    ]
    # A company that a contract is about is as private as one that is a party.
    own = [each.name for each in contract.names if each.is_party or has_form(each.name)]
    people = [each.name for each in contract.names if each.name not in own]
    forms = contract.forms()
    kinds: dict[str, str] = {}
    for name in dict.fromkeys([*more, *own, *named]):
        if sum(map(str.isalnum, name)) <= 1 or fold(name) in contract.roles:
            continue
        if _is_person(name, language) and fold(name.split()[-1]) not in contract.places:
            forms.add(name)
            kinds[name.lower()] = "party"
        yield from _places(text, name, _aliases(name, beginning, contract), "party")
    shops = bodies.find_shops(text, len(text)) if language == "it" else ()
    for name in dict.fromkeys([*contract.trade_names, *(name for _, name in shops)]):
        if language == "it" and " di " in name:
            forms.add(name.rpartition(" di ")[2])
        yield from _places(text, name, (), "party")
    for name in dict.fromkeys([*people, *_people(beginning, contract)]):
        if name not in own and name not in named:
            forms.add(name)
    for start, end, name in forms.find(text, people_in.split_words(text)):
        yield Span(start=start, end=end, kind=kinds.get(name, "person"), key=name)


def _is_person(name: str, language: str | None) -> bool:
    """Return whether a party's name is one of a person."""
    words = name.split()
    return (
        1 < len(words) < 7
        and not has_form(name)
        and not contracts.is_organisation(name)
        and not bodies.is_body(name, language)
        and re.search(r"[\d&+«»\"“”„]", name) is None
        and (
            any(is_given(word, language) for word in words)
            or all(word[:1].isupper() for word in words)
        )
    )


def find_registrations(text: str, contract: contracts.Contract) -> Iterator[Span]:
    """Yield the numbers of registers and accounts, after their words.

    Args:
        text: The text to search.
        contract: The contract that the text is or belongs to.
    """
    if not contract.is_of(text[:_MOST_CONTRACT]):
        contract = read_contract(text, contract.language)
    for number in find_numbers(contract.text, contract.folded, contract.hits):
        key = re.sub(r"\W", "", text[number.start : number.end]).lower()
        yield Span(start=number.start, end=number.end, kind=number.kind, key=key)


def _people(beginning: str, contract: contracts.Contract) -> Iterator[str]:
    """Yield the people named with a post, with a label or as representatives."""
    found = (match["name"] for pattern in _PEOPLE for match in pattern.finditer(beginning))
    names = (contract.cut(each) for each in found)
    for name in dict.fromkeys(" ".join(each.split()) for each in names if each):
        words = name.split()
        # "Managing Director, Partner or Secretary" and "Name: The Customer" are not names.
        is_post = any(_ROLE.fullmatch(word) or _POST_WORD.fullmatch(word) for word in words)
        if not is_post and not has_form(name):
            yield name


def _aliases(name: str, beginning: str, contract: contracts.Contract) -> list[str]:
    """Return shorter forms of a name: Acme for Acme Ltd, and a name in quotes by itself.

    A form of one word that the contract also has in small letters is a common word, and none.
    """
    short = _TITLE.sub("", without_form(name), count=1).strip(" ,")
    candidates = [short, *(match[1] for match in _QUOTED.finditer(name))]
    defined = re.search(_spaced(name) + _SHORT_NAME, beginning)
    if defined is not None and _is_short_for(defined["short"], name):
        candidates.append(defined["short"].strip())
    own = {fold(defined["short"])} if defined else set()
    if has_form(name) or contracts.is_organisation(name):
        parts = list(_parts(short, beginning, contract))
        candidates += parts
        own |= set(map(fold, parts))
    return [
        alias
        for alias in dict.fromkeys(candidates)
        if alias != name
        and (sum(map(str.isalnum, alias)) >= _LEAST_LETTERS or alias.isupper())
        and not _ROLE.fullmatch(alias)
        and not contract.is_known_role(alias)
        and not bodies.is_kind(alias, contract.language)
        and fold(alias) not in contract.roles - own
        and (
            (defined is not None and alias == defined["short"].strip())
            or not all(word.lower() in contract.lower_words for word in re.findall(r"\w+", alias))
        )
    ]


def _parts(short: str, beginning: str, contract: contracts.Contract) -> Iterator[str]:
    """Yield the parts of a company's name by which the contract names it elsewhere.

    Several words in a row are one if a word of them is not used in small letters; a single word
    is one only where it is in quotation marks, or has a capital in the middle of a sentence of a
    language whose nouns have none, and is no place.
    """
    words = short.split()
    for size in range(min(len(words) - 1, _MOST_PARTS), 1, -1):
        for start in range(len(words) - size + 1):
            part = words[start : start + size]
            is_name = (part[-1][:1].isupper() and part[0][:1].isupper()) or "&" in part[1:-1]
            if fold(part[-1]) in people_in.PARTICLES:
                continue
            if is_name and any(
                len(word) > 2 and word.lower() not in contract.lower_words for word in part
            ):
                yield " ".join(part)
    for word in words:
        bare = word.strip('.,«»"“”„')
        if len(bare) < _LEAST_LETTERS or bare.lower() in contract.lower_words:
            continue
        if not bare[0].isupper() and not bare[0].isdigit():
            continue
        pattern = re.escape(bare if not bare.isupper() else bare.capitalize())
        is_odd = re.search(r"\d[^\W\d_]|[^\W\d_]\d|[a-zà-ÿ][A-Z]", bare) is not None
        if (
            is_odd
            or fold(bare) in contract.domains
            or re.search(rf"[“„«\"]{pattern}[”“»\"]", beginning)
            or (
                contract.language != "de"
                and contract.is_free(bare)
                and re.search(
                    rf"{'' if word is words[0] else _PREPOSITION}"
                    r"(?:(?<=[^\W\d_A-ZÀ-ÞА-Я]\s)|(?<=:\s))"
                    rf"{pattern}(?![\w'’-]*[ ][\dA-ZÀ-Þ&])",
                    beginning,
                )
                and not re.search(rf"(?i:{_ARTICLE})\s{pattern}(?!\w)", beginning)
                and not re.search(_PLACE.format(word=pattern), beginning)
            )
        ):
            yield bare


def _is_short_for(short: str, name: str) -> bool:
    """Return whether a defined word is a part of a name, or its initials, and so no role."""
    words = [word for word in re.findall(r"\w+", fold(name)) if len(word) > 2]
    initials = "".join(word[0] for word in re.findall(r"\w+", fold(name)))
    bare = "".join(re.findall(r"\w", fold(short)))
    return any(word in words for word in re.findall(r"\w+", fold(short))) or (
        len(bare) > 1 and initials.startswith(bare)
    )


def _places(text: str, name: str, aliases: Iterable[str], kind: str) -> Iterator[Span]:
    for written in (name, *aliases):
        pattern = _pattern(written)
        if written.isupper() and len(written.split()) > 1:
            pattern = f"(?i:{pattern})"  # LE COMPTOIR DU BOIS is Le Comptoir du Bois later
        for match in re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", text):
            if not match[0][:1].isupper() and written[:1].isupper():
                continue
            yield Span(start=match.start(), end=match.end(), kind=kind, key=name.lower())


def _pattern(name: str) -> str:
    """Return a pattern for the name, also over line breaks, in capitals, and declined (Russian)."""
    if _CYRILLIC_NAME.fullmatch(name):
        first, *others = name.split()
        initials = r"\s?".join(rf"{word[0]}\." for word in others)
        surname = _declined(first)
        whole = r"\s+".join(map(_declined, (first, *others)))
        return rf"{whole}|{surname}\s+{initials}|{initials}\s?{surname}|{_spaced(name.upper())}"
    words = name.split()
    if len(words) == 1:
        # A single word may also be a common word, which is written in lower case.
        return f"{_spaced(name)}|{_spaced(name.upper())}"
    whole = f"{_spaced(name)}|{_spaced(name.upper())}"
    if has_form(name):
        return f"(?i:{_spaced(name)})"
    return whole


def _spaced(name: str) -> str:
    return r"\s+".join(map(re.escape, name.split()))


def _declined(word: str) -> str:
    return re.escape(_CYRILLIC_END.sub("", word)) + _ENDING
