"""Consent that is changed in part: some bits go or come, and the others stay as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from relo_dsl.engine import Engine
from relo_dsl.engine.key import DEVICE_IN_K
from relo_dsl.records import RecordError

#: Devices in one statement: some drivers send them in a URL.
_TOGETHER = 100
Device = tuple[int, str]
"""A client, and the key of a device in hex."""


#: The keys of a record that changes consent in part: bits that are withdrawn, bits that are given.
CLEAR, GRANT = "clear", "grant"


def is_partial(raw: Mapping[str, Any]) -> bool:
    """Whether a raw record changes consent in part."""
    return raw.get("t") == "consent" and (CLEAR in raw or GRANT in raw)


def bits_of(raw: Mapping[str, Any]) -> tuple[int, int]:
    """The bits that go and those that come. Raises RecordError for what is none."""
    return _bits(raw, CLEAR), _bits(raw, GRANT)


def _bits(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not (name in raw) <= value <= 255:
        raise RecordError("expected bits of consent, from 1 to 255", name, value)
    return value


def as_whole(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A raw record that changes consent in part as one that says all flags, so that it can be
    checked: which flags there are then is known when it is stored. Raises RecordError for bits that
    are none, or both.
    """
    clear, grant = bits_of(raw)
    if "consent" in raw:
        raise RecordError("a record says all of the consent, or what changes", "consent")
    if clear & grant:
        raise RecordError("a bit is given and withdrawn at once", GRANT, grant)
    rest = {name: value for name, value in raw.items() if name not in (CLEAR, GRANT)}
    return {**rest, "consent": clear | grant}


class Flags:
    """The flags of devices as they are, and as records that are on their way make them."""

    def __init__(self, engine: Engine, default: Callable[[int], int]) -> None:
        """`default` gives the flags of a client's devices without a record."""
        self._engine = engine
        self._default = default
        self._known: dict[Device, int] = {}

    def read(self, devices: Iterable[Device]) -> None:
        """Looks up what is stored of some devices."""
        by_client: dict[int, list[str]] = {}
        for client, key in sorted(set(devices) - self._known.keys()):
            by_client.setdefault(client, []).append(key)
        for client, keys in by_client.items():
            for start in range(0, len(keys), _TOGETHER):
                self._read(client, keys[start : start + _TOGETHER])

    def _read(self, client: int, keys: list[str]) -> None:
        own = f"client_id = {{c:UInt32}} AND {DEVICE_IN_K}"
        rows = self._engine.rows(
            "SELECT lower(hex(device)) AS key, groupBitAnd(flags) FROM consent "  # noqa: S608 - texts of ours
            f"WHERE {own} AND (device, time) IN "
            f"(SELECT device, max(time) FROM consent WHERE {own} GROUP BY device) GROUP BY key",
            {"c": client, "k": keys},
        )
        for key, flags in rows:
            self._known[client, str(key)] = int(flags)

    def set(self, device: Device, flags: int) -> None:
        """A record that says all of them."""
        self._known[device] = flags

    def changed(self, device: Device, clear: int, grant: int = 0) -> int:
        """The flags without some and with others; from now on these are the device's."""
        found = self._known.get(device, self._default(device[0])) & ~clear | grant
        self._known[device] = found
        return found
