"""How much the engine keeps for each device while a pass runs: an estimate, on the high side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from relo_dsl.sql.leaves import leaves
from relo_dsl.sql.together.atoms import IDENTIFIED, Atom
from relo_dsl.terms import Did, Extreme, Held, Measure, Not, Regularity, Score, Sequence, Trait

#: An entry of a hash table: the key, its place, and what growing leaves free.
_ENTRY = 56
_WORD = 8
#: Bytes of one aggregate's state for one device; what holds many rows is taken for some dozens.
_STATES = {"count": 8, "sum": 16, "avg": 48, "min": 40, "max": 40, "median": 256}
_SET, _ARRAY, _OUTERMOST = 200, 256, 64


def state_bytes(groups: Mapping[tuple[str, tuple[str, ...], int], Iterable[Atom]]) -> int:
    """Bytes a device, over all reads of the groups and their union, if all ran side by side."""
    total = _ENTRY
    masks: dict[int, int] = {}
    for atoms in groups.values():
        total += _ENTRY
        states: dict[object, int] = {}
        for atom in atoms:
            masks[atom.mask] = masks.get(atom.mask, 0) + 1
            states |= _states(atom)
        total += sum(states.values())
    return total + sum((bits + 63) // 64 * _WORD for bits in masks.values())


def _states(atom: Atom) -> dict[object, int]:
    """The aggregates of an atom and their bytes; equal ones are kept once."""
    what = atom.what
    if what == IDENTIFIED:
        return {}
    operand = what.operand if isinstance(what, Not) else what
    match operand:
        case Did():
            return {}  # a bit of a word
        case Trait() | Score():
            return {(atom.mask, operand): 2 * _OUTERMOST}
        case Held():
            return {(atom.mask, operand): _ARRAY}
        case Regularity() if operand.periods > 12:
            return {(atom.mask, operand): _ENTRY * operand.periods}
    found: dict[object, int] = {}
    for leaf in leaves(operand):
        match leaf:
            case Measure(kind):
                found[atom.mask, leaf] = _STATES.get(kind, _SET)
            case Did():
                found[atom.mask, leaf] = _STATES["count"]
            case Extreme():
                found[atom.mask, leaf] = _OUTERMOST
            case Sequence():
                found[atom.mask, leaf] = _ARRAY
    return found
