"""Conditions as sets of devices.

Every condition is a set or the complement of one, and stays so until it has to be listed: `no
purchase within 30d` is the complement of a scan of purchases, and next to something positive it
costs that scan only. The universe is read where nothing else bounds the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from relo_dsl.catalog import PropertyType
from relo_dsl.consent import ScopedPlan
from relo_dsl.sql.build import (
    DIALECT,
    Parameters,
    all_of,
    any_of,
    call,
    column,
    is_in,
    negated,
    select,
    subquery,
    union,
)
from relo_dsl.sql.predicates import PredicateSql, Source, holds_when_absent
from relo_dsl.sql.proof import prove
from relo_dsl.sql.query import SqlQuery
from relo_dsl.sql.scans import Scan, event_types, holds_without_events
from relo_dsl.sql.scope import Scope, device
from relo_dsl.terms import (
    Always,
    And,
    Comparison,
    Condition,
    Did,
    InList,
    Not,
    Or,
    Predicate,
    Property,
    Reference,
    Trait,
    properties_of,
)

_TRAIT_COLUMNS: dict[PropertyType, str] = {
    PropertyType.STRING: "v_string",
    PropertyType.NUMBER: "v_number",
    PropertyType.BOOLEAN: "v_boolean",
    PropertyType.TIME: "v_time",
    PropertyType.STRINGS: "v_strings",
    PropertyType.NUMBERS: "v_numbers",
}


@dataclass(frozen=True)
class DeviceSet:
    """Devices, or (complement) all others of the universe.

    `parts` are queries whose devices together make the set; `bounded` says that all of them lie in
    the universe. A scan keeps itself apart so that tests can be added to it.
    """

    parts: tuple[exp.Query | Scan, ...]
    complement: bool = False
    bounded: bool = True


@dataclass
class Lowering:
    """Turns one scoped plan at one instant into SQL."""

    scope: Scope
    shared: dict[str, str] = field(default_factory=dict)
    ctes: list[exp.CTE] = field(default_factory=list)

    def devices(self, condition: Condition) -> exp.Query:
        """The devices of the universe for which the condition holds, each once."""
        for reference in _used_twice(condition):
            self._name(reference)
        return self._universal(self._set(condition))

    def _universal(self, found: DeviceSet) -> exp.Query:
        """The devices of a set, listed; the universe is read where the set leaves it open."""
        if not found.complement and found.bounded:
            return self._listed(found)
        test = self._among(found)
        everyone = self.scope.universe()
        return everyone if test is None else select([device()], subquery(everyone), [test])

    # ---- sets ----------------------------------------------------------------------------------

    def _set(self, condition: Condition) -> DeviceSet:
        if isinstance(condition, Reference) and condition.digest in self.shared:
            return self._referred(condition)
        types = event_types(condition, self.shared)
        if types is not None:
            return self._scan(condition, types)
        match condition:
            case And(operands):
                return self._all(operands)
            case Or(operands):
                return self._any(operands)
            case Not(operand):
                inner = self._set(operand)
                return DeviceSet(inner.parts, not inner.complement, inner.bounded)
            case Trait(predicate):
                return self._traits(predicate)
            case InList(name):
                return DeviceSet((self.scope.listed(name),), bounded=False)
            case Reference(_, inner_condition):
                return self._set(inner_condition)
            case Always(value):
                return DeviceSet((), complement=value)
            case Comparison():  # no measure at all: decided before any event is read
                return DeviceSet((), complement=holds_without_events(condition))
            case Did():
                raise AssertionError("a Did is a scan")

    def _scan(self, condition: Condition, types: tuple[str, ...]) -> DeviceSet:
        if holds_without_events(condition):
            positive: Condition = (
                condition.operand if isinstance(condition, Not) else Not(condition)
            )
            return DeviceSet((Scan(self.scope, positive, types),), complement=True)
        return DeviceSet((Scan(self.scope, condition, types),))

    def _all(self, operands: Sequence[Condition]) -> DeviceSet:
        sets = [self._set(operand) for operand in self._merged(operands, And)]
        anchors = [s for s in sets if not s.complement and len(s.parts) == 1]
        anchors.sort(key=_as_anchor)
        if anchors:
            anchor = anchors[0]
            others = [
                test for s in sets if s is not anchor and (test := self._among(s)) is not None
            ]
            bounded = anchor.bounded or any(s.bounded and not s.complement for s in sets)
            return DeviceSet((self._narrowed(anchor.parts[0], others),), bounded=bounded)
        positive = [s for s in sets if not s.complement]
        if positive:
            listed = self._listed(positive[0])
            others = [
                test for s in sets if s is not positive[0] and (test := self._among(s)) is not None
            ]
            narrowed = select([device()], subquery(listed), others)
            return DeviceSet((narrowed,), bounded=any(s.bounded for s in positive))
        # Only complements: not a and not b is not (a or b).
        parts = tuple(part for s in sets for part in s.parts)
        return DeviceSet(parts, complement=True, bounded=all(s.bounded for s in sets))

    def _any(self, operands: Sequence[Condition]) -> DeviceSet:
        sets = [self._set(operand) for operand in self._merged(operands, Or)]
        positive = [s for s in sets if not s.complement]
        if len(positive) == len(sets):
            parts = tuple(part for s in sets for part in s.parts)
            return DeviceSet(parts, bounded=all(s.bounded for s in sets))
        # not a or b is not (a and not b): the complement stays one.
        flipped = [DeviceSet(s.parts, not s.complement, s.bounded) for s in sets]
        first = next(s for s in flipped if not s.complement)
        others = [test for s in flipped if s is not first and (test := self._among(s)) is not None]
        bounded = any(s.bounded and not s.complement for s in flipped)
        inside: exp.Query | Scan
        if len(first.parts) == 1:
            inside = self._narrowed(first.parts[0], others)
        else:
            inside = select([device()], subquery(self._listed(first)), others)
        return DeviceSet((inside,), complement=True, bounded=bounded)

    def _narrowed(self, part: exp.Query | Scan, tests: list[exp.Expr]) -> exp.Query | Scan:
        if not tests:
            return part
        if isinstance(part, Scan):
            return part.query(tests)
        return select([device()], subquery(part), tests)

    def _listed(self, devices: DeviceSet) -> exp.Query:
        queries = [part.query() if isinstance(part, Scan) else part for part in devices.parts]
        if not queries:
            return select([device()], subquery(self.scope.universe()), [exp.false()])
        return union(queries)

    def _among(self, devices: DeviceSet) -> exp.Expr | None:
        """The test that a device lies in the set; None where every device passes."""
        if not devices.parts:
            return None if devices.complement else exp.false()
        tests = [
            is_in(
                device(),
                part.query(once=False) if isinstance(part, Scan) else part,
                negate=devices.complement,
            )
            for part in devices.parts
        ]
        return all_of(tests) if devices.complement else any_of(tests)

    def _merged(self, operands: Sequence[Condition], kind: type) -> list[Condition]:
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

    # ---- traits and references -----------------------------------------------------------------

    def _traits(self, predicate: Predicate) -> DeviceSet:
        if not properties_of(predicate):
            return DeviceSet((), complement=holds_when_absent(predicate))
        absent = holds_when_absent(predicate)
        names = tuple(dict.fromkeys(prop.name for prop in properties_of(predicate)))
        source = _trait_source(names, self.scope.params)
        test = PredicateSql(source, self.scope.params).render(predicate)
        if absent:
            test = negated(call("ifNull", test, exp.Literal.number(0)))
        return DeviceSet((self.scope.traits(names, [test]),), complement=absent)

    def _name(self, reference: Reference) -> None:
        """Gives a reference that is used twice a name, so that its text stands once."""
        query = self._universal(self._set(reference.condition))
        name = f"reference_{len(self.ctes) + 1}"
        self.ctes.append(_cte(name, query))
        self.shared[reference.digest] = name

    def _referred(self, reference: Reference) -> DeviceSet:
        name = self.shared[reference.digest]
        table = exp.Table(this=exp.Identifier(this=name, quoted=False))
        return DeviceSet((select([device()], table),))


def _as_anchor(devices: DeviceSet) -> tuple[bool, bool, bool]:
    """Smallest first: the set that others are looked up for, best a scan that filters its rows."""
    part = devices.parts[0]
    filters = isinstance(part, Scan) and part.filters_rows
    return not devices.bounded, not isinstance(part, Scan), not filters


def _cte(name: str, query: exp.Query) -> exp.CTE:
    alias = exp.TableAlias(this=exp.Identifier(this=name, quoted=False))
    return exp.CTE(this=query, alias=alias)


def _trait_source(names: tuple[str, ...], params: Parameters) -> Source:
    """Traits as the value of the latest identify that set them.

    `argMax` skips NULLs, so a null that came last is found by a second one, over presence. Both
    order by one number made of time and tie, which is far faster than a pair.
    """

    def latest(what: exp.Expr, prop: Property) -> exp.Expr:
        millis = call("toInt128", call("toUnixTimestamp64Milli", column("time")))
        shifted = call("bitShiftLeft", millis, exp.Literal.number(64))
        order = exp.Add(this=shifted, expression=column("tie"))
        if len(names) == 1:
            return call("argMax", what, order)
        of_name = exp.EQ(this=column("name"), expression=params.string(prop.name))
        return call("argMaxIf", what, order, of_name)

    def present(prop: Property) -> exp.Expr:
        held: exp.Expr = column("present")
        if not prop.is_array:
            held = call("isNotNull", column(_TRAIT_COLUMNS[prop.type]))
        return exp.EQ(this=latest(held, prop), expression=exp.Literal.number(1))

    def value(prop: Property) -> exp.Expr:
        stored = column(_TRAIT_COLUMNS[prop.type])
        if prop.is_array:
            return latest(stored, prop)
        return call("if", present(prop), latest(call("assumeNotNull", stored), prop), exp.Null())

    return Source(value, present)


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
    return _query(plan, now, device(), Scope.consent_guard)


def count_query(plan: ScopedPlan, now: int) -> SqlQuery:
    """How many members there are at T = `now`: one row, one column."""
    return _query(plan, now, call("count"), Scope.consent_guard)


def withheld_query(plan: ScopedPlan, now: int) -> SqlQuery:
    """How many devices meet the condition but lack consent at T: a count, never their keys."""
    return _query(plan, now, call("count"), Scope.withheld_guard)


def _query(
    plan: ScopedPlan, now: int, what: exp.Expr, guard: Callable[[Scope], exp.Expr]
) -> SqlQuery:
    scope = Scope(plan, now, Parameters())
    lowering = Lowering(scope)
    found = lowering.devices(plan.plan.condition)
    query = select([what], subquery(found), [guard(scope)])
    used = {table.name for table in query.find_all(exp.Table)}
    used |= {table.name for cte in lowering.ctes for table in cte.find_all(exp.Table)}
    consents = [_cte(name, named) for name, named in scope.named().items() if name in used]
    query.set("with_", exp.With(expressions=[*consents, *lowering.ctes]))
    compiled = SqlQuery(query.sql(dialect=DIALECT), dict(scope.params.values))
    prove(compiled, plan, now)
    return compiled
