"""What makes a candidate a hint: checksums, country codes, lengths, ranges kept for examples.

Each check takes a candidate and the text before it, and returns the part of the candidate that
counts, as (start, end), or None.
"""

from __future__ import annotations

import ipaddress
import re

Part = tuple[int, int] | None

DIGITS = re.compile(r"\d{1,64}")
RESERVED = ("example.com", "example.net", "example.org")  # RFC 2606
RESERVED_ENDS = (".example", ".test", ".invalid", ".localhost", ".local")
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".css", ".js", ".html", ".py")
LEAST_VARIETY = 8  # different characters of a real key; "sk-xxxxxxxx" is a place for one

IBAN_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL SD FK",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK",
    21: "CH CR HR LI LV",
    22: "BG BH DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
"""Characters of an IBAN -> the countries that have IBANs of that length (SWIFT's registry)."""
IBAN_LENGTHS = {code: n for n, codes in IBAN_COUNTRIES.items() for code in codes.split(" ")}

ONE = {1, 7}
TWO = {20, 27, *range(30, 35), 36, *range(39, 42), *range(43, 50), *range(51, 59), *range(60, 67)}
TWO |= {81, 82, 84, 86, *range(90, 96), 98}
THREE = {*range(21, 27), 29, 35, 37, 38, 42, 50, 59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99}
"""Country codes of E.164: of one and of two digits, and the first two of those of three."""


def key(candidate: str, before: str) -> Part:
    """Take a secret key unless it is a place for one, such as AKIA…EXAMPLE or sk-xxxx.

    >>> key("AKIAIOSFODNN7EXAMPLE", ""), key("hf_" + "x" * 34, "")
    (None, None)
    """
    body = re.sub(r"^[A-Za-z]{2,6}[-_]", "", candidate)
    if "EXAMPLE" in candidate.upper() or len(set(body)) < LEAST_VARIETY:
        return None
    return 0, len(candidate.rstrip())


def email(candidate: str, before: str) -> Part:
    """Take an address whose domain can exist and is not kept for examples.

    >>> email("jo@corp.co.uk.", ""), email("logo@2x.png", ""), email("a@b", "")
    ((0, 13), None, None)
    """
    local, _, domain = candidate.partition("@")
    start = len(local) - len(local.lstrip("._%+'-"))
    domain = domain.rstrip(".-")
    labels = domain.lower().split(".")
    top = labels[-1]
    fits = all(0 < len(label) < 64 and label.strip("-") == label for label in labels)
    if len(labels) < 2 or not fits or not (top.isalpha() and 2 <= len(top) <= 24):
        return None
    reserved = any(f".{domain}".lower().endswith(f".{name}") for name in RESERVED)
    ends = (*RESERVED_ENDS, *IMAGES)
    if reserved or domain.lower().endswith(ends) or start == len(local) or local[-1] == ".":
        return None
    return start, len(local) + 1 + len(domain)


def iban(candidate: str, before: str) -> Part:
    """Take an IBAN of its country's length whose remainder modulo 97 is 1 (ISO 13616).

    >>> iban("GB82 WEST 1234 5698 7654 32", ""), iban("GB82 WEST 1234 5698 7654 33", "")
    ((0, 27), None)
    """
    length = IBAN_LENGTHS.get(candidate[:2], 0)
    places = [i for i, letter in enumerate(candidate) if letter != " "]
    if not length or len(places) < length:
        return None
    end = places[length - 1] + 1
    if candidate[end : end + 1].isalnum():
        return None
    letters = candidate[:end].replace(" ", "")
    number = "".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])
    return (0, end) if int(number) % 97 == 1 else None


def luhn(digits: str) -> bool:
    """Whether the digits' weighted sum is a multiple of 10 (ISO/IEC 7812-1).

    >>> luhn("4539578763621486"), luhn("4539578763621487")
    (True, False)
    """
    doubled = [int(d) * 2 for d in digits[-2::-2]]
    total = sum(int(d) for d in digits[-1::-2]) + sum(d - 9 if d > 9 else d for d in doubled)
    return total % 10 == 0


