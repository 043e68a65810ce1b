"""Random syntax trees, straight from the nodes: every tree is one that some text parses to.

`Trees` makes them from a source of small numbers, `draw(n)` with 0 <= draw(n) < n, so that
hypothesis and plain `random` can both drive it. Zero always leads to the simplest tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from relo_dsl.syntax import nodes
from relo_dsl.syntax.nodes import Expr, Name, Path
from relo_dsl.syntax.tables import HEADERS, load_tables

T = TypeVar("T")
Draw = Callable[[int], int]

_PLAIN = ("a", "purchase", "revenue", "b2", "x_y", "event", "user", "rfm", "count", "first")
_ODD = ("Order Completed", "Total Paid", "a`b", "ñandú", "9lives", "x.y", "#no comment", '"', "🙂")
_NAMES = (*_PLAIN, *_PLAIN, *_ODD, *sorted(load_tables().words))
_STRINGS = ("", "MX", 'a"b', "a\\", "a\nb\r\x00", "# none", "ñ🙂\u202e", "`", "x" * 45, "\\u{41}")
_UNITS = (86_400_000, 1, 1000, 60_000, 3_600_000, 604_800_000)
_DATES = (
    *("2026-01-15", "2024-02-29", "2026-01-15T09:30", "2026-01-15T09:30:01.250Z"),
    "2026-01-15T09:30:00+02:00",
)
_PERIODS = ("2026", "2026-Q1", "2026-12", "2026-01-15")
_NAMED = (
    *("today", "yesterday"),
    *(f"{which} {unit}" for which in ("this", "last") for unit in ("week", "month", "year")),
)
_CALENDAR: tuple[Any, ...] = ("days", "weeks", "months")


class Trees:
    """Makes random nodes."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    # ---- choices -------------------------------------------------------------------------------

    def one(self, options: Sequence[T]) -> T:
        return options[self.draw(len(options))]

    def call(self, *options: Callable[[], T]) -> T:
        return self.one(options)()

    def flag(self) -> bool:
        return self.draw(2) == 1

    def maybe(self, make: Callable[[], T]) -> T | None:
        return make() if self.flag() else None

    def many(self, make: Callable[[], T], least: int = 1, most: int = 3) -> tuple[T, ...]:
        return tuple(make() for _ in range(least + self.draw(most - least + 1)))

    # ---- words ---------------------------------------------------------------------------------

    def name(self) -> Name:
        return Name(self.one(_NAMES))

    def plain_name(self) -> Name:
        return Name(self.one(_PLAIN))

    def string(self) -> nodes.String:
        return nodes.String(self.one(_STRINGS))

    def decimal(self) -> Decimal:
        return Decimal(self.draw(2_000_001) - 1_000_000) / self.one((1, 1000))

    def number(self) -> nodes.Number:
        return nodes.Number(self.decimal())

    def count(self) -> nodes.Number:
        return nodes.Number(Decimal(1 + self.draw(999)))

    def share(self) -> nodes.Number:
        return nodes.Number(Decimal(self.draw(10_001)) / 100, percent=True)

    def duration(self) -> nodes.Duration:
        millis = (1 + self.draw(90)) * self.one(_UNITS)
        return nodes.Duration(millis + self.draw(3) * self.one(_UNITS))

    def date(self) -> nodes.Date:
        return nodes.Date(self.one(_DATES))

    def window(self) -> nodes.Window:
        options: tuple[Callable[[], nodes.Window], ...] = (
            lambda: nodes.Within(self.duration()),
            lambda: nodes.WithinNext(self.duration()),
            lambda: nodes.Between(nodes.Duration(7), nodes.Duration(8 + self.draw(10**9))),
            lambda: nodes.BeforeAgo(self.duration()),
            lambda: nodes.Since(self.date()),
            lambda: nodes.BeforeDate(self.date()),
            lambda: nodes.FromTo(nodes.Date("2020-01-01"), self.date()),
            lambda: nodes.OnPeriod(self.one(_PERIODS)),
            lambda: nodes.NamedPeriod(self.one(_NAMED)),
            lambda: nodes.WithinCalendar(1 + self.draw(20), self.one(_CALENDAR)),
        )
        return self.one(options)()

    # ---- operands ------------------------------------------------------------------------------

    def path(self) -> Path:
        return Path(self.many(self.name))

    def rest(self) -> tuple[Name, ...]:
        return self.many(self.name, 0, 2)

    def base(self) -> Any:
        return self.call(
            self.path,
            lambda: nodes.Alternatives(self.many(self.path, 2), self.rest()),
            lambda: nodes.AnyOf(self.path()),
        )

    def primary(self, depth: int) -> Expr:
        if depth <= 0:
            plain: tuple[Callable[[], Expr], ...] = (self.path, self.number, self.string)
            return self.one(plain)()
        options: tuple[Callable[[], Expr], ...] = (
            self.base,
            self.number,
            self.string,
            lambda: nodes.Boolean(self.flag()),
            lambda: nodes.Selection(self.base(), self.expr(depth - 1), self.rest()),
            lambda: nodes.Call(self.name(), self.expr(depth - 1), self.rest()),
            lambda: nodes.InReference(self.one(("segment", "list")), self.name()),
            lambda: nodes.Affine(self.string(), self.maybe(lambda: 1 + self.draw(9))),
            lambda: self.paren(depth),
        )
        return self.one(options)()

    def paren(self, depth: int) -> Expr:
        """Parentheses that the tree keeps: those around chains and sums are its shape."""
        inner = self.expr(depth - 1)
        if isinstance(inner, nodes.Arithmetic | nodes.Paren):
            return inner
        return nodes.Paren(self.primary(0) if isinstance(inner, nodes.Chain) else inner)

    def factor(self, depth: int) -> Expr:
        operand = self.primary(depth)
        unsigned = isinstance(operand, nodes.Number) and operand.value >= 0
        return operand if unsigned or self.draw(8) < 7 else nodes.Negative(operand)

    def sum(self, depth: int) -> Expr:
        """What stands on either side of a comparison."""
        if self.draw(4) < 3 or depth <= 0:
            return self.factor(depth)
        return nodes.Arithmetic(
            self.one(("+", "-", "*", "/")), self.sum(depth - 1), self.sum(depth - 1)
        )

    # ---- conditions ----------------------------------------------------------------------------

    def comparison(self, depth: int) -> Expr:
        left = self.sum(depth)
        if self.flag():
            return left
        ops: tuple[nodes.CompareOp, ...] = (">", "=", "!=", "<", "<=", ">=")
        return nodes.Compare(self.one(ops), left, self.sum(depth))

    def postfix(self, depth: int) -> Expr:
        operand = self.comparison(depth)
        if depth > 0 and self.draw(6) == 5:
            operand = self.chain(depth - 1)
        for _ in range(self.draw(3)):
            operand = self.suffixed(operand, depth - 1)
        return operand if not isinstance(operand, nodes.Chain) else self.suffixed(operand, depth)

    def suffixed(self, operand: Expr, depth: int) -> Expr:
        return self.call(
            lambda: nodes.Windowed(operand, self.window()),
            lambda: nodes.HeldFor(operand, self.duration()),
            lambda: nodes.Anniversary(operand, self.window()),
            lambda: self.regularity(operand),
            lambda: nodes.OneOf(operand, self.many(lambda: self.sum(depth)), self.flag()),
            lambda: self.in_range(operand),
            lambda: self.text_match(operand, depth),
            lambda: nodes.Has("one", operand, (self.sum(depth),)),
            lambda: nodes.Has("any", operand, self.many(lambda: self.sum(depth))),
            lambda: nodes.Has("all", operand, self.many(lambda: self.sum(depth))),
            lambda: nodes.Exists(operand, self.flag()),
            lambda: nodes.IsNamed(operand, self.name()),
            lambda: self.near(operand),
            lambda: nodes.InZone(operand, self.string()),
            lambda: nodes.OrMissing(operand),
        )

    def regularity(self, operand: Expr) -> Expr:
        least = 1 + self.draw(9)
        of = self.one(_CALENDAR) if self.flag() else self.duration()
        return nodes.Regularity(operand, least, least + self.draw(9), of)

    def in_range(self, operand: Expr) -> Expr:
        low, high = sorted((self.decimal(), self.decimal()))
        return nodes.InRange(operand, nodes.Number(low), nodes.Number(high), self.flag())

    def text_match(self, operand: Expr, depth: int) -> Expr:
        ways: tuple[Any, ...] = ("contains", "starts with", "ends with", "matches")
        return nodes.TextMatch(self.one(ways), operand, self.sum(depth), self.flag())

    def near(self, operand: Expr) -> Expr:
        metres = Decimal(1 + self.draw(10**6)) / self.one((10, 1)) if self.flag() else Decimal(5000)
        point = Decimal(self.draw(1801) - 900) / 10, Decimal(self.draw(3601) - 1800) / 10
        return nodes.NearPoint(operand, metres, self.string() if self.flag() else point)

    def sequence(self, depth: int) -> Expr:
        def step() -> nodes.Step:
            return nodes.Step(self.postfix(depth - 1), self.flag())

        return nodes.Sequence((nodes.Step(self.postfix(depth - 1)), *self.many(step)))

    def unary(self, depth: int) -> Expr:
        if depth <= 0:
            return self.postfix(0)
        return self.call(
            lambda: self.postfix(depth),
            lambda: self.postfix(depth),
            lambda: nodes.No(self.unary(depth - 1)),
            lambda: nodes.Not(self.unary(depth - 1)),
            lambda: nodes.Not(self.chain(depth - 1)),
            lambda: nodes.Repeat(self.window()),
            lambda: self.sequence(depth),
        )

    def chain(self, depth: int) -> Expr:
        def operand() -> Expr:
            nested = depth > 0 and self.draw(5) == 4
            return self.chain(depth - 1) if nested else self.unary(depth - 1)

        return nodes.Chain(self.one(("and", "or")), self.many(operand, 2, 4))

    def expr(self, depth: int = 3) -> Expr:
        """An expression of any kind."""
        return self.chain(depth) if depth > 0 and self.flag() else self.unary(depth)

    # ---- files ---------------------------------------------------------------------------------

    def refresh(self) -> nodes.Refresh:
        return self.call(
            lambda: nodes.Refresh("realtime"),
            lambda: nodes.Refresh("hourly"),
            lambda: nodes.Refresh("daily", self.maybe(lambda: self.draw(1440))),
            lambda: nodes.Refresh(
                "weekly",
                self.maybe(lambda: self.draw(1440)),
                self.maybe(lambda: self.one(("monday", "sunday"))),
            ),
            lambda: nodes.Refresh("every", every=self.duration()),
            lambda: nodes.Refresh("cron", cron=self.string()),
        )

    def header(self, word: str) -> nodes.Header:
        keyword = "require consent" if word == "require" else word
        match word:
            case "client" | "minimum":
                return nodes.Header(keyword, self.count())
            case "type":
                return nodes.Header(keyword, self.name())
            case "refresh":
                return nodes.Header(keyword, self.refresh())
            case "ttl":
                return nodes.Header(keyword, self.duration())
            case "export" | "require" | "tags":
                entry: Callable[[], Any] = lambda: self.call(self.name, self.string, self.count)  # noqa: E731
                return nodes.Header(keyword, self.many(entry))
            case _:
                return nodes.Header(keyword, self.string())

    def let(self, depth: int) -> nodes.Let:
        return nodes.Let(self.plain_name(), self.expr(depth))

    def keep(self) -> nodes.Keep:
        amount = self.call(self.count, self.share)
        return nodes.Keep(self.one(("top", "bottom")), amount, self.sum(1))

    def definition(self, depth: int = 2) -> nodes.Definition:
        """A whole definition, tests included."""
        published = not self.flag()
        words = HEADERS if published else ("label", "client", "timezone")
        return nodes.Definition(
            "audience" if published else "segment",
            self.plain_name(),
            tuple(self.header(word) for word in words if self.draw(4) == 3),
            self.many(lambda: self.let(depth), 0, 2),
            self.expr(depth),
            self.maybe(self.keep) if published else None,
            self.maybe(self.share) if published else None,
            self.maybe(self.share) if published else None,
            self.many(self.test, 0, 2),
        )

    def file(self, depth: int = 2) -> nodes.File:
        """A whole file."""

        def item() -> Any:
            return self.call(lambda: self.let(depth), lambda: self.definition(depth))

        return nodes.File(self.many(item, 0, 3))

    # ---- tests ---------------------------------------------------------------------------------

    def value(self, depth: int = 2) -> Any:
        if depth == 0 or self.draw(4) < 3:
            return self.call(
                self.number, self.string, lambda: nodes.Boolean(self.flag()), lambda: None
            )
        if self.flag():
            return self.many(lambda: self.value(depth - 1), 0, 2)
        return nodes.TestObject(self.many(lambda: (self.name(), self.value(depth - 1)), 0, 2))

    def record(self) -> nodes.TestRecord:
        def entry() -> tuple[Name | None, Any]:
            if self.draw(5) == 4:
                return None, nodes.Number(Decimal(self.draw(256)))
            return self.name(), self.value()

        moment = self.call(
            lambda: nodes.Moment(self.duration()),
            lambda: nodes.Moment(at=self.date()),
            lambda: nodes.Moment(),
        )
        return nodes.TestRecord(self.name(), self.many(entry, 0, 3), moment)

    def test(self) -> nodes.Test:
        def given() -> Any:
            if self.flag():
                return nodes.GivenList(self.name(), self.many(self.name))
            return nodes.GivenDevice(self.name(), self.many(self.record, 0))

        def expect() -> nodes.Expect:
            bounds = self.maybe(self.date), self.maybe(self.date)
            return nodes.Expect(self.many(self.name), self.flag(), *bounds)

        return nodes.Test(
            self.string(), self.many(self.date), self.many(given, 0), self.many(expect, 0)
        )


def _below(draw: DrawFn) -> Draw:
    return lambda n: draw(st.integers(0, n - 1)) if n > 1 else 0


@st.composite
def expressions(draw: DrawFn, depth: int = 3) -> Expr:
    """Expressions of every kind, at most `depth` levels of brackets and chains deep."""
    return Trees(_below(draw)).expr(depth)


@st.composite
def definitions(draw: DrawFn, depth: int = 2) -> nodes.Definition:
    """Whole definitions."""
    return Trees(_below(draw)).definition(depth)


@st.composite
def files(draw: DrawFn, depth: int = 2) -> nodes.File:
    """Whole files."""
    return Trees(_below(draw)).file(depth)
