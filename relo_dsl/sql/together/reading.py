"""The reads of a pass: each part of a table once, every atom about it a bit of the words it gives.

Events are read by sets of event types, as the sorting key has them. Whether some event passes is a
bit of each row, and one aggregate over a word of such bits answers 64 leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from relo_dsl.sql.affinity import affinity_query
from relo_dsl.sql.build import all_of, call, column, compare, named, number, select, subquery
from relo_dsl.sql.held import held_having
from relo_dsl.sql.leaves import Rows, event_types
from relo_dsl.sql.predicates import certain
from relo_dsl.sql.regularity import regularity_query
from relo_dsl.sql.scans import Scan, ordered
from relo_dsl.sql.scope import Scope, device
from relo_dsl.sql.scores import score_having
from relo_dsl.sql.together.atoms import IDENTIFIED, Atom
from relo_dsl.sql.together.layout import (
    Layout,
    Part,
    Region,
    bits_of,
    either,
)
from relo_dsl.sql.traits import names_of, trait_test
from relo_dsl.terms import (
    Affine,
    And,
    Condition,
    Did,
    Held,
    InList,
    Not,
    Predicate,
    Regularity,
    Score,
    Trait,
)

#: The aggregates in tests of traits and scores, and those of them that take some records alone.
_AGGREGATES = frozenset(("argMax",))
_SELECTIVE = frozenset(("argMaxIf", "countIf", "groupArrayIf"))
#: Tests of rows that are worth asking before rows are grouped.
_FEW_TESTS = 8


def parts_of(atom: Atom) -> list[Part]:
    """What has to be read for an atom; the mask stands where a read is of one mask alone."""
    what, mask = atom.what, atom.mask
    if what == IDENTIFIED:
        return [("traits", ("",), 0)]
    match what:
        case Trait(predicate) | Held(predicate):
            return [("traits", names_of(predicate), 0)]
        case Score(predicate):
            return [("scores", names_of(predicate), 0)]
        case InList(name):
            return [("lists", (name,), 0)]
    types = event_types(what)
    if types is None:
        return [("apart", (repr(what),), mask)]
    return [("events", types, 0)]


def grouped(atoms: Iterable[Atom]) -> dict[Part, list[Atom]]:
    """The atoms of each read, in an order that does not change from run to run."""
    found: dict[Part, list[Atom]] = {}
    for atom in dict.fromkeys(atoms):
        for part in parts_of(atom):
            found.setdefault(part, []).append(atom)
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class SharedScan(Scan):
    """A scan whose leaves belong to several masks: with `apart` each asks for its own flags."""

    apart: bool = False

    def test(self, condition: Condition) -> exp.Expr:
        """The condition over the rows of a device that has some, never NULL."""
        return self._test(condition) or exp.true()

    def stretched(self, region: Region) -> exp.Expr:
        """The bits of one row, by its time and what it passes."""
        params = self.scope.params
        tests: list[tuple[int, exp.Expr]] = []
        for place, where in enumerate(region.wheres):
            rows = frozenset() if where is None else frozenset(_conjuncts(where))
            # Each is made certain by itself: `AND` is many times slower where a NULL may come.
            parts = [certain(self._sql.render(part)) for part in ordered(rows - self._shared)]
            tests.append((place * region.width, all_of(parts) if parts else exp.true()))
        passed = bits_of(tests) if any(not isinstance(t, exp.Boolean) for _, t in tests) else None
        if passed is None and len(tests) > 1:
            passed = bits_of(tests)
        later: exp.Expr | None = None
        for end in region.ends:
            one = call("toUInt8", compare(column("time"), ">", params.time(end)))
            later = one if later is None else exp.Add(this=later, expression=one)
        first = call("toUInt64", number(1 << region.start))
        if later is None:
            return first if passed is None else exp.Mul(this=first, expression=passed)
        stretch = call("bitShiftLeft", first, later)
        return stretch if passed is None else exp.Mul(this=stretch, expression=passed)

    def gathered(self, word: exp.Expr) -> exp.Expr:
        """The bits that any row of a device has."""
        if not self.apart:
            return call("groupBitOr", word)
        return call("groupBitOrIf", word, self.scope.flags_guard())

    def _own(self, rows: Rows) -> exp.Expr | None:
        asked = super()._own(rows)
        if not self.apart:
            return asked
        flags = self.scope.flags_guard()
        return flags if asked is None else all_of([flags, asked])

    def _are_all(self, rows: list[Rows]) -> bool:
        return not self.apart and super()._are_all(rows)

    def read(self, also: Sequence[exp.Alias], having: list[exp.Expr]) -> exp.Select:
        """The devices of the rows that matter to any leaf."""
        plain = replace(self, apart=False)
        where, window = plain._wanted()
        if len(plain._remaining) > _FEW_TESTS:
            where = where[:-1]
        return self.scope.events(
            self.types, window, where, having, also=also, carried=not self.apart
        )


@dataclass(frozen=True)
class Reading:
    """The reads of a pass; `scopes` are by mask, `names` those of the words."""

    scopes: Mapping[int, Scope]
    groups: Mapping[Part, list[Atom]]
    layout: Layout
    names: tuple[str, ...]

    def queries(self) -> list[exp.Query]:
        """Queries that together give the bits of every device: the device, then all words."""
        return [self._query(part, atoms) for part, atoms in self.groups.items()]

    def _query(self, part: Part, atoms: list[Atom]) -> exp.Query:
        table, names, mask = part
        match table:
            case "events":
                return self._events(part, atoms)
            case "traits" | "scores":
                return self._known(table, names, atoms)
            case "lists":
                found: exp.Query = self.scopes[atoms[0].mask].listed(names[0])
            case _:
                # What it compares devices with can be all of them, those of other spans included.
                own = self.scopes[mask]
                found = self._apart(atoms[0], replace(own, span=(None, None)))
                return select([device(), *self._set(atoms)], subquery(found), own.span_guards())
        return select([device(), *self._set(atoms)], subquery(found))

    # ---- columns -------------------------------------------------------------------------------

    def _words(self, values: Mapping[int, exp.Expr]) -> list[exp.Alias]:
        return [named(values.get(i) or either([]), name) for i, name in enumerate(self.names)]

    def _set(self, atoms: Iterable[Atom]) -> list[exp.Alias]:
        return self._tested([(atom, exp.true()) for atom in atoms])

    def _tested(self, tests: Iterable[tuple[Atom, exp.Expr]]) -> list[exp.Alias]:
        return self._words(self._bits(tests))

    def _bits(self, tests: Iterable[tuple[Atom, exp.Expr]]) -> dict[int, exp.Expr]:
        bits: dict[int, list[tuple[int, exp.Expr]]] = {}
        for atom, test in tests:
            word, place = self.layout.places[atom]
            bits.setdefault(word, []).append((place.bit_length() - 1, test))
        return {word: bits_of(found) for word, found in bits.items()}

    def _any_bit(self, bits: Iterable[int]) -> exp.Expr:
        """Whether a row says anything: what does not need not be put together with others."""
        return compare(either([column(self.names[word]) for word in bits]), "!=", number(0))

    # ---- records -------------------------------------------------------------------------------

    def _known(self, table: str, names: tuple[str, ...], atoms: list[Atom]) -> exp.Query:
        """What is known of a device beside its events."""
        masks = {atom.mask for atom in atoms}
        apart = len(masks) > 1
        tests = [(atom, self._record(atom, apart=apart)) for atom in atoms]
        scope, bits = self.scopes[min(masks)], self._bits(tests)
        also = self._words(bits)
        if not apart and all(atom.what == IDENTIFIED for atom in atoms):
            return scope.traits(names, [], once=False, also=also)
        having = [self._any_bit(bits)]
        if table == "scores":
            return scope.scores(names, having, also=also, carried=not apart)
        return scope.traits(names, having, also=also, carried=not apart)

    def _record(self, atom: Atom, *, apart: bool) -> exp.Expr:
        """The test of a device's records; `apart`, of those that the atom's mask may see."""
        scope = self.scopes[atom.mask]
        match atom.what:
            case Trait(predicate):
                test = certain(trait_test(predicate, scope))
            case Held():
                test = held_having(atom.what, scope)
            case Score(predicate):
                test = certain(score_having(predicate, scope))
            case _:
                test = exp.true()
        if not apart:
            return test
        seen = compare(call("countIf", scope.flags_guard()), ">", number(0))
        return all_of([seen, _with_flags(test, scope)])

    def _apart(self, atom: Atom, scope: Scope) -> exp.Query:
        """The devices of an atom that takes part in no other read."""
        what = atom.what
        if isinstance(what, Affine):
            return affinity_query(what, scope)
        # Kept as its opposite where it holds without events; the query gives the opposite then.
        regularity = what.operand if isinstance(what, Not) else what
        assert isinstance(regularity, Regularity), "whatever else there is has a read of its own"
        return regularity_query(regularity, scope)

    # ---- events --------------------------------------------------------------------------------

    def _events(self, part: Part, atoms: list[Atom]) -> exp.Query:
        everything = And(tuple(dict.fromkeys(atom.condition for atom in atoms)))
        masks = dict.fromkeys(atom.mask for atom in atoms)
        scans = {
            mask: SharedScan(self.scopes[mask], everything, part[1], apart=len(masks) > 1)
            for mask in masks
        }
        words: dict[int, list[exp.Expr]] = {}
        for region in self.layout.regions.get(part, ()):
            # All masks have the same bits, written and analysed once.
            bits = scans[next(iter(region.words))].stretched(region)
            alias = self.scopes[atoms[0].mask].params.alias()
            row: exp.Expr = exp.Paren(this=named(bits, alias))
            for mask, word in region.words.items():
                words.setdefault(word, []).append(scans[mask].gathered(row))
                row = column(alias)
        tests = [
            (atom, scans[atom.mask].test(atom.condition))
            for atom in atoms
            if not isinstance(atom.condition, Did)
        ]
        first = next(iter(scans.values()))
        having = [] if words else [self._any_bit(self._bits(tests))]
        for word, bits in self._bits(tests).items():
            words.setdefault(word, []).append(bits)
        also = self._words({word: either(bits) for word, bits in words.items()})
        return first.read(also, having)


def _with_flags(test: exp.Expr, scope: Scope) -> exp.Expr:
    """A test of many records as one of those that carried the flags of the mask."""
    for one in list(test.find_all(exp.Anonymous)):
        if one.name in _AGGREGATES:
            one.set("this", f"{one.name}If")
            one.append("expressions", scope.flags_guard())
        elif one.name in _SELECTIVE:
            selected = one.expressions[-1].copy()
            one.expressions[-1].replace(all_of([scope.flags_guard(), selected]))
    return test


def _conjuncts(where: Predicate) -> tuple[Predicate, ...]:
    return where.operands if isinstance(where, And) else (where,)
