"""Computing: the members of many plans, into one staged table, with as few queries as it takes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from relo_dsl.consent import ScopedPlan
from relo_dsl.engine import Engine, EngineError
from relo_dsl.errors import UserError
from relo_dsl.sql.query import SqlQuery
from relo_dsl.sql.together import Part, Pass, passes
from relo_server.versions.membership import Devices
from relo_server.versions.staging import Staged


@dataclass(frozen=True, slots=True)
class Computed:
    """What was computed of one plan, or why it could not be.

    `members` and `held_out` are staged under `number`, `counted` of the first; `withheld` counts
    who lacked consent at T. Costs are an even share of those of the query that it was computed in.
    """

    number: int
    members: Devices
    held_out: Devices
    counted: int = 0
    withheld: int = 0
    seconds: float = 0.0
    rows_read: int = 0
    bytes_read: int = 0
    error: Exception | None = None


def compute(engine: Engine, staged: Staged, plans: Sequence[ScopedPlan], at: int) -> list[Computed]:
    """Computes plans at T = `at`. A query that fails is tried again, each of its plans alone, so
    that one too heavy plan takes none of the others with it; `error` then says what was wrong.
    """
    return _Computation(engine, staged, plans, at).run()


class _Computation:
    def __init__(
        self, engine: Engine, staged: Staged, plans: Sequence[ScopedPlan], at: int
    ) -> None:
        self._engine = engine
        self._staged = staged
        self._plans = plans
        self._at = at
        self._found = [
            Computed(
                number,
                staged.devices(number, Part.MEMBER),
                staged.devices(number, Part.HELD_OUT),
            )
            for number in range(len(plans))
        ]

    def run(self) -> list[Computed]:
        clients = defaultdict(list)
        for number, plan in enumerate(self._plans):
            clients[plan.client].append(number)
        for numbers in clients.values():
            self._together(numbers)
        counts = self._staged.counts()
        return [
            replace(
                found,
                counted=counts.get((number, Part.MEMBER), 0),
                withheld=counts.get((number, Part.WITHHELD), 0),
            )
            for number, found in enumerate(self._found)
        ]

    def _together(self, numbers: Sequence[int]) -> None:
        try:
            plans = [self._plans[number] for number in numbers]
            asked = passes(
                plans,
                self._at,
                devices=devices_of(self._engine, plans[0].client),
                memory=self._engine.limits.spill_bytes,
            )
        except (UserError, EngineError) as error:
            self._apart(numbers, error)
            return
        for part in asked:
            own = {place: numbers[place] for place in part.plans}
            try:
                self._run(part, own)
            except (UserError, EngineError) as error:
                self._apart(list(own.values()), error)

    def _apart(self, numbers: Sequence[int], error: Exception) -> None:
        if len(numbers) == 1:
            (number,) = numbers
            self._found[number] = replace(self._found[number], error=error)
            return
        for number in numbers:
            self._together([number])

    def _run(self, part: Pass, numbers: dict[int, int]) -> None:
        started = time.perf_counter()
        rows, read = self._staged.fill(part.queries, numbers)
        seconds, count = time.perf_counter() - started, len(numbers)
        for number in numbers.values():
            self._found[number] = replace(
                self._found[number],
                seconds=seconds / count,
                rows_read=rows // count,
                bytes_read=read // count,
            )


def devices_of(engine: Engine, client: int) -> int:
    """About how many devices a client has, told from those whose keys begin with a byte of 0.

    Keys are even, and the sort keys have them, so that little more than those is read.
    """
    found = 0
    for table in ("events", "traits"):
        text = (
            f"SELECT uniqExact(device) FROM {table} WHERE client_id = {{client:UInt32}} "  # noqa: S608
            "AND device < toFixedString(unhex('01'), 16)"
        )
        ((count,),) = engine.query(SqlQuery(text, {"client": client})).rows
        found = max(found, int(count) * 256)
    return found
