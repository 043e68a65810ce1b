"""`relo eval --engine sql`: the compiled SQL over an embedded ClickHouse that is thrown away."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from relo_dsl.catalog import Catalog
from relo_dsl.cli.scratch import rules_of, scratch
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.engine import Engine, device_key, load_list, load_records
from relo_dsl.engine.migrate import apply_catalog
from relo_dsl.interpret import History, Lists, chosen, view
from relo_dsl.records import Record
from relo_dsl.sql.lower import members_query


@contextmanager
def throwaway(catalog: Catalog) -> Iterator[SqlAnswers]:
    """An engine for `Prepared.results`, under a key of its own; see `scratch`."""
    with scratch() as engine:
        apply_catalog(engine, catalog)
        yield SqlAnswers(engine, catalog)


class SqlAnswers:
    """Answers plans with SQL; the records of a client are loaded at its first plan."""

    def __init__(self, engine: Engine, catalog: Catalog) -> None:
        self._engine = engine
        self._catalog = catalog
        self._key = os.urandom(32)
        self._ids: dict[int, dict[bytes, str]] = {}

    def __call__(
        self,
        scoped: ScopedPlan,
        records: Sequence[Record],
        instants: Sequence[int],
        lists: Lists,
    ) -> Iterator[frozenset[str]]:
        """The members at each instant, by the ids that stand in the records."""
        if scoped.client not in self._ids:
            self._load(scoped, records, lists)
        ids = self._ids[scoped.client]
        plan = scoped.plan
        if plan.keep is None and plan.shares is None:
            for at in instants:
                yield self._found(scoped, at, ids)
            return
        # Places and samples go by the device's key, which here is its id and not the stored hash.
        bare = scope(replace(plan, keep=None, shares=None))
        history = History.of(records, client=scoped.client, default_flags=plan.default_flags)
        for at in instants:
            found = self._found(bare, at, ids)
            views = {name: view(scoped, history.devices[name], at) for name in found}
            yield chosen(scoped, views, at)

    def _found(self, scoped: ScopedPlan, at: int, ids: dict[bytes, str]) -> frozenset[str]:
        chunks = self._engine.members(members_query(scoped, at))
        return frozenset(ids[bytes(key)] for chunk in chunks for key in chunk)

    def _load(self, scoped: ScopedPlan, records: Sequence[Record], lists: Lists) -> None:
        client = scoped.client
        load_records(
            self._engine,
            records,
            catalog=self._catalog,
            key=self._key,
            rules={client: rules_of(scoped.plan)},
        )
        for name, devices in lists.items():
            load_list(self._engine, client, name, devices, key=self._key)
        names = {record.device for record in records}.union(*lists.values())
        self._ids[client] = {device_key(self._key, client, name): name for name in names}
