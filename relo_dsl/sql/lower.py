"""Conditions as queries for devices.

A condition either lists its devices, or is a test of a device (`device IN …`). Only what bounds the
answer from inside is listed: one scan of the events, or a union of such; everything that stands
beside it in an `and` becomes a test, negations too, so that `a and no b` reads a's events and b's.
Where nothing bounds the answer (`no purchase within 30d` alone) the universe is listed and tested.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from relo_dsl.consent import ScopedPlan
from relo_dsl.plan import Plan, compares_devices
from relo_dsl.sql.affinity import affinity_query, companions
from relo_dsl.sql.build import (
    Parameters,
    Written,
    all_of,
    any_of,
    call,
    column,
    compare,
    is_in,
    select,
    subquery,
    union,
)
from relo_dsl.sql.factor import factored
from relo_dsl.sql.held import held_query, held_test
from relo_dsl.sql.leaves import event_types, holds_without_events, selections
from relo_dsl.sql.predicates import holds_when_absent
from relo_dsl.sql.proof import prove
from relo_dsl.sql.query import SqlQuery
from relo_dsl.sql.ranking import PASSING, numbered, ranked, share_tests, valued
from relo_dsl.sql.regularity import regularity_query
from relo_dsl.sql.scans import Scan
from relo_dsl.sql.scope import Scope, Span, device
from relo_dsl.sql.scores import score_query, score_test
from relo_dsl.sql.traits import trait_query
from relo_dsl.terms import (
    Affine,
    Always,
    And,
    Comparison,
    Condition,
    Did,
    Extreme,
    Held,
    InList,
    Not,
    Or,
    Reference,
    Regularity,
    Score,
    Sequence,
    Trait,
    negation,
    properties_of,
)

#: Unions inside unions are listed so deep and no deeper: engines read nested queries badly.
_MAX_DEPTH = 4
_FRAMES = 20_000
Operands = tuple[Condition, ...] | list[Condition]
Listing = list[Scan | exp.Query]


@dataclass
class Lowering:
    """Turns one scoped plan at one instant into SQL."""

    scope: Scope
    shared: dict[str, str] = field(default_factory=dict)
    ctes: list[exp.CTE] = field(default_factory=list)

    def devices(self, condition: Condition) -> exp.Query:
        """The devices of the universe for which the condition holds, each once."""
        condition = factored(condition)
        for reference in _used_twice(condition):
            name = f"reference_{len(self.ctes) + 1}"
            self.ctes.append(_cte(name, self._devices(factored(reference.condition))))
            self.shared[reference.digest] = name
        return self._devices(condition)

    def ranked(self, plan: Plan) -> exp.Query:
        """The devices of the universe that pass and have a place in the plan's ranking, if any."""
        if plan.keep is None:
            return self.devices(plan.condition)
        passing = self._passing(plan)
        return ranked(plan.keep, plan.condition, self.scope, self.shared, passing)

    def numbered(self, plan: Plan) -> tuple[exp.Select, str, str]:
        """The devices that the plan ranks, with place and count, and the names of the two."""
        assert plan.keep is not None, "a plan with a ranking"
        passing = self._passing(plan)
        found = valued(plan.keep, plan.condition, self.scope, self.shared, passing)
        return numbered(plan.keep, *found, self.scope.params)

    def _passing(self, plan: Plan) -> Callable[[], exp.Query]:
        """Gives the devices that consent and pass, and a name to them when it is first called."""

        def passing() -> exp.Query:
            if all(cte.alias != PASSING for cte in self.ctes):
                found = self.devices(plan.condition)
                guarded = select([device()], subquery(found), [self.scope.consent_guard()])
                self.ctes.append(_cte(PASSING, guarded))
            return select([device()], exp.Table(this=exp.Identifier(this=PASSING, quoted=False)))

        return passing

    def _devices(self, condition: Condition) -> exp.Query:
        listing = self._listing(condition, 0)
        if listing is None:
            everyone = subquery(self.scope.universe())
            return select([device()], everyone, [self._test(condition)])
        if not listing:
            return select([device()], subquery(self.scope.universe()), [exp.false()])
        return union([_query_of(part) for part in listing])

    # ---- listings ------------------------------------------------------------------------------

    def _listing(self, condition: Condition, depth: int) -> Listing | None:
        """Queries whose devices together are those of the condition; None if nothing bounds it."""
        types = event_types(condition, self.shared)
        if types is not None:
            scan = Scan(self.scope, condition, types)
            return None if holds_without_events(condition) else [scan]
        match condition:
            case And(operands):
                return self._narrowest(operands, depth)
            case Or(operands):
                return self._together(operands, depth)
            case Not(And(operands)):
                return self._together([negation(operand) for operand in operands], depth)
            case Not(Or(operands)):
                return self._narrowest([negation(operand) for operand in operands], depth)
            case Not(Not(operand)):
                return self._listing(operand, depth)
            case Trait(predicate):
                if not properties_of(predicate) or holds_when_absent(predicate):
                    return None
                return [trait_query(predicate, self.scope)]
            case Regularity(inner) if selections(inner):
                if holds_without_events(condition):
                    return None
                return [regularity_query(condition, self.scope)]
            case Held(predicate):
                if not properties_of(predicate) or holds_when_absent(predicate):
                    return None
                return [held_query(condition, self.scope)]
            case Affine():
                return [affinity_query(condition, self.scope)]
            case Score(predicate):
                if not properties_of(predicate) or holds_when_absent(predicate):
                    return None
                return [self._of_universe(score_query(predicate, self.scope))]
            case Reference(_, inner):
                if condition.digest in self.shared:
                    return [self._named(condition)]
                return self._listing(inner, depth)
            case Always(False):
                return []
            case _:
                # Lists can hold devices outside the universe: they are tests, never listings.
                return None

    def _narrowest(self, operands: Operands, depth: int) -> Listing | None:
        """One operand listed, all others as tests of its devices."""
        merged = self._merged(operands, And)
        for index in sorted(range(len(merged)), key=lambda i: self._preference(merged[i])):
            listing = self._listing(merged[index], depth)
            if listing is None:
                continue
            tests = [self._test(other) for i, other in enumerate(merged) if i != index]
            return [_narrowed(listing, tests)] if listing and tests else listing
        return None

    def _together(self, operands: Operands, depth: int) -> Listing | None:
        if depth >= _MAX_DEPTH:
            return None
        parts: Listing = []
        for operand in self._merged(operands, Or):
            listing = self._listing(operand, depth + 1)
            if listing is None:
                return None
            parts.extend(listing)
        return parts

    def _preference(self, condition: Condition) -> int:
        """Which operand to list: a scan that filters its rows before one that takes them all."""
        types = event_types(condition, self.shared)
        if types is not None:
            return 0 if Scan(self.scope, condition, types).filters_rows else 1
        return 2 if isinstance(condition, Trait | Held | Affine | Reference) else 3

    def _merged(self, operands: Operands, kind: type) -> list[Condition]:
        """Operands over the same event types joined into one, which one scan then answers."""
        groups: dict[tuple[str, ...], list[Condition]] = {}
        others: list[Condition] = []
        for operand in operands:
            types = event_types(operand, self.shared)
            if types is None:
                others.append(operand)
            else:
                groups.setdefault(types, []).append(operand)
        found = list(groups.values())
        if kind is Or:
            # Some event of this or that kind: one scan of all kinds finds it.
            events = [g for g in found if all(isinstance(operand, Did) for operand in g)]
            found = [g for g in found if g not in events]
            if events:
                found.append([operand for group in events for operand in group])
        joined = [g[0] if len(g) == 1 else kind(tuple(g)) for g in found]
        return [*others, *joined]

    # ---- tests ---------------------------------------------------------------------------------

    def _test(self, condition: Condition) -> exp.Expr:
        """The condition as a test of a device of the universe, never NULL."""
        types = event_types(condition, self.shared)
        if types is not None:
            return self._scan_test(condition, types)
        match condition:
            case And(operands):
                return all_of([self._test(operand) for operand in self._merged(operands, And)])
            case Or(operands):
                return any_of([self._test(operand) for operand in self._merged(operands, Or)])
            case Not(operand):
                return _opposite(self._test(operand))
            case Trait(predicate):
                absent = holds_when_absent(predicate)
                if not properties_of(predicate):
                    return exp.true() if absent else exp.false()
                return is_in(device(), trait_query(predicate, self.scope), negate=absent)
            case InList(name):
                return is_in(device(), self.scope.listed(name))
            case Reference(_, inner):
                if condition.digest in self.shared:
                    return is_in(device(), self._named(condition))
                return self._test(inner)
            case Always(value):
                return exp.true() if value else exp.false()
            case Regularity(inner) if selections(inner):
                found = regularity_query(condition, self.scope)
                return is_in(device(), found, negate=holds_without_events(condition))
            case Comparison() | Regularity():
                # no measure at all: decided before any event is read
                return exp.true() if holds_without_events(condition) else exp.false()
            case Did() | Extreme() | Sequence():
                raise AssertionError("whatever is about events alone is a scan")
            case Score(predicate):
                return score_test(predicate, self.scope)
            case Held():
                return held_test(condition, self.scope)
            case Affine():
                return is_in(device(), affinity_query(condition, self.scope))

    def _scan_test(self, condition: Condition, types: tuple[str, ...]) -> exp.Expr:
        if not holds_without_events(condition):
            return is_in(device(), Scan(self.scope, condition, types).query(once=False))
        others = Scan(self.scope, negation(condition), types)
        return is_in(device(), others.query(once=False), negate=True)

    def _of_universe(self, found: exp.Query) -> exp.Query:
        """Devices that have something visible besides: a score alone makes no device exist."""
        everyone = is_in(device(), self.scope.universe())
        return select([device()], subquery(found), [everyone])

    def _named(self, reference: Reference) -> exp.Select:
        name = exp.Identifier(this=self.shared[reference.digest], quoted=False)
        return select([device()], exp.Table(this=name))


