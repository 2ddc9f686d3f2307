"""Find postal addresses: a street with its number, then a postal code with its town."""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from qtforge_builtin_plugins.pipelines.legal.spans import Span

__all__ = ["find_addresses"]

_REACH: Final = 90
_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿа-яё]"
_TOWN: Final = (
    rf"(?:A (?=Coruña|Guarda|Estrada)|(?:St|Ste|Ft|Mt|Sta|Sto|S)\. )?{_CAPITAL}[\w'’-]+"
    r"(?:[ \n]+(?:(?:am|an|der|de['’]?|la|le|les|du|del|di|sur|sous|upon|den|aan|im)"
    rf"[ \n]+)?{_CAPITAL}[\w'’/-]*){{0,3}}(?:/{_CAPITAL}[\w-]+)?"
)
# A code before its town: 04109 Leipzig, 9711 AB Groningen, 1250-142 Lisboa, 753 20 Uppsala.
_CODE_FIRST: Final = re.compile(
    rf"(?<![\w/.-])(?:(?:[A-Z]{{1,2}}-)?(?:\d{{4}} ?[A-Z]{{2}}(?![\w])|\d{{4}}-\d{{3}}"
    rf"|\d{{2}}-\d{{3}}"
    rf"|\d{{3}} \d{{2}}|\d{{6}}|\d{{4,5}}))(?:,? г\.)? ?(?:(?<! )\n)?{_TOWN}"
    r"(?: [A-Z](?![\w.)])| \([A-Z]{2}\))?"
)
# A code after its town: Bristol BS1 5TR, Galway H91 E2K3, Portland, OR 97205.
_CODE_LAST: Final = re.compile(
    rf"{_TOWN}(?: \d{{1,2}}(?=,))?,?[ \n]+(?:[A-Z]{{1,2}}\d[A-Z\d]?[ \n]\d[A-Z]{{2}}"
    r"|[A-Z]\d[\dW][ \n]?[A-Z\d]{4}"
    r"|[A-Z]{2}[ \n]\d{5}(?:-\d{4})?)(?!\w)"
)
_SMALL: Final = (
    r"(?:de|la|las|los|el|del|della|delle|dei|degli|di|da|das|dos|do|der|den|des|am|an|auf|im"
    r"|in den|zum|zur|van|von|op|ten|ter|of|the|le|les|du|och|og|på|dell'|d')"
)
_NUMBER: Final = (
    r"(?:(?:(?:No|Nr|no|nr|n|N)[.:°º]{0,2}|[Kk]m\.?|kilómetro|parcela|nave)[ \n]?)?"
    r"\d{1,4}(?:[ /-]?[a-zA-Z](?!\w))?(?:[/-]\d{1,4}[a-z]?|-(?:[IVX]{1,4}|hs|bis)| hs)?"
)
_FLAT: Final = (
    r"(?:,?[ \n](?:\d{1,2}\.?[º°ª]?"
    r"(?: ?[A-Z](?!\w)| ?tv\.?| ?th\.?| ?mf\.?| ?izq\w*\.?| ?izda\.?| ?dcha\.?)?"
    r"|(?:Suite|Apt\.?|Flat|Unit|Floor|Etage|bus|bte\.?|lok\.?|m\.|kat|daire|nave|local|piso|D:|K:)"
    r"[ \n]?\d{1,4}[a-zA-Z]?"
    r"|(?:bât(?:iment)?|[Bb]at|esc(?:alier|alera)?|app(?:t|artement)?|int(?:erno)?|scala|portal|bloque"
    r"|ptal|Hinterhaus|Vorderhaus|\d\. ?(?:OG|Etage|étage))\.?(?:[ ]\w{1,4}(?=,))?"
    r"|Stock \d|Top \d{1,3}))?"
)
_NUMBER_LAST: Final = re.compile(
    r"(?:(?:via|viale|vicolo|piazza|piazzale|corso|largo|contrada|calle|avenida|plaza|paseo|camino"
    r"|carrer|rúa|rue|avenue|place|quai|boulevard)[ ])?"
    r"(?:(?:[Cc]/ ?|(?:ul|al|os|pl|[Aa]v|[Aa]vda|[Cc]|[Cc]tra|[Pp]za|[Pp]lz|[Ss]tr|[Bb]v?d)\. ?)?"
    rf"{_CAPITAL}[\w'’./-]*|\d{{1,2}}\.)"
    rf"(?:[ \n]+(?:{_SMALL}|(?:[dD]ell|[aA]ll|[dDlL])['’]{_CAPITAL}\w*|{_CAPITAL}[\w'’.-]*"
    rf"|\d{{1,2}}\.)){{0,6}}"
    rf",?[ \n]+{_NUMBER}{_FLAT}$"
)
# Not a street's first words: "2, del aparcamiento", "3 of the".
_OF: Final = r"(?:de|del|della|delle|dei|des|der|of|van|von|und|and|y|e|et|en)"
_NUMBER_FIRST: Final = re.compile(
    r"(?<![\w.,/-])(?:\d{1,3}(?: ?(?:bis|ter|quater)|[a-dA-D])?,?|\d{4})(?<!\d{4},)[ \n]+"
    rf"(?!{_OF} )(?:[^\W\d_][\w'’.-]*|\d{{1,3}}(?:st|nd|rd|th))"
    rf"(?:[ \n]+(?:[^\W\d][\w'’.-]*|\d{{1,3}}(?:st|nd|rd|th))){{0,5}}{_FLAT}$"
)
_RUSSIAN_REST: Final = (
    r"(?:,\s*(?:корп|к|стр|оф|офис|кв|пом|литер)\.?\s*(?:\d[\w/-]*|[А-ЯЁA-Z](?!\w)))*"
    r"(?:,\s*\d{6})?(?:,?\s*(?:г|город|пос|с|дер)\.?\s*[А-ЯЁ][\w-]+(?:[ \n-][А-ЯЁ][\w-]+){0,2})?"
)
_RUSSIAN: Final = re.compile(
    r"(?:\d{6},\s*)?(?:(?:г|город)\.?\s*[А-ЯЁ][а-яё-]+(?:[ -][А-ЯЁ][а-яё-]+)?,\s*)?"
    r"(?:ул|улица|пр-т|просп|проспект|наб|набережная|пер|переулок|пл|площадь|ш|шоссе|б-р|бул|бульвар"
    r"|пр|проезд|линия)\.?\s+[^\n,;]{2,40},\s*(?:д|дом)\.?\s*\d+[\w/]*" + _RUSSIAN_REST
)
# The kind of street after its name: Рижский проспект, д. 48
_RUSSIAN_NAME_FIRST: Final = re.compile(
    r"(?:\d{6},\s*)?(?:(?:г|город)\.?\s*[А-ЯЁ][а-яё-]+(?:[ -][А-ЯЁ][а-яё-]+)?,\s*)?"
    r"(?:\d{1,2}-[йя]\s)?[А-ЯЁ][а-яё-]+(?:\s[А-ЯЁ][а-яё-]+)?\s(?:улица|ул\.?|проспект|просп\.?|пр-т"
    r"|пр\.?|набережная|наб\.?|переулок|пер\.?|площадь|пл\.?|шоссе|ш\.?|бульвар|бул\.?|б-р|проезд"
    r"|тракт|аллея|линия),\s*(?:(?:д|дом)\.?\s*)?\d+[\w/]*" + _RUSSIAN_REST
)
_NO_STREET: Final = re.compile(
    r"(?:section|clause|article|art\.|artikel|abschnitt|schedule|annex|anlage|annexe|anexo|allegato|bijlage"
    r"|chapter|part|act|rule|paragraph)(?!\w)",
    re.IGNORECASE,
)
_TURKISH: Final = re.compile(
    rf"(?:(?:{_CAPITAL}[\w.]+[ \n]){{1,3}}(?:Mah\.|Mahallesi)[ \n])?(?<![\w'’])"
    rf"(?:(?:{_CAPITAL}[\w.]+|\d{{1,4}}\.)[ \n]){{1,4}}"
    r"(?:Cad(?:desi|\.)|Cadde|Sok(?:ağı|ak|\.)|Sk\.|Bulvarı|Blv\.|Cd\.|Yolu)[ \n]?"
    r"No[:.]{0,2}[ \n]?\d{1,4}[\w/-]{0,6}(?:[ \n](?:D|K|Kat|Daire)[:.][ ]?\d{1,4})*"
    rf"(?:,?[ \n](?:\d{{5}}[ \n])?{_CAPITAL}[\w-]+(?:/{_CAPITAL}[\w-]+)?)?"
)
_STREET_KIND: Final = (
    r"(?:Street|Road|Lane|Avenue|Close|Drive|Row|Terrace|Crescent|Mews|Walk|Grove|Gardens|Way)"
)
_WITH_LOCALITY: Final = re.compile(  # 3 Dock Street, Leith, before Edinburgh
    rf"(?<![\w.,/-])\d{{1,4}}[a-zA-Z]?[ \n](?:{_CAPITAL}[\w'’-]*[ \n]){{1,3}}{_STREET_KIND}"
    rf"(?:,[ \n]{_CAPITAL}[\w'’-]+(?:[ \n]{_CAPITAL}[\w'’-]+)?)$"
)
_HOUSE: Final = re.compile(
    rf"(?:{_CAPITAL}[\w'’-]*[ \n]){{1,3}}(?:House|Hall|Court|Mill|Works|Barn|Lodge|Cottage|Tower"
    r"|Building|Centre|Center|Farm|Villa|Park|Yard|Wharf|Place|Quay)$"
)
_HOUSE_BEFORE: Final = re.compile(  # Trelawny House, before 4 Fore Street
    rf"(?<!\w)(?:{_CAPITAL}[\w'’-]*[ \n]){{1,3}}(?:House|Hall|Court|Mill|Lodge|Cottage|Tower"
    r"|Building|Centre|Farm|Park|Wharf|Quay),[ \n]$"
    r"|(?<!\w)(?:ZI|ZA|ZAC|Zone [a-z]+|Parc [a-z'’]+|Résidence|Immeuble|Bâtiment"
    r"|Polígono(?: Industrial)?|Pol\. ?Ind\.|Urb\.|Zona Industriale|Località|Loc\.|Frazione|Fraz\."
    r"|Gewerbepark|Lieu-dit)"
    rf"(?:[ \n](?:{_SMALL}|(?:[dDlL]['’])?{_CAPITAL}[\w'’-]*)){{1,5}},[ \n]$"
)
_WITHOUT_NUMBER: Final = re.compile(
    # The Old Rectory, Church Lane, before a postcode
    rf"(?:(?:The )?{_CAPITAL}[\w'’-]*(?:[ \n]{_CAPITAL}[\w'’-]*){{0,3}},[ \n])?"
    rf"(?<!\w){_CAPITAL}[\w'’-]*(?:[ \n]{_CAPITAL}[\w'’-]*){{0,2}}[ \n]"
    rf"{_STREET_KIND}$"
    rf"|(?<!\w){_CAPITAL}[\w'’.-]*(?:[ \n](?:{_SMALL}|{_CAPITAL}[\w'’.-]*)){{0,5}}[ \n](?:s/n|S/N)$"
)
# Words after which a place is an address, in whatever order its parts are.
_SEAT: Final = re.compile(
    r"(?<!\w)(?:residing at|resident (?:at|in)|living at"
    r"|registered (?:office|address)(?: is)?(?: at)?"
    r"|principal place of business(?: is)?(?: at)?|(?:office|address) is(?: at)?"
    r"|wohnhaft(?: in)?|mit Sitz in|ansässig in|demeurant(?: à| au)?"
    r"|siège(?: social)?(?: est)?(?: situé| sis| fixé)?(?: à| au)|domicilié(?:e)?(?: à| au)?"
    r"|domiciliad[oa] en|(?:con )?domicilio(?: social)? en|vecin[oa] de"
    r"|(?:situated|located) at|(?:sit|ubicat|post)[oa] in|sise? (?:à|au)|située? (?:à|au)"
    r"|(?:sit|ubicad)[oa] en|gelegen (?:aan|te|in)|belegen"
    r"|(?:con )?sede(?: legale)?(?: in)?|residente(?: in| a)?|domiciliat[oa](?: in| a)?"
    r"|wonende(?: te)?|gevestigd(?: te)?|kantoorhoudende(?: te)?"
    r"|проживающ(?:ий|ая|его|ей)(?: по адресу)?|[Аа]дрес(?: для корреспонденции)?"
    rf"|[Мм]есто нахождения)[ ]?:?[ \n]+(?:{_SMALL} )?(?=[^\W_])"
)
_STREET_WORD: Final = (
    r"(?:calle|avenida|plaza|camino|paseo|polígono|carretera|nave|piso|planta|puerta|local|código"
    r"|postal|rue|avenue|boulevard|quai|place|chemin|allée|route|impasse|zone|cours|via|viale|piazza"
    r"|corso|strada|località|zona|straat|ул|улица|пр-т|проспект|пер|наб|дом|д|кв|оф|офис|корп|стр"
    r"|г|город|а/я|пл|ш|bis|ter|s/n|n|no|nr)"
)
_ITEM: Final = (
    rf"(?:{_CAPITAL}(?:[\w'’]{{0,4}}\.(?= ?[^\W_])|[\w'’/-]*)|\d[\w/-]*"
    r"|\((?:\d{4,6}|[A-Z]{2})\)"
    rf"|{_STREET_WORD}(?![\w-])\.?|(?:{_SMALL}|alla|alle|al|in)(?!\w)"
    r"|[dl]['’]\w+)"
)
_PLACE: Final = re.compile(rf"{_ITEM}(?:,?[ \n][ ]{{0,2}}{_ITEM}){{0,13}}")
_MOST_TOWN: Final = 3  # words of a town, and one more
_INITIAL: Final = re.compile(r"[A-Z]\.")  # Bologna, C.F. RCCMNL83S18D969H
_LONG_NUMBER: Final = re.compile(r"\d{7}")
_LAST: Final = re.compile(rf"(?:{_CAPITAL}[\w'’/-]*|\d[\w/-]*|\)|s/n)\.?$")
# A line that says what it is: "Adresi: Avanos Yolu 3. km, 50500 Avanos / Nevşehir".
_LABELLED: Final = re.compile(
    r"^[ \t]*(?:(?:Geschäfts|Wohn)?[Aa]nschrift|(?:(?:Home|Registered|Business|Postal) )?[Aa]ddress"
    r"|Adresse|Domicilio|Dirección|Indirizzo|Residenza|Adres|Adresi|Adress|Morada|Endereço|Adres"
    r"|İkametgah(?:ı)?|Адрес"
    # The parts of an address on lines of their own.
    r"|Stra(?:ß|ss)e(?:,? ?(?:und )?(?:[Hh]aus)?-?[Nn](?:umme)?r\.?)?"
    r"|PLZ(?:[,/ ]+(?:und )?(?:Wohno|O)rt)?"
    r"|Wohnort|Street|Postcode|ZIP(?: code)?|City|Town|Rue|Code postal(?: et ville)?|CP|Ville"
    r"|Calle|C\.?P\.?|Código postal|Municipio|Localidad|Via|CAP(?: e città)?|Città|Comune"
    r"|Straat(?: en huisnummer)?|Postcode(?: en (?:woon)?plaats)?|Woonplaats|Улица|Индекс|Город"
    r"|Cadde(?:si)?|Sokak|İlçe/İl)[ \t]{0,8}[:\t][ \t]{0,40}"
    r"(?P<place>(?=[^\n]*\d)[^\W_a-zß-öø-ÿа-яё][^\n;:@\t]{6,100}?)[ \t.]*$",
    re.MULTILINE,
)
_NO_PLACE: Final = re.compile(
    r"(?:Register|Handelsregister|HRB|HRA|RCS|SIREN|SIRET|NIF|CIF|DNI|KvK|VAT|USt|Steuer|Company"
    r"|Registered|P\. ?IVA|Partita|Codice|Tel|Phone|E-?[Mm]ail|ИНН|ОГРН|паспорт|Personal|REA)"
)
_SUFFIXED: Final = re.compile(r"\w['’][a-zçğıöşü]{2,5}[ \n](?=[^\W\d_])")
_OPEN_TOWN: Final = re.compile(
    r"(?<!\w)(?:Bad|San|Santa|Den|Saint|St\.?|Sankt|New|La|Le|El|Los|Las|Great|Nizhny|Нижний|Великий"
    r"|upon|am|an|der|de|la|le|les|du|del|di|sur|sous|den|aan|im)$"
)
_BEGINS_SMALL: Final = re.compile(
    r"\s+(?:am|an|der|de|la|le|les|du|del|di|sur|sous|upon|den|aan|im) "
)
_BEFORE_TOWN: Final = re.compile(
    rf"\d\W*$|,$|(?<!\w)[a-zà-ÿа-яё]\w*$|{_CAPITAL}[\w'’.-]* [A-Z]{{2}}$"
)
# The label of a table's next row: "Main Street 5", then "Represented by   Jane Doe".
_LABEL: Final = re.compile(r"\n[ ]*[^\W\d_][^\n\d,]{1,30}?(?:[ ]{3,}|\t|:)")
_RUSSIAN_END: Final = re.compile(r"(?<!\w)г\. ?[А-ЯЁ].*,\s*(?:д|дом|кв|оф|офис)\.?\s*\d+\w?$", re.S)
_SEPARATOR: Final = re.compile(r"[,\s]+$")
# Words that are before an address, and not its beginning.
_INTRODUCTION: Final = re.compile(
    r"^(?:(?:Haus|Gebäude|Objekt|Immeuble|Edificio|Pand|Adresse"
    r"|Address|Anschrift|Domicilio|Indirizzo|Adres|Adresi|Sitz|Seat)\W+)",
    re.IGNORECASE,
)


