"""Definitions that keep speaking of the same few things, so that much follows from much."""

from __future__ import annotations

from random import Random

from tests.differential.cases import Case, to_line
from tests.differential.histories import INSTANTS, Historian
from tests.differential.pen import Tape
from tests.differential.vocabulary import Vocabulary
from tests.differential.world import DEVICES, LISTS

_WINDOWS = (
    "", "", "within 1d", "within 2d", "within 3d", "between 1d and 2d ago", "before 2d ago",
    "between 1d and 3d ago", "before 1d ago", "today", "yesterday", "this week", "this month",
    "within 2 calendar days", "within 1 calendar weeks", "this year", "since 2026-06-14",
    "in 2026-06", "in 2026", "on 2026-06-14", "before 2026-06-15", "from 2026-06-10 to 2026-06-14",
    "last week", "last month", "this quarter", "in 2026-Q2",
)  # fmt: skip
_TESTS = (
    "revenue > 1", "revenue >= 1", "revenue < 2", "revenue = 1", "revenue != 1", "revenue in 1..3",
    "revenue not in 1..3", "revenue in (1, 2)", "revenue not in (1, 3)", "revenue exists",
    "revenue is missing", "revenue <= total", "revenue < total", "total < revenue", "total = 1",
    "revenue = total", "(revenue > 1 or missing)", 'currency = "MX"', 'currency in ("MX", "mx")',
    'currency starts with "M"', 'currency contains "X"', 'currency != "MX"', "paid = true",
    "paid != true", "paid = false", 'tags has "a"', 'tags has any ("a", "b")',
    'tags has all ("a", "b")', 'currency not in ("MX", "mx")', 'currency ends with "X"',
    "any products[price > 1]", "any products[price > 0.5 and gift = true]",
    "any products[price > 0]",
)  # fmt: skip
_TRAITS = (
    "user.age > 1", "user.age <= 1", "user.age in 1..3", "user.age = 2", "user.age exists",
    "user.age is missing", '(user.plan = "free" or missing)', 'user.plan = "premium"',
    'user.plan != "free"', "user.vip = true", "user.vip = false", "user.age < user.height",
    'user.tags has "a"', "user.vip != false", "user.age > 1 for 1d", "user.age > 0 for 2d",
    "user.age > 1 for 2d",
)  # fmt: skip
#: With an `affinity` of products that purchases have.
RULES = "kept 2 to 5 months"
_NUMBERS = ("0", "1", "2", "3", "1.5", "-1")
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")


