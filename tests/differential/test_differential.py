"""SQL on chDB gives the members that the evaluator gives, for random definitions and histories."""

from __future__ import annotations

from pathlib import Path

import pytest

from relo_dsl.engine import Engine
from tests.differential.collect import collect
from tests.differential.minimal import minimise, write
from tests.differential.runner import Tally, compare, everything_kept

#: Cases of the fixed run: what fits into about a minute on two cores; `make fuzz` has no end.
_CASES = 300


@pytest.mark.differential
def test_sql_agrees_with_the_evaluator(engine: Engine, tmp_path: Path) -> None:
    cases, rejected = collect(_CASES, 2026)
    tally = Tally()
    with everything_kept(engine):
        for found in compare(engine, cases, tally):
            small = minimise(found, lambda cases, asked: compare(engine, cases, Tally(), asked))
            pytest.fail(write(small, tmp_path / "case"), pytrace=False)
    assert tally.checks > 1.1 * len(cases)
    # The cases are about something: most are valid, and many devices are members, many are not.
    assert len(cases) > 0.7 * _CASES, rejected
    assert 0.5 * len(cases) < tally.members < 7 * len(cases)
