"""Numbers with valid check digits: IBANs, VAT numbers, company registers, personal ids.

Most are found by drawing digits until python-stdnum accepts the number, so that the rule of a
country stands in one place, which is that library.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from stdnum import get_cc_module, iban, iso11649, luhn

# A country's VAT number: `#` is a digit, `@` a letter; then python-stdnum's module.
_VAT = {
    "AT": ("ATU########", "at", "uid"),
    "BE": ("BE0#########", "be", "vat"),
    "BR": ("########0001##", "br", "cnpj"),
    "CH": ("CHE#########MWST", "ch", "vat"),
    "DE": ("DE#########", "de", "vat"),
    "DK": ("DK########", "dk", "cvr"),
    "ES": ("B########", "es", "cif"),
    "FR": ("FR###########", "fr", "tva"),
    "GB": ("GB#########", "gb", "vat"),
    "IE": ("IE#######@", "ie", "vat"),
    "IT": ("IT###########", "it", "iva"),
    "LU": ("LU########", "lu", "tva"),
    "MX": ("@@@1504##@#@", "mx", "rfc"),
    "NL": ("NL#########B01", "nl", "btw"),
    "PL": ("5#########", "pl", "nip"),
    "PT": ("5########", "pt", "nif"),
    "RU": ("78########", "ru", "inn"),
    "SE": ("SE556#######01", "se", "vat"),
    "TR": ("##########", "tr", "vkn"),
}
# The same for a person's number, by language.
_PERSON = {
    "de": ("###########", "de", "idnr"),
    "es": ("########@", "es", "dni"),
    "fr": ("2850########" + "###", "fr", "nir"),
    "it": ("BNCLRA82D55F2##@", "it", "codicefiscale"),
    "nl": ("#########", "nl", "bsn"),
    "tr": ("###########", "tr", "tckimlik"),
}
# The domestic part of an IBAN; `$` stands for the bank's letters.
_BBAN = {
    "AT": "################",
    "BE": "############",
    "CH": "#################",
    "DE": "##################",
    "DK": "##############",
    "ES": "####################",
    "FR": "#######################",
    "GB": "$##############",
    "IE": "$##############",
    "IT": "@######################",
    "LU": "################",
    "NL": "$##########",
    "PL": "########################",
    "PT": "#####################",
    "SE": "####################",
    "TR": "#####0################",
}
_LETTERS = "ABCDEFGHJKLMNPQRSTVWXYZ"


def digits(rng: Random, pattern: str, letters: str = "") -> str:
    """Fill a pattern: `#` becomes a digit, `@` a letter, `$` the given letters."""
    filled = []
    for sign in pattern:
        if sign == "#":
            filled.append(str(rng.randrange(10)))
        elif sign == "@":
            filled.append(rng.choice(_LETTERS))
        elif sign == "$":
            filled.append(letters)
        else:
            filled.append(sign)
    return "".join(filled)


def _drawn(rng: Random, pattern: str, accepts: Callable[[str], bool], letters: str = "") -> str:
    for _ in range(200_000):
        candidate = digits(rng, pattern, letters)
        if accepts(candidate):
            return candidate
    raise ValueError(f"no number of the form {pattern} passes its check; mend the pattern")


def _accepts(country: str, name: str) -> Callable[[str], bool]:
    module = get_cc_module(country, name)
    if module is None:
        raise ValueError(f"python-stdnum has no module {country}.{name}")
    accepts: Callable[[str], bool] = module.is_valid
    return accepts


def vat_id(rng: Random, country: str) -> str | None:
    """Give a valid VAT number without spaces, or None where the country has none."""
    if country not in _VAT:
        return None
    pattern, module, name = _VAT[country]
    return _drawn(rng, pattern, _accepts(module, name))


def trader_number(rng: Random) -> str:
    """Give a valid Russian INN of a person who trades, which has twelve digits."""
    return _drawn(rng, "59##########", _accepts("ru", "inn"))


def is_vat_id(number: str, country: str) -> bool:
    """Tell whether a number as it is printed passes its country's check."""
    _, module, name = _VAT[country]
    return _accepts(module, name)(number)


