"""Tests that pass and fail, why, and what they covered; by the evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from relo_dsl.consent import scope
from relo_dsl.terms import Shares
from relo_dsl.testing.coverage import coverage
from relo_dsl.testing.outcome import Answer, Broken, Question, interpreted, judge, run
from relo_dsl.testing.reasons import reason_for
from relo_dsl.testing.report import failure_lines
from relo_dsl.times import format_instant
from tests.testing.build import outcomes, passes, questions, workspace

AT = 'test "t" at 2026-03-18T12:00Z\n  '


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("given ana: purchase() 29d ago\n expect ana", True),
        ("given ana: purchase() 30d ago\n expect ana", False),
        ("given ana: purchase() 30d ago\n expect not ana", True),
        ("given ana: purchase() now\n expect not ana", False),
        ("expect not ana", True),
        ("expect ana", False),
        ("given ana: purchase() now\n and beto: purchase() 31d ago\n expect ana", True),
        ("given ana: purchase() now\n and beto: purchase() 31d ago\n expect ana, beto", False),
    ],
)
def test_at_one_instant(test: str, expected: bool) -> None:
    assert passes(AT + test) is expected


STAY = AT + "given ana: purchase() at 2026-03-01T10:00Z\n expect ana "


@pytest.mark.parametrize(
    ("stay", "expected"),
    [
        ("from 2026-03-01T10:00Z until 2026-03-31T10:00Z", True),
        ("from 2026-03-01T10:00Z", True),
        ("until 2026-03-31T10:00Z", True),
        ("from 2026-03-01T10:00:00.001Z", False),
        ("from 2026-03-01T09:59:59.999Z", False),
        ("until 2026-03-31T10:00:00.001Z", False),
        ("until 2026-03-31T09:59:59.999Z", False),
        ("from 2026-03-01T10:00Z until 2026-03-31T10:00:00.001Z", False),
        ("from 2026-03-01T10:00:00.001Z until 2026-03-31T10:00Z", False),
    ],
)
def test_enters_and_leaves(stay: str, expected: bool) -> None:
    assert passes(STAY + stay) is expected
    assert passes(
        STAY.replace("expect ana", "expect not ana") + stay, "no purchase within 30d"
    ) is (
        # Before the first purchase there is no device at all.
        expected and stay.startswith("until")
    )


def test_a_gap_in_a_stay_is_found_though_no_record_comes_then() -> None:
    test = """
test "t" at 2026-06-01T00:00Z
  given ana: purchase() at 2026-03-01T00:00Z
             purchase() at 2026-03-21T00:00Z
             purchase() at 2026-05-01T00:00Z
  expect {}
