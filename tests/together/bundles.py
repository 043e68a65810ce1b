"""Several definitions over the records of all of them: one client's, answered together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.engine import Engine
from relo_dsl.sql.lower import holdout_query, members_query, withheld_query
from relo_dsl.sql.together import Part, passes
from tests.differential import runner
from tests.differential.cases import Case

_clients = count(3_000_000, 2)
BLANK = bytes(16)


@dataclass(frozen=True)
class Difference:
    """What a pass said of one plan where the plan's own SQL said something else."""

    texts: tuple[str, ...]
    plan: int
    at: int
    part: str
    own: object
    together: object


def bundles(cases: Sequence[Case], size: int) -> list[tuple[Case, ...]]:
    """The cases by their catalog's rules, so many together, the last of each perhaps fewer."""
    by_rules: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_rules[case.rules].append(case)
    return [
        tuple(group[start : start + size])
        for group in by_rules.values()
        for start in range(0, len(group), size)
    ]


def placed(
    engine: Engine, found: Sequence[tuple[Case, ...]], instants: int = 1
) -> Iterator[tuple[tuple[str, ...], list[ScopedPlan], int]]:
    """Loads each bundle as one client; gives texts and plans at so many instants of each."""
    clients = [(next(_clients), bundle) for bundle in found]
    runner.load(engine, [(client, case) for client, bundle in clients for case in bundle])
    for client, bundle in clients:
        bundle = tuple(_split(number, case) for number, case in enumerate(bundle))
        plans = [scope(case.plan(client)) for case in bundle]
        texts = tuple(case.text for case in bundle)
        at_once = dict.fromkeys(at for case in bundle for at in case.instants)
        for at in list(at_once)[:instants]:
            yield texts, plans, at


def compare(
    engine: Engine, found: Sequence[tuple[Case, ...]], tally: Counter[str], instants: int = 2
) -> Iterator[Difference]:
    """Every difference, at so many instants of each bundle."""
    for texts, plans, at in placed(engine, found, instants):
        yield from _differences(engine, plans, texts, at, tally)


def _split(number: int, case: Case) -> Case:
    """Every third definition with a holdout: few are drawn with one."""
    if number % 3 or "holdout" in case.text:
        return case
    return replace(case, text=f"{case.text}  holdout 50%\n")


def _differences(
    engine: Engine,
    plans: Sequence[ScopedPlan],
    texts: tuple[str, ...],
    at: int,
    tally: Counter[str],
) -> Iterator[Difference]:
    together = answers(engine, plans, at)
    for index, plan in enumerate(plans):
        own = own_answers(engine, plan, at)
        tally["plans"] += 1
        for part in Part:
            tally[part.name] += len(own[part])
            if together[index][part] != own[part]:
                yield Difference(texts, index, at, part.name, own[part], together[index][part])


def answers(
    engine: Engine, plans: Sequence[ScopedPlan], at: int, **room: int
) -> list[dict[Part, list[bytes]]]:
    """What the passes say: for each plan the devices of each part, sorted."""
    found: list[dict[Part, list[bytes]]] = [{part: [] for part in Part} for _ in plans]
    answered: list[int] = []
    for one in passes(plans, at, **room):
        answered += one.plans
        for query in one.queries:
            result = engine.query(query)
            assert not result.rows or result.columns == ("plan", "part", "device")
            for plan, part, device in result.rows:
                assert plan in one.plans
                found[plan][Part(part)].append(bytes(device))
    assert sorted(answered) == list(range(len(plans)))
    return [{part: sorted(devices) for part, devices in one.items()} for one in found]


def own_answers(engine: Engine, plan: ScopedPlan, at: int) -> dict[Part, list[bytes]]:
    """What the plan's own queries say, in the same form."""
    members = [bytes(row[0]) for row in engine.query(members_query(plan, at)).rows]
    held = [bytes(row[0]) for row in engine.query(holdout_query(plan, at)).rows]
    ((withheld,),) = engine.query(withheld_query(plan, at)).rows
    return {
        Part.MEMBER: sorted(members),
        Part.HELD_OUT: sorted(held),
        Part.WITHHELD: [BLANK] * int(withheld),
    }
