"""Hypothesis draws the cases; they are gathered here and compared together, elsewhere."""

from __future__ import annotations

import warnings
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

from tests.differential.cases import Case, Rejected, draw_case


def collect(number: int, start: int) -> tuple[list[Case], Counter[str]]:
    """Up to `number` cases for the seed `start`, and the errors of definitions that had some."""
    found: list[Case] = []
    rejected: Counter[str] = Counter()

    @seed(start)
    @settings(
        max_examples=number,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def gather(data: st.DataObject) -> None:
        try:
            found.append(draw_case(data.draw))
        except Rejected as error:
            rejected.update({item.code for item in error.found})

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)
        gather()
    return found, rejected
