"""Identifiers as the ad platforms want them: normalised, then SHA-256 in lower-case hex. No I/O.

The rules, by platform:
- E-mail: trimmed, lower case (Meta, TikTok, Snap). Google's samples also take the dots out of the
  part before the `@`; UID2 (The Trade Desk) does so at gmail.com only, and cuts `+suffix` there.
- Phone: `+`, calling code, number, and nothing else (E.164: Google, TikTok, UID2); Meta and Snap
  want the same without the `+`.
- Names and places (Meta): lower case without punctuation; Google: trimmed, lower case.
- UID2 takes the digest in base64 instead of hex: `uid2_text` turns one into the other.

A phone without `+` or `00` is read as if its calling code stood in it, unless `calling_code` is
given: then it is national, and zeros in front of it are a trunk prefix (not in Italy).
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Callable

_NOT_DIGIT = re.compile(r"\D+", re.ASCII)
_SPACES = re.compile(r"\s+")
#: Calling codes whose national numbers keep their leading zero.
_KEEP_ZERO = frozenset({"39"})
_GMAIL = frozenset({"gmail.com", "googlemail.com"})
_ZEROS = re.compile(r"[0-]*")


def sha256_hex(text: str) -> str:
    """SHA-256 of the UTF-8 text, 64 lower-case hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def uid2_text(digest: str) -> str:
    """A hex digest as UID2 wants it: the same 32 bytes in base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def normal_email(text: str) -> str:
    """Without white space, in lower case: `" Ana@Example.com "` is `ana@example.com`."""
    return _SPACES.sub("", text).lower()


def google_email(text: str) -> str:
    """As Google's samples do: also no dots before the `@`, whatever the domain."""
    local, at, domain = normal_email(text).rpartition("@")
    return local.replace(".", "") + at + domain


def uid2_email(text: str) -> str:
    """As UID2 wants it: at Gmail no dots and no `+suffix`, elsewhere the plain form."""
    local, at, domain = normal_email(text).rpartition("@")
    if domain in _GMAIL:
        local = local.split("+", 1)[0].replace(".", "")
    return local + at + domain


def normal_phone(text: str, calling_code: str | None = None) -> str:
    """`+` and digits, the calling code first. Empty where the text holds no digits."""
    digits = _NOT_DIGIT.sub("", text)
    if "+" in text:
        return "+" + digits.lstrip("0") if digits else ""
    if digits.startswith("00"):
        return "+" + digits.lstrip("0")
    if calling_code:
        national = digits if calling_code in _KEEP_ZERO else digits.lstrip("0")
        return f"+{calling_code}{national}" if national else ""
    digits = digits.lstrip("0")
    return "+" + digits if digits else ""


def meta_phone(text: str, calling_code: str | None = None) -> str:
    """The phone as Meta wants it: without the `+`."""
    return normal_phone(text, calling_code)[1:]


def advertising_id(text: str) -> str | None:
    """A GAID, IDFA or the like in lower case; None for the forms that say there is none."""
    plain = text.strip().lower()
    if plain in ("", "null", "none", "undefined", "n/a") or _ZEROS.fullmatch(plain):
        return None
    return plain


def plain_words(text: str) -> str:
    """Trimmed and in lower case, as Google wants names."""
    return text.strip().lower()


def meta_words(text: str) -> str:
    """Lower case without punctuation, as Meta wants names; letters of any script stay."""
    lowered = text.strip().lower()
    return "".join(c for c in lowered if unicodedata.category(c)[0] not in "PS")


def meta_place(text: str) -> str:
    """As `meta_words`, without spaces: `Ciudad de México` is `ciudaddeméxico`."""
    return _SPACES.sub("", meta_words(text))


def meta_birthday(text: str) -> str:
    """`1985-02-18` or the like as `19850218`."""
    return _NOT_DIGIT.sub("", text)


def meta_initial(text: str) -> str:
    """The first letter, in lower case: how a gender is given."""
    return text.strip().lower()[:1]


_META: dict[str, Callable[[str], str]] = {
    "em": normal_email, "fn": meta_words, "ln": meta_words, "ct": meta_place, "st": meta_place,
    "zp": meta_place, "country": meta_place, "db": meta_birthday, "ge": meta_initial,
    "external_id": plain_words,
}  # fmt: skip
_RULES: dict[str, dict[str, Callable[[str], str]]] = {
    "meta": _META,
    "snap": _META,
    "google": {"email": google_email, "first_name": plain_words, "last_name": plain_words},
    "tiktok": {"email": normal_email, "external_id": plain_words},
    "uid2": {"email": uid2_email},
}
_PHONES: dict[tuple[str, str], Callable[[str, str | None], str]] = {
    ("meta", "ph"): meta_phone,
    ("snap", "ph"): meta_phone,
    ("google", "phone"): normal_phone,
    ("tiktok", "phone"): normal_phone,
    ("uid2", "phone"): normal_phone,
}
#: What each platform can be given: {"meta": {"em", "ph", …}, …}.
FIELDS: dict[str, frozenset[str]] = {
    vendor: frozenset(rules) | {field for owner, field in _PHONES if owner == vendor}
    for vendor, rules in _RULES.items()
}


def normalised(vendor: str, field: str, text: str, calling_code: str | None = None) -> str:
    """The text that the platform wants hashed. Raises KeyError for what is not in FIELDS."""
    phone = _PHONES.get((vendor, field))
    return phone(text, calling_code) if phone else _RULES[vendor][field](text)


def hashed(vendor: str, field: str, text: str, calling_code: str | None = None) -> str | None:
    """SHA-256 in hex of `normalised`; None where nothing is left to hash."""
    normal = normalised(vendor, field, text, calling_code)
    return sha256_hex(normal) if normal else None
