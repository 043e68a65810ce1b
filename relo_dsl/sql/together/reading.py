"""The reads of a pass: each part of a table once, every atom about it a bit of the words it gives.

Events are read by sets of event types, as the sorting key has them. Whether some event passes is a
bit of each row, and one aggregate over a word of such bits answers 64 leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sqlglot import exp

from relo_dsl.sql.affinity import affinity_query
from relo_dsl.sql.build import all_of, call, named, select, subquery
from relo_dsl.sql.held import held_having
from relo_dsl.sql.leaves import Rows, event_types, rows_of
from relo_dsl.sql.predicates import certain
from relo_dsl.sql.regularity import regularity_query
from relo_dsl.sql.scans import Scan
from relo_dsl.sql.scope import Scope, device
from relo_dsl.sql.scores import score_having
from relo_dsl.sql.together.atoms import EXISTS, Atom
from relo_dsl.sql.together.layout import Layout, bits_of, either
from relo_dsl.sql.traits import names_of, trait_test
from relo_dsl.terms import (
    Affine,
    And,
    Condition,
    Did,
    Held,
    InList,
    Not,
    Regularity,
    Score,
    Selection,
    Trait,
)

#: What is read at once: a table and which part of it.
Part = tuple[str, tuple[str, ...], int]
_ANY: Condition = Did(Selection(()))


def parts_of(atom: Atom) -> list[Part]:
    """What has to be read for an atom; the mask stands where a read is of one mask alone."""
    what, mask = atom.what, atom.mask
    if what == EXISTS:
        return [("events", (), 0), ("identifies", (), mask)]
    match what:
        case Trait(predicate) | Held(predicate):
            return [("traits", names_of(predicate), mask)]
        case Score(predicate):
            return [("scores", names_of(predicate), mask)]
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

    def row_test(self, did: Did) -> exp.Expr | None:
        """Whether one row is such an event, never NULL; None where every row is."""
        (rows,) = rows_of(did, self.scope.now)
        asked = super()._own(rows)
        return certain(asked) if asked is not None and rows.where - self._shared else asked

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

    def read(self, also: Sequence[exp.Alias], *, once: bool) -> exp.Select:
        """The devices of the rows that matter to any leaf."""
        where, window = replace(self, apart=False)._wanted()
        return self.scope.events(
            self.types, window, where, [], once=once, also=also, carried=not self.apart
        )


@dataclass(frozen=True)
class Reading:
    """The reads of a pass; `scopes` are by mask, `names` those of the words."""

    scopes: Mapping[int, Scope]
    layout: Layout
    names: tuple[str, ...]

    def queries(self) -> list[exp.Query]:
        """Queries that together give the bits of every device: the device, then all words."""
        return [self._query(part, atoms) for part, atoms in self.groups.items()]

    @cached_property
    def groups(self) -> dict[Part, list[Atom]]:
        return grouped(self.layout.places)

    def _query(self, part: Part, atoms: list[Atom]) -> exp.Query:
        table, names, mask = part
        match table:
            case "events":
                return self._events(names, atoms)
            case "identifies":
                return self.scopes[mask].traits(("",), [], once=False, also=self._set(atoms))
            case "traits":
                tests = [(atom, self._trait(atom)) for atom in atoms]
                return self.scopes[mask].traits(names, [], also=self._tested(tests))
            case "scores":
                tests = [(atom, self._score(atom)) for atom in atoms]
                return self.scopes[mask].scores(names, [], also=self._tested(tests))
            case "lists":
                found: exp.Query = self.scopes[atoms[0].mask].listed(names[0])
            case _:
                found = self._apart(atoms[0])
        return select([device(), *self._set(atoms)], subquery(found))

    # ---- columns -------------------------------------------------------------------------------

    def _words(self, values: Mapping[int, exp.Expr]) -> list[exp.Alias]:
        return [named(values.get(i) or either([]), name) for i, name in enumerate(self.names)]

    def _set(self, atoms: Iterable[Atom]) -> list[exp.Alias]:
        return self._tested([(atom, exp.true()) for atom in atoms])

    def _tested(self, tests: Iterable[tuple[Atom, exp.Expr]]) -> list[exp.Alias]:
        bits: dict[int, list[tuple[int, exp.Expr]]] = {}
        for atom, test in tests:
            word, bit = self.layout.places[atom]
            bits.setdefault(word, []).append((bit, test))
        return self._words({word: bits_of(found) for word, found in bits.items()})

    # ---- records -------------------------------------------------------------------------------

    def _trait(self, atom: Atom) -> exp.Expr:
        scope = self.scopes[atom.mask]
        if isinstance(atom.what, Held):
            return held_having(atom.what, scope)
        assert isinstance(atom.what, Trait)
        return certain(trait_test(atom.what.predicate, scope))

    def _score(self, atom: Atom) -> exp.Expr:
        assert isinstance(atom.what, Score)
        return certain(score_having(atom.what.predicate, self.scopes[atom.mask]))

    def _apart(self, atom: Atom) -> exp.Query:
        """The devices of an atom that takes part in no other read."""
        scope, what = self.scopes[atom.mask], atom.what
        if isinstance(what, Affine):
            return affinity_query(what, scope)
        # Kept as its opposite where it holds without events; the query gives the opposite then.
        regularity = what.operand if isinstance(what, Not) else what
        assert isinstance(regularity, Regularity), "whatever else there is has a read of its own"
        return regularity_query(regularity, scope)

    # ---- events --------------------------------------------------------------------------------

    def _events(self, types: tuple[str, ...], atoms: list[Atom]) -> exp.Query:
        conditions = {atom: _ANY if atom.what == EXISTS else atom.what for atom in atoms}
        everything = And(tuple(dict.fromkeys(conditions.values())))
        masks = dict.fromkeys(atom.mask for atom in atoms)
        scans = {
            mask: SharedScan(self.scopes[mask], everything, types, apart=len(masks) > 1)
            for mask in masks
        }
        rows: dict[int, list[tuple[int, exp.Expr]]] = {}
        devices: dict[int, list[tuple[int, exp.Expr]]] = {}
        for atom, condition in conditions.items():
            word, bit = self.layout.places[atom]
            scan = scans[atom.mask]
            if isinstance(condition, Did):
                test = scan.row_test(condition)
                of_device = test is None and not scan.apart
                found = devices if of_device else rows
                found.setdefault(word, []).append((bit, test or exp.true()))
            else:
                devices.setdefault(word, []).append((bit, scan.test(condition)))
        words: dict[int, exp.Expr] = {}
        for word in {*rows, *devices}:
            parts = [bits_of(devices[word])] if word in devices else []
            if word in rows:
                parts.append(scans[self.layout.masks[word]].gathered(bits_of(rows[word])))
            words[word] = either(parts)
        first = next(iter(scans.values()))
        once = any(not isinstance(c, Did) for c in conditions.values()) or bool(rows)
        return first.read(self._words(words), once=once)
