"""What `hover` says of a place: names, windows, lengths, in two languages, with and without
mistakes around. The place is where `‸` stands in a text.
"""

from __future__ import annotations

import random

import pytest
from syrupy.assertion import SnapshotAssertion

from relo_dsl.catalog import Catalog, parse_catalog
from relo_dsl.hover import Hover, Language, hover
from relo_dsl.source import SourceFile
from relo_dsl.times import parse_instant
from relo_dsl.workspace import Workspace

NOW = parse_instant("2026-06-15T12:00:00Z")
ZONE = "America/Mexico_City"


def catalog() -> Catalog:
    return parse_catalog(
        """
events:
  purchase:
    description: {en: A paid order, es: Una compra pagada}
    properties:
      revenue: {type: number, unit: MXN, description: What was paid}
      currency: {type: string, enum: [MXN, USD]}
      address.city: string
      due: time
      products: {type: "object[]", fields: {id: string, price: {type: number, unit: MXN}}}
  af_purchase: {properties: {revenue: number}}
  visit: {properties: {location: point}}
traits:
  plan: {type: string, enum: [free, premium], description: {en: The plan, es: El plan}}
  birthday: time
scores: {churn: {description: How likely the device is to leave}}
rfm: {patterns: {loyal: {frequency: [4, 5]}}}
lists: {vip: {description: Invited by hand}}
places: {polanco: {lat: 19.4336, lon: -99.1909}}
zones: {centro: [[19.44, -99.15], [19.44, -99.12], [19.42, -99.12]]}
destinations: {crm: {consent: [email, dsp], minimum: 100, description: The newsletter tool}}
"""
    )


def at(text: str, language: Language = "en", zone: str = "UTC") -> tuple[Hover | None, str]:
    """What is said at the mark, and the text that it is about."""
    if "audience" not in text and not text.startswith(("segment", "let")):
        text = f"audience example\nmatch\n  {text}"
    offset = text.index("‸")
    source = SourceFile("example.seg", text.replace("‸", ""))
    workspace = Workspace(catalog(), 3, zone, frozenset({"vip", "uploaded"}))
    workspace.add(SourceFile("buyers.seg", BUYERS))
    workspace.add(source)
    found = hover(workspace, source, offset, NOW, language)
    return found, "" if found is None else source.slice(found.span)


BUYERS = """\
segment buyers
  label "Whoever bought"
  description "In a quarter"
match
  purchase within 90d
  and not in list vip
"""

PLACES = [
    "‸purchase within 30d",
    "purchase.‸revenue > 5",
    'purchase.address.‸city = "Puebla"',
    'purchase.‸address.city = "Puebla"',
    'purchase[‸currency = "MXN"]',
    "(purchase | af_purchase)[‸revenue > 5]",
    "(purchase | af_purchase).‸revenue > 5",
    "any event[‸location exists]",
    "any event.‸revenue > 5",
    'purchase.‸products.id has "SKU-1"',
    'purchase.products.‸id has "SKU-1"',
    "purchase[any ‸products[price > 5]]",
    "purchase[any products[‸price > 5]]",
    "purchase[revenue > 5].‸due today",
    'last(purchase).‸currency = "MXN"',
    "sum(purchase.‸revenue) > 5",
    'user.‸plan = "free"',
    '‸user.plan = "free"',
    "in list ‸vip",
    "in list ‸uploaded",
    "in segment ‸buyers",
    "visit.location within 1.5‸km of (19.4, -99.1)",
    'visit.location within 800m of place(‸"polanco")',
    'visit.location in zone("‸centro")',
    "‸score.churn > 0.5",
    "score.‸churn > 0.5",
    "rfm.‸recency = 5",
    "rfm is ‸champions",
    "rfm is ‸loyal",
    'audience x match purchase test "t" at 2026-06-15 given ana: score(‸churn: 0.5) now',
    "audience x export ‸crm match purchase",
    "audience x export ‸meta match purchase",
    "audience x require consent ‸email match purchase",
    "audience x type ‸suppression match purchase",
    "let ‸big = purchase[revenue > 5]\naudience x match big within 3d",
    'let big = purchase[revenue > 5]\naudience x match big.‸currency = "MXN"',
    "let big = purchase[revenue > 5]\naudience x match ‸big within 3d",
    "purchase ‸within 30d",
    "purchase within ‸1d12h",
    "purchase between 30d ‸and 60d ago",
    "purchase ‸before 30d ago",
    "purchase since ‸2026-01-15",
    "purchase before ‸2026-01-15T09:30Z",
    "purchase from 2026-01-15 ‸to 2026-01-31",
    "purchase in ‸2026",
    "purchase in ‸2026-Q1",
    "purchase in ‸2027",
    "purchase on ‸2026-01-15",
    "purchase ‸this week",
    "purchase ‸yesterday",
    "purchase within 3 ‸calendar months",
    "purchase[due ‸today]",
    "purchase.due ‸today since 2026-01-01",
    "purchase.due today ‸since 2026-01-01",
    "purchase[due ‸before 2026-01-01]",
    "user.birthday anniversary within ‸next 7d",
    "purchase.revenue > 5 within 30d and not ‸within 7d",
    "purchase then visit ‸within 1h",
    "purchase then no visit within ‸24h",
    "(purchase then visit within 1h) ‸within 7d",
    'user.plan = "free" for ‸7d',
    'audience x match purchase test "t" at ‸2026-06-15 given ana: purchase() now expect ana',
    'audience x match purchase test "t" at 2026-06-15 given ana: ‸purchase(revenue: 5) now',
    'audience x match purchase test "t" at 2026-06-15 given ana: purchase(‸revenue: 5) now',
    'audience x match purchase test "t" at 2026-06-15 given ana: purchase('
    "products: [{‸price: 5}]) now",
    'audience x match purchase test "t" at 2026-06-15 given ana: identify(‸plan: "free") now',
    'audience x match purchase test "t" at 2026-06-15 given ana: ‸identify(plan: "free") now',
    'audience x match purchase test "t" at 2026-06-15 given ana: and list ‸vip: ana',
]


