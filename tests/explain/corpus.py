"""Conditions with every construct of the language, as terms."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from relo_dsl.catalog import PropertyType
from relo_dsl.terms import (
    Absence,
    Absent,
    Affine,
    Ago,
    Always,
    And,
    AnniversaryIn,
    AnyElement,
    Arithmetic,
    At,
    Compare,
    CompareProperties,
    Comparison,
    Condition,
    Constant,
    Did,
    Exists,
    Extreme,
    Has,
    Held,
    InArea,
    InList,
    InRange,
    InWindow,
    LocalStart,
    Measure,
    MeasureKind,
    Near,
    Not,
    OneOf,
    Or,
    OrMissing,
    Predicate,
    Property,
    Reference,
    Regularity,
    Score,
    Selection,
    Sequence,
    Step,
    TextMatch,
    Trait,
    Window,
)
from relo_dsl.times import UNITS, parse_instant

DAY, HOUR = UNITS["d"], UNITS["h"]
ZONE = "America/Mexico_City"
D = Decimal
REVENUE = Property("revenue", PropertyType.NUMBER)
LINE = Property("product_line", PropertyType.STRING)
TAGS = Property("tags", PropertyType.STRINGS)
DUE = Property("due", PropertyType.TIME)
HOME = Property("home", PropertyType.POINT)
PRODUCTS = Property("products", PropertyType.OBJECTS)
PURCHASE = Selection(("purchase",))
CENTRE = ((D("19.4"), D("-99.2")), (D("19.5"), D("-99.2")), (D("19.5"), D("-99.1")))


def _local(text: str) -> At:
    return At(parse_instant(text, ZONE) - 1)


WINDOWS: dict[str, Window] = {
    "no window": Window(),
    "within 30d": Window(Ago(30 * DAY)),
    "within 1d": Window(Ago(DAY)),
    "within 1d12h": Window(Ago(DAY + 12 * HOUR)),
    "within 90min": Window(Ago(90 * UNITS["min"])),
    "between 30d and 180d ago": Window(Ago(180 * DAY), Ago(30 * DAY)),
    "before 30d ago": Window(None, Ago(30 * DAY)),
    "since 2026-01-15": Window(_local("2026-01-15")),
    "since 2026-01-15T09:30:00.250": Window(_local("2026-01-15T09:30:00.250")),
    "before 2026-01-15": Window(None, _local("2026-01-15")),
    "from 2026-01-15 to 2026-02-01": Window(_local("2026-01-15"), _local("2026-02-02")),
    "from 2026-01-15 to 2026-02-01T12:00": Window(_local("2026-01-15"), _local("2026-02-01T12:00")),
    "on 2026-01-15": Window(_local("2026-01-15"), _local("2026-01-16")),
    "today": Window(LocalStart("day", 0, ZONE)),
    "yesterday": Window(LocalStart("day", -1, ZONE), LocalStart("day", 0, ZONE)),
    "this week": Window(LocalStart("week", 0, ZONE)),
    "last quarter": Window(LocalStart("quarter", -1, ZONE), LocalStart("quarter", 0, ZONE)),
    "last week": Window(LocalStart("week", -1, ZONE), LocalStart("week", 0, ZONE)),
    "within 2 calendar days": Window(LocalStart("day", -1, ZONE)),
    "within 3 calendar weeks": Window(LocalStart("week", -2, ZONE)),
    "within next 7d": Window(Ago(0), Ago(-7 * DAY)),
    "this year, of a value": Window(LocalStart("year", 0, ZONE), LocalStart("year", 1, ZONE)),
    "mixed ends": Window(LocalStart("week", -2, ZONE), Ago(DAY)),
    "mixed ends ahead": Window(Ago(-DAY), LocalStart("month", 2, ZONE)),
}

PREDICATES: dict[str, Predicate] = {
    "equal": Compare(LINE, "=", "MX"),
    "not equal": Compare(LINE, "!=", "MX"),
    "over": Compare(REVENUE, ">", D(15000)),
    "at least": Compare(REVENUE, ">=", D("0.5")),
    "under": Compare(REVENUE, "<", D(5)),
    "at most": Compare(REVENUE, "<=", D(5)),
    "true": Compare(Property("gift", PropertyType.BOOLEAN), "=", True),
    "two properties": CompareProperties(Property("paid", PropertyType.NUMBER), "<", REVENUE),
    "one of": OneOf(LINE, ("MX", "US")),
    "none of": OneOf(LINE, ("MX", "US", "CA"), negated=True),
    "range": InRange(REVENUE, D(2), D(5)),
    "outside": InRange(REVENUE, D(2), D(5), negated=True),
    "contains": TextMatch(LINE, "contains", "m"),
    "starts with": TextMatch(LINE, "starts with", "m", ignore_case=True),
    "ends with": TextMatch(LINE, "ends with", "m"),
    "matches": TextMatch(LINE, "matches", "^m+$"),
    "has": Has(TAGS, "any", ("new",)),
    "has any": Has(TAGS, "any", ("new", "sale")),
    "has all": Has(TAGS, "all", ("new", "sale")),
    "exists": Exists(LINE),
    "missing": Not(Exists(LINE)),
    "any element": AnyElement(
        PRODUCTS,
        And((Compare(LINE, "=", "MX"), Compare(REVENUE, ">", D(5)))),
    ),
    "field of elements": Has(
        Property("id", PropertyType.STRING, parent="products"), "any", ("SKU-1",)
    ),
    "or missing": OrMissing(Compare(LINE, "!=", "MX")),
    "unknown": Absent(False),
    "time": InWindow(DUE, WINDOWS["within next 7d"], ZONE),
    "anniversary": AnniversaryIn(DUE, WINDOWS["this week"], ZONE),
    "near a point": Near(HOME, D("19.4326"), D("-99.1332"), D(800)),
    "near a place": Near(HOME, D("19.43"), D("-99.19"), D(5000)),
    "in a zone": InArea(HOME, CENTRE),
    "in an area": InArea(HOME, (*CENTRE, (D(1), D(2)))),
    "and": And((Compare(LINE, "=", "MX"), Or((Exists(TAGS), Compare(REVENUE, ">", D(1)))))),
    "or": Or((OrMissing(Compare(LINE, "=", "MX")), Exists(TAGS))),
    "not": Not(And((Exists(TAGS), Exists(LINE)))),
}


def measure(kind: MeasureKind, window: Window = WINDOWS["no window"]) -> Measure:
    counts = kind in ("count", "days", "weeks", "months")
    zone = ZONE if kind in ("days", "weeks", "months") else None
    return Measure(kind, PURCHASE, None if counts else REVENUE, window, zone)


_KINDS: tuple[MeasureKind, ...] = (
    *("count", "sum", "avg", "min", "max", "distinct", "median", "days", "weeks", "months"),
)
BIG = Selection(("purchase",), PREDICATES["over"])
MONTH, BEFORE = WINDOWS["within 30d"], WINDOWS["between 30d and 180d ago"]
CONDITIONS: dict[str, Condition] = {
    "did": Did(BIG, MONTH),
    "did not": Not(Did(PURCHASE)),
    "did one of": Did(Selection(("af_purchase", "purchase")), MONTH),
    "did anything": Did(Selection(()), MONTH),
    "counted": Comparison(measure("count", MONTH), ">=", Constant(D(3))),
    "not counted": Not(Comparison(measure("count"), "!=", Constant(D(3)))),
    **{
        kind: Comparison(measure(kind, MONTH), "<", Arithmetic("*", Constant(D(2)), Constant(D(5))))
        for kind in _KINDS
    },
    "compared over time": Comparison(
        Measure("sum", BIG, REVENUE, MONTH),
        ">",
        Arithmetic("*", Constant(D(2)), measure("sum", BEFORE)),
    ),
    "calculated": Comparison(
        Arithmetic("/", measure("sum"), Arithmetic("+", measure("count"), Constant(D(1)))),
        "<=",
        Arithmetic("-", measure("max"), Arithmetic("-", measure("min"), Constant(D(1)))),
    ),
    "range": And(
        (
            Comparison(measure("count", MONTH), ">=", Constant(D(2))),
            Comparison(measure("count", MONTH), "<=", Constant(D(4))),
        )
    ),
    "not a range": Not(
        And(
            (
                Comparison(measure("avg", MONTH), ">=", Constant(D(2))),
                Comparison(measure("avg", MONTH), "<=", Constant(D(4))),
            )
        )
    ),
    "first": Extreme("first", PURCHASE, MONTH),
    "last with": Extreme("last", BIG, where=PREDICATES["equal"]),
    "last within, with": Extreme("last", PURCHASE, MONTH, PREDICATES["equal"]),
    "not first": Not(Extreme("first", PURCHASE, MONTH)),
    "sequence": Sequence(
        (
            Step(Selection(("add_to_cart",)), (MONTH,)),
            Step(BIG, (MONTH,), HOUR),
            Step(Selection(("refund",)), ()),
        )
    ),
    "then no": Sequence((Step(Selection(("add_to_cart",))),), Absence(PURCHASE, DAY)),
    "regularity": Regularity(
        Comparison(measure("count"), ">=", Constant(D(2))), 2, 3, length=3 * DAY
    ),
    "regularity of weeks": Regularity(
        Or(
            (
                Comparison(measure("count"), "=", Constant(D(2))),
                Not(Comparison(measure("sum"), "=", Constant(D(3)))),
            )
        ),
        2,
        6,
        unit="week",
        zone=ZONE,
    ),
    "trait": Trait(PREDICATES["equal"]),
    "not a trait": Not(Trait(PREDICATES["equal"])),
    "held": Held(PREDICATES["equal"], 7 * DAY),
    "score": Score(Compare(Property("churn", PropertyType.NUMBER), ">=", D("0.75"))),
    "affine": Affine(PURCHASE, Property("product_id", PropertyType.STRING), "SKU-1", 2),
    "list": InList("vip"),
    "not on a list": Not(InList("vip")),
    "reference": Reference("regulars", Did(PURCHASE, MONTH)),
    "not a reference": Not(Reference("regulars", Did(PURCHASE, MONTH))),
    "always": Always(True),
    "never": Always(False),
    "and, or, not": And(
        (
            Did(PURCHASE),
            Or((InList("vip"), Not(And((InList("staff"), Did(PURCHASE)))))),
            Not(Or((InList("staff"), InList("vip")))),
        )
    ),
}


def with_predicate(predicate: Predicate) -> Condition:
    """Some event that passes it."""
    return Did(replace(PURCHASE, where=predicate), MONTH)
