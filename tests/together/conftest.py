"""The random comparison of passes is one of those that `pytest -m differential` runs."""

from __future__ import annotations

from tests.differential.conftest import pytest_configure

__all__ = ["pytest_configure"]
