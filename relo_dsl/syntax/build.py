"""Makes nodes of files, definitions, headers and tests; expressions are in `expressions`."""

# ruff: noqa: ARG002, N802 -- methods are named after rules and terminals, which set their arguments
from __future__ import annotations

from dataclasses import replace
from typing import Any

from relo_dsl.diagnostics import did_you_mean
from relo_dsl.source import Span
from relo_dsl.syntax import nodes
from relo_dsl.syntax.expressions import ExpressionBuilder
from relo_dsl.syntax.literals import PLAIN_NAME
from relo_dsl.syntax.nodes import Date, Duration, Expr, Header, Name, Number, String
from relo_dsl.syntax.pieces import shown
from relo_dsl.syntax.tables import HEADERS, STATEMENTS

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: What a segment's header may say: nothing that only makes sense for a published set.
SEGMENT_HEADERS = frozenset({"label", "description", "owner", "client", "timezone", "tags"})
#: Words that no definition and no `let` can have for a name: a keyword could stand there.
RESERVED = STATEMENTS | frozenset(
    {
        *("and", "or", "not", "no", "then", "in", "any", "true", "false", "null", "missing"),
        *("within", "between", "before", "since", "from", "on", "today", "yesterday", "affine"),
        *("exists", "has", "contains", "matches", "is", "for"),
    }
)
_TAIL_ORDER = ("keep", "sample", "holdout")


class Broken:
    """What could not be read; its diagnostic is already reported."""


