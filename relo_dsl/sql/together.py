"""Many plans answered together: a refresh asks for the members of all of them in few queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from relo_dsl.consent import ScopedPlan
from relo_dsl.sql.query import SqlQuery


class Part(IntEnum):
    """What a row of a pass says of its device."""

    MEMBER = 0
    """It is a member."""
    HELD_OUT = 1
    """It would be one, and the holdout takes it."""
    WITHHELD = 2
    """Some device meets the condition without the consent it needs; the key is blank."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One query that answers several plans.

    Its rows are (`plan` UInt32, `part` UInt8, `device` FixedString(16)): `plan` is the place of a
    plan in the sequence that `passes` was given, `part` a `Part`. Members and devices held out
    come once each; a device withheld is a row with a key of zeros, so that it can be counted and
    no more.
    """

    query: SqlQuery
    plans: tuple[int, ...]


def passes(plans: Sequence[ScopedPlan], now: int) -> list[Pass]:
    """Queries that together answer every plan at T = `now`, each plan in exactly one of them."""
    raise NotImplementedError
