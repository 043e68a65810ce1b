"""load, list and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from relo_dsl.engine import Engine, device_key, installation_key
from relo_dsl.settings import Settings
from relo_server.loading import exact_json
from tests.cli.conftest import AT, Project, masked, purchase

MIXED = """\
{"t":"purchase","ts":"2026-06-01T10:00:00Z","did":"ana","props":{"revenue":120.50,"coupon":"X"}}
{"t":"purchase","ts":"2026-06-01T10:00:00Z","did":"beto","props":{"revenue":"120"}}
{"t":"identify","ts":"2026-06-01T10:00:00Z","did":"ana","traits":{"plan":"free"}}
{"t":"consent","ts":"2026-06-02T10:00:00Z","did":"beto","consent":251}
{"t":"purchase","ts":"2026-06-01T10:00:00Z","did":"ana","props":{"revenue":120.50,"coupon":"X"}}
{nonsense

{"t":"purchase","ts":"yesterday","did":"ana"}
{"t":"purchase","ts":"2026-06-01","did":"ana","props":{"revenue":0.1234567891}}
"""


def test_counts_reasons_and_lines(store: Project, snapshot: SnapshotAssertion) -> None:
    store.write("events.jsonl", MIXED)
    result = store.ok("load", "events.jsonl", "--refused", "refused.jsonl")
    assert masked(result.stdout) == snapshot
    assert result.stderr == snapshot


def test_nothing_refused_is_lost(store: Project) -> None:
    store.write("events.jsonl", MIXED)
    found = store.json("load", "events.jsonl", "--refused", "refused.jsonl")
    assert (found["accepted"], found["duplicate"], found["refused"]) == (3, 1, 4)
    lines = (store.folder / "refused.jsonl").read_text().splitlines()
    refused = [json.loads(line) for line in lines]
    assert [(item["line"], item["field"]) for item in refused] == [
        (2, "props.revenue"), (6, None), (8, "ts"), (9, "props.revenue"),
    ]  # fmt: skip
    assert refused[1]["source"] == ["{nonsense"]
    assert '"revenue":0.1234567891}' in lines[3]  # as it was written
    # Put right, they can be loaded; what was there already is a duplicate.
    store.write("again.jsonl", MIXED.replace('"120"', "120"))
    again = store.json("load", "again.jsonl")
    assert (again["accepted"], again["duplicate"], again["refused"]) == (1, 4, 3)


def test_the_first_ten_are_shown(store: Project) -> None:
    line = '{"t":"purchase","did":"ana"}\n'
    store.write("events.jsonl", line * 25 + '{"t":"refund","ts":0,"did":"ana"}\n')
    result = store.ok("load", "events.jsonl")
    assert result.stderr.count("events.jsonl:") == 10
    assert "        25  ts: expected epoch milliseconds or RFC 3339" in result.stderr
    assert "`--refused FILE` keeps all of them" in result.stderr


def test_nothing_that_can_be_used_is_status_2(store: Project) -> None:
    store.write("events.jsonl", "{nonsense\n")
    assert store.run("load", "events.jsonl").exit_code == 2
    assert store.run("load", "nowhere.jsonl").exit_code == 2
    store.write("events.txt", "x")
    result = store.run("load", "events.txt")
    assert result.exit_code == 2
    assert "its name must end in" in result.stderr
    store.write("empty.jsonl", "")
    assert store.json("load", "empty.jsonl")["accepted"] == 0


def test_records_without_a_client_need_one(store: Project) -> None:
    store.write("events.jsonl", json.dumps(purchase("ana", ts=0)))
    store.write("relo.toml", "")
    result = store.run("load", "events.jsonl")
    assert result.exit_code == 2
    assert "cid: no client" in result.stderr
    store.ok("load", "events.jsonl", "--client", store.client)


def test_what_the_store_will_drop_is_said(store: Project) -> None:
    told = {"t": "identify", "ts": "1920-01-01", "did": "ana", "traits": {"plan": "free"}}
    lines = (purchase("ana", ts="1920-01-01"), told)  # a trait does not grow old
    store.write("old.jsonl", "\n".join(map(json.dumps, lines)))
    result = store.ok("load", "old.jsonl")
    assert "expired               1   older than the retention" in result.stdout


def test_other_formats(store: Project) -> None:
    store.write("a.csv", "t,ts,did,props.revenue\npurchase,2026-06-01T10:00:00Z,ana,12.5\n")
    store.write("b.csv", "t,ts,did,props.revenue\npurchase,2026-06-01T11:00:00Z,ana\n")
    found = store.json("load", "a.csv", "b.csv")
    assert (found["accepted"], found["refused"]) == (1, 1)
    assert found["first"][0]["reason"] == "expected 4 cells, as in the first line"


# ---- mappings ----------------------------------------------------------------------------------

INVOICES = """\
Invoice,Item,Count,Price,When,Customer
1,mug,2,2.50,1/6/2026 10:30,17850
1,cup,1,1.25,1/6/2026 10:30,17850
2,mug,1,2.50,2/6/2026 10:30,
C3,mug,-1,2.50,3/6/2026 10:30,17850
1,tea,1,3.00,1/6/2026 10:30,17850
1,tea,1,3.00,1/6/2026 10:30,17850
"""
MAPPING = """\
group_by: [Invoice]
drop_repeated_rows: true
records:
  - when: {Invoice: {starts_with: C}}
    t: {value: refund}
    ts: &when {column: When, format: "%d/%m/%Y %H:%M", zone: Europe/London}
    did: Customer
    eid: Invoice
    props:
      amount: {sum: Count * Price, negate: true}
  - t: {value: purchase}
    ts: *when
    did: Customer
    eid: Invoice
    props:
      revenue: {sum: Count * Price}
      products: {rows: {id: Item, price: {column: Price, type: number}, quantity: Count}}
"""


def test_foreign_rows_become_events(store: Project) -> None:
    store.write("invoices.csv", INVOICES)
    store.write("map.yaml", MAPPING)
    found = store.json("load", "invoices.csv", "--mapping", "map.yaml", "--refused", "r.jsonl")
    assert (found["accepted"], found["refused"], found["repeated_rows"]) == (2, 1, 1)
    assert found["reasons"] == [
        {"reason": "did: the column `Customer` is empty", "records": 1, "rows": 1}
    ]
    assert json.loads((store.folder / "r.jsonl").read_text())["source"][0]["Invoice"] == "2"
    catalog = store.folder / "segments/catalog.yaml"
    catalog.write_text(catalog.read_text().replace(
        "traits:", "  refund: {properties: {amount: number}}\n\ntraits:"))  # fmt: skip
    store.seg("m", """
        audience teatime match purchase[revenue = 9.25 and any products[id = "cup" and price < 2]]
        audience refunded match refund[amount = 2.5] on 2026-06-03
    """)  # fmt: skip
    store.ok("build", "teatime", "refunded", "--at", AT)
    assert store.json("has", "teatime", "17850")["devices"][0]["member"]
    assert store.json("has", "refunded", "17850")["devices"][0]["member"]


def test_a_mapping_and_a_table_that_do_not_fit(store: Project) -> None:
    store.write("invoices.csv", INVOICES)
    store.write("map.yaml", MAPPING.replace("did: Customer", "did: Custmer"))
    result = store.run("load", "invoices.csv", "--mapping", "map.yaml")
    assert result.exit_code == 2
    assert "no column `Custmer`; is it `Customer`?" in result.stderr
    store.write("map.yaml", MAPPING.replace("group_by: [Invoice]\n", "grup_by: [Invoice]\n"))
    result = store.run("load", "invoices.csv", "--mapping", "map.yaml")
    assert result.exit_code == 2
    assert "grup_by: unknown key; did you mean `group_by`?" in result.stderr


# ---- lists and keys ----------------------------------------------------------------------------


def test_a_list_is_uploaded_and_used(store: Project) -> None:
    store.load(purchase("ana"), purchase("beto"))
    store.write("vip.txt", "ana\n\n  carla \nana\n")
    assert store.json("list", "add", "vip", "vip.txt")["devices"] == 2
    (shown,) = store.json("list", "show")["lists"]
    assert (shown["name"], shown["devices"]) == ("vip", 2)
    store.seg("v", "audience v match purchase and in list vip\n")
    store.ok("check")  # uploaded, and not in the catalog
    assert store.json("build", "v", "--at", AT)["size"] == 1
    store.ok("list", "add", "vip", "-", input="ana\nbeto\n")
    assert store.json("build", "v", "--at", AT)["size"] == 2
    assert "list `vip`" not in store.ok("list", "show").stdout
    store.seg("v", "audience v match in list vp\n")
    result = store.run("check")
    assert result.exit_code == 1
    assert "did you mean `vip`" in result.stdout


def test_a_list_that_cannot_be_read(store: Project) -> None:
    assert "has no lists" in store.ok("list", "show").stdout
    (store.folder / "bad.txt").write_bytes(b"\xff")
    for file in ("bad.txt", "none.txt"):
        assert store.run("list", "add", "vip", file).exit_code == 2


def test_the_key_of_a_device(store: Project) -> None:
    key = store.ok("key", "ana").stdout.strip()
    settings = Settings.load(store.folder)
    assert key == device_key(installation_key(settings), store.client, "ana").hex()
    found = store.json("key", "ana", "beto", "--client", store.client)
    assert [item["device"] for item in found["keys"]] == ["ana", "beto"]
    assert found["keys"][0]["key"] == key
    assert store.ok("key", "ana", "--client", store.client + 1).stdout.strip() != key


def test_json_keeps_what_was_written() -> None:
    from decimal import Decimal

    value = {"a": [Decimal("1.10"), None, True, 'q"\n'], "b": ("ñ", {"c": 2}), "\ud800": 1}
    assert exact_json(value) == '{"a":[1.10,null,true,"q\\"\\n"],"b":["ñ",{"c":2}],"\\ud800":1}'


@pytest.mark.parametrize("name", ["events.jsonl", "events.csv"])
def test_a_load_that_fails_half_way_can_be_repeated(
    store: Project, engine: Engine, name: str
) -> None:
    staged = "SELECT name FROM system.tables WHERE name LIKE 'staged%' ORDER BY name"
    before = engine.rows(staged)
    good = store.write("a.jsonl", json.dumps(purchase("ana", ts=0)) + "\n")
    bad = store.write("b.csv", "nonsense\n")
    assert store.run("load", good, bad).exit_code == 2
    assert store.json("load", good)["accepted"] == 1
    assert engine.rows(staged) == before
    assert isinstance(good, Path)
