"""Every construct of the language is read, and written back as it stands here."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relo_dsl.diagnostics import render_all
from relo_dsl.source import SourceFile
from relo_dsl.syntax import format_expr, format_file, nodes, parse, parse_expression
from relo_dsl.syntax.nodes import Chain, Duration, Name, Not, Number, Path, Repeat, Windowed, Within

#: One expression a line, each in its canonical form.
EXPRESSIONS = r"""
purchase
purchase[revenue > 15000 and currency = "MXN"]
(purchase | af_purchase)[revenue > 10]
(purchase | af_purchase).revenue > 10 within 3d
(purchase | af_purchase).items[revenue > 10].price > 3
any event[product_id = "SKU-1"]
any event within 3d
any event.price > 3
x[product_id in ("a", "b")]
x[product_id not in ("a", "b") or missing]
x[price in 2..5 and price not in -2.5..-1]
x[p contains "a" ignoring case and q starts with "b" and r ends with "c" and s matches "^x"]
x[tags has "x" and tags has any ("a", "b") and tags has all ("a")]
x[a exists and b is missing and address.city = "Puebla"]
x[env != "prod" or missing]
x[env != "prod" or missing or env = "test"]
x[flag = true and other = false]
x[paid < total and paid * 2 >= total - 5]
purchase.due within 7d since 2026-01-01
purchase[due within next 7d]
x[location within 5km of (19.4326, -99.1332)]
x[location within 800m of place("polanco")]
x[location in zone("cdmx_centro")]
x[products.id has "SKU-1" and any products[id = "SKU-1" and price > 100]]
not (a and b)
no purchase
not no purchase within 3d
purchase.revenue > 15000 within 180d and not within 30d
no purchase within 30d and not within 7d
purchase in 2026 and not in 2025
count(product_view) >= 3 within 48h
sum(purchase.revenue within 30d) > 2 * sum(purchase.revenue between 30d and 60d ago)
count(purchase) in 2..4 within 90d
count(a) - (count(b) - 1) * -2 / -count(c) != -(1 + 2)
first(purchase) within 30d
last(purchase).product_line = "MX"
add_to_cart within 7d then no purchase within 24h
(a then b within 1h) within 7d
a then b within 1h then c
count(pageview) >= 2 in 2 of last 3 periods of 3d
count(pageview) >= 2 in 2 of last 3 periods of calendar weeks
user.plan = "premium"
user.status = "onboarding" for 7d
user.birthday anniversary within next 7d
in segment foo and not in list vip
rfm.recency >= 4 and rfm is champions
affine to "SKU"
affine to "SKU" at least 3
score.churn >= 0.75
a before 30d ago
a before 2026-01-01
a since 2026-01-15T09:30:00.250+02:00
a from 2026-01-01 to 2026-02-01T09:30Z
a in 2026 or in 2026-Q1 or in 2026-01 or on 2026-01-15
a today or yesterday or this week or last month or this quarter or last year
a within 3 calendar days
`Order Completed`.`Total Paid` > 10
first within 3d and count within 3d and keep and test and label and client and match
purchase.and.or.not.match.type > 3
`and` and `within` within 3d
a and (b or (c and d))
((a or b) and c) or d
""".strip().splitlines()

#: What is read as what: another way to write something, and its canonical form.
SAME = {
    "a and b or c": "(a and b) or c",
    "(((a)))": "(a)",
    "((a and b))": "a and b",
    "(a + b) + c > 1": "a + b + c > 1",
    "x > 15_000.50": "x > 15000.5",
    "x > - 5": "x > -5",
    "a within 1 calendar week": "a within 1 calendar weeks",
    "a in 2026-q1": "a in 2026-Q1",
    "x[l within 5000m of (1, 2)]": "x[l within 5km of (1, 2)]",
    'x = "\\u{41}\\u{1F642}\\n"': 'x = "A🙂\\n"',
    'a starts # one\n with # two\n "b"': 'a starts with "b"',
    "`a` . `b`": "a.b",
    "not\nno\na": "not no a",
}

FILE = """\
# A shop.
let z = 3  # not much

segment engaged
  label    "Engaged"
  client   3
  timezone "America/Mexico_City"

let big = purchase[revenue > 15000 and product_line = "MX"]
let sum_of_many =
  a_condition_with_a_long_name > 3
  and another_condition_with_a_long_name > 4
  and a_third_condition_with_a_long_name

match
  # Those who bought.
  big within 180d  # half a year
  and (
    count(product_view within 30d) >= 100000
    or count(product_view between 30d and 60d ago) >= 100000
    or not sum_of_many
  )
  and purchase[
    product_id in (
      "SKU-0000000000001", "SKU-0000000000002", "SKU-0000000000003", "SKU-0000000000004",
      "SKU-0000000000005"
    )
  ] within 30d


audience everything
  label           "All \\"statements\\""
  description     "…"
  owner           "growth"
  client          3
  type            winback
  refresh         weekly on monday at 03:00
  timezone        "America/Mexico_City"
  export          meta, google_ads, dv360
  require consent personalization, 64
  ttl             90d
  minimum         1000
  tags            winback, "high value"

match
  in segment engaged

keep top 5% by sum(purchase.revenue)

sample 50%

holdout 5%

