"""Loading: what is stored equals what a slow model in Python says should be."""

from __future__ import annotations

import random
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest

from relo_dsl.catalog import Catalog, parse_catalog
from relo_dsl.engine import ClientRules, Engine, LoadReport, device_key, load_list, load_records
from relo_dsl.records import Record, RecordError, parse_record, tie_of
from relo_dsl.sql.query import SqlQuery

KEY = b"k" * 32
T = 1_790_000_000_000
RULES = ClientRules(default_flags=7, retain_months=600, extended_months=900)
CATALOG = parse_catalog(
    """
    events:
      purchase:
        properties:
          revenue: number
          currency: string
          due: time
          gift: boolean
          tags: string[]
          sizes: number[]
          products: {type: "object[]", fields: {id: string, price: number, at: time}}
      view: {properties: {url: string}}
    traits: {plan: string, birthday: time}
    """
)


def load(engine: Engine, client: int, raw: Iterable[dict[str, Any]], **more: Any) -> LoadReport:
    records = [parse_record(item, client) for item in raw]
    options = {"catalog": CATALOG, "key": KEY, "rules": {client: RULES}, **more}
    return load_records(engine, records, **options)


def column(engine: Engine, client: int, what: str, table: str = "events") -> list[Any]:
    query = f"SELECT {what} FROM {table} WHERE client_id = {{c:UInt32}} ORDER BY time, tie"
    return [row[0] if len(row) == 1 else row for row in engine.rows(query, {"c": client})]


def event(time: int, eid: str, did: str = "d", **more: Any) -> dict[str, Any]:
    return {"t": "purchase", "ts": time, "did": did, "eid": eid, **more}


def consent(time: int, eid: str, flags: int, did: str = "d") -> dict[str, Any]:
    return {"t": "consent", "ts": time, "did": did, "eid": eid, "consent": flags}


def test_properties_land_in_their_columns(engine: Engine, new_client: int) -> None:
    props = {
        "revenue": Decimal("-123456789012345.123456789"),
        "currency": "M\0X'N",
        "due": "2026-01-01T00:00:00.5Z",
        "gift": False,
        "tags": [],
        "sizes": [1, Decimal("2.5")],
        "products": [{"id": "x", "price": 1, "c": "red"}, {"id": "y", "at": 5}],
        "other": {"deep": [1, 2], "n": Decimal("1E+2")},
    }
    report = load(engine, new_client, [event(T, "1", props=props), event(T + 1, "2")])
    assert (report.accepted, report.duplicate, report.refused) == (2, 0, 0)
    full, empty = column(
        engine, new_client,
        "n_revenue, s_currency, toUnixTimestamp64Milli(t_due), b_gift, has_ss_tags, ss_tags, "
        "ns_sizes, has_o_products, os_products___id, on_products___price, "
        "arrayMap(x -> toUnixTimestamp64Milli(x), ot_products___at), rest, device, tie",
    )  # fmt: skip
    assert full == (
        Decimal("-123456789012345.123456789"), "M\0X'N", 1_767_225_600_500, False, 1, [],
        [Decimal(1), Decimal("2.5")], 1, ["x", "y"], [Decimal(1), None], [None, 5],
        '{"products":[{"c":"red"},{}],"other.deep":[1,2],"other.n":100}',
        device_key(KEY, new_client, "d"), tie_of("1"),
    )  # fmt: skip
    assert empty[:12] == (None, None, None, None, 0, [], [], 0, [], [], [], "")


def test_traits_scores_and_consent(engine: Engine, new_client: int) -> None:
    traits = {"plan": "x", "gone": None, "birthday": "2020-01-01", "n": 5, "b": True,
              "texts": ["a"], "numbers": [1]}  # fmt: skip
    load(
        engine, new_client,
        [
            {"t": "identify", "ts": T, "did": "d", "eid": "1", "traits": traits},
            {"t": "score", "ts": T, "did": "d", "eid": "2", "scores": {"churn": 1, "x": 2}},
            {"t": "score", "ts": T, "did": "d", "eid": "2", "scores": {"other": 1}},
            consent(T, "3", 5),
        ],
    )  # fmt: skip
    rows = engine.rows(
        "SELECT name, present, value, v_string, v_number, v_boolean, toString(v_time), v_strings, "
        "v_numbers, flags, carried FROM traits WHERE client_id = {c:UInt32} ORDER BY name",
        {"c": new_client},
    )
    none: tuple[Any, ...] = (None, None, None, None, [], [], 5, 0)
    assert rows == [
        ("", 0, "", *none),
        ("b", 1, "true", None, None, True, None, [], [], 5, 0),
        ("birthday", 1, '"2020-01-01"', None, None, None, "2020-01-01 00:00:00.0001", [], [], 5, 0),
        ("gone", 0, "", *none),
        ("n", 1, "5", None, Decimal(5), None, None, [], [], 5, 0),
        ("numbers", 1, "[1]", None, None, None, None, [], [Decimal(1)], 5, 0),
        ("plan", 1, '"x"', "x", None, None, None, [], [], 5, 0),
        ("texts", 1, '["a"]', None, None, None, None, ["a"], [], 5, 0),
    ]
    assert sorted(column(engine, new_client, "name, value, flags", "scores")) == [
        ("churn", Decimal(1), 5),
        ("x", Decimal(2), 5),
    ]
    assert column(engine, new_client, "flags", "consent") == [5]


