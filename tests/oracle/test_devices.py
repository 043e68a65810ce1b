"""Section 5: traits held, scores, RFM, by the evaluator."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relo_dsl.catalog import Catalog, parse_catalog
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.errors import UserError
from relo_dsl.interpret import History, members
from relo_dsl.records import Record, tie_of
from relo_dsl.source import SourceFile
from relo_dsl.workspace import Workspace
from tests.oracle.build import CLIENT, DAY, HOUR, NOW, consent, event, identify, score

CATALOG = parse_catalog(
    """
events: {purchase: {properties: {revenue: number}}, visit: {}}
traits: {plan: string, city: string, age: number, trial_ends: time}
scores: {churn: {}, uplift: {}}
"""
)
IDS = sorted((f"id{n}" for n in range(6)), key=tie_of)


def plan(text: str, catalog: Catalog = CATALOG, header: str = "") -> ScopedPlan:
    workspace = Workspace(catalog, client=CLIENT)
    workspace.add(SourceFile("a.seg", f"audience a {header} match {text}"))
    assert not workspace.has_errors, workspace.check()
    return scope(workspace.plan("a"))


def holds(text: str, *records: Record, header: str = "", catalog: Catalog = CATALOG) -> bool:
    history = History.of([event("visit"), *records], client=CLIENT)
    return members(plan(text, catalog, header), history, NOW) == {"ana"}


# ---- held --------------------------------------------------------------------------------------

PREMIUM = 'user.plan = "premium" for 7d'


@pytest.mark.parametrize(
    ("ago", "holding"), [(7 * DAY - 1, False), (7 * DAY, True), (7 * DAY + 1, True)]
)
def test_a_trait_is_held_from_the_instant_it_was_set(ago: int, holding: bool) -> None:
    assert holds(PREMIUM, identify(ago, plan="premium")) is holding


def test_the_same_value_again_does_not_restart_the_clock() -> None:
    again = [identify(ago, plan="premium") for ago in (8 * DAY, 3 * DAY, HOUR)]
    assert holds(PREMIUM, *again)


@pytest.mark.parametrize("between", ["free", None])
def test_a_break_restarts_it(between: str | None) -> None:
    records = [identify(9 * DAY, plan="premium"), identify(3 * DAY, plan=between)]
    back = identify(2 * DAY, plan="premium")
    assert not holds(PREMIUM, *records, back)
    assert holds('user.plan = "premium" for 2d', *records, back)


def test_a_break_that_lasts_no_millisecond_is_none() -> None:
    records = [
        identify(9 * DAY, plan="premium"),
        identify(3 * DAY, plan="free", eid=IDS[0]),
        identify(3 * DAY, plan="premium", eid=IDS[1]),
    ]
    assert holds(PREMIUM, *records)
    backwards = [
        identify(9 * DAY, plan="premium"),
        identify(3 * DAY, plan="premium", eid=IDS[0]),
        identify(3 * DAY, plan="free", eid=IDS[1]),
        identify(2 * DAY, plan="premium"),
    ]
    assert not holds(PREMIUM, *backwards)


def test_what_holds_of_an_absent_trait_holds_before_the_first_identify() -> None:
    missing = "user.plan is missing for 7d"
    assert holds(missing)
    assert not holds(missing, identify(3 * DAY, plan="free"))
    assert not holds(missing, identify(9 * DAY, plan="free"), identify(3 * DAY, plan=None))
    assert holds(missing, identify(9 * DAY, plan="free"), identify(7 * DAY, plan=None))
    assert holds('user.plan != "free" or missing for 7d', identify(DAY, plan="premium"))


def test_several_traits_are_one_state() -> None:
    either = '(user.plan = "premium" or user.city = "Puebla") for 7d'
    moved = [identify(9 * DAY, plan="premium"), identify(3 * DAY, city="Puebla", plan="free")]
    assert holds(either, *moved)
    apart = [
        identify(9 * DAY, plan="premium"),
        identify(3 * DAY, plan="free"),
        identify(3 * DAY - 1, city="Puebla"),
    ]
    assert not holds(either, *apart)


def test_an_identify_without_consent_is_not_seen() -> None:
    records = [identify(9 * DAY, plan="premium"), identify(3 * DAY, plan="free", flags=251)]
    assert holds(PREMIUM, *records, header="export meta")
    assert not holds(PREMIUM, *records)


# ---- scores ------------------------------------------------------------------------------------


def test_the_latest_score_counts() -> None:
    records = [score(2 * HOUR, churn=0.9), score(HOUR, churn=0.2), score(-1, churn=0.9)]
    assert not holds("score.churn >= 0.75", *records)
    assert holds("score.churn = 0.2", *records)
    assert holds("score.churn in 0.2..0.3", *records)


def test_a_score_that_was_never_written_is_missing() -> None:
    assert not holds("score.churn < 0.5")
    assert not holds("score.churn != 0.5")
    assert holds("score.churn is missing")
    assert holds("score.churn < 0.5 or missing")
    assert holds("not score.churn < 0.5")
    assert holds("score.uplift > score.churn", score(1, churn=1, uplift=2))


def test_a_score_alone_makes_no_device_exist() -> None:
    history = History.of([score(1, churn=1)], client=CLIENT)
    assert not members(plan("score.churn >= 0.75"), history, NOW)


def test_a_score_that_was_written_without_consent_is_not_seen() -> None:
    records = [consent(251, 3 * HOUR), score(2 * HOUR, churn=1), consent(255, HOUR)]
    assert holds("score.churn = 1", *records)
    assert not holds("score.churn = 1", *records, header="export meta")


# ---- RFM ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ago", "recency"),
    [
        (0, 5), (7 * DAY, 5), (7 * DAY + 1, 4), (30 * DAY, 4), (30 * DAY + 1, 3),
        (60 * DAY, 3), (60 * DAY + 1, 2), (90 * DAY, 2), (90 * DAY + 1, 1), (500 * DAY, 1),
    ],
)  # fmt: skip
def test_recency(ago: int, recency: int) -> None:
    for value in range(1, 6):
        bought = event("purchase", ago)
        assert holds(f"rfm.recency = {value}", bought) is (value == recency)
        assert holds(f"rfm.recency >= {value}", bought) is (recency >= value)
        assert holds(f"not rfm.recency in ({value}, 1)", bought) is (recency not in (value, 1))


@pytest.mark.parametrize(("bought", "frequency"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (9, 5)])
def test_frequency(bought: int, frequency: int) -> None:
    records = [event("purchase", 180 * DAY - 1 - i) for i in range(bought)]
    assert holds(f"rfm.frequency = {frequency}", *records)
    # A purchase before that counts for nothing but that there was one.
    assert holds(f"rfm.frequency = {frequency}", *records, event("purchase", 180 * DAY))


def test_frequency_of_old_purchases_is_one() -> None:
    assert holds("rfm.frequency = 1", event("purchase", 200 * DAY))


@pytest.mark.parametrize(
    ("spent", "monetary"),
    [
        ("50000.01", 5), ("50000", 4), ("20000.01", 4), ("20000", 3), ("8000.01", 3), ("8000", 2),
        ("2000", 2), ("1999.99", 1), ("0", 1), ("-5", 1),
    ],
)  # fmt: skip
def test_monetary(spent: str, monetary: int) -> None:
    bought = event("purchase", 600 * DAY, revenue=Decimal(spent))
    assert holds(f"rfm.monetary = {monetary}", bought)
    assert not holds(f"rfm.monetary != {monetary}", bought)


def test_who_bought_nothing_has_no_score() -> None:
    for part in ("recency", "frequency", "monetary"):
        assert not holds(f"rfm.{part} <= 5")
        assert not holds(f"rfm.{part} exists")
        assert holds(f"rfm.{part} is missing")
        assert holds(f"rfm.{part} = 5 or missing")
    assert holds("rfm.monetary = 1", event("purchase"))  # bought, for nothing that is known
    assert not holds("rfm is hibernating")


def test_patterns() -> None:
    rich = [event("purchase", n * DAY, revenue=11_000) for n in range(5)]
    assert holds("rfm is champions", *rich)
    assert not holds("rfm is champions", *rich[1:])
    assert holds("rfm is new_customers", event("purchase", DAY, revenue=100))
    assert holds("rfm is hibernating", event("purchase", 300 * DAY, revenue=100))
    early = [event("purchase", (100 + n) * DAY, revenue=10_000) for n in range(4)]
    assert holds("rfm is at_risk", *early)


def test_a_catalog_has_thresholds_of_its_own() -> None:
    catalog = parse_catalog(
        """