def printed_vat_id(rng: Random, number: str, country: str) -> str:
    """Write a VAT number as its country's invoices do."""
    if country == "CH":
        return f"CHE-{number[3:6]}.{number[6:9]}.{number[9:12]} MWST"
    if country == "BR":
        return f"{number[:2]}.{number[2:5]}.{number[5:8]}/{number[8:12]}-{number[12:]}"
    if country == "BE":
        return f"BE {number[2:6]}.{number[6:9]}.{number[9:]}"
    if country == "PL" and rng.random() < 0.5:
        return f"{number[:3]}-{number[3:6]}-{number[6:8]}-{number[8:]}"
    if country in {"DE", "GB", "PT"} and rng.random() < 0.4:
        head = number[:2] if number[:2].isalpha() else ""
        rest = number[len(head) :]
        return " ".join(filter(None, [head, rest[:3], rest[3:6], rest[6:]]))
    return number


def company_number(rng: Random, country: str, vat: str | None) -> str:
    """Give the number of a company in its country's register, as it is printed."""
    vat = vat or ""
    if country == "FR":
        return f"{vat[4:7]} {vat[7:10]} {vat[10:]}"
    if country == "BE":
        return f"{vat[2:6]}.{vat[6:9]}.{vat[9:]}"
    if country == "SE":
        return f"{vat[2:8]}-{vat[8:12]}"
    if country == "DK":
        return vat[2:]
    if country == "TR":
        return f"0{vat}00015"
    if country == "RU":
        head = digits(rng, "12378########")[:12]
        return f"{head}{int(head) % 11 % 10}"
    if country == "US":
        return _drawn(rng, "4#-#######", _accepts("us", "ein"))
    patterns = {
        "AT": "FN 3#####k",
        "CH": "CH-020.3.0##.###-#",
        "DE": "HRB 2####",
        "ES": "Hoja M-4#####",
        "GB": "0#######",
        "IE": "5#####",
        "IT": "FI-5#####",
        "NL": "6#######",
        "PL": "0000######",
        "PT": "1####",
    }
    return digits(rng, patterns[country])


def person_number(rng: Random, language: str) -> str:
    """Give a person's number as the language's main country has it."""
    if language == "en":
        return digits(rng, "AB ## ## ## C")
    if language == "ru":
        return digits(rng, "40 1# ######")
    pattern, module, name = _PERSON[language]
    return _drawn(rng, pattern, _accepts(module, name))


def bank_account(rng: Random, country: str, bic: str) -> str | None:
    """Give a valid IBAN without spaces, or None where the country has none."""
    if country not in _BBAN:
        return None

    def completed(bban: str) -> str:
        if country == "FR":
            bank, branch, account = int(bban[:5]), int(bban[5:10]), int(bban[10:21])
            bban = f"{bban[:21]}{97 - (89 * bank + 15 * branch + 3 * account) % 97:02}"
        if country == "PT":
            bban = f"{bban[:19]}{98 - int(bban[:19]) * 100 % 97:02}"
        return f"{country}{iban.calc_check_digits(f'{country}00{bban}')}{bban}"

    bban = _drawn(rng, _BBAN[country], lambda drawn: bool(iban.is_valid(completed(drawn))), bic[:4])
    return completed(bban)


def grouped(number: str, size: int = 4) -> str:
    """Write a number in groups from the left, as IBANs are printed."""
    return " ".join(number[at : at + size] for at in range(0, len(number), size))


def routing_number(rng: Random) -> str:
    """Give a valid bank routing number of the United States."""
    return _drawn(rng, "1########", _accepts("us", "rtn"))


def creditor_reference(rng: Random) -> str:
    """Give a creditor reference of ISO 11649, `RF` and its check digits first."""
    return _drawn(rng, "RF########", iso11649.is_valid)


def luhn_reference(rng: Random) -> str:
    """Give a number that ends in its Luhn digit, such as a Swedish OCR number."""
    head = digits(rng, "7########")
    return f"{head}{luhn.calc_check_digit(head)}"


def belgian_reference(rng: Random) -> str:
    """Give a structured communication of Belgium, whose last two digits are the rest by 97."""
    head = digits(rng, "##########")
    number = f"{head}{int(head) % 97 or 97:02}"
    return f"+++{number[:3]}/{number[3:7]}/{number[7:]}+++"


def dutch_reference(rng: Random) -> str:
    """Give a payment reference of the Netherlands, whose first of 16 digits is its check."""
    rest = digits(rng, "#" * 15)
    weights = (2, 4, 8, 5, 10, 9, 7, 3, 6, 1)
    total = sum(int(digit) * weights[at % 10] for at, digit in enumerate(reversed(rest)))
    check = 11 - total % 11
    return grouped(f"{1 if check == 10 else check % 11}{rest}")


def danish_reference(rng: Random) -> str:
    """Give a payment id of a Danish slip of kind 71: 15 digits, the last by Luhn."""
    head = digits(rng, "4#############")
    return f"{head}{luhn.calc_check_digit(head)}"
