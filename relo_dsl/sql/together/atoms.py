"""Conditions as formulas over atoms: what is asked of the records of one device, each once.

An atom is a leaf under one mask, at one instant, in a form in which leaves that mean the same are
equal: windows are resolved, `count(x) >= 1` is `x`, `last(x) within 7d` is `x within 7d`. No atom
holds for a device without the records that it is about: one that would is kept as its opposite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from relo_dsl.numbers import LIMIT
from relo_dsl.plan import absorb_constants, drop_double_negation, flatten
from relo_dsl.sql.leaves import holds_without_events, selections
from relo_dsl.sql.predicates import holds_when_absent
from relo_dsl.terms import (
    FLIPPED,
    NEVER_MISSING,
    Affine,
    Always,
    And,
    Arithmetic,
    At,
    Comparison,
    Condition,
    Constant,
    Did,
    Extreme,
    Held,
    InList,
    Measure,
    Not,
    Op,
    Or,
    Quantity,
    Reference,
    Regularity,
    Score,
    Selection,
    Sequence,
    Trait,
    Window,
    negation,
    properties_of,
)

_WHOLE = ("count", "distinct", "days", "weeks", "months")
_OPPOSITE: dict[Op, Op] = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
#: The device has a visible identify. The universe is made of these and of any visible event.
IDENTIFIED: Literal["identified"] = "identified"


@dataclass(frozen=True, slots=True)
class Atom:
    """One leaf under one mask. `Not(…)` of a leaf about events is an atom too."""

    mask: int
    what: Condition | Literal["identified"]

    @property
    def condition(self) -> Condition:
        """The leaf, of whichever atom is no `IDENTIFIED`."""
        assert self.what != IDENTIFIED
        return self.what


Formula: TypeAlias = "Atom | Always | And[Formula] | Or[Formula] | Not[Formula]"


@dataclass
class Decomposing:
    """Makes formulas of the conditions of one client at T = `now` (epoch milliseconds)."""

    now: int
    _references: dict[tuple[int, str], Formula] = field(default_factory=dict)

    def formula(self, condition: Condition, mask: int) -> Formula:
        """The condition for devices of the universe, as a formula that is false of any other."""
        found = self._of(condition, mask)
        if _may_hold_unseen(found):
            exists = Or((self._did(Did(Selection(())), mask), Atom(mask, IDENTIFIED)))
            found = _simple(And((exists, found)))
        return found

    def _of(self, condition: Condition, mask: int) -> Formula:
        match condition:
            case Always():
                return condition
            case Not(operand):
                return _simple(Not(self._of(operand, mask)))
            case And(operands):
                return _simple(And(tuple(self._of(operand, mask) for operand in operands)))
            case Or(operands):
                return _simple(Or(tuple(self._of(operand, mask) for operand in operands)))
            case Reference(_, inner):
                key = mask, condition.digest
                if key not in self._references:
                    self._references[key] = self._of(inner, mask)
                return self._references[key]
            case Did():
                return self._did(condition, mask)
            case Comparison() | Regularity():
                return self._measured(condition, mask)
            case Extreme() | Sequence():
                return self._outermost_or_steps(condition, mask)
            case Trait(predicate) | Held(predicate) | Score(predicate):
                absent = holds_when_absent(predicate)
                if not properties_of(predicate):
                    return Always(absent)
                atom = Atom(mask, condition)
                return Not(atom) if absent else atom
            case Affine() | InList():
                return Atom(mask, condition)

    def _did(self, did: Did, mask: int) -> Formula:
        """Some event of this or that type is one of this type or one of that."""
        window = self._resolved(did.window)
        events = did.selection.events
        apart = [replace(did.selection, events=(kind,)) for kind in events] or [did.selection]
        found = tuple(Atom(mask, Did(selection, window)) for selection in apart)
        return found[0] if len(found) == 1 else _simple(Or(found))

    def _measured(self, condition: Comparison | Regularity, mask: int) -> Formula:
        asked: Condition = condition
        turned = False
        if isinstance(condition, Comparison):
            asked, turned = self._compared(condition)
        if isinstance(asked, Did):
            found: Formula = self._did(asked, mask)
        elif not _has_measures(asked):
            found = Always(holds_without_events(asked))
        elif holds_without_events(asked):
            found = Not(Atom(mask, negation(asked)))
        else:
            found = Atom(mask, asked)
        return _simple(Not(found)) if turned else found

    def _compared(self, test: Comparison) -> tuple[Comparison | Did, bool]:
        """A comparison in its one form, and whether it is the opposite that it says."""
        left, op, right = self._quantity(test.left), test.op, self._quantity(test.right)
        if isinstance(left, Constant) or (
            not isinstance(right, Constant) and repr(right) < repr(left)
        ):
            left, op, right = right, FLIPPED[op], left
        turned = op in ("<", "<=", "!=") and _is_number(left) and _is_number(right)
        if turned:
            op = _OPPOSITE[op]
        if isinstance(left, Measure) and left.kind in _WHOLE and isinstance(right, Constant):
            value = right.value
            if op == ">" and 0 <= value < LIMIT and value == int(value):
                op, right = ">=", Constant(value + 1)
            if (left.kind, op) == ("count", ">=") and 0 < right.value <= 1:
                return Did(left.selection, left.window), turned
            if left.kind == "count" and op == "=" and right.value == 0:
                return Did(left.selection, left.window), not turned
        return Comparison(left, op, right), turned

    def _quantity(self, quantity: Quantity) -> Quantity:
        match quantity:
            case Measure():
                return replace(quantity, window=self._resolved(quantity.window))
            case Arithmetic(_, left, right):
                return replace(quantity, left=self._quantity(left), right=self._quantity(right))
            case Constant():
                return quantity

    def _outermost_or_steps(self, condition: Extreme | Sequence, mask: int) -> Formula:
        if isinstance(condition, Sequence):
            return Atom(mask, condition)
        window = self._resolved(condition.window)
        if condition.which == "last" and condition.where is None and window.until is None:
            # The last of them lies in a window that ends with T where any of them does.
            return self._did(Did(condition.selection, window), mask)
        return Atom(mask, replace(condition, window=window))

    def _resolved(self, window: Window) -> Window:
        after, until = window.bounds(self.now)
        return Window(
            None if after is None else At(after), None if until >= self.now else At(until)
        )


def _has_measures(condition: Condition) -> bool:
    inner = condition.condition if isinstance(condition, Regularity) else condition
    return bool(selections(inner))


def _is_number(quantity: Quantity) -> bool:
    """Whether it is a number for every device, so that one comparison or its opposite holds."""
    match quantity:
        case Constant():
            return True
        case Measure(kind):
            return kind in NEVER_MISSING
        case Arithmetic(op, left, right):
            return op != "/" and _is_number(left) and _is_number(right)


def _simple(node: Formula) -> Formula:
    for one in (drop_double_negation, flatten, absorb_constants, _once):
        node = one(node)
    return node


def _once(node: Any) -> Any:
    """The operands of `and` and `or`, each once."""
    match node:
        case And(operands) | Or(operands):
            unique = tuple(dict.fromkeys(operands))
            return unique[0] if len(unique) == 1 else type(node)(unique)
        case _:
            return node


def atoms_of(formula: Formula) -> Iterator[Atom]:
    """Every atom of a formula, left to right, as often as it stands there."""
    match formula:
        case Atom():
            yield formula
        case And(operands) | Or(operands):
            for operand in operands:
                yield from atoms_of(operand)
        case Not(operand):
            yield from atoms_of(operand)


def shows_existence(atom: Atom) -> bool:
    """Whether a device of which the atom holds has a visible event or identify.

    A list can name any device, and a score alone makes no device exist.
    """
    return not isinstance(atom.what, InList | Score)


def _may_hold_unseen(formula: Formula) -> bool:
    """Whether it could hold for a device that has no visible event and no visible identify."""
    return _unseen(formula) is not False


def _unseen(formula: Formula) -> bool | None:
    """What the formula says of a device without such; None where that is open."""
    match formula:
        case Atom():
            return False if shows_existence(formula) else None
        case Always(value):
            return value
        case Not(operand):
            found = _unseen(operand)
            return None if found is None else not found
        case And(operands):
            values = [_unseen(operand) for operand in operands]
            return False if False in values else None if None in values else True
        case Or(operands):
            values = [_unseen(operand) for operand in operands]
            return True if True in values else None if None in values else False
