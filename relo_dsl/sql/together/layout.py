"""Where the atoms of a pass have their bits: words of 64, each of one mask alone.

Whether some event passes has a region of bits, one for each stretch of time between two ends of the
windows that are asked for: a window is a set of stretches, so that all windows over the same events
are one column of bits. Any other atom has one bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from relo_dsl.sql.build import FALSE, call, number
from relo_dsl.sql.leaves import leaves, rows_of
from relo_dsl.sql.together.atoms import ANY_EVENT, EXISTS, Atom
from relo_dsl.terms import Condition, Did, Predicate

WORD = 64
#: What is read at once: a table and which part of it, and the mask where it is of one mask alone.
Part = tuple[str, tuple[str, ...], int]


@dataclass(frozen=True)
class Region:
    """Words of one read: in each, for every one of some predicates, a bit a stretch of time.

    `ends` are the last instants of the stretches but the last, in epoch milliseconds. `words` are
    those of each mask that looks at them; all masks have the same bits for the same predicates.
    """

    ends: tuple[int, ...]
    wheres: tuple[Predicate | None, ...]
    words: Mapping[int, int]

    @property
    def width(self) -> int:
        """Bits of one predicate."""
        return len(self.ends) + 1


@dataclass(frozen=True)
class Layout:
    """`masks` are those of the words; `places` the word and the bits of each atom, of which one
    is set where it holds; `regions` those of each read of events.
    """

    masks: tuple[int, ...]
    places: Mapping[Atom, tuple[int, int]]
    regions: Mapping[Part, Sequence[Region]]

    @classmethod
    def of(cls, groups: Mapping[Part, Sequence[Atom]], now: int) -> Layout:
        """The bits of all atoms. What one mask may see shares no word with another's."""
        masks: list[int] = []
        places: dict[Atom, tuple[int, int]] = {}
        regions: dict[Part, list[Region]] = {}
        for part, atoms in groups.items():
            if part[0] == "events":
                regions[part] = _regions(atoms, now, masks, places)
        filling: dict[int, tuple[int, int]] = {}
        for atom in (atom for atoms in groups.values() for atom in atoms):
            if atom in places:
                continue
            word, bit = filling.get(atom.mask, (0, WORD))
            if bit == WORD:
                word, bit = len(masks), 0
                masks.append(atom.mask)
            places[atom] = word, 1 << bit
            filling[atom.mask] = word, bit + 1
        return cls(tuple(masks), places, regions)


def condition_of(atom: Atom) -> Condition:
    """What an atom asks of events; that of existence, any event."""
    return ANY_EVENT if atom.what == EXISTS else atom.what


def hull_of(atoms: Iterable[Atom], now: int) -> tuple[int | None, int]:
    """The shortest window that holds every row that any of the atoms is about."""
    rows = [r for a in atoms for leaf in leaves(condition_of(a)) for r in rows_of(leaf, now)]
    starts = [one.after for one in rows if one.after is not None]
    return min(starts) if len(starts) == len(rows) else None, max(one.until for one in rows)


def _regions(
    atoms: Sequence[Atom], now: int, masks: list[int], places: dict[Atom, tuple[int, int]]
) -> list[Region]:
    """The regions of a read; adds their words to `masks`, and its atoms to `places`."""
    after, until = hull_of(atoms, now)
    asked: dict[Predicate | None, list[tuple[Atom, tuple[int | None, int | None]]]] = {}
    for atom in atoms:
        what = condition_of(atom)
        if isinstance(what, Did):
            start, end = what.window.bounds(now)
            # No row lies outside of the hull, whose own ends need not be asked for.
            inner = (None if start == after else start, None if end == until else end)
            asked.setdefault(what.selection.where, []).append((atom, inner))
    found: list[Region] = []
    for ends, wheres in _packed(asked):
        words: dict[int, int] = {}
        for place, where in enumerate(wheres):
            for atom, window in asked[where]:
                if atom.mask not in words:
                    words[atom.mask] = len(masks)
                    masks.append(atom.mask)
                bits = _stretches(window, ends) << place * (len(ends) + 1)
                places[atom] = words[atom.mask], bits
        found.append(Region(ends, wheres, words))
    return found


def _packed(
    asked: Mapping[Predicate | None, Sequence[tuple[Atom, tuple[int | None, int | None]]]],
) -> list[tuple[tuple[int, ...], tuple[Predicate | None, ...]]]:
    """Predicates into words: those with the most windows first, as many as have room."""
    own = {
        where: {end for _, window in found for end in window if end is not None}
        for where, found in asked.items()
    }
    packed: list[tuple[set[int], list[Predicate | None]]] = []
    for where in sorted(own, key=lambda one: (-len(own[one]), repr(one))):
        for ends, wheres in packed:
            together = ends | own[where]
            if (len(together) + 1) * (len(wheres) + 1) <= WORD:
                ends |= own[where]
                wheres.append(where)
                break
        else:
            packed.append((set(own[where]), [where]))
    return [(tuple(sorted(ends)), tuple(wheres)) for ends, wheres in packed]


def _stretches(window: tuple[int | None, int | None], ends: Sequence[int]) -> int:
    """The bits of the stretches of a window."""
    after, until = window
    first = 0 if after is None else ends.index(after) + 1
    last = len(ends) if until is None else ends.index(until)
    return sum(1 << place for place in range(first, last + 1))


def bits_of(tests: Iterable[tuple[int, exp.Expr]]) -> exp.Expr:
    """A word with each bit set where its test, which is never NULL, holds; 0 for no tests."""
    return either([_shifted(call("toUInt64", test), bit) for bit, test in tests])


def either(words: list[exp.Expr]) -> exp.Expr:
    """The bits of all words."""
    return folded("bitOr", words) if words else call("toUInt64", FALSE.copy())


def folded(function: str, parts: list[exp.Expr]) -> exp.Expr:
    """Parts, at least one, joined by a function of two, as a balanced tree."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        joined = [call(function, one, other) for one, other in pairs]
        parts = joined + parts[len(parts) // 2 * 2 :]
    return parts[0]


def _shifted(word: exp.Expr, bit: int) -> exp.Expr:
    return call("bitShiftLeft", word, number(bit)) if bit else word
