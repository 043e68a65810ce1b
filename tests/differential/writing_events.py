"""Conditions on first and last events, sequences, regularity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relo_dsl.catalog import PropertyType
from tests.differential.world import properties

if TYPE_CHECKING:
    from tests.differential.definitions import Writer

#: Distances between the steps of a sequence.
_GAPS = ("1ms", "1h", "1d", "7d", "30d", "2ms", "12h", "30d", "365d")
_LENGTHS = ("1d", "7d", "1ms", "30d", "1h", "2d12h")
_PERIODS = (1, 2, 3, 4, 12, 13, 20, 40)
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")


def leaf(writer: Writer, depth: int) -> tuple[str, bool]:
    """One condition, and whether a window after it would repeat it."""
    match writer.pen.between(0, 3):
        case 0:
            return _extreme(writer), True
        case 1 | 2:
            return _sequence(writer, depth), True
        case _:
            return _regularity(writer), False


# ---- first and last ----------------------------------------------------------------------------


def _extreme(writer: Writer) -> str:
    pen = writer.pen
    which = pen.pick(("last", "first"))
    events, selection = writer.selection()
    call = f"{which}({selection})"
    known = [prop for prop in properties(events) if prop.type is not PropertyType.TIME]
    times = [prop for prop in properties(events) if prop.type is PropertyType.TIME]
    if times and pen.chance(15):
        test = f"{call}.{pen.pick(times).text} {pen.pick(('within next 7d', writer.window()))}"
        return f"{test} {writer.window()}" if pen.chance(40) else test
    if not known or pen.chance(40):
        return f"{call} {writer.window()}"
    if pen.chance(10):
        other = pen.pick([prop for prop in known if prop.type is known[0].type])
        if not known[0].type.value.endswith("[]"):
            return f"{call}.{known[0].text} {pen.pick(_OPERATORS[:2])} {call}.{other.text}"
    test = writer.test(known, f"{call}.")
    return f"{test} {writer.window()}" if pen.chance(50) else test


# ---- sequences ---------------------------------------------------------------------------------


def _sequence(writer: Writer, depth: int) -> str:
    pen = writer.pen
    first = _selection(writer)
    parts = [f"{first} {writer.window()}" if pen.chance(35) else first]
    absence = pen.chance(35)
    for _ in range(pen.pick((1, 1, 2, 2, 3, 5)) - absence):
        step = parts[0] if pen.chance(20) and parts[0] == first else _selection(writer)
        parts.append(f"{step} within {pen.pick(_GAPS)}" if pen.chance(55) else step)
    if absence:
        parts.append(f"no {_selection(writer)} within {pen.pick(_GAPS)}")
    text = " then ".join(parts)
    if len(parts) > 1 and pen.chance(35):
        return f"({text}) {writer.window()}"
    return text


def _selection(writer: Writer) -> str:
    """Often just a name: steps that nothing fills would test little."""
    if writer.pen.chance(50):
        return writer.pen.pick(("purchase", "view", "login", "any event"))
    return writer.selection()[1]


# ---- regularity --------------------------------------------------------------------------------


def _regularity(writer: Writer) -> str:
    pen = writer.pen
    text = _compared(writer)
    periods = pen.pick(_PERIODS)
    wanted = pen.pick((1, periods, (periods + 1) // 2, min(2, periods)))
    unit = pen.pick(("days", "weeks", "months"))
    length = f"calendar {unit}" if pen.chance(40) else pen.pick(_LENGTHS)
    return f"{text} in {wanted} of last {periods} periods of {length}"


def _compared(writer: Writer) -> str:
    pen, left = writer.pen, _measure(writer)
    match pen.between(0, 6):
        case 0:
            return f"{left} {'not ' if pen.chance(30) else ''}in 1..2"
        case 1:
            return f"{left} {'not ' if pen.chance(30) else ''}in (0, 2)"
        case 2:
            return f"{left} {pen.pick(_OPERATORS)} {_measure(writer)}"
        case 3:
            return f"{left} / {_measure(writer)} {pen.pick(_OPERATORS)} {writer.number()}"
        case _:
            return f"{left} {pen.pick(_OPERATORS)} {pen.pick(('1', '2', '0', writer.number()))}"


def _measure(writer: Writer) -> str:
    """A measure without a window."""
    pen = writer.pen
    kind = pen.pick(("count", "count", "days", "sum", "avg", "median", "distinct", "weeks"))
    events, text = writer.selection()
    numbers = [prop for prop in properties(events) if prop.type is PropertyType.NUMBER]
    if kind in ("count", "days", "weeks") or not numbers:
        return f"{'count' if kind not in ('days', 'weeks') else kind}({text})"
    if not (text.endswith("]") or text.startswith("let_")):
        text = "purchase"
        numbers = [p for p in properties(("purchase",)) if p.type is PropertyType.NUMBER]
    return f"{kind}({text}.{pen.pick(numbers).text})"
