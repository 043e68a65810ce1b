"""Lays an expression out over lines: on one where it fits and holds no comment, else broken at
its outermost brackets and chains.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace

from relo_dsl.syntax import nodes
from relo_dsl.syntax.nodes import Expr
from relo_dsl.syntax.writing import (
    ANY,
    POSTFIX,
    PRODUCT,
    SUM,
    UNARY,
    level,
    write,
    write_base,
    write_function,
    write_rest,
    write_suffix,
)

WIDTH = 100
INDENT = 2


@dataclass(slots=True)
class Line:
    """A line of output, and which stretch of the source it stands for.

    Comments find their line by that stretch: those inside it or before it stand above the line,
    one that followed it stands at its end.
    """

    indent: int
    text: str
    start: int
    end: int
    above: list[str] = field(default_factory=list)
    trailing: str = ""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What surrounds an expression on its first and last line, and its place."""

    indent: int
    prefix: str
    suffix: str
    start: int
    end: int

    def line(self, text: str) -> Line:
        return Line(self.indent, self.prefix + text + self.suffix, self.start, self.end)

    def opening(self, text: str, end: int) -> Line:
        return Line(self.indent, self.prefix + text, self.start, end)

    def closing(self, text: str, start: int) -> Line:
        return Line(self.indent, text + self.suffix, start, self.end)