def _query_of(part: Scan | exp.Query) -> exp.Query:
    return part.query() if isinstance(part, Scan) else part


def _narrowed(listing: Listing, tests: list[exp.Expr]) -> exp.Query:
    """The devices of a listing that pass the tests, which stand once."""
    if len(listing) == 1 and isinstance(listing[0], Scan):
        return listing[0].query(tests)
    together = union([_query_of(part) for part in listing])
    return select([device()], subquery(together), tests)


def _opposite(test: exp.Expr) -> exp.Expr:
    return test.this if isinstance(test, exp.Not) else exp.Not(this=exp.Paren(this=test))


def _cte(name: str, query: exp.Query) -> exp.CTE:
    alias = exp.TableAlias(this=exp.Identifier(this=name, quoted=False))
    return exp.CTE(this=query, alias=alias)


def _used_twice(condition: Condition) -> list[Reference]:
    """What is referred to more than once, the innermost first."""
    counts: Counter[str] = Counter()
    order: dict[str, Reference] = {}

    def visit(node: Condition) -> None:
        match node:
            case And(operands) | Or(operands):
                for operand in operands:
                    visit(operand)
            case Not(operand):
                visit(operand)
            case Reference(_, inner):
                digest = node.digest
                counts[digest] += 1
                if counts[digest] == 1:
                    visit(inner)
                    order[digest] = node

    visit(condition)
    return [reference for digest, reference in order.items() if counts[digest] > 1]


