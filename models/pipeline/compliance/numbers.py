"""Which digits are a number of a known kind: by checksum (python-stdnum) and number plan (phonenumbers)."""

import ipaddress
import re
from collections.abc import Callable
from types import ModuleType

import phonenumbers
from stdnum import iban, luhn
from stdnum.at import vnr
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ch_ssn
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.us import itin
from stdnum.us import ssn as us_ssn

_NATIONAL: tuple[ModuleType, ...] = (
    *(us_ssn, itin, nhs, idnr, ch_ssn, nir, dni, nie, codicefiscale, bsn, personnummer, vnr, cpr, hetu),
    *(fodselsnummer, pesel, sin, cpf, aadhaar),
)
_NINO = re.compile(r"[A-Z]{2}\d{6}[A-D]", re.IGNORECASE)  # Britain's has no checksum: prefixes are in the pattern
_DATE_LIKE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}")
_VIN_VALUES = dict(zip("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", "012345678912345678123457923456789", strict=True))
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def is_telephone(text: str, regions: tuple[str, ...]) -> bool:
    """Whether `text` is a number that the plan of its country code, or of one of `regions`, assigns.

    Numbers that plans reserve for fiction (555-01xx) count too.
    """
    if _DATE_LIKE.fullmatch(text):
        return False
    international = text.startswith(("+", "00"))
    dialled = "+" + text[2:] if text.startswith("00") else text
    for region in (None,) if international else regions:
        try:
            number = phonenumbers.parse(dialled, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False


def is_national(text: str, _regions: tuple[str, ...]) -> bool:
    """Whether `text` is a well-formed identity, social security, health or tax number of a country we know."""
    if _NINO.fullmatch(text.replace(" ", "")):
        return True
    return any(module.is_valid(text) for module in _NATIONAL)


def is_network(text: str, _regions: tuple[str, ...]) -> bool:
    """Whether `text` is an IP address that names a host, version 4 or 6."""
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def is_iban(text: str, _regions: tuple[str, ...]) -> bool:
    """Whether `text` is an International Bank Account Number (ISO 13616)."""
    return bool(iban.is_valid(text))


def is_card(text: str, _regions: tuple[str, ...]) -> bool:
    """Whether `text` passes for a payment card's number: 13 to 19 digits with a Luhn check digit (ISO/IEC 7812)."""
    digits = re.sub(r"[ -]", "", text)
    return 13 <= len(digits) <= 19 and bool(luhn.is_valid(digits))


def is_vehicle(text: str, _regions: tuple[str, ...]) -> bool:
    """Whether `text` is a vehicle identification number with its check digit (49 CFR 565.15) or a licence plate."""
    if len(text) != 17:
        return any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    if not all(letter in _VIN_VALUES for letter in text):
        return False
    total = sum(weight * int(_VIN_VALUES[letter]) for weight, letter in zip(_VIN_WEIGHTS, text, strict=True))
    return text[8] == "0123456789X"[total % 11]


CHECKS: dict[str, Callable[[str, tuple[str, ...]], bool]] = {
    "telephone": is_telephone,
    "national": is_national,
    "network": is_network,
    "iban": is_iban,
    "card": is_card,
    "vehicle": is_vehicle,
}
