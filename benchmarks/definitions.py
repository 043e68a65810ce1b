"""Realistic definitions by the thousand: drawn from templates over the demo shop's catalog.

Deterministic. They look like what stands in `segments/`: a header of two to seven statements, a
`let` or two, two to four clauses; one in five refers to one of the shared segments.
"""

from __future__ import annotations

from random import Random

from relo_dsl.catalog import load_catalog
from relo_dsl.diagnostics import Severity
from relo_dsl.source import SourceFile
from relo_dsl.workspace import Workspace
from relo_server.demo.project import shipped_definitions

SHARED = """\
# What several audiences share.
segment regular
  label "Comes more than once a week"
match
  count(purchase) >= 15 within 90d

segment family
  label "Familias con niños"
let baby_basket = purchase[any products[category in ("BABY FOODS", "INFANT FORMULA")]]
match
  user.kids >= 1
  or count(baby_basket) >= 2 within 180d

segment bargain_hunter
  label "Lives on discounts"
let bargain = purchase[discount > revenue or with_coupon = true]
match
  count(bargain) >= 2 within 90d
  and sum(purchase.discount within 90d) > 0.2 * sum(purchase.revenue within 90d)

segment pet_owner
  label "Tiene mascota"
match
  count(purchase[any products[category matches "^(DOG|CAT) (FOODS?|LITTER)$"]]) >= 3 within 180d
"""
#: How many definitions `SHARED` holds.
SHARED_COUNT = 4
_SEGMENTS = ("regular", "family", "bargain_hunter", "pet_owner")
_TYPES = ("retargeting", "suppression", "winback", "lookalike", "cross_sell")
_DESTINATIONS = ("meta", "google_ads", "tiktok", "dv360", "trade_desk", "email", "push", "onsite",
                 "crm", "store_app", "till_coupons", "agency")  # fmt: skip
_REFRESH = ("hourly", "daily", "daily at 03:00", "weekly on monday", "weekly on friday at 18:30",
            "every 6h", 'cron "0 9 1 * *"')  # fmt: skip
_DEPARTMENTS = ("GROCERY", "PRODUCE", "MEAT", "SEAFOOD", "DRUG GM", "DELI", "PASTRY", "NUTRITION")
_CATEGORIES = ("COFFEE", "DOG FOODS", "BABY FOODS", "COLD CEREAL", "FROZEN PIZZA", "SOFT DRINKS",
               "FLUID MILK PRODUCTS", "CHEESE", "YOGURT", "ICE CREAM")  # fmt: skip
_AGES = ("19-24", "25-34", "35-44", "45-54", "55-64", "65+")
_DAYS = (7, 14, 21, 30, 45, 60, 75, 90, 120, 150, 180, 270, 365)


def definitions(number: int) -> list[SourceFile]:
    """A file of shared segments, and files of one audience each: `number` definitions in all."""
    draw = Random(20260615)
    shared = SourceFile("shared.seg", SHARED)
    files = [shared]
    workspace = Workspace(load_catalog(shipped_definitions() / "catalog.yaml"), client=3)
    workspace.add(shared)
    seen: set[str] = set()
    while len(files) <= number - SHARED_COUNT:
        lets, condition = _body(draw)
        if condition in seen:
            continue
        seen.add(condition)
        name = f"audience_{len(seen)}"
        text = f"audience {name}\n{_header(draw)}\n{lets}match\n  {condition}\n"
        file = SourceFile(f"{name}.seg", text)
        workspace.add(file)
        # What was drawn may contradict itself: a hundred times in two thousand.
        if not any(item.severity is Severity.ERROR for item in workspace.errors_of([name])):
            files.append(file)
    return files


def _header(draw: Random) -> str:
    exports = ", ".join(draw.sample(_DESTINATIONS, draw.randint(1, 3)))
    lines = [f'label "Target group no. {draw.randrange(10_000)}"', f"export {exports}"]
    optional = [
        f"type {draw.choice(_TYPES)}",
        f"refresh {draw.choice(_REFRESH)}",
        'timezone "America/Mexico_City"',
        f"ttl {draw.choice(_DAYS)}d",
        'owner "performance team"',
        "tags paid_media, always_on",
    ]
    lines += draw.sample(optional, draw.randint(0, 4))
    return "".join(f"  {line}\n" for line in lines)


