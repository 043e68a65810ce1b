"""Comparisons that hold in so many of many periods: rows grouped by device and period.

Few periods are aggregates beside each other in the scan they share with other leaves; see `scans`.
"""

from __future__ import annotations

from sqlglot import exp

from relo_dsl.sql.build import call, column, compare, select, subquery
from relo_dsl.sql.leaves import event_types, holds_without_events
from relo_dsl.sql.scans import Scan
from relo_dsl.sql.scope import Scope, device
from relo_dsl.terms import And, Regularity, Window, negation


def regularity_query(regularity: Regularity, scope: Scope) -> exp.Select:
    """Devices for which the comparison holds in enough of the periods.

    Where it holds in a period without events, the devices for which it does not: those with too
    many periods in which it fails. The answer is then the complement.
    """
    windows = regularity.windows()
    # Each period by its first millisecond; the last of the windows starts first.
    starts = [after + 1 for w in reversed(windows) if (after := w.bounds(scope.now)[0]) is not None]
    period = call(
        "roundDown",
        call("toUnixTimestamp64Milli", column("time")),
        scope.params.add(starts, "Array(Int64)"),
    )
    condition = regularity.in_period(Window(windows[-1].after))
    wanted = regularity.at_least
    if holds_without_events(condition):
        condition, wanted = negation(condition), regularity.periods - wanted + 1
    types = event_types(And((condition, condition)))
    if types is None:
        types = event_types(Regularity(condition, 1, 1, 1))
    assert types is not None, "a comparison of measures is about events"
    periods = Scan(scope, condition, types).query(by=[period])
    enough = compare(call("count"), ">=", scope.params.add(wanted, "UInt64"))
    return select([device()], subquery(periods), (), [device()], [enough])
