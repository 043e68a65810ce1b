"""A plan with a ranking: its own members, holdout and withheld as the rows of a pass."""

from __future__ import annotations

from sqlglot import exp

from relo_dsl.consent import ScopedPlan
from relo_dsl.sql.build import call, column, named, number, select, subquery, union
from relo_dsl.sql.lower import lowering_of, written
from relo_dsl.sql.query import SqlQuery
from relo_dsl.sql.ranking import share_tests
from relo_dsl.sql.scope import device
from relo_dsl.sql.together.proof import prove_alone


def alone(index: int, plan: ScopedPlan, now: int) -> SqlQuery:
    """One query for one plan: its place, then as a pass answers many."""
    lowering = lowering_of(plan, now)
    scope, params, shares = lowering.scope, lowering.scope.params, plan.plan.shares

    def rows(part: int, who: exp.Expr, found: exp.Query, tests: list[exp.Expr]) -> exp.Select:
        place = named(params.add(index, "UInt32", "plan"), params.alias())
        return select(
            [place, named(call("toUInt8", number(part)), params.alias()), named(who, key)],
            subquery(found),
            tests,
        )

    key = params.alias()
    parts: list[exp.Query] = []
    for held_out in (False, True):
        if held_out and (shares is None or shares.held_from is None):
            continue
        drawn = share_tests(shares, plan.client, params, held_out=held_out)
        tests = [scope.consent_guard(), *drawn]
        parts.append(rows(int(held_out), device(), lowering.ranked(plan.plan), tests))
    nobody = call("toFixedString", exp.Literal.string(""), number(16))
    meeting = lowering.devices(plan.plan.condition)
    parts.append(rows(2, nobody, meeting, [scope.withheld_guard()]))
    first = parts[0].expressions
    columns = [
        named(column(one.alias), name)
        for one, name in zip(first, ("plan", "part", "device"), strict=True)
    ]
    compiled = written(select(columns, subquery(union(parts, distinct=False))), lowering)
    prove_alone(compiled, plan, index, now)
    return compiled
