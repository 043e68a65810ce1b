"""Writes nodes as text on one line; the layout of whole files is in `formatter`."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import assert_never

from relo_dsl import times
from relo_dsl.numbers import plain
from relo_dsl.syntax import nodes
from relo_dsl.syntax.literals import PLAIN_NAME
from relo_dsl.syntax.nodes import Expr, Name, String, Window
from relo_dsl.syntax.tables import JOINING, STATEMENTS

#: Words that would be read as something else than a name, by the place they stand at.
AT_OPERAND = frozenset(JOINING) | {
    *("not", "no", "in", "any", "true", "false", "affine", "within", "between", "before", "since"),
    *("from", "on", "today", "yesterday", "missing", "all"),
}
#: Marks that turn the direction of a text around, and the byte order mark.
_DECEIVING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
_AT_RECORD = STATEMENTS | {"and"}
_AT_DEVICE = frozenset({"list", "not"})
#: How tightly each kind of expression binds; what stands in a tighter place gets parentheses.
ANY, UNARY, SEQUENCE, POSTFIX, COMPARISON, SUM, PRODUCT, FACTOR, PRIMARY = range(9)
_SUMS, _PRODUCTS = ("+", "-"), ("*", "/")


def write_name(name: Name, reserved: frozenset[str] = frozenset()) -> str:
    """A name, in backticks where it would not be read as one."""
    if PLAIN_NAME.fullmatch(name.text) and name.text not in reserved:
        return name.text
    return "`" + name.text.replace("`", "``") + "`"


def write_record_name(name: Name) -> str:
    """The name of a record in a test."""
    return write_name(name, _AT_RECORD)


def write_device(name: Name) -> str:
    """The name of a device in a test."""
    return write_name(name, _AT_DEVICE)


def write_string(string: String) -> str:
    """A string with the fewest escapes; characters that cannot be seen are escaped."""
    parts = []
    for char in string.value:
        if char in '"\\':
            parts.append("\\" + char)
        elif char == "\n":
            parts.append("\\n")
        elif char.isprintable() or (
            unicodedata.category(char) in ("Zs", "Cf") and char not in _DECEIVING
        ):
            parts.append(char)
        else:
            parts.append(f"\\u{{{ord(char):x}}}")
    return '"' + "".join(parts) + '"'


def write_number(number: nodes.Number) -> str:
    """A number without grouping or exponent."""
    return plain(number.value) + ("%" if number.percent else "")


def write_duration(duration: nodes.Duration) -> str:
    """A duration as it was written: `24h` and `1d` are each someone's choice."""
    return duration.text or times.format_duration(duration.millis)


def write_window(window: Window) -> str:
    """A window."""
    d = write_duration
    match window:
        case nodes.Within(length):
            return f"within {d(length)}"
        case nodes.WithinNext(length):
            return f"within next {d(length)}"
        case nodes.Between(first, second):
            return f"between {d(first)} and {d(second)} ago"
        case nodes.BeforeAgo(age):
            return f"before {d(age)} ago"
        case nodes.Since(date):
            return f"since {date.text}"
        case nodes.BeforeDate(date):
            return f"before {date.text}"
        case nodes.FromTo(start, last):
            return f"from {start.text} to {last.text}"
        case nodes.OnPeriod(period):
            return f"on {period}" if len(period) == 10 else f"in {period}"
        case nodes.NamedPeriod(period):
            return period
        case nodes.WithinCalendar(count, unit):
            return f"within {count} calendar {unit}"
        case _:
            assert_never(window)


def level(expr: Expr) -> int:
    """How tightly an expression binds as it is written without parentheses."""
    match expr:
        case nodes.Chain():
            return ANY
        case nodes.Not() | nodes.No() | nodes.Repeat():
            return UNARY
        case nodes.Sequence():
            return SEQUENCE
        case nodes.Compare():
            return COMPARISON
        case nodes.Arithmetic(op):
            return SUM if op in _SUMS else PRODUCT
        case nodes.Negative():
            return FACTOR
        case nodes.Number(value):
            return FACTOR if value < 0 else PRIMARY
        case (
            nodes.String()
            | nodes.Boolean()
            | nodes.Path()
            | nodes.Alternatives()
            | nodes.AnyOf()
            | nodes.Selection()
            | nodes.Call()
            | nodes.InReference()
            | nodes.Affine()
            | nodes.Paren()
            | nodes.ErrorExpr()
        ):
            return PRIMARY
        case _:
            return POSTFIX


def write(expr: Expr, tightest: int = ANY) -> str:
    """An expression for a place that takes what binds at least as tightly as `tightest`.

    Raises ValueError for a tree with ErrorExpr in it.
    """
    text = _write(expr)
    return f"({text})" if level(expr) < tightest else text