def members_query(plan: ScopedPlan, now: int) -> SqlQuery:
    """The consented members at T = `now`: one column `device`, 16 bytes, each device once."""
    return _query(plan, now, device())


def holdout_query(plan: ScopedPlan, now: int) -> SqlQuery:
    """The devices that the holdout takes from the members at T = `now`, as `members_query`."""
    return _query(plan, now, device(), held_out=True)


def count_query(plan: ScopedPlan, now: int, span: Span = (None, None)) -> SqlQuery:
    """How many members there are at T = `now`: one row, one column.

    With a span, of the devices whose keys lie in it, and only their records are read. Raises
    ValueError for a plan that compares devices with one another, which no part of them can tell.
    """
    if span != (None, None) and compares_devices(plan.plan):
        raise ValueError("a plan that compares devices cannot be counted in parts")
    return _query(plan, now, call("count"), span=span)


def withheld_query(plan: ScopedPlan, now: int) -> SqlQuery:
    """How many devices meet the condition but lack consent at T: a count, never their keys."""
    lowering = lowering_of(plan, now)
    found = lowering.devices(plan.plan.condition)
    guard = lowering.scope.withheld_guard()
    return _finished(select([call("count")], subquery(found), [guard]), lowering)


def place_query(plan: ScopedPlan, now: int, key: bytes) -> SqlQuery:
    """The place of one device in the plan's ranking at T = `now`, counted from 1, and of how many:
    one row of two columns, none where the device does not pass or has no value.
    """
    lowering = lowering_of(plan, now)
    found, place, count = lowering.numbered(plan.plan)
    scope = lowering.scope
    own = compare(call("lower", call("hex", device())), "=", scope.params.string(key.hex()))
    asked = [column(place), column(count)]
    return _finished(select(asked, subquery(found), [scope.consent_guard(), own]), lowering)


def companions_query(plan: ScopedPlan, now: int, affine: Affine) -> SqlQuery:
    """What goes with the product of an `affine to` of the plan at T = `now`: one column."""
    lowering = lowering_of(plan, now)
    scope = lowering.scope
    return _finished(companions(affine, scope, scope.params.alias()), lowering)


def _query(
    plan: ScopedPlan,
    now: int,
    what: exp.Expr,
    *,
    held_out: bool = False,
    span: Span = (None, None),
) -> SqlQuery:
    lowering = lowering_of(plan, now, span)
    scope = lowering.scope
    tests = share_tests(plan.plan.shares, plan.client, scope.params, held_out=held_out)
    found = lowering.ranked(plan.plan)
    guards = [scope.consent_guard(), *scope.span_guards(), *tests]
    return _finished(select([what], subquery(found), guards), lowering)


def lowering_of(plan: ScopedPlan, now: int, span: Span = (None, None)) -> Lowering:
    """What lowers one plan at one instant."""
    # Printing and reading SQL recurses: 200 levels of parentheses are a few thousand Python frames.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES))
    return Lowering(Scope(plan, now, Parameters(), span=span, narrow=True))


def _finished(query: exp.Select, lowering: Lowering) -> SqlQuery:
    """The text with its names in front, proved."""
    compiled = written(query, lowering)
    prove(compiled, lowering.scope.plan, lowering.scope.now)
    return compiled


def written(query: exp.Select, lowering: Lowering) -> SqlQuery:
    """The text with its names in front, not proved yet."""
    scope = lowering.scope
    used = {table.name for table in query.find_all(exp.Table)}
    used |= {table.name for cte in lowering.ctes for table in cte.find_all(exp.Table)}
    consents = [_cte(name, named) for name, named in scope.named().items() if name in used]
    query.set("with_", exp.With(expressions=[*consents, *lowering.ctes]))
    text = query.sql(dialect=Written, copy=False)
    return SqlQuery(text, dict(scope.params.values))
