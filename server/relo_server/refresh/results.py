"""What became of one audience of a refresh."""

from __future__ import annotations

from dataclasses import dataclass

from relo_dsl.diagnostics import Diagnostic
from relo_dsl.times import format_instant


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """What became of one audience.

    `version` is None where nothing new was published: the definition has errors (`diagnostics`),
    something failed (`error`), it is smaller than its `minimum`, or it was `held` back, for the
    reason there. `size` counts its members at `at` (epoch milliseconds), `entered` and `left` who
    changed with it, `universe` the devices it chose from, `withheld` those that met the condition
    and may not be used; None where that is not known or was not asked for. `seconds` is the time
    that it took, `rows_read` and `bytes_read` what its query read; what audiences were computed
    together is shared evenly. `holdout` counts the devices of its second set, None where it splits
    none off. `withdrawn` counts who left what stayed published, `forced` says that a limit spoke
    against publishing it, `lost_lease` that another process leads now.
    """

    name: str
    client: int
    type: str | None
    at: int
    minimum: int = 0
    size: int | None = None
    universe: int | None = None
    withheld: int | None = None
    version: str | None = None
    ordinal: int | None = None
    entered: int = 0
    left: int = 0
    seconds: float = 0.0
    rows_read: int = 0
    bytes_read: int = 0
    holdout: int | None = None
    error: str | None = None
    hint: str | None = None
    held: str | None = None
    forced: bool = False
    emptied: bool = False
    withdrawn: int = 0
    lost_lease: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def published(self) -> bool:
        """Whether there is a new version with these members."""
        return self.version is not None

    @property
    def too_small(self) -> bool:
        """Whether it was not published because of its minimum."""
        return self.size is not None and self.size < self.minimum and not self.published

    def to_json(self) -> dict[str, object]:
        """One line of `relo build --json`."""
        return {
            "name": self.name,
            "client": self.client,
            "type": self.type,
            "at": format_instant(self.at),
            "published": self.published,
            "version": self.version,
            "ordinal": self.ordinal,
            "size": self.size,
            "entered": self.entered,
            "left": self.left,
            "minimum": self.minimum,
            "universe": self.universe,
            "withheld": self.withheld,
            "holdout": self.holdout,
            "seconds": round(self.seconds, 3),
            "rows_read": self.rows_read,
            "bytes_read": self.bytes_read,
            "emptied": self.emptied,
            "held": self.held,
            "forced": self.forced,
            "withdrawn": self.withdrawn,
            "error": self.error,
            "diagnostics": [item.to_json() for item in self.diagnostics],
        }
