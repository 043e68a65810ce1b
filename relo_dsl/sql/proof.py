"""The finished SQL is read again and proved scoped, whatever wrote it.

Every table that the text reads must be one we know, must stand in a SELECT of its own, and that
SELECT must ask, at the top of its WHERE and in the very words of `scope.py`, for the client, for
nothing after T, and for the consent each record carried. The outermost SELECT must ask for the
consent in force. Whatever fails here is a defect of the compiler, never of the definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import sqlglot
from sqlglot import exp

from relo_dsl.consent import ScopedPlan
from relo_dsl.sql.build import DIALECT, Parameters
from relo_dsl.sql.query import SqlQuery
from relo_dsl.sql.scope import Scope

#: The tables a segment may read, and the guards each must carry.
_GUARDS: dict[str, frozenset[str]] = {
    "events": frozenset({"client", "time", "flags"}),
    "traits": frozenset({"client", "time", "flags"}),
    "consent": frozenset({"client", "time"}),
    "lists": frozenset({"client"}),
}


class ScopeError(Exception):
    """SQL that reads a table without a guard. It was not run."""


def prove(query: SqlQuery, plan: ScopedPlan, now: int) -> None:
    """Raises ScopeError unless every table is bound to client, T and consent."""
    statements = sqlglot.parse(query.text, dialect=DIALECT)
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise ScopeError("expected exactly one SELECT")
    tree = statements[0]
    scope = Scope(plan, now, Parameters())
    _prove_values(query, scope)
    named = _prove_names(tree, scope)
    for table in tree.find_all(exp.Table):
        _prove_table(table, named, query)
    _prove_consent(tree, plan, now)


def _prove_values(query: SqlQuery, scope: Scope) -> None:
    """The client, the mask and T travel under their own names with their own values."""
    for guard in (scope.client_guard(), scope.flags_guard(), scope.time_guard()):
        for placeholder in guard.find_all(exp.Placeholder):
            name, value = placeholder.name, scope.params.values[placeholder.name]
            if query.params.get(name) != value:
                found = query.params.get(name)
                raise ScopeError(f"the parameter {name} is {found!r}, not {value!r}")


def _prove_names(tree: exp.Select, scope: Scope) -> set[str]:
    """The names that WITH gives: the consent in force is what it must be, no name hides a table."""
    named = {cte.alias: cte for cte in tree.find_all(exp.CTE)}
    known = scope.named()
    for name, cte in named.items():
        if name in known:
            if cte.this != _reparsed(known[name]):
                raise ScopeError(f"`{name}` is not what it should be")
        elif not re.fullmatch(r"reference_[0-9]+", name):
            raise ScopeError(f"unexpected name {name}")
    if len(tree.ctes) != len(named):
        raise ScopeError("a name is given twice, or away from the top")
    return set(named)


def _prove_table(table: exp.Table, named: set[str], query: SqlQuery) -> None:
    if table.db or table.catalog or not isinstance(table.this, exp.Identifier):
        raise ScopeError(f"unexpected source {table.sql(dialect=DIALECT)}")
    if table.name in named:
        return
    wanted = _GUARDS.get(table.name)
    if wanted is None:
        raise ScopeError(f"unexpected table {table.name}")
    select = table.parent_select
    if select is None or select.args.get("joins") or not isinstance(table.parent, exp.From):
        raise ScopeError(f"the table {table.name} does not stand alone in its SELECT")
    found = {_guard_of(part, query) for part in _conjuncts(select)}
    missing = wanted - found
    if missing:
        raise ScopeError(f"the table {table.name} is read without: {', '.join(sorted(missing))}")


def _conjuncts(select: exp.Select) -> Iterator[exp.Expr]:
    where = select.args.get("where")
    pending = [where.this] if where is not None else []
    while pending:
        part = pending.pop()
        if isinstance(part, exp.And):
            pending += [part.this, part.expression]
        else:
            yield part


def _guard_of(part: exp.Expr, query: SqlQuery) -> str | None:
    """Which guard a conjunct is, read by its shape."""
    match part:
        case exp.EQ() if part == _parsed("client_id = {client: UInt32}"):
            return "client"
        case exp.EQ() if part == _parsed("bitAnd(flags, {mask: UInt8}) = {mask: UInt8}"):
            return "flags"
        case exp.LTE() if isinstance(part.expression, exp.Placeholder):
            # A window may end before T; its end is a value, and values can be compared.
            ends = query.params.get(part.expression.name)
            limit = query.params["t"]
            if part == _parsed(f"time <= {{{part.expression.name}: DateTime64(3, 'UTC')}}"):
                return "time" if str(ends) <= str(limit) else None
    return None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, dialect=DIALECT)


def _prove_consent(tree: exp.Select, plan: ScopedPlan, now: int) -> None:
    scope = Scope(plan, now, Parameters())
    where = tree.args.get("where")
    if where is None:
        raise ScopeError("the result is not asked for consent")
    found = where.this
    if found == _reparsed(scope.consent_guard()):
        return
    counts = all(isinstance(item, exp.Count) for item in tree.expressions)
    if counts and found == _reparsed(scope.withheld_guard()):
        return
    raise ScopeError("the result is not asked for the consent in force")


def _reparsed(guard: exp.Expr) -> exp.Expr:
    return _parsed(guard.sql(dialect=DIALECT))
