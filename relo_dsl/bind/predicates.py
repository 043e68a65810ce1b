"""Predicates: what stands in brackets, behind `event.property` and behind `user.trait`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import re2

from relo_dsl.analysis.chains import check_chain
from relo_dsl.bind.places import bind_near, bind_zone
from relo_dsl.bind.times import as_type, bind_time
from relo_dsl.bind.values import Found, Resolver, SpecResolver, ValueBinder
from relo_dsl.catalog import PropertySpec, PropertyType
from relo_dsl.diagnostics import Diagnostics
from relo_dsl.source import Span
from relo_dsl.syntax import nodes
from relo_dsl.terms import (
    FLIPPED,
    Absent,
    And,
    AnyElement,
    Compare,
    CompareProperties,
    Exists,
    Has,
    InRange,
    Not,
    OneOf,
    Op,
    Or,
    OrMissing,
    Predicate,
    TextMatch,
)

#: What stands for a predicate that could not be bound; its diagnostic is an error.
BROKEN = Absent(False)
_MAX_PATTERN = 1_000


@dataclass(frozen=True)
class PredicateBinder:
    """Binds predicates over the properties that `properties` resolves."""

    properties: Resolver
    values: ValueBinder
    found: Diagnostics

    def bind(self, expr: nodes.Expr) -> Predicate:
        """The predicate that an expression writes; BROKEN, reported, where it writes none."""
        match expr:
            case nodes.Chain(op, operands):
                parts = tuple(self.bind(operand) for operand in operands)
                spans = [(o.span, part) for o, part in zip(operands, parts, strict=True)]
                check_chain(op, spans, self.found, is_inside=True)
                return And(parts) if op == "and" else Or(parts)
            case nodes.Not(operand):
                return Not(self.bind(operand))
            case nodes.Paren(operand):
                return self.bind(operand)
            case nodes.OrMissing(operand):
                return self._or_missing(operand)
            case nodes.Compare(op, left, right):
                return self._compare(op, left, right, expr.span)
            case nodes.OneOf(operand, values, negated):
                return self._one_of(operand, values, negated)
            case nodes.InRange(operand, low, high, negated):
                return self._in_range(operand, low, high, negated, expr.span)
            case nodes.TextMatch():
                return self._text(expr)
            case nodes.Has(how, operand, values):
                return self._has(how, operand, values)
            case nodes.Exists(operand, missing):
                target = self._property(operand)
                if target is None:
                    return Absent(missing)
                return Not(Exists(target.property)) if missing else Exists(target.property)
            case nodes.Selection(nodes.AnyOf(path), where, ()):
                return self._any_element(path, where)
            case nodes.ErrorExpr():
                return BROKEN
            case nodes.Windowed() | nodes.Anniversary():
                return bind_time(self, expr)
            case nodes.NearPoint():
                return bind_near(self, expr)
            case nodes.InZone():
                return bind_zone(self, expr)
            case nodes.Repeat():
                return self._repeat(expr)
            case nodes.Path():
                return self._lonely(expr)
            case _:
                self.found.report(
                    "expected-condition",
                    expr.span,
                    "expected a test of a property, such as `revenue > 100`",
                )
                return BROKEN

    # ---- single tests --------------------------------------------------------------------------

    def _or_missing(self, operand: nodes.Expr) -> Predicate:
        before = len(self.properties.absent)
        inner = self.bind(operand)
        missing = isinstance(inner, Absent) or len(self.properties.absent) > before
        return Absent(True) if missing else OrMissing(inner)

    def _compare(self, op: Op, left: nodes.Expr, right: nodes.Expr, span: Span) -> Predicate:
        if not isinstance(left, nodes.Path) and isinstance(right, nodes.Path):
            left, right, op = right, left, FLIPPED[op]
        target = self._property(left)
        if isinstance(right, nodes.Path) and self.properties.is_property(right):
            return self._compare_properties(target, op, right, span)
        if target is None or self._is_absent(right):
            return BROKEN
        if target.property.is_array:
            self._scalar_expected(target, span)
            return BROKEN
        if target.property.type is PropertyType.TIME:
            self.found.report(
                "type-mismatch",
                span,
                f"`{target.property.name}` is a time, which takes a window, not a comparison",
                help="such as `within 7d` or `since 2026-01-01`",
            )
            return BROKEN
        value = self.values.of(right, target)
        if value is None:
            return BROKEN
        if isinstance(value, bool) and op not in ("=", "!="):
            self.found.report(
                "type-mismatch", span, f"`{op}` cannot compare `true` and `false`", help="use `=`"
            )
            return BROKEN
        return Compare(target.property, op, value)

    def _compare_properties(
        self, left: Found | None, op: Op, path: nodes.Path, span: Span
    ) -> Predicate:
        right = self.properties.property(path)
        if self.values.number_let(path) is not None:
            name = ".".join(part.text for part in path.names)
            self.found.report(
                "ambiguous-name",
                path.span,
                f"`{name}` is a property here and the name of a number",
                help="give the `let` another name",
            )
            return BROKEN
        if left is None or right is None:
            return BROKEN
        for side in (left, right):
            if side.property.is_array:
                self._scalar_expected(side, span)
                return BROKEN
        left, right = _both_times(left, right)
        if left.property.type is not right.property.type:
            self.found.report(
                "type-mismatch",
                span,
                f"`{left.property.name}` is a {left.property.type}, "
                f"`{right.property.name}` is a {right.property.type}",
            )
            return BROKEN
        kind = left.property.type
        if kind is PropertyType.POINT:
            self._mismatch(left, span, "points are not compared with each other")
            return BROKEN
        zone = self.values.zone if kind is PropertyType.TIME else None
        return CompareProperties(left.property, op, right.property, zone)

    def _one_of(
        self, operand: nodes.Expr, values: tuple[nodes.Expr, ...], negated: bool
    ) -> Predicate:
        target = self.scalar(operand)
        if target is None:
            return BROKEN
        bound = [self.values.of(value, target) for value in values]
        kept = dict.fromkeys(value for value in bound if value is not None)
        if None in bound:
            return BROKEN
        return OneOf(target.property, tuple(sorted(kept, key=str)), negated)

    def _in_range(
        self, operand: nodes.Expr, low: nodes.Expr, high: nodes.Expr, negated: bool, span: Span
    ) -> Predicate:
        target = self.scalar(operand)
        if target is not None and target.property.type is not PropertyType.NUMBER:
            self._mismatch(target, span, "a range needs a number")
            target = None
        first, last = self.values.number(low), self.values.number(high)
        if first is None or last is None or target is None:
            return BROKEN
        if first > last:
            self.found.report(
                "range-order", low.span.to(high.span), f"the range {first}..{last} is empty"
            )
            return BROKEN
        return InRange(target.property, first, last, negated)

    def _text(self, expr: nodes.TextMatch) -> Predicate:
        target = self.scalar(expr.operand)
        if target is not None and target.property.type is not PropertyType.STRING:
            self._mismatch(target, expr.span, f"`{expr.how}` needs a string")
            target = None
        text = self.values.literal(expr.text)
        if text is not None and not isinstance(text, str):
            self.found.report("expected-value", expr.text.span, "expected a string in quotes")
            return BROKEN
        if text is None or target is None:
            return BROKEN
        if expr.how == "matches" and not self._is_pattern(text, expr.text.span):
            return BROKEN
        return TextMatch(target.property, expr.how, text, expr.ignore_case)

    def _is_pattern(self, pattern: str, span: Span) -> bool:
        if len(pattern) > _MAX_PATTERN:
            self.found.report("pattern", span, f"a pattern has at most {_MAX_PATTERN:,} characters")
            return False
        problem = pattern_problem(pattern)
        if problem:
            self.found.report("pattern", span, f"RE2 cannot read this pattern: {problem}")
        return problem is None

    def _has(self, how: str, operand: nodes.Expr, values: tuple[nodes.Expr, ...]) -> Predicate:
        target = self._property(operand)
        if target is None:
            return BROKEN
        if not target.property.is_array or target.property.type is PropertyType.OBJECTS:
            self._mismatch(target, operand.span, "`has` needs an array of plain values")
            return BROKEN
        bound = [self.values.of(value, target) for value in values]
        kept = dict.fromkeys(value for value in bound if value is not None)
        if None in bound:
            return BROKEN
        return Has(target.property, "all" if how == "all" else "any", tuple(sorted(kept, key=str)))

    def _any_element(self, path: nodes.Path, where: nodes.Expr) -> Predicate:
        target = self._property(path)
        if target is None:
            return BROKEN
        if target.property.type is not PropertyType.OBJECTS:
            self._mismatch(target, path.span, "`any …[…]` needs an array of objects")
            return BROKEN
        owner = f"`{target.property.name}`"
        inner = self._with(target.spec.fields, owner)
        return AnyElement(target.property, inner.bind(where))

    def _with(self, fields: Mapping[str, PropertySpec], owner: str) -> PredicateBinder:
        resolver = SpecResolver((fields,), self.found, "unknown-property", owner)
        return PredicateBinder(resolver, self.values, self.found)

    def _is_absent(self, expr: nodes.Expr) -> bool:
        """A property that nothing ever had, where such names are allowed."""
        return (
            self.properties.allow_unknown
            and isinstance(expr, nodes.Path)
            and self.values.number_let(expr) is None
        )

    # ---- what is wrong -------------------------------------------------------------------------

    def _property(self, expr: nodes.Expr) -> Found | None:
        if isinstance(expr, nodes.Paren):
            return self._property(expr.operand)
        if isinstance(expr, nodes.Path):
            return self.properties.property(expr)
        if not isinstance(expr, nodes.ErrorExpr):
            self.found.report("expected-property", expr.span, "expected the name of a property")
        return None

    def scalar(self, expr: nodes.Expr, wanted: PropertyType | None = None) -> Found | None:
        """The property that an expression names, unless it is an array that cannot be read as one
        value of the wanted type; else None, reported.
        """
        target = self._property(expr)
        if target is not None and target.property.is_array and wanted not in target.spec.readable:
            self._scalar_expected(target, expr.span)
            return None
        return target

    def _scalar_expected(self, target: Found, span: Span) -> None:
        name = target.property.name
        self.found.report(
            "type-mismatch",
            span,
            f"`{name}` is an array, and an array is no single value",
            help=f"write `{name} has …`, or `any {target.property.parent or name}[…]`",
        )

    def _mismatch(self, target: Found, span: Span, wanted: str) -> None:
        kind = "array" if target.property.is_array else target.property.type.value
        article = "an" if kind == "array" else "a"
        self.found.report(
            "type-mismatch", span, f"{wanted}, and `{target.property.name}` is {article} {kind}"
        )

    def _lonely(self, path: nodes.Path) -> Predicate:
        target = self.properties.property(path)
        if target is not None:
            name = self.found.source.slice(path.span)
            is_flag = target.property.type is PropertyType.BOOLEAN
            self.found.report(
                "expected-condition",
                path.span,
                f"`{name}` is a property; say what about it",
                help=f"such as `{name} = true`" if is_flag else f"such as `{name} exists`",
                replacement=f"{name} = true" if is_flag else f"{name} exists",
            )
        return BROKEN

    def _repeat(self, expr: nodes.Repeat) -> Predicate:
        self.found.report(
            "nothing-to-repeat",
            expr.span,
            "a test of a property is not repeated by a window alone",
            help="write the name of the time in front of the window",
        )
        return BROKEN


def _both_times(left: Found, right: Found) -> tuple[Found, Found]:
    """Two properties, as times where one is a time and the other can be read as one."""
    kinds = {left.property.type, right.property.type}
    if PropertyType.TIME not in kinds:
        return left, right
    as_times = [as_type(f.property, f.spec.readable, PropertyType.TIME) for f in (left, right)]
    first, second = as_times
    if first is None or second is None:
        return left, right
    return replace(left, property=first), replace(right, property=second)


def pattern_problem(pattern: str) -> str | None:
    """Why RE2 refuses a pattern, or None."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "unknown reason"
        return reason.decode() if isinstance(reason, bytes) else str(reason)
    return None
