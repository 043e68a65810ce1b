"""`relo test`: the tests that stand beside the definitions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.output import emit_json
from relo_dsl.cli.project import EXIT_DEFINITION

if TYPE_CHECKING:
    from relo_dsl.diagnostics import Diagnostic
    from relo_dsl.settings import Settings
    from relo_dsl.testing.coverage import Coverage
    from relo_dsl.testing.outcome import Outcome, Question
    from relo_dsl.workspace import Workspace

__test__ = False  # for pytest: the module is called after the command


@click.command("test")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[PATHS]…")
@click.option(
    "--only", "-k", "only", metavar="TEXT",
    help="Only tests whose title, or whose definition's name, contains TEXT.",
)  # fmt: skip
@click.option(
    "--engine", "engine_name", type=click.Choice(["both", "sql", "naive"]), default="both",
    show_default=True,
    help="What answers: the compiled SQL in an embedded ClickHouse, the specification itself "
    "(`naive`), or both, which must agree.",
)  # fmt: skip
@click.option(
    "--coverage", "with_coverage", is_flag=True,
    help="Name the clauses that no test has seen both hold and not hold.",
)  # fmt: skip
@json_option
@with_settings("client", "timezone", "catalog", "segments")
@click.pass_context
def command(
    context: click.Context, paths: tuple[Path, ...], only: str | None, engine_name: str,
    with_coverage: bool, as_json: bool, settings: Settings,
) -> None:  # fmt: skip
    """Run the tests that stand beside the definitions.

    PATHS are files or folders; without any it is the project's folder of definitions. Nothing is
    read from the event store or written to it. Exits with 0 when all passed, 1 when one failed or
    a definition has errors, 2 when the command could not run.

    \b
    Example:
      relo test
      relo test segments/winback.seg -k "came back" --coverage
    """
    from relo_dsl.cli.project import read_project

    started = time.perf_counter()
    workspace = read_project(settings, paths)
    # Which lists are uploaded is no matter: a test brings its own.
    workspace.lists = None
    errors, names = _runnable(workspace, paths)
    questions = [question for question in _questions(workspace, names) if _wanted(question, only)]
    outcomes = _outcomes(workspace, questions, engine_name)
    covered: list[Coverage] = []
    if with_coverage:
        from relo_dsl.testing.coverage import coverage

        covered = coverage(questions)
    lost = list(_not_run(workspace, paths, questions, only))
    if as_json:
        _print_json(errors, outcomes, lost, covered)
    else:
        _draw(errors, outcomes, len(lost), covered, time.perf_counter() - started)
    if errors or not all(outcome.passed for outcome in outcomes):
        context.exit(EXIT_DEFINITION)


def _runnable(workspace: Workspace, paths: Sequence[Path]) -> tuple[list[Diagnostic], list[str]]:
    """Every error of the files in question, and the names of their definitions without one."""
    from relo_dsl.cli.project import of_paths
    from relo_dsl.diagnostics import Severity, in_order

    def errors_in(found: Sequence[Diagnostic]) -> list[Diagnostic]:
        return [item for item in found if item.severity is Severity.ERROR]

    errors = dict.fromkeys(errors_in(list(of_paths(workspace.check(), paths))))
    names = []
    for name in _names(workspace, paths):
        own = errors_in(workspace.errors_of([name]))
        errors.update(dict.fromkeys(own))
        if not own:
            names.append(name)
    return in_order(errors), names


def _names(workspace: Workspace, paths: Sequence[Path]) -> Iterator[str]:
    from relo_dsl.cli.project import inside

    for name in workspace.names:
        file = Path(workspace.source(name).name)
        if not paths or any(inside(file, path) for path in paths):
            yield name


def _questions(workspace: Workspace, names: Sequence[str]) -> Iterator[Question]:
    from relo_dsl.consent import scope
    from relo_dsl.testing.outcome import Question

    for name in names:
        cases = workspace.tests(name)
        if cases:
            scoped, bound = scope(workspace.plan(name)), workspace.bound(name)
            for case in cases:
                yield Question.of(case, bound, scoped)


def _wanted(question: Question, only: str | None) -> bool:
    return _matches(question.case.name, question.case.title, only)


def _matches(name: str, title: str, only: str | None) -> bool:
    return only is None or any(only.casefold() in text.casefold() for text in (name, title))


def _not_run(
    workspace: Workspace, paths: Sequence[Path], questions: Sequence[Question], only: str | None
) -> Iterator[dict[str, object]]:
    """The tests that an error keeps from running."""
    from relo_dsl.testing.report import not_run_json

    ran = {(question.case.name, question.case.span) for question in questions}
    for name in _names(workspace, paths):
        for test in workspace.syntax(name).tests:
            if (name, test.span) not in ran and _matches(name, test.title.value, only):
                yield not_run_json(name, test, workspace.source(name))


def _outcomes(
    workspace: Workspace, questions: Sequence[Question], engine_name: str
) -> list[Outcome]:
    from relo_dsl.testing.outcome import run

    with ExitStack() as stack:
        sql = None
        if engine_name != "naive" and questions:
            from relo_dsl.cli.scratch import scratch  # over a second, most of it chDB
            from relo_dsl.cli.test_sql import answered

            sql = partial(answered, stack.enter_context(scratch()), workspace.catalog)
        return run(questions, sql, evaluate=engine_name != "sql")


# ---- printing ----------------------------------------------------------------------------------


def _print_json(
    errors: Sequence[Diagnostic],
    outcomes: Sequence[Outcome],
    lost: Sequence[dict[str, object]],
    covered: Sequence[Coverage],
) -> None:
    from relo_dsl.diagnostics import to_json
    from relo_dsl.testing.report import coverage_json, outcome_json

    if errors:
        click.echo(to_json(errors))
    for outcome in outcomes:
        emit_json(outcome_json(outcome))
    for test in lost:
        emit_json(test)
    for found in covered:
        emit_json(coverage_json(found))


def _draw(
    errors: Sequence[Diagnostic],
    outcomes: Sequence[Outcome],
    not_run: int,
    covered: Sequence[Coverage],
    seconds: float,
) -> None:
    from relo_dsl.cli.draw import draw
    from relo_dsl.testing.report import coverage_lines, failure_lines, summary

    if errors:
        click.echo(draw(errors) + "\n", err=True)
    for outcome in outcomes:
        if not outcome.passed:
            head, *lines = failure_lines(outcome)
            click.echo(click.style(head, fg="red", bold=True))
            click.echo("\n".join(lines) + "\n")
    for found in covered:
        head, *lines = coverage_lines(found)
        click.echo(click.style(head, fg="green" if found.percent == 100 else "yellow"))
        click.echo("".join(line + "\n" for line in lines), nl=False)
    if covered:
        click.echo()
    failed = sum(not outcome.passed for outcome in outcomes)
    good = not failed and not not_run and not errors
    text = summary(len(outcomes) - failed, failed, not_run, seconds)
    click.echo(click.style(text, fg="green" if good else "red", bold=True))
