"""A project in a temporary folder, and the commands run in it, over the engine of the process."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relo_dsl.cli.main import relo
from relo_dsl.engine import Engine

#: A fixed instant for all that is not about time; events are put before it.
AT = "2026-06-15T12:00:00Z"


@dataclass(frozen=True)
class Project:
    """A project that `relo init` made, standing in its folder."""

    folder: Path
    client: int

    def run(self, *args: object, input: str | None = None) -> Result:
        """What a command does."""
        return CliRunner().invoke(relo, [str(arg) for arg in args], input=input)

    def ok(self, *args: object, input: str | None = None) -> Result:
        """The same for one that must succeed."""
        result = self.run(*args, input=input)
        assert result.exit_code == 0, result.output
        return result

    def json(self, *args: object) -> Any:
        """What a command prints with `--json`, which must be one line."""
        return json.loads(self.ok(*args, "--json").stdout)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def seg(self, name: str, text: str) -> Path:
        return self.write(f"segments/{name}.seg", text)

    def load(self, *records: dict[str, object]) -> Any:
        """Loads records; `ts` counts days before AT where it is a small number."""
        lines = [json.dumps({"ts": "2026-06-01T00:00:00Z", **record}) for record in records]
        self.write("events.jsonl", "\n".join(lines) + "\n")
        return self.json("load", "events.jsonl")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_client: int) -> Project:
    """A fresh project that touches no data."""
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, new_client)
    project.ok("init", "--client", new_client)
    # Without it the engine would drop the events of these tests two years after their dates.
    with (tmp_path / "segments/catalog.yaml").open("a") as catalog:
        catalog.write("\nretention: {months: 1200, extended_months: 1200}\n")
    return project


@pytest.fixture
def store(shop: Project, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A fresh project whose commands use the one engine of this process; they must not close it."""
    monkeypatch.setattr(Engine, "open", classmethod(lambda _cls, _settings: engine))
    monkeypatch.setattr(engine, "close", lambda: None)
    (shop.folder / ".relo" / "clickhouse").mkdir(parents=True)
    return shop


def purchase(device: str, revenue: float = 10, **more: object) -> dict[str, object]:
    return {"t": "purchase", "did": device, "props": {"revenue": revenue}, **more}


def view(device: str) -> dict[str, object]:
    return {"t": "product_view", "did": device}


def masked(text: str) -> str:
    """Without what differs from run to run: times, keys, versions, costs, the width of columns."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "KEY", text)
    text = re.sub(r"\b\d{13}-[0-9a-f]{8}\b", "VERSION", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME", text)
    text = re.sub(r" *\b\d+(\.\d+)? (ms|s)\b", " TOOK", text)
    text = re.sub(r" *\b[\d,]+( rows,)? +\d+(\.\d+)? (B|kB|MB)\b", " READ", text)
    # Columns are as wide as what is masked in them.
    return re.sub(r"─+", "─", re.sub(r" {2,}", "  ", text))