def test_the_first_of_an_id_counts_across_kinds_and_loads(engine: Engine, new_client: int) -> None:
    first = [event(T, "a", did="one"), event(T + 5, "a", did="two"), event(T, "b")]
    assert load(engine, new_client, first).duplicate == 1
    second = [
        {"t": "identify", "ts": T, "did": "x", "eid": "a", "traits": {"plan": "p"}},
        consent(T, "b", 0),
        {"t": "score", "ts": T, "did": "x", "eid": "a", "scores": {"s": 1}},
        event(T, "c"),
        consent(T, "c", 0),
    ]
    report = load(engine, new_client, second)
    assert (report.accepted, report.duplicate) == (1, 4)
    assert report.kinds == {"events": 1, "traits": 0, "scores": 0, "consent": 0}
    assert load(engine, new_client, first + second).accepted == 0
    assert column(engine, new_client, "name", "traits") == []
    keys = column(engine, new_client, "device")
    assert sorted(keys) == sorted(device_key(KEY, new_client, did) for did in ("one", "d", "d"))


def test_the_same_id_of_another_client_is_another(engine: Engine, new_client: int) -> None:
    raw = [event(T, "a", cid=new_client), event(T, "a", cid=new_client + 500_000)]
    assert load(engine, new_client, raw).accepted == 2


def test_refused_records_are_told_and_free_their_id(engine: Engine, new_client: int) -> None:
    told: list[tuple[Record, RecordError]] = []
    raw = [event(T, "a", props={"revenue": "1"}), event(T, "a", props={"revenue": 1})]
    report = load(engine, new_client, raw, refused=lambda r, e: told.append((r, e)))
    assert (report.accepted, report.duplicate, report.refused) == (1, 0, 1)
    assert [(record.id, error.field) for record, error in told] == [("a", "props.revenue")]


def test_a_property_that_comes_with_the_catalog_later(engine: Engine, new_client: int) -> None:
    name = f"p{new_client}"
    values: list[Any] = ["x", 5, Decimal("0.000000001"), True, "2026-01-01T00:00:00-06:00",
                         "2026-01-01", T, ["a", "b"], [], [1, Decimal("2.5")], [1, "a"],
                         [{"id": "i", "n": 2}, {"n": "x"}], "2026"]  # fmt: skip
    raw = [event(T + i, str(i), props={name: value}) for i, value in enumerate(values)]
    load(engine, new_client, [*raw, event(T + len(values), "none")])
    kinds = ["string", "number", "boolean", "time", "string[]", "number[]"]
    lines = "".join(f"  e{i}: {{properties: {{{name}: '{k}'}}}}\n" for i, k in enumerate(kinds))
    lines += f"  e9: {{properties: {{{name}: {{type: 'object[]', fields: {{id: string}}}}}}}}\n"
    wider = parse_catalog("events:\n" + lines)
    load(engine, new_client, [], catalog=wider)

    def present(what: str, test: str) -> dict[int, Any]:
        found = column(engine, new_client, f"toUInt64(tie), {what}, {test}")
        names = {tie_of(str(i)): i for i in range(len(values))}
        return {names[tie]: value for tie, value, there in found if there and tie in names}

    def scalar(column_name: str, shown: str = "") -> dict[int, Any]:
        return present(shown or column_name, f"{column_name} IS NOT NULL")

    assert scalar(f"s_{name}") == {0: "x", 4: values[4], 5: "2026-01-01", 12: "2026"}
    assert scalar(f"n_{name}") == {1: Decimal(5), 2: Decimal("0.000000001"), 6: Decimal(T)}
    assert scalar(f"b_{name}") == {3: True}
    times = scalar(f"t_{name}", f"toUnixTimestamp64Milli(t_{name})")
    assert times == {1: 5, 4: 1_767_247_200_000, 5: 1_767_225_600_000, 6: T}
    assert present(f"ss_{name}", f"has_ss_{name}") == {7: ["a", "b"], 8: []}
    assert present(f"ns_{name}", f"has_ns_{name}") == {8: [], 9: [Decimal(1), Decimal("2.5")]}
    assert present(f"os_{name}___id", f"has_o_{name}") == {8: [], 11: ["i", None]}