"""
    stay = test.format("ana from 2026-03-01T00:00Z until 2026-04-08T00:00Z")
    (outcome,) = outcomes(stay, "purchase within 18d")
    assert [(format_instant(c.at), c.member) for c in outcome.failed] == [
        ("2026-03-19T00:00:00.000Z", True)
    ]
    assert passes(
        test.format("ana from 2026-03-01T00:00Z until 2026-04-10T00:00Z"), "purchase within 20d"
    )
    away = test.format("not ana from 2026-03-19T00:00Z until 2026-05-01T00:00Z")
    (outcome,) = outcomes(away, "purchase within 18d")
    assert [(format_instant(c.at), c.member) for c in outcome.failed] == [
        ("2026-03-21T00:00:00.000Z", False)
    ]


def test_it_holds_at_every_instant_of_the_test() -> None:
    test = 'test "t" at 2026-03-18, 2026-04-17\n  given ana: purchase() now\n  expect ana'
    (outcome,) = outcomes(test)
    assert [check.at for check in outcome.failed] == [outcome.question.case.instants[1]]


def test_lists_references_and_the_universe() -> None:
    test = AT + "given ana: purchase() now\n and list vip: ana, beto\n expect ana\n expect not beto"
    assert passes(test, "in list vip")
    assert passes(AT + "given ana: purchase() now\n expect not ana", "in list vip")
    assert passes(AT + "given ana: consent(255) now\n expect not ana", "no purchase")
    assert passes(AT + "given ana: identify(age: 1) now\n expect ana", "no purchase")


# ---- reasons -----------------------------------------------------------------------------------


def reason(test: str, match: str = "purchase within 30d", *, head: str = "") -> tuple[str, str]:
    """What decided the one failure of a test: the kind, and what is said."""
    (outcome,) = outcomes(AT + test, match, head=head)
    (check,) = outcome.failed
    why = reason_for(outcome.question, check.device, check.at)
    return why.kind, "; ".join([why.text, *(f.clause.text for f in why.findings)])


def test_why_somebody_is_no_member() -> None:
    match = "purchase within 30d and count(purchase) in 2..3 within 60d and user.age > 3"
    one = "given ana: purchase() 5d ago\n "
    assert reason(one + "expect ana", match) == (
        "clause", "this does not hold; count(purchase) in 2..3 within 60d",
    )  # fmt: skip
    assert reason("expect ana") == ("universe", "the test gives it no records")
    assert reason("given ana: consent(255) now\n expect ana", "no purchase")[0] == "universe"
    assert reason(one.replace("5d", "1000d") + "expect ana", "no add_to_cart")[0] == "universe"


def test_consent_is_said_by_name() -> None:
    test = "given ana: purchase() 5d ago\n consent(161) 1d ago\n expect ana"
    kind, text = reason(test, head="  export meta, email")
    assert (kind, text) == ("consent", "its consent (161) lacks dsp and email (20)")


def test_why_somebody_who_passes_is_left_out() -> None:
    project = workspace(AT + "given ana: purchase() 5d ago\n expect ana")
    (question,) = questions(project)

    def why(shares: Shares) -> str:
        asked = replace(question, scoped=scope(replace(question.scoped.plan, shares=shares)))
        return reason_for(asked, "ana", question.instants[0]).kind

    assert why(Shares("a")) == "member"
    assert why(Shares("a", holdout=Decimal("99.999"))) == "holdout"
    assert why(Shares("a", sample=Decimal("0.001"))) == "sample"


def test_why_somebody_is_a_member() -> None:
    match = "purchase within 30d and sum(purchase.revenue) > 2 * avg(purchase.revenue)"
    test = "given ana: purchase(revenue: 1) now\n purchase(revenue: 2) now\n"
    test += " purchase(revenue: 4) now\n expect not ana"
    kind, text = reason(test, match)
    assert kind == "member"
    assert text.startswith("everything holds; purchase within 30d; sum(")
    (outcome,) = outcomes(AT + test, match)
    text = "\n".join(failure_lines(outcome))
    assert "(line 4, found 7, 4.666666666)" in text
    assert "expected no member, found a member (line 10)" in text
    assert "now  purchase(revenue: 4)" in text


# ---- engines that differ -----------------------------------------------------------------------


def test_where_engines_differ_is_a_defect() -> None:
    (question,) = questions(workspace(AT + "given ana: purchase() now\n expect ana"))
    (right,) = interpreted([question])
    nobody: Answer = {at: frozenset() for at in question.instants}
    outcome = judge(question, right, nobody)
    assert not outcome.passed
    assert len(outcome.failed) == len(outcome.defects) == 1
    assert "a defect of relo: a member for the evaluator, no member for SQL" in "\n".join(
        failure_lines(outcome)
    )
    assert judge(question, right, right).passed
    too_many: Answer = {at: right[at] | {"beto"} for at in question.instants}
    (defect,) = judge(question, right, too_many).defects
    assert (defect.device, defect.evaluator, defect.sql) == ("beto", False, True)
    assert not judge(question, None, nobody).passed


def test_a_defect_about_somebody_else_fails_the_test_too() -> None:
    test = AT + "given ana: purchase() now\n and beto: purchase() now\n expect ana"

    def wrong(asked: Sequence[Question]) -> list[Answer | Broken]:
        return [{at: frozenset({"ana"}) for at in question.instants} for question in asked]

    (outcome,) = run(questions(workspace(test)), wrong, evaluate=True)
    assert not outcome.failed
    assert [defect.device for defect in outcome.defects] == ["beto"]
    assert not outcome.passed
    assert "beto at 2026-03-18T12:00:00.000Z:" in "\n".join(failure_lines(outcome))


# ---- coverage ----------------------------------------------------------------------------------


def covered(test: str, match: str, *, head: str = "") -> dict[str, tuple[bool, bool]]:
    (found,) = coverage(questions(workspace(test, match, head=head)))
    return {part.clause.text: (part.true, part.false) for part in found.clauses}


def test_coverage_knows_every_operand_at_any_depth() -> None:
    test = AT + "given ana: purchase(revenue: 5) 5d ago\n and beto: add_to_cart() now\n expect ana"
    match = "purchase and not (purchase.revenue > 9 or (user.age > 3 and in list vip))"
    assert covered(test, match) == {
        "purchase": (True, True),
        "not (purchase.revenue > 9 or (user.age > 3 and in list vip))": (True, False),
        "purchase.revenue > 9": (False, True),
        "(user.age > 3 and in list vip)": (False, True),
        "user.age > 3": (False, True),
        "in list vip": (False, True),
    }


def test_coverage_of_one_condition_of_repeats_and_lets() -> None:
    test = AT + "given ana: purchase(revenue: 5) 5d ago\n expect ana"
    assert covered(test, "purchase within 30d") == {"purchase within 30d": (True, False)}
    assert covered(test, "purchase within 30d and not within 2d") == {
        "purchase within 30d": (True, False),
        "not within 2d": (True, False),
    }
    head = "  let both = purchase and add_to_cart\n  let unused = user.age > 3 and purchase\n"
    assert covered(test, "not both", head=head) == {
        "purchase": (True, False),
        "add_to_cart": (False, True),
    }


def test_coverage_counts_over_all_tests_and_instants() -> None:
    test = 'test "a" at 2026-03-18, 2026-05-01\n given ana: purchase() now\n expect not beto\n'
    assert covered(test, "purchase within 30d") == {"purchase within 30d": (True, True)}
    unseen = 'test "a" at 2026-03-18\n given ana: consent(1) now\n expect not ana\n'
    assert covered(unseen, "purchase within 30d") == {"purchase within 30d": (False, False)}
    (found,) = coverage(questions(workspace(test + unseen, "purchase within 30d and in list vip")))
    assert found.percent == 50
