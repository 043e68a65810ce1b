"""Ways to write conditions that live in modules of their own; `Writer` draws among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.differential import writing_affinity, writing_devices, writing_events, writing_times

if TYPE_CHECKING:
    from tests.differential.definitions import Writer

#: Each writes a condition and says whether a window after it would repeat something.
MORE: list[Callable[[Writer, int], tuple[str, bool]]] = [
    writing_events.leaf,
    writing_times.leaf,
    writing_affinity.leaf,
    writing_devices.leaf,
]
