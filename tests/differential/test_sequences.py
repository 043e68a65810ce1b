"""Sequences, first and last at every boundary and tie: SQL beside the evaluator."""

from __future__ import annotations

import itertools
import json

from relo_dsl.engine import Engine
from relo_dsl.records import tie_of
from relo_dsl.times import parse_instant
from tests.differential.cases import Case
from tests.differential.runner import Tally, compare, everything_kept

_NOW = parse_instant("2026-06-15T12:00:00Z")
_HOUR = 3_600_000
_CONDITIONS = (
    "purchase then view",
    "view then view",
    "any event then view",
    "purchase then view within 1h",
    "any event then any event within 1ms",
    "purchase then view within 1h then any event within 1h",
    "any event then any event then any event",
    "purchase then no view within 1h",
    "any event then no any event within 1h",
    "purchase then view within 1h then no purchase within 1h",
    "(purchase then view within 1h) within 2h",
    "purchase within 1h then view",
    "not (purchase then no view within 1h) and view",
    "last(any event).code = 1 and first(any event) within 2h",
    "last(any event).code = 1 within 1h or first(any event).code = 2 before 1h ago",
    "last(view) between 1h and 2h ago",
    "first(view) between 1h and 2h ago and count(view) > 1",
    " then ".join(["any event within 2h"] + ["view within 1h"] * 22),
    "view within 7d then " + " then ".join(f"view[code != {n}]" for n in range(3, 30)),
    "count(view) >= 1 in 2 of last 3 periods of 1h and view then view within 1h",
    "count(view) < 2 in 19 of last 20 periods of 1h",
    "median(view.code) + days(view) >= 2.5 in 1 of last 13 periods of calendar days",
)


def _lines() -> tuple[str, ...]:
    """Two or three events a device: apart by nothing, an hour, or 1 ms more or less; each order."""
    lines = []
    names = sorted((f"{n}" for n in range(400)), key=tie_of)
    apart = (0, 1, _HOUR - 1, _HOUR, _HOUR + 1)
    ends = (0, _HOUR, _HOUR + 1)
    device = 0
    for kinds in (("purchase", "view"), ("view", "purchase", "view"), ("view", "view")):
        for gap, end in itertools.product(apart, ends):
            for order in (1, -1):
                chosen = names[:: 400 // len(kinds)][: len(kinds)][::order]
                for place, (kind, name) in enumerate(zip(kinds, chosen, strict=True)):
                    time = _NOW - end - gap * (len(kinds) - 1 - place)
                    raw = {"t": kind, "did": f"d{device}", "eid": f"{name}", "ts": time, "cid": 0}
                    props = {"code": place} if kind == "view" else {}
                    lines.append({**raw, "props": props})
                device += 1
    return tuple(json.dumps(line | {"eid": _id(line)}) for line in lines)


def _id(line: dict[str, object]) -> str:
    """An id of its own per device; which of two has the lower tie is as good as random."""
    return f"{line['did']} {line['eid']}"


def test_boundaries_and_ties(engine: Engine) -> None:
    lines = _lines()
    instants = (_NOW, _NOW - 1, _NOW + _HOUR)
    cases = [
        Case(f"audience main\n  match {text}\n", "opt-out", lines, len(lines) // 2, (), instants)
        for text in _CONDITIONS
    ]
    tally = Tally()
    with everything_kept(engine):
        found = [
            (m.case.text, m.at - _NOW, m.expected, m.found)
            for m in compare(engine, cases, tally, ("members",))
        ]
    assert found == []
    assert tally.members > 500
