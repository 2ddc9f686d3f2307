"""Names of companies, by the legal forms in them."""

# ruff: noqa: RUF001, RUF002 - it has forms in Russian

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["CAMEL_WORD", "FORMS", "find_companies", "has_form", "without_form", "without_partners"]

# Longer forms come first. Each is a whole word, with the full stop that may follow it.
FORMS: Final = (
    r"S\.? ?A\.? ?[dD][eE] ?C\.? ?V\.?|S\.? ?[dD][eE] ?R\.? ?L\.?(?: ?[dD][eE] ?C\.? ?V\.?)?"
    r"|S\.A\.C\."
    r"|S/A|S[àá]rl|a r\. ?l\.|U\.A\."
    r"|A\.?[mM]\.?[bB]\.?[aA]\.?|Soc\. Coop\.(?: ?[aA]gr\.| ?a ?r\.? ?l\.?)|E\.M\.|K\.K\."
    r"|(?:bv|nv|vof|bvba)(?=,| \()|"
    r"(?:San\.? ?(?:ve|Ve) ?Tic\.? ?)?(?:Ltd\.? ?[ŞS]ti|A\. ?[ŞS])\.?"
    r"|(?:Sanayi (?:ve|Ve) Ticaret )?(?:Limited|Anonim|Kollektif|Komandit) Şirketi"
    r"|(?:[Gg]?GmbH|AG|SE|UG(?: \(haftungsbeschränkt\))?)(?: ?& ?Co\.? ?(?:KGaA|KG|OHG))"
    r"|Ges(?:ellschaft|\.)? ?m\. ?b\. ?H\.?"
    r"|g?GmbH|KGaA|OHG|OG|KG|AG|UG(?: \(haftungsbeschränkt\))?|mbH|e\. ?K\.?|e\. ?U\.?|e\. ?V\.?"
    r"|eG|eGen|GbR|PartG(?: mbB|mbB)?|mbB|SE"
    r"|(?:Pty\.?|Pvt\.?|Private|Co\.,?) (?:Ltd|Limited)\.?|Ltd\.?|Limited|LIMITED|L\.?L\.?P\.?"
    r"|P\.?L\.?C\.?|plc|L\.?L\.?C\.?|Inc\.?|Incorporated|Corp\.?|Corporation|L\.?P\.?"
    r"|DAC|CLG|CIC|N\.?A\.?"
    r"|S\.?A\.?R\.?L\.?|SASU|S\.?A\.?S\.?|E\.?U\.?R\.?L\.?|SNC|SCI|SCOP|SPRL|ASBL"
    r"|S\.?L\.?U\.?|S\.?L\.?L\.?|S\.?L\.?P\.?|S\.?A\.?U\.?"
    r"|S\. ?C[oO][oO][pP]\.?(?: ?(?:And|AND|Mad|V|Galega)\.)?"
    r"|S\.A\.T\.|A\.I\.E\.|U\.T\.E\.|S\.?L\.?"
    r"|S\.?r\.?l\.?s\.?|S\.?[rR]\.?[lL]\.?|S\.?[pP]\.?[aA]\.?|S\.?n\.?c\.?|S\.?a\.?s\.?|S\.?a\.?p\.?a\.?"
    r"|S\.? ?c\.? ?(?:a\.? ?)?r\.? ?l\.?|S\.?t\.?p\.? a ?r\.? ?l\.?|Soc\. Coop\.?"
    r"|Società [Ss]emplice|S\.C\.|C\.B\."
    r"|B\.?V\.?B\.?A\.?|B\.? ?V\.?|N\.? ?V\.?|V\.?[Oo]\.?[Ff]\.?|C\.? ?V\.?|VZW|Stichting"
    r"|Unipessoal,? (?:Lda|LDA|Limitada)\.?|Lda\.?|LDA\.?|Limitada|Ltda\.?|S\.?G\.?P\.?S\.?"
    r"|E\.?I\.?R\.?L\.?|ME"
    r"|[Ss]p\. ?z ?o\. ?o\.?(?: ?[Ss]p\. ?k\.?)?|[Ss]p\. ?[jkp]\.?|S\.? ?K\.? ?A\.?|s\. ?c\."
    r"|[Ss]pó[lł]ka (?:z o\.o\.|akcyjna|jawna|komandytowa)"
    r"|ApS|A/S|I/S|K/S|P/S|P/[Ss]|IVS|F\.?M\.?B\.?A\.?|AMBA"
    r"|AB|HB|KB|Ek\. för\.|Handelsbolag|Aktiebolag|Oyj?|ASA|AS|ENK|s\.r\.o\.|a\.s\.|Kft\.?"
    r"|d\.o\.o\.?|EOOD|OOD"
    r"|S\.?A\.?|AŞ|KK|Co\.?|& Co\.?|Company|Cooperative"
)
_RUSSIAN: Final = (
    r"(?:ООО|ОАО|ПАО|ЗАО|НАО|АО|ГУП|МУП|ФГУП|АНО|НКО|ТОО|ЧУП|ТСЖ|ТСН|СНТ|ГСК|ЖСК|КФХ|ДНП"
    r"|МБОУ|ГБОУ|ФГБОУ|МБУ|ГБУ|ФГБУ|МКУ|ФГАОУ"
    r"|Общество с ограниченной ответственностью|(?:Публичное |Закрытое |Открытое )?"
    r"[Аа]кционерное общество)"
    r"\s?(?:(?:[А-ЯЁ]{1,4}\s)?[«\"“„][^«»\"“”„\n\t]{2,60}[»\"”“]|[А-ЯЁA-Z][\w-]+)"
    r"|ИП\s[А-ЯЁ][а-яё-]+(?:\s[А-ЯЁ][а-яё]+){1,2}|ИП\s[А-ЯЁ][а-яё-]+\s[А-ЯЁ]\.\s?[А-ЯЁ]\."
)
_CAPITAL: Final = r"[^\W\da-zß-öø-ÿа-яё_]"
CAMEL_WORD: Final = r"(?!g?GmbH|mbH)[a-z]{1,8}[A-Z][\w'’-]+"
"""The pattern of a name's word that begins with small letters before a capital: easyJet."""