class Breaker:
    """Lays out expressions; `comments` are the offsets of all comments, in order."""

    def __init__(self, comments: list[int]) -> None:
        self._comments = comments

    def holds_comment(self, start: int, end: int) -> bool:
        """Whether a comment stands between two offsets."""
        at = bisect_left(self._comments, start)
        return at < len(self._comments) and self._comments[at] < end

    def keeps_comment(self, expr: Expr, tightest: int = ANY) -> bool:
        """Whether a comment would stand inside the expression if it were broken.

        One on the first line moves above it, and is no reason to break, or else the next run would
        no longer find one.
        """
        span = expr.span
        if not self.holds_comment(span.start, span.end):
            return False
        if level(expr) < tightest:
            return True
        match expr:
            case nodes.Paren() | nodes.Chain():
                return True
            case nodes.Selection(base):
                return self.holds_comment(base.span.end, span.end)
            case nodes.Call(function):
                return self.holds_comment(function.span.end, span.end)
            case nodes.Not(operand) | nodes.No(operand):
                return self.keeps_comment(operand, UNARY)
            case nodes.Sequence(steps):
                first = steps[0].operand
                after = self.holds_comment(first.span.end, span.end)
                return after or self.keeps_comment(first, POSTFIX)
            case nodes.Compare(_, left):
                return self.holds_comment(left.span.end, span.end) or self.keeps_comment(left, SUM)
            case nodes.Arithmetic(op, left, right):  # its span may hold its parentheses
                least = SUM if op in "+-" else PRODUCT
                after = self.holds_comment(left.span.end, right.span.end)
                return after or self.keeps_comment(left, least)
            case nodes.OneOf(operand) | nodes.Has("any" | "all", operand):
                return self.holds_comment(operand.span.end, span.end)
            case (
                nodes.Windowed(operand)
                | nodes.HeldFor(operand)
                | nodes.Anniversary(operand)
                | nodes.Regularity(operand)
                | nodes.OrMissing(operand)
                | nodes.Exists(operand)
                | nodes.InRange(operand)
            ):
                return self.keeps_comment(operand, POSTFIX)
            case _:
                return False

    def block(self, expr: Expr, indent: int) -> list[Line]:
        """A condition that has its lines for itself: one operand of the outer chain a line."""
        if not isinstance(expr, nodes.Chain):
            start, end = expr.span.start, expr.span.end
            if isinstance(expr, nodes.Arithmetic):  # its span may hold its parentheses
                start, end = expr.left.span.start, expr.right.span.end
            return self.lines(expr, _Frame(indent, "", "", start, end))
        found: list[Line] = []
        for number, operand in enumerate(expr.operands):
            prefix = f"{expr.op} " if number else ""
            span = operand.span
            frame = _Frame(indent, prefix, "", span.start, span.end)
            found += self._placed(operand, UNARY, frame)
        return found

    def after(self, prefix: str, expr: Expr, start: int, end: int) -> list[Line]:
        """An expression behind a word such as `let x =`; a broken chain goes on lines below."""
        text = f"{prefix} {write(expr)}"
        chain = isinstance(expr, nodes.Chain)
        inside = self.holds_comment(start, end) if chain else self.keeps_comment(expr)
        if len(text) <= WIDTH and not inside:
            return [Line(0, text, start, end)]
        if chain:
            return [Line(0, prefix, start, start), *self.block(expr, INDENT)]
        return self.lines(expr, _Frame(0, prefix + " ", "", start, end))

    def _placed(self, expr: Expr, tightest: int, frame: _Frame) -> list[Line]:
        """Lines of an expression in a place that may ask for parentheses."""
        if level(expr) >= tightest:
            return self.lines(expr, frame)
        if self._fits(f"({write(expr)})", frame) and not self.holds_comment(
            expr.span.start, expr.span.end
        ):
            return [frame.line(f"({write(expr)})")]
        return [
            frame.opening("(", expr.span.start),
            *self.block(expr, frame.indent + INDENT),
            frame.closing(")", expr.span.end),
        ]

    def _fits(self, text: str, frame: _Frame) -> bool:
        return frame.indent + len(frame.prefix) + len(text) + len(frame.suffix) <= WIDTH

    def lines(self, expr: Expr, frame: _Frame) -> list[Line]:
        """Lines of an expression with what the frame puts before and behind it."""
        text = write(expr)
        if self._fits(text, frame) and not self.keeps_comment(expr):
            return [frame.line(text)]
        match expr:
            case nodes.Not(operand):
                return self._placed(operand, UNARY, replace(frame, prefix=frame.prefix + "not "))
            case nodes.No(operand):
                return self._placed(operand, UNARY, replace(frame, prefix=frame.prefix + "no "))
            case nodes.Paren(operand):
                return self._bracketed("(", operand, ")", expr.span.start, frame)
            case nodes.Selection(base, where, rest):
                opening = write_base(base) + "["
                return self._bracketed(opening, where, "]" + write_rest(rest), base.span.end, frame)
            case nodes.Call(function, argument, rest):
                opening = write_function(expr) + "("
                closing = ")" + write_rest(rest)
                return self._bracketed(opening, argument, closing, function.span.end, frame)
            case nodes.Sequence(steps):
                return self._sequence(steps, frame)
            case nodes.Compare(op, left, right):
                return self._binary(left, op, right, SUM, SUM, frame)
            case nodes.Arithmetic(op, left, right):
                least = SUM if op in "+-" else PRODUCT
                return self._binary(left, op, right, least, least + 1, frame)
            case nodes.OneOf(operand, values) | nodes.Has("any" | "all", operand, values):
                return self._listing(expr, operand, values, frame)
            case (
                nodes.Windowed(operand)
                | nodes.HeldFor(operand)
                | nodes.Anniversary(operand)
                | nodes.Regularity(operand)
                | nodes.OrMissing(operand)
                | nodes.Exists(operand)
                | nodes.InRange(operand)
            ):
                behind = f" {write_suffix(expr)}{frame.suffix}"
                return self._placed(operand, POSTFIX, replace(frame, suffix=behind))
            case _:
                return [frame.line(text)]

    def _bracketed(
        self, opening: str, inner: Expr, closing: str, opened: int, frame: _Frame
    ) -> list[Line]:
        return [
            frame.opening(opening, opened),
            *self.block(inner, frame.indent + INDENT),
            frame.closing(closing, inner.span.end),
        ]

    def _sequence(self, steps: tuple[nodes.Step, ...], frame: _Frame) -> list[Line]:
        found: list[Line] = []
        for number, step in enumerate(steps):
            last = number == len(steps) - 1
            word = ("then no " if step.negated else "then ") if number else frame.prefix
            inner = _Frame(
                frame.indent + (INDENT if number else 0),
                word,
                frame.suffix if last else "",
                step.span.start if number else frame.start,
                frame.end if last else step.span.end,
            )
            found += self._placed(step.operand, POSTFIX, inner)
        return found

    def _binary(
        self, left: Expr, op: str, right: Expr, least: int, right_least: int, frame: _Frame
    ) -> list[Line]:
        """`left op right`: the operator and what follows it on a line of their own."""
        first = _Frame(frame.indent, frame.prefix, "", frame.start, left.span.end)
        second = _Frame(frame.indent + INDENT, f"{op} ", frame.suffix, right.span.start, frame.end)
        return [*self._placed(left, least, first), *self._placed(right, right_least, second)]

    def _listing(
        self, expr: Expr, operand: Expr, values: tuple[Expr, ...], frame: _Frame
    ) -> list[Line]:
        """`x in (…)` with as many values a line as fit."""
        words = write_suffix(expr).split(" (", 1)[0]
        found = [frame.opening(f"{write(operand, POSTFIX)} {words} (", operand.span.end)]
        indent = frame.indent + INDENT
        row: Line | None = None
        for number, value in enumerate(values):
            comma = "," if number < len(values) - 1 else ""
            text = write(value, SUM) + comma
            fits = row is not None and indent + len(row.text) + 1 + len(text) <= WIDTH
            span = value.span
            if row is None or not fits or self.holds_comment(row.end, span.end):
                row = Line(indent, text, span.start, span.end)
                found.append(row)
            else:
                row.text += " " + text
                row.end = span.end
        found.append(frame.closing(")", values[-1].span.end))
        return found
