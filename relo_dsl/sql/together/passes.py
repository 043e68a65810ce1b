"""Plans of one client into passes, and those into queries that each have room in memory."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from math import ceil

from sqlglot import exp

from relo_dsl.consent import ScopedPlan
from relo_dsl.sql.build import Parameters, Written
from relo_dsl.sql.query import SqlQuery
from relo_dsl.sql.scope import Scope, Span
from relo_dsl.sql.together.alone import alone
from relo_dsl.sql.together.answering import LACKING, Answering, Asked
from relo_dsl.sql.together.atoms import Atom, Decomposing, atoms_of
from relo_dsl.sql.together.layout import WORD, Layout
from relo_dsl.sql.together.layout import Part as Read
from relo_dsl.sql.together.proof import prove_pass
from relo_dsl.sql.together.reading import Reading, grouped
from relo_dsl.sql.together.state import state_bytes

_FRAMES = 20_000
#: Places for plans in one pass; a mask and a sample each leave some of a word free.
_MOST = LACKING // WORD // 2


class Part(IntEnum):
    """What a row of a pass says of its device."""

    MEMBER = 0
    """It is a member."""
    HELD_OUT = 1
    """It would be one, and the holdout takes it."""
    WITHHELD = 2
    """Some device meets the condition without the consent it needs; the key is blank."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Queries that together answer several plans, each for its part of all device keys.

    Their rows are (`plan` UInt32, `part` UInt8, `device` FixedString(16)): `plan` is the place of a
    plan in the sequence that `passes` was given, `part` a `Part`. Members and devices held out come
    once each; a device withheld is a row with a key of zeros, so that it can be counted and no
    more.
    """

    queries: tuple[SqlQuery, ...]
    plans: tuple[int, ...]


def passes(
    plans: Sequence[ScopedPlan], now: int, *, devices: int = 1_000_000, memory: int = 2**31
) -> list[Pass]:
    """Queries that together answer every plan at T = `now`, each plan in exactly one pass.

    A pass divides the device keys among so many queries that what the engine keeps of `devices`
    devices takes about `memory` bytes at most; no row is read twice for it. A plan with a ranking
    has a pass of its own. Raises ValueError for plans of several clients.
    """
    if len({plan.client for plan in plans}) > 1:
        raise ValueError("plans of several clients cannot be answered together")
    # Printing and reading SQL recurses: 200 levels of parentheses are a few thousand Python frames.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES))
    decomposing = Decomposing(now)
    found: list[Pass] = []
    groups: dict[tuple[object, ...], list[Asked]] = {}
    for index, scoped in enumerate(plans):
        plan = scoped.plan
        if plan.keep is not None:
            found.append(Pass((alone(index, scoped, now),), (index,)))
            continue
        rules = plan.default_flags, plan.retention_months, plan.extended_months
        formula = decomposing.formula(plan.condition, scoped.mask)
        groups.setdefault(rules, []).append(Asked(index, scoped, formula))
    for group in groups.values():
        starts = range(0, len(group), _MOST)
        found += [_pass(group[one : one + _MOST], now, devices, memory) for one in starts]
    return sorted(found, key=lambda one: one.plans)


def _pass(asked: Sequence[Asked], now: int, devices: int, memory: int) -> Pass:
    groups = grouped(atom for one in asked for atom in atoms_of(one.formula))
    number = max(1, ceil(devices * state_bytes(groups) / memory))
    queries = tuple(_query(asked, groups, now, span) for span in spans(number))
    return Pass(queries, tuple(one.index for one in asked))


def spans(number: int) -> list[Span]:
    """The device keys in so many parts of about as many keys."""
    ends = [(part * 2**128 // number).to_bytes(16, "big") for part in range(1, number)]
    return list(pairwise([None, *ends, None]))


def _query(
    asked: Sequence[Asked], groups: Mapping[Read, list[Atom]], now: int, span: Span
) -> SqlQuery:
    params = Parameters()
    plans = {one.plan.mask: one.plan for one in asked}
    scopes = {
        mask: Scope(plan, now, params, f"_{mask}", span) for mask, plan in sorted(plans.items())
    }
    layout = Layout.of(groups, now)
    names = tuple(params.alias() for _ in layout.masks)
    merged = tuple(params.alias() for _ in layout.masks)
    reads = Reading(scopes, groups, layout, names).queries()
    query = Answering(asked, scopes, layout, params, merged).query(reads, names)
    return finished(query, list(scopes.values()), [(one.index, one.plan) for one in asked], now)


def finished(
    query: exp.Select, scopes: Sequence[Scope], plans: Sequence[tuple[int, ScopedPlan]], now: int
) -> SqlQuery:
    """The text with the names of consent in front, proved."""
    used = {table.name for table in query.find_all(exp.Table)}
    named = {name: what for scope in scopes for name, what in scope.named().items()}
    ctes = [
        exp.CTE(this=what, alias=exp.TableAlias(this=exp.Identifier(this=name, quoted=False)))
        for name, what in named.items()
        if name in used
    ]
    query.set("with_", exp.With(expressions=ctes))
    params = scopes[0].params
    text = query.sql(dialect=Written, copy=False)
    compiled = SqlQuery(text, dict(params.values))
    prove_pass(compiled, plans, now)
    return compiled