_WORD: Final = (
    rf"(?:{CAMEL_WORD}"
    rf"|(?:[dDlL]['’])?{_CAPITAL}(?:\w{{0,3}}\.(?=[ \u00a0])|[\w'’-]*(?:\.[\w'’-]+)*)"
    r"|\d[\w-]*(?:\.\d+)?|&|\+)"
)
_SMALL: Final = (
    r"(?:and|of|the|for|und|für|de|du|des|la|le|les|del|della|delle|dei|di|do|da|dos|das|e|y|et|en"
    r"|van|der|den|ved|ve|i|och|og|w|do|na|de la|de los|d'|l')"
)
# The partners of an Italian company: S.a.s. di Rossi Anna & C.
_PARTNERS: Final = (
    rf"(?:F\.lli[ ])?{_CAPITAL}[\w'’.]*(?:[ ](?:e[ ]|&[ ]|d[iae][ ])?{_CAPITAL}[\w'’.]*){{0,6}}"
)
_COMPANY: Final = re.compile(
    rf"(?P<name>(?<![\w@.-]){_WORD}(?:[ \u00a0](?:{_WORD}|{_SMALL})){{0,7}}?"
    rf",?[ \u00a0](?P<form>{FORMS})(?:[ ](?:di|dei)[ ]{_PARTNERS})?)(?![\w@&]|-[a-z])"
    rf"|(?<!\w)(?P<russian>{_RUSSIAN})(?!\w)"
)
_PARTNERS_AT_END: Final = re.compile(
    rf"(?<=[ \u00a0,])((?:S\.?[an]\.?[sc]\.?|SAS|SNC))[ ]d(?:i|ei)[ ]{_PARTNERS}$"
)
_FORM_AT_END: Final = re.compile(
    rf"[ \u00a0,]+(?:{FORMS}|(?:S\.?[an]\.?[sc]\.?|SAS|SNC)[ ]d(?:i|ei)[ ]{_PARTNERS})$"
)
_RUSSIAN_FORM: Final = re.compile(
    r"^(?:ООО|ОАО|ПАО|ЗАО|НАО|АО|ИП|ГУП|МУП|ФГУП|АНО|НКО|ТОО|МБОУ|ГБОУ|ФГБОУ|МБУ|ГБУ|ФГБУ|МКУ|ФГАОУ"
    r"|ЧУП|ТСЖ|ТСН|СНТ|ГСК|ЖСК|КФХ|ДНП|Общество с ограниченной"
    r" ответственностью|(?:Публичное |Закрытое |Открытое )?[Аа]кционерное общество)\s?"
)
_SECTION_NUMBER: Final = re.compile(r"\d{1,2}(?:\.\d{1,2}){1,3}\.? ")
# Words of the parties' clause in capitals, which are no beginning of a name: BETWEEN Acme Ltd.
_BETWEEN: Final = re.compile(
    r"(?:(?:BY|AND|BETWEEN|ENTRE|ET|ZWISCHEN|UND|TUSSEN|TRA|MELLEM|MELLAN|POMIĘDZY)[ \u00a0])+"
    rf"(?={_WORD}[ \u00a0,])"
)
_DESCRIBED: Final = re.compile(r", [A-Z.]{2,8}$")
_CAPITAL_OF: Final = re.compile(r" (?:au|à) capital")
_REACH: Final = 80
# Hollis, Green and Partners LLP: the partners that are before a comma.
_TWO_PARTNERS: Final = re.compile(rf"{_CAPITAL}[\w'’-]+ (?:&|\+|and|und|et|en|y|e) {_CAPITAL}")
_MORE_PARTNERS: Final = re.compile(
    r"(?:^|[\n\t:(;\"“„«]|(?<!\w)[a-zà-ÿ]+)[ ]{0,40}(?P<names>(?:(?:Partnerschaft|Sozietät|Kanzlei"
    r"|Rechtsanwälte|Steuerberater|Cabinet|Étude|Studio|Bufete|Despacho|Notaires|Maatschap)[ ])?"
    rf"(?:{_CAPITAL}[\w'’-]+, ){{1,4}})$"
)
_ALSO_WORDS: Final = frozenset(
    [
        "AS",
        "SE",
        "ME",
        "CO",
        "OG",
        "AB",
        "LP",
        "SA",
        "KK",
        "NA",
        "CIC",
        "AG",
        "UG",
        "SCI",
        "HB",
        "KB",
    ]
)
_COMMON_WORDS: Final = frozenset(["AS", "SE", "ME", "CO", "NA"])
_LONG_WORD: Final = re.compile(r"[^\W\d_]{3}")
_POSTAL_CODE: Final = re.compile(r"\d{4}[ \u00a0][A-Z]{2}")
_LABEL_AFTER: Final = re.compile(r" (?:[Nn]o(?:\.|\b)|[Nn]umber|[Rr]eg|[Nn]ame|[Ss]ecretary)")
_COUNTY: Final = re.compile(r"\.? [A-Z][a-z]+(?:\n|$|[,.])")
_NEXT_WORD: Final = re.compile(r"[ \n]{0,3}([^\W\d_]{2,})")
_DOTTED: Final = re.compile(r"\..*\.$|H\.$|^(?:Inc|Corp|Lda|LDA|Ltda|Şti|Co)\.$|Şti\.$|Lda\.$")
_MARKS: Final = "«»„“”\"' "