events: {order: {properties: {total: number}}, visit: {}}
rfm:
  event: order
  revenue: total
  recency: [1, 2, 3, 4]
  monetary: [40, 30, 20, 10]
  patterns: {regulars: {recency: [3, 5], monetary: 2}, champions: {recency: 1}}
"""
    )
    assert holds("rfm.recency = 4", event("order", 2 * DAY), catalog=catalog)
    assert holds("rfm is regulars", event("order", 2 * DAY, total=20), catalog=catalog)
    assert not holds("rfm is regulars", event("order", 2 * DAY, total=21), catalog=catalog)
    assert holds("rfm is champions", event("order", 9 * DAY), catalog=catalog)


@pytest.mark.parametrize(
    "text",
    [
        "rfm: {recency: [7, 7, 60, 90]}",
        "rfm: {recency: [90, 60, 30, 7]}",
        "rfm: {frequency: [2, 3, 4, 5]}",
        "rfm: {monetary: [1, 2, 3, 4]}",
        "rfm: {patterns: {x: {recency: [3, 2]}}}",
        "rfm: {patterns: {x: {recency: 6}}}",
    ],
)
def test_thresholds_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="rfm"):
        parse_catalog(text)


# ---- what cannot be ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("purchase for 7d", "type-mismatch"),
        ("count(purchase) > 3 for 7d", "type-mismatch"),
        ("score.churn > 0.5 for 7d", "type-mismatch"),
        ("user.trial_ends within next 7d for 7d", "window-not-allowed"),
        ("(user.plan = \"a\" or user.trial_ends anniversary today) for 7d", "window-not-allowed"),
        ("user.plna = \"a\" for 7d", "unknown-trait"),
        ("score.chrun > 0.5", "unknown-score"),
        ('score.churn = "high"', "type-mismatch"),
        ("score.churn", "expected-condition"),
        ("no score.churn > 0.5", "expected-selection"),
        ("score.churn > 0.5 within 7d", "window-not-allowed"),
        ("rfm.recensy > 3", "unknown-property"),
        ("rfm.recency > 5", "contradiction"),
        ("rfm.recency = 2.5", "contradiction"),
        ('rfm.recency contains "5"', "type-mismatch"),
        ("rfm is champoins", "unknown-value"),
        ("user.plan is champions", "expected-condition"),
        ("rfm.recency > 3 within 7d", "window-not-allowed"),
    ],
)  # fmt: skip
def test_mistakes(text: str, code: str) -> None:
    workspace = Workspace(CATALOG, client=CLIENT)
    workspace.add(SourceFile("a.seg", f"audience a match {text}"))
    assert [item.code for item in workspace.check()] == [code], workspace.check()


def test_rfm_needs_purchases() -> None:
    workspace = Workspace(parse_catalog("events: {visit: {}}"), client=CLIENT)
    workspace.add(SourceFile("a.seg", "audience a match rfm is champions"))
    (found,) = workspace.check()
    assert found.code == "unknown-event"
    assert "rfm: {event: …}" in (found.help or "")


def test_nothing_is_hinted_where_only_a_comparison_can_stand() -> None:
    workspace = Workspace(CATALOG, client=CLIENT)
    text = "audience a match count(visit) >= 1 in 10 of last 12 periods of 7d"
    workspace.add(SourceFile("a.seg", text))
    assert workspace.check() == []
