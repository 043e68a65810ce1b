"""`refresh`: the audiences of one account together, beside each by its own SQL and one great scan.

All three ask for consent, count an event that was delivered twice once, and find the same members,
which is compared before anything is timed. What each finds is folded to one row a definition.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.audiences import MASKS, Audience, audiences, workspace_of
from benchmarks.data import NOW, make_store
from benchmarks.query import by_hand
from benchmarks.timing import alternating
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.engine import Engine
from relo_dsl.settings import Limits
from relo_dsl.sql.lower import members_query
from relo_dsl.sql.query import SqlQuery
from relo_dsl.sql.together import Pass, passes
from relo_dsl.times import format_instant

ROUNDS = 3
GROWTH = (1, 3, 10, 30, 100, 300, 1000)
#: The most memory that one query of ours may use, and the whole process at its peak.
MEMORY = 2 * 10**9
LIMITS = Limits(max_seconds=600, max_memory_bytes=MEMORY)
#: By name: how many members, and a checksum over which they are.
Found = dict[str, tuple[int, int]]
_EVENTS = {
    "view": "product_view",
    "cart": "add_to_cart",
    "purchase": "purchase",
    "visit": "visit",
    "refund": "refund",
}


def run(
    folder: Path,
    *,
    events: int = 20_000_000,
    devices: int = 1_000_000,
    number: int = 200,
    rounds: int = ROUNDS,
    growth: Sequence[int] = GROWTH,
) -> dict[str, object]:
    """Seconds of the three ways, their ratios, our peak memory, and seconds by how many."""
    engine = make_store(folder, events, devices)
    try:
        figures = measure(engine, devices, number, rounds)
        return {
            **figures,
            "events": events,
            "devices": devices,
            "growth": [grown(engine, devices, size) for size in growth],
        }
    finally:
        engine.close()


@dataclass(frozen=True)
class Compiled:
    """Definitions as plans and as our passes over them."""

    chosen: Sequence[Audience]
    plans: Sequence[ScopedPlan]
    passes: Sequence[Pass]
    seconds: float
    """What making the passes took, the proof of each included."""

    @classmethod
    def of(cls, chosen: Sequence[Audience], devices: int) -> Compiled:
        workspace = workspace_of(chosen)
        plans = [scope(workspace.plan(one.name)) for one in chosen]
        started = time.perf_counter()
        made = passes(plans, NOW, devices=devices, memory=LIMITS.spill_bytes)
        return cls(chosen, plans, made, time.perf_counter() - started)


def measure(engine: Engine, devices: int, number: int, rounds: int) -> dict[str, object]:
    """The figures over a store that is there already."""
    made = Compiled.of(audiences(number), devices)
    named = [one.name for one in made.chosen]
    own = {name: members_query(plan, NOW) for name, plan in zip(named, made.plans, strict=True)}
    counted = [one for one in made.chosen if one.naive is not None]
    naive = great_scan(counted)
    bare = bare_scan(made.passes)

    # First of all: what others take, the allocator keeps for a while.
    peak = peak_of(partial(fold_passes, engine, made))
    together = fold_passes(engine, made)
    assert_same(together, fold_each(engine, own), "one by one")
    assert_same(
        {one.name: together[one.name] for one in counted},
        fold_naive(engine, naive, counted),
        "the great scan",
    )
    contenders: dict[str, Callable[[], object]] = {
        "ours": partial(fold_passes, engine, made),
        "one_by_one": partial(fold_each, engine, own),
        "great_scan": partial(fold_naive, engine, naive, counted),
        "full_scan": partial(engine.query, bare, limits=LIMITS),
    }
    times = alternating(rounds, **contenders)
    return {
        "benchmark": "refresh",
        "at": format_instant(NOW),
        "definitions": number,
        "in_great_scan": len(counted),
        "not_in_great_scan": "sequences, traits, scores, rankings, holdouts",
        "passes": len(made.passes),
        "queries": sum(len(one.queries) for one in made.passes),
        "compile_seconds": round(made.seconds, 3),
        "sql_bytes": sum(len(query.text) for one in made.passes for query in one.queries),
        "members": sum(count for count, _ in together.values()),
        "seconds": {name: median(values) for name, values in times.seconds.items()},
        "memory": {"process_peak_bytes": peak, "limit_of_each_query": MEMORY},
        "ratios": {
            "one_by_one": times.ratio("ours", "one_by_one"),
            "great_scan": times.ratio("ours", "great_scan"),
            "full_scan": times.ratio("ours", "full_scan"),
            "memory": round(peak / MEMORY, 3),
        },
        "limits": {"one_by_one": 0.12, "great_scan": 1.0, "full_scan": 1000.0, "memory": 1.0},
    }


def grown(engine: Engine, devices: int, number: int) -> dict[str, float]:
    """Seconds of so many definitions, together and one by one, the better of two runs each."""
    made = Compiled.of(audiences(number), devices)
    own = {
        one.name: members_query(plan, NOW)
        for one, plan in zip(made.chosen, made.plans, strict=True)
    }
    return {
        "definitions": number,
        "passes": len(made.passes),
        "ours": min(_timed(partial(fold_passes, engine, made)) for _ in range(2)),
        "one_by_one": min(_timed(partial(fold_each, engine, own)) for _ in range(2)),
    }


def _timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return round(time.perf_counter() - started, 4)


# ---- the three ways ----------------------------------------------------------------------------


def fold_passes(engine: Engine, made: Compiled) -> Found:
    """The members of every definition by our passes."""
    found = {one.name: (0, 0) for one in made.chosen}
    for query in (query for one in made.passes for query in one.queries):
        text = (
            "SELECT plan, count(), groupBitXor(cityHash64(device)) "
            f"FROM ({query.text}) WHERE part = 0 GROUP BY plan"
        )
        for plan, count, checksum in engine.query(SqlQuery(text, query.params), limits=LIMITS).rows:
            name = made.chosen[plan].name
            found[name] = found[name][0] + int(count), found[name][1] ^ int(checksum)
    return found


def fold_each(engine: Engine, own: Mapping[str, SqlQuery]) -> Found:
    """The members of every definition, each by its own query."""
    found: Found = {}
    for name, query in own.items():
        text = f"SELECT count(), groupBitXor(cityHash64(device)) FROM ({query.text})"
        ((count, checksum),) = engine.query(SqlQuery(text, query.params), limits=LIMITS).rows
        found[name] = int(count), int(checksum)
    return found


def great_scan(chosen: Sequence[Audience]) -> SqlQuery:
    """One SELECT over all events with the conditional counts and sums of every definition."""
    columns = ", ".join(f"{_filled(one)} AS d{i}" for i, one in enumerate(chosen))
    folds = ", ".join(
        f"countIf({met}), groupBitXorIf(cityHash64(device), {met})"
        for met in (f"d{i} AND NOT w{one.mask}" for i, one in enumerate(chosen))
    )
    lacking = ", ".join(
        "device IN (SELECT device FROM consent WHERE client_id = {c} AND time <= {t} GROUP BY "
        f"device HAVING bitAnd(argMax(flags, time), {mask}) != {mask}) AS w{mask}"
        for mask in sorted(set(MASKS.values()))
    )
    return by_hand(
        f"SELECT {folds} FROM (SELECT device, {lacking}, {columns} FROM events "
        "WHERE client_id = {c} AND time <= {t} GROUP BY device)"
    )


def _filled(one: Audience) -> str:
    """The conditional aggregates of a definition, each for events that carried its flags."""
    assert one.naive is not None

    def meaning(match: re.Match[str]) -> str:
        word = match[1]
        if word.isdigit():
            return f"time > {{t-{word}d}}"
        return f"event_type = '{_EVENTS[word]}' AND bitAnd(flags, {one.mask}) = {one.mask}"

    text = re.sub(r"NOT \{(\d+)\}", r"time <= {t-\1d}", one.naive)
    return "(" + re.sub(r"\{(\d+|[a-z]{2,})\}", meaning, text) + ")"


def fold_naive(engine: Engine, query: SqlQuery, chosen: Sequence[Audience]) -> Found:
    """The members of the definitions that the great scan can express."""
    (row,) = engine.query(query, limits=Limits(max_seconds=600, max_memory_bytes=2**33)).rows
    return {one.name: (int(row[2 * i]), int(row[2 * i + 1])) for i, one in enumerate(chosen)}


def bare_scan(made: Sequence[Pass]) -> SqlQuery:
    """Reads the columns of events that our passes name, and does nothing with them."""
    text = " ".join(query.text for one in made for query in one.queries)
    columns = sorted(set(re.findall(r"\b(?:[bnst]|has_ss|ss|ns)_[a-z_]+\b", text)))
    own = ["device", "time", "flags", *(["tie"] if "tie" in text else []), *columns]
    read = ", ".join(name for name in own if not name.startswith("v_"))
    return by_hand(f"SELECT count() FROM events WHERE client_id = {{c}} AND NOT ignore({read})")


# ---- checks ------------------------------------------------------------------------------------


def assert_same(ours: Found, theirs: Found, who: str) -> None:
    """Raises AssertionError unless both found the same members of every definition."""
    wrong = [name for name, found in ours.items() if theirs[name] != found]
    if wrong:
        name = wrong[0]
        raise AssertionError(f"{name}: {ours[name]} together, {theirs[name]} {who}")


def peak_of(run: Callable[[], object]) -> int:
    """Bytes of the whole process at its peak while something runs (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    run()
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024
