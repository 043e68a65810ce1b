"""A ClickHouse cluster: where each table lies, and how DDL and compiled queries are put for it.

A table with devices is cut into shards by `cityHash64(device)`: all that is known of a device lies
on one shard, in `NAME_local`, and `NAME` is the Distributed table over these. All other tables are
copied to every node, and so are lists, whose latest version must be known wherever a device lies.

A compiled query takes one of two ways. Where each device is judged by its own records alone, every
shard runs the whole query over its own tables and sends the keys of members, no more. Where devices
are compared with one another (places in a ranking, what goes with a product), it reads the
Distributed tables, and every set it looks into is worked out once, for all shards, by the node that
was asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from relo_dsl.engine.migrate import migrations, statements
from relo_dsl.errors import UserError
from relo_dsl.sql.query import SqlQuery

if TYPE_CHECKING:
    from sqlglot import exp

#: What decides on which shard a row lies.
SHARD_KEY = "cityHash64(device)"
#: Tables with devices that are copied to every node all the same.
_COPIED = frozenset({"lists"})
#: Settings of every statement on a cluster. None of them makes an answer faster; each makes one
#: fail that would otherwise be wrong.
SESSION: dict[str, object] = {
    # A set that is worked out on each shard must be asked for as such: never by accident.
    "distributed_product_mode": "deny",
    # A shard that is away is an error, not a smaller audience.
    "skip_unavailable_shards": 0,
    "fallback_to_stale_replicas_for_distributed_queries": 0,
    # An insert that returned is on its shards, and on most replicas of each …
    "distributed_foreground_insert": 1,
    # Rows like those of an earlier insert are stored: what is a duplicate is decided before.
    "insert_deduplicate": 0,
    "insert_quorum": "auto",
    "insert_quorum_parallel": 0,
    # … and whoever reads sees it, whichever replica answers: consent that was withdrawn, above all.
    "select_sequential_consistency": 1,
    # A change of tables or rows is done everywhere when it returns.
    "alter_sync": 2,
    "mutations_sync": 2,
}

_NAME = r"`?([A-Za-z_][A-Za-z0-9_]*)`?"
_CREATE = re.compile(
    rf"CREATE TABLE (IF NOT EXISTS )?{_NAME}\s*\((.*)\)\s*ENGINE = (\w*MergeTree)(?:\((.*?)\))?"
    r"(\s+(?:PARTITION|PRIMARY|ORDER|TTL|SETTINGS)\b.*)",
    re.DOTALL,
)
_ALTER = re.compile(rf"ALTER TABLE {_NAME}\s+(.*)", re.DOTALL)
_COLUMNS = re.compile(r"\b(?:ADD|DROP|MODIFY|RENAME|ALTER) COLUMN\b")
_DROP = re.compile(rf"DROP TABLE (IF EXISTS )?{_NAME}")
_FILL = re.compile(r"INSERT INTO ")
_FROM = re.compile(r"\bFROM (\w+)")
_SET = re.compile(r"(?<!GLOBAL )(?<!NOT )\b(NOT IN|IN) \(SELECT\b")
_AGGREGATE = re.compile(
    r"(count|sum|min|max|avg|any|arg|uniq|quantile|group|median|top|var|std|entropy|first_|last_)",
    re.IGNORECASE,
)


@lru_cache(maxsize=1)
def made_tables() -> dict[str, str]:
    """The tables that the migrations make, in their order, and their columns as SQL."""
    return {
        match[2]: match[3]
        for _, sql in migrations().values()
        for statement in statements(sql)
        if (match := _CREATE.fullmatch(statement))
    }


@lru_cache(maxsize=1)
def cut_tables() -> frozenset[str]:
    """The tables that are cut into shards: those whose rows are of devices."""
    return frozenset(name for name, columns in made_tables().items() if _is_cut(name, columns))


def _is_cut(name: str, columns: str) -> bool:
    return name not in _COPIED and bool(re.search(r"^\s*device\b", columns, re.MULTILINE))


class Cluster:
    """The names that statements need: of the cluster, and of the database on each node."""

    def __init__(self, name: str, database: str) -> None:
        self.name = name
        self.database = database

    # ---- tables --------------------------------------------------------------------------------

    def ddl(self, statement: str) -> list[str]:
        """A migration's statement, for one server, as statements for the cluster.

        Raises UserError for a statement that has no form here.
        """
        if match := _CREATE.fullmatch(statement.strip()):
            return self._create(*match.groups())
        if match := _ALTER.fullmatch(statement.strip()):
            return self.alter(match[1], match[2])
        if match := _DROP.fullmatch(statement.strip()):
            there, name = match[1] or "", match[2]
            names = (name, f"{name}_local") if name in cut_tables() else (name,)
            return [f"DROP TABLE {there}{self._on(each)} SYNC" for each in names]
        if _FILL.match(statement.strip()):
            return [statement]
        raise UserError(
            f"this step of the tables cannot be done on a cluster: {statement.strip()[:100]}",
            "use one server, or do it by hand on every node",
        )

    def _create(
        self, there: str | None, name: str, columns: str, engine: str, arguments: str, rest: str
    ) -> list[str]:
        more = f", {arguments}" if arguments else ""
        if not _is_cut(name, columns):
            path = f"/clickhouse/tables/all/{self.database}/{name}"
            return [
                f"CREATE TABLE {there or ''}{self._on(name)}\n({columns})\n"
                f"ENGINE = Replicated{engine}('{path}', '{{shard}}-{{replica}}'{more}){rest}"
            ]
        path = f"/clickhouse/tables/{{shard}}/{self.database}/{name}"
        local = f"`{self.database}`.`{name}_local`"
        return [
            f"CREATE TABLE {there or ''}{self._on(f'{name}_local')}\n({columns})\n"
            f"ENGINE = Replicated{engine}('{path}', '{{replica}}'{more}){rest}",
            f"CREATE TABLE {there or ''}{self._on(name)} AS {local}\n"
            f"ENGINE = Distributed(`{self.name}`, `{self.database}`, `{name}_local`, {SHARD_KEY})",
        ]

    def alter(self, name: str, changes: str) -> list[str]:
        """`ALTER TABLE name changes` for the tables that hold its rows, and for the Distributed one
        where columns change.
        """
        if name not in cut_tables():
            return [f"ALTER TABLE {self._on(name)} {changes}"]
        # The Distributed table last: a column that it has must be there on every shard.
        names = (f"{name}_local", name) if _COLUMNS.search(changes) else (f"{name}_local",)
        return [f"ALTER TABLE {self._on(each)} {changes}" for each in names]

    def delete(self, name: str, condition: str) -> str:
        """`DELETE FROM name WHERE condition`: each shard looks at what is on it, no further.

        That goes for the sets that `condition` looks into as well: where these are of devices, it
        must be about the same device.
        """

        def local(table: str) -> str:
            return f"{table}_local" if table in cut_tables() else table

        condition = _FROM.sub(lambda m: f"FROM `{self.database}`.`{local(m[1])}`", condition)
        return f"DELETE FROM {self._on(local(name))} WHERE {condition}"  # noqa: S608 - texts of ours

    def create_database(self) -> str:
        return f"CREATE DATABASE IF NOT EXISTS `{self.database}` ON CLUSTER `{self.name}`"

    def _on(self, table: str) -> str:
        return f"`{self.database}`.`{table}` ON CLUSTER `{self.name}`"

    # ---- queries -------------------------------------------------------------------------------

    def internal(self, text: str) -> str:
        """A statement that is no compiled query: the node that was asked works out the sets that it
        looks into, and sends them along.
        """
        return _SET.sub(r"GLOBAL \1 (SELECT", text)

    def query(self, query: SqlQuery) -> SqlQuery:
        """A query that was compiled for one server, with the same answer on the cluster."""
        return SqlQuery(_rewritten(query.text, self.name, self.database), query.params)


@lru_cache(maxsize=64)
def _rewritten(text: str, cluster: str, database: str) -> str:
    import sqlglot
    from sqlglot import exp

    from relo_dsl.sql.build import DIALECT, Written

    tree = sqlglot.parse_one(text, dialect=DIALECT)
    tables = {table.name for table in tree.find_all(exp.Table)}
    if not isinstance(tree, exp.Query) or not tables & cut_tables():
        return text
    if is_local(tree):
        outer = _collected(tree)
        _read_local(tree, database)
        shards = f"cluster(`{cluster}`, view({tree.sql(dialect=Written)}))"
        return f"SELECT {outer} FROM {shards}"  # noqa: S608 - a proved text and quoted names
    for test in tree.find_all(exp.In):
        if test.args.get("query"):
            test.set("is_global", True)
    return tree.sql(dialect=DIALECT)


def _read_local(tree: exp.Query, database: str) -> None:
    """Lets a query read the tables of the node that it runs on."""
    from sqlglot import exp

    for table in tree.find_all(exp.Table):
        if table.name in cut_tables():
            table.set("this", exp.to_identifier(f"{table.name}_local"))
        elif table.name not in _COPIED:
            continue
        table.set("db", exp.to_identifier(database, quoted=True))


def _collected(tree: exp.Query) -> str:
    """What the node that was asked makes of the shards' answers; names the columns of theirs."""
    from sqlglot import exp

    names = []
    for item in next(_answers(tree)).expressions:
        if isinstance(item, exp.Count):
            # Every device is on one shard, so the counts add up.
            item.replace(exp.alias_(item.copy(), "n"))
            return "sum(n)"
        names.append(item.alias_or_name)
    return ", ".join(names)


