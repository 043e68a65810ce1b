"""Where an address is: country and city, looked up in a file, and the address is forgotten."""

from __future__ import annotations

import ipaddress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from relo_dsl.errors import UserError


class Place(NamedTuple):
    """A country's ISO code and a city's English name; None where the file has none."""

    country: str | None
    city: str | None


NOWHERE = Place(None, None)


class Places:
    """A file in MaxMind's format. With none, every address is nowhere."""

    def __init__(self, path: Path | None) -> None:
        """`path` None: the countries that the extra `geo` brings along, where it is installed.

        Raises UserError for a file that cannot be read.
        """
        self._reader: Any = None
        path = path or _brought_along()
        if path is None:
            return
        try:
            import maxminddb
        except ImportError as error:
            raise UserError(
                "`ingest.places` is set, and no reader for it is installed",
                "install `relo-dsl[geo]`, or leave the setting out",
            ) from error
        try:
            self._reader = maxminddb.open_database(str(path))
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise UserError(
                f"cannot read the places {path}: {error}",
                "it has to be in MaxMind's format (.mmdb)",
            ) from error

    def of(self, address: str) -> Place:
        """Where an address is; a text that is no address is nowhere."""
        if self._reader is None:
            return NOWHERE
        try:
            found = self._reader.get(ipaddress.ip_address(address))
        except ValueError:
            return NOWHERE
        if not isinstance(found, dict):
            return NOWHERE
        country = found.get("country", {}).get("iso_code")
        city = found.get("city", {}).get("names", {}).get("en")
        return Place(country if country and len(country) == 2 else None, city or None)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def _brought_along() -> Path | None:
    try:
        return Path(import_module("geoacumen").db_path)
    except ImportError:
        return None