def _issued(digits: str) -> bool:
    """Whether an issuer has numbers that begin so and are so long."""
    if len(digits) < 13:
        return False
    two, four, size = int(digits[:2]), int(digits[:4]), len(digits)
    return (
        (digits[0] == "4" and size in (13, 16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and size == 16)
        or (two in (34, 37) and size == 15)
        or ((four == 6011 or two in (64, 65)) and size in (16, 19))
        or (3528 <= four <= 3589 and size == 16)
        or (two in (30, 36, 38, 39) and size == 14)
        or (two == 62 and size in (16, 17, 18, 19))
    )


def card(candidate: str, before: str) -> Part:
    """Take a card number: an issuer's beginning and length, Luhn's sum, groups as on cards.

    >>> card("4539 5787 6362 1486 12", ""), card("1234 5678 9012 3456", "")
    ((0, 19), None)
    """
    digits, sizes = "", []
    for found in DIGITS.finditer(candidate):
        digits += found[0]
        sizes.append(len(found[0]))
        if len(digits) > 19:
            break
        grouped = len(sizes) == 1 or set(sizes[:-1]) == {4} or sizes[:2] == [4, 6]
        if grouped and _issued(digits) and luhn(digits):
            return (0, found.end()) if len(set(digits)) > 2 else None
    return None


def _international(digits: str) -> bool:
    one, two = int(digits[:1]), int(digits[:2])
    code = 1 if one in ONE else 2 if two in TWO else 3 if two in THREE else 0
    return bool(code) and 8 <= len(digits) <= 15 and len(digits) - code >= 6


def _american(digits: str) -> bool:
    """Whether ten digits can be a North American number that is not kept for fiction."""
    area, exchange, line = digits[:3], digits[3:6], digits[6:]
    fits = area[0] in "23456789" and exchange[0] in "23456789"
    return fits and "11" not in (area[1:], exchange[1:]) and not (
        exchange == "555" and line.startswith("01")
    )  # fmt: skip


def phone(candidate: str, before: str) -> Part:
    """Take a phone number: an assigned country code and length, or a national number.

    National numbers are those of North America, and those that begin with 0 behind a word such as
    "tel". Numbers kept for fiction (555-01xx) are none.

    >>> phone("+44 20 7946 0018 2023 1", ""), phone("+999 12", ""), phone("(212) 555-0123", "")
    ((0, 16), None, None)
    >>> phone("tel: 030 901820", "")
    (5, 15)
    """
    plus = candidate.find("+")
    if plus < 0 and candidate[0].isalpha():
        start = next(i for i, letter in enumerate(candidate) if letter.isdigit() or letter == "(")
        digits = sum(letter.isdigit() for letter in candidate)
        return (start, len(candidate)) if 7 <= digits <= 15 else None
    if plus < 0:
        digits = "".join(DIGITS.findall(candidate))[-10:]
        return (0, len(candidate)) if len(digits) == 10 and _american(digits) else None
    groups = [found.end() for found in DIGITS.finditer(candidate)]
    for end in reversed(groups):
        digits = "".join(DIGITS.findall(candidate[:end]))
        if _international(digits):
            american = digits[0] != "1" or (len(digits) == 11 and _american(digits[1:]))
            return (plus, end) if american else None
    return None


def ip(candidate: str, before: str) -> Part:
    """Take an address of the public internet; private and documentation ranges are none.

    >>> ip("8.8.8.8", ""), ip("192.168.0.1", ""), ip("1.2.3.4", "version "), ip("12:30:45", "")
    ((0, 7), None, None, None)
    """
    if re.search(r"(?:\bv|version|release|build|[=<>~]) ?$", before.lower()):
        return None
    try:
        address = ipaddress.ip_address(candidate)
    except ValueError:
        return None
    return (0, len(candidate)) if address.is_global else None
