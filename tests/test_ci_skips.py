"""In the CI a skipped test is a failed one."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")
TESTS = """
import pytest

@pytest.mark.skip(reason="needs Chromium: apt-get install chromium")
def test_marked(): ...

def test_called():
    pytest.skip("needs PostgreSQL")

@pytest.mark.xfail(strict=True)
def test_known(): assert False

def test_fine(): ...
"""
MODULE = """
import pytest

pytest.importorskip("surely_not_installed")
"""


@pytest.mark.parametrize("in_ci", [False, True])
def test_skips(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, in_ci: bool) -> None:
    monkeypatch.setenv("RELO_CI", "1" if in_ci else "0")
    pytester.makeconftest(CONFTEST.replace('pytest_plugins = ["pytester"]', ""))
    pytester.makepyfile(test_some=TESTS)
    result = pytester.runpytest_inprocess()
    if in_ci:
        result.assert_outcomes(passed=1, failed=1, errors=1, xfailed=1)
        result.stdout.fnmatch_lines(["*RELO_CI=1 allows no skips: *apt-get install chromium*"])
    else:
        result.assert_outcomes(passed=1, skipped=2, xfailed=1)


def test_a_module_that_skips_itself(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELO_CI", "1")
    pytester.makeconftest(CONFTEST.replace('pytest_plugins = ["pytester"]', ""))
    pytester.makepyfile(test_some=MODULE)
    pytester.runpytest_inprocess().assert_outcomes(errors=1)
