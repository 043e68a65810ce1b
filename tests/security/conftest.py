"""A platform store on each database, and people with cheap password hashes."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from relo_server.security.passwords import Passwords
from relo_server.security.users import Users
from tests.platform.conftest import cluster, kind, platform, url

__all__ = ["cluster", "kind", "platform", "url"]


@pytest.fixture(scope="session")
def users() -> Users:
    return Users(Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)))