def test_a_field_that_comes_later_keeps_arrays_of_one_length(
    engine: Engine, new_client: int
) -> None:
    name = f"o{new_client}"

    def catalog(*fields: str) -> Catalog:
        listed = ", ".join(f"{field}: string" for field in fields)
        return parse_catalog(
            f"events: {{purchase: {{properties: {{{name}: {{type: 'object[]', "
            f"fields: {{{listed}}}}}}}}}}}"
        )

    first = [event(T, "1", props={name: [{"a": "1"}, {"a": "2"}]}),
             event(T + 1, "2", props={name: [{"a": "1", "b": "x"}, {"a": "2"}]})]  # fmt: skip
    load(engine, new_client, first, catalog=catalog("a"))
    load(engine, new_client + 400_000, [], catalog=catalog("b"))
    third = [event(T + 2, "3", props={name: [{"a": "1"}]})]
    load(engine, new_client, third, catalog=catalog("a"))
    rows = column(engine, new_client, f"os_{name}___a, os_{name}___b, len_o_{name}")
    assert rows == [
        (["1", "2"], [None, None], 2),
        (["1", "2"], ["x", None], 2),
        (["1"], [None], 1),
    ]


def test_carried_flags_stay_and_others_follow_consent(engine: Engine, new_client: int) -> None:
    load(
        engine, new_client,
        [
            event(T - 1, "1"), event(T, "2"), event(T + 9, "3"), event(T + 10, "4"),
            event(T + 10, "5", flags=77), event(T + 10, "6", did="other"),
            consent(T + 10, "c3", 0b111100), consent(T, "c1", 0b1110), consent(T, "c2", 0b0111),
            consent(T + 10, "c4", 0b001111),
        ],
    )  # fmt: skip
    flags = dict(zip(*zip(*column(engine, new_client, "toUInt64(tie), flags"), strict=True),
                     strict=True))  # fmt: skip
    expected = {"1": 7, "2": 0b0110, "3": 0b0110, "4": 0b1100, "5": 77, "6": 7}
    assert {eid: flags[tie_of(eid)] for eid in expected} == expected


def test_only_an_explicit_grant_lengthens_retention(engine: Engine, new_client: int) -> None:
    everything = ClientRules(default_flags=255, retain_months=600, extended_months=900)
    load(
        engine, new_client,
        [event(T, "1", flags=255), event(T + 1, "2"), consent(T + 2, "c", 64),
         event(T + 2, "3", flags=0), event(T + 3, "4"), consent(T + 4, "e", 255 - 64),
         event(T + 4, "5")],
        rules={new_client: everything},
    )  # fmt: skip
    assert column(engine, new_client, "retain_months") == [600, 600, 900, 900, 600]


def test_a_short_retention_is_dropped_from_disk(engine: Engine, new_client: int) -> None:
    rules = {new_client: ClientRules(retain_months=1, extended_months=900)}
    old = T - 400 * 86_400_000
    raw = [
        event(old, "1"),
        consent(old + 1, "c", 64),
        event(old + 1, "2"),
        {"t": "identify", "ts": old, "did": "d", "eid": "3", "traits": {"plan": "x"}},
    ]
    load(engine, new_client, raw, rules=rules)
    for table in ("events", "traits"):
        engine.command(f"OPTIMIZE TABLE {table} FINAL")
    assert column(engine, new_client, "toUInt64(tie)") == [tie_of("2")]
    kept = column(engine, new_client, "toUInt64(tie)", "traits")
    assert set(kept) == {tie_of("3")}  # an identify is no event


