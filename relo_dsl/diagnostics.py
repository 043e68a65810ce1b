"""Diagnostics are data: collected while a file is read, rendered once, last.

Every code has a row in `CODES` and a page in `docs/diagnostics/`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from unicodedata import east_asian_width

from relo_dsl.source import SourceFile, Span


class Severity(StrEnum):
    """How much a diagnostic weighs: an error stops the definition, the others do not."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding at one place. `replacement` is text that could stand at `span` instead."""

    code: str
    severity: Severity
    message: str
    span: Span
    source: SourceFile
    help: str | None = None
    replacement: str | None = None

    def to_json(self) -> dict[str, object]:
        """What `--json` prints: line and column start at 1, `length` counts code points."""
        place = self.source.position(self.span.start)
        return {
            "code": self.code,
            "severity": self.severity.value,
            "file": self.source.name,
            "line": place.line,
            "column": place.column,
            "length": max(1, self.span.end - self.span.start),
            "message": self.message,
            "help": self.help,
            "replacement": self.replacement,
        }


#: code -> (severity, one line on what it is about). The docs list is checked against it.
CODES: dict[str, tuple[Severity, str]] = {
    "syntax": (Severity.ERROR, "something else was expected here"),
    "invalid-character": (Severity.ERROR, "a character that means nothing in a definition"),
    "unclosed-string": (Severity.ERROR, "a string without its closing quote"),
    "invalid-escape": (Severity.ERROR, "a backslash in a string before something it cannot escape"),
    "invalid-encoding": (Severity.ERROR, "the file is not UTF-8"),
    "file-too-large": (Severity.ERROR, "a file over 1 MiB"),
    "nesting-too-deep": (Severity.ERROR, "parentheses nested deeper than 200"),
    "duration": (Severity.ERROR, "a duration that cannot be read, is zero or over 100 years"),
    "unknown-unit": (Severity.ERROR, "a unit of time or length that does not exist"),
    "date": (Severity.ERROR, "a date or time that does not exist"),
    "number-out-of-range": (Severity.ERROR, "a number that cannot be kept exactly"),
    "range-order": (Severity.ERROR, "a range whose first end lies after its last"),
    "pattern": (Severity.ERROR, "a pattern that RE2 cannot read, or over 1,000 characters"),
    "missing-name": (Severity.ERROR, "a definition without a name"),
    "reserved-name": (Severity.ERROR, "a name that a definition cannot have"),
    "duplicate-definition": (Severity.ERROR, "two definitions of one name"),
    "duplicate-header": (Severity.ERROR, "a header statement that stands twice"),
    "header-not-allowed": (Severity.ERROR, "a header statement that a segment cannot have"),
    "header-value": (Severity.ERROR, "a header value that cannot be used"),
    "missing-client": (Severity.ERROR, "no client, neither in the definition nor configured"),
    "missing-match": (Severity.ERROR, "a definition without a condition"),
    "unknown-event": (Severity.ERROR, "an event that the catalog does not have"),
    "unknown-property": (Severity.ERROR, "a property that its events do not have"),
    "unknown-score": (Severity.ERROR, "a score that the catalog does not have"),
    "unknown-trait": (Severity.ERROR, "a trait that the catalog does not have"),
    "unknown-value": (Severity.ERROR, "a value outside the ones the catalog lists"),
    "unknown-segment": (Severity.ERROR, "a reference to a definition that does not exist"),
    "unknown-list": (Severity.ERROR, "a list that nobody uploaded"),
    "unknown-place": (Severity.ERROR, "a place that the catalog does not have"),
    "unknown-zone": (Severity.ERROR, "a zone that the catalog does not have"),
    "unknown-destination": (Severity.ERROR, "an export to a destination that does not exist"),
    "unknown-function": (Severity.ERROR, "a measure that does not exist"),
    "ambiguous-name": (Severity.ERROR, "a name that means two things"),
    "reference-cycle": (Severity.ERROR, "definitions that refer to one another in a circle"),
    "type-mismatch": (Severity.ERROR, "values of different types compared"),
    "expected-condition": (Severity.ERROR, "something else where a condition should stand"),
    "expected-selection": (Severity.ERROR, "something else where events should stand"),
    "expected-number": (Severity.ERROR, "something else where a number should stand"),
    "expected-property": (Severity.ERROR, "something else where a property should stand"),
    "expected-value": (Severity.ERROR, "something else where a value should stand"),
    "window-not-allowed": (Severity.ERROR, "a window where none can stand"),
    "expected-window": (Severity.ERROR, "a window missing where one must stand"),
    "step-after-no": (Severity.ERROR, "a step behind `then no`, which must stand last"),
    "nothing-to-repeat": (Severity.ERROR, "a window with nothing before it to repeat"),
    "contradiction": (Severity.ERROR, "a condition that can never hold"),
    "mixed-and-or": (Severity.WARNING, "`and` and `or` mixed without parentheses"),
    "always-true": (Severity.WARNING, "a condition that always holds"),
    "division-by-zero": (Severity.WARNING, "a division by zero, which no comparison survives"),
    "empty-holdout": (Severity.WARNING, "a holdout that the sample leaves nobody for"),
    "unused-let": (Severity.WARNING, "a `let` that no definition uses"),
    "stale-window": (Severity.WARNING, "a window shorter than the time between two refreshes"),
    "realtime-batch": (Severity.WARNING, "a `realtime` refresh of what needs all devices at once"),
    "below-minimum": (Severity.WARNING, "an audience smaller than its destination takes"),
    "same-meaning": (Severity.WARNING, "two definitions that mean the same"),
    "repeated-selection": (Severity.HINT, "a repeated selection that is narrower than it looks"),
    "count-at-least-one": (Severity.HINT, "`count(x) >= 1` where `x` says the same"),
    "idle-test": (Severity.HINT, "a test, or a part of one, that decides nothing"),
    "redundant-clause": (Severity.HINT, "a clause that changes nothing beside another one"),
    "contained-definition": (Severity.HINT, "an audience that is a part of another one"),
    "beyond-retention": (Severity.HINT, "a window longer than events are kept"),
}


