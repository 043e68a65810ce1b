"""Takes records in: checks each, frees it of raw identifiers, and keeps what is good on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from relo_dsl.catalog import Catalog
from relo_dsl.engine.key import device_key
from relo_dsl.errors import UserError
from relo_dsl.records import RecordError, check_types, parse_record, tie_of
from relo_dsl.shapes import ShapedEvent
from relo_dsl.times import UNITS
from relo_server.ingest.amounts import Amounts
from relo_server.ingest.clearing import parse_any
from relo_server.ingest.payloads import Envelope, Refusal, pack, record_of, well_formed
from relo_server.ingest.protect import is_suspicious_name, protect, redact
from relo_server.ingest.recent import Recent
from relo_server.ingest.shaping import ShapesOf
from relo_server.spool import SpoolWriter

_DEVICES = 65_536
#: An event may be dated so long after it came in: clocks and time zones are wrong by a day at most,
#: and one of the year 2060 would be kept until then.
_AHEAD_MS = 2 * UNITS["d"]


class OtherClient(UserError):
    """A record names a client that is not the credential's."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Who sent some records, and when they came in (epoch milliseconds)."""

    client: int
    source: str
    received: int
    may_change: bool = False
    """Whether a consent record may say only what changes: `clear` and `grant`."""


@dataclass(frozen=True, slots=True)
class Unwanted:
    """A raw record that its way in may not bring, and why."""

    raw: Mapping[str, Any]
    error: RecordError


Raw = Mapping[str, Any] | Unwanted | RecordError | bytes
"""A record as it came: decoded, as JSON, or what is wrong with it."""


@dataclass(slots=True)
class Checked:
    """The records of a request: those to keep, those refused, and how many are there already."""

    sent: Sent
    records: list[dict[str, Any] | ShapedEvent] = field(default_factory=list)
    keys: set[int] = field(default_factory=set)
    mark: int = field(init=False)
    refused: list[Refusal] = field(default_factory=list)
    duplicate: int = 0

    def __post_init__(self) -> None:
        self.mark = Recent.mark(self.sent.client)

    def to_json(self) -> dict[str, Any]:
        """What the sender is answered."""
        return {
            "accepted": len(self.records),
            "duplicate": self.duplicate,
            "refused": [
                {"index": one.index, "reason": one.reason, "field": one.field, "value": one.value}
                for one in self.refused
            ],
        }

    @property
    def payload(self) -> bytes:
        """The records as the spool has them."""
        envelope = Envelope(
            self.sent.client, self.sent.source, self.sent.received, self.duplicate, self.refused
        )
        return pack(envelope, self.records)

    def split(self) -> tuple[Checked, Checked] | None:
        """What is no consent, and what is; None where nothing is."""
        told: list[dict[str, Any] | ShapedEvent] = []
        rest: list[dict[str, Any] | ShapedEvent] = []
        for one in self.records:
            (told if isinstance(one, dict) and one["t"] == "consent" else rest).append(one)
        if not told:
            return None
        first = replace(self, records=rest)
        return first, replace(self, records=told, refused=[], duplicate=0)