def _body(draw: Random) -> tuple[str, str]:
    """The `let`s and the condition."""
    first, second = _basket(draw), _basket(draw)
    kept = draw.choice((0, 0, 1, 2) if first != second else (0, 1))
    named = {"liked": first, "other": second} if kept == 2 else {"liked": first} if kept else {}
    lets = "".join(f"let {name} = purchase[{where}]\n" for name, where in named.items())
    selections = ["purchase", f"purchase[revenue > {draw.randint(5, 200)}]", *named]
    clauses = [f"{name} within {draw.choice(_DAYS)}d" for name in [*named][:1]]
    clauses += [f"no {name} within {draw.choice(_DAYS)}d" for name in [*named][1:]]
    makers = (_measure, _spending, _absence, _trait, _campaign, _alternative)
    for make in draw.sample(makers, draw.randint(2, 3)):
        clauses.append(make(draw, selections))
    if draw.random() < 0.2:
        negated = "not " if draw.random() < 0.3 else ""
        clauses.append(f"{negated}in segment {draw.choice(_SEGMENTS)}")
    return lets, "\n  and ".join(clauses)


def _basket(draw: Random) -> str:
    """A predicate over one purchase."""
    category = draw.choice(_CATEGORIES)
    low, high, store = draw.randint(2, 9), draw.randint(10, 40), draw.randint(300, 400)
    some = ", ".join(f'"{name}"' for name in draw.sample(_DEPARTMENTS, draw.randint(2, 3)))
    return draw.choice(
        (
            f'any products[category = "{category}" and paid > {low}]',
            f"departments has any ({some})",
            f"revenue > {draw.randint(20, 150)} and with_coupon = false",
            f'any products[brand = "Private" and department = "{draw.choice(_DEPARTMENTS)}"]',
            f'any products[category contains "{category.lower()}" ignoring case]',
            f'lines in {low}..{high} or store = "{store}"',
        )
    )


def _measure(draw: Random, selections: list[str]) -> str:
    what = draw.choice(selections)
    days = draw.choice(_DAYS)
    return draw.choice(
        (
            f"count({what}) >= {draw.randint(2, 20)} within {days}d",
            f"count({what}) in {draw.randint(2, 5)}..{draw.randint(6, 30)} within {days}d",
            f"distinct(purchase.store) <= {draw.randint(2, 4)} within {days}d",
            f"sum(purchase.lines) > {draw.randint(50, 400)} within {days}d",
        )
    )


def _spending(draw: Random, _: list[str]) -> str:
    days = draw.choice(_DAYS[:8])
    return draw.choice(
        (
            f"sum(purchase.revenue within {days}d) > {draw.randint(11, 29) / 10} * "
            f"sum(purchase.revenue between {days}d and {2 * days}d ago)",
            f"sum(purchase.revenue) > {draw.randint(10, 300) * 10} within {draw.choice(_DAYS)}d",
            f"avg(purchase.revenue) >= {draw.randint(10, 90)} within {draw.choice(_DAYS)}d",
            f"max(purchase.discount) < {draw.randint(3, 30)} within {draw.choice(_DAYS)}d",
        )
    )


def _absence(draw: Random, _: list[str]) -> str:
    days, revenue = draw.choice(_DAYS[:6]), draw.randint(20, 150)
    return draw.choice(
        (
            f"purchase.revenue > {revenue} within {days + 120}d and not within {days}d",
            f"no coupon within {days}d",
            f'no coupon[kind = "{draw.choice("abc")}"] within {days + 60}d',
        )
    )


def _trait(draw: Random, _: list[str]) -> str:
    ages = ", ".join(f'"{age}"' for age in draw.sample(_AGES, draw.randint(2, 4)))
    return draw.choice(
        (
            f"(user.age in ({ages}) or missing)",
            f"user.age in ({ages})",
            f"user.household_size >= {draw.randint(2, 5)}",
            f'user.home != "{draw.choice(("Homeowner", "Renter"))}"',
        )
    )


def _campaign(draw: Random, _: list[str]) -> str:
    kinds = ", ".join(f'"{kind}"' for kind in draw.sample("abc", 2))
    return f"campaign.kind in ({kinds}) within {draw.choice(_DAYS)}d"


def _alternative(draw: Random, selections: list[str]) -> str:
    return f"({_measure(draw, selections)} or {_campaign(draw, selections)})"
