"""How many devices a plan chooses from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relo_dsl.consent import scope
from relo_dsl.engine import Engine
from relo_dsl.plan import Plan
from relo_dsl.sql.lower import count_query, withheld_query
from relo_dsl.sql.query import SqlQuery
from relo_dsl.terms import Always


@dataclass(frozen=True, slots=True)
class Universe:
    """How many devices a plan chooses from, and how many of them consent to its use at T."""

    devices: int
    consenting: int


def universe(engine: Engine, plan: Plan, at: int) -> Universe:
    """The devices with something that the plan may see, whatever its condition says."""
    everyone = scope(everybody(plan))
    consenting = counted(engine, count_query(everyone, at))
    return Universe(consenting + counted(engine, withheld_query(everyone, at)), consenting)


def everybody(plan: Plan) -> Plan:
    """The plan that takes all that another one chooses from."""
    return replace(plan, condition=Always(True), keep=None, shares=None)


def counted(engine: Engine, query: SqlQuery) -> int:
    """The one number that a query answers. Raises as `Engine.query` does."""
    return int(engine.query(query).rows[0][0])
