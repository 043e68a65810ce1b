"""Where the atoms of a pass have their bits: words of 64, each of one mask alone.

Whether some event passes has a region of bits, one for each stretch of time between two ends of the
windows that are asked for: a window is a set of stretches, so that all windows over the same events
are one column of bits. Any other atom has one bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from sqlglot import exp

from relo_dsl.sql.build import FALSE, call, number
from relo_dsl.sql.leaves import leaves, rows_of
from relo_dsl.sql.together.atoms import Atom
from relo_dsl.terms import Did, Predicate

WORD = 64
#: What is read at once: a table and which part of it, and the mask where it is of one mask alone.
Part = tuple[str, tuple[str, ...], int]


@dataclass(frozen=True)
class Region:
    """Words of one read: in each, for every one of some predicates, a bit a stretch of time.

    `ends` are the last instants of the stretches but the last, in epoch milliseconds. `words` are
    those of each mask that looks at them; all masks have the same bits for the same predicates,
    from `start` on.
    """

    ends: tuple[int, ...]
    wheres: tuple[Predicate | None, ...]
    words: Mapping[int, int]
    start: int

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
        places: dict[Atom, tuple[int, int]] = {}
        regions: dict[Part, list[Region]] = {}
        words = Words()
        asked = [
            (part, *region)
            for part, atoms in groups.items()
            if part[0] == "events"
            for region in _packed(_windows(atoms, now))
        ]
        # The widest first: what is left of their words has room for some of the others.
        for part, ends, found in sorted(asked, key=lambda one: -len(one[2]) * (len(one[1]) + 1)):
            width = len(ends) + 1
            masks = {atom.mask for about in found.values() for atom, _ in about}
            start, own = words.room(width * len(found), sorted(masks))
            for place, about in enumerate(found.values()):
                for atom, window in about:
                    bits = _stretches(window, ends) << start + place * width
                    places[atom] = own[atom.mask], bits
            regions.setdefault(part, []).append(Region(ends, tuple(found), own, start))
        for atom in (atom for atoms in groups.values() for atom in atoms):
            if atom not in places:
                start, own = words.room(1, [atom.mask])
                places[atom] = own[atom.mask], 1 << start
        return cls(tuple(words.masks), places, regions)


@dataclass
class Words:
    """Words as they fill up: `masks` are theirs, `used` how many bits of each are taken."""

    masks: list[int] = field(default_factory=list)
    used: list[int] = field(default_factory=list)

    def room(self, bits: int, masks: Sequence[int]) -> tuple[int, dict[int, int]]:
        """A word of each mask with room for so many bits, and the first bit, the same in all."""
        own: dict[int, int] = {}
        for mask in masks:
            fitting = [
                word
                for word, of_mask in enumerate(self.masks)
                if of_mask == mask and self.used[word] + bits <= WORD
            ]
            own[mask] = fitting[0] if fitting else self._new(mask)
        start = max(self.used[word] for word in own.values())
        if start + bits > WORD:
            own, start = {mask: self._new(mask) for mask in masks}, 0
        for word in own.values():
            self.used[word] = start + bits
        return start, own

    def _new(self, mask: int) -> int:
        self.masks.append(mask)
        self.used.append(0)
        return len(self.masks) - 1


def hull_of(atoms: Iterable[Atom], now: int) -> tuple[int | None, int]:
    """The shortest window that holds every row that any of the atoms is about."""
    rows = [r for a in atoms for leaf in leaves(a.condition) for r in rows_of(leaf, now)]
    starts = [one.after for one in rows if one.after is not None]
    return min(starts) if len(starts) == len(rows) else None, max(one.until for one in rows)


#: The atoms that ask whether some event passes, each with its window, by what it has to pass.
Windows: TypeAlias = "dict[Predicate | None, list[tuple[Atom, tuple[int | None, int | None]]]]"


def _windows(atoms: Sequence[Atom], now: int) -> Windows:
    """Windows within the hull: no row lies outside, so that its own ends are not asked for."""
    after, until = hull_of(atoms, now)
    asked: Windows = {}
    for atom in atoms:
        what = atom.what
        if isinstance(what, Did):
            start, end = what.window.bounds(now)
            inner = (None if start == after else start, None if end == until else end)
            asked.setdefault(what.selection.where, []).append((atom, inner))
    return asked


def _packed(asked: Windows) -> list[tuple[tuple[int, ...], Windows]]:
    """Predicates into words: those with the most windows first, as many as have room."""
    own = {
        where: {end for _, window in found for end in window if end is not None}
        for where, found in asked.items()
    }
    packed: list[tuple[set[int], Windows]] = []
    for where in sorted(own, key=lambda one: (-len(own[one]), repr(one))):
        for ends, wheres in packed:
            together = ends | own[where]
            if (len(together) + 1) * (len(wheres) + 1) <= WORD:
                ends |= own[where]
                wheres[where] = asked[where]
                break
        else:
            packed.append((set(own[where]), {where: asked[where]}))
    return [(tuple(sorted(ends)), wheres) for ends, wheres in packed]


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