class Narrow:
    """Writes conditions with a source of chance."""

    def __init__(self, chance: Random, *, every: bool) -> None:
        self.chance = chance
        self.every = every  # also what needs the whole language
        self.zone = chance.choice(("UTC", "America/Mexico_City", "Pacific/Apia"))

    def _pick(self, options: tuple[str, ...]) -> str:
        return self.chance.choice(options)

    def condition(self, depth: int) -> str:
        if not depth or self.chance.random() < 0.3:
            return self._leaf()
        op = self._pick((" and ", " or "))
        parts = [self.condition(depth - 1) for _ in range(self.chance.choice((2, 2, 3)))]
        return f"{self._pick(('', '', 'not '))}({op.join(parts)})"

    def _test(self, depth: int = 1) -> str:
        if not depth or self.chance.random() < 0.5:
            return self._pick(_TESTS)
        op = self._pick((" and ", " or "))
        return f"{self._pick(('', 'not '))}({op.join(self._test(depth - 1) for _ in range(2))})"

    def _events(self) -> str:
        if self.chance.random() < 0.25:
            return self._pick(("(purchase | view)", "any event", "view", "login"))
        return "purchase" if self.chance.random() < 0.4 else f"purchase[{self._test()}]"

    def _measure(self) -> str:
        kind = self._pick(("count", "count", "sum", "avg", "min", "max", "distinct"))
        if self.every:
            kind = self._pick((kind, kind, "days", "weeks", "months", "median"))
        if kind in ("count", "days", "weeks", "months"):
            return f"{kind}({self._events()} {self._pick(_WINDOWS)})"
        where = "" if self.chance.random() < 0.5 else f"[{self._test()}]"
        return f"{kind}(purchase{where}.revenue {self._pick(_WINDOWS)})"

    def _leaf(self) -> str:
        kind = self.chance.randrange(13 if self.every else 9)
        if kind < 3:
            return f"{self._pick(('', 'no '))}{self._events()} {self._pick(_WINDOWS)}"
        if kind < 5:
            return f"{self._measure()} {self._pick(_OPERATORS)} {self._pick(_NUMBERS)}"
        if kind == 5 and self.chance.random() < 0.5:
            of = self._pick(("sum(purchase.revenue", "max(purchase.revenue", "count(purchase"))
            one, other = self._pick(_WINDOWS), self._pick(_WINDOWS)
            return f"{of} {one}) {self._pick(_OPERATORS)} {of} {other})"
        if kind == 5:
            return f"{self._measure()} {self._pick(_OPERATORS)} {self._measure()}"
        if kind == 6:
            return self._pick(_TRAITS if self.every else _TRAITS[:-3])
        if kind == 7:
            return self._pick((f"in list {LISTS[0]}", f"count({self._events()}) in 1..2"))
        if kind == 8:
            return self._divided()
        if kind == 9:
            return self._extreme()
        if kind == 10:
            return self._periods()
        if kind == 11:
            return self._affine()
        return self._steps()

    def _divided(self) -> str:
        by = self._pick(("0", "0", "(1 - 1)", "2", f"{self._measure()}"))
        text = f"{self._measure()} / {by}"
        if self.chance.random() < 0.3:
            text = f"{self._measure()} + {text}"
        other = self._pick((*_NUMBERS, f"{self._measure()}"))
        return f"{text} {self._pick(_OPERATORS)} {other}"

    def _periods(self) -> str:
        """Local days, weeks or months of windows so short that few of them are in it."""
        kind = self._pick(("days", "days", "weeks", "months"))
        events = self._pick(("any event", "any event", "purchase"))
        window, most = self._pick(_WINDOWS[2:]), self._pick(("1", "2", "3", "4", "5", "7"))
        return f"{kind}({events} {window}) {self._pick(_OPERATORS)} {most}"

    def _affine(self) -> str:
        """What goes with a product, or the purchases that it is about."""
        product = self._pick(('"a"', '"MX"'))
        if self.chance.random() < 0.5:
            return f"affine to {product} at least {self._pick(('1', '1', '2'))}"
        where = f"[code = {product}]" if self.chance.random() < 0.7 else "[code exists]"
        return f"{self._pick(('', 'no '))}purchase{where} {self._pick(('', 'within 3d'))}"

    def _extreme(self) -> str:
        which = self._pick(("first", "last"))
        events = self._pick(("purchase", "purchase", "any event", "purchase[revenue > 1]"))
        window = self._pick(_WINDOWS[2:])
        if self.chance.random() < 0.5:
            return f"{which}({events}) {window}"
        return f"{which}(purchase).revenue {self._pick(_OPERATORS)} 1 {self._pick(('', window))}"

    def _steps(self) -> str:
        if self.chance.random() < 0.3:
            many = self.chance.choice((1, 2))
            return f"count(purchase) >= {many} in {many} of last {many + 1} periods of 1d"
        gap = self._pick(("", " within 1d", " within 2d"))
        text = f"{self._events()} then {self._pick(('view', 'any event', 'purchase'))}{gap}"
        if self.chance.random() < 0.3:
            text += " then no login within 1h"
        return f"(({text}) {self._pick(('', 'within 3d', 'within 2d'))})"

    def file(self) -> str:
        """An audience of one condition; it may well contradict itself."""
        return f'audience main\n  timezone "{self.zone}"\nmatch\n  {self.condition(2)}\n'


def narrow_case(seed: int, *, every: bool) -> Case:
    """A case whose records gather where its definition looks."""
    chance = Random(seed)
    text = Narrow(chance, every=every).file()
    bare = Case(text, RULES, (), 0, (), ())
    plan = bare.plan(0)
    instant = chance.choice(INSTANTS[:5])
    words = Vocabulary.of(plan)
    raw = []
    for device in DEVICES[:12]:
        historian = Historian(Tape(chance.randbytes(512)), plan, words)
        raw += historian.device(device, historian.edges(instant))
    lists = ((LISTS[0], frozenset(chance.sample(DEVICES[:12], 4))),)
    times = [record["ts"] for record in raw]
    instants = (instant, *(chance.choice(times) + chance.choice((0, 1, -1)) for _ in range(2)))
    return Case(text, RULES, tuple(map(to_line, raw)), 0, lists, instants)