def is_local(tree: exp.Query) -> bool:
    """Whether each device is judged by its own records alone, so that a shard can answer for its
    own devices. Whatever is not known to be so is not.
    """
    from sqlglot import exp

    if any(tree.find_all(exp.Join, exp.Window, exp.Limit, exp.Order, exp.Offset)):
        return False
    # Every shard has all of a list: its devices may be looked up there, never listed.
    copies = (table for table in tree.find_all(exp.Table) if table.name in _COPIED)
    if not all(table.find_ancestor(exp.In) for table in copies):
        return False
    if not all(_looks_up_devices(test) for test in tree.find_all(exp.In)):
        return False
    if not all(_unites_devices(union) for union in tree.find_all(exp.SetOperation)):
        return False
    return all(_keeps_devices_apart(select, tree) for select in tree.find_all(exp.Select))


def _unites_devices(union: exp.SetOperation) -> bool:
    """Whether no row of a union can meet one of another shard."""
    from sqlglot import exp

    if not isinstance(union, exp.Union):
        return False
    if not union.args.get("distinct"):
        return True
    return all(exp.column("device") in select.expressions for select in _answers(union))


def _looks_up_devices(test: exp.In) -> bool:
    from sqlglot import exp

    found = test.args.get("query")
    if not found:
        return True
    source = found.this if isinstance(found, exp.Subquery) else found
    return test.this == exp.column("device") and all(
        [item.alias_or_name for item in select.expressions] == ["device"]
        for select in _answers(source)
    )


