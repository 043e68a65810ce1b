"""What the service does by itself goes on, whatever one of it meets."""

from __future__ import annotations

import logging
import queue
from functools import partial

import pytest

from relo_dsl.errors import UserError
from relo_dsl.times import UNITS
from relo_server.api.chores import Chore, Chores
from tests.api.conftest import NOW, Service


def test_each_in_its_turn_and_a_failure_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    done: queue.Queue[str] = queue.Queue()

    def failing() -> None:
        done.put("failing")
        raise UserError("not now")

    chores = Chores([
        Chore("often", lambda: done.put("often"), every=0.02, after=0),
        Chore("failing", failing, every=0.02, after=0.01),
        Chore("later", lambda: done.put("later"), every=60, after=60),
    ])  # fmt: skip
    with caplog.at_level(logging.WARNING, "relo.api"):
        seen = [done.get(timeout=10) for _ in range(20)]
    chores.close()
    assert seen[0] == "often"
    assert {"often", "failing"} == set(seen)
    assert seen.count("failing") > 1
    assert caplog.records[0].message == "failing failed, and is tried again: not now"
    assert caplog.records[0].exc_info is None


def test_the_service_forgets_what_is_over(service: Service) -> None:
    service.load(
        *({"t": "identify", "did": d, "ago": ago, "traits": {"plan": "x"}}
          for d, ago in (("a", 91), ("b", 89)))
    )  # fmt: skip
    house = service.house  # of this client alone: others' tests have older things
    house.building.submit(partial(house.expire_of, client=service.client)).result()
    rows = service.engine.rows(
        "SELECT toUnixTimestamp64Milli(max(time)), uniqExact(device) FROM traits "
        "WHERE client_id = {c:UInt32}",
        {"c": service.client},
    )
    assert rows == [(NOW - 89 * UNITS["d"], 1)]
