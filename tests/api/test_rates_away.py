"""Limits while the sets' server, which counts for all processes, is away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import redis

from relo_dsl.settings import Service
from relo_server.api.rates import Due, Rates
from relo_server.security.principals import Principal
from relo_server.security.roles import Role


def test_requests_are_counted_here_while_the_server_is_away() -> None:
    who = Principal(1, "token:t", "t", Role.CLIENT_MANAGER)
    away: Any = SimpleNamespace(connections=redis.ConnectionPool(host="127.0.0.1", port=1))
    rates = Rates(away, Service(requests_per_minute=100, client_requests_per_minute=1_000))
    for _ in range(25):
        if rates.take(who) is Due.NOW:
            rates.settle(who)  # raises nothing
