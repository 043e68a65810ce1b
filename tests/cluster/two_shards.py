"""A cluster of two shards in one embedded engine, and every answer on it beside the evaluator's.

A program of its own: the engine reads its cluster from a file when it starts, and a process has but
one. Both shards are this process. What makes them two is that the tables that a shard reads are
views of the rows whose device belongs there; so a query that looked for a device's records on the
wrong shard, or compared devices on one shard alone, would miss some. Prints what was compared, as
JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import sqlglot
from sqlglot import exp

from relo_dsl.engine import Engine
from relo_dsl.engine.cluster import SHARD_KEY, cut_tables, is_local
from relo_dsl.settings import Limits
from relo_dsl.sql.query import SqlQuery
from relo_dsl.times import parse_instant
from tests.differential.cases import Case
from tests.differential.collect import collect
from tests.differential.runner import Tally, compare_case, everything_kept, load
from tests.differential.world import DEVICES
from tests.guards.cases import CASES

_CONFIG = """
<clickhouse>
  <tcp_port>9000</tcp_port>
  <remote_servers><two>
    <shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
    <shard><replica><host>localhost</host><port>9000</port></replica></shard>
  </two></remote_servers>
</clickhouse>
"""
#: Devices are compared with one another: what each shard finds among its own is not the answer.
_TOGETHER = (
    'affine to "sku" at least 4',
    "purchase keep top 5 by count(purchase)",
    "purchase keep bottom 40% by sum(purchase.revenue)",
    "no view keep top 7 by count(purchase)",
    "purchase sample 50%",
    "in list vip and purchase",
    "not in list vip and not user.age = 3",
)
_AT = parse_instant("2026-06-15T12:00:00Z")


def _together() -> Iterator[Case]:
    """Twenty devices that bought this and that, some on a list, some without consent."""
    lines = []
    for number, device in enumerate(DEVICES):
        for product, every in (("sku", 2), ("x", 3), ("y", 5), ("z", 1)):
            if number % every == 0:
                record = {"t": "purchase", "ts": _AT - number - every, "did": device, "cid": 0}
                props = {"code": product, "revenue": number * every}
                lines.append({**record, "props": props, "eid": f"{device}-{product}"})
        if number % 7 == 0:
            record = {"t": "consent", "ts": _AT - 1, "did": device, "cid": 0, "consent": 0}
            lines.append({**record, "eid": f"{device}-no"})
    vip = frozenset(DEVICES[::3])
    for text in _TOGETHER:
        yield Case(
            f"audience main\n  match {text}\n", "kept 2 to 5 months",
            tuple(map(json.dumps, lines)), len(lines), (("vip", vip),), (_AT,),
        )  # fmt: skip


class _Counting(Engine):
    """Counts which way the queries went."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.ways: Counter[str] = Counter()

    def _compiled(self, query: SqlQuery, limits: Limits) -> SqlQuery:
        tree = sqlglot.parse_one(query.text, dialect="clickhouse")
        assert isinstance(tree, exp.Select)
        self.ways["local" if is_local(tree) else "global"] += 1
        return super()._compiled(query, limits)


def _shards(engine: Engine) -> None:
    """The tables of a cluster in the database `shards`, over the rows of the usual ones."""
    engine.command("CREATE DATABASE shards")
    for name in sorted(cut_tables()):
        engine.command(
            f"CREATE VIEW shards.{name}_local AS SELECT * FROM default.{name} "
            f"WHERE {SHARD_KEY} % 2 = shardNum() - 1"
        )
        engine.command(
            f"CREATE TABLE shards.{name} AS default.{name} "
            f"ENGINE = Distributed('two', 'shards', '{name}_local', {SHARD_KEY})"
        )
    engine.command("CREATE VIEW shards.lists AS SELECT * FROM default.lists")


def main() -> None:
    wanted, *asked = int(sys.argv[1]), *sys.argv[2:]
    drawn, _ = collect(wanted, 4)
    found: list[str] = []
    clients = count(1_000_000, 2)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.xml"
        config.write_text(_CONFIG)
        connect = {
            "interface": "chdb",
            "path": f"{folder}/clickhouse",
            "chdb_options": {"config-file": str(config)},
        }
        limits = Limits()
        with Engine(connect, lock=None, database="default", limits=limits) as whole:
            whole.migrate()
            placed = [(next(clients), case) for case in (*drawn, *_together(), *CASES)]
            tally = Tally()
            with everything_kept(whole):
                load(whole, placed)
                _shards(whole)
                there = {**connect, "database": "shards"}
                with _Counting(
                    there, lock=None, database="shards", limits=limits, cluster="two"
                ) as cut:
                    for client, case in placed:
                        found += map(str, compare_case(cut, client, case, tally, asked))
                    ways = dict(cut.ways)
    json.dump(
        {"checks": tally.checks, "members": tally.members, **ways, "found": found}, sys.stdout
    )


if __name__ == "__main__":
    main()
