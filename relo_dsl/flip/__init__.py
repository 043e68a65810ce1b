"""When time alone changes whether a device is a member.

A plan is constant between certain instants: a record comes into sight, leaves a window, a local
day ends, a retention runs out. `boundaries` gives them all, `next_flip` the first at which the
answer is another one.
"""

from __future__ import annotations

from relo_dsl.consent import ScopedPlan
from relo_dsl.flip.moments import boundaries
from relo_dsl.interpret import NO_LISTS, History, Lists, consented, context_of, exists, holds, view
from relo_dsl.interpret.members import CompanionsOf

__all__ = ["boundaries", "is_candidate", "next_flip"]


def is_candidate(
    scoped: ScopedPlan,
    history: History,
    device: str,
    at: int,
    lists: Lists = NO_LISTS,
    companions_of: CompanionsOf | None = None,
) -> bool:
    """Whether one device is in the universe, consents and meets the condition at T = `at`.

    Its place in a ranking, its sample and its holdout are left out: the first needs all devices,
    the others never change.
    """
    known = history.devices.get(device)
    if known is None or not exists(scoped, known, at) or not consented(scoped, known, at):
        return False
    context = context_of(scoped, history, at, lists, companions_of)
    return holds(scoped.plan.condition, view(scoped, known, at), context)


def next_flip(
    scoped: ScopedPlan,
    history: History,
    device: str,
    at: int,
    lists: Lists = NO_LISTS,
    companions_of: CompanionsOf | None = None,
) -> int | None:
    """The first instant after T = `at` (epoch milliseconds) at which `is_candidate` gives another
    answer, if no further record arrives; None where there is none.

    Records of the history with a later time than T count: they exist, and time alone brings them
    into sight. The answer is exact, with two limits: anniversaries are followed for
    `relo_dsl.flip.moments.HORIZON`, and nothing is looked for after the year 9989. It evaluates
    the condition at every boundary up to the answer: right rather than fast.

    With `companions_of` the history holds this device alone, and what goes with a product is taken
    as it tells, at every instant.
    """
    today = is_candidate(scoped, history, device, at, lists, companions_of)
    for moment in boundaries(scoped, history, device, at):
        if is_candidate(scoped, history, device, moment, lists, companions_of) is not today:
            return moment
    return None
