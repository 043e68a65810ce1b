"""Conditions on what others bought."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.differential.definitions import Writer

_PRODUCTS = ('"a"', '"MX"', '"ab"', '""', '"é"', '"x\\u{0}y"')


def leaf(writer: Writer, depth: int) -> tuple[str, bool]:
    """A condition, which no window repeats."""
    del depth
    pen = writer.pen
    least = f" at least {pen.pick((1, 2, 1, 3, 4))}" if pen.chance(60) else ""
    return f"affine to {pen.pick(_PRODUCTS)}{least}", False
