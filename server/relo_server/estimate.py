"""How large an audience would be, from a part of the devices: at once, and with an interval.

Device keys are hashes, so that a range of them is a sample of the devices, the same each time; and
because all tables are sorted by device within an event type, reading it reads little else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import ceil, floor, sqrt

from relo_dsl.consent import scope
from relo_dsl.engine import Engine
from relo_dsl.plan import Plan, compares_devices
from relo_dsl.sql.lower import count_query
from relo_server.refresh.counts import counted

#: One device in so many is looked at. Of 300,000 members 9,375 are, which tells their number to
#: 2 %; of 10,000 there are 312, which tells it to 11 %.
ONE_IN = 32
#: Little is read, so that looking for ways to read less takes longer than it saves.
_QUICK = {"use_index_for_in_with_subqueries": 0, "enable_multiple_prewhere_read_steps": 0}
_END = (2**128 // ONE_IN).to_bytes(16, "big")
#: Of the normal distribution, for an interval that is right 95 times of 100.
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of devices, and between which numbers it lies, 95 times of 100.

    `method` is `sample`, or `exact` where low and high are the size itself. `seconds` includes
    compiling.
    """

    size: int
    low: int
    high: int
    method: str
    seconds: float


def sampled(plan: Plan, engine: Engine, at: int) -> Estimate | None:
    """The size from a part of the devices; None for a plan that compares devices, of which no part
    tells the whole. Raises as the engine does.
    """
    if compares_devices(plan):
        return None
    started = time.perf_counter()
    query = count_query(scope(plan), at, (None, _END))
    found = int(engine.query(query, settings=_QUICK).rows[0][0])
    low, high = interval(found)
    return Estimate(found * ONE_IN, low, high, "sample", time.perf_counter() - started)


def exact(plan: Plan, engine: Engine, at: int) -> Estimate:
    """The size itself. Raises as the engine does."""
    started = time.perf_counter()
    found = counted(engine, count_query(scope(plan), at))
    return Estimate(found, found, found, "exact", time.perf_counter() - started)


def interval(seen: int, one_in: int = ONE_IN) -> tuple[int, int]:
    """Between which numbers the members lie of which `seen` were found.

    Wilson's score interval, turned round: the numbers N for which `seen` of N, each seen with a
    probability of 1/`one_in`, is no surprise. It holds for few as well: none seen may be 120.
    """
    share = 1 / one_in
    middle = 2 * seen + _Z**2 * (1 - share)
    half = sqrt(middle**2 - 4 * seen**2)
    return max(seen, floor((middle - half) / (2 * share))), ceil((middle + half) / (2 * share))
