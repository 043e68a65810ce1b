"""What is large in number: lists, clauses, references."""

from __future__ import annotations

from relo_dsl.catalog import parse_catalog
from relo_dsl.consent import scope
from relo_dsl.engine import Engine, load_list, load_records
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.interpret import History, members
from relo_dsl.records import Record, parse_record
from relo_dsl.source import SourceFile
from relo_dsl.sql.lower import members_query
from relo_dsl.times import UNITS, parse_instant
from relo_dsl.workspace import Workspace

KEY = bytes(range(32))
NOW = parse_instant("2026-06-15T12:00:00Z")
CATALOG = parse_catalog(
    """
events: {purchase: {properties: {revenue: number}}, view: {}, cart: {}}
traits: {plan: string}
lists: {big: {}}
"""
)


def record(client: int, device: str, kind: str, ago: int, **more: object) -> Record:
    raw = {"t": kind, "ts": NOW - ago, "did": device, "eid": f"{device}{kind}{ago}", **more}
    return parse_record(raw, client)


def answer(engine: Engine, client: int, text: str) -> tuple[int, str]:
    """How many members a definition has by SQL, and the SQL."""
    workspace = Workspace(CATALOG, client=client)
    workspace.add(SourceFile("a.seg", text))
    assert not workspace.has_errors, workspace.check()
    query = members_query(scope(workspace.plan("a")), NOW)
    return len(engine.query(query).rows), query.text


def test_a_list_of_a_million_ids(engine: Engine, new_client: int) -> None:
    bought = [record(new_client, f"d{i}", "purchase", 1) for i in range(0, 2_000_000, 100_000)]
    load_records(engine, bought, catalog=CATALOG, key=KEY)
    ids = (f"d{i}" for i in range(1_000_000))
    assert load_list(engine, new_client, "big", ids, key=KEY) == 1_000_000
    text = "audience a match purchase and in list big and not (in list big and no purchase)"
    assert answer(engine, new_client, text)[0] == 10


#: Clauses of every kind that differ by a number.
KINDS = (
    "purchase.revenue > {0} within {1}d",
    "count(view within {1}d) < {1}",
    "no view within {1}min",
    "sum(purchase.revenue within {1}d) >= {0}",
    "(view then purchase within {1}d)",
    "last(purchase).revenue > {0}",
    "days(view within {1}d) <= {1}",
    'user.plan != "p{0}" or missing for {1}d',
)


def test_a_definition_of_two_hundred_clauses(engine: Engine, new_client: int) -> None:
    records = [
        record(new_client, "in", "view", 3 * UNITS["h"]),
        record(new_client, "in", "purchase", 2 * UNITS["h"], props={"revenue": 500}),
        record(new_client, "out", "view", 3 * UNITS["h"]),
        record(new_client, "out", "purchase", 2 * UNITS["h"], props={"revenue": 30}),
    ]
    apply_catalog(engine, CATALOG)
    load_records(engine, records, catalog=CATALOG, key=KEY)
    clauses = [f"({KINDS[i % len(KINDS)].format(i, 2 + i % 90)})" for i in range(200)]
    text = "audience a match " + "\n and ".join(clauses)
    workspace = Workspace(CATALOG, client=new_client)
    workspace.add(SourceFile("a.seg", text))
    scoped = scope(workspace.plan("a"))
    assert members(scoped, History.of(records, client=new_client), NOW) == {"in"}
    assert len(engine.query(members_query(scoped, NOW)).rows) == 1


def test_a_reference_used_often_is_computed_once(engine: Engine, new_client: int) -> None:
    apply_catalog(engine, CATALOG)
    load_records(engine, [record(new_client, "d", "purchase", 9)], catalog=CATALOG, key=KEY)
    often = " or ".join(f"(not in segment s and view within {i}d)" for i in range(1, 9))
    text = (
        f"segment s match count(purchase) >= 1 within 30d audience a match in segment s or {often}"
    )
    found, sql = answer(engine, new_client, text)
    assert found == 1
    assert sql.count("FROM reference_1") > 1
    assert sql.count("event_type = ") <= 1 + 9
