"""Every example of the language's specification compiles as written, and runs on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from relo_dsl.catalog import load_catalog
from relo_dsl.consent import scope
from relo_dsl.diagnostics import Severity
from relo_dsl.engine import Engine
from relo_dsl.engine.key import device_key
from relo_dsl.engine.load import load_records
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.interpret import History, members
from relo_dsl.records import Record, parse_record
from relo_dsl.source import SourceFile
from relo_dsl.sql.lower import members_query
from relo_dsl.times import UNITS, parse_instant
from relo_dsl.workspace import Workspace

HERE = Path(__file__).parent
CATALOG = load_catalog(HERE / "catalog.yaml")
NOW = parse_instant("2026-06-15T12:00:00Z")
#: One of its own: the engine is that of all tests.
CLIENT = 911
KEY = bytes(range(32))

CONDITIONS = """
purchase.revenue > 15000 within 180d and not within 30d
big_mx within 180d and no purchase within 30d
`Order Completed`.`Total Paid` > 10
purchase within 1d12h
purchase within 30d
purchase between 30d and 180d ago
purchase before 30d ago
purchase since 2026-01-15
purchase before 2026-01-15
purchase from 2026-01-15 to 2026-02-01
purchase in 2026
purchase in 2026-Q1
purchase in 2026-01
purchase on 2026-01-15
purchase today
purchase yesterday
purchase this week
purchase last quarter
purchase within 3 calendar months
purchase since 2026-01-15T09:30-06:00
purchase[revenue > 15000 and currency = "MXN"]
(purchase | af_purchase)[revenue > 10]
any event[product_id = "SKU-1"]
purchase[currency in ("MXN", "USD")]
purchase[currency not in ("MXN", "USD")]
purchase[revenue in 2..5]
purchase[product_line contains "m"]
purchase[product_line starts with "M" ignoring case]
purchase[product_line ends with "X"]
purchase[product_line matches "^M.$"]
purchase[tags has "x"]
purchase[tags has any ("a","b")]
purchase[tags has all ("a", "b")]
purchase[product_line exists]
purchase[product_line is missing]
purchase[address.city = "Puebla"]
purchase.due within next 3d
purchase.due within 7d since 2026-01-01
purchase[location within 5km of (19.4326, -99.1332)]
purchase[location within 800m of place("polanco")]
purchase[location in zone("cdmx_centro")]
purchase[paid < total]
purchase[products.id has "SKU-1"]
purchase[any products[id = "SKU-1" and price > 100]]
purchase[env != "prod" or missing]
no purchase within 30d and not within 7d
count(product_view) >= 3 within 48h
sum(purchase.revenue within 30d) > 2 * sum(purchase.revenue between 30d and 60d ago)
count(purchase) in 2..4 within 90d
count(purchase) < 2
avg(purchase.revenue) > 10
min(purchase.revenue) > 10
max(purchase.revenue) > 10
median(purchase.revenue) > 10
distinct(purchase.product_id) > 1
days(purchase) >= 2
weeks(purchase) >= 2
months(purchase) >= 2
first(purchase) within 30d
last(purchase).product_line = "MX"
pageview then add_to_cart within 1h then purchase within 1d
(pageview then add_to_cart within 1h) within 7d
add_to_cart within 7d then no purchase within 24h
count(pageview) >= 2 in 2 of last 3 periods of 3d
count(pageview) >= 2 in 2 of last 3 periods of calendar weeks
user.plan = "premium"
user.status = "onboarding" for 7d
user.birthday anniversary within next 7d
user.trial_ends within next 7d
in segment mexicans
in list vip
rfm.recency >= 4
rfm.frequency = 5
rfm.monetary in 1..3
rfm is champions
affine to "SKU-1"
affine to "SKU-1" at least 1
score.churn >= 0.75
purchase keep top 2 by sum(purchase.revenue)
purchase keep bottom 50% by count(purchase)
purchase sample 50%
purchase holdout 5%
""".strip().splitlines()

AROUND = """
let big_mx = purchase[revenue > 15000 and product_line = "MX"]
segment mexicans match purchase.product_line = "MX"
"""


def _workspace(condition: str) -> Workspace:
    workspace = Workspace(CATALOG, client=CLIENT, timezone="America/Mexico_City")
    workspace.add(SourceFile("example.seg", f"{AROUND}\naudience example\nmatch {condition}\n"))
    return workspace


def _records() -> list[Record]:
    def record(device: str, kind: str, ago: int, **more: object) -> Record:
        return parse_record({"t": kind, "ts": NOW - ago, "did": device, **more}, CLIENT)

    day, hour = UNITS["d"], UNITS["h"]
    rich: dict[str, object] = {
        "revenue": 20000, "product_line": "MX", "currency": "MXN", "product_id": "SKU-1",
        "paid": 1, "total": 2, "tags": ["a", "b", "x"], "due": "2026-06-17",
        "location": {"lat": 19.43, "lon": -99.14}, "address": {"city": "Puebla"},
        "products": [{"id": "SKU-1", "price": 200}],
    }  # fmt: skip
    return [
        record("ana", "purchase", 100 * day, props=rich),
        record("ana", "identify", 20 * day, traits={"plan": "premium", "status": "onboarding"}),
        record("ana", "identify", 10 * day, traits={"birthday": "1990-06-18"}),
        record("beto", "purchase", 100 * day, props=rich),
        record("beto", "purchase", 5 * day, props={"revenue": 100, "product_id": "SKU-2"}),
        *(record("carla", "purchase", n * day, props=rich) for n in range(6)),
        record("dora", "pageview", 3 * hour, props={"product_id": "SKU-1"}),
        record("dora", "add_to_cart", 150 * 60_000, props={}),
        record("dora", "purchase", hour, props={"revenue": 30, "product_id": "SKU-2"}),
        record("emil", "pageview", 50 * hour), record("emil", "pageview", 4 * day),
        record("emil", "pageview", 4 * day + 1), record("emil", "add_to_cart", 2 * day),
        record("emil", "pageview", 1), record("emil", "pageview", 2),
        record("emil", "score", day, scores={"churn": 0.8}),
        record("emil", "identify", day, traits={"trial_ends": NOW + day}),
        record("fede", "Order Completed", day, props={"Total Paid": 11}),
        record("gabi", "purchase", day, props={"due": NOW - day, "env": "dev"}),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def loaded(engine: Engine) -> Engine:
    apply_catalog(engine, CATALOG)
    load_records(engine, _records(), catalog=CATALOG, key=KEY)
    return engine


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_example_runs(condition: str, loaded: Engine) -> None:
    workspace = _workspace(condition)
    errors = [item for item in workspace.check() if item.severity is Severity.ERROR]
    assert not errors, errors
    if "in list" in condition:
        return  # lists have a test of their own
    scoped = scope(workspace.plan("example"))

    def key(device: str) -> str:
        return device_key(KEY, CLIENT, device).hex()

    history = History.of(_records(), client=CLIENT)
    expected = members(scoped, history, NOW, key=key)
    found = {row[0] for row in loaded.query(members_query(scoped, NOW)).rows}
    assert found == {device_key(KEY, CLIENT, device) for device in expected}
