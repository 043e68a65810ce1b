"""Drawing from hypothesis in few words; the first choice is always the simplest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


@lru_cache(maxsize=1024)
def _between(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


class Chooser:
    """Choices made of whole numbers from 0; what gives the numbers is up to the subclass."""

    def below(self, count: int) -> int:
        """A whole number from 0 to `count` - 1."""
        raise NotImplementedError

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included; small ones are simpler."""
        return low + self.below(high - low + 1)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options; earlier ones are simpler."""
        return options[self.below(len(options))] if len(options) > 1 else options[0]

    def chance(self, percent: int) -> bool:
        """True so often; False is simpler."""
        return self.below(100) >= 100 - percent

    def some(self, options: Sequence[T], least: int, most: int) -> list[T]:
        """Several options, perhaps one twice."""
        return [self.pick(options) for _ in range(self.between(least, most))]


class Pen(Chooser):
    """Each choice a draw of its own."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw

    def below(self, count: int) -> int:
        return int(self.draw(_between(0, count - 1)))


class Tape(Chooser):
    """Choices read off bytes drawn at once, for data: a draw of its own each would be too slow."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, count: int) -> int:
        width = 1 if count <= 100 else 2
        number = int.from_bytes(self._data[self._at : self._at + width], "big")
        self._at += width
        return number % count
