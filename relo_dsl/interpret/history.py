"""What is known of the devices: their records, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from relo_dsl.interpret.values import Values
from relo_dsl.records import Record, tie_of


@dataclass(frozen=True, slots=True)
class Event:
    """One event, or one identify (its values are traits then), with the flags that it carried."""

    type: str
    time: int
    tie: int
    flags: int
    values: Values


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """What a device allowed from `time` on."""

    time: int
    flags: int


@dataclass(frozen=True, slots=True)
class Device:
    """All that was accepted about one device, each kind in (time, tie) order."""

    id: str
    events: tuple[Event, ...] = ()
    identifies: tuple[Event, ...] = ()
    consents: tuple[ConsentRecord, ...] = ()
    scores: tuple[Event, ...] = ()

    def consent_record(self, at: int) -> int | None:
        """The flags of the latest consent record at or before `at`; None where there is none.

        Records at the same instant are ANDed.
        """
        known = [record for record in self.consents if record.time <= at]
        if not known:
            return None
        latest = max(record.time for record in known)
        return reduce(int.__and__, (r.flags for r in known if r.time == latest), 255)


@dataclass(frozen=True, slots=True)
class History:
    """The accepted records of one client, by device id."""

    client: int
    devices: Mapping[str, Device]

    @classmethod
    def of(cls, records: Iterable[Record], *, client: int, default_flags: int = 255) -> History:
        """The history that these records, in the order they were accepted, make.

        Records of other clients are left out. Of several records under one id, whatever their
        kinds, the first counts. A record without flags of its own carries the device's consent at
        its time, `default_flags` where no consent record came before.
        """
        accepted: dict[str, Record] = {}
        for record in records:
            if record.client == client:
                accepted.setdefault(record.id, record)
        by_device: dict[str, list[Record]] = {}
        for record in sorted(accepted.values(), key=lambda r: (r.time, tie_of(r.id))):
            by_device.setdefault(record.device, []).append(record)
        return cls(
            client, {name: _device(name, own, default_flags) for name, own in by_device.items()}
        )


def _device(name: str, records: list[Record], default_flags: int) -> Device:
    """One device from its records, which stand in (time, tie) order."""
    consents = tuple(
        ConsentRecord(record.time, record.consent)
        for record in records
        if record.kind == "consent" and record.consent is not None
    )
    consent_only = Device(name, consents=consents)

    def of_kind(kind: str) -> tuple[Event, ...]:
        return tuple(event(record) for record in records if record.kind == kind)

    def event(record: Record) -> Event:
        flags = record.flags
        if flags is None:
            flags = current_flags(consent_only, record.time, default_flags)
        return Event(record.type, record.time, tie_of(record.id), flags, record.values)

    return Device(name, of_kind("event"), of_kind("identify"), consents, of_kind("score"))


def current_flags(device: Device, at: int, default_flags: int) -> int:
    """The device's consent at an instant: its record then in force, else the client's default."""
    record = device.consent_record(at)
    return default_flags if record is None else record