class Model:
    """What should be stored, worked out one record at a time."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.events: dict[str, Record] = {}
        self.consents: list[Record] = []

    def add(self, record: Record) -> None:
        if record.id in self.ids:
            return
        self.ids.add(record.id)
        if record.kind == "consent":
            self.consents.append(record)
        else:
            self.events[record.id] = record

    def stamp(self, record: Record) -> tuple[int, int]:
        known = [c for c in self.consents if c.device == record.device and c.time <= record.time]
        latest = max((c.time for c in known), default=None)
        flags = 255
        for item in known:
            if item.time == latest and item.consent is not None:
                flags &= item.consent
        retained = 900 if known and flags & 64 else 600
        implied = flags if known else RULES.default_flags
        return (implied if record.flags is None else record.flags), retained


@pytest.mark.parametrize("seed", range(3))
def test_random_histories_in_random_pieces(engine: Engine, new_client: int, seed: int) -> None:
    """Late consent, equal instants, duplicates within and across loads, carried flags."""
    source = random.Random(seed)
    raw: list[dict[str, Any]] = []
    for _ in range(160):
        base = {"ts": T + source.randrange(12), "did": f"d{source.randrange(6)}",
                "eid": f"e{source.randrange(120)}"}  # fmt: skip
        kind = source.choice(["purchase", "purchase", "identify", "score", "consent"])
        if kind == "consent":
            raw.append({**base, "t": kind, "consent": source.randrange(256)})
            continue
        values: dict[str, Any] = {
            "identify": {"traits": {"plan": "x"}},
            "score": {"scores": {"s": 1}},
        }
        carried = {"flags": source.randrange(256)} if source.random() < 0.3 else {}
        raw.append({**base, "t": kind, **values.get(kind, {}), **carried})
    model = Model()
    accepted = 0
    while raw:
        size = source.choice([1, 10, 40])
        piece, raw = raw[:size], raw[size:]
        for item in piece:
            model.add(parse_record(item, new_client))
        accepted += load(engine, new_client, piece).accepted
    assert accepted == len(model.ids)
    stored: dict[int, Any] = {}
    for table in ("events", "traits", "scores"):
        retained = "retain_months" if table == "events" else "0"
        for tie, flags, months in column(
            engine, new_client, f"toUInt64(tie), flags, {retained}", table
        ):
            stored[tie] = (flags, months)
    expected = {}
    for eid, record in model.events.items():
        flags, months = model.stamp(record)
        expected[tie_of(eid)] = (flags, months if record.kind == "event" else 0)
    assert stored == expected


def members(engine: Engine, client: int, name: str) -> set[bytes]:
    """As a query reads a list."""
    query = (
        "SELECT device FROM lists WHERE client_id = {c:UInt32} AND name = {n:String} "
        "AND version = (SELECT max(version) FROM lists "
        "WHERE client_id = {c:UInt32} AND name = {n:String}) AND device != toFixedString('', 16)"
    )
    found = engine.query(SqlQuery(query, {"c": client, "n": name})).rows
    return {row[0] for row in found}


def test_a_list_is_replaced_whole(engine: Engine, new_client: int) -> None:
    assert load_list(engine, new_client, "vip", ["a", "b", "a"], key=KEY) == 2
    assert load_list(engine, new_client, "other one", ["z"], key=KEY) == 1
    keys = {device_key(KEY, new_client, did) for did in ("a", "b")}
    assert members(engine, new_client, "vip") == keys
    load_list(engine, new_client, "vip", ["c"], key=KEY)
    assert members(engine, new_client, "vip") == {device_key(KEY, new_client, "c")}
    load_list(engine, new_client, "vip", [], key=KEY)
    assert members(engine, new_client, "vip") == set()
    kept = engine.rows(
        "SELECT uniqExact(version) FROM lists WHERE client_id = {c:UInt32} AND name = 'vip'",
        {"c": new_client},
    )
    assert kept == [(2,)]
    assert members(engine, new_client, "other one") == {device_key(KEY, new_client, "z")}


def erase(engine: Engine, client: int, *devices: str) -> None:
    """As an erasure does: first the ledger, then the rows."""
    for device in devices:
        own = {"c": client, "k": device_key(KEY, client, device).hex()}
        engine.command(
            "INSERT INTO erasures (client_id, device, at) "
            "SELECT {c:UInt32}, unhex({k:String}), now64(3, 'UTC')",
            own,
        )
        engine.delete("lists", "client_id = {c:UInt32} AND device = unhex({k:String})", own)


def test_the_erased_are_on_no_list(engine: Engine, new_client: int) -> None:
    erase(engine, new_client, "a")
    erase(engine, new_client + 500_000, "b")
    assert load_list(engine, new_client, "vip", ["a", "b", "a"], key=KEY) == 1
    assert members(engine, new_client, "vip") == {device_key(KEY, new_client, "b")}
    assert load_list(engine, new_client, "vip", ["a"], key=KEY) == 0


def test_who_is_erased_while_a_list_is_stored(
    engine: Engine, new_client: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = engine.insert_arrow

    def late(*args: Any, **more: Any) -> None:
        erase(engine, new_client, "a")  # it finds nothing to delete yet
        insert(*args, **more)

    monkeypatch.setattr(engine, "insert_arrow", late)
    assert load_list(engine, new_client, "vip", ["a", "b"], key=KEY) == 1
    assert members(engine, new_client, "vip") == {device_key(KEY, new_client, "b")}