class Intake:
    """Checks records and keeps them. `catalog` gives the one that holds now, `key` is the
    installation's, `calling_code` that of phones which name none.
    """

    def __init__(
        self, spool: SpoolWriter, key: bytes, catalog: Callable[[], Catalog], *,
        recent: int = 1_000_000, calling_code: str | None = None, amounts: Amounts | None = None,
        kept: Callable[[], None] = lambda: None, consent: SpoolWriter | None = None,
    ) -> None:  # fmt: skip
        """`kept` is called whenever something is on disk. `amounts` adds to events; None: nothing
        is added. Consent is kept in `consent`, where that is another spool.
        """
        self._spool = spool
        self._consent = consent
        self._key = key
        self._catalog = catalog
        self._recent = Recent(recent)
        # Whoever is active sends many events: the keys of the last devices are at hand, in hex.
        self.device_key = lru_cache(maxsize=_DEVICES)(
            lambda client, device: device_key(key, client, device).hex()
        )
        self._shapes = ShapesOf(lambda name: not is_suspicious_name(name))
        self._calling_code = calling_code
        self._amounts = amounts
        self.kept = kept

    def check(self, sent: Sent, raws: Iterable[Raw], *, harmless: bool = False) -> Checked:
        """What is to be kept of a request; bytes are a record's JSON, an error stands for none.
        `harmless` says that `may_hide` is false of all of it. Raises OtherClient where a record
        names another one.
        """
        done, catalog = Checked(sent), self._catalog()
        read = self._shapes(catalog).read
        amounts = self._amounts_of(sent.client)
        for index, raw in enumerate(raws):
            if isinstance(raw, bytes):
                usual = amounts is None and (harmless or not may_hide(raw))
                event = read(raw) if usual else None
                if event is not None and event.ts <= sent.received + _AHEAD_MS:
                    if event.cid is not None:
                        self._require_client(sent, index, event.cid)
                    self._take(done, event)
                    continue
                raw = record_of(raw)
            if isinstance(raw, RecordError):
                done.refused.append(Refusal(index, raw.reason, raw.field))
                continue
            unwanted = None
            if isinstance(raw, Unwanted):
                unwanted, raw = raw.error, raw.raw
            self._require_client(sent, index, raw.get("cid"))
            try:
                clean = self._clean(raw)
            except RecordError as error:  # nested too deep to be told what is in it
                done.refused.append(Refusal(index, error.reason, error.field))
                continue
            try:
                if unwanted is not None:
                    raise unwanted
                self._check_one(done, clean, raw, catalog, amounts)
            except RecordError as error:
                done.refused.append(self._refusal(sent, index, error, clean, raw))
        return done

    def _take(self, done: Checked, event: ShapedEvent) -> None:
        if self._is_new(done, event.eid):
            event.did = self.device_key(done.sent.client, event.did)
            done.records.append(event)

    def _is_new(self, done: Checked, id: str) -> bool:
        """Whether no record with that id came lately; counts it otherwise."""
        key = tie_of(id) ^ done.mark
        if key in done.keys or key in self._recent:
            done.duplicate += 1
            return False
        done.keys.add(key)
        return True

    def _amounts_of(self, client: int) -> Amounts | None:
        """What adds amounts to the client's events, up to date; None where nothing is added."""
        if self._amounts is None or not self._amounts.wanted(client):
            return None
        self._amounts.refresh()
        return self._amounts

    def _check_one(
        self, done: Checked, clean: dict[str, Any], raw: Mapping[str, Any], catalog: Catalog,
        amounts: Amounts | None,
    ) -> None:  # fmt: skip
        sent = done.sent
        named = {**clean, "did": raw.get("did")} if "did" in raw else clean
        parse = parse_any if sent.may_change else parse_record
        record = parse(named, sent.client)
        # Consent without an id may be said again: see Storing.
        repeats = record.kind == "consent" and raw.get("eid") is None
        try:
            if record.time > sent.received + _AHEAD_MS:
                raise RecordError("the time is more than two days ahead", "ts", raw["ts"])
            check_types(record, catalog)
        except RecordError:
            clean["eid"] = record.id  # corrected and replayed, it is this event and no other
            raise
        if repeats or self._is_new(done, record.id):
            clean["did"] = self.device_key(sent.client, record.device)
            if not repeats:
                clean["eid"] = record.id
            if amounts is not None:
                amounts.add(clean, record)
            done.records.append(clean)

    def _clean(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The record without raw identifiers, and without its device: what stands for that is a key
        which only this installation can make.
        """
        rest = {name: value for name, value in raw.items() if name != "did"}
        return dict(protect(rest, self._key, self._calling_code))

    def _refusal(
        self, sent: Sent, index: int, error: RecordError, clean: dict[str, Any],
        raw: Mapping[str, Any],
    ) -> Refusal:  # fmt: skip
        device = raw.get("did")
        if isinstance(device, str | int) and not isinstance(device, bool) and device != "":
            text = str(device).encode("utf-8", "replace").decode()
            clean["did"] = self.device_key(sent.client, text)
        value = "" if error.field == "did" else redact(error.value, self._key)
        reason, field = well_formed(error.reason), well_formed(error.field)
        return Refusal(index, reason, field, well_formed(value), well_formed(clean))

    def _require_client(self, sent: Sent, index: int, named: object) -> None:
        if isinstance(named, int) and not isinstance(named, bool) and named != sent.client:
            raise OtherClient(
                f"record {index} is of client {named}, and this credential for {sent.client}",
                "leave `cid` out, or use a token of that client; nothing was taken",
            )

    def known(self, sent: Sent, records: Iterable[dict[str, Any]]) -> Checked:
        """The same for records of ours, of devices that are known by their keys.

        Raises RecordError for one that is none.
        """
        done, catalog = Checked(sent), self._catalog()
        for raw in records:
            record = self._clean(raw) | {"did": raw["did"]}
            check_types(parse_any(record, sent.client), catalog)
            done.records.append(record)
        return done

    def keep(self, checked: Checked) -> Future[None]:
        """Has the records on disk when the future is done. Raises SpoolError, and so may it."""
        parts = None if self._consent is None else checked.split()
        if parts is None or self._consent is None:
            future = self._spool.keep(checked.payload)
        else:
            events, consent = parts
            future = self._consent.keep(consent.payload)
            if events.records or events.refused or events.duplicate:
                future = _both(future, self._spool.keep(events.payload))
        future.add_done_callback(lambda done: self._remember(done, checked))
        return future

    def _remember(self, done: Future[None], checked: Checked) -> None:
        if done.exception() is None:
            self._recent.add(checked.keys)
            self.kept()


def _both(first: Future[None], second: Future[None]) -> Future[None]:
    """Done when both are; it fails as one of them does."""
    whole: Future[None] = Future()

    def after_second(done: Future[None]) -> None:
        error = done.exception() or first.exception()
        if error is None:
            whole.set_result(None)
        else:
            whole.set_exception(error)

    first.add_done_callback(lambda _: second.add_done_callback(after_second))
    return whole


def may_hide(data: bytes) -> bool:
    """Whether JSON has what an address or a phone in a text needs, or what could hide it: then its
    records are looked at closely.
    """
    return b"@" in data or b"+" in data or b"%" in data or b"\\" in data
