"""A load that is killed, anywhere, and repeated: nothing is lost and nothing is there twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine, load_records, staging
from relo_dsl.engine import load
from relo_dsl.records import parse_record

load.BATCH_ROWS, load.COMMIT_ROWS = 700, 2_000
catalog = parse_catalog("events: {a: {properties: {n: number}}}")


def records():
    for i in range(12_000):
        base = {"cid": 1, "did": f"d{i % 500}", "ts": 1_790_000_000_000 + i * 7_919 % 12_000}
        if i % 10 == 3:
            yield parse_record({**base, "t": "consent", "consent": i % 256})
        elif i % 10 == 4:
            yield parse_record({**base, "t": "identify", "traits": {"x": i, "y": i}})
        else:
            yield parse_record({**base, "t": "a", "eid": f"e{i}", "props": {"n": i}})


with Engine.embedded(Path(sys.argv[1])) as engine:
    engine.migrate()
    print("ready", flush=True)
    report = load_records(engine, records(), catalog=catalog, key=b"k" * 32)
    print(report.accepted + report.duplicate, flush=True)
    for table in ("events", "traits", "consent"):
        print(engine.rows(
            f"SELECT count(), uniqExact(tie), groupBitXor(cityHash64(*)) FROM {table}"
        ), flush=True)
    print(engine.rows("SELECT count() FROM system.tables WHERE name LIKE 'staged%'"), flush=True)
"""


def run(folder: Path, seconds: float | None) -> str:
    """Runs the load and kills it after a time, or lets it end and returns what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        if seconds is not None:
            process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    said, _ = process.communicate(timeout=120)
    return said


def test_a_load_that_is_killed_is_repeated(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", None)
    assert whole.startswith("12000\n")
    assert whole.endswith("[(0,)]\n")
    source = random.Random(5)
    for _ in range(2):
        run(tmp_path / "killed", source.uniform(0.2, 1.5))
    assert run(tmp_path / "killed", None) == whole