@pytest.mark.parametrize("language", ["en", "es"])
def test_places(language: Language, snapshot: SnapshotAssertion) -> None:
    said = []
    for text in PLACES:
        found, about = at(text, language, ZONE)
        assert found is not None, text
        said.append(f"{text}\n[{about}]\n\n{found.markdown}\n")
    assert "\n----\n".join(said) == snapshot


@pytest.mark.parametrize(
    "text",
    [
        "purchase.revenue > ‸15_000",
        'purchase.currency = "‸MXN"',
        "‸nothing within 3d",
        "purchase.‸nothing > 5",
        "in segment ‸nothing",
        "rfm is ‸nothing",
        "audience x export ‸nothing match purchase",
        'visit.location within 800m of place("‸nothing")',
        "purchase # and ‸within a comment",
        "purchase  ‸  # nothing at all",
        "(‸ purchase )",
        "audience x match purchase sample ‸5%",
        'audience x label "‸Big" match purchase',
        'audience x match purchase test "t" at 2026-06-15 given ‸ana: purchase() now',
    ],
)
def test_nothing_is_said_of_literals_and_unknown_names(text: str) -> None:
    assert at(text)[0] is None


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("‸purchase within 30 dayz and and", "**`purchase`** — event"),
        ("purchase ‸within 30d and (visit", "**`within DURATION`**"),
        ("purchase.‸revenue > and visit", "**`revenue`** — property of `purchase`"),
        ("== purchase and ‸no visit", "**`no EVENTS [WINDOW]`**"),
        ("audience x clent 3 export ‸crm match purchase", "**`crm`** — destination"),
        ("audience x match purchase and ( and in list ‸vip", "**`vip`** — list"),
        ("purchase within ‸30m", "None"),
        ("purchase on ‸2026-02-30", "**`on DATE`**"),
    ],
)
def test_mistakes_around_it_are_no_obstacle(text: str, starts: str) -> None:
    found, _ = at(text)
    assert (found.markdown if found else "None").startswith(starts)


def test_ends_to_the_millisecond_in_the_zone_of_the_definition() -> None:
    text = f'audience x timezone "{ZONE}" match purchase ‸today'
    found, about = at(text)
    assert about == "today"
    assert found is not None
    assert "- UTC: from `2026-06-15T06:00:00.000Z`, up to `2026-06-15T12:00:00.000Z`" in (
        found.markdown
    )
    assert f"- {ZONE}: from `2026-06-15T00:00:00.000-06:00`, up to" in found.markdown


def test_what_lies_ahead_holds_nothing_yet() -> None:
    found, _ = at("purchase in ‸2027")
    assert found is not None
    assert "nothing lies in it yet" in found.markdown


def test_a_place_right_behind_a_word_is_the_word() -> None:
    found, about = at("purchase‸ within 3d")
    assert found is not None
    assert about == "purchase"


def test_no_place_of_a_broken_text_raises() -> None:
    whole = PLACES[-1].replace("‸", "") + "\n" + BUYERS
    chance = random.Random(1)
    workspace = Workspace(catalog(), 3, ZONE)
    for _ in range(60):
        start = chance.randrange(len(whole))
        text = (
            whole[:start]
            + chance.choice(["", "(", "[", " and ", '"', "."])
            + whole[start + chance.randrange(9) :]
        )
        source = SourceFile("broken.seg", text)
        for offset in range(0, len(text) + 1, 3):
            hover(workspace, source, offset, NOW)
