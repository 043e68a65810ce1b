"""What the commands that touch data share: the stores, opened and closed, and whose set it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from relo_dsl.catalog import Catalog
from relo_dsl.cli.output import fail
from relo_dsl.cli.project import shown_path
from relo_dsl.engine import Engine
from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_dsl.workspace import Workspace
from relo_server.sets import Sets

if TYPE_CHECKING:
    from relo_server.ingest.storing import Storing
    from relo_server.versions.publisher import Publisher


def open_engine(settings: Settings) -> Engine:
    """The engine with its tables. Raises UserError where it is in use or cannot be reached."""
    return Engine.open(settings)


def open_sets(settings: Settings) -> Sets:
    """The set store. Raises UserError where it is in use or cannot be reached."""
    return Sets.open(settings)


def client_of(settings: Settings, name: str) -> int:
    """The client of the audience called `name` where the project defines one, else the configured.

    Raises UserError where neither says whose it is.
    """
    definition = name.partition(":")[0]
    try:
        workspace = Workspace(Catalog(), settings.client, settings.timezone)
        if settings.segments.is_dir():
            workspace.add_paths([settings.segments])
        if definition in workspace:
            return workspace.bound(definition).client
    except UserError as error:
        if settings.client is None:
            fail(f"cannot tell the client of `{name}`: {error.message}", error.hint)
    return configured_client(settings)


def configured_client(settings: Settings) -> int:
    """The client of the settings. Raises UserError where there is none."""
    if settings.client is None:
        where = shown_path(settings.root / "relo.toml")
        fail("no client is known", f"write `client = 1` into {where}, or give --client 1")
    return settings.client


def whoami() -> str:
    """Who runs this command, for the history; empty where the system does not say."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this user, nor in the environment
        return ""


@contextmanager
def open_spools(settings: Settings, engine: Engine, sets: Sets) -> Iterator[Storing]:
    """What takes from the spools of the settings; it is not started. Raises UserError."""
    from relo_server.ingest.catalogs import CatalogFile
    from relo_server.ingest.storing import Storing
    from relo_server.spool.overflow import Storage
    from relo_server.versions.publisher import wall_clock

    folder = settings.data / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    catalog, storage = CatalogFile(settings.catalog), Storage.of(settings)
    found = Storing(folder, engine, sets, catalog, wall_clock, storage)
    try:
        yield found
    finally:
        found.close()


def erase_again(settings: Settings, engine: Engine, sets: Sets) -> None:
    """Erases whoever the ledger has and the events do not know as erased: they may have been
    restored from a backup. Call it before anything is published. Raises UserError.
    """
    from relo_server.platform import Platform
    from relo_server.platform.store import FILE_NAME
    from relo_server.privacy.erasing import clients_of, finish

    if settings.platform == "embedded" and not (settings.data / FILE_NAME).exists():
        return  # nobody was ever erased
    with Platform.open(settings) as platform:
        finish(platform, publisher(settings, engine, sets), clients_of(engine))


def publisher(settings: Settings, engine: Engine, sets: Sets) -> Publisher:
    """Who publishes on behalf of the user of this command; the catalog says what is granted."""
    from relo_dsl.cli.project import project_catalog
    from relo_server.versions.publisher import Publisher

    return Publisher(engine, sets, project_catalog(settings).flags_of, whoami())
