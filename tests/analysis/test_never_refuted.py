"""No finding that the evaluator could refute: random definitions over random histories.

Whatever the analysis claims of conditions must hold for every device at every instant tried: what
it calls impossible never holds, what it calls certain always does, what follows does follow.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest

from relo_dsl.analysis.conditions import always_holds, formula, implies, never_together
from relo_dsl.consent import scope
from relo_dsl.interpret import Context, DeviceView, History, context_of, exists, holds, view
from relo_dsl.plan import Plan
from relo_dsl.terms import And, Condition, Not, Or
from tests.analysis.narrow import narrow_case
from tests.differential.cases import Case
from tests.differential.collect import collect

CLIENT = 3


def operands(condition: Condition) -> Iterator[Condition]:
    """A condition and all that it is joined of."""
    yield condition
    match condition:
        case And(parts) | Or(parts):
            for part in parts:
                yield from operands(part)
        case Not(part):
            yield from operands(part)


def pairs(condition: Condition) -> Iterator[tuple[Condition, Condition]]:
    leaves = [c for c in dict.fromkeys(operands(condition)) if not isinstance(c, Not)][:10]
    yield from itertools.combinations(leaves, 2)


def seen_by(case: Case, plan: Plan) -> list[tuple[DeviceView, Context]]:
    """Every device of the universe at every instant of a case."""
    scoped = scope(plan)
    history = History.of(case.records(CLIENT), client=CLIENT, default_flags=plan.default_flags)
    found = []
    for at in case.instants:
        context = context_of(scoped, history, at, case.listed)
        found += [
            (view(scoped, device, at), context)
            for device in history.devices.values()
            if exists(scoped, device, at)
        ]
    return found


def claims(condition: Condition, tally: Counter[str]) -> Iterator[tuple[str, Condition]]:
    """What the analysis says of the parts of a condition: each must hold for everybody."""
    for part in dict.fromkeys(operands(condition)):
        if never_together((formula(part, True),)):
            tally["never"] += 1
            yield "never", Not(part)
        if always_holds(part):
            tally["always"] += 1
            yield "always", part
    for one, other in pairs(condition):
        for first, second in ((one, other), (other, one)):
            if implies(first, second):
                tally["implies"] += 1
                yield "implies", Or((Not(first), second))
        if never_together((formula(one, True), formula(other, True))):
            tally["excludes"] += 1
            yield "excludes", Not(And((one, other)))
        if never_together((formula(one, False), formula(other, False))):
            tally["covers"] += 1
            yield "covers", Or((one, other))


def refuted(case: Case, tally: Counter[str]) -> Iterator[str]:
    plan = case.plan(CLIENT)
    condition = plan.condition
    found = list(claims(condition, tally))
    if not found:
        return
    for device, context in seen_by(case, plan):
        for what, claim in found:
            if not holds(claim, device, context):
                yield f"{what} refuted by {device.id} at {context.at}: {claim}\n{case.text}"


@pytest.mark.parametrize("seed", [20, 21])
def test_random_definitions(seed: int) -> None:
    cases, _ = collect(250, seed)
    tally: Counter[str] = Counter()
    assert [text for case in cases for text in refuted(case, tally)] == []
    assert tally["implies"] > 10, tally


@pytest.mark.parametrize("every", [False, True])
def test_definitions_of_few_things(every: bool) -> None:
    tally: Counter[str] = Counter()
    for seed in range(400):
        assert list(refuted(narrow_case(seed, every=every), tally)) == []
    assert min(tally[what] for what in ("never", "always", "implies", "excludes", "covers")) > 10
