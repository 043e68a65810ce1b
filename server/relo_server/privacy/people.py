"""Which devices somebody's identifiers lead to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relo_dsl.engine import Engine, device_key
from relo_dsl.engine.key import DEVICE_IN_K
from relo_server.ingest.identifiers import (
    advertising_id,
    google_email,
    meta_phone,
    normal_email,
    normal_phone,
    sha256_hex,
    uid2_email,
)

#: Hashes in one statement: some drivers send them in a URL.
_TOGETHER = 50


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, by device ids, e-mails, phones and advertising ids, as they are. None of them is
    kept: they are hashed here, in the ways in which they may have been stored.
    """

    devices: Sequence[str] = ()
    emails: Sequence[str] = ()
    phones: Sequence[str] = ()
    advertising_ids: Sequence[str] = ()

    def hashes(self, calling_code: str | None = None) -> set[str]:
        """Every form in which an identifier may stand in a trait or a property."""
        found: set[str] = set()
        for email in self.emails:
            found |= {form(email) for form in (normal_email, google_email, uid2_email)}
        for phone in self.phones:
            found |= {normal_phone(phone, calling_code), meta_phone(phone, calling_code)}
        found |= {plain for one in self.advertising_ids if (plain := advertising_id(one))}
        return {sha256_hex(text) for text in found if text}

    def ids(self, calling_code: str | None = None) -> Iterator[str]:
        """What may have been somebody's device id: e-mails and phones are, where people log in."""
        yield from self.devices
        for email in self.emails:
            yield from {email, email.strip(), normal_email(email)}
        for phone in self.phones:
            yield from {phone, phone.strip(), normal_phone(phone, calling_code)} - {""}
        for one in self.advertising_ids:
            yield from {one, one.lower()}


def keys_of(
    engine: Engine, key: bytes, client: int, person: Person, calling_code: str | None = None
) -> list[bytes]:
    """The keys of a client's devices that are somebody's: by their ids, and by the hashes that
    stand in their traits and events.

    Devices of which nothing is stored are among them where they were named: their records may still
    be on their way.
    """
    found = {device_key(key, client, text) for text in person.ids(calling_code)}
    hashes = sorted(person.hashes(calling_code))
    for start in range(0, len(hashes), _TOGETHER):
        found |= _with_hashes(engine, client, hashes[start : start + _TOGETHER])
    return sorted(found)


def known_of(engine: Engine, client: int, keys: Sequence[bytes]) -> list[bytes]:
    """Those of the devices of which something is stored."""
    found: set[bytes] = set()
    for start in range(0, len(keys), _TOGETHER):
        own = {"c": client, "k": [key.hex() for key in keys[start : start + _TOGETHER]]}
        rows = engine.rows(
            " UNION DISTINCT ".join(
                f"SELECT DISTINCT lower(hex(device)) FROM {table} WHERE client_id = {{c:UInt32}} "  # noqa: S608 - our tables
                f"AND {DEVICE_IN_K}"
                for table in ("events", "traits", "scores", "consent")
            ),
            own,
        )
        found |= {bytes.fromhex(str(row[0])) for row in rows}
    return sorted(found)


def _with_hashes(engine: Engine, client: int, hashes: list[str]) -> set[bytes]:
    own = {"c": client, "h": hashes}
    columns = engine.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events' "
        "AND startsWith(name, 's_') AND position(name, 'sha256') > 0"
    )
    named = "".join(f" OR `{name}` IN {{h:Array(String)}}" for (name,) in columns)
    rows = engine.rows(
        "SELECT DISTINCT lower(hex(device)) FROM traits WHERE client_id = {c:UInt32} "  # noqa: S608 - names of our columns
        "AND (v_string IN {h:Array(String)} OR hasAny(v_strings, {h:Array(String)})) "
        "UNION DISTINCT SELECT DISTINCT lower(hex(device)) FROM events "
        f"WHERE client_id = {{c:UInt32}} AND (multiSearchAny(rest, {{h:Array(String)}}){named})",
        own,
    )
    return {bytes.fromhex(str(row[0])) for row in rows}
