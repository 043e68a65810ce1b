"""A cluster of two shards in one embedded engine, and every answer on it beside the evaluator's.

A program of its own: the engine reads its cluster from a file when it starts, and a process has but
one. Both shards are this process, which has no Keeper: tables are made by the statements of a
cluster without `ON CLUSTER` and without replication. What makes the shards two is a filter on the
local tables: a shard sees the rows whose device belongs there. So a query that looked for the
records of a device on the wrong shard, or compared devices on one shard alone, would miss some; and
so would a load that looked for duplicates or for consent. Prints what was compared, as JSON.
"""

from __future__ import annotations

import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from relo_dsl.engine import Engine
from relo_dsl.engine.cluster import SHARD_KEY, Cluster, cut_tables, is_local
from relo_dsl.errors import UserError
from relo_dsl.settings import Limits
from relo_dsl.sql.query import SqlQuery
from relo_dsl.times import parse_instant
from relo_server.sets import Sets
from tests.differential.cases import Case
from tests.differential.collect import collect
from tests.differential.runner import Tally, compare_case, load
from tests.differential.world import DEVICES
from tests.guards.cases import CASES
from tests.versions.test_model import EVERYONE, Play
from tests.versions.world import World

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

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


class _OneNode(Cluster):
    """Statements of a cluster, as far as this process can run them."""

    def ddl(self, statement: str) -> list[str]:
        return [self._alone(each) for each in super().ddl(statement)]

    def alter(self, name: str, changes: str) -> list[str]:
        return [self._alone(each) for each in super().alter(name, changes)]

    def delete(self, name: str, condition: str) -> str:
        return self._alone(super().delete(name, condition))

    def _alone(self, statement: str) -> str:
        bare = statement.replace(f" ON CLUSTER `{self.name}`", "")
        return re.sub(r"Replicated(\w*MergeTree)\('[^']*', '[^']*'", r"\1(", bare)


class _Shards(Engine):
    """The node that is asked; counts which way the queries went."""

    def __init__(self, connect: Mapping[str, Any]) -> None:
        super().__init__(
            connect, lock=None, database="default", limits=Limits(max_seconds=600), cluster="two"
        )
        self.cluster = _OneNode("two", "default")
        self.ways: Counter[str] = Counter()

    def _new_client(self) -> Client:
        client = super()._new_client()
        here = f"{SHARD_KEY} % 2 = shardNum() - 1"
        filters = {f"default.{name}_local": here for name in cut_tables()}
        client.set_client_setting("additional_table_filters", str(filters))
        return client

    def _compiled(self, query: SqlQuery, limits: Limits) -> SqlQuery:
        tree = sqlglot.parse_one(query.text, dialect="clickhouse")
        assert isinstance(tree, exp.Select)
        self.ways["local" if is_local(tree) else "global"] += 1
        return super()._compiled(query, limits)


def _publish(cut: Engine, folder: Path, client: int) -> None:
    """Versions, withdrawals, rollbacks and pruning, beside a model of what should be."""
    with Sets.embedded(folder / "sets") as sets:
        world = World(cut, sets, client)
        world.populate(EVERYONE)
        play = Play(world, random.Random(3))
        for _ in range(25):
            play.step()
            play.check()


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
        with _Shards(connect) as cut:
            cut.migrate()
            # Retention is compared at instants long past: today's clock has no say in it.
            cut.command("ALTER TABLE events_local REMOVE TTL")
            placed = [(next(clients), case) for case in (*drawn, *_together(), *CASES)]
            tally = Tally()
            load(cut, placed)
            stored = cut.rows("SELECT count() FROM events")
            load(cut, placed)  # all of it is there
            repeated = cut.rows("SELECT count() FROM events") != stored
            for client, case in placed:
                found += map(str, compare_case(cut, client, case, tally, asked))
            ways = dict(cut.ways)
            _publish(cut, Path(folder), next(clients))
            with suppress(UserError):
                Engine(connect, lock=None, database="default", limits=Limits()).migrate()
                found.append("tables of a cluster were taken for those of one server")
    if repeated:
        found.append("a repeated load stored events again")
    counts = {"checks": tally.checks, "members": tally.members, **ways}
    json.dump({**counts, "found": found, "seconds": tally.seconds}, sys.stdout)


if __name__ == "__main__":
    main()
