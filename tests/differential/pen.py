"""Choices in few words, read off bytes that hypothesis drew.

One draw a case: were each choice a draw of its own, hypothesis would copy stretches of one case
into the next, and one definition would come again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Pen:
    """Makes choices until the bytes are used up, and then only the simplest: the first ones."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, count: int) -> int:
        """A whole number from 0 to `count` - 1."""
        number = int.from_bytes(self._data[self._at : self._at + 2], "big")
        self._at += 2
        return number % count

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
