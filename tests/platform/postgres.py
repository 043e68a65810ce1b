"""A PostgreSQL of our own, from Debian's package, in a temporary folder, on a Unix socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from sqlalchemy import URL

MISSING = "needs PostgreSQL: apt-get install postgresql"
_USER = "postgres"


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`, which Debian keeps off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _version(path: Path) -> int:
    name = path.parts[-3]
    return int(name) if name.isdecimal() else 0


@contextlib.contextmanager
def server(folder: Path) -> Iterator[Path]:
    """Runs a server, yields the folder of its socket, stops it. `folder`: see `place`."""
    programs = binaries()
    assert programs is not None, MISSING
    data = folder / "data"
    # PostgreSQL refuses to run as root; Debian's package brings a user for it.
    user = _USER if os.getuid() == 0 else None
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C",
         "--no-sync"],
        check=True, capture_output=True, user=user, cwd=folder,
    )  # fmt: skip
    options = ("listen_addresses=", "fsync=off", f"unix_socket_directories={folder}")
    command = [str(programs / "postgres"), "-D", str(data)]
    for option in options:
        command += ["-c", option]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder)
        try:
            _wait(folder, process)
            yield folder
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            process.wait(60)


def _wait(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(host=str(folder), user=_USER, dbname=_USER).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((folder / "log").read_text()) from None
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A folder that the server's user owns, with a path short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="relo-pg-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, _USER)
        yield folder
    finally:
        shutil.rmtree(folder)


def execute(socket: Path, *statements: str, database: str = _USER) -> None:
    """Runs statements as the superuser, each by itself."""
    with psycopg.connect(
        host=str(socket), user=_USER, dbname=database, autocommit=True
    ) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def url(socket: Path, user: str, database: str) -> URL:
    """The URL of a database, as `platform` takes it."""
    return URL.create("postgresql", username=user, database=database, query={"host": str(socket)})