test "someone who came back stays out" at 2026-03-18, 2026-03-19T12:00Z
  given ana:   purchase(revenue: 20000, tags: ["new", "sale"], item: {id: "a", price: 1.5}) 100d ago
               identify(plan: "premium", old: null) at 2026-01-05
               consent(251) 3d ago
  and   beto:  purchase(first: true) now
  and   list vip: ana, beto
  and   carla:
  expect ana, carla
  expect not beto
  expect dora from 2026-03-10 until 2026-03-12T09:30

# The end.
"""


def read(text: str) -> nodes.Expr:
    result = parse_expression(SourceFile("test", text))
    assert not result.diagnostics.has_errors, render_all(result.diagnostics)
    return result.expr


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions(text: str) -> None:
    assert format_expr(read(text)) == text


@pytest.mark.parametrize("text", SAME)
def test_other_ways_to_write_it(text: str) -> None:
    assert format_expr(read(text)) == SAME[text]


def test_a_file() -> None:
    parsed = parse(SourceFile("test.seg", FILE))
    assert not list(parsed.diagnostics), render_all(parsed.diagnostics)
    assert format_file(parsed.file) == FILE


def test_layout_is_free() -> None:
    """Everything on one line, or each token on its own, is the same file."""
    rows = (row for row in FILE.splitlines() if not row.lstrip().startswith("#"))
    lines = [row.split("  #")[0] for row in rows]
    file = parse(SourceFile("test.seg", FILE)).file
    assert parse(SourceFile("test.seg", " ".join(lines))).file == file


def test_headers_in_any_order() -> None:
    text = 'audience a\n  ttl 3d # t\n  client 3\n  label "x"\nmatch x\n'
    expected = 'audience a\n  label  "x"\n  client 3\n  ttl    3d  # t\n\nmatch\n  x\n'
    assert format_file(parse(SourceFile("test.seg", text)).file) == expected


def test_an_empty_file() -> None:
    assert parse(SourceFile("test.seg", "")).file == nodes.File(())
    assert format_file(nodes.File(())) == ""
    assert format_file(parse(SourceFile("test.seg", " # only this")).file) == "# only this\n"


# ---- shapes ------------------------------------------------------------------------------------


def path(text: str) -> Path:
    return Path(tuple(Name(part) for part in text.split(".")))


DAY = 86_400_000


def test_and_binds_tighter_than_or() -> None:
    a, b, c = path("a"), path("b"), path("c")
    assert read("a and b or c") == Chain("or", (Chain("and", (a, b)), c))
    assert read("a and not b or c") == Chain("or", (Chain("and", (a, Not(b))), c))


def test_chains_are_flat_and_parentheses_nest_them() -> None:
    a, b, c = path("a"), path("b"), path("c")
    assert read("a and b and c") == Chain("and", (a, b, c))
    assert read("a and (b and c)") == Chain("and", (a, Chain("and", (b, c))))


def test_a_window_holds_the_whole_comparison() -> None:
    expected = Windowed(
        nodes.Compare(">", path("purchase.revenue"), Number(Decimal(5))), Within(Duration(DAY))
    )
    assert read("purchase.revenue > 5 within 1d") == expected


def test_an_ellipsis_is_a_repeat() -> None:
    expected = Chain(
        "and",
        (Windowed(path("a"), Within(Duration(2 * DAY))), Not(Repeat(Within(Duration(DAY))))),
    )
    assert read("a within 2d and not within 1d") == expected


def test_or_missing_belongs_to_its_predicate() -> None:
    assert read("a = 1 and b = 2 or missing") == Chain(
        "and",
        (
            nodes.Compare("=", path("a"), Number(Decimal(1))),
            nodes.OrMissing(nodes.Compare("=", path("b"), Number(Decimal(2)))),
        ),
    )


def test_arithmetic_binds_from_the_left() -> None:
    expected = nodes.Arithmetic(
        "-",
        nodes.Arithmetic("-", path("a"), path("b")),
        nodes.Arithmetic("*", path("c"), Number(Decimal(-2))),
    )
    assert read("a - b - c * -2") == expected


def test_spans_cover_what_was_written() -> None:
    source = SourceFile("test", "x and purchase[ revenue > 5 ] within 3d  or (y)")
    chain = parse_expression(source).expr
    assert isinstance(chain, Chain)
    inner, paren = chain.operands
    assert isinstance(inner, Chain)
    windowed = inner.operands[1]
    assert isinstance(windowed, Windowed)
    found = [source.slice(node.span) for node in (inner, windowed, windowed.operand, paren)]
    assert found == [
        "x and purchase[ revenue > 5 ] within 3d",
        "purchase[ revenue > 5 ] within 3d",
        "purchase[ revenue > 5 ]",
        "(y)",
    ]


def test_the_unit_of_a_duration_is_kept() -> None:
    assert format_expr(read("a within 24h and within 1d and within 1w")) == (
        "a within 24h and within 1d and within 1w"
    )
    assert format_expr(Windowed(path("a"), Within(Duration(DAY)))) == "a within 1d"


def test_a_tree_with_errors_has_no_layout() -> None:
    with pytest.raises(ValueError, match="syntax errors"):
        format_expr(nodes.ErrorExpr())
