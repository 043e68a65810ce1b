"""Consent that is changed in part, in whatever order its records arrive."""

from __future__ import annotations

import functools
import operator
import random
from dataclasses import replace
from itertools import groupby

import pytest

from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import ClientRules, Engine, load_records
from relo_dsl.records import Record, parse_record

T = 1_790_000_000_000
CATALOG = parse_catalog("events: {view: {}}")


def naive(records: list[Record], default: int) -> dict[int, int]:
    """The consent of a device at each instant of its records, one step after the other."""
    found, flags = {}, default
    for time, group in groupby(sorted(records, key=lambda one: one.time), lambda one: one.time):
        here = list(group)
        said = [one.consent for one in here if one.consent is not None]
        for one in here:
            flags |= one.granted
        if said:
            flags = functools.reduce(operator.and_, said)
        for one in here:
            flags &= ~one.cleared
        found[time] = flags
    return found


def drawn(source: random.Random, client: int, number: int) -> Record:
    raw = {"t": "consent", "ts": T + source.randrange(8), "did": source.choice("ab"),
           "eid": f"e{source.randrange(number)}", "consent": source.randrange(256)}  # fmt: skip
    one = parse_record(raw, client)
    if source.random() < 0.4:
        return one
    cleared = source.randrange(1, 256)
    if source.random() < 0.3:
        cleared = 0
    granted = source.randrange(1, 256) & ~cleared if source.random() < 0.5 or not cleared else 0
    return replace(one, consent=None, cleared=cleared or int(not granted), granted=granted)


@pytest.mark.parametrize("seed", range(12))
def test_the_order_of_arrival_changes_nothing(engine: Engine, new_client: int, seed: int) -> None:
    source = random.Random(seed)
    default = source.choice([0, 255, 0b101])
    records = [drawn(source, new_client, 30) for _ in range(20)]
    views = [
        parse_record({"t": "view", "ts": T + n, "did": did, "eid": f"v{did}{n}"}, new_client)
        for n in range(-1, 9)
        for did in "ab"
    ]
    coming = records + views
    source.shuffle(coming)
    accepted = list({one.id: one for one in reversed(coming)}.values())
    while coming:
        size = source.randrange(1, 9)
        some, coming = coming[:size], coming[size:]
        load_records(
            engine, some, catalog=CATALOG, key=b"", rules={new_client: ClientRules(default)},
            device_of=lambda _, name: name.encode() * 16,
        )  # fmt: skip
    for did in "ab":
        own = {"c": new_client, "d": (did.encode() * 16).hex()}
        mine = "client_id = {c:UInt32} AND device = unhex({d:String})"
        expected = naive([a for a in accepted if a.kind == "consent" and a.device == did], default)
        stored = engine.rows(
            f"SELECT toUnixTimestamp64Milli(time) AS t, groupBitAnd(flags) FROM consent "
            f"WHERE {mine} GROUP BY t ORDER BY t",
            own,
        )
        assert dict(stored) == expected
        events = engine.rows(
            f"SELECT toUnixTimestamp64Milli(time), flags FROM events WHERE {mine}", own
        )
        assert len(events) == 10
        for time, flags in events:
            before = [at for at in expected if at <= time]
            assert flags == (expected[max(before)] if before else default)


def test_a_copy_changes_nothing(engine: Engine, new_client: int) -> None:
    def load(*some: Record) -> None:
        load_records(engine, some, catalog=CATALOG, key=b"", device_of=lambda *_: b"d" * 16)

    def said(time: int, eid: str, flags: int) -> Record:
        raw = {"t": "consent", "ts": T + time, "did": "d", "eid": eid, "consent": flags}
        return parse_record(raw, new_client)

    load(said(0, "a", 255), said(1, "b", 0))
    load(said(2, "a", 255), replace(said(3, "c", 0), consent=None, cleared=4))
    rows = engine.rows(
        "SELECT flags FROM consent WHERE client_id = {c:UInt32} ORDER BY time", {"c": new_client}
    )
    assert rows == [(255,), (0,), (0,)]
