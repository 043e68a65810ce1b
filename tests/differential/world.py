"""The catalog that random definitions name, and the pools that both they and the data draw from.

Small pools: a definition and a history that were drawn apart must still speak of the same things.
"""

from __future__ import annotations

from dataclasses import dataclass

from relo_dsl.catalog import Catalog, PropertySpec, PropertyType, parse_catalog

_EVENTS = """
events:
  purchase:
    properties:
      revenue: number
      total: number
      currency: string
      city: string
      env: {type: string, enum: [prod, test, dev]}
      paid: boolean
      gift: boolean
      at: time
      due: time
      tags: "string[]"
      amounts: "number[]"
      products: {type: "object[]", fields: {id: string, price: number, gift: boolean, at: time, brand.name: string}}
      address.city: string
      location: point
      Total Paid: number
      code: string
  view:
    properties: {revenue: number, currency: string, tags: "string[]", code: number, at: time, location: point}
  Order Completed:
    properties: {Total Paid: number, products: {type: "object[]", fields: {id: string, price: number}}}
  login: {}
traits:
  plan: {type: string, enum: [free, premium]}
  city: string
  address.city: string
  age: number
  height: number
  vip: boolean
  born: time
  home: point
  seen: time
  tags: "string[]"
  nums: "number[]"
  Loyalty Tier: string
lists: {vip: {}, Blocked Ones: {}}
scores: {churn: {}, Upgrade Score: {}}
rfm:
  recency: [1, 7, 30, 60]
  frequency: [4, 3, 2, 1]
  frequency_days: 30
  monetary: [10, 3, 1, 0.5]
  patterns: {regulars: {recency: [2, 5], frequency: 1}}
places:
  polanco: [19.4336, -99.1909]
  north_pole: [90, 0]
  Null Island: {lat: 0, lon: 0}
  dateline: {latitude: 0.5, longitude: 180}
zones:
  square: [[0, 0], [1, 0], [1, 1], [0, 1]]
  diamond: [[2, 0], [0, 2], [-2, 0], [0, -2]]
  bow: [[0, 0], [1, 1], [1, 0], [0, 1]]
  centro: [[19.44, -99.15], [19.44, -99.12], [19.42, -99.12], [19.42, -99.15]]
  thin: [[10, 10], [10, 20], [10, 15]]
destinations: {crm: {consent: [email, analytics]}, mixed: {consent: [dsp, push, reserved]}}
"""  # noqa: E501

#: Endings of the catalog: what a client may be configured to.
_RULES = {
    "opt-out": "consent_default: opt-out\n",
    "opt-in": "consent_default: opt-in\n",
    "kept 2 to 5 months": (
        "retention: {months: 2, extended_months: 5}\naffinity: {event: purchase, product: code}\n"
    ),
    "kept 1 month, opt-in": "consent_default: opt-in\nretention: {months: 1, extended_months: 1}\n",
    "kept 3 to 4 months, opt-in": (
        "consent_default: opt-in\nretention: {months: 3, extended_months: 4}\n"
        "affinity: {event: view, product: tags}\n"
    ),
}
CATALOG_TEXTS: dict[str, str] = {name: _EVENTS + rules for name, rules in _RULES.items()}
CATALOGS: dict[str, Catalog] = {name: parse_catalog(text) for name, text in CATALOG_TEXTS.items()}
CATALOG = CATALOGS["opt-out"]

LISTS = ("vip", "Blocked Ones")
DEVICES = tuple("abcdefghijklmnopqrst")

STRINGS = (
    "a", "MX", "mx", "", "Mx", "aMXb", "é", "É", "Σ", "ς", "ας", "ΑΣ", "İ", "i", "ß", "SS", "\0",
    "x\0y", "line\nbreak", '"', "\\", "'", "{p1:String}", "😀", "مرحبا", "a.b", "%", " ", "ab",
)  # fmt: skip
PATTERNS = (
    "a", "^a", "b$", "M.", "a|M", "^$", "", ".", "^.$", "[A-M]+", "(?i)mx", "x?", "\\\\", "\\.",
    "(a|b)+", "^(?:MX|a)$", "😀", "\\x00", "é", "[^a]", "\\bMX\\b", "line.break", "a{2}", "\\pL",
    "(?:a|)b", "(MX)?", "ab|a", "\\QM\\E", "s", "ß", "(?s).", "(?-s)line.b", "ς", "^x.y$",
)  # fmt: skip
NUMBERS = (
    "1", "2", "0", "3", "-1", "0.5", "10", "0.1", "0.2", "0.3", "-0.5", "0.000000001",
    "-0.000000001", "100", "100000000000000", "99999999999999.999999999", "-100000000000000",
    "999999999999999.999999999", "1.000000001", "7", "0.333333333",
)  # fmt: skip
FEW_NUMBERS = ("1", "2", "0", "3", "-1", "0.5", "10")


@dataclass(frozen=True, slots=True)
class Named:
    """A property as a definition writes it and as data name it."""

    name: str
    spec: PropertySpec

    @property
    def type(self) -> PropertyType:
        return self.spec.type

    @property
    def text(self) -> str:
        return dotted(self.name)


def dotted(name: str) -> str:
    """A name as text: backticks where the plain spelling would not do."""
    return ".".join(_quoted(part) for part in name.split("."))


def _quoted(part: str) -> str:
    plain = part.isascii() and part.replace("_", "").isalnum() and part == part.lower()
    return part if plain else f"`{part}`"


def properties(events: tuple[str, ...]) -> list[Named]:
    """The properties that a selection of these events (none: any) may name without doubt."""
    names = events or tuple(CATALOG.events)
    found: dict[str, PropertySpec] = {}
    doubtful: set[str] = set()
    for event in names:
        for name, spec in CATALOG.events[event].properties.items():
            if name in found and found[name].type is not spec.type:
                doubtful.add(name)
            found.setdefault(name, spec)
    return [Named(name, spec) for name, spec in found.items() if name not in doubtful]


TRAITS = [Named(name, spec) for name, spec in CATALOG.traits.items()]
