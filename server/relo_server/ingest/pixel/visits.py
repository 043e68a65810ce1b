"""What a page sends, as records: of a source without a credential, which may not say everything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from relo_dsl.errors import UserError
from relo_dsl.records import RecordError
from relo_dsl.times import UNITS
from relo_server.ingest.agents import Agent
from relo_server.ingest.clearing import GRANT, is_partial
from relo_server.ingest.intake import Unwanted
from relo_server.ingest.payloads import decode, record_of
from relo_server.ingest.places import Place

#: What dead letters call where these records came from.
SOURCE = "pixel"
MOST_EVENTS = 100
MOST_BYTES = 256 * 2**10
#: What Global Privacy Control and "do not sell" withdraw: export to ad platforms.
ADS = 4


class OtherOrigin(UserError):
    """A page that may not send for this client."""


class Visit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request: client, device, events, and what proves the device."""

    c: int
    d: str
    e: list[dict[str, Any]]
    s: str = ""


def visit_of(body: bytes) -> Visit:
    """What a page sent. Raises UserError for anything else."""
    try:
        raw = record_of(body)  # an event with half a surrogate pair is refused by itself
        if isinstance(raw, RecordError):
            raise msgspec.DecodeError(raw.reason)
        found = msgspec.convert(raw, Visit)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UserError(f"this is not what the pixel sends: {error}", "use `r.js`") from error
    if not 0 <= found.c < 2**32 or not 0 < len(found.d) <= 200 or len(found.e) > MOST_EVENTS:
        raise UserError(
            "this is not what the pixel sends: client, device or number of events", "use `r.js`"
        )
    return found


def client_of(body: bytes) -> int:
    """The client that a page without a device names. Raises UserError for anything else."""
    try:
        found = decode(body)
    except (msgspec.DecodeError, RecursionError):
        found = None
    client = found.get("c") if isinstance(found, dict) else None
    if isinstance(client, bool) or not isinstance(client, int) or not 0 <= client < 2**32:
        raise UserError("this is not what the pixel sends: no client", "use `r.js`")
    return client


def require_origin(client: int, origin: str | None, allowed: Mapping[str, Collection[str]]) -> None:
    """Raises OtherOrigin where pages of that origin may not send for the client."""
    if origin is None or origin not in allowed.get(str(client), ()):
        raise OtherOrigin(
            f"pages of `{origin or 'no origin'}` may not send for client {client}",
            f'`[ingest.origins]` in relo.toml lists them: `{client} = ["https://shop.example"]`',
        )


def records(
    visit: Visit, now: int, agent: Agent, place: Place, *, key: str, gpc: bool, proven: bool
) -> list[dict[str, Any] | Unwanted]:
    """The events as raw records, of which a page may not send some.

    Consent is `{"t": "consent", "clear": BITS, "grant": BITS}`; only a device that is `proven` can
    grant. `gpc` withdraws ads, once a day; `key` stands for the device where its id must not.
    """
    found = [_record(raw, visit.d, now, agent, place, proven) for raw in visit.e]
    if gpc:
        day = now // UNITS["d"]
        eid = f"gpc/{key}/{day}"
        found.append({"t": "consent", "clear": ADS, "ts": now, "did": visit.d, "eid": eid})
    return found


def refusal(raw: Mapping[str, Any], *, proven: bool) -> RecordError | None:
    """Why a page may not send a raw record; None: it may."""
    if raw.get("t") in ("identify", "score"):
        return RecordError("a page may not send this", "t", raw["t"])
    # They would stand in place of the visitor's consent.
    if "flags" in raw:
        return RecordError("a page does not say what its events may be used for", "flags")
    if raw.get("t") == "consent" and not is_partial(raw):
        return RecordError("a page says only what changes: `clear` or `grant`", "consent")
    if raw.get("t") == "consent" and GRANT in raw and not proven:
        return RecordError("nothing proves the device, so it may only withdraw: `clear`", GRANT)
    return None


def _record(
    raw: dict[str, Any], device: str, now: int, agent: Agent, place: Place, proven: bool
) -> dict[str, Any] | Unwanted:
    error = refusal(raw, proven=proven)
    if error is not None:
        return Unwanted({**raw, "did": device}, error)
    time = raw.get("ts")
    # A clock that is fast must not put an event where nobody looks yet.
    if isinstance(time, int) and time > now:
        raw = {**raw, "ts": now}
    if raw.get("t") == "page" and isinstance(raw.get("props"), dict):
        about = {
            "country": place.country, "city": place.city, "device": agent.device,
            "browser": agent.browser, "system": agent.system,
        }  # fmt: skip
        known = {name: value for name, value in about.items() if value is not None}
        raw = {**raw, "props": {**raw["props"], **known}}
    return {**raw, "did": device}
