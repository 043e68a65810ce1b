"""What a test run found, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from relo_dsl.bind import Clause
from relo_dsl.numbers import plain
from relo_dsl.records import Record, tie_of
from relo_dsl.source import SourceFile, Span
from relo_dsl.syntax import nodes
from relo_dsl.testing.cases import Case, Check
from relo_dsl.testing.coverage import Coverage
from relo_dsl.testing.given import shown_record, shown_value
from relo_dsl.testing.outcome import Outcome
from relo_dsl.testing.reasons import Finding, Reason, reason_for
from relo_dsl.times import format_duration, format_instant

_IS = {True: "a member", False: "no member"}


# ---- for people --------------------------------------------------------------------------------


def failure_lines(outcome: Outcome) -> Iterator[str]:
    """A test that did not pass: which, where, and of each device what decided it."""
    case = outcome.question.case
    yield f'failed: {case.name}, "{case.title}"'
    yield f" --> {place(case.source, case.span)}"
    if outcome.broken is not None:
        yield f"  a defect of relo: its SQL could not run, please report it: {outcome.broken.text}"
    for check in outcome.failed:
        yield from _check_lines(outcome, check)
    told = {(check.device, check.at) for check in outcome.failed}
    for defect in outcome.defects:
        if (defect.device, defect.at) not in told:
            yield f"  {defect.device} at {format_instant(defect.at)}:"
            yield from _defect_lines(outcome, defect.device, defect.at)


def _check_lines(outcome: Outcome, check: Check) -> Iterator[str]:
    found = f"expected {_IS[check.member]}, found {_IS[not check.member]}"
    where = outcome.question.case.source.position(check.span.start)
    yield f"  {check.device} at {format_instant(check.at)}: {found} (line {where.line})"
    yield from _defect_lines(outcome, check.device, check.at)
    reason = reason_for(outcome.question, check.device, check.at)
    yield f"    {reason.text}{':' if reason.findings else ''}"
    for finding in reason.findings:
        yield f"      {_finding_text(finding, outcome.question.case.source)}"
    own = records_of(outcome.question.case, check.device)
    if own:
        yield "    its records:"
        ages = [age(record, check.at) for record in own]
        width = max(map(len, ages))
        for text, record in zip(ages, own, strict=True):
            yield f"      {text:<{width}}  {shown_record(record)}"


def _defect_lines(outcome: Outcome, device: str, at: int) -> Iterator[str]:
    for defect in outcome.defects:
        if (defect.device, defect.at) == (device, at):
            yield (
                f"    a defect of relo: {_IS[defect.evaluator]} for the evaluator, "
                f"{_IS[defect.sql]} for SQL; please report it"
            )


def _finding_text(finding: Finding, source: SourceFile) -> str:
    line = source.position(finding.clause.span.start).line
    values = ", ".join("missing" if v is None else plain(v) for v in finding.values)
    found = f", found {values}" if values else ""
    return f"{one_line(finding.clause.text)}  (line {line}{found})"


def coverage_lines(found: Coverage) -> Iterator[str]:
    """The coverage of a definition, and the clauses that were not seen both ways."""
    covered = sum(clause.both for clause in found.clauses)
    yield f"{found.bound.name}: {covered} of {len(found.clauses)} clauses, {found.percent}%"
    for clause in found.clauses:
        if not clause.both:
            where = place(found.bound.source, clause.clause.span)
            yield f"  {never(clause.true, clause.false)}: {one_line(clause.clause.text)}"
            yield f"    --> {where}"


def never(true: bool, false: bool) -> str:
    """What was never seen of a clause."""
    if not true and not false:
        return "never seen"
    return "never seen to hold" if not true else "never seen not to hold"


def summary(passed: int, failed: int, not_run: int, seconds: float) -> str:
    """`12 passed, 1 failed in 0.8 s`."""
    parts = [f"{passed} passed"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{not_run} not run"] if not_run else []
    return f"{', '.join(parts)} in {seconds:.1f} s"


def place(source: SourceFile, span: Span) -> str:
    """`segments/winback.seg:12`."""
    return f"{source.name}:{source.position(span.start).line}"


def one_line(text: str) -> str:
    """A piece of a definition on one line."""
    return " ".join(text.split())


def age(record: Record, at: int) -> str:
    """How long before an instant a record stands."""
    if record.time == at:
        return "now"
    span = format_duration(abs(at - record.time))
    return f"{span} ago" if record.time < at else f"in {span}"


def records_of(case: Case, device: str) -> list[Record]:
    """The records of one device in (time, tie) order."""
    own = [record for record in case.records if record.device == device]
    return sorted(own, key=lambda record: (record.time, tie_of(record.id)))


# ---- as JSON -----------------------------------------------------------------------------------


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """One test that ran."""
    case = outcome.question.case
    return {
        "definition": case.name,
        "title": case.title,
        "file": case.source.name,
        "line": case.source.position(case.span.start).line,
        "outcome": "passed" if outcome.passed else "failed",
        "failures": [_check_json(outcome, check) for check in outcome.failed],
        "defects": [
            {
                "device": defect.device,
                "at": format_instant(defect.at),
                "evaluator": defect.evaluator,
                "sql": defect.sql,
            }
            for defect in outcome.defects
        ],
        **({"broken": outcome.broken.text} if outcome.broken else {}),
    }


def not_run_json(name: str, test: nodes.Test, source: SourceFile) -> dict[str, object]:
    """One test that could not run, because its definition or the test itself has errors."""
    return {
        "definition": name,
        "title": test.title.value,
        "file": source.name,
        "line": source.position(test.span.start).line,
        "outcome": "not run",
    }


def _check_json(outcome: Outcome, check: Check) -> dict[str, object]:
    case = outcome.question.case
    reason = reason_for(outcome.question, check.device, check.at)
    return {
        "device": check.device,
        "at": format_instant(check.at),
        "line": case.source.position(check.span.start).line,
        "expected": check.member,
        "found": not check.member,
        "reason": _reason_json(reason, case.source),
        "records": [_record_json(record, check.at) for record in records_of(case, check.device)],
    }


def _reason_json(reason: Reason, source: SourceFile) -> dict[str, object]:
    return {
        "kind": reason.kind,
        "text": reason.text,
        "clauses": [
            {
                **_clause_json(finding.clause, source),
                "holds": finding.holds,
                "values": list(finding.values),
            }
            for finding in reason.findings
        ],
    }


def _clause_json(clause: Clause, source: SourceFile) -> dict[str, object]:
    return {
        "text": one_line(clause.text),
        "line": source.position(clause.span.start).line,
    }


def _record_json(record: Record, at: int) -> dict[str, object]:
    values = {name: _plain(value) for name, value in record.values.items()}
    if record.kind == "consent":
        values = {"consent": record.consent}
    return {
        "type": record.type,
        "at": format_instant(record.time),
        "age_ms": at - record.time,
        "values": values,
    }


def _plain(value: object) -> object:
    """A value of a record in JSON's own types; a time or another odd one as its text."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if value is None or isinstance(value, str | bool | Decimal):
        return value
    return shown_value(value)


def coverage_json(found: Coverage) -> dict[str, object]:
    """The coverage of one definition."""
    return {
        "definition": found.bound.name,
        "file": found.bound.source.name,
        "coverage": found.percent,
        "clauses": [
            {
                **_clause_json(clause.clause, found.bound.source),
                "true": clause.true,
                "false": clause.false,
            }
            for clause in found.clauses
        ],
    }
