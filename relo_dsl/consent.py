"""The one door between a plan and anything that reads data.

`scope` is the only maker of a `ScopedPlan`, and only a `ScopedPlan` can become SQL or be
interpreted. The mask is the plan's own, raised to at least one flag: there is no parameter,
setting or call that lowers it.
"""

from __future__ import annotations

from dataclasses import dataclass

from relo_dsl.plan import Plan

#: Needed where no destination and no `require consent` asks for more.
ANALYTICS = 1
_DOOR = object()


@dataclass(frozen=True)
class ScopedPlan:
    """A plan bound to its client and consent. Made by `scope` alone.

    Raises TypeError when it is constructed in any other way, `dataclasses.replace` included.
    """

    plan: Plan
    client: int
    mask: int
    _door: object = None

    def __post_init__(self) -> None:
        if self._door is not _DOOR:
            raise TypeError("a ScopedPlan is made by relo_dsl.consent.scope only")
        # Nothing keeps the key: `replace` on the result meets the closed door.
        object.__setattr__(self, "_door", None)


def scope(plan: Plan) -> ScopedPlan:
    """The plan with its client and consent mask fixed. Raises ValueError for an unusable one."""
    if not 0 <= plan.client < 2**32:
        raise ValueError(f"the client {plan.client} is not a number from 0 to 4294967295")
    if not 0 <= plan.mask <= 255:
        raise ValueError(f"the consent mask {plan.mask} is not eight bits")
    return ScopedPlan(plan, plan.client, plan.mask or ANALYTICS, _DOOR)
