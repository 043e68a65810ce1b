"""Which devices somebody's identifiers lead to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from relo_dsl.engine import Engine, device_key
from relo_dsl.engine.key import DEVICE_IN_K
from relo_server.ingest.identifiers import (
    advertising_id,
    google_email,
    normal_email,
    normal_phone,
    sha256_hex,
    uid2_email,
)
from relo_server.ingest.protect import redact

#: Hashes in one statement: some drivers send them in a URL.
_TOGETHER = 50
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, by device ids, e-mails, phones and advertising ids, as they are. None of them is
    kept: they are hashed here, in the ways in which they may have been stored.
    """

    devices: Sequence[str] = ()
    emails: Sequence[str] = ()
    phones: Sequence[str] = ()
    advertising_ids: Sequence[str] = ()

    def hashes(self, key: bytes, calling_code: str | None = None) -> list[str]:
        """Every form in which an identifier may stand in a trait, a property or a refused record:
        by itself as a SHA-256, and in a text as what `redact` makes of it with the key.
        """
        emails = [normal_email(email) for email in self.emails]
        phones = [normal_phone(phone, calling_code) for phone in self.phones]
        found = {*emails, *phones, *(phone[1:] for phone in phones)}
        found |= {form(email) for form in (google_email, uid2_email) for email in emails}
        found |= {plain for one in self.advertising_ids if (plain := advertising_id(one))}
        texts = {*emails, *phones, *(quote(email, safe="") for email in emails)}
        inside = {text: redact(text, key) for text in texts}
        return sorted(
            {sha256_hex(text) for text in found if text}
            | {token for text, token in inside.items() if token != text}
        )

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
    stand in their traits, events and refused records.

    Devices of which nothing is stored are among them where they were named: their records may still
    be on their way.
    """
    found = {device_key(key, client, text) for text in person.ids(calling_code)}
    for own in with_hashes(client, person.hashes(key, calling_code)):
        found |= _with_hashes(engine, own)
    return sorted(found)


def with_hashes(client: int, hashes: Sequence[str]) -> Iterator[dict[str, object]]:
    """The parameters of statements that look for hashes of a client: a few hashes in each."""
    for start in range(0, len(hashes), _TOGETHER):
        yield {"c": client, "h": list(hashes[start : start + _TOGETHER])}


def holds(text: str) -> str:
    """SQL: one of the hashes in `h` stands in a text. Senders write hashes in capitals, too."""
    return f"multiSearchAnyCaseInsensitive({text}, {{h:Array(String)}})"


#: SQL: a letter has one of the hashes in `h`, wherever.
IN_LETTER = holds("concatWithSeparator(' ', record, value, field, reason)")


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


def _with_hashes(engine: Engine, own: dict[str, object]) -> set[bytes]:
    columns = engine.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events' "
        "AND match(name, '^(s|ss|os)_')"
    )
    tests = [holds("rest"), holds("event_type"), *(_in_column(str(name)) for (name,) in columns)]
    rows = engine.rows(
        "SELECT DISTINCT lower(hex(device)) FROM traits WHERE client_id = {c:UInt32} "  # noqa: S608 - names of our columns
        f"AND ({holds('name')} OR {holds('value')}) "
        "UNION DISTINCT SELECT DISTINCT lower(hex(device)) FROM scores "
        f"WHERE client_id = {{c:UInt32}} AND {holds('name')} "
        "UNION DISTINCT SELECT DISTINCT lower(hex(device)) FROM events "
        f"WHERE client_id = {{c:UInt32}} AND ({' OR '.join(tests)}) "
        "UNION DISTINCT SELECT DISTINCT JSONExtractString(record, 'did') FROM dead_letters "
        f"WHERE client_id = {{c:UInt32}} AND {IN_LETTER}",
        own,
    )
    # A letter need not name a device.
    return {bytes.fromhex(key) for (key,) in rows if _KEY.fullmatch(key)}


def _in_column(name: str) -> str:
    """The same of a column of texts, or of lists of texts: any may hold what somebody wrote."""
    if name.startswith("s_"):
        return holds(f"ifNull(`{name}`, '')")
    one = holds("ifNull(x, '')")
    return f"arrayExists(x -> {one}, `{name}`)"
