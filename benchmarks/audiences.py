"""What one account really has: audiences by the hundred, over the store of `benchmarks.data`.

Drawn from templates for retargeting, suppression, winback, cross-sell and seeds of lookalikes, with
the windows and thresholds that people choose, so that some clauses come back in many definitions.
Deterministic. Beside each stands what an analyst would put into one great SELECT over all events:
conditional counts and sums; None where that cannot say it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from benchmarks.data import CATALOG, CLIENT
from relo_dsl.source import SourceFile
from relo_dsl.workspace import Workspace

SHARED = """\
segment loyal match count(purchase) >= 4 within 180d
segment browsing match count(product_view) >= 5 within 30d and no purchase within 14d
segment big_basket match sum(purchase.revenue) > 40000 within 365d
"""
_REFERRED = {
    "loyal": "countIf({purchase} AND {180}) >= 4",
    "browsing": "countIf({view} AND {30}) >= 5 AND countIf({purchase} AND {14}) = 0",
    "big_basket": "sumIf(n_revenue, {purchase} AND {365}) > 40000",
}
_EXPORTS = ("meta", "meta", "meta", "google_ads", "dv360", "email", "email", "onsite", "push")
MASKS = {"meta": 4, "google_ads": 4, "dv360": 4, "email": 16, "onsite": 2, "push": 32}
_SHORT, _LONG = (1, 3, 7, 14, 30), (30, 60, 90, 120, 180, 365)
_REVENUES = (500, 1000, 2000, 5000, 10_000, 15_000, 20_000, 25_000)
_LINES = ("MX", "US", "EU", "home", "garden")
#: Half of the audiences say one thing more, in the manner of `segments/`: who else is left out.
_FURTHER = (
    ("no refund within 60d", "countIf({refund} AND {60}) = 0"),
    ("visit within 90d", "countIf({visit} AND {90}) > 0"),
    ("product_view within 60d", "countIf({view} AND {60}) > 0"),
    ("count(purchase) >= 2 within 365d", "countIf({purchase} AND {365}) >= 2"),
    (
        "sum(purchase.revenue) > 1000 within 365d",
        "ifNull(sumIf(n_revenue, {purchase} AND {365}), 0) > 1000",
    ),
    (
        "no purchase[coupon exists] within 90d",
        "countIf({purchase} AND {90} AND s_coupon IS NOT NULL) = 0",
    ),
    ("not in segment loyal", "NOT (countIf({purchase} AND {180}) >= 4)"),
)
_PAGES = (1, 2, 5, 10, 20, 50, 100, 200, 250)


@dataclass(frozen=True)
class Audience:
    """`text` is its definition, `mask` the consent it needs, `naive` its part of the great SELECT.

    In `naive`, `{30}` is a window of 30 days up to T and `{purchase}` a test of the event's type.
    """

    name: str
    text: str
    mask: int
    naive: str | None


Drawn = tuple[str, str | None]


def workspace_of(chosen: Iterable[Audience]) -> Workspace:
    """The definitions, and what they share, over the catalog of the store."""
    workspace = Workspace(CATALOG, client=CLIENT)
    workspace.add(SourceFile("shared.seg", SHARED))
    for one in chosen:
        workspace.add(SourceFile(f"{one.name}.seg", one.text))
    return workspace


def audiences(number: int) -> list[Audience]:
    """So many different definitions; the first ones of a longer list are those of a shorter."""
    draw = Random(20260615)
    found: list[Audience] = []
    seen: set[tuple[str, int]] = set()
    while len(found) < number:
        kind, make = draw.choices(*_WEIGHTED)[0]
        condition, naive = make(draw)
        export = draw.choice(_EXPORTS)
        if (condition, MASKS[export]) in seen:
            continue
        seen.add((condition, MASKS[export]))
        if naive is not None and draw.random() < 0.5:
            further, also = draw.choice(_FURTHER)
            condition, naive = f"{condition} and {further}", f"({naive}) AND {also}"
        name = f"{kind}_{len(found) + 1}"
        text = f"audience {name} type {kind} export {export} match {condition}"
        if "keep" not in condition and draw.random() < 0.04:
            text, naive = f"{text} holdout 10%", None
        found.append(Audience(name, text, MASKS[export], naive))
    return found


def _viewed(draw: Random) -> Drawn:
    days, quiet = draw.choice(_SHORT), draw.choice(_SHORT)
    what, event = draw.choice((("product_view", "view"), ("add_to_cart", "cart")))
    return (
        f"{what} within {days}d and no purchase within {quiet}d",
        f"countIf({{{event}}} AND {{{days}}}) > 0 AND countIf({{purchase}} AND {{{quiet}}}) = 0",
    )


def _viewed_often(draw: Random) -> Drawn:
    days, times, quiet = draw.choice(_SHORT), draw.randint(2, 6), draw.choice(_SHORT)
    return (
        f"count(product_view) >= {times} within {days}d and no purchase within {quiet}d",
        f"countIf({{view}} AND {{{days}}}) >= {times} "
        f"AND countIf({{purchase}} AND {{{quiet}}}) = 0",
    )


def _viewed_dear(draw: Random) -> Drawn:
    days, price = draw.choice(_SHORT), draw.choice(_REVENUES[:6])
    return (
        f"product_view.price > {price} within {days}d and no purchase within {days}d",
        f"countIf({{view}} AND {{{days}}} AND n_price > {price}) > 0 "
        f"AND countIf({{purchase}} AND {{{days}}}) = 0",
    )


def _visited_page(draw: Random) -> Drawn:
    days, page = draw.choice(_LONG[:4]), draw.choice(_PAGES)
    return (
        f'visit.page = "/p/{page}" within {days}d and no purchase within 7d',
        f"countIf({{visit}} AND {{{days}}} AND s_page = '/p/{page}') > 0 "
        "AND countIf({purchase} AND {7}) = 0",
    )


def _bought(draw: Random) -> Drawn:
    days, line = draw.choice((*_SHORT, *_LONG)), draw.choice(_LINES)
    if draw.random() < 0.5:
        return f"purchase within {days}d", f"countIf({{purchase}} AND {{{days}}}) > 0"
    return (
        f'purchase.product_line = "{line}" within {days}d',
        f"countIf({{purchase}} AND {{{days}}} AND s_product_line = '{line}') > 0",
    )


def _refunded(draw: Random) -> Drawn:
    days, times = draw.choice(_LONG), draw.randint(1, 3)
    return (
        f"count(refund) >= {times} within {days}d",
        f"countIf({{refund}} AND {{{days}}}) >= {times}",
    )


def _gone_quiet(draw: Random) -> Drawn:
    revenue, quiet = draw.choice(_REVENUES), draw.choice(_LONG[:5])
    long = draw.choice([days for days in (180, 365) if days > quiet])
    return (
        f"purchase.revenue > {revenue} within {long}d and no purchase within {quiet}d",
        f"countIf({{purchase}} AND {{{long}}} AND n_revenue > {revenue}) > 0 "
        f"AND countIf({{purchase}} AND {{{quiet}}}) = 0",
    )


def _still_visiting(draw: Random) -> Drawn:
    days, quiet = draw.choice(_SHORT[2:]), draw.choice(_LONG[1:5])
    return (
        f"purchase within 365d and no purchase within {quiet}d and visit within {days}d",
        f"countIf({{purchase}} AND {{365}}) > 0 AND countIf({{purchase}} AND {{{quiet}}}) = 0 "
        f"AND countIf({{visit}} AND {{{days}}}) > 0",
    )


def _other_line(draw: Random) -> Drawn:
    one, other = draw.sample(_LINES, 2)
    days, quiet = draw.choice(_LONG), draw.choice(_LONG)
    return (
        f'purchase.product_line = "{one}" within {days}d '
        f'and no purchase[product_line = "{other}"] within {quiet}d',
        f"countIf({{purchase}} AND {{{days}}} AND s_product_line = '{one}') > 0 "
        f"AND countIf({{purchase}} AND {{{quiet}}} AND s_product_line = '{other}') = 0",
    )


def _spent(draw: Random) -> Drawn:
    days, revenue = draw.choice(_LONG), draw.choice(_REVENUES[2:]) * draw.choice((1, 2))
    return (
        f"sum(purchase.revenue) > {revenue} within {days}d",
        f"sumIf(n_revenue, {{purchase}} AND {{{days}}}) > {revenue}",
    )


def _regular(draw: Random) -> Drawn:
    days, times = draw.choice(_LONG), draw.randint(2, 5)
    coupon = draw.random() < 0.3
    if coupon:
        return (
            f"count(purchase) >= {times} within {days}d "
            f"and no purchase[coupon exists] within {days}d",
            f"countIf({{purchase}} AND {{{days}}}) >= {times} "
            f"AND countIf({{purchase}} AND {{{days}}} AND s_coupon IS NOT NULL) = 0",
        )
    return (
        f"count(purchase) >= {times} within {days}d and visit within 30d",
        f"countIf({{purchase}} AND {{{days}}}) >= {times} AND countIf({{visit}} AND {{30}}) > 0",
    )


def _spending_more(draw: Random) -> Drawn:
    days = draw.choice((30, 60, 90))
    return (
        f"sum(purchase.revenue within {days}d) > 2 * "
        f"sum(purchase.revenue between {days}d and {2 * days}d ago)",
        f"ifNull(sumIf(n_revenue, {{purchase}} AND {{{days}}}), 0) > 2 * ifNull("
        f"sumIf(n_revenue, {{purchase}} AND {{{2 * days}}} AND NOT {{{days}}}), 0)",
    )


def _referring(draw: Random) -> Drawn:
    name, days = draw.choice([*_REFERRED]), draw.choice(_LONG)
    return (
        f"in segment {name} and visit within {days}d",
        f"({_REFERRED[name]}) AND countIf({{visit}} AND {{{days}}}) > 0",
    )


def _premium(draw: Random) -> Drawn:
    plan, days = draw.choice(("plus", "premium", "free")), draw.choice(_LONG)
    return f'user.plan = "{plan}" and purchase within {days}d', None


def _at_risk(draw: Random) -> Drawn:
    share, days = draw.choice((50, 60, 75, 80, 90, 95)), draw.choice(_LONG)
    return f"score.churn >= 0.{share} and purchase within {days}d", None


def _abandoned(draw: Random) -> Drawn:
    days, hours = draw.choice(_SHORT[2:]), draw.choice((1, 6, 24, 48))
    return f"add_to_cart within {days}d then no purchase within {hours}h", None


def _quick(draw: Random) -> Drawn:
    days, hours = draw.choice(_LONG), draw.choice((1, 6, 24, 48, 72))
    return f"(product_view then purchase within {hours}h) within {days}d", None


def _best(draw: Random) -> Drawn:
    days, number = draw.choice(_LONG), draw.choice((1000, 5000, 10_000, 20_000))
    return (
        f"purchase within {days}d keep top {number} by sum(purchase.revenue within {days}d)",
        None,
    )


_TEMPLATES: tuple[tuple[str, Callable[[Random], Drawn], int], ...] = (
    ("retargeting", _viewed, 16),
    ("retargeting", _viewed_often, 14),
    ("retargeting", _viewed_dear, 10),
    ("retargeting", _visited_page, 12),
    ("retargeting", _abandoned, 2),
    ("suppression", _bought, 14),
    ("suppression", _refunded, 8),
    ("winback", _gone_quiet, 22),
    ("winback", _still_visiting, 14),
    ("winback", _at_risk, 4),
    ("cross_sell", _other_line, 30),
    ("cross_sell", _premium, 8),
    ("cross_sell", _quick, 2),
    ("lookalike", _spent, 14),
    ("lookalike", _regular, 14),
    ("lookalike", _spending_more, 4),
    ("lookalike", _referring, 8),
    ("lookalike", _best, 2),
)
_WEIGHTED = ([(kind, make) for kind, make, _ in _TEMPLATES], [w for *_, w in _TEMPLATES])