class Diagnostics:
    """Collects the diagnostics of one source file."""

    def __init__(self, source: SourceFile) -> None:
        self.source = source
        self.items: list[Diagnostic] = []

    def report(
        self,
        code: str,
        span: Span,
        message: str,
        *,
        help: str | None = None,
        replacement: str | None = None,
    ) -> None:
        """Adds a finding; its severity is the code's. The same finding twice counts once."""
        severity = CODES[code][0]
        found = Diagnostic(code, severity, message, span, self.source, help, replacement)
        if found not in self.items:
            self.items.append(found)

    @property
    def has_errors(self) -> bool:
        return any(item.severity is Severity.ERROR for item in self.items)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(in_order(self.items))


def in_order(items: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By file, then by place, errors before hints at the same place."""
    weight = list(Severity)
    return sorted(items, key=lambda d: (d.source.name, d.span, weight.index(d.severity), d.code))


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names that look most like `name`, best first."""
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(name.casefold(), list(folded), n=limit, cutoff=0.6)
    return [folded[match] for match in close]


def did_you_mean(name: str, known: Iterable[str], what: str) -> tuple[str | None, str | None]:
    """The help line and the ready replacement for an unknown name."""
    names = sorted(set(known))
    close = nearest(name, names)
    if close:
        return "did you mean " + " or ".join(f"`{c}`" for c in close) + "?", close[0]
    if not names:
        return f"there is no {what} at all", None
    shown = ", ".join(f"`{n}`" for n in names[:8])
    return f"known: {shown}" + (f" and {len(names) - 8} more" if len(names) > 8 else ""), None


def has_errors(items: Iterable[Diagnostic]) -> bool:
    """Whether one of them is an error, and not a warning or a remark."""
    return any(item.severity is Severity.ERROR for item in items)


def to_json(items: Iterable[Diagnostic]) -> str:
    """One JSON object with every diagnostic, for machines."""
    return json.dumps({"diagnostics": [d.to_json() for d in in_order(items)]}, ensure_ascii=False)


def _width(text: str) -> int:
    """Columns that a text takes in a terminal."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def render(diagnostic: Diagnostic) -> str:
    """The message, its place, the source line and carets under it; plain text, no colours."""
    place = diagnostic.source.position(diagnostic.span.start)
    raw = diagnostic.source.line(place.line)
    line = raw.replace("\t", " ")
    before = line[: place.column - 1]
    covered = line[
        place.column - 1 : place.column - 1 + diagnostic.span.end - diagnostic.span.start
    ]
    if len(line) > 160:  # a line that nobody could read: show the part around the place
        cut_at = max(0, len(before) - 60)
        before = before[cut_at:]
        line = line[cut_at : cut_at + 150]
        covered = covered[: 150 - len(before)]
    gutter = str(place.line)
    pad = " " * len(gutter)
    carets = "^" * max(1, _width(covered))
    rows = [
        f"{diagnostic.severity.value}[{diagnostic.code}]: {diagnostic.message}",
        f"{pad}--> {diagnostic.source.name}:{place.line}:{place.column}",
        f"{pad} |",
        f"{gutter} | {line}".rstrip(),
        f"{pad} | {' ' * _width(before)}{carets}",
    ]
    if diagnostic.help:
        rows.append(f"{pad} = help: {diagnostic.help}")
    return "\n".join(rows)


def render_all(items: Iterable[Diagnostic]) -> str:
    """All of them, one after the other with a blank line between, and a closing count."""
    ordered = in_order(items)
    if not ordered:
        return ""
    counts = []
    for severity in Severity:
        number = sum(d.severity is severity for d in ordered)
        if number:
            counts.append(f"{number} {severity.value}{'s' if number > 1 else ''}")
    return "\n\n".join(render(d) for d in ordered) + "\n\n" + ", ".join(counts)
