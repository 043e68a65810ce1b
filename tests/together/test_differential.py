"""Passes say of random sets of definitions what the own SQL of each says, boundaries included."""

from __future__ import annotations

from collections import Counter

import pytest

from relo_dsl.engine import Engine
from tests.differential.collect import collect
from tests.differential.runner import everything_kept
from tests.together.bundles import bundles, compare

_CASES = 95


@pytest.mark.differential
def test_passes_agree_with_the_sql_of_each_definition(engine: Engine) -> None:
    cases, rejected = collect(_CASES, 412)
    tally: Counter[str] = Counter()
    with everything_kept(engine):
        for found in compare(engine, bundles(cases, 7), tally):
            pytest.fail(f"{found}", pytrace=False)
    assert tally["plans"] > 1.2 * len(cases) > 0.8 * _CASES, rejected
    assert min(tally[part] for part in ("MEMBER", "HELD_OUT", "WITHHELD")) > 10
