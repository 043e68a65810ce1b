"""Fair timing: contenders take turns, round by round, and ratios are taken within a round."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each contender, one value a round."""

    seconds: dict[str, list[float]]

    def ratio(self, one: str, other: str) -> float:
        """The median over the rounds of one contender's time over the other's."""
        pairs = zip(self.seconds[one], self.seconds[other], strict=True)
        return round(median(a / b for a, b in pairs), 3)


def alternating(rounds: int, **contenders: Callable[[], object]) -> Times:
    """Runs each contender once to warm up, then in turn, the order reversed every other round."""
    for contender in contenders.values():
        contender()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders) if number % 2 == 0 else list(reversed(contenders))
        for name in order:
            gc.collect()
            started = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - started)
    return Times(seconds)
