"""Another shop's file through the production path: mapping, loading, definitions, SQL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relo_dsl.catalog import load_catalog
from relo_dsl.consent import scope
from relo_dsl.engine import Engine, device_key
from relo_dsl.mapping import load_mapping
from relo_dsl.sql.lower import members_query
from relo_dsl.workspace import Workspace
from relo_server.loading import Loaded, load_files

KEY = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Shop:
    """A loaded file: the definitions about it, and what the load said."""

    engine: Engine
    workspace: Workspace
    client: int
    loaded: Loaded

    def members(self, name: str, at: int) -> set[bytes]:
        """The device keys of a definition's members."""
        query = members_query(scope(self.workspace.plan(name)), at)
        return {bytes(key) for chunk in self.engine.members(query) for key in chunk}

    def keys(self, devices: list[str]) -> set[bytes]:
        """The keys of device ids."""
        return {device_key(KEY, self.client, device) for device in devices}


def load_shop(engine: Engine, folder: Path, file: Path, client: int) -> Shop:
    """Loads `file` as the mapping and the catalog in `folder` say."""
    catalog = load_catalog(folder / "catalog.yaml")
    loaded = load_files(
        engine, [str(file)], catalog=catalog, key=KEY, client=client,
        mapping=load_mapping(folder / "mapping.yaml"),
    )  # fmt: skip
    workspace = Workspace(catalog, client, "Europe/London")
    workspace.add_paths([folder])
    workspace.check()
    assert not workspace.has_errors
    return Shop(engine, workspace, client, loaded)
