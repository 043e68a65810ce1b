"""From the bits of devices to rows: which plans a device meets, and what becomes of it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlglot import exp

from relo_dsl.consent import ScopedPlan
from relo_dsl.sql.build import (
    FALSE,
    TRUE,
    Parameters,
    any_of,
    call,
    column,
    compare,
    named,
    negated,
    number,
    select,
    subquery,
    union,
)
from relo_dsl.sql.ranking import drawn_number
from relo_dsl.sql.scope import Scope, device
from relo_dsl.sql.together.atoms import Atom, Formula
from relo_dsl.sql.together.layout import WORD, Layout, bits_of, folded
from relo_dsl.terms import Always, And, Not, Or

#: Added to the place of a plan where the device lacks the consent that the plan needs.
LACKING = 65_536
#: Stands where a place has no plan.
NOBODY = 2**32 - 1


@dataclass(frozen=True)
class Asked:
    """A plan, its place among those given to `passes`, and its condition as a formula."""

    index: int
    plan: ScopedPlan
    formula: Formula


@dataclass(frozen=True)
class Answering:
    """Turns the words of a pass into its rows."""

    asked: Sequence[Asked]
    scopes: Mapping[int, Scope]
    layout: Layout
    params: Parameters
    merged: tuple[str, ...]
    """The names of the words once all reads are put together."""

    def query(self, reads: Sequence[exp.Query], names: Sequence[str]) -> exp.Select:
        """The rows of the pass: plan, part and device."""
        code, who = self.params.alias(), self.params.alias()
        met, codes = self._codes()
        known = select([named(device(), who), *met], subquery(self._merged(reads, names)))
        told = named(call("arrayJoin", codes), code)
        found = select([column(who), told], subquery(known))
        drawn = self.params.alias() if self._drawn_places else None
        if drawn is not None:
            drawing = named(self._drawn(who, code), drawn)
            found = select([column(who), column(code), drawing], subquery(found))
        lacks = compare(column(code), ">=", number(LACKING))
        nobody = call("toFixedString", exp.Literal.string(""), number(16))
        return select(
            [
                named(self._of_place("plans", "Array(UInt32)", self._indices, code), "plan"),
                named(call("if", lacks, number(2), self._part(code, drawn)), "part"),
                named(call("if", lacks.copy(), nobody, column(who)), "device"),
            ],
            subquery(found),
            [] if drawn is None else [any_of([lacks.copy(), self._sampled(code, drawn)])],
        )

    def _merged(self, reads: Sequence[exp.Query], names: Sequence[str]) -> exp.Select:
        """All bits of each device."""
        words = [
            named(call("groupBitOr", column(name)), merged)
            for name, merged in zip(names, self.merged, strict=True)
        ]
        rows = subquery(union(reads, distinct=False))
        return select([device(), *words], rows, (), [device()])

    # ---- plans ---------------------------------------------------------------------------------

    @cached_property
    def _words(self) -> list[tuple[int, list[Asked]]]:
        """The plans, 64 of one mask together, those with a sample or a holdout before all others:
        what is drawn for stands in arrays, which are dear to the engine's analysis.
        """
        groups: dict[tuple[bool, int], list[Asked]] = {}
        for one in self.asked:
            groups.setdefault((one.plan.plan.shares is None, one.plan.mask), []).append(one)
        return [
            (mask, group[start : start + WORD])
            for (_, mask), group in sorted(groups.items(), key=lambda item: item[0])
            for start in range(0, len(group), WORD)
        ]

    @cached_property
    def _places(self) -> list[Asked | None]:
        """The plan of each place; the last places of a word may have none."""
        return [one for _, group in self._words for one in [*group, *[None] * (WORD - len(group))]]

    @property
    def _indices(self) -> list[int]:
        return [NOBODY if one is None else one.index for one in self._places]

    def _codes(self) -> tuple[list[exp.Alias], exp.Expr]:
        """The places of the plans that the device meets, raised where it lacks their consent.

        Gives the columns that they are made of, and the array. The consent is a column, because in
        a lambda it would be looked up once for each place.
        """
        columns: list[exp.Alias] = []
        codes: list[exp.Expr] = []
        for word, (mask, group) in enumerate(self._words):
            bits, base = self.params.alias(), self.params.alias()
            met = bits_of((bit, self._formula(one.formula)) for bit, one in enumerate(group))
            start, lacking = number(word * WORD), number(word * WORD + LACKING)
            raised = call("if", self.scopes[mask].consent_guard(), start, lacking)
            columns += [named(met, bits), named(raised, base)]
            body = exp.Add(this=column("b"), expression=column(base))
            name = exp.Identifier(this="b", quoted=False)
            places = call("bitPositionsToArray", column(bits))
            codes.append(call("arrayMap", exp.Lambda(this=body, expressions=[name]), places))
        return columns, codes[0] if len(codes) == 1 else call("arrayConcat", *codes)

    # ---- formulas ------------------------------------------------------------------------------

    def _formula(self, formula: Formula) -> exp.Expr:
        """A formula over the words, never NULL."""
        match formula:
            case Atom():
                return self._together([(formula, True)], every=True)[0]
            case Always(value):
                return (TRUE if value else FALSE).copy()
            case Not(Atom() as atom):
                return self._together([(atom, False)], every=True)[0]
            case Not(operand):
                return negated(self._formula(operand))
            case And(operands) | Or(operands):
                every = isinstance(formula, And)
                literals: list[tuple[Atom, bool]] = []
                tests: list[exp.Expr] = []
                for operand in operands:
                    match operand:
                        case Atom():
                            literals.append((operand, True))
                        case Not(Atom() as atom):
                            literals.append((atom, False))
                        case _:
                            tests.append(self._formula(operand))
                tests = self._together(literals, every=every) + tests
                # Not AND and OR: of what these join, the engine's analysis hashes each column with
                # all that it is read from, which took most of a second for 200 plans.
                return folded("bitAnd" if every else "bitOr", tests)

    def _together(self, literals: list[tuple[Atom, bool]], *, every: bool) -> list[exp.Expr]:
        """Bits of one word that must all (or of which any) be so, in one comparison a word.

        Any of them is so unless all are otherwise.
        """
        found: dict[int, tuple[int, int]] = {}
        tests: list[exp.Expr] = []
        for atom, wanted in literals:
            word, bits = self.layout.places[atom]
            if wanted is every and bits & (bits - 1):
                # One of several bits is set: none of the others has to be.
                test = call("bitAnd", column(self.merged[word]), number(bits))
                tests.append(compare(test, "!=" if every else "=", number(0)))
                continue
            asked, values = found.get(word, (0, 0))
            value = bits if wanted is every else 0
            if (values ^ value) & asked & bits:
                # `a and not a`, or `a or not a`. No constant: whatever is read is looked at.
                tests.append(self._bits_are(word, bits, value, every=every))
                continue
            found[word] = asked | bits, values | value
        return tests + [
            self._bits_are(word, asked, values, every=every)
            for word, (asked, values) in sorted(found.items())
        ]

    def _bits_are(self, word: int, bits: int, value: int, *, every: bool) -> exp.Expr:
        """Whether these bits of a word are `value`; where not `every`, whether they are not."""
        found = call("bitAnd", column(self.merged[word]), number(bits))
        return compare(found, "=" if every else "!=", number(value))

    # ---- samples and holdouts ------------------------------------------------------------------

    @cached_property
    def _drawn_places(self) -> list[Asked | None]:
        """The places up to the last of a plan with a sample or a holdout."""
        drawn = [i for i, one in enumerate(self._places) if one and one.plan.plan.shares]
        return self._places[: drawn[-1] + 1] if drawn else []

    def _of_place(self, name: str, kind: str, values: list[Any], code: str) -> exp.Expr:
        """What an array holds at the place of a code."""
        place = call("bitAnd", column(code), number(LACKING - 1))
        known = self.params.add(values, kind, name)
        return call("arrayElement", known, exp.Add(this=place, expression=number(1)))

    def _drawn(self, who: str, code: str) -> exp.Expr:
        """The first bytes of the hash that samples go by; 0 where nothing is drawn."""
        asks = compare(column(code), "<", number(len(self._drawn_places)))
        names = [
            f"{one.plan.client}|{one.plan.plan.shares.name}|"
            if one and one.plan.plan.shares
            else ""
            for one in self._drawn_places
        ]
        name = self._of_place("names", "Array(String)", names, code)
        return call("if", asks, drawn_number(name, column(who)), number(0))

    def _part(self, code: str, drawn: str | None) -> exp.Expr:
        if drawn is None:
            return number(0)
        ends = [_last(one, "held_from") for one in self._drawn_places]
        kept = self._of_place("kept", "Array(Int128)", ends, code)
        return call("if", compare(column(drawn), ">", kept), number(1), number(0))

    def _sampled(self, code: str, drawn: str) -> exp.Expr:
        ends = [_last(one, "below") for one in self._drawn_places]
        sampled = self._of_place("sampled", "Array(Int128)", ends, code)
        return compare(column(drawn), "<=", sampled)


def _last(one: Asked | None, name: str) -> int:
    """The last number of a share; past every number where it takes all.

    Past the end of its array there is 0, which is what was drawn there: all are members.
    """
    shares = None if one is None else one.plan.plan.shares
    found = None if shares is None else getattr(shares, name)
    return 2**64 if found is None else int(found) - 1
