"""Find national identity numbers by their form and, if it has one, their check.

The checks are python-stdnum's; it has none for the Russian SNILS and the British NINO.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stdnum.exceptions import ValidationError

from qtforge_builtin_plugins.pipelines.legal.spans import Span

__all__ = ["find_identity_numbers"]

_REACH: Final = 60
# Before the number of an article, a drawing or an order, whatever its form; an identity number
# without a label of its own has no sign for a number before it either.
_ITEM: Final = re.compile(
    r"(?<!\w)(?:part|article|artikel|art|item|ref|réf|reference|référence|referencia|sku|style|stil|stijl|estilo|catalog(?:ue)?|catálogo|katalog|model"
    r"|modell|modèle|modelo|modello|serial|drawing|zeichnung|plan|plano|disegno|tekening|order"
    r"|bestellung|commande|pedido|ordine|lot|charge|batch|ticket|project|projekt|codice|código|code"
    r"|артикул|заказ|код|партия|чертёж|sipariş|parça)"
    r"(?:[-. ]?(?:no|nr|number|nummer|numéro|número|numero|n[°º])\.?)?[ :#]{1,3}$"
    r"|(?<!\w)(?:no|nr|n[.°º]{1,3}|n\.? ?[°º]|№|#)\.?[ ]?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Number:
    """A kind of number.

    Attributes:
        name: Country and name.
        form: The pattern of the number.
        label: The pattern of the words before it. A number after its label is found even if
            its check fails, since a misspelt number still belongs to a person.
        distinct: Whether form and check are enough without a label.
        check: The module in ``stdnum``, ``snils``, or None if there is no check.
    """

    name: str
    form: str
    label: str
    distinct: bool
    check: str | None


_NUMBERS: Final = (
    _Number(name="us_ssn", form=r"\d{3}-\d{2}-\d{4}", label=r"ssn|social security",
            distinct=True, check="us.ssn"),
    _Number(name="us_itin", form=r"9\d{2}-\d{2}-\d{4}", label=r"itin|taxpayer",
            distinct=True, check="us.itin"),
    _Number(name="us_ssn", form=r"\d{3} ?\d{2} ?\d{4}", label=r"ssn|social security",
            distinct=False, check="us.ssn"),
    _Number(name="gb_nino", form=r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
            r" ?\d{2} ?\d{2} ?\d{2} ?[A-D]", label=r"national insurance|nino|ni number",
            distinct=True, check=None),
    _Number(name="gb_nino", form=r"[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
            label=r"national insurance|nino|ni number", distinct=False, check=None),
    _Number(name="gb_nhs", form=r"\d{3}[ -]?\d{3}[ -]?\d{4}", label=r"nhs", distinct=False,
            check="gb.nhs"),
    _Number(name="de_idnr", form=r"\d{2} ?\d{3} ?\d{3} ?\d{3}",
            label=r"steuer-?id\w*|idnr\.?|identifikationsnummer|tax id", distinct=False,
            check="de.idnr"),
    _Number(name="de_stnr", form=r"\d{2,5}(?:[ /]\d{2,5}){2,3}|\d{10,13}",
            label=r"steuernummer|steuer-?nr\.?|st\.?-?nr\.?", distinct=False, check="de.stnr"),
    _Number(name="de_svnr", form=r"\d{2} ?(?:[0-2]\d|3[01])(?:0\d|1[0-2])\d{2} ?[A-Z] ?\d{3}",
            label=r"versicherungs(?:nummer|-?nr\.?)|svnr", distinct=True, check=None),
    _Number(name="fr_nir", form=r"[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}",
            label=r"nir|sécurité sociale", distinct=True, check="fr.nir"),
    _Number(name="ru_inn", form=r"\d{12}|\d{10}", label=r"инн|inn", distinct=False, check="ru.inn"),
    _Number(name="ru_snils", form=r"\d{3}-\d{3}-\d{3}[ -]\d{2}", label=r"снилс|snils",
            distinct=True, check="snils"),
    _Number(name="ru_snils", form=r"\d{11}", label=r"снилс|snils", distinct=False, check="snils"),
    _Number(name="ru_passport", form=r"\d{2} ?\d{2}(?: ?№ ?| )?\d{6}", label=r"паспорт\w*",
            distinct=False, check=None),
    _Number(name="es_dni", form=r"\d{8}-?[A-HJ-NP-TV-Z]", label=r"d\.?n\.?i\.?|n\.?i\.?f\.?",
            distinct=True, check="es.dni"),
    _Number(name="es_nie", form=r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", label=r"nie", distinct=True,
            check="es.nie"),
    _Number(name="it_codice_fiscale", form=r"[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z]",
            label=r"codice fiscale|c\.f\.", distinct=True, check="it.codicefiscale"),
    _Number(name="nl_bsn", form=r"\d{9}|\d{4}\.\d{2}\.\d{3}", label=r"bsn|burgerservicenummer",
            distinct=False, check="nl.bsn"),
    _Number(name="pl_pesel", form=r"\d{11}", label=r"pesel", distinct=False, check="pl.pesel"),
    _Number(name="se_personnummer", form=r"(?:\d{2})?\d{6}[-+]\d{4}", label=r"personnummer",
            distinct=True, check="se.personnummer"),
    _Number(name="ch_ahv", form=r"756\.?\d{4}\.?\d{4}\.?\d{2}", label=r"ahv\w*|avs", distinct=True,
            check="ch.ssn"),
    _Number(name="be_nn", form=r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", label=r"nn|rijksregister\w*",
            distinct=True, check="be.nn"),
    _Number(name="fi_hetu", form=r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]", label=r"hetu", distinct=True,
            check="fi.hetu"),
    _Number(name="br_cpf", form=r"\d{3}\.\d{3}\.\d{3}-\d{2}", label=r"cpf", distinct=True,
            check="br.cpf"),
    _Number(name="in_pan", form=r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", label=r"pan",
            distinct=True, check="in_.pan"),
    _Number(name="in_aadhaar", form=r"\d{4} ?\d{4} ?\d{4}", label=r"aadhaar|uid", distinct=False,
            check="in_.aadhaar"),
    _Number(name="ca_sin", form=r"\d{3}[- ]?\d{3}[- ]?\d{3}", label=r"sin|social insurance",
            distinct=False, check="ca.sin"),
    _Number(name="ie_pps", form=r"\d{7}[A-W][A-IW]?", label=r"pps\w?|personal public service",
            distinct=False, check="ie.pps"),
)  # fmt: skip


def find_identity_numbers(text: str) -> Iterator[Span]:
    """Yield the numbers in the text, in no order; they may overlap."""
    for number in _NUMBERS:
        form = re.compile(rf"(?<![\w.,/-])(?:{number.form})(?![\w-]|[.,]\d)")
        # Between a label and its number "no.:", "(personal)" or "серия" may occur, but no digit.
        label = re.compile(rf"(?<![^\W_])(?:{number.label})(?![^\W_])[^\d\n]{{0,24}}$", re.I)
        for match in form.finditer(text):
            valid = _holds(number.check, match.group())
            before = text[max(0, match.start() - _REACH) : match.start()]
            is_distinct = number.distinct and valid is not False and not _ITEM.search(before)
            if is_distinct or label.search(before):
                yield Span(
                    start=match.start(),
                    end=match.end(),
                    kind="national_id",
                    key=f"{number.name} {re.sub(r'[^0-9A-Z]', '', match.group())}",
                    subkind=number.name,
                    checked=valid,
                )


def _holds(check: str | None, written: str) -> bool | None:
    if check is None:
        return None
    if check == "snils":
        return _snils_holds(written)
    try:
        importlib.import_module(f"stdnum.{check}").validate(written)
    except ValidationError:
        return False
    return True


def _snils_holds(written: str) -> bool:
    """Check by order 192p of the Pension Fund: weights from 9 to 1; 100 and 101 count as 0."""
    digits = [int(character) for character in written if character.isdigit()]
    total = sum(digit * weight for digit, weight in zip(digits, range(9, 0, -1), strict=False))
    return total % 101 % 100 == digits[9] * 10 + digits[10]
