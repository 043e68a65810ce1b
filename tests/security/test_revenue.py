"""What derives from revenue, by definition and by trying: other revenues, the same members."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from relo_dsl.catalog import Catalog, load_catalog, parse_catalog
from relo_dsl.consent import scope
from relo_dsl.interpret import History, members
from relo_dsl.plan import Plan
from relo_dsl.records import Record
from relo_dsl.source import SourceFile
from relo_dsl.terms import And, Not, Reference
from relo_dsl.workspace import Workspace
from relo_server.security.revenue import Revenue, derives_from_revenue
from tests.conftest import REPOSITORY
from tests.differential.cases import Case
from tests.differential.collect import collect
from tests.differential.world import CATALOG_TEXTS

CLIENT = 3
CATALOG = parse_catalog("""
events:
  purchase:
    properties:
      revenue: number
      discount: {type: number, unit: MXN}
      weight: {type: number, unit: kg}
      category: string
      products:
        type: object[]
        fields: {id: string, paid: {type: number, unit: €}, size: number}
  refund: {properties: {revenue: number, reason: string}}
traits:
  plan: string
  spent: {type: number, unit: EUR}
scores: {churn: {}}
lists: {vip: {}}
""")

DERIVED = {
    "sum(purchase.revenue) > 1000": ["revenue"],
    "count(purchase[revenue > 5]) > 1": ["revenue"],
    "purchase[revenue exists]": ["revenue"],
    "no purchase[revenue > 5 or missing]": ["revenue"],
    "refund[revenue > 5]": ["revenue"],
    "avg(purchase.discount) / count(purchase) > 1": ["discount"],
    "max(purchase.products.paid) > 1": ["products.paid"],
    "purchase[any products[size > 1 and paid > 5]]": ["products.paid"],
    "first(purchase[revenue > 5]) within 30d": ["revenue"],
    "last(purchase).revenue > 5 within 30d": ["revenue"],
    "refund then purchase[discount > 1] within 3d": ["discount"],
    "purchase then no purchase[discount > 1] within 3d": ["discount"],
    "user.spent > 5": ["user.spent"],
    "user.spent > 5 for 30d": ["user.spent"],
    "score.churn > 0.5": ["score.churn"],
    "rfm is champions": ["revenue"],
    "rfm.monetary >= 3": ["revenue"],
    "in segment spenders": ["revenue"],
    "sum(purchase.revenue) > 100 in 2 of last 3 periods of 30d": ["revenue"],
}
NOT_DERIVED = (
    "purchase within 30d",
    "count(purchase) > 3",
    'purchase[category = "a" and weight > 5]',
    "purchase[any products[size > 1]]",
    "purchase[products exists]",
    'user.plan = "a"',
    "rfm.recency >= 4",
    "rfm.frequency >= 4",
    "in list vip",
    "in segment frequent",
)
OTHERS = """
segment spenders
  match sum(purchase.revenue) > 100
segment frequent
  match count(purchase) > 5
