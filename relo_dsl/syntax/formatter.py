"""The one canonical layout of a definition file.

Headers in a fixed order with their values in one column, then `let`s, then the condition with one
operand a line, then what follows it, with a blank line between. Every comment is kept: one on its
own line stands before the statement it stood before or in, one behind a statement stands behind it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from relo_dsl.syntax import nodes
from relo_dsl.syntax.breaking import INDENT, Breaker, Line
from relo_dsl.syntax.nodes import Definition, Header, Name, Number, String
from relo_dsl.syntax.writing import (
    write,
    write_device,
    write_duration,
    write_name,
    write_number,
    write_record_name,
    write_string,
)

#: Blank lines between two definitions; parts of one are set apart by a single one.
_BETWEEN_DEFINITIONS = 2


def format_expr(expr: nodes.Expr) -> str:
    """An expression on one line. Raises ValueError for a tree with ErrorExpr in it."""
    return write(expr)


def format_file(file: nodes.File) -> str:
    """The canonical text of a file, which parses to an equal tree.

    Raises ValueError for a file that was read with syntax errors.
    """
    breaker = Breaker([comment.span.start for comment in file.comments])
    blocks: list[list[Line]] = []
    gaps: list[int] = []
    for number, item in enumerate(file.items):
        before = file.items[number - 1] if number else None
        if isinstance(item, nodes.Let):
            let = _let(item, breaker)
            if isinstance(before, nodes.Let):
                blocks[-1] += let
                continue
            blocks.append(let)
            gaps.append(_BETWEEN_DEFINITIONS)
        else:
            parts = list(_definition(item, breaker))
            blocks += parts
            gaps += [1 if isinstance(before, nodes.Let) else _BETWEEN_DEFINITIONS]
            gaps += [1] * (len(parts) - 1)
    rest = _place_comments([line for block in blocks for line in block], file.comments)
    return _print(blocks, gaps, rest)


def _print(blocks: list[list[Line]], gaps: list[int], rest: list[str]) -> str:
    rows: list[str] = []
    for block, gap in zip(blocks, gaps, strict=True):
        rows += [""] * (gap if rows else 0)
        for line in block:
            pad = " " * line.indent
            rows += [pad + comment for comment in line.above]
            rows.append(pad + line.text + line.trailing)
    if rest and rows:
        rows.append("")
    rows += rest
    return "\n".join(rows) + "\n" if rows else ""


def _place_comments(lines: list[Line], comments: Sequence[nodes.Comment]) -> list[str]:
    """Gives each line its comments; returns those that stand after everything."""
    if not comments:
        return []
    ordered = sorted(lines, key=lambda line: line.start)
    starts = [line.start for line in ordered]
    rest: list[str] = []
    for comment in comments:
        at = comment.span.start
        before = bisect_right(starts, at) - 1
        inside = before >= 0 and at < ordered[before].end
        if inside:
            ordered[before].above.append(comment.text)
        elif before >= 0 and not comment.own_line and not ordered[before].trailing:
            ordered[before].trailing = "  " + comment.text
        elif before + 1 < len(ordered):
            ordered[before + 1].above.append(comment.text)
        else:
            rest.append(comment.text)
    return rest


# ---- definitions -------------------------------------------------------------------------------


def _let(let: nodes.Let, breaker: Breaker) -> list[Line]:
    prefix = f"let {write_name(let.name)} ="
    return breaker.after(prefix, let.value, let.span.start, let.span.end)


def _definition(item: Definition, breaker: Breaker) -> Iterator[list[Line]]:
    """The parts of a definition, to be set apart by blank lines."""
    head = Line(0, f"{item.kind} {write_name(item.name)}", item.span.start, item.name.span.end)
    yield [head, *_headers(item.headers)]
    if item.lets:
        yield [line for let in item.lets for line in _let(let, breaker)]
    if item.condition is not None:
        start = item.match_span.start
        yield [Line(0, "match", start, start), *breaker.block(item.condition, INDENT)]
    if item.keep is not None:
        keep = item.keep
        prefix = f"keep {keep.which} {write_number(keep.amount)} by"
        yield breaker.after(prefix, keep.by, keep.span.start, keep.span.end)
    for word, share in (("sample", item.sample), ("holdout", item.holdout)):
        if share is not None:
            yield [Line(0, f"{word} {write_number(share)}", share.span.start, share.span.end)]
    for test in item.tests:
        yield list(_test(test))


def _headers(headers: tuple[Header, ...]) -> list[Line]:
    width = max((len(header.keyword) for header in headers), default=0)
    return [
        Line(
            INDENT,
            f"{header.keyword:{width}} {_header_value(header.value)}",
            header.span.start,
            header.span.end,
        )
        for header in headers
    ]


def _header_value(value: object) -> str:
    match value:
        case String():
            return write_string(value)
        case Number():
            return write_number(value)
        case Name():
            return write_name(value)
        case nodes.Duration():
            return write_duration(value)
        case nodes.Refresh():
            return _refresh(value)
        case tuple():
            return ", ".join(_header_value(entry) for entry in value)
        case _:
            raise TypeError(f"no header has a {type(value).__name__}")


def _refresh(refresh: nodes.Refresh) -> str:
    words: list[str] = [refresh.how]
    if refresh.day is not None:
        words.append(f"on {refresh.day}")
    if refresh.at is not None:
        words.append(f"at {refresh.at // 60:02d}:{refresh.at % 60:02d}")
    if refresh.every is not None:
        words.append(write_duration(refresh.every))
    if refresh.cron is not None:
        words.append(write_string(refresh.cron))
    return " ".join(words)


# ---- tests -------------------------------------------------------------------------------------


def _test(test: nodes.Test) -> Iterator[Line]:
    instants = ", ".join(date.text for date in test.instants)
    title = f"test {write_string(test.title)} at {instants}"
    yield Line(0, title, test.span.start, test.instants[-1].span.end)
    names = [
        len(write_device(given.device))
        for given in test.given
        if isinstance(given, nodes.GivenDevice)
    ]
    width = max(names, default=0) + 1
    for number, given in enumerate(test.given):
        word = "and   " if number else "given "
        if isinstance(given, nodes.GivenList):
            devices = ", ".join(write_device(device) for device in given.devices)
            text = f"{word}list {write_name(given.name)}: {devices}"
            yield Line(INDENT, text, given.span.start, given.span.end)
        else:
            yield from _given_device(given, word, width)
    for expect in test.expect:
        yield Line(INDENT, _expect(expect), expect.span.start, expect.span.end)


def _given_device(given: nodes.GivenDevice, word: str, width: int) -> Iterator[Line]:
    name = write_device(given.device) + ":"
    if not given.records:
        yield Line(INDENT, word + name, given.span.start, given.span.end)
    start = given.span.start
    for number, record in enumerate(given.records):
        text = _record(record)
        if number == 0:
            yield Line(INDENT, f"{word}{name:{width}} {text}", start, record.span.end)
        else:
            indent = INDENT + len(word) + width + 1
            yield Line(indent, text, record.span.start, record.span.end)


def _record(record: nodes.TestRecord) -> str:
    fields = ", ".join(_field(name, value) for name, value in record.fields)
    return f"{write_record_name(record.name)}({fields}) {_moment(record.when)}"


def _field(name: Name | None, value: nodes.TestValue) -> str:
    return _value(value) if name is None else f"{write_name(name)}: {_value(value)}"


def _value(value: nodes.TestValue) -> str:
    match value:
        case None:
            return "null"
        case tuple():
            return f"[{', '.join(_value(part) for part in value)}]"
        case nodes.TestObject(fields):
            return "{" + ", ".join(_field(name, part) for name, part in fields) + "}"
        case _:
            return write(value)


def _moment(moment: nodes.Moment) -> str:
    if moment.ago is not None:
        return f"{write_duration(moment.ago)} ago"
    return "now" if moment.at is None else f"at {moment.at.text}"


def _expect(expect: nodes.Expect) -> str:
    devices = ", ".join(write_device(device) for device in expect.devices)
    words = ["expect", "not " + devices if expect.negated else devices]
    if expect.start is not None:
        words.append(f"from {expect.start.text}")
    if expect.until is not None:
        words.append(f"until {expect.until.text}")
    return " ".join(words)
