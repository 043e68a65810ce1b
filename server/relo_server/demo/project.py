"""Where the demo lives: in the clone itself, or in a folder of its own that is a project."""

from __future__ import annotations

import shutil
from pathlib import Path

import relo_server
from relo_dsl.engine.lock import FolderLock
from relo_dsl.errors import UserError
from relo_dsl.settings import FILE_NAME, Settings
from relo_server.demo.marker import Marker
from relo_server.demo.shift import SHOP_ZONE

#: What `relo demo` calls the folder that it makes where there is no clone.
FOLDER = "relo-demo"
CLIENT = 3
#: The same as relo.toml at the root of the clone.
RELO_TOML = f"""\
# The settings of the demo shop, whose definitions stand in segments/. `relo demo` fills .relo/.
client = {CLIENT}
timezone = "{SHOP_ZONE}"
catalog = "segments/catalog.yaml"
segments = "segments"

# Pages that may send events: the one that README.md shows.
[ingest.origins]
{CLIENT} = ["http://localhost:8000"]
"""


def shipped_definitions() -> Path:
    """The demo shop's definitions: `segments` of the clone, or the copy inside the wheel."""
    package = Path(relo_server.__file__).parent
    in_wheel = package / "_segments"
    return in_wheel if in_wheel.is_dir() else package.parent.parent / "segments"


def find_project(settings: Settings) -> Settings | None:
    """The demo's settings, where the project found is the clone or was made by `make_project`."""
    in_clone = settings.segments.resolve() == shipped_definitions().resolve()
    return settings if in_clone or Marker.path(settings.data).exists() else None


def make_project(parent: Path) -> Path:
    """A project in `parent`/relo-demo with its own copy of the definitions, to be changed freely.

    What is there already is left as it is, so that a second run keeps what was changed. Raises
    UserError where the folder cannot be written.
    """
    root = parent / FOLDER
    try:
        root.mkdir(exist_ok=True)
        if not (root / "segments").exists():
            shutil.copytree(shipped_definitions(), root / "segments")
        if not (root / FILE_NAME).exists():
            (root / FILE_NAME).write_text(RELO_TOML, encoding="utf-8")
        if not (root / ".gitignore").exists():
            (root / ".gitignore").write_text("/.relo/\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot make the folder {root}: {error.strerror or error}") from error
    return root


def set_aside(data: Path, label: str) -> Path:
    """Moves the embedded store in `data` out of the way; the new place, beside it.

    One that was set aside before under the same label is replaced. Nothing may have it open: raises
    UserError where another process has.
    """
    lock = FolderLock(data / "lock", "event store", "events")
    try:
        aside = data / f"clickhouse-{label}"
        shutil.rmtree(aside, ignore_errors=True)
        (data / "clickhouse").rename(aside)
    finally:
        lock.release()
    return aside
