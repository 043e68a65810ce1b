"""AppsFlyer's Push API: who signed a message, and the record that it is. No I/O.

Fields are those of Push API V2.0 (support.appsflyer.com, article 207034356): times are UTC,
`yyyy-mm-dd hh:mm:ss.sss`; `conversion_type` tells installs from re-engagements.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from relo_dsl.errors import UserError
from relo_dsl.records import RecordError
from relo_dsl.times import TimeError, parse_instant
from relo_server.ingest.identifiers import advertising_id, sha256_hex
from relo_server.ingest.intake import Unwanted
from relo_server.ingest.payloads import decode, encode
from relo_server.ingest.protect import kind_of_key

MOST_BYTES = 256 * 2**10
#: What is kept of a message, and under which name.
_KEPT = {
    "app_id": "app_id",
    "platform": "platform",
    "media_source": "media_source",
    "campaign": "campaign",
    "campaign_type": "campaign_type",
    "country_code": "country",
    "city": "city",
    "event_revenue_currency": "currency",
    "blocked_reason": "blocked_reason",
    "blocked_reason_value": "blocked_reason_value",
    "fraud_reason": "fraud_reason",
}
#: Event names and conversion types of AppsFlyer that are not in-app events.
_NAMES = {
    "install": "install",
    "reinstall": "reinstall",
    "re-engagement": "re_engagement",
    "re-attribution": "re_attribution",
    "uninstall": "uninstall",
}
_FRAUD = ("blocked_reason", "fraud_reason")
#: A name in a text that is JSON in part, maybe with quotes that are escaped, and what stands under
#: it. Both take linear time.
_NAME = re.compile(r'"((?:[^"\\]|\\[^"]){0,100})\\{0,3}"\s{0,20}:\s{0,20}', re.DOTALL)
_UNDER = re.compile(r'"(?:[^"\\]|\\.)*"?|\\+"[^"]*"?|[\[{].*|[^,}\]]*', re.DOTALL)


class Unsigned(UserError):
    """A message whose signature does not fit, or that has none where it must."""


def message_of(body: bytes) -> dict[str, Any]:
    """The message of a body. Raises UserError for what is none."""
    try:
        found = decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UserError(f"the body is not JSON: {error}", "AppsFlyer sends it by POST") from error
    if not isinstance(found, dict) or not isinstance(found.get("app_id"), str):
        raise UserError("the message has no `app_id`", "AppsFlyer sends it with every message")
    return found


def verify(body: bytes, signature: str | None, keys: Iterable[bytes], encoding: str) -> None:
    """Raises Unsigned where the signature is none of the body by one of the keys (HMAC-SHA256).

    Two keys may be live while one replaces the other. How long it takes tells nothing.
    """
    if signature is None:
        raise Unsigned("the message is not signed", "`unsigned = true` takes it all the same")
    text = signature.strip().removeprefix("sha256=")
    try:
        given = bytes.fromhex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        given = b""
    fits = [hmac.compare_digest(hmac.digest(key, body, "sha256"), given) for key in keys]
    if not any(fits):
        raise Unsigned("the signature does not fit", "see `keys` and `signature` in relo.toml")


def record_of(message: Mapping[str, Any], now: int, window: int) -> dict[str, Any] | Unwanted:
    """The record that a message is; what it would be where it cannot be one, or is older than
    `window`.

    The same message is the same record, whenever and however it comes.
    """
    told = message.get("event_time")
    device = _device(message)
    name = _name(message)
    record: dict[str, Any] = {"t": name, "ts": told, "props": _props(message)}
    if device is not None:
        record["did"] = device
    try:
        time = parse_instant(str(told))
    except TimeError:
        return Unwanted(
            record, RecordError("expected a time as AppsFlyer writes it", "event_time", told)
        )
    record["ts"] = min(time, now)
    if device is None:
        return Unwanted(record, RecordError("the message names no device", "appsflyer_id"))
    record["eid"] = _id(message, name, time, device)
    if time < now - window:
        return Unwanted(
            record, RecordError("the message is older than the replay window", "event_time", told)
        )
    return record


def _id(message: Mapping[str, Any], name: str, time: int, device: str) -> str:
    """The same for a postback and a report's row, which tells times to the second."""
    parts = [
        message["app_id"], _told(message.get("appsflyer_id")) or device, name, time // 1000,
        _told(message.get("event_value")),
    ]  # fmt: skip
    digest = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
    return f"af/{digest[:40]}"


def _told(value: object) -> str | None:
    """A field as both ways tell it: a text, and None for nothing. In a postback that is null or an
    empty text, in a report an empty cell.
    """
    if value is None:
        return None
    text = value if isinstance(value, str) else encode(value).decode()
    return None if text.strip() in ("", "null") else text


def _name(message: Mapping[str, Any]) -> str:
    name = str(message.get("event_name") or "").strip()
    kind = str(message.get("conversion_type") or message.get("retargeting_conversion_type") or "")
    plain = _NAMES.get(name.lower())
    if plain == "install":
        plain = _NAMES.get(kind.lower(), "install")
    found = plain or name or _NAMES.get(kind.lower(), "unnamed")
    return f"fraud_{found}" if any(message.get(one) for one in _FRAUD) else found


def _device(message: Mapping[str, Any]) -> str | None:
    """The advertising id where there is one; else what AppsFlyer calls the device."""
    for field in ("advertising_id", "idfa", "amazon_aid", "oaid"):
        value = message.get(field)
        if isinstance(value, str) and (found := advertising_id(value)) is not None:
            return found
    value = message.get("appsflyer_id")
    return _told(value) if isinstance(value, str) else None


def _props(message: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    value = _told(message.get("event_value"))
    if value is not None:
        inside = _json(value)
        if isinstance(inside, str):
            inside = _json(inside)
        if isinstance(inside, Mapping):
            found |= inside
        else:  # AppsFlyer cuts long ones
            found["event_value"] = _without_identifiers(value)
    for field, name in _KEPT.items():
        if message.get(field) not in (None, ""):
            found[name] = message[field]
    revenue = message.get("event_revenue")
    if isinstance(revenue, str):
        number = _json(revenue)
        # What is no number stays a text: whether it may, the catalog says.
        known = isinstance(number, int | Decimal) and not isinstance(number, bool)
        revenue = number if known else _told(revenue)
    if revenue is not None:
        found["revenue"] = revenue
    user = _told(message.get("customer_user_id"))
    if user is not None:
        found["customer_user_id_sha256"] = sha256_hex(user)
    return found


def _json(text: str) -> Any:
    """What a text says in JSON; None where it is none."""
    try:
        return decode(text.encode())
    except (msgspec.DecodeError, RecursionError):
        return None


def _without_identifiers(text: str) -> str:
    """A text that may be a part of an object, without what stands under names of identifiers: no
    intake would know it there.
    """
    parts: list[str] = []
    done = 0
    for found in _NAME.finditer(text):
        if found.start() < done or kind_of_key(_unescaped(found[1])) is None:
            continue
        under = _UNDER.match(text, found.end())
        parts += (text[done : found.end()], "…")
        done = found.end() if under is None else under.end()
    return "".join((*parts, text[done:]))


def _unescaped(name: str) -> str:
    found = _json(f'"{name}"')
    return found if isinstance(found, str) else name
