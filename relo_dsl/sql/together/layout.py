"""Where the atoms of a pass have their bits: words of 64, each of one mask alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from relo_dsl.sql.build import FALSE, call, number
from relo_dsl.sql.together.atoms import Atom

WORD = 64


@dataclass(frozen=True)
class Layout:
    """`masks` are those of the words; `places` the word and the bit of each atom."""

    masks: tuple[int, ...]
    places: Mapping[Atom, tuple[int, int]]

    @classmethod
    def of(cls, atoms: Iterable[Atom]) -> Layout:
        """Bits in the order of the atoms; what one mask may see shares no word with another's."""
        masks: list[int] = []
        places: dict[Atom, tuple[int, int]] = {}
        filling: dict[int, tuple[int, int]] = {}
        for atom in atoms:
            if atom in places:
                continue
            word, bit = filling.get(atom.mask, (0, WORD))
            if bit == WORD:
                word, bit = len(masks), 0
                masks.append(atom.mask)
            places[atom] = word, bit
            filling[atom.mask] = word, bit + 1
        return cls(tuple(masks), places)


def bits_of(tests: Iterable[tuple[int, exp.Expr]]) -> exp.Expr:
    """A word with each bit set where its test, which is never NULL, holds; 0 for no tests."""
    return either([_shifted(call("toUInt64", test), bit) for bit, test in tests])


def either(words: list[exp.Expr]) -> exp.Expr:
    """The bits of all words."""
    if not words:
        return call("toUInt64", FALSE.copy())
    while len(words) > 1:
        pairs = zip(words[::2], words[1::2], strict=False)
        joined = [call("bitOr", one, other) for one, other in pairs]
        words = joined + words[len(words) // 2 * 2 :]
    return words[0]


def _shifted(word: exp.Expr, bit: int) -> exp.Expr:
    return call("bitShiftLeft", word, number(bit)) if bit else word
