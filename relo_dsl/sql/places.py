"""Values that are points, in SQL: the operations of the naive evaluator, in its order.

A point is stored as an array, latitude before longitude, empty where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from sqlglot import exp

from relo_dsl.geo import HALF_RADIAN, RADIAN, Circle, edges
from relo_dsl.sql.build import FALSE, Parameters, all_of, call, column, compare, number
from relo_dsl.terms import InArea, Near

#: Degrees that a bounding box is wider than what it bounds.
_MARGIN = 1e-6
Value = Callable[[], exp.Expr]


def near(test: Near, value: Value, params: Parameters) -> exp.Expr:
    """The distance test of a point; `value` makes the expression that reads it."""
    circle = Circle.of(test.latitude, test.longitude, test.metres)
    present = call("notEmpty", value())
    if circle.limit is None:
        return present
    half = _half_angle(value, 1, circle.latitude, params)
    east = _half_angle(value, 2, circle.longitude, params)
    cosine = call("cos", _times(_part(value, 1), real(RADIAN, params)))
    along = _times(_times(cosine, real(circle.cosine, params)), _square(east))
    haversine = exp.Add(this=_square(half), expression=along)
    return all_of(
        [
            present,
            compare(_part(value, 1), ">=", real(circle.latitude - circle.reach, params)),
            compare(_part(value, 1), "<=", real(circle.latitude + circle.reach, params)),
            compare(haversine, "<=", real(circle.limit, params)),
        ]
    )


def in_area(test: InArea, value: Value, params: Parameters) -> exp.Expr:
    """The polygon test of a point, behind a bounding box: an odd number of edges east of it."""
    found = edges(test.corners)
    if not found:
        return FALSE.copy()
    south = min(edge.low for edge in found)
    north = max(edge.high for edge in found)
    longitudes = [float(longitude) for _, longitude in test.corners]
    low, high, start, slope = (column(f"e{index}") for index in range(1, 5))
    crossing = exp.Add(
        this=start,
        expression=_times(exp.Paren(this=exp.Sub(this=_part(value, 1), expression=low)), slope),
    )
    body = all_of(
        [
            compare(_part(value, 1), ">=", low.copy()),
            compare(_part(value, 1), "<", high),
            compare(_part(value, 2), "<", crossing),
        ]
    )
    arguments = [exp.Identifier(this=f"e{index}", quoted=False) for index in range(1, 5)]
    crossed = call(
        "arrayCount",
        exp.Lambda(this=body, expressions=arguments),
        *(
            reals([getattr(edge, name) for edge in found], params)
            for name in ("low", "high", "start", "slope")
        ),
    )
    return all_of(
        [
            call("notEmpty", value()),
            compare(_part(value, 1), ">=", real(south, params)),
            compare(_part(value, 1), "<", real(north, params)),
            compare(_part(value, 2), ">=", real(min(longitudes) - _MARGIN, params)),
            compare(_part(value, 2), "<=", real(max(longitudes) + _MARGIN, params)),
            compare(exp.Mod(this=crossed, expression=number(2)), "=", number(1)),
        ]
    )


def real(value: float, params: Parameters) -> exp.Expr:
    """A binary float; its shortest writing gives it back exactly."""
    return params.add(repr(value), "Float64")


def reals(values: list[float], params: Parameters) -> exp.Expr:
    """Binary floats in one array."""
    return params.add([Decimal(repr(value)) for value in values], "Array(Float64)")


def _part(value: Value, index: int) -> exp.Expr:
    return call("arrayElement", value(), number(index))


def _half_angle(value: Value, index: int, centre: float, params: Parameters) -> exp.Expr:
    """The sine of half the angle between a part of the point and the centre's."""
    apart = exp.Sub(this=_part(value, index), expression=real(centre, params))
    return call("sin", _times(exp.Paren(this=apart), real(HALF_RADIAN, params)))


def _times(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    return exp.Mul(this=left, expression=right)


def _square(part: exp.Expr) -> exp.Expr:
    return exp.Paren(this=_times(part, part.copy()))
