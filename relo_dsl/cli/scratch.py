"""An embedded ClickHouse that is thrown away, for commands that evaluate what they are given."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relo_dsl.engine import ClientRules, Engine
from relo_dsl.plan import Plan


@contextmanager
def scratch() -> Iterator[Engine]:
    """An empty engine in a temporary folder, its tables made.

    A process can have one at a time, and none beside another embedded engine.
    """
    with (
        tempfile.TemporaryDirectory(prefix="relo-") as folder,
        Engine.embedded(Path(folder)) as engine,
    ):
        engine.migrate()
        # The instant may lie years back: what was kept then must not be dropped by now.
        engine.command("ALTER TABLE events REMOVE TTL")
        yield engine


def rules_of(plan: Plan) -> ClientRules:
    """What the plan says of its client; without a retention the months do not matter."""
    months = plan.retention_months or ClientRules().retain_months
    return ClientRules(plan.default_flags, months, plan.extended_months or months)