def find_addresses(text: str) -> Iterator[Span]:
    """Yield the addresses, in no order; a code and a town alone are none."""
    for pattern in (_RUSSIAN, _RUSSIAN_NAME_FIRST, _TURKISH):
        for match in pattern.finditer(text):
            yield _span(text, match.start(), _town_end(text, match.start(), match.end()))
    for pattern in (_CODE_FIRST, _CODE_LAST):
        for match in pattern.finditer(text):
            start = _street(text, match.start())
            if start is not None:
                yield _span(text, start, _town_end(text, match.start(), match.end()))
    for seat in _SEAT.finditer(text):
        end = _place_end(text, seat.end())
        if end is not None:
            yield _span(text, seat.end(), end)
    for label in _LABELLED.finditer(text):
        yield _span(text, *label.span("place"))


def _town_end(text: str, start: int, end: int) -> int:
    """Return the end of a town, which continues in the next line only if it has to."""
    broken = text.find("\n", start, end)
    while broken >= 0:
        before = text[start:broken]
        # The line break may be between the code and its town, or within the street.
        is_open = _OPEN_TOWN.search(before) or _BEFORE_TOWN.search(before)
        if _LABEL.match(text, broken) or _RUSSIAN_END.search(before):
            return broken
        if not is_open and not _BEGINS_SMALL.match(text, broken):
            return broken
        broken = text.find("\n", broken + 1, end)
    return end


