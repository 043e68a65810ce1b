"""`relo test` by SQL: the compiled queries over an embedded ClickHouse that is thrown away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count

from relo_dsl.catalog import Catalog
from relo_dsl.cli.scratch import rules_of
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.engine import Engine, EngineError, Result, device_key, load_records
from relo_dsl.engine.key import KEY_BYTES
from relo_dsl.engine.load import LIST_MARK
from relo_dsl.interpret import members
from relo_dsl.sql.lower import members_query
from relo_dsl.sql.proof import ScopeError
from relo_dsl.testing.outcome import Answer, Broken, Question

#: Nothing is kept, so nothing is secret; and a test gives the same every time.
KEY = bytes(KEY_BYTES)
_clients = count(1)


def answered(
    engine: Engine, catalog: Catalog, questions: Sequence[Question]
) -> list[Answer | Broken]:
    """The answers of the production queries; all tests are loaded at once, each as a client.

    While one query runs the next ones are compiled: each takes about half of the time.
    """
    placed = [(next(_clients), question) for question in questions]
    _load(engine, catalog, placed)
    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            asked = [_ask(pool, engine, client, question) for client, question in placed]
            return [
                running if isinstance(running, Broken) else _answer(client, question, running)
                for (client, question), running in zip(placed, asked, strict=True)
            ]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _load(engine: Engine, catalog: Catalog, placed: Sequence[tuple[int, Question]]) -> None:
    records = (
        replace(record, client=client)
        for client, question in placed
        for record in question.case.records
    )
    rules = {client: rules_of(question.scoped.plan) for client, question in placed}
    load_records(engine, records, catalog=catalog, key=KEY, rules=rules)
    _load_lists(engine, placed)


def _load_lists(engine: Engine, placed: Sequence[tuple[int, Question]]) -> None:
    """All lists in one insert."""
    import pyarrow as pa

    rows = [
        (client, name, 1, key)
        for client, question in placed
        for name, devices in question.case.lists.items()
        for key in (LIST_MARK, *sorted(device_key(KEY, client, device) for device in devices))
    ]
    if not rows:
        return
    kinds = {
        "client_id": pa.uint32(),
        "name": pa.string(),
        "version": pa.uint64(),
        "device": pa.binary(len(LIST_MARK)),
    }
    columns = zip(*rows, strict=True)
    table = {
        name: pa.array(column, kind)
        for (name, kind), column in zip(kinds.items(), columns, strict=True)
    }
    engine.insert_arrow("lists", pa.table(table), one_part=True)


def _stored(client: int, question: Question) -> ScopedPlan:
    """The plan of a question for the client that its test was loaded as."""
    return scope(replace(question.scoped.plan, client=client))


def _ask(
    pool: ThreadPoolExecutor, engine: Engine, client: int, question: Question
) -> dict[int, Future[Result]] | Broken:
    """The query of each instant, waiting to run."""
    stored = _stored(client, question)
    try:
        return {
            at: pool.submit(engine.query, members_query(stored, at)) for at in question.instants
        }
    except ScopeError as error:
        return Broken(str(error))


def _answer(
    client: int, question: Question, running: Mapping[int, Future[Result]]
) -> Answer | Broken:
    devices = [*question.case.devices, *(d for ids in question.case.lists.values() for d in ids)]
    ids = {device_key(KEY, client, device): device for device in devices}
    try:
        found = {
            at: frozenset(ids[bytes(row[0])] for row in future.result().rows)
            for at, future in running.items()
        }
    except EngineError as error:
        return Broken(str(error))
    stored = _stored(client, question)
    if stored.plan.keep is None and stored.plan.shares is None:
        return found
    return {at: _by_id(question, stored, at, here) for at, here in found.items()}


def _by_id(
    question: Question, stored: ScopedPlan, at: int, found: frozenset[str]
) -> frozenset[str]:
    """What SQL would say if rankings and samples went by the ids, as they do in a test.

    Stored data go by keys and by the client. So SQL is compared with the evaluator under those, and
    where they agree it stands for what the evaluator says under the ids.
    """
    history = replace(question.history, client=stored.client)
    key = partial(_hex_key, stored.client)
    by_key = members(stored, history, at, question.lists, key)
    return members(question.scoped, question.history, at, question.lists) ^ by_key ^ found


def _hex_key(client: int, device: str) -> str:
    return device_key(KEY, client, device).hex()
