"""The interval of an estimate, checked by the binomial distribution itself: no draws, no luck."""

from __future__ import annotations

from math import exp, lgamma, log, sqrt

import pytest

from relo_server.estimate import ONE_IN, interval

SHARE = 1 / ONE_IN


def coverage(members: int) -> float:
    """How probable it is that the interval holds the truth, where it is `members`."""
    middle, reach = members * SHARE, 20 + 10 * sqrt(members * SHARE)
    numbers = range(max(0, int(middle - reach)), min(members, int(middle + reach)) + 1)
    holding = (seen for seen in numbers if _holds(interval(seen), members))
    return sum(_probability(members, seen) for seen in holding)


def _holds(ends: tuple[int, int], members: int) -> bool:
    return ends[0] <= members <= ends[1]


def _probability(members: int, seen: int) -> float:
    ways = lgamma(members + 1) - lgamma(seen + 1) - lgamma(members - seen + 1)
    return exp(ways + seen * log(SHARE) + (members - seen) * log(1 - SHARE))


@pytest.mark.parametrize(
    ("sizes", "on_average", "at_worst"),
    [
        # Where less than one device is expected in the sample, one more or fewer decides much.
        (range(20), 0.95, 0.88),
        (range(20, 300), 0.95, 0.92),
        (range(300, 3_000), 0.95, 0.935),
        (range(3_000, 3_000_000, 199_999), 0.949, 0.945),
    ],
)
def test_it_holds_the_truth(sizes: range, on_average: float, at_worst: float) -> None:
    found = [coverage(members) for members in sizes]
    assert sum(found) / len(found) >= on_average
    assert min(found) >= at_worst


@pytest.mark.parametrize(("members", "most"), [(10_000, 0.12), (300_000, 0.02), (1_000_000, 0.02)])
def test_it_is_narrow(members: int, most: float) -> None:
    low, high = interval(round(members * SHARE))
    assert (high - low) / 2 / members <= most


def test_none_seen_may_still_be_some() -> None:
    assert interval(0) == (0, 120)