def _place_end(text: str, start: int) -> int | None:
    """Return where the address ends that begins after words such as ``residing at``, or None."""
    match = _PLACE.match(text, start)
    if match is None:
        return None
    end = start
    whole: int | None = None
    has_number = False
    for part in re.finditer(r"[^,]+,?", match[0]):
        bare = part[0].strip(" ,\n")
        if _LONG_NUMBER.search(bare) or _NO_PLACE.match(bare) or _INITIAL.fullmatch(bare):
            break
        has_digit = bool(re.search(r"\d|s/n|а/я", bare))
        has_street = re.match(rf"{_STREET_WORD}(?!\w)", bare) is not None
        if end > start and not (has_digit or has_street or len(bare.split()) < _MOST_TOWN):
            break
        has_number |= has_digit
        end = start + part.start() + len(part[0].rstrip(" ,\n"))
        complete = _town_end(text, start, end)
        if has_number and _LAST.search(text[start:complete]):
            whole = complete
    return whole


def _street(text: str, end: int) -> int | None:
    """Return where the street begins that ends before a position, or None."""
    begin = max(0, end - _REACH)
    blank = text.rfind("\n\n", begin, text.rfind(" ", begin, end))
    begin = blank + 2 if blank >= 0 else begin  # a street is not over two paragraphs
    before = text[begin:end]
    separator = _SEPARATOR.search(before)
    # A comma or a new line is between the street and the town; in "4 June 2025" there is none.
    if separator is None or not {",", "\n"} & set(separator[0]) or "\n\n" in separator[0]:
        return None
    before = before[: separator.start()]
    places = [match.start() for match in _NUMBER_FIRST.finditer(before)][-1:]
    for pattern in (_NUMBER_LAST, _HOUSE, _WITHOUT_NUMBER, _WITH_LOCALITY):
        last = pattern.search(before)
        if last is not None:
            places.append(last.start())
    if not places:
        return None
    at = min(places)
    if _NO_STREET.match(before, at):
        return None
    house = _HOUSE_BEFORE.search(before, 0, at)
    at = house.start() if house else at
    suffixed = list(_SUFFIXED.finditer(before, at))
    if suffixed:
        at = suffixed[-1].end()
    introduction = _INTRODUCTION.match(before[at:])
    return begin + at + (introduction.end() if introduction else 0)


def _span(text: str, start: int, end: int) -> Span:
    return Span(start=start, end=end, kind="address", key=" ".join(text[start:end].lower().split()))