def _write(expr: Expr) -> str:
    match expr:
        case nodes.Chain(op, operands):
            return f" {op} ".join(write(operand, UNARY) for operand in operands)
        case nodes.Not(operand):
            return f"not {write(operand, UNARY)}"
        case nodes.No(operand):
            return f"no {write(operand, UNARY)}"
        case nodes.Repeat(window):
            return write_window(window)
        case nodes.Sequence(steps):
            return " ".join([write(steps[0].operand, POSTFIX), *map(write_step, steps[1:])])
        case nodes.Compare(op, left, right):
            return f"{write(left, SUM)} {op} {write(right, SUM)}"
        case nodes.Arithmetic(op, left, right):
            least = SUM if op in _SUMS else PRODUCT
            return f"{write(left, least)} {op} {write(right, least + 1)}"
        case nodes.Negative(operand):
            return f"-{write(operand, FACTOR)}"
        case nodes.Paren(operand):
            return f"({write(operand)})"
        case (
            nodes.Windowed()
            | nodes.HeldFor()
            | nodes.Anniversary()
            | nodes.Regularity()
            | nodes.OneOf()
            | nodes.InRange()
            | nodes.TextMatch()
            | nodes.Has()
            | nodes.Exists()
            | nodes.IsNamed()
            | nodes.NearPoint()
            | nodes.InZone()
            | nodes.OrMissing()
        ):
            return f"{write(expr.operand, POSTFIX)} {write_suffix(expr)}"
        case _:
            return _write_primary(expr)


def _write_primary(expr: Expr) -> str:
    match expr:
        case nodes.Number():
            return write_number(expr)
        case nodes.String():
            return write_string(expr)
        case nodes.Boolean(value):
            return "true" if value else "false"
        case nodes.Path() | nodes.Alternatives() | nodes.AnyOf():
            return write_base(expr)
        case nodes.Selection(base, where, rest):
            return f"{write_base(base)}[{write(where)}]{write_rest(rest)}"
        case nodes.Call(function, argument, rest):
            return f"{write_name(function, AT_OPERAND)}({write(argument)}){write_rest(rest)}"
        case nodes.InReference(kind, name):
            return f"in {kind} {write_name(name)}"
        case nodes.Affine(product, at_least):
            least = "" if at_least is None else f" at least {at_least}"
            return f"affine to {write_string(product)}{least}"
        case _:
            raise ValueError("a text with syntax errors has no layout")


def write_function(call: nodes.Call) -> str:
    """The name of a call's function."""
    return write_name(call.function, AT_OPERAND)


def write_base(base: nodes.Path | nodes.Alternatives | nodes.AnyOf) -> str:
    """What stands before brackets."""
    match base:
        case nodes.Path(names):
            return write_name(names[0], AT_OPERAND) + write_rest(names[1:])
        case nodes.Alternatives(paths, rest):
            return f"({' | '.join(write_base(path) for path in paths)}){write_rest(rest)}"
        case nodes.AnyOf(path):
            return "any " + ".".join(write_name(name) for name in path.names)
        case _:
            assert_never(base)


def write_rest(rest: tuple[Name, ...]) -> str:
    """Properties behind a bracket, each with its dot."""
    return "".join("." + write_name(name) for name in rest)


def write_step(step: nodes.Step) -> str:
    """A step of a sequence after the first."""
    return f"then {'no ' if step.negated else ''}{write(step.operand, POSTFIX)}"


def write_suffix(expr: Expr) -> str:
    """What stands behind the operand of an expression that has one on its left."""
    match expr:
        case nodes.Windowed(_, window):
            return write_window(window)
        case nodes.HeldFor(_, length):
            return f"for {write_duration(length)}"
        case nodes.Anniversary(_, window):
            return f"anniversary {write_window(window)}"
        case nodes.Regularity(_, at_least, periods, length):
            of = write_duration(length) if isinstance(length, nodes.Duration) else length
            of = of if isinstance(length, nodes.Duration) else f"calendar {of}"
            return f"in {at_least} of last {periods} periods of {of}"
        case nodes.OneOf(_, values, negated):
            return f"{'not ' if negated else ''}in {_listed(values)}"
        case nodes.InRange(_, low, high, negated):
            return f"{'not ' if negated else ''}in {write(low)}..{write(high)}"
        case nodes.OrMissing():
            return "or missing"
        case _:
            return _write_predicate(expr)


def _write_predicate(expr: Expr) -> str:
    match expr:
        case nodes.TextMatch(how, _, text, ignore_case):
            return f"{how} {write(text, SUM)}{' ignoring case' if ignore_case else ''}"
        case nodes.Has("one", _, values):
            return f"has {write(values[0], SUM)}"
        case nodes.Has(how, _, values):
            return f"has {how} {_listed(values)}"
        case nodes.Exists(_, missing):
            return "is missing" if missing else "exists"
        case nodes.IsNamed(_, name):
            return f"is {write_name(name, frozenset({'missing'}))}"
        case nodes.NearPoint(_, metres, centre):
            return f"within {_length(metres)} of {_centre(centre)}"
        case nodes.InZone(_, zone):
            return f"in zone({write_string(zone)})"
        case _:
            raise ValueError(f"{type(expr).__name__} has no suffix")


def _listed(values: tuple[Expr, ...]) -> str:
    return f"({', '.join(write(value, SUM) for value in values)})"


def _length(metres: Decimal) -> str:
    return f"{plain(metres / 1000)}km" if metres % 1000 == 0 else f"{plain(metres)}m"


def _centre(centre: tuple[Decimal, Decimal] | String) -> str:
    if isinstance(centre, String):
        return f"place({write_string(centre)})"
    return f"({plain(centre[0])}, {plain(centre[1])})"
