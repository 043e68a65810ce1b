"""Compares SQL with the evaluator on fresh random cases: `python -m tests.fuzz --seconds 600`.

Stops at the first difference, makes it small, prints it and exits with 1.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from relo_dsl.engine import Engine
from tests.differential.collect import collect
from tests.differential.minimal import minimise, write
from tests.differential.runner import Mismatch, Tally, compare, everything_kept

_BATCH = 150


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=None, help="repeat an earlier run")
    parser.add_argument("--all", action="store_true", help="go on after a difference")
    parser.add_argument("--to", type=Path, default=None, help="folder for failing cases")
    options = parser.parse_args()
    start = secrets.randbelow(10**6) if options.seed is None else options.seed
    print(f"seed {start}; repeat with --seed {start}")
    with (
        tempfile.TemporaryDirectory() as folder,
        Engine.embedded(Path(folder)) as engine,
    ):
        engine.migrate()
        tally = Tally()
        with everything_kept(engine):
            failed = _run(engine, tally, start, options)
    print(f"{tally.cases} definitions, {tally.checks} answers compared, {failed} differences")
    return 1 if failed else 0


def _run(engine: Engine, tally: Tally, start: int, options: argparse.Namespace) -> int:
    deadline = time.monotonic() + options.seconds
    failed = 0
    kinds: set[str] = set()
    batch = 0
    while time.monotonic() < deadline and (not failed or options.all):
        # A batch's seed follows from the first: a run can be repeated from any batch on.
        cases, _ = collect(_BATCH, start + batch)
        for found in compare(engine, cases, tally):
            failed += 1
            kind = found.found[:40] if isinstance(found.found, str) else "wrong answer"
            if kind not in kinds:
                kinds.add(kind)
                _report(engine, found, start + batch, options)
            if not options.all:
                break
        batch += 1
        left = max(0, round(deadline - time.monotonic()))
        print(f"\r{tally.cases} definitions, {tally.checks} answers, {left} s left ", end="")
        sys.stdout.flush()
    print()
    return failed


def _report(engine: Engine, found: Mismatch, seed: int, options: argparse.Namespace) -> None:
    print(f"\na difference at seed {seed}; making it small …", flush=True)
    small = minimise(found, lambda cases, asked: compare(engine, cases, Tally(), asked))
    folder = options.to or Path(tempfile.mkdtemp(prefix="relo-case-"))
    print(write(small, folder / f"case-{seed}"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
