"""AppsFlyer's Push API: who signed a message, and the record that it is. No I/O.

Fields are those of Push API V2.0 (support.appsflyer.com, article 207034356): times are UTC,
`yyyy-mm-dd hh:mm:ss.sss`; `conversion_type` tells installs from re-engagements.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from relo_dsl.errors import UserError
from relo_dsl.records import RecordError
from relo_dsl.times import TimeError, parse_instant
from relo_server.ingest.identifiers import advertising_id, sha256_hex
from relo_server.ingest.payloads import decode

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


def record_of(message: Mapping[str, Any], now: int, window: int) -> dict[str, Any] | RecordError:
    """The record that a message is; an error where it cannot be one, or is older than `window`.

    The same message is the same record, whenever and however it comes.
    """
    told = message.get("event_time")
    try:
        time = parse_instant(str(told))
    except TimeError:
        return RecordError("expected a time as AppsFlyer writes it", "event_time", told)
    if time < now - window:
        return RecordError("the message is older than the replay window", "event_time", told)
    device = _device(message)
    if device is None:
        return RecordError("the message names no device", "appsflyer_id")
    name = _name(message)
    id_ = [
        message["app_id"], message.get("appsflyer_id"), name, time // 1000,
        message.get("event_value"),
    ]  # fmt: skip
    digest = hashlib.sha256(msgspec.json.encode(id_)).hexdigest()
    return {
        "t": name, "ts": min(time, now), "did": device, "eid": f"af/{digest[:40]}",
        "props": _props(message),
    }  # fmt: skip


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
    return value if isinstance(value, str) and value else None


def _props(message: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    value = message.get("event_value")
    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            value = decode(value.encode())
        except msgspec.DecodeError:
            value = None
    if isinstance(value, Mapping):
        found |= value
    for field, name in _KEPT.items():
        if message.get(field) not in (None, ""):
            found[name] = message[field]
    revenue = message.get("event_revenue")
    if isinstance(revenue, str):
        try:
            revenue = decode(revenue.encode())
        except msgspec.DecodeError:
            revenue = None
    if revenue is not None and not isinstance(revenue, bool):
        found["revenue"] = revenue
    if isinstance(message.get("customer_user_id"), str) and message["customer_user_id"]:
        found["customer_user_id_sha256"] = sha256_hex(message["customer_user_id"])
    return found
