"""`relo test`: the command, over the engine of the process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from itertools import count

import pytest
from syrupy.assertion import SnapshotAssertion

import relo_dsl.cli.scratch as throwaway
import relo_dsl.cli.test_sql as by_sql
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.engine import Engine, device_key
from relo_dsl.interpret import members
from relo_dsl.sql.lower import members_query
from relo_dsl.sql.proof import ScopeError
from relo_dsl.sql.query import SqlQuery
from relo_dsl.terms import Shares
from relo_dsl.testing.outcome import Question, interpreted
from tests.cli.conftest import Project
from tests.testing.build import workspace

_clients = count(5_000_000)
DAY = 86_400_000

GOOD = """\
audience good
match
  purchase within 30d
  and no purchase within 7d
test "after a week" at 2026-06-15, 2026-06-16
  given ana:  purchase(revenue: 20) 10d ago
  and   beto: purchase(revenue: 20) 10d ago
              purchase(revenue: 1) 1d ago
  expect ana
  expect ana from 2026-06-12 until 2026-07-05
  expect not beto
"""
BAD = """\
audience bad
  export meta
match
  user.plan = "premium"
  and (
    count(purchase[category = "x"]) >= 2 within 30d or in list staff
  )
test "one order is enough" at 2026-06-15
  given ana:  purchase(category: "x", products: [{id: "a\\"b", price: 1.50}]) 2d ago
              purchase(category: "x") 30d ago
              identify(plan: "premium") now
              product_view() at 2026-06-16
  and   beto: identify(plan: "premium") 1h ago
              consent(3) 5min ago
  and   list staff: beto, caro
  expect ana, beto, caro
  expect not dora
test "staff" at 2026-06-15
  given ana:  identify(plan: "premium") 1d ago
  and   list staff: ana
  expect not ana
"""


@pytest.fixture
def tests(shop: Project, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project without tests, which would run them in the one engine of this process."""
    (shop.folder / "segments/winback_customers.seg").unlink()

    @contextmanager
    def scratch() -> Iterator[Engine]:
        yield engine

    monkeypatch.setattr(throwaway, "scratch", scratch)
    monkeypatch.setattr(by_sql, "_clients", _clients)
    return shop


def timeless(text: str) -> str:
    return re.sub(r"in \d+\.\d s", "in TIME", text)


def test_a_new_project_has_a_test_that_passes(shop: Project) -> None:
    shown = shop.ok("test", "--engine", "naive", "--coverage").stdout
    assert timeless(shown).endswith("1 passed in TIME\n")


@pytest.mark.parametrize("engine_name", ["both", "sql", "naive"])
def test_all_pass(tests: Project, engine_name: str) -> None:
    tests.seg("good", GOOD)
    shown = tests.ok("test", "--engine", engine_name).stdout
    assert timeless(shown) == "1 passed in TIME\n"


@pytest.mark.parametrize("engine_name", ["both", "sql", "naive"])
def test_failures_are_explained(
    tests: Project, engine_name: str, snapshot: SnapshotAssertion
) -> None:
    tests.seg("good", GOOD)
    tests.seg("bad", BAD)
    result = tests.run("test", "--engine", engine_name, "--coverage")
    assert result.exit_code == 1
    assert timeless(result.stdout) == snapshot(name="failures")  # the same whoever answers


def test_json(tests: Project, snapshot: SnapshotAssertion) -> None:
    tests.seg("good", GOOD)
    tests.seg("bad", BAD)
    result = tests.run("test", "--json", "--coverage")
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line.get("outcome") for line in lines] == ["failed", "failed", "passed", None, None]
    assert lines == snapshot


def test_only_some(tests: Project) -> None:
    tests.seg("good", GOOD)
    tests.seg("bad", BAD)
    assert tests.json("test", "-k", "AFTER", "--engine", "naive")["title"] == "after a week"
    assert tests.json("test", "-k", "good")["definition"] == "good"
    assert timeless(tests.ok("test", "-k", "nowhere").stdout) == "0 passed in TIME\n"
    assert timeless(tests.ok("test", "segments/good.seg").stdout) == "1 passed in TIME\n"
    assert tests.run("test", "segments/bad.seg").exit_code == 1


def test_errors_stop_only_their_definition(tests: Project, snapshot: SnapshotAssertion) -> None:
    tests.seg("good", GOOD)
    tests.seg("wrong", GOOD.replace("audience good", "audience wrong").replace("30d", "30x"))
    tests.seg("unread", 'audience unread\nmatch purchase\ntest "t" at 2026-06-15\n given ana: b(')
    tests.seg(
        "record", 'audience r\nmatch purchase\ntest "t" at 2026-06-15\n given ana: purchas() now'
    )
    result = tests.run("test", "--engine", "naive")
    assert result.exit_code == 1
    assert timeless(result.stdout) == "1 passed, 3 not run in TIME\n"
    assert result.stderr == snapshot
    lines = tests.run("test", "--engine", "naive", "--json").stdout.splitlines()
    outcomes = [json.loads(line).get("outcome") for line in lines]
    assert outcomes == [None, "passed", "not run", "not run", "not run"]
    assert tests.run("test", "segments/good.seg").exit_code == 0


def test_check_reports_mistakes_in_tests(tests: Project) -> None:
    tests.seg("wrong", GOOD.replace("revenue: 1)", 'revenue: "1")'))
    found = json.loads(tests.run("check", "--json").stdout)["diagnostics"]
    assert [(item["code"], item["line"]) for item in found] == [("type-mismatch", 8)]
    assert tests.run("check").exit_code == 1


def test_what_cannot_run(tests: Project) -> None:
    assert tests.run("test", "nowhere.seg").exit_code == 2
    assert tests.run("test", "--engine", "guess").exit_code == 2
    (tests.folder / "segments/catalog.yaml").write_text("events: 3\n")
    assert tests.run("test").exit_code == 2


def test_lists_need_not_be_uploaded(tests: Project) -> None:
    tests.seg("listed", """\
audience listed
match in list theirs
test "t" at 2026-06-15
  given ana: purchase() now
  and beto: purchase() now
  and list theirs: ana
  expect ana
  expect not beto
""")  # fmt: skip
    assert timeless(tests.ok("test").stdout) == "1 passed in TIME\n"


def test_colour_only_on_a_terminal(tests: Project) -> None:
    tests.seg("bad", BAD)
    assert "\x1b[" not in tests.run("test", "--engine", "naive").output


def test_sql_that_answers_wrong_is_a_defect(
    tests: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests.seg("good", GOOD)
    monkeypatch.setattr(
        by_sql, "members_query", lambda *_: SqlQuery("SELECT device FROM events WHERE 0", {})
    )
    result = tests.run("test")
    assert result.exit_code == 1
    assert "a defect of relo: a member for the evaluator, no member for SQL" in result.stdout


def test_the_engine_that_is_thrown_away() -> None:
    """In a process of its own: this one has opened another engine."""
    code = (
        "from relo_dsl.cli.scratch import scratch\n"
        "with scratch() as engine:\n"
        "    (made,), = engine.rows('SHOW CREATE TABLE events')\n"
        "    assert 'TTL' not in made, made\n"
    )
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", code], check=True)


def test_many_cases_of_one_load_do_not_see_each_other(engine: Engine) -> None:
    tests = "".join(
        f'test "t{number}" at 2026-06-{number:02d}\n'
        f"  given ana: purchase(revenue: {number}) {number}d ago\n"
        + (f"  and list vip: {'ana' if number % 2 else 'beto'}\n")
        + "  expect ana\n"
        for number in range(1, 25)
    )
    project = workspace(tests, "purchase.revenue > 3 within 20d and in list vip")
    scoped = scope(project.plan("a"))
    asked = [Question.of(case, project.bound("a"), scoped) for case in project.tests("a")]
    answers = by_sql.answered(engine, project.catalog, asked)
    right = interpreted(asked)
    assert answers == right
    assert {bool(members) for answer in right for members in answer.values()} == {True, False}


def test_sql_that_cannot_run_fails_its_test_alone(
    tests: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests.seg("good", GOOD)
    tests.seg("other", GOOD.replace("audience good", "audience other").replace("30d", "31d"))

    def query(scoped: ScopedPlan, at: int) -> SqlQuery:
        right = members_query(scoped, at)
        return SqlQuery("SELECT nothing", {}) if str(31 * DAY) in scoped.plan.canonical else right

    def refused(scoped: ScopedPlan, at: int) -> SqlQuery:
        raise ScopeError("no guard")

    monkeypatch.setattr(by_sql, "members_query", query)
    result = tests.run("test")
    assert result.exit_code == 1
    assert result.stdout.count("a defect of relo: its SQL could not run") == 1
    assert timeless(result.stdout).endswith("1 passed, 1 failed in TIME\n")
    monkeypatch.setattr(by_sql, "members_query", refused)
    shown = json.loads(tests.run("test", "--json").stdout.splitlines()[0])
    assert (shown["outcome"], shown["broken"]) == ("failed", "no guard")


def test_samples_go_by_ids_where_sql_goes_by_keys() -> None:
    devices = [f"d{number}" for number in range(60)]
    given = "\n  and ".join(f"{device}: purchase() now" for device in devices)
    project = workspace(f'test "t" at 2026-06-15\n  given {given}\n  expect d1')
    plan = replace(project.plan("a"), shares=Shares("a", sample=Decimal(40), holdout=Decimal(70)))
    (case,) = project.tests("a")
    question = Question.of(case, project.bound("a"), scope(plan))
    stored = scope(replace(plan, client=77))
    (at,) = question.instants
    history = replace(question.history, client=77)
    by_keys = members(stored, history, at, key=lambda d: device_key(by_sql.KEY, 77, d).hex())
    by_ids = members(question.scoped, question.history, at)
    assert by_keys != by_ids
    assert by_sql._by_id(question, stored, at, by_keys) == by_ids
    # Whom SQL has too many or too few stands out.
    assert by_sql._by_id(question, stored, at, by_keys ^ {"d5"}) == by_ids ^ {"d5"}


RANKED = """\
audience ranked
match
  purchase within 30d
keep top 2 by sum(purchase.revenue)
{}
test "the best two, ties to the smaller name" at 2026-06-15
  given ana:  purchase(revenue: 5) 1d ago
  and   beto: purchase(revenue: 9) 1d ago
  and   caro: purchase(revenue: 5) 1d ago
  and   dora: purchase(revenue: 90) 40d ago
  expect ana, beto
  expect not caro, dora
"""


@pytest.mark.parametrize("engine_name", ["both", "sql", "naive"])
def test_rankings_and_samples(tests: Project, engine_name: str) -> None:
    tests.seg("ranked", RANKED.format(""))
    assert timeless(tests.ok("test", "--engine", engine_name).stdout) == "1 passed in TIME\n"
    tests.seg("ranked", RANKED.format("holdout 99.9999%"))
    result = tests.run("test", "--engine", engine_name)
    assert result.exit_code == 1
    assert result.stdout.count("it is in the holdout") == 2
    tests.seg("ranked", RANKED.format("").replace("expect not caro", "expect caro"))
    shown = tests.run("test", "--engine", engine_name).stdout
    assert "it has no place in the ranking" in shown
    assert "defect" not in shown