def _answers(query: exp.Expr) -> Iterator[exp.Select]:
    """The SELECTs whose rows are those of a query."""
    from sqlglot import exp

    if isinstance(query, exp.Subquery):
        yield from _answers(query.this)
    elif isinstance(query, exp.SetOperation):
        yield from _answers(query.left)
        yield from _answers(query.right)
    elif isinstance(query, exp.Select):
        yield query


def _keeps_devices_apart(select: exp.Select, outermost: exp.Query) -> bool:
    from sqlglot import exp

    group = select.args.get("group")
    if group is not None:
        return any(part == exp.column("device") for part in group.expressions)
    if select.args.get("having"):
        return False
    if select.args.get("distinct"):
        return any(item == exp.column("device") for item in select.expressions)
    if select is outermost and len(select.expressions) == 1:
        only = select.expressions[0]
        if isinstance(only, exp.Count) and not only.find(exp.Distinct):
            return True
    if _reads_a_copy(select):
        return True
    return not any(_is_aggregate(part) for item in select.expressions for part in item.walk())


def _reads_a_copy(select: exp.Select) -> bool:
    """The latest version of a list, which every node knows."""
    from sqlglot import exp

    source = select.args.get("from_")
    return source is not None and isinstance(source.this, exp.Table) and source.this.name in _COPIED


def _is_aggregate(part: exp.Expr) -> bool:
    from sqlglot import exp

    if isinstance(part, exp.Anonymous):
        return bool(_AGGREGATE.match(part.name))
    return isinstance(part, exp.AggFunc)
