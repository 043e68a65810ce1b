"""Makes nodes of expressions: one method for each rule of the grammar.

A method takes the span of its rule and the values of its children, without punctuation and
keywords. Suffixes (`within 30d`, `in (…)`, …) become functions that wrap the operand before them.
"""

# ruff: noqa: ARG002, N802 -- methods are named after rules and terminals, which set their arguments
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal, TypeAlias, cast

from relo_dsl.numbers import plain
from relo_dsl.source import Span
from relo_dsl.syntax import nodes
from relo_dsl.syntax.literals import PLAIN_NAME, Literals
from relo_dsl.syntax.nodes import Duration, Expr, Name, Number, Path, String, Window

Suffix: TypeAlias = Callable[[Expr, Span], Expr]


class ExpressionBuilder(Literals):
    """The rules of expressions and windows."""

    # ---- words ---------------------------------------------------------------------------------

    def NAME(self, text: str, span: Span) -> Name:
        name = Name(text, span)
        if not PLAIN_NAME.fullmatch(text):
            source = self.diagnostics.source.text
            if not source[: span.start].endswith("."):  # after a dot any word is a property
                self.check_name(name, text)
        return name

    def duration(self, span: Span, quantity: tuple[str, Span]) -> Duration:
        return self.read_duration(quantity[0], span)

    def boolean(self, span: Span, word: str) -> nodes.Boolean:
        return nodes.Boolean(word == "true", span)

    # ---- operands ------------------------------------------------------------------------------

    def path(self, span: Span, *names: Name) -> Path:
        return Path(names, span)

    def alternatives(self, span: Span, *parts: Path | Name) -> nodes.Alternatives:
        paths = tuple(part for part in parts if isinstance(part, Path))
        rest = tuple(part for part in parts if isinstance(part, Name))
        return nodes.Alternatives(paths, rest, span)

    def any_of(self, span: Span, path: Path) -> nodes.AnyOf:
        return nodes.AnyOf(path, span)

    def selection(self, span: Span, base: Any, where: Expr, *rest: Name) -> nodes.Selection:
        return nodes.Selection(base, where, rest, span)

    def call(self, span: Span, function: Name, argument: Expr, *rest: Name) -> nodes.Call:
        return nodes.Call(function, argument, rest, span)

    def paren(self, span: Span, inner: Expr) -> Expr:
        if isinstance(inner, nodes.Chain):
            return replace(inner, bare=False, span=span)
        if isinstance(inner, nodes.Arithmetic | nodes.Paren):
            return replace(inner, span=span)
        return nodes.Paren(inner, span)

    def in_segment(self, span: Span, name: Name) -> nodes.InReference:
        return nodes.InReference("segment", name, span)

    def in_list(self, span: Span, name: Name) -> nodes.InReference:
        return nodes.InReference("list", name, span)

    def affine(self, span: Span, product: String, least: Number | None = None) -> nodes.Affine:
        return nodes.Affine(product, None if least is None else self.whole(least), span)

    def error(self, span: Span, _: str) -> nodes.ErrorExpr:
        return nodes.ErrorExpr(span)

    # ---- arithmetic and comparisons ------------------------------------------------------------

    def negative(self, span: Span, *parts: Any) -> Expr:
        operand: Expr = parts[-1]
        minus = len(parts) - 1
        if isinstance(operand, Number):
            operand = Number(-operand.value, False, span)
            minus -= 1
        for _ in range(minus):
            operand = nodes.Negative(operand, span)
        return operand

    def arithmetic(self, span: Span, first: Expr, *rest: Any) -> Expr:
        left = first
        for op, right in zip(rest[::2], rest[1::2], strict=True):
            left = nodes.Arithmetic(op, left, right, Span(span.start, right.span.end))
        return left

    def compare(self, span: Span, left: Expr, op: nodes.CompareOp, right: Expr) -> nodes.Compare:
        return nodes.Compare(op, left, right, span)

    # ---- suffixes ------------------------------------------------------------------------------

    def postfix(self, span: Span, operand: Expr, *suffixes: tuple[Suffix, int]) -> Expr:
        for suffix, end in suffixes:
            operand = suffix(operand, Span(span.start, end))
        return operand

    def windowed(self, span: Span, window: Window) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.Windowed(operand, window, whole), span.end

    def one_of(self, span: Span, *values: Expr) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.OneOf(operand, values, False, whole), span.end

    def not_one_of(self, span: Span, *values: Expr) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.OneOf(operand, values, True, whole), span.end

    def in_range(self, span: Span, low: Number, high: Number) -> tuple[Suffix, int]:
        self._check_range(low, high)
        return lambda operand, whole: nodes.InRange(operand, low, high, False, whole), span.end

    def not_in_range(self, span: Span, low: Number, high: Number) -> tuple[Suffix, int]:
        self._check_range(low, high)
        return lambda operand, whole: nodes.InRange(operand, low, high, True, whole), span.end

    def _check_range(self, low: Number, high: Number) -> None:
        if low.value > high.value:
            a, b = plain(low.value), plain(high.value)
            self.diagnostics.report(
                "range-order",
                low.span.to(high.span),
                f"expected the smaller end of the range first, found `{a}..{b}`",
                replacement=f"{b}..{a}",
            )

    def in_zone(self, span: Span, zone: String) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.InZone(operand, zone, whole), span.end

    def regularity(
        self, span: Span, least: Number, periods: Number, length: Duration | str
    ) -> tuple[Suffix, int]:
        k, m = self.whole(least), self.whole(periods)
        if k > m:
            self.diagnostics.report(
                "range-order", least.span, f"expected at most the `{m}` periods, found `{k}`"
            )
        of: Any = length if isinstance(length, Duration) else _plural(length)
        return lambda operand, whole: nodes.Regularity(operand, k, m, of, whole), span.end

    def near(
        self, span: Span, quantity: tuple[str, Span], centre: tuple[Decimal, Decimal] | String
    ) -> tuple[Suffix, int]:
        metres = self.metres(*quantity)
        return lambda operand, whole: nodes.NearPoint(operand, metres, centre, whole), span.end

    def coordinates(self, span: Span, lat: Number, lon: Number) -> tuple[Decimal, Decimal]:
        for number, most, what in ((lat, 90, "latitude"), (lon, 180, "longitude")):
            if abs(number.value) > most:
                self.diagnostics.report(
                    "number-out-of-range",
                    number.span,
                    f"expected a {what} from -{most} to {most}, found `{plain(number.value)}`",
                )
        return lat.value, lon.value

    def place(self, span: Span, name: String) -> String:
        return name

    def limit(self, span: Span, *parts: Any) -> Number:
        number: Number = parts[-1]
        return number if len(parts) == 1 else Number(-number.value, False, span)

    def text_match(
        self, span: Span, how: str, text: Expr, ignoring_case: str | None = None
    ) -> tuple[Suffix, int]:
        words = cast("Literal['contains', 'starts with', 'ends with', 'matches']", _one_line(how))
        ignore = ignoring_case is not None
        return (
            lambda operand, whole: nodes.TextMatch(words, operand, text, ignore, whole),
            span.end,
        )

    def has_one(self, span: Span, value: Expr) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.Has("one", operand, (value,), whole), span.end

    def has_any(self, span: Span, *values: Expr) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.Has("any", operand, values, whole), span.end

    def has_all(self, span: Span, *values: Expr) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.Has("all", operand, values, whole), span.end

    def exists(self, span: Span) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.Exists(operand, False, whole), span.end

    def is_missing(self, span: Span) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.Exists(operand, True, whole), span.end

    def is_named(self, span: Span, name: Name) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.IsNamed(operand, name, whole), span.end

    def or_missing(self, span: Span, _: str) -> tuple[Suffix, int]:
        return nodes.OrMissing, span.end

    def held_for(self, span: Span, length: Duration) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.HeldFor(operand, length, whole), span.end

    def anniversary(self, span: Span, window: Window) -> tuple[Suffix, int]:
        return lambda operand, whole: nodes.Anniversary(operand, window, whole), span.end

    # ---- windows -------------------------------------------------------------------------------

    def within(self, span: Span, length: Duration) -> nodes.Within:
        return nodes.Within(length, span)

    def within_next(self, span: Span, length: Duration) -> nodes.WithinNext:
        return nodes.WithinNext(length, span)

    def within_calendar(self, span: Span, count: Number, unit: str) -> nodes.WithinCalendar:
        return nodes.WithinCalendar(self.whole(count), cast(Any, _plural(unit)), span)

    def between(self, span: Span, first: Duration, second: Duration) -> nodes.Between:
        if first.millis == second.millis != 0:
            self.diagnostics.report(
                "range-order", span, "expected two different ages, found the same twice"
            )
        return nodes.Between(first, second, span)

    def before_ago(self, span: Span, age: Duration) -> nodes.BeforeAgo:
        return nodes.BeforeAgo(age, span)

    def before_date(self, span: Span, date: nodes.Date) -> nodes.BeforeDate:
        return nodes.BeforeDate(date, span)

    def since(self, span: Span, date: nodes.Date) -> nodes.Since:
        return nodes.Since(date, span)

    def from_to(self, span: Span, first: nodes.Date, last: nodes.Date) -> nodes.FromTo:
        if len(first.text) == len(last.text) == 10 and first.text > last.text:
            self.diagnostics.report(
                "range-order",
                first.span.to(last.span),
                f"expected the earlier date first, found `{first.text}` before `{last.text}`",
                replacement=f"{last.text} to {first.text}",
            )
        return nodes.FromTo(first, last, span)

    def in_year(self, span: Span, year: Number) -> nodes.OnPeriod:
        text = plain(year.value)
        if not re.fullmatch(r"[1-9]\d{3}", text):
            self.diagnostics.report(
                "date", year.span, f"expected a year such as `2026`, found `{text}`"
            )
            text = "2000"
        return nodes.OnPeriod(text, span)

    def in_period(self, span: Span, period: str) -> nodes.OnPeriod:
        text = period.replace("q", "Q")
        if not re.fullmatch(r"[1-9]\d{3}-(?:Q[1-4]|0[1-9]|1[0-2])", text):
            self.diagnostics.report(
                "date",
                Span(span.end - len(period), span.end),
                f"expected a quarter such as `2026-Q1` or a month such as `2026-01`, "
                f"found `{period}`",
            )
        return nodes.OnPeriod(text, span)

    def on_date(self, span: Span, date: nodes.Date) -> nodes.OnPeriod:
        if "T" in date.text:
            self.diagnostics.report(
                "date", date.span, f"expected a day such as `2026-01-15`, found `{date.text}`"
            )
        return nodes.OnPeriod(date.text[:10], span)

    def named_period(self, span: Span, words: str) -> nodes.NamedPeriod:
        return nodes.NamedPeriod(_one_line(words), span)

    # ---- conditions ----------------------------------------------------------------------------

    def repeat(self, span: Span, window: Window) -> nodes.Repeat:
        return nodes.Repeat(window, span)

    def prefixed(self, span: Span, *parts: Any) -> Expr:
        operand: Expr = parts[-1]
        for word in reversed(parts[:-1]):
            operand = nodes.Not(operand, span) if word == "not" else nodes.No(operand, span)
        return operand

    def prefixed_window(self, span: Span, *parts: Any) -> Expr:
        window: Window = parts[-1]
        return self.prefixed(span, *parts[:-1], nodes.Repeat(window, window.span))

    def step(self, span: Span, operand: Expr) -> nodes.Step:
        return nodes.Step(operand, False, span)

    def step_no(self, span: Span, operand: Expr) -> nodes.Step:
        return nodes.Step(operand, True, span)

    def sequence(self, span: Span, first: Expr, *steps: nodes.Step) -> nodes.Sequence:
        return nodes.Sequence((nodes.Step(first, False, first.span), *steps), span)

    def and_chain(self, span: Span, *operands: Expr) -> nodes.Chain:
        return nodes.Chain("and", operands, span)

    def or_chain(self, span: Span, *operands: Expr) -> nodes.Chain:
        mixed = [o for o in operands if isinstance(o, nodes.Chain) and o.op == "and" and o.bare]
        chain = nodes.Chain("or", operands, span)
        if mixed:
            self.report_mixed(chain, mixed[0])
        return chain

    def report_mixed(self, chain: nodes.Chain, inner: nodes.Chain) -> None:
        """Warns of `a and b or c`, with the parentheses that the formatter would write."""
        source = self.diagnostics.source
        text = " or ".join(
            f"({source.slice(o.span)})"
            if isinstance(o, nodes.Chain) and o.bare
            else source.slice(o.span)
            for o in chain.operands
        )
        text = " ".join(text.split())
        readable = len(text) <= 100 and "#" not in text
        self.diagnostics.report(
            "mixed-and-or",
            inner.span,
            "expected parentheses where `and` and `or` are mixed, found none",
            help=f"`and` binds tighter: this reads as `{text}`" if readable else None,
            replacement=f"({source.slice(inner.span)})",
        )


def _one_line(words: str) -> str:
    """Two words as one terminal, without the line breaks and comments between them."""
    return " ".join(re.sub(r"#[^\n]*", " ", words).split())


def _plural(unit: str) -> str:
    return unit if unit.endswith("s") else unit + "s"
