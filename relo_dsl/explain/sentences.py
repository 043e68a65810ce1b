"""Conditions as sentences: what each clause of a plan says, for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, assert_never

from relo_dsl.explain.predicates import Speaker
from relo_dsl.freshness import Freshness, freshness
from relo_dsl.numbers import plain
from relo_dsl.plan import Plan
from relo_dsl.terms import (
    Affine,
    Always,
    And,
    Arithmetic,
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
    Step,
    Trait,
    Window,
    measures_of,
)

#: References inside references are followed so deep; deeper ones are only named.
_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Sentence:
    """A clause, said; `parts` are the clauses it is made of, where it is a list of them."""

    text: str
    freshness: Freshness
    parts: tuple[Sentence, ...] = ()

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"text": self.text, "freshness": self.freshness.kind}
        if self.parts:
            out["parts"] = [part.to_json() for part in self.parts]
        return out

    def lines(self, indent: str = "", mark: str = "-") -> Iterator[str]:
        """The sentence and its parts, indented."""
        yield f"{indent}{mark} {self.text}"
        for part in self.parts:
            yield from part.lines(indent + " " * (len(mark) + 1))


def as_range(condition: Condition) -> tuple[Quantity, Decimal, Decimal] | None:
    """The number and the ends of `count(x) in 2..4`, which is bound as two comparisons."""
    match condition:
        case And(
            (Comparison(left, ">=", Constant(low)), Comparison(other, "<=", Constant(high)))
        ) if left == other:
            return left, low, high
        case _:
            return None


@dataclass(frozen=True)
class Narrator:
    """Says conditions and quantities in the speaker's language."""

    speaker: Speaker

    def sentence(self, condition: Condition, depth: int = 0) -> Sentence:
        """What a condition says of a device."""
        return self._sentence(condition, depth, negative=False)

    def _sentence(self, condition: Condition, depth: int, *, negative: bool) -> Sentence:
        words, fresh = self.speaker.words, freshness(condition)
        match condition:
            case Not(operand):
                return self._sentence(operand, depth, negative=not negative)
            case And() if as_range(condition) is not None:
                return Sentence(self.leaf(condition, negative=negative), fresh)
            case And(operands):
                heading = words.group("not all" if negative else "all")
            case Or(operands):
                heading = words.group("none" if negative else "some")
            case Reference(name, inner):
                said = words.in_segment(name, negative=negative)
                if depth >= _DEPTH:
                    return Sentence(said, fresh)
                part = self.sentence(inner, depth + 1)
                return Sentence(f"{said}:", fresh, (part,))
            case _:
                return Sentence(self.leaf(condition, negative=negative), fresh)
        parts = tuple(self.sentence(operand, depth) for operand in operands)
        return Sentence(heading, fresh, parts)

    def leaf(self, condition: Condition, *, negative: bool = False) -> str:
        """A condition that is not made of others, or that it does not hold."""
        words, speaker = self.speaker.words, self.speaker
        match condition:
            case Did(selection, window):
                said = speaker.window(window, negative=negative)
                return words.did(self._before(selection), said, negative=negative)
            case InList(name):
                return words.on_list(name, negative=negative)
            case Always(value):
                return words.always(value is not negative)
            case Comparison(left, op, right):
                positive = self._comparison(left, op, right)
            case Extreme(which, selection, window, where):
                positive = words.extreme(
                    which,
                    self.events(selection),
                    None if window == Window() else speaker.window(window),
                    None if where is None else speaker.predicate(where),
                )
            case Sequence():
                positive = self._sequence(condition)
            case Regularity():
                positive = self._regularity(condition)
            case Trait(predicate):
                positive = speaker.predicate(predicate, "trait")
            case Held(predicate, length):
                positive = words.held(speaker.predicate(predicate, "trait"), length)
            case Score(predicate):
                positive = speaker.predicate(predicate, "score")
            case Affine(selection, prop, product, at_least):
                product = words.value(product)
                events = self.events(selection)
                positive = words.affine(speaker.name(prop), events, product, at_least)
            case And() if (limits := as_range(condition)) is not None:
                positive = self._range(*limits)
            case And() | Or() | Not() | Reference():
                raise AssertionError("not a leaf")
            case _:
                assert_never(condition)
        return words.not_so(positive) if negative else positive

    # ---- events --------------------------------------------------------------------------------

    def events(self, selection: Selection) -> str:
        """Which events: `` `purchase` where `revenue` is over 15000 ``."""
        words = self.speaker.words
        names = [f"`{name}`" for name in selection.events]
        said = words.listed(names, words.either) or words.any_event()
        if selection.where is None:
            return said
        return words.where(said, self.speaker.predicate(selection.where))

    def _before(self, selection: Selection) -> str:
        """The events before their window: a test ends with a comma."""
        return self.events(selection) + ("," if selection.where is not None else "")

    def _sequence(self, sequence: Sequence) -> str:
        words = self.speaker.words
        steps = [self._step(step) for step in sequence.steps]
        if sequence.absence is not None:
            events = self.events(sequence.absence.selection)
            steps.append(words.then_no(events, sequence.absence.length))
        return words.in_order(steps)

    def _step(self, step: Step) -> str:
        windows = [self.speaker.window(window) for window in step.windows]
        events = self._before(step.selection) if windows else self.events(step.selection)
        return self.speaker.words.step(events, windows, step.gap)

    def _regularity(self, node: Regularity) -> str:
        words = self.speaker.words
        inner = self._plainly(node.condition)
        return words.regular(inner, node.at_least, node.periods, node.unit or node.length or 0)

    def _plainly(self, condition: Condition) -> str:
        """In one sentence, windows left out: they are the periods'."""
        words = self.speaker.words
        match condition:
            case And(operands) | Or(operands):
                word = words.both if isinstance(condition, And) else words.either
                return words.listed([self._plainly(operand) for operand in operands], word)
            case Not(operand):
                return words.not_so(self._plainly(operand))
            case Comparison(left, op, right):
                return self._compared(left, op, right)
            case _:
                return self.leaf(condition)

    # ---- numbers -------------------------------------------------------------------------------

    def _comparison(self, left: Quantity, op: Op, right: Quantity) -> str:
        match left, right:
            case Measure("count", selection, _, window), Constant(value):
                said = self.speaker.window(window)
                return self.speaker.words.counted(op, plain(value), self._before(selection), said)
        windows = {measure.window for side in (left, right) for measure in measures_of(side)}
        if len(windows) == 1 and windows != {Window()}:
            [window] = windows
            return f"{self._compared(left, op, right)}, {self.speaker.window(window)}"
        return self.speaker.words.compared(self.amount(left), op, self.amount(right))

    def _range(self, quantity: Quantity, low: Decimal, high: Decimal) -> str:
        words, ends = self.speaker.words, (plain(low), plain(high))
        if isinstance(quantity, Measure) and quantity.kind == "count":
            said = self.speaker.window(quantity.window)
            return words.counted_between(*ends, self._before(quantity.selection), said)
        return words.in_range(self.amount(quantity), *ends, negated=False)

    def _compared(self, left: Quantity, op: Op, right: Quantity) -> str:
        return self.speaker.words.compared(self._amount(left), op, self._amount(right))

    def amount(self, quantity: Quantity) -> str:
        """A number: `the sum of ... in the last 30 days`."""
        return self._amount(quantity, windowed=True)

    def _amount(self, quantity: Quantity, *, windowed: bool = False) -> str:
        words = self.speaker.words
        match quantity:
            case Constant(value):
                return plain(value)
            case Measure(kind, selection, prop, window):
                name = None if prop is None else self.speaker.name(prop)
                said = words.measure(kind, self.events(selection), name)
                if not windowed or window == Window():
                    return said
                comma = "," if selection.where is not None else ""
                return f"{said}{comma} {self.speaker.window(window)}"
            case Arithmetic(op, left, right):
                sides = [
                    self._side(side, op, last=last, windowed=windowed)
                    for side, last in ((left, False), (right, True))
                ]
                return words.calculated(op, *sides)
            case _:
                assert_never(quantity)

    def _side(self, side: Quantity, op: str, *, last: bool, windowed: bool) -> str:
        """In parentheses where it would be read wrongly without."""
        said = self._amount(side, windowed=windowed)
        if not isinstance(side, Arithmetic):
            return said
        weak = op in "*/" and side.op in "+-"
        return f"({said})" if weak or last else said

    # ---- what is done with those that pass -----------------------------------------------------

    def afterwards(self, plan: Plan) -> list[str]:
        """The ranking, the sample and the holdout."""
        words, found = self.speaker.words, list[str]()
        if plan.keep is not None:
            keep = plan.keep
            by = self.amount(keep.by)
            found.append(words.ranked(keep.which, plain(keep.amount), by, share=keep.share))
        if plan.shares is not None:
            if plan.shares.sample is not None:
                found.append(words.sampled(plain(plan.shares.sample)))
            if plan.shares.holdout is not None:
                found.append(words.held_out(plain(plan.shares.holdout), plan.shares.name))
        return found
