"""`pytest -m differential` is the comparison alone, `-m "not differential"` all but it."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "differential: random cases, SQL beside the evaluator")
