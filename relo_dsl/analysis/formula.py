"""Formulas over literals, and a search for a way in which they could all hold.

`never` says that formulas cannot all hold; it answers no where it cannot prove it, or not soon. A
literal that nothing is known about (UNKNOWN) conflicts with nothing, so leaving things out is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from relo_dsl.analysis.ranges import Ranges


class Subject:
    """What a claim is about: a quantity, a property, or a pair that is compared.

    Its hash is worked out once: terms are deep, and claims are gathered many times.
    """

    __slots__ = ("_hash", "node")

    def __init__(self, node: Any) -> None:
        self.node = node
        self._hash = hash(node)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Subject) and self._hash == other._hash and self.node == other.node
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The subject's value lies in `ranges`, or, where `missing`, it may be absent instead."""

    subject: Subject
    ranges: Ranges
    missing: bool
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A node of the plan holds, or does not."""

    node: Any
    holds: bool
    scope: str = ""


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part holds at least."""

    parts: tuple[Formula, ...]


Literal: TypeAlias = "Claim | Fact"
Formula: TypeAlias = "Claim | Fact | All | AnyOf"

#: Holds always; so does a part that nothing is known about.
UNKNOWN: Final = All(())
#: How many ways a search looks at before it gives up.
_WAYS = 60

#: What is claimed of each subject in all: the ranges, and whether it may be missing.
Claims: TypeAlias = dict[Subject, tuple[Ranges, bool]]
Closed: TypeAlias = Callable[[list[Literal]], bool]


class _GivenUpError(Exception):
    pass


def never(formulas: Iterable[Formula], closed: Closed) -> bool:
    """Whether the formulas can be proved never to hold together.

    `closed` says whether literals contradict one another.
    """
    parts = list(formulas)
    if all(isinstance(part, Claim | Fact) for part in parts):
        return closed(parts)  # type: ignore[arg-type]
    search = _Search(closed)
    try:
        return search.fails([], parts, [])
    except _GivenUpError:
        return False


@dataclass
class _Search:
    closed: Closed
    ways: int = _WAYS

    def fails(self, literals: list[Literal], pending: list[Formula], choices: list[AnyOf]) -> bool:
        self.ways -= 1
        if self.ways < 0:
            raise _GivenUpError
        literals, choices = list(literals), list(choices)
        grown = not choices
        while pending:
            part = pending.pop()
            match part:
                case All(parts):
                    pending.extend(parts)
                case AnyOf(parts):
                    choices.append(part)
                case _:
                    literals.append(part)
                    grown = True
        if grown and self.closed(literals):
            return True
        if not choices:
            return False
        # The fewest alternatives first: most often one of two falls at once.
        chosen = min(choices, key=lambda choice: len(choice.parts))
        rest = [choice for choice in choices if choice is not chosen]
        return all(self.fails(literals, [part], rest) for part in chosen.parts)


def may_hold(claim: Claim) -> bool:
    """Whether some value, or absence, is left to the subject of a claim."""
    return bool(claim.ranges) or claim.missing


def merged(literals: Iterable[Literal]) -> Claims | None:
    """What is claimed of each subject in all; None where that is impossible."""
    found: Claims = {}
    for literal in literals:
        if not isinstance(literal, Claim):
            continue
        ranges, missing = literal.ranges, literal.missing
        before = found.get(literal.subject)
        if before is not None:
            ranges, missing = ranges & before[0], missing and before[1]
        if not ranges and not missing:
            return None
        found[literal.subject] = ranges, missing
    return found
