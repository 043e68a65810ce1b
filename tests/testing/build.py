"""Definitions with tests, read as a project would read them."""

from __future__ import annotations

from relo_dsl.catalog import Catalog, parse_catalog
from relo_dsl.consent import scope
from relo_dsl.diagnostics import Diagnostic, Severity
from relo_dsl.source import SourceFile
from relo_dsl.testing.cases import Case
from relo_dsl.testing.outcome import Outcome, Question, run
from relo_dsl.workspace import Workspace

CATALOG = parse_catalog("""
events:
  purchase:
    properties:
      revenue: number
      tags: string[]
      due: time
      address.city: string
      products: {type: "object[]", fields: {id: string, price: number}}
  add_to_cart: {properties: {sku: string}}
traits: {plan: string, age: number, interests: "string[]"}
lists: {vip: {}}
""")


def workspace(
    test: str, match: str = "purchase within 30d", *, head: str = "", catalog: Catalog = CATALOG
) -> Workspace:
    """An audience `a` with one test or several, and this condition."""
    project = Workspace(catalog, 3, "America/Mexico_City")
    project.add(SourceFile("a.seg", f"audience a\n{head}\nmatch\n  {match}\n\n{test}\n"))
    return project


def cases(
    test: str, match: str = "purchase within 30d", *, head: str = "", catalog: Catalog = CATALOG
) -> list[Case]:
    """The tests, which must be without mistakes."""
    project = workspace(test, match, head=head, catalog=catalog)
    errors = [d for d in project.check() if d.severity is Severity.ERROR]
    assert errors == []
    return list(project.tests("a"))


def found(test: str, match: str = "purchase within 30d") -> list[tuple[str, str]]:
    """What `relo check` says: codes, and the texts that they mark."""
    return [(d.code, d.source.slice(d.span)) for d in diagnostics(test, match)]


def diagnostics(test: str, match: str = "purchase within 30d") -> list[Diagnostic]:
    return workspace(test, match).check()


def questions(project: Workspace) -> list[Question]:
    """The questions of all definitions of a project."""
    return [
        Question.of(case, project.bound(name), scope(project.plan(name)))
        for name in project.names
        for case in project.tests(name)
    ]


def outcomes(test: str, match: str = "purchase within 30d", *, head: str = "") -> list[Outcome]:
    """What the evaluator makes of the tests, which must be without mistakes."""
    project = workspace(test, match, head=head)
    assert [d for d in project.check() if d.severity is Severity.ERROR] == []
    return run(questions(project), None, evaluate=True)


def passes(test: str, match: str = "purchase within 30d", *, head: str = "") -> bool:
    """Whether the one test passes by the evaluator."""
    (outcome,) = outcomes(test, match, head=head)
    return outcome.passed
