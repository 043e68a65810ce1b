"""What is done with the devices that pass: a place in a ranking, a sample, a holdout.

All of it is asked of devices that consent. Where the ranking is over the events that the condition
is about, one scan does both; else the devices that pass get a name, and a second scan, of theirs
alone, works the values out.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from relo_dsl.numbers import PLACES, plain
from relo_dsl.sql.build import (
    Parameters,
    call,
    column,
    compare,
    is_in,
    number,
    select,
    subquery,
    union,
)
from relo_dsl.sql.leaves import EventTypes, event_types, holds_without_events, value_without_events
from relo_dsl.sql.scans import Scan
from relo_dsl.sql.scope import Scope, device
from relo_dsl.terms import (
    And,
    Arithmetic,
    Comparison,
    Condition,
    Constant,
    Quantity,
    Ranking,
    Shares,
)

#: The name of the devices that consent and pass, where they are asked for more than once.
PASSING = "passing"


def ranked(
    keep: Ranking,
    condition: Condition,
    scope: Scope,
    apart: dict[str, str],
    passing: Callable[[], exp.Query],
) -> exp.Query:
    """The devices with a place in the ranking, each once, among those that consent and pass.

    `apart` are the references that have a name of their own; `passing` gives the named devices
    that consent and pass, and is called only where they are needed.
    """
    return _placed(keep, *valued(keep, condition, scope, apart, passing), scope.params)


def valued(
    keep: Ranking,
    condition: Condition,
    scope: Scope,
    apart: dict[str, str],
    passing: Callable[[], exp.Query],
) -> tuple[exp.Query, str]:
    """The devices of `ranked` that have a value, each once, with it; and its name."""
    name = scope.params.alias()
    types = event_types(_asked(keep))
    assert types is not None, "a ranking is by a measure"
    if event_types(condition, apart) == types and not holds_without_events(condition):
        scan = Scan(scope, condition, types, keep.by)
        return scan.valued([scope.consent_guard()], name), name
    return _values(keep, types, scope, passing, name), name


def _asked(keep: Ranking) -> Comparison:
    return Comparison(keep.by, "=", Constant(keep.amount))


def _values(
    keep: Ranking,
    types: EventTypes,
    scope: Scope,
    passing: Callable[[], exp.Query],
    name: str,
) -> exp.Query:
    """The values of the devices that pass, those without any of the events included."""
    everything: Condition = And(())
    without = value_without_events(keep.by)
    inner = name if without is None else scope.params.alias()
    found = Scan(scope, everything, types, keep.by).valued([is_in(device(), passing())], inner)
    if without is None:
        return found

    def wide(value: exp.Expr) -> exp.Expr:
        return exp.alias_(call("toDecimal256", value, number(_places(keep.by))), name)

    valued = select([device(), wide(column(inner))], subquery(found))
    rows = Scan(scope, everything, types, keep.by).query([], once=False)
    # Sums and products of constants can be wider than what comes in.
    constant = scope.params.add(plain(without), f"Decimal(76, {_places(keep.by)})")
    others = select(
        [device(), wide(constant)],
        subquery(passing()),
        [is_in(device(), rows, negate=True)],
    )
    return union([valued, others], distinct=False)


def _places(quantity: Quantity) -> int:
    """How many places after the point a value can have: a product is exact."""
    match quantity:
        case Arithmetic("*", left, right):
            return _places(left) + _places(right)
        case Arithmetic("+" | "-", left, right):
            return max(_places(left), _places(right))
        case _:
            return PLACES


def _placed(keep: Ranking, values: exp.Query, name: str, params: Parameters) -> exp.Query:
    """The best of the devices; ties go to the smaller key."""
    if not keep.share:
        best = select([device()], subquery(values))
        best.set("order", _order(keep, name))
        best.set("limit", exp.Limit(expression=params.add(int(keep.amount), "UInt64")))
        return best
    counted, place, count = numbered(keep, values, name, params)
    # place <= ceil(count * share / 100), in whole numbers and exact decimals
    before = exp.Sub(this=column(place), expression=number(1))
    left = exp.Mul(
        this=call("toDecimal256", exp.Paren(this=before), number(9)), expression=number(100)
    )
    right = exp.Mul(
        this=call("toDecimal256", column(count), number(9)), expression=params.number(keep.amount)
    )
    return select([device()], subquery(counted), [compare(left, "<", right)])


def numbered(
    keep: Ranking, values: exp.Query, name: str, params: Parameters
) -> tuple[exp.Select, str, str]:
    """The devices with their places, counted from 1, and of how many; and the names of the two."""
    place, count = params.alias(), params.alias()
    number_of = exp.Window(this=exp.RowNumber(), order=_order(keep, name), over="OVER")
    all_of_them = exp.Window(this=exp.Count(this=exp.Star(), big_int=True), over="OVER")
    columns = [device(), exp.alias_(number_of, place), exp.alias_(all_of_them, count)]
    return select(columns, subquery(values)), place, count


def _order(keep: Ranking, name: str) -> exp.Order:
    return exp.Order(
        expressions=[
            exp.Ordered(this=column(name), desc=keep.which == "top"),
            exp.Ordered(this=device(), desc=False),
        ]
    )


def share_tests(
    shares: Shares | None, client: int, params: Parameters, *, held_out: bool
) -> list[exp.Expr]:
    """Tests of a device: that the sample keeps it, and that the holdout takes it or leaves it."""
    if shares is None:
        return [exp.false()] if held_out else []
    drawn = drawn_number(params.string(f"{client}|{shares.name}|"), device())
    below, held = shares.below, shares.held_from
    tests: list[exp.Expr] = []
    ends = [end for end in (below, None if held_out else held) if end is not None]
    if ends:
        tests.append(compare(drawn, "<", params.add(min(ends), "UInt64")))
    if held_out:
        taken = exp.false() if held is None else params.add(held, "UInt64")
        tests.append(taken if held is None else compare(drawn.copy(), ">=", taken))
    return tests


def drawn_number(name: exp.Expr, key: exp.Expr) -> exp.Expr:
    """The first 8 bytes of the hash of `client|name|` and a device key, which samples go by."""
    digest = call("SHA256", call("concat", name, call("lower", call("hex", key))))
    first = call("substring", digest, number(1), number(8))
    return call("reinterpretAsUInt64", call("reverse", first))
