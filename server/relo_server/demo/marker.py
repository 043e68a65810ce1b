"""What the demo has loaded into a store: a small file beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

#: Raised when the records that the demo makes of the data change.
RECORDS = 1


@dataclass(frozen=True, slots=True)
class Marker:
    """Which data, moved how far, stand in which store; `complete` once all of it is there."""

    data: str
    records: int
    weeks: int
    store: str
    client: int
    complete: bool = False

    @staticmethod
    def path(folder: Path) -> Path:
        """The marker's file in a project's data folder."""
        return folder / "demo.json"

    @classmethod
    def read(cls, folder: Path) -> Marker | None:
        """The marker in a data folder; None where there is none that can be read."""
        try:
            return cls(**json.loads(cls.path(folder).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        """Puts the marker into the data folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        new = self.path(folder).with_suffix(".new")
        new.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")
        new.replace(self.path(folder))

    def same_load(self, other: Marker | None) -> bool:
        """Whether both are of one load: the same records in the same store, complete or not."""
        return other is not None and replace(self, complete=other.complete) == other
