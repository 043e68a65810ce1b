"""The project's catalog as it is now, read again when its file has changed."""

from __future__ import annotations

from pathlib import Path

from relo_dsl.catalog import Catalog, load_catalog
from relo_dsl.engine import StoreError
from relo_server.ingest.rereading import Reread


class CatalogFile:
    """Calling it gives the catalog, from any thread. One that cannot be read leaves the one before
    in force.
    """

    def __init__(self, path: Path) -> None:
        self._found = Reread(path, load_catalog, f"the catalog {path} cannot be used")

    def __call__(self) -> Catalog:
        """Raises StoreError where there never was one."""
        found = self._found()
        if found is None:
            raise StoreError(
                "the service's catalog cannot be used", "whoever runs the service puts it right"
            )
        return found
