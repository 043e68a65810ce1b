"""Where an address is: country and city, looked up in a file, and the address is forgotten."""

from __future__ import annotations

import ipaddress
import logging
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from relo_dsl.errors import UserError

_log = logging.getLogger("relo.ingest")


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
        self._failed = False
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
            parsed = ipaddress.ip_address(address)
            # A socket that takes both families tells IPv4 as `::ffff:8.8.8.8`.
            found = self._reader.get(getattr(parsed, "ipv4_mapped", None) or parsed)
        except ValueError:  # no address, or one of a family that the file does not have
            return NOWHERE
        except Exception as error:  # a damaged file must not cost a click
            if not self._failed:
                self._failed = True
                # What it says names the address.
                told = type(error).__name__
                _log.error("the file of places is damaged, some addresses are nowhere: %s", told)
            return NOWHERE
        if not isinstance(found, dict):
            return NOWHERE
        return Place(_country(found), _city(found))

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def _country(found: dict[Any, Any]) -> str | None:
    """MaxMind's files have an object with the code, others the code itself."""
    told = found.get("country")
    code = told.get("iso_code") if isinstance(told, dict) else told
    return code if isinstance(code, str) and len(code) == 2 else None


def _city(found: dict[Any, Any]) -> str | None:
    told = found.get("city")
    names = told.get("names") if isinstance(told, dict) else {"en": told}
    name = names.get("en") if isinstance(names, dict) else None
    return name if isinstance(name, str) and name else None


def _brought_along() -> Path | None:
    try:
        return Path(import_module("geoacumen").db_path)
    except ImportError:
        return None