"""


def plan(condition: str, after: str = "", catalog: Catalog = CATALOG) -> Plan:
    workspace = Workspace(catalog=catalog, client=CLIENT)
    workspace.add(SourceFile("x.seg", f"{OTHERS}audience main\n  match {condition}\n  {after}\n"))
    assert not workspace.has_errors, workspace.check()
    return workspace.plan("main")


@pytest.mark.parametrize("condition", DERIVED)
def test_what_derives_from_revenue(condition: str) -> None:
    assert Revenue.of(CATALOG).read_by(plan(condition)) == tuple(DERIVED[condition])
    assert derives_from_revenue(plan(f"purchase and not ({condition})"), CATALOG)


@pytest.mark.parametrize("condition", NOT_DERIVED)
def test_what_does_not(condition: str) -> None:
    assert Revenue.of(CATALOG).read_by(plan(condition)) == ()


def test_a_ranking_derives_from_what_it_ranks_by() -> None:
    assert derives_from_revenue(plan("purchase", "keep top 10 by sum(purchase.revenue)"), CATALOG)
    assert not derives_from_revenue(plan("purchase", "keep top 10 by count(purchase)"), CATALOG)


def test_the_revenue_of_rfm_may_have_another_name() -> None:
    catalog = parse_catalog(
        "events: {order: {properties: {total: number, revenue: number}}}\n"
        "rfm: {event: order, revenue: total}"
    )
    assert Revenue.of(catalog).properties == {"total"}
    workspace = Workspace(catalog=catalog, client=CLIENT)
    workspace.add(SourceFile("x.seg", "audience main\n  match order[total > 5]\n"))
    assert derives_from_revenue(workspace.plan("main"), catalog)


def test_the_revenue_of_the_demo() -> None:
    found = Revenue.of(load_catalog(REPOSITORY / "segments" / "catalog.yaml"))
    assert found.properties == {
        "revenue", "discount", "coupon_value", "products.paid", "products.discount",
    }  # fmt: skip
    assert found.traits == found.properties


# ---- over random definitions -------------------------------------------------------------------


def with_prices(rules: str) -> Catalog:
    """The catalog of random definitions, with currencies: they change no meaning."""
    text = CATALOG_TEXTS[rules]
    for name in ("total", "height"):
        assert f"  {name}: number\n" in text
        text = text.replace(f"  {name}: number\n", f"  {name}: {{type: number, unit: MXN}}\n")
    return parse_catalog(text.replace("price: number", "price: {type: number, unit: EUR}"))


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return collect(400, 20_260_615)[0]


def changed(record: Record) -> Record:
    """The record with another revenue, or none; scores as well."""
    money = ("revenue", "total", "height", "price")
    values: dict[str, Any] = {}
    for name, value in record.values.items():
        if record.kind == "score" or name in money:
            if isinstance(value, Decimal) and value % 3:
                values[name] = 7 - value
            elif not isinstance(value, Decimal):
                values[name] = value
        elif name == "products" and isinstance(value, tuple):
            values[name] = tuple(
                {k: 7 - v if k == "price" and isinstance(v, Decimal) else v for k, v in e.items()}
                for e in value
                if not isinstance(e, str | bool | Decimal)
            )
        else:
            values[name] = value
    return replace(record, values=values)


def test_where_nothing_derives_other_revenues_make_no_difference(cases: list[Case]) -> None:
    """The proof by trying: whoever sees the members of such a definition learns nothing."""
    same = other = 0
    for case in cases:
        made = case.plan(CLIENT)
        records = case.records(CLIENT)
        before, after = (
            History.of(some, client=CLIENT, default_flags=made.default_flags)
            for some in (records, [changed(record) for record in records])
        )
        derived = derives_from_revenue(made, with_prices(case.rules))
        for at in case.instants:
            found, then = (members(scope(made), h, at, case.listed) for h in (before, after))
            if not derived:
                assert found == then, case.text
            same += not derived
            other += derived and found != then
    assert same > 100
    assert other > 20, "the changes must matter where something derives"


def test_it_flows_through_whatever_a_plan_is_made_of(cases: list[Case]) -> None:
    counts = {True: 0, False: 0}
    for case in cases:
        catalog, made = with_prices(case.rules), case.plan(CLIENT)
        derived = derives_from_revenue(made, catalog)
        counts[derived] += 1
        condition = made.condition
        for wrapped in (Not(condition), Reference("x", condition), Reference("y", Not(condition))):
            assert derives_from_revenue(replace(made, condition=wrapped), catalog) == derived
        innocent = plan("count(purchase) > 3").condition
        spending = plan("sum(purchase.revenue) > 3").condition
        both = replace(made, condition=And((condition, innocent)))
        assert derives_from_revenue(both, catalog) == derived
        assert derives_from_revenue(replace(made, condition=And((spending, condition))), catalog)
    assert min(counts.values()) > 50
