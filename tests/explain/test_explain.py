"""Whole definitions explained: consents with reasons, freshness, what is read."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion

from relo_dsl.catalog import Catalog, load_catalog
from relo_dsl.explain import LANGUAGES, Explanation, explain, narrator
from relo_dsl.freshness import freshness_of
from relo_dsl.source import SourceFile
from relo_dsl.terms import Constant, Ranking, Shares
from relo_dsl.times import parse_instant
from relo_dsl.workspace import Workspace
from tests.conftest import REPOSITORY
from tests.differential.collect import collect
from tests.docs.examples import CATALOG
from tests.explain.corpus import D, measure

NOW = parse_instant("2026-06-15T12:00:00Z")
TEXT = """
segment regulars
  match count(purchase) >= 3 within 90d

audience whole
  label    "All of it"
  client   3
  export   meta, crm
  require consent personalization
  refresh  weekly on tuesday at 04:30
  timezone "America/Mexico_City"

let big = purchase[revenue > 15000]

match
  (big within 180d or in segment regulars)
  and no product_view since 2026-01-15
  and user.plan = "premium"
  and not in list staff
  and sum(purchase.revenue within 3 calendar months) > 2 * avg(refund.revenue)

audience one match in list vip
audience anything refresh every 6h match any event
"""


def explained(name: str, language: str = "en") -> Explanation:
    workspace = Workspace(load_catalog(CATALOG), 3, "UTC")
    workspace.lists = frozenset(workspace.catalog.lists)
    workspace.add(SourceFile("case.seg", TEXT))
    workspace.check()
    assert not workspace.has_errors, workspace.check()
    return explain(workspace, name, NOW, language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["regulars", "whole", "one", "anything"])
def test_what_is_printed(name: str, language: str, snapshot: SnapshotAssertion) -> None:
    assert "\n".join(line for _, line in explained(name, language).lines()) == snapshot


def test_json(snapshot: SnapshotAssertion) -> None:
    found = explained("whole").to_json()
    assert json.loads(json.dumps(found)) == found
    assert found == snapshot


def test_what_is_done_with_those_that_pass() -> None:
    found = explained("one")
    keep = Ranking("top", D(10), True, measure("sum"))
    plan = replace(found.plan, keep=keep, shares=Shares("one", D(50), D(5)))
    assert narrator(Catalog(), "UTC").afterwards(plan) == [
        "of these, the 10% with the highest value are kept; "
        "the value is the sum of `revenue` over `purchase`",
        "a fixed random 50% of them are taken",
        "a fixed random 5% of them are held out, and published as `one:holdout`",
    ]
    assert narrator(Catalog(), "UTC", "es").afterwards(plan) == [
        "de ellos se queda el 10 % con el valor más alto; "
        "el valor es la suma de `revenue` en `purchase`",
        "se toma un 50 % de ellos, al azar y siempre los mismos",
        "se aparta un 5 % de ellos, al azar y siempre los mismos, y se publica como `one:holdout`",
    ]
    assert freshness_of(plan).kind == "batch"
    plan = replace(plan, keep=Ranking("bottom", D(10), False, Constant(D(1))))
    assert "the 10 with the lowest" in narrator(Catalog(), "UTC").afterwards(plan)[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_demo_shop_is_explained(language: str) -> None:
    folder = REPOSITORY / "segments"
    workspace = Workspace(load_catalog(folder / "catalog.yaml"), 1, "UTC")
    workspace.lists = frozenset(workspace.catalog.lists)
    workspace.add_paths([folder])
    assert len(workspace.names) > 20
    for name in workspace.names:
        _is_well_said(explain(workspace, name, NOW, language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_random_definitions_are_explained(language: str) -> None:
    cases, _ = collect(150, 5)
    for case in cases:
        _is_well_said(explain(case.workspace(3), "main", NOW, language))


def _is_well_said(found: Explanation) -> None:
    lines = [line for _, line in found.lines()]
    assert json.loads(json.dumps(found.to_json())) == found.to_json()
    for line in lines:
        said = re.sub(r'"[^"]*"|`[^`]*`', "x", line)
        assert not re.search(r"\S  |\s[,.;]|,,|None|\bx x\b|Decimal|\(\)", said), line
