"""How the work for a text grows with its length: a ratio of processor times, not a time."""

from __future__ import annotations

import time
from collections.abc import Callable


def growth(run: Callable[[str], object], piece: str, times: int) -> float:
    """How much more work eight times as many pieces are: 8 is linear, 64 quadratic."""

    def seconds(text: str) -> float:
        taken = []
        for _ in range(3):
            started = time.thread_time()
            run(text)
            taken.append(time.thread_time() - started)
        return min(taken)

    return seconds(piece * (8 * times)) / seconds(piece * times)
