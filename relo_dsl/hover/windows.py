"""Windows and dates in concrete instants."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from relo_dsl.bind.shapes import is_time_test
from relo_dsl.bind.windows import bind_value_window, bind_window
from relo_dsl.diagnostics import Diagnostics
from relo_dsl.hover.words import Language, in_plain_words, word
from relo_dsl.source import SourceFile
from relo_dsl.syntax import nodes
from relo_dsl.terms import Ago, Instant, Window
from relo_dsl.times import TimeError, format_instant, from_millis, parse_instant

WINDOWS = (
    nodes.Within,
    nodes.WithinNext,
    nodes.Between,
    nodes.BeforeAgo,
    nodes.Since,
    nodes.BeforeDate,
    nodes.FromTo,
    nodes.OnPeriod,
    nodes.NamedPeriod,
    nodes.WithinCalendar,
)


def window_in(stack: list[object]) -> nodes.Window | None:
    """The innermost window of a path through the tree."""
    return next((node for node in reversed(stack) if isinstance(node, WINDOWS)), None)


def covered(
    stack: list[object], *, of_property: bool, source: SourceFile, now: int, zone: str,
    language: Language,
) -> str | None:  # fmt: skip
    """What the window in `stack` covers at T = `now`, in UTC and in `zone`; None where it cannot
    be read. `of_property`: it stands inside brackets, and so tests a time.
    """
    window = window_in(stack)
    if window is None:
        return None
    step = step_of_window(stack)
    if step is not None and isinstance(window, nodes.Within):
        phrase = word("no step" if step.negated else "step", language)
        return phrase.format(in_plain_words(window.length.millis, language))
    return _ends(window, of_property or _tests_time(stack, window), source, now, zone, language)


def instant(text: str, zone: str, language: Language) -> str | None:
    """The instant that a date means, in UTC and in `zone`; None for one that does not exist."""
    try:
        moment = parse_instant(text, zone)
        shown = [f"`{_shown(moment, each)}` ({each})" for each in _zones(zone)]
    except TimeError:
        return None
    return f"{word('instant', language)} " + ", ".join(shown) + "."


def step_of_window(stack: list[object]) -> nodes.Step | None:
    """The step, not the first of its sequence, whose own window is the innermost one."""
    for outer, inner in pairwise(stack):
        if isinstance(outer, nodes.Sequence) and isinstance(inner, nodes.Step):
            windowed = inner.operand
            own = isinstance(windowed, nodes.Windowed) and windowed.window in stack
            if own and inner is not outer.steps[0]:
                return inner
    return None


def _tests_time(stack: list[object], window: nodes.Window) -> bool:
    owner = stack[stack.index(window) - 1]
    if isinstance(owner, nodes.Anniversary) or isinstance(window, nodes.WithinNext):
        return True
    return isinstance(owner, nodes.Windowed) and is_time_test(owner)


def _ends(
    window: nodes.Window, of_time: bool, source: SourceFile, now: int, zone: str, language: Language
) -> str | None:
    found = Diagnostics(source)
    bound = (bind_value_window if of_time else bind_window)(window, zone, found)
    if found.items:
        return None
    if not of_time and bound.until is None:
        bound = Window(bound.after, Ago(0))
    try:
        after, until = bound.ends(now)
        lines = [f"- {each}: {_line(bound, now, each, language)}" for each in _zones(zone)]
        head = f"{word('at', language)} `{format_instant(now)}`:"
    except TimeError:
        return None
    if not of_time and after is not None and until is not None and after >= min(now, until):
        lines.append(f"- {word('nothing yet', language)}")
    return head + "\n\n" + "\n".join(lines)


def _line(window: Window, now: int, zone: str, language: Language) -> str:
    after, until = window.ends(now)
    return ", ".join(_ends_of(window, after, until, zone, language)) or word("always", language)


def _ends_of(
    window: Window, after: int | None, until: int | None, zone: str, language: Language
) -> Iterator[str]:
    """People say a rolling end as it is, and a calendar's as the start of a day."""
    if after is not None:
        yield _end("after" if _rolls(window.after) else "from", after, zone, language)
    if until is not None:
        yield _end("up to" if _rolls(window.until) else "before", until, zone, language)


def _end(which: str, moment: int, zone: str, language: Language) -> str:
    start = moment + 1 if which in ("from", "before") else moment
    return f"{word(which, language)} `{_shown(start, zone)}`"


def _rolls(end: Instant | None) -> bool:
    return isinstance(end, Ago)


def _zones(zone: str) -> tuple[str, ...]:
    return ("UTC",) if zone == "UTC" else ("UTC", zone)


def _shown(moment: int, zone: str) -> str:
    if zone == "UTC":
        return format_instant(moment)
    try:
        local: datetime = from_millis(moment).astimezone(ZoneInfo(zone))
    except OverflowError as error:
        raise TimeError(f"the instant {moment} lies outside the years 1 to 9999") from error
    return local.isoformat(timespec="milliseconds")
