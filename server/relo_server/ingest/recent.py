"""The ids that came in of late, so that most copies need not be looked for in the engine."""

from __future__ import annotations

import threading
from collections.abc import Iterable

_SPREAD = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


class Recent:
    """The last `most` ids or so: between half of them and all are known at any time.

    An id is remembered by 64 bits, as the engine does. What is not known here may still be stored.
    """

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._new: set[int] = set()
        self._old: set[int] = set()
        self._changing = threading.Lock()

    @staticmethod
    def mark(client: int) -> int:
        """What, with `^`, makes the `tie` of an id (`relo_dsl.records.tie_of`) a client's key."""
        return client * _SPREAD & _MASK

    def __contains__(self, key: int) -> bool:
        return key in self._new or key in self._old

    def add(self, keys: Iterable[int]) -> None:
        """Call it when their records are kept, not before."""
        with self._changing:
            for key in keys:
                if len(self._new) >= self._half:
                    self._old, self._new = self._new, set()
                self._new.add(key)