class Builder(ExpressionBuilder):
    """All rules of the grammar."""

    def file(self, span: Span, *items: Any) -> nodes.File:
        kept = tuple(i for i in items if isinstance(i, nodes.Let | nodes.Definition))
        return nodes.File(kept, (), span)

    def broken(self, span: Span, _: str) -> Broken:
        return Broken()

    def let(self, span: Span, name: Name, _: str, value: Expr) -> nodes.Let:
        if name.text in RESERVED or not PLAIN_NAME.fullmatch(name.text):
            self._report_reserved(name, "a `let`")
        return nodes.Let(name, value, span)

    def _report_reserved(self, name: Name, what: str) -> None:
        written = self.diagnostics.source.slice(name.span)
        if written[:1] != "`" and not PLAIN_NAME.fullmatch(written):
            return  # its spelling is reported where it was read
        why = (
            f"`{name.text}` is a word of the language"
            if name.text in RESERVED
            else "its names are small letters, digits and `_`, and start with a letter"
        )
        self.diagnostics.report(
            "reserved-name",
            name.span,
            f"expected a name for {what}, found {shown(written)}",
            help=why,
        )

    # ---- definitions ---------------------------------------------------------------------------

    def definition(self, span: Span, kind: str, *parts: Any) -> nodes.Definition:
        what = f"{'an' if kind == 'audience' else 'a'} {kind}"
        name = self._definition_name(span, kind, what, parts[0])
        headers = tuple(p for p in parts if isinstance(p, Header))
        self._check_headers(kind, headers)
        match_part = _Match(None, Span(span.end, span.end))
        tail: dict[str, Any] = {}
        tests: list[nodes.Test] = []
        lets: list[nodes.Let] = []
        for part in parts:
            match part:
                case nodes.Let():
                    lets.append(part)
                case nodes.Test():
                    tests.append(part)
                case _Tail():
                    self._add_tail(kind, tail, part)
                case _Match():
                    match_part = part
        if match_part.condition is None:
            self.diagnostics.report(
                "missing-match",
                name.span if name.text else Span(span.start, span.start + len(kind)),
                f"expected `match` and a condition in {what}, found none",
            )
        return nodes.Definition(
            "audience" if kind == "audience" else "segment",
            name,
            tuple(sorted(headers, key=lambda header: HEADERS.index(header.keyword.split()[0]))),
            tuple(lets),
            match_part.condition,
            tail.get("keep"),
            tail.get("sample"),
            tail.get("holdout"),
            tuple(tests),
            span,
            match_part.span,
        )

    def _definition_name(self, span: Span, kind: str, what: str, first: Any) -> Name:
        if isinstance(first, Name):
            unfit = first.text in RESERVED or not PLAIN_NAME.fullmatch(first.text)
            if unfit and first.text:
                self._report_reserved(first, what)
            return first
        place = Span(span.start, span.start + len(kind))
        self.diagnostics.report(
            "missing-name", place, f"expected a name after `{kind}`, found none"
        )
        return Name("", place)

    def _check_headers(self, kind: str, headers: tuple[Header, ...]) -> None:
        seen: set[str] = set()
        for header in headers:
            place = Span(header.span.start, header.span.start + len(header.keyword.split()[0]))
            allowed = kind == "audience" or header.keyword in SEGMENT_HEADERS
            if not allowed:
                self._refuse_in_segment(header.keyword, place)
            elif header.keyword in seen:
                self.diagnostics.report(
                    "duplicate-header",
                    place,
                    f"expected `{header.keyword}` once, found it again",
                    help="each header statement stands at most once",
                )
            seen.add(header.keyword)

    def _refuse_in_segment(self, keyword: str, place: Span) -> None:
        self.diagnostics.report(
            "header-not-allowed",
            place,
            f"expected only what a segment can have, found `{keyword}`",
            help="a segment is a named condition; what is published is an `audience`",
        )

    def _add_tail(self, kind: str, tail: dict[str, Any], part: _Tail) -> None:
        place = Span(part.span.start, part.span.start + len(part.keyword))
        if part.keyword in tail:
            self.diagnostics.report(
                "duplicate-header", place, f"expected `{part.keyword}` once, found it again"
            )
            return
        later = [k for k in tail if _TAIL_ORDER.index(k) > _TAIL_ORDER.index(part.keyword)]
        if later:
            self.diagnostics.report(
                "syntax",
                place,
                f"expected `{part.keyword}` before `{later[0]}`, found it after",
                help="the order is `keep`, `sample`, `holdout`",
            )
        if kind == "segment":
            self._refuse_in_segment(part.keyword, place)
        tail[part.keyword] = part.value

    def match(self, span: Span, condition: Expr) -> _Match:
        return _Match(condition, span)

    def no_match(self, span: Span, _: str) -> _Match:
        return _Match(None, span)

    def share(self, span: Span, percent: Number) -> Number:
        return percent

    def keep(self, span: Span, which: str, amount: Number, by: Expr) -> _Tail:
        if not amount.percent:
            self.whole(amount)
        return _Tail(
            "keep", nodes.Keep("top" if which == "top" else "bottom", amount, by, span), span
        )

    def sample(self, span: Span, share: Number) -> _Tail:
        return _Tail("sample", replace(share, span=span), span)

    def holdout(self, span: Span, share: Number) -> _Tail:
        return _Tail("holdout", replace(share, span=span), span)

    # ---- headers -------------------------------------------------------------------------------

    def header(self, span: Span, keyword: str, value: Any) -> Header:
        if keyword in ("client", "minimum"):
            self._check_whole(keyword, value)
        return Header("require consent" if keyword == "require" else keyword, value, span)

    def _check_whole(self, keyword: str, number: Number) -> None:
        least = 0 if keyword == "minimum" else 1
        if number.value != number.value.to_integral_value() or number.value < least:
            self.diagnostics.report(
                "header-value",
                number.span,
                f"expected a whole number after `{keyword}`, "
                f"found `{self.diagnostics.source.slice(number.span)}`",
            )

    def entries(self, span: Span, *entries: Name | String | Number) -> tuple[Any, ...]:
        return entries

    def TIME(self, text: str, span: Span) -> int:
        return self.minutes(text, span)

    def refresh(self, span: Span, how: Any, *parts: Any) -> nodes.Refresh:
        at = day = every = cron = None
        for part in parts:
            match part:
                case int():
                    at = part
                case Name():
                    day = self._day(part)
                case Duration():
                    every = part
                case String():
                    cron = part
        return nodes.Refresh(how, at, day, every, cron, span)

    def _day(self, name: Name) -> str:
        if name.text not in DAYS:
            helped, replacement = did_you_mean(name.text, DAYS, "day")
            self.diagnostics.report(
                "header-value",
                name.span,
                f"expected a day of the week, found `{name.text}`",
                help=helped,
                replacement=replacement,
            )
            return DAYS[0]
        return name.text

    # ---- tests ---------------------------------------------------------------------------------

    def test(
        self, span: Span, title: String, instants: tuple[Date, ...], *lines: Any
    ) -> nodes.Test:
        given = [g for line in lines if isinstance(line, tuple) for g in line]
        expect = tuple(line for line in lines if isinstance(line, nodes.Expect))
        return nodes.Test(title, instants, tuple(given), expect, span)

    def instants(self, span: Span, *dates: Date) -> tuple[Date, ...]:
        return dates

    def given(self, span: Span, *items: Any) -> tuple[Any, ...]:
        return tuple(item for item in items if not isinstance(item, Broken))

    def device(self, span: Span, name: Name, *records: nodes.TestRecord) -> nodes.GivenDevice:
        return nodes.GivenDevice(name, records, span)

    def device_list(self, span: Span, name: Name, devices: tuple[Name, ...]) -> nodes.GivenList:
        return nodes.GivenList(name, devices, span)

    def names(self, span: Span, *names: Name) -> tuple[Name, ...]:
        return names

    def record(self, span: Span, name: Name, *parts: Any) -> nodes.TestRecord:
        fields = tuple(part for part in parts[:-1] if not isinstance(part, Broken))
        return nodes.TestRecord(name, fields, parts[-1], span)

    def unnamed(self, span: Span, number: Number) -> tuple[None, Number]:
        return None, number

    def field(self, span: Span, name: Name, value: Any) -> tuple[Name, Any]:
        return name, value

    def field_name(self, span: Span, *names: Name) -> Name:
        return names[0] if len(names) == 1 else Name(".".join(n.text for n in names), span)

    def null(self, span: Span, _: str) -> None:
        return None

    def array(self, span: Span, *values: Any) -> tuple[Any, ...]:
        return values

    def test_object(self, span: Span, *fields: tuple[Name, Any]) -> nodes.TestObject:
        return nodes.TestObject(fields, span)

    def moment_ago(self, span: Span, age: Duration) -> nodes.Moment:
        return nodes.Moment(ago=age, span=span)

    def moment_at(self, span: Span, date: Date) -> nodes.Moment:
        return nodes.Moment(at=date, span=span)

    def moment_now(self, span: Span) -> nodes.Moment:
        return nodes.Moment(span=span)

    def enters(self, span: Span, date: Date) -> tuple[str, Date]:
        return "start", date

    def leaves(self, span: Span, date: Date) -> tuple[str, Date]:
        return "until", date

    def expect(self, span: Span, *parts: Any) -> nodes.Expect:
        negated = isinstance(parts[0], str)
        devices, *bounds = parts[1:] if negated else parts
        dates = dict(bounds)
        return nodes.Expect(devices, negated, dates.get("start"), dates.get("until"), span)


class _Match:
    """`match` and the condition behind it, None where both are missing."""

    __slots__ = ("condition", "span")

    def __init__(self, condition: Expr | None, span: Span) -> None:
        self.condition = condition
        self.span = span


class _Tail:
    """A statement after the condition."""

    __slots__ = ("keyword", "span", "value")

    def __init__(self, keyword: str, value: Any, span: Span) -> None:
        self.keyword = keyword
        self.value = value
        self.span = span
