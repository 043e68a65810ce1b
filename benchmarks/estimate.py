"""Sizes from a part of the devices, beside the exact count: time, width, and how often right."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles

from benchmarks.audiences import audiences, workspace_of
from benchmarks.data import NOW, make_store
from benchmarks.timing import Times, alternating
from relo_dsl.plan import Plan, compares_devices
from relo_server.estimate import ONE_IN, Estimate, exact, sampled


def run(
    folder: Path, *, events: int = 20_000_000, devices: int = 1_000_000, number: int = 200,
    rounds: int = 5,
) -> dict[str, object]:  # fmt: skip
    """Milliseconds of both, the half-width of the intervals, and how many hold the exact count."""
    engine = make_store(folder, events, devices)
    try:
        plans = _plans(number)
        found: list[tuple[Estimate, int, Times]] = []
        for plan in plans:
            ways: dict[str, Callable[[], object]] = {
                "estimate": partial(sampled, plan, engine, NOW),
                "exact": partial(exact, plan, engine, NOW),
            }
            times = alternating(rounds, **ways)
            guess, truth = sampled(plan, engine, NOW), exact(plan, engine, NOW)
            assert guess is not None
            found.append((guess, truth.size, times))
    finally:
        engine.close()
    spent = sorted(second for _, _, times in found for second in times.seconds["estimate"])
    right = sum(guess.low <= size <= guess.high for guess, size, _ in found)
    return {
        "benchmark": "estimate",
        "definitions": len(found),
        "one_device_in": ONE_IN,
        "events": events,
        "devices": devices,
        "milliseconds": {
            "median": round(median(spent) * 1000, 1),
            "p95": round(quantiles(spent, n=20)[-1] * 1000, 1),
            "exact_median": round(
                median(s for _, _, times in found for s in times.seconds["exact"]) * 1000, 1
            ),
        },
        "half_width": {
            "above_300000": _widest([one for one in found if one[1] > 300_000]),
            "from_10000": _widest([one for one in found if one[1] >= 10_000]),
        },
        "interval_holds_the_exact_count": round(right / len(found), 3),
        "ratios": {
            "exact": round(median(times.ratio("estimate", "exact") for *_, times in found), 3),
            "p95_50ms": round(quantiles(spent, n=20)[-1] / 0.05, 3),
        },
        "limits": {"exact": 1.0, "p95_50ms": 1.0},
    }


def _plans(number: int) -> list[Plan]:
    """The account's audiences that can be sized in part, without sample and holdout."""
    chosen = audiences(number)
    workspace = workspace_of(chosen)
    plans = [workspace.plan(one.name) for one in chosen]
    return [plan for plan in plans if not compares_devices(plan)]


def _widest(found: list[tuple[Estimate, int, Times]]) -> float:
    """The median of half the width of the intervals, as a share of the size."""
    shares = [(guess.high - guess.low) / 2 / size for guess, size, _ in found]
    return round(median(shares), 4) if shares else 0.0
