"""Whether an audience is refreshed often enough for its windows, and no more than it can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from relo_dsl.analysis.windows import width
from relo_dsl.bind import Refresh
from relo_dsl.freshness import freshness
from relo_dsl.review import Reviewed
from relo_dsl.source import Span
from relo_dsl.terms import And, Condition, Did, Extreme, Measure, Not, Or, Reference, Step, Window
from relo_dsl.times import UNITS, format_duration

_EVERY = {"hourly": UNITS["h"], "daily": UNITS["d"], "weekly": UNITS["w"]}


def check_refresh(item: Reviewed) -> None:
    """Reports windows that end between two refreshes, and `realtime` where it cannot be."""
    refresh = item.bound.header.refresh
    if refresh.how == "realtime":
        _check_realtime(item)
        return
    every = refresh.every if refresh.how == "every" else _EVERY.get(refresh.how)
    if every is not None:
        _check_windows(item, refresh, every)


def _check_windows(item: Reviewed, refresh: Refresh, every: int) -> None:
    often = f"every {format_duration(every)}" if refresh.how == "every" else refresh.how
    for part in item.bound.parts:
        if _is_chain(part.condition):
            continue  # its operands are parts of their own
        spans = [span for window in _windows(part.condition) if (span := width(window))]
        shortest = min(spans, default=every)
        if shortest < every:
            item.found.report(
                "stale-window",
                part.span,
                f"this covers {format_duration(shortest)}, and `{item.bound.name}` is refreshed "
                f"{often}: what comes and goes between two refreshes is never seen",
                help=f"`refresh every {format_duration(shortest)}`, or a longer window",
            )


def _is_chain(condition: Condition) -> bool:
    while isinstance(condition, Not):
        condition = condition.operand
    return isinstance(condition, And | Or)


def _windows(condition: Condition) -> Iterator[Window]:
    """The windows of events; those of times, and of other definitions, are left out."""
    pending: list[object] = [condition]
    while pending:
        node = pending.pop()
        match node:
            case Did() | Measure() | Extreme():
                yield node.window
            case Step(_, windows):
                yield from windows
            case Reference():
                pass
            case tuple():
                pending.extend(node)
            case _ if is_dataclass(node):
                pending.extend(getattr(node, one.name) for one in fields(node))


def _check_realtime(item: Reviewed) -> None:
    found = _batch(item)
    if found is None:
        return
    span, what = found
    by_type = item.header("refresh") is None
    why = f"an audience of type `{item.bound.header.type}` is" if by_type else "it is to be"
    item.found.report(
        "realtime-batch",
        span,
        f"{what}, and {why} refreshed in real time",
        help="`refresh hourly`, say; what it holds changes between refreshes only",
    )


def _batch(item: Reviewed) -> tuple[Span, str] | None:
    if item.node.keep is not None:
        return item.node.keep.span, "a ranking needs all devices at once"
    for part in item.bound.parts:
        if not _is_chain(part.condition) and freshness(part.condition).kind == "batch":
            return part.span, "this depends on other devices"
    if freshness(item.plan.condition).kind == "batch":
        return item.bound.span, "this depends on other devices"
    return None
