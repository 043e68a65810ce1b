"""Predicates over one row, one array element or one device's traits, as SQL expressions.

An absent property is NULL (or, for arrays, an empty array beside a zero in its presence column). A
test of NULL is NULL, which a WHERE, an -If and a HAVING take for false; only under `not` that has
to be said, and there `certain` says it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import assert_never

from sqlglot import exp

from relo_dsl.catalog import PropertyType
from relo_dsl.columns import element_column, event_column, presence_column
from relo_dsl.sql.build import (
    FALSE,
    TRUE,
    Parameters,
    all_of,
    any_of,
    call,
    column,
    compare,
    negated,
    number,
)
from relo_dsl.sql.places import in_area, near
from relo_dsl.sql.times import anniversary_in, compare_times, in_window
from relo_dsl.terms import (
    Absent,
    And,
    AnniversaryIn,
    AnyElement,
    Compare,
    CompareProperties,
    Exists,
    Has,
    InArea,
    InRange,
    InWindow,
    Near,
    Not,
    OneOf,
    Or,
    OrMissing,
    Predicate,
    Property,
    TextMatch,
    Value,
    properties_of,
)

#: More values than this travel as one array rather than one placeholder each.
_MANY = 20


@dataclass(frozen=True)
class Source:
    """Where the values of properties are: an expression for each, and one for its presence."""

    value: Callable[[Property], exp.Expr]
    present: Callable[[Property], exp.Expr]


def _event_value(prop: Property) -> exp.Expr:
    if prop.parent is not None:
        return column(element_column(prop.parent, prop.name, prop.type))
    return column(event_column(prop.name, prop.type))


def _event_present(prop: Property) -> exp.Expr:
    if prop.parent is not None:
        flag = presence_column(prop.parent, PropertyType.OBJECTS)
    elif prop.is_array:
        flag = presence_column(prop.name, prop.type)
    elif prop.type is PropertyType.POINT:
        return call("notEmpty", _event_value(prop))
    else:
        return is_not_null(_event_value(prop))
    return compare(column(flag), "=", number(1))


def is_not_null(what: exp.Expr) -> exp.Expr:
    """`what IS NOT NULL`."""
    return exp.Not(this=exp.Is(this=what, expression=exp.Null()))


#: The columns of the events table.
EVENT_SOURCE = Source(_event_value, _event_present)


def certain(part: exp.Expr) -> exp.Expr:
    """The test with NULL taken for false, for use under `not`."""
    return call("ifNull", part, FALSE.copy())


@dataclass(frozen=True)
class PredicateSql:
    """Renders predicates over one source of values at T = `now` (epoch milliseconds)."""

    source: Source
    params: Parameters
    now: int

    def render(self, predicate: Predicate) -> exp.Expr:
        """An expression that is true where the predicate holds, and false or NULL elsewhere."""
        match predicate:
            case And(operands):
                return all_of([self.render(operand) for operand in operands])
            case Or(operands):
                return any_of([self.render(operand) for operand in operands])
            case Not(Exists(prop)):
                return self._missing(prop)
            case Not(operand):
                return negated(certain(self.render(operand)))
            case OrMissing(inner):
                missing = [self._missing(prop) for prop in properties_of(inner)]
                return any_of([self.render(inner), *missing])
            case Exists(prop):
                return self.source.present(prop)
            case Absent(value):
                return (TRUE if value else FALSE).copy()
            case Compare(prop, op, value):
                return compare(self.source.value(prop), op, self._value(value))
            case CompareProperties(left, op, right, str(zone)):
                sides = self._reader(left), self._reader(right)
                return compare_times(sides[0], op, sides[1], zone, self.params)
            case CompareProperties(left, op, right):
                return compare(self.source.value(left), op, self.source.value(right))
            case OneOf():
                return self._one_of(predicate)
            case InRange():
                return self._in_range(predicate)
            case TextMatch():
                return self._text(predicate)
            case Has(prop, how, values):
                return self._has(prop, how, values)
            case AnyElement(prop, where):
                return self._any_element(prop, where)
            case InWindow(prop):
                return in_window(predicate, self._reader(prop), self.params, self.now)
            case AnniversaryIn(prop):
                read, present = self._reader(prop), self.source.present(prop)
                return anniversary_in(predicate, read, present, self.params, self.now)
            case Near(prop):
                return near(predicate, self._reader(prop), self.params)
            case InArea(prop):
                return in_area(predicate, self._reader(prop), self.params)
            case _:
                assert_never(predicate)

    def _reader(self, prop: Property) -> Callable[[], exp.Expr]:
        return partial(self.source.value, prop)

    def _missing(self, prop: Property) -> exp.Expr:
        present = self.source.present(prop)
        return (
            present.this if isinstance(present, exp.Not) else exp.Not(this=exp.Paren(this=present))
        )

    def _value(self, value: Value) -> exp.Expr:
        match value:
            case bool():
                return exp.Boolean(this=value)
            case str():
                return self.params.string(value)
            case Decimal():
                return self.params.number(value)

    def _one_of(self, test: OneOf) -> exp.Expr:
        value = self.source.value(test.property)
        if len(test.values) > _MANY and not isinstance(test.values[0], bool):
            found: exp.Expr = call("has", self._array(test.values), value)
        else:
            found = exp.In(this=value, expressions=[self._value(item) for item in test.values])
        if not test.negated:
            return found
        return all_of([self.source.present(test.property), negated(found)])

    def _in_range(self, test: InRange) -> exp.Expr:
        value = self.source.value(test.property)
        low, high = self.params.number(test.low), self.params.number(test.high)
        if test.negated:
            return any_of([compare(value, "<", low), compare(value.copy(), ">", high)])
        return exp.Between(this=value, low=low, high=high)

    def _text(self, test: TextMatch) -> exp.Expr:
        value = self.source.value(test.property)
        if test.how == "matches":
            flag = "(?i)" if test.ignore_case else ""
            return call("match", value, self.params.string(flag + test.text))
        text = self.params.string(test.text)
        if test.ignore_case:
            value, text = _folded(value), _folded(text)
        match test.how:
            case "contains":
                return compare(call("position", value, text), ">", number(0))
            case "starts with":
                return call("startsWith", value, text)
            case "ends with":
                return call("endsWith", value, text)
            case _:
                assert_never(test.how)

    def _has(self, prop: Property, how: str, values: tuple[Value, ...]) -> exp.Expr:
        array = self.source.value(prop)
        if len(values) == 1:
            return call("has", array, self._value(values[0]))
        if isinstance(values[0], bool) or prop.parent is not None:
            # hasAny and hasAll take a missing field for an empty string or a zero; has does not.
            tests = [call("has", array.copy(), self._value(value)) for value in values]
            return all_of(tests) if how == "all" else any_of(tests)
        return call("hasAll" if how == "all" else "hasAny", array, self._array(values))

    def _array(self, values: tuple[Value, ...]) -> exp.Expr:
        if isinstance(values[0], str):
            return self.params.add(list(values), "Array(String)")
        return self.params.add(list(values), "Array(Decimal(38, 9))")

    def _any_element(self, array: Property, where: Predicate) -> exp.Expr:
        fields = properties_of(where)
        if not fields:
            return FALSE.copy()
        names = {field: f"e{index}" for index, field in enumerate(fields, 1)}
        inner = PredicateSql(
            Source(
                lambda prop: column(names[prop]),
                lambda prop: is_not_null(column(names[prop])),
            ),
            self.params,
            self.now,
        )
        body = certain(inner.render(where))
        arguments = [exp.Identifier(this=name, quoted=False) for name in names.values()]

        def elements(field: Property) -> exp.Expr:
            return column(element_column(array.name, field.name, field.type))

        test = exp.Lambda(this=body, expressions=arguments)
        found = call("arrayExists", test, *map(elements, fields))
        # Most rows have no such element at all, and `has` sees it several times faster.
        parts = where.operands if isinstance(where, And) else (where,)
        equals = [part for part in parts if isinstance(part, Compare) and part.op == "="]
        there = [call("has", elements(p.property), self._value(p.value)) for p in equals]
        return all_of([*there, found])


def _folded(text: exp.Expr) -> exp.Expr:
    """Lower case; both small sigmas are one, as in the naive evaluator."""
    return call(
        "replaceAll",
        call("lowerUTF8", text),
        exp.Literal.string("ς"),
        exp.Literal.string("σ"),
    )


def holds_when_absent(predicate: Predicate) -> bool:
    """What a predicate says where every property it names is absent."""
    match predicate:
        case And(operands):
            return all(holds_when_absent(operand) for operand in operands)
        case Or(operands):
            return any(holds_when_absent(operand) for operand in operands)
        case Not(operand):
            return not holds_when_absent(operand)
        case OrMissing():
            return True
        case Absent(value):
            return value
        case _:
            return False
