"""Coverage: which clauses the tests of a definition have seen hold, and not hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relo_dsl.bind import BoundDefinition, Clause
from relo_dsl.interpret import context_of, exists, holds, view
from relo_dsl.testing.outcome import Question


@dataclass(frozen=True, slots=True)
class Covered:
    """A clause, and whether some device at some instant was seen for which it holds, or not."""

    clause: Clause
    true: bool
    false: bool

    @property
    def both(self) -> bool:
        return self.true and self.false


@dataclass(frozen=True, slots=True)
class Coverage:
    """The clauses of one definition: the operands of its `and`s and `or`s at any depth."""

    bound: BoundDefinition
    clauses: tuple[Covered, ...]

    @property
    def percent(self) -> int:
        """The share of clauses that were seen both ways, cut to whole percent."""
        return 100 * sum(clause.both for clause in self.clauses) // len(self.clauses)


def coverage(questions: Iterable[Question]) -> list[Coverage]:
    """The coverage of every definition that the questions are about, in their order."""
    by_name: dict[str, list[Question]] = {}
    for question in questions:
        by_name.setdefault(question.case.name, []).append(question)
    return [_of_definition(own) for own in by_name.values()]


def _of_definition(questions: Sequence[Question]) -> Coverage:
    bound = questions[0].bound
    seen: list[set[bool]] = [set() for _ in bound.parts]
    for question in questions:
        _look(question, seen)
    return Coverage(
        bound,
        tuple(
            Covered(part, True in ways, False in ways)
            for part, ways in zip(bound.parts, seen, strict=True)
        ),
    )


def _look(question: Question, seen: Sequence[set[bool]]) -> None:
    """Adds how each clause turns out for every device that exists, consent or not."""
    history = question.history
    for at in question.instants:
        context = context_of(question.scoped, history, at, question.lists)
        for device in history.devices.values():
            if exists(question.scoped, device, at):
                visible = view(question.scoped, device, at)
                for part, ways in zip(question.bound.parts, seen, strict=True):
                    if len(ways) < 2:
                        ways.add(holds(part.condition, visible, context))
