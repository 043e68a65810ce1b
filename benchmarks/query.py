"""`query`: compiled definitions against the best SQL written by hand, on the same events.

Both run in the engine over the same tables, their results folded to one row so that only the
queries are timed. Members are compared before anything is timed.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.condition_pairs import PAIRS as CONDITIONS
from benchmarks.construct_pairs import PAIRS as CONSTRUCTS
from benchmarks.data import CATALOG, CLIENT, NOW, make_store
from benchmarks.query_pairs import CONSENT, Pair
from benchmarks.query_pairs import PAIRS as CORE
from benchmarks.selection_pairs import PAIRS as SELECTIONS
from benchmarks.timing import alternating
from relo_dsl.consent import scope
from relo_dsl.diagnostics import Severity
from relo_dsl.engine import Engine
from relo_dsl.source import SourceFile
from relo_dsl.sql.lower import members_query
from relo_dsl.sql.query import SqlQuery
from relo_dsl.times import format_instant, parse_duration
from relo_dsl.workspace import Workspace

ROUNDS = 7
PAIRS = CORE + CONSTRUCTS + SELECTIONS + CONDITIONS


def run(
    folder: Path, *, events: int = 20_000_000, devices: int = 1_000_000, rounds: int = ROUNDS
) -> dict[str, object]:
    """Seconds of each definition, ours and by hand, and their ratio (medians over the rounds)."""
    engine = make_store(folder, events, devices)
    try:
        return measure(engine, events, devices, rounds)
    finally:
        engine.close()


def measure(engine: Engine, events: int, devices: int, rounds: int = ROUNDS) -> dict[str, object]:
    """The figures over a store that is there already."""
    figures: dict[str, dict[str, object]] = {}
    ratios: dict[str, float] = {}
    for pair in PAIRS:
        ours, theirs = compiled(pair), by_hand(pair.by_hand)
        plain = by_hand(without_consent(pair.by_hand))
        found, wanted = fold(engine, ours), fold(engine, theirs)
        if found != wanted:
            raise AssertionError(f"{pair.name}: {found} members by us, {wanted} by hand")
        times = alternating(
            rounds,
            ours=partial(fold, engine, ours),
            by_hand=partial(fold, engine, theirs),
            plain=partial(fold, engine, plain),
        )
        ratios[pair.name] = times.ratio("ours", "by_hand")
        figures[pair.name] = {
            "members": found[0],
            "seconds": {name: median(values) for name, values in times.seconds.items()},
            "over_plain": times.ratio("ours", "plain"),
        }
    return {
        "benchmark": "query",
        "events": events,
        "devices": devices,
        "at": format_instant(NOW),
        "definitions": figures,
        "ratios": ratios,
        "limits": {pair.name: pair.limit for pair in PAIRS},
    }


def compiled(pair: Pair) -> SqlQuery:
    """The definition's own SQL, through the whole compiler, proof included."""
    workspace = Workspace(CATALOG, client=CLIENT, lists=frozenset(CATALOG.lists))
    text = f"{pair.before}\naudience {pair.name} export meta match {pair.condition}"
    workspace.add(SourceFile(f"{pair.name}.seg", text))
    found = workspace.errors_of([pair.name])
    if wrong := [item for item in found if item.severity is Severity.ERROR]:
        raise AssertionError(f"{pair.name}: {wrong[0].message}")
    return members_query(scope(workspace.plan(pair.name)), NOW)


def by_hand(text: str) -> SqlQuery:
    """The expert's SQL with instants and the client filled in as literals."""

    def literal(match: re.Match[str]) -> str:
        length = parse_duration(match[2]) if match[2] else 0
        instant = NOW + length if match[1] == "+" else NOW - length
        text = format_instant(instant).replace("T", " ").removesuffix("Z")
        return f"toDateTime64('{text}', 3, 'UTC')"

    text = text.replace("{consent}", CONSENT).replace("{c}", str(CLIENT))
    return SqlQuery(re.sub(r"\{t(?:([-+])(\w+))?\}", literal, text))


def without_consent(text: str) -> str:
    """The same question without consent: what an analyst's first draft would ask."""
    return text.replace("{consent}", "1").replace("AND bitAnd(flags, 4) = 4", "")


def fold(engine: Engine, query: SqlQuery) -> tuple[int, int]:
    """How many members a query has, and a checksum over which they are."""
    text = f"SELECT count(), groupBitXor(cityHash64(device)) FROM ({query.text})"
    rows = engine.query(SqlQuery(text, query.params)).rows
    return int(rows[0][0]), int(rows[0][1])
