"""Each plan in a query of its own, until one query answers many."""

# ruff: noqa: S608 - the texts are made of proved queries and of numbers
from __future__ import annotations

from collections.abc import Sequence

from relo_dsl.consent import ScopedPlan
from relo_dsl.sql.lower import holdout_query, members_query, withheld_query
from relo_dsl.sql.query import SqlQuery
from relo_dsl.sql.together import Part, Pass


def passes(plans: Sequence[ScopedPlan], now: int) -> list[Pass]:
    """One query for each plan; see `relo_dsl.sql.together.passes`."""
    return [Pass(_query(plan, number, now), (number,)) for number, plan in enumerate(plans)]


def _query(plan: ScopedPlan, number: int, now: int) -> SqlQuery:
    shares = plan.plan.shares
    parts = [(Part.MEMBER, members_query(plan, now), "SELECT device")]
    if shares is not None and shares.holdout is not None:
        parts.append((Part.HELD_OUT, holdout_query(plan, now), "SELECT device"))
    blank = "SELECT toFixedString('', 16) AS device FROM (SELECT arrayJoin(range(n)) FROM "
    parts.append((Part.WITHHELD, withheld_query(plan, now), blank))
    texts, params = [], dict[str, object]()
    for part, query, how in parts:
        own = f"q{part:d}_"
        text = query.text.replace("{", "{" + own)
        params |= {own + name: value for name, value in query.params.items()}
        inner = f"{how} FROM ({text})" if how == "SELECT device" else f"{how}({text}) AS c(n))"
        texts.append(
            f"SELECT toUInt32({number}) AS plan, toUInt8({part:d}) AS part, device FROM ({inner})"
        )
    return SqlQuery(" UNION ALL ".join(texts), params)
