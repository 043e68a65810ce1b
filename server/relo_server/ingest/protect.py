"""Takes raw identifiers out of a record before anything of it is stored, logged or answered.

`protect` takes an ingest record as decoded JSON, well formed or not, and gives the same record
with these changes, at any depth:

| where | what becomes of it |
|---|---|
| under a key for an e-mail (`email`, `userEmail`, `correo`, …) | `KEY_sha256`, `KEY_sha256_google`, `KEY_sha256_uid2` |
| under a key for a phone (`phone`, `telefono`, `msisdn`, …) | `KEY_sha256` (E.164), `KEY_sha256_meta` |
| under a key for an advertising id (`gaid`, `idfa`, …) | `KEY_sha256`; the forms of absence go |
| under a key for a device (`device_id`, `visitorId`, …) | `KEY_sha256`, with the key where one is given |
| under a key for an address (`ip`, `client_ip`, …) | dropped |
| an e-mail address or `+…` phone anywhere in a text, `did`, `eid` and names included | `sha256:` and 64 hex digits in its place |

What already is a hash stays. A null under such a key is null under the new ones, so that a trait
can be unset. Of a key only its last words count: `email_opt_in` is not an address.

Hashes under keys are plain SHA-256, because the ad platforms compare them. Those in texts take a
key (HMAC-SHA-256) where one is given: nobody can then find a phone by trying all numbers.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from relo_dsl.records import MAX_DEPTH, RecordError
from relo_server.ingest.identifiers import (
    advertising_id,
    google_email,
    normal_email,
    normal_phone,
    sha256_hex,
    uid2_email,
)

_EMAILS = ("email", "mail", "correo", "emails", "correos", "emailaddress", "correoelectronico")
_PHONES = (
    "phone", "phones", "telephone", "telefono", "telefonos", "tel", "mobile", "movil", "celular",
    "cellphone", "cell", "msisdn", "whatsapp", "fax", "phonenumber", "mobilenumber", "smartphone",
    "telephonenumber", "ph", "contactnumber", "contactno",
)  # fmt: skip
_ADS = (
    "gaid", "idfa", "idfv", "aaid", "maid", "madid", "adid", "ifa", "rdid", "oaid", "imei",
    "advertisingid", "androidid", "amazonaid", "googleaid", "iosifa", "iosifv", "deviceifa",
    "advertisingidentifier",
)  # fmt: skip
_ADDRESSES = (
    "ip", "ips", "ipaddress", "ipaddr", "ipv", "remoteaddr", "remoteaddress", "forwardedfor",
    "direccionip",
)  # fmt: skip
_DEVICES = ("deviceid", "visitorid", "vendorid", "dispositivoid", "iddispositivo")
#: Words after those for an e-mail or a phone that say which one it is.
_AFTER = frozenset({
    "no", "num", "number", "numero", "nr", "home", "work", "casa", "trabajo", "oficina", "cliente",
    "customer", "contact", "contacto", "personal", "principal", "main", "primary", "secondary",
})  # fmt: skip
_KINDS: dict[str, str] = {
    **dict.fromkeys(_EMAILS, "email"),
    **dict.fromkeys(_PHONES, "phone"),
    **dict.fromkeys(_ADS, "ad"),
    **dict.fromkeys(_ADDRESSES, "address"),
    **dict.fromkeys(_DEVICES, "device"),
}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SUFFIX = re.compile(
    r"[._-]?(?:sha256|sha_256|hashed|hash)(?:_google|_uid2|_meta)?$", re.IGNORECASE
)
_HASH = re.compile(r"(?:sha256:)?[0-9a-fA-F]{64}")
_TOKEN = re.compile(r"sha256:[0-9a-f]{64}")
#: Where an address could be, from its `@` on; what stands before it is read backwards, so that
#: long texts without an address cost no quadratic time.
_AT_DOMAIN = re.compile(r"(?:@|%40)(?:[^\W_]|-){1,63}(?:\.(?:[^\W_]|-){1,63}){1,8}")
_LOCAL = re.compile(r"[^\s@<>()\[\],;:\"'&=?/%#|\\]{1,320}\Z")
_PHONE = re.compile(r"(?<![\w+])(?:\+|%2[Bb])(?:[ ().\-]{0,3}\d){8,15}(?!\d)", re.ASCII)
_MIN_DIGITS = 7

#: The names under which an e-mail's and a phone's hashes are kept, after the key's own.
_EMAIL_FORMS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("_sha256", normal_email),
    ("_sha256_google", google_email),
    ("_sha256_uid2", uid2_email),
)
_PHONE_FORMS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("_sha256", lambda phone: phone),
    ("_sha256_meta", lambda phone: phone[1:]),
)


def protect(
    raw: Mapping[str, Any], key: bytes | None = None, calling_code: str | None = None
) -> dict[str, Any]:
    """The record without raw identifiers; the very same object where there was nothing to do.

    `key` makes the hashes inside texts, device ids and names HMACs. `calling_code` (`"52"`) is of
    phones that stand without one under a key for phones. Twice is as good as once.

    Raises RecordError for a record that is nested too deep to be one.
    """
    if not _suspicious(raw):
        return raw if isinstance(raw, dict) else dict(raw)
    changed = _Walk(key, calling_code).mapping(raw)
    return changed if changed is not None else raw if isinstance(raw, dict) else dict(raw)


def redact(text: str, key: bytes | None = None) -> str:
    """A text (a device id, a message, a refused value) with e-mails and phones hashed."""
    if "@" not in text and "+" not in text and "%" not in text:
        return text
    return _PHONE.sub(
        lambda m: _token(normal_phone(unquote(m[0])), key), _without_emails(text, key)
    )


def _without_emails(text: str, key: bytes | None) -> str:
    parts: list[str] = []
    done = 0
    for found in _AT_DOMAIN.finditer(text):
        local = _LOCAL.search(text[max(done, found.start() - 320) : found.start()])
        if local is None:
            continue
        start = found.start() - len(local[0])
        address = local[0] + found[0].replace("%40", "@")
        parts += (text[done:start], _token(normal_email(address), key))
        done = found.end()
    return "".join((*parts, text[done:])) if parts else text


def _suspicious(value: Any, depth: int = 0) -> bool:
    """Whether there may be something to do: a quick look, because mostly there is nothing."""
    _require_depth(depth)
    if isinstance(value, str):
        return "@" in value or "+" in value or "%" in value
    if isinstance(value, Mapping):
        for name, part in value.items():
            if name not in _HARMLESS and not _harmless(name):
                return True
            kind = type(part)
            if kind is str:
                if "@" in part or "+" in part or "%" in part:
                    return True
            elif kind is not int and _suspicious(part, depth + 1):
                return True
    elif isinstance(value, list | tuple):
        return any(_suspicious(part, depth + 1) for part in value)
    return False


def _require_depth(depth: int) -> None:
    # Deeper than a record may be, by what stands around its values.
    if depth > MAX_DEPTH + 4:
        raise RecordError(f"nested deeper than {MAX_DEPTH}")


#: Names seen that hold no identifier. Bounded, because senders choose the names.
_HARMLESS: set[str] = set()
_MOST_NAMES = 10_000


def is_suspicious_name(name: str) -> bool:
    """Whether a key of a record may say that an identifier stands under it, or be one itself."""
    return _suspicious(name) or kind_of_key(name) is not None


def _harmless(name: str) -> bool:
    if is_suspicious_name(name):
        return False
    if len(_HARMLESS) < _MOST_NAMES and len(name) < 100:
        _HARMLESS.add(name)
    return True


def _token(text: str, key: bytes | None) -> str:
    if key is None:
        return "sha256:" + sha256_hex(text)
    return (
        "sha256:" + hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    )


@lru_cache(maxsize=4096)
def kind_of_key(key: str) -> str | None:
    """`email`, `phone`, `ad`, `address`, `device` or None: what the last words of a key say.

    >>> kind_of_key("userEmail"), kind_of_key("email_opt_in"), kind_of_key("E-Mail Address")
    ('email', None, 'email')
    """
    letters = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode()
    words = [word.lower() for word in _WORDS.findall(letters)]
    while words and (words[-1].isdigit() or words[-1] in ("sha", "hash", "hashed")):
        words.pop()
    kind = _kind_of(words)
    while kind is None and words and words[-1] in _AFTER:
        words.pop()
        if (found := _kind_of(words)) in ("email", "phone"):
            kind = found
    return kind


def _kind_of(words: list[str]) -> str | None:
    for length in (3, 2, 1):
        if len(words) >= length and (kind := _KINDS.get("".join(words[-length:]))):
            return kind
    return None


class _Walk:
    """One pass over a record; every method gives None where nothing had to change."""

    def __init__(self, key: bytes | None, calling_code: str | None) -> None:
        self._key = key
        self._calling_code = calling_code
        self._depth = 0

    def mapping(self, raw: Mapping[str, Any]) -> dict[str, Any] | None:
        with self._deeper():
            return self._mapping(raw)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        _require_depth(self._depth)
        yield
        self._depth -= 1

    def _mapping(self, raw: Mapping[str, Any]) -> dict[str, Any] | None:
        out: dict[str, Any] | None = None
        for position, (name, value) in enumerate(raw.items()):
            parts = self._entry(name, value)
            if parts is None:
                if out is not None:
                    out[name] = value
                continue
            if out is None:
                out = dict(list(raw.items())[:position])
            out.update(parts)
        return out

    def _entry(self, name: str, value: Any) -> dict[str, Any] | None:
        """What stands in place of one entry, or None for the entry itself."""
        kind = kind_of_key(name)
        if kind is not None and (parts := self._known(kind, name, value)) is not None:
            return parts
        new_value = self.value(value)
        new_name = redact(name, self._key)
        if new_value is None and new_name == name:
            return None
        return {new_name: value if new_value is None else new_value}

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            changed = redact(value, self._key)
            return changed if changed != value else None
        if isinstance(value, Mapping):
            return self.mapping(value)
        if isinstance(value, list | tuple):
            with self._deeper():
                items = [self.value(item) for item in value]
            if all(item is None for item in items):
                return None
            return [old if new is None else new for old, new in zip(value, items, strict=True)]
        return None

    def _known(self, kind: str, name: str, value: Any) -> dict[str, Any] | None:
        """The entries for a value under a key that names an identifier; None: nothing of it is."""
        if kind == "address":
            return {}
        if isinstance(value, Mapping):
            with self._deeper():
                return {name: {k: v for part in value.items() for k, v in self._under(kind, *part)}}
        if isinstance(value, list | tuple) and any(map(_has_parts, value)):
            with self._deeper():
                return {name: [self._element(kind, item) for item in value]}
        leaves = value if isinstance(value, list | tuple) else [value]
        if not self._applies(kind, name, leaves):
            return None
        base = _SUFFIX.sub("", name)
        found = {suffix: [] for suffix in _suffixes(kind)}  # type: dict[str, list[Any]]
        for leaf in leaves:
            for suffix, digest in self._digests(kind, leaf).items():
                found[suffix].append(digest)
        if isinstance(value, list | tuple):
            return {base + suffix: kept for suffix, kept in found.items()}
        return {base + suffix: kept[0] for suffix, kept in found.items() if kept}

    def _under(self, kind: str, name: str, value: Any) -> list[tuple[str, Any]]:
        """Entries inside an object under such a key: `{"email": {"work": …}}`."""
        own = kind_of_key(name)
        parts = self._known(own or kind, name, value)
        if parts is None:
            parts = self._entry(name, value)
        return list(({name: value} if parts is None else parts).items())

    def _element(self, kind: str, item: Any) -> Any:
        if isinstance(item, Mapping):
            with self._deeper():
                return {k: v for part in item.items() for k, v in self._under(kind, *part)}
        if isinstance(item, list | tuple):
            with self._deeper():
                return [self._element(kind, part) for part in item]
        digests = self._digests(kind, item)
        return digests.get("_sha256", self.value(item) or item)

    def _applies(self, kind: str, name: str, leaves: list[Any] | tuple[Any, ...]) -> bool:
        """Whether the values can be what the key says, and are not hashes under a hash's name."""
        texts = [leaf for leaf in leaves if isinstance(leaf, str)]
        if _SUFFIX.search(name) and all(map(_is_hash_or_null, leaves)):
            return False
        if kind == "phone":
            return leaves == [None] or any(_digits(leaf) >= _MIN_DIGITS for leaf in leaves)
        return bool(texts) or leaves == [None] or any(_is_number(leaf) for leaf in leaves)

    def _digests(self, kind: str, leaf: Any) -> dict[str, Any]:
        if leaf is None:
            return dict.fromkeys(_suffixes(kind))
        if isinstance(leaf, bool) or not (isinstance(leaf, str) or _is_number(leaf)):
            return {}
        text = str(leaf).strip()
        if _HASH.fullmatch(text):
            return {"_sha256": text.lower().removeprefix("sha256:")}
        if kind == "device":
            return {"_sha256": _token(text, self._key).removeprefix("sha256:")} if text else {}
        if kind == "ad":
            known = advertising_id(text)
            return {} if known is None else {"_sha256": sha256_hex(known)}
        forms = _EMAIL_FORMS
        if kind == "phone":
            text, forms = normal_phone(text, self._calling_code), _PHONE_FORMS
        return {suffix: sha256_hex(form(text)) for suffix, form in forms} if text else {}


def _suffixes(kind: str) -> tuple[str, ...]:
    forms = {"email": _EMAIL_FORMS, "phone": _PHONE_FORMS}.get(kind)
    return tuple(suffix for suffix, _ in forms) if forms else ("_sha256",)


def _has_parts(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _is_hash_or_null(value: object) -> bool:
    return value is None or (isinstance(value, str) and _HASH.fullmatch(value) is not None)


def _digits(leaf: object) -> int:
    """How many digits a text or number has, those of e-mail addresses and hashes in it apart."""
    if isinstance(leaf, str):
        return sum(c.isdigit() for c in _TOKEN.sub("", _without_emails(leaf, None)))
    return len(str(leaf)) if _is_number(leaf) else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
