"""What every test gets: a clean environment, fixed randomness, and no silent skips in the CI."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from relo_dsl.diagnostics import Diagnostics
from relo_dsl.messages import in_spanish
from relo_dsl.source import Span

if TYPE_CHECKING:
    from relo_dsl.engine import Engine

pytest_plugins = ["pytester"]

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

# The same examples on every machine; `python -m tests.fuzz` is the place for fresh ones.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("fixed")


# The settings of whoever runs the tests do not reach them.
for _name in [name for name in os.environ if name.upper().startswith("RELO_")]:
    if _name != "RELO_CI":
        del os.environ[_name]


def _no_skips(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In the CI a skip is a failure: what a test needs is installed there."""
    if report.skipped and os.environ.get("RELO_CI") == "1" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, and RELO_CI=1 allows no skips: {reason}"


#: A file's tests run in one process, one after the other. Those that take longest begin first, so
#: that none is waited for at the end.
_LONG = (
    "versions/test_steps.py", "benchmarks/test_benchmarks.py", "faults/test_kills.py",
    "api/test_process.py", "together/test_differential.py", "strings/test_strings.py",
    "versions/test_model.py", "differential/test_differential.py", "moving/test_migrate.py",
    "demo/test_command.py", "together/test_passes.py", "docs/test_guides.py",
    "cluster/test_cluster.py", "guards/test_guards.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    place = {tests / name: number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish() -> None:
    """What is there before the first test stays: looking through it again and again took a tenth
    of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _no_skips(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _no_skips(report)
    return report


@pytest.fixture(scope="session", autouse=True)
def _each_diagnostic_has_a_spanish_text() -> Iterator[None]:
    """Whatever the tests make the language say must be in relo_dsl/messages/es.txt."""
    said: set[str] = set()
    report = Diagnostics.report

    def noting(self: Diagnostics, code: str, span: Span, message: str, **more: Any) -> None:
        if len(said) < 5_000:  # random texts of a long fuzz make no new kinds
            said.update(text for text in (message, more.get("help")) if text)
        report(self, code, span, message, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Diagnostics, "report", noting)
        yield
    assert [text for text in sorted(said) if in_spanish(text) is None] == []


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with other shops' files; a test that needs it is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no ../shared/data beside the repository: put the sample files there")
    return SHARED_DATA


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine, None, None]:
    """The one embedded engine of this process (chDB opens one folder), with its tables made.

    Tests keep apart by client id: take one from `new_client`.
    """
    from relo_dsl.engine import Engine

    with Engine.embedded(tmp_path_factory.mktemp("relo")) as opened:
        opened.migrate()
        yield opened


_clients = itertools.count(1_000)


@pytest.fixture
def new_client() -> int:
    """A client id that no other test uses; 500,000 above it is another one of the same test."""
    return next(_clients)
