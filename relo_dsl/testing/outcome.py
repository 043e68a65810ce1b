"""Running tests: what engines answer beside what is expected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from relo_dsl.bind import BoundDefinition
from relo_dsl.consent import ScopedPlan
from relo_dsl.flip import is_candidate, next_flip
from relo_dsl.interpret import History, Lists, members
from relo_dsl.testing.cases import Case, Check

#: The members (device ids) at each instant that was asked for.
Answer = Mapping[int, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Question:
    """A test with the definition that it is about, as it runs."""

    case: Case
    bound: BoundDefinition
    scoped: ScopedPlan
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, case: Case, bound: BoundDefinition, scoped: ScopedPlan) -> Question:
        """The question that a test asks.

        A stay with two ends is looked at wherever the membership changes in it by time alone.
        """
        question = cls(case, bound, scoped, ())
        checks = [*case.checks(), *_interruptions(question)]
        return replace(question, checks=tuple(dict.fromkeys(checks)))

    @property
    def instants(self) -> list[int]:
        """The instants to look at, in order (epoch milliseconds)."""
        return sorted({check.at for check in self.checks})

    @property
    def history(self) -> History:
        """The records of the test, for the evaluator."""
        plan = self.scoped.plan
        return History.of(
            self.case.records, client=self.scoped.client, default_flags=plan.default_flags
        )

    @property
    def lists(self) -> Lists:
        """The lists of the test; one that it does not give is empty."""
        return defaultdict(frozenset, self.case.lists)


def _interruptions(question: Question) -> Iterator[Check]:
    """The first instant at which a stay that began as expected ends before its end."""
    history = question.history
    for stay in question.case.expectations:
        if stay.start is None or stay.until is None:
            continue
        asked = (question.scoped, history, stay.device, stay.start, question.lists)
        if is_candidate(*asked) == stay.member:
            change = next_flip(*asked)
            if change is not None and change < stay.until:
                yield Check(stay.device, change, stay.member, stay.span)


@dataclass(frozen=True, slots=True)
class Broken:
    """What stands for the answer of an engine that could not run its query: a mistake of relo."""

    text: str


#: An engine: the answers to some questions, in their order.
Engine = Callable[[Sequence[Question]], Sequence[Answer | Broken]]


@dataclass(frozen=True, slots=True)
class Defect:
    """The engines differ about a device: a mistake of relo, not of the definition."""

    device: str
    at: int
    evaluator: bool
    sql: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a test: the checks that failed, in their order, and where engines differ."""

    question: Question
    failed: tuple[Check, ...]
    defects: tuple[Defect, ...] = ()
    broken: Broken | None = None

    @property
    def passed(self) -> bool:
        return not self.failed and not self.defects and self.broken is None


def interpreted(questions: Sequence[Question]) -> list[Answer]:
    """The naive evaluator as an engine: rankings and samples go by the ids of the devices."""
    answers: list[Answer] = []
    for question in questions:
        history, lists = question.history, question.lists
        answers.append(
            {at: members(question.scoped, history, at, lists) for at in question.instants}
        )
    return answers


def judge(question: Question, evaluator: Answer | None, sql: Answer | Broken | None) -> Outcome:
    """Compares what was answered with what is expected; None for an engine that was not asked."""
    broken = sql if isinstance(sql, Broken) else None
    if isinstance(sql, Broken):
        sql = None
    asked = [answer for answer in (evaluator, sql) if answer is not None]
    failed = tuple(
        check
        for check in question.checks
        if any((check.device in answer[check.at]) != check.member for answer in asked)
    )
    defects: list[Defect] = []
    if evaluator is not None and sql is not None:
        defects = [
            Defect(device, at, device in evaluator[at], device in sql[at])
            for at in question.instants
            for device in sorted(evaluator[at] ^ sql[at])
        ]
    return Outcome(question, failed, tuple(defects), broken)


def run(questions: Sequence[Question], sql: Engine | None, *, evaluate: bool) -> list[Outcome]:
    """The outcomes of all tests, in their order, by the evaluator, by SQL, or by both."""
    unasked = [None] * len(questions)
    first: Sequence[Answer | None] = interpreted(questions) if evaluate else unasked
    second: Sequence[Answer | Broken | None] = sql(questions) if sql else unasked
    return [judge(*three) for three in zip(questions, first, second, strict=True)]