def find_companies(text: str) -> Iterator[tuple[int, str]]:
    """Yield each company with its position, as written, on one line of the text."""
    for match in _COMPANY.finditer(text):
        name = match["name"] or match["russian"]
        start = match.start()
        section = _SECTION_NUMBER.match(name)
        if section:  # 1.1 Acme Ltd
            start += section.end()
            name = name[section.end() :]
        between = _BETWEEN.match(name) if match["form"] else None
        if between:
            start += between.end()
            name = name[between.end() :]
        description = _DESCRIBED.search(name) if match["form"] else None
        if description and _CAPITAL_OF.match(text, match.end()):
            name = name[: description.start()]  # Acme, SAS au capital de 100 euros
            if name:
                yield start, name
            continue
        # In a line of capitals any short word may look like a form: EXCEPT AS REQUIRED.
        if match["form"] and match["form"] in _ALSO_WORDS and name.isupper():
            if not _LONG_WORD.search(name[: -len(match["form"])]):
                continue  # a postal code: 9711 AB
            following = _NEXT_WORD.match(text, match.end())
            if match["form"] in _COMMON_WORDS or (following and following[1].isupper()):
                continue
        if match["form"] and _POSTAL_CODE.fullmatch(name):
            continue  # 9934 BV Delfzijl
        if match["form"] in ("Co", "Co.") and _COUNTY.match(text, match.end()):
            continue  # Tralee, Co. Kerry
        if match["form"] == "Company" and _LABEL_AFTER.match(text, match.end()):
            continue  # the label of its number
        if match["form"] and name.endswith(".") and not _DOTTED.search(match["form"]):
            name = name[:-1]  # the end of a sentence: they met Blue Door Ltd.
        partners = _MORE_PARTNERS.search(text, max(0, start - _REACH), start)
        if partners and _TWO_PARTNERS.match(name) and "\n" not in partners["names"]:
            name = text[partners.start("names") : start] + name
            start = partners.start("names")
        yield start, name


def has_form(name: str) -> bool:
    """Return whether a name has a legal form.

    >>> has_form("Brook & Fell Ltd"), has_form("Jane Doe")
    (True, False)
    """
    return _FORM_AT_END.search(name) is not None or _RUSSIAN_FORM.match(name) is not None


def without_partners(name: str) -> str:
    """Return a company's name without the people in it.

    >>> without_partners("Bar Roma S.a.s. di Rossi Anna & C.")
    'Bar Roma S.a.s.'
    """
    return _PARTNERS_AT_END.sub(r"\1", name)


def without_form(name: str) -> str:
    """Return a company's name without its legal form.

    >>> without_form("Brook & Fell Ltd"), without_form("ООО «Ромашка»")
    ('Brook & Fell', 'Ромашка')
    """
    return _FORM_AT_END.sub("", _RUSSIAN_FORM.sub("", name)).strip(_MARKS + ",")
