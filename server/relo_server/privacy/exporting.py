"""All that is known of devices, for whoever they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from relo_dsl.catalog import Catalog
from relo_dsl.engine import Engine
from relo_dsl.engine.device import lists_with, stored_device
from relo_dsl.interpret import Event
from relo_dsl.numbers import shortest
from relo_dsl.times import format_instant
from relo_server.ingest.payloads import decode
from relo_server.privacy.people import IN_LETTER, with_hashes


def export(
    engine: Engine, catalog: Catalog, client: int, devices: Sequence[bytes]
) -> list[dict[str, Any]]:
    """Each device of which something is stored: events, traits, consent, scores, lists, the
    audiences it was in, and what was refused of it. The catalog's columns must be there.
    """
    found = []
    for key in devices:
        own = {"c": client, "k": key.hex()}
        stored = stored_device(engine, catalog, client, key, key.hex(), whole=True)
        memberships = engine.rows(
            "SELECT audience, ordinal, entered FROM membership WHERE client_id = {c:UInt32} "
            "AND device = unhex({k:String}) ORDER BY audience, ordinal",
            own,
        )
        letters = engine.rows(
            "SELECT record FROM dead_letters WHERE client_id = {c:UInt32} "
            "AND position(record, {k:String}) > 0 ORDER BY id",
            own,
        )
        lists = sorted(lists_with(engine, client, key))
        if stored is None and not memberships and not letters and not lists:
            continue
        told: dict[str, Any] = {"device": key.hex()}
        if stored is not None:
            told |= {
                "events": [_event(one) for one in stored.events],
                "traits": [_event(one) for one in stored.identifies],
                "consent": [
                    {"at": format_instant(one.time), "flags": one.flags} for one in stored.consents
                ],
                "scores": [_event(one) for one in stored.scores],
            }
        told["lists"] = lists
        told["audiences"] = [
            {"audience": str(name), "version": int(ordinal), "entered": bool(entered)}
            for name, ordinal, entered in memberships
        ]
        told["refused"] = [decode(row[0]) for row in letters if row[0]]
        found.append(told)
    return found


def refused_of(engine: Engine, client: int, hashes: Sequence[str]) -> list[Any]:
    """The refused records that name no device but have one of the hashes (`Person.hashes`)."""
    found: dict[str, str] = {}
    for own in with_hashes(client, hashes):
        rows = engine.rows(
            "SELECT id, record FROM dead_letters WHERE client_id = {c:UInt32} "  # noqa: S608 - texts of ours
            f"AND {IN_LETTER} AND NOT match(JSONExtractString(record, 'did'), '^[0-9a-f]{{32}}$')",
            own,
        )
        found |= {str(id_): str(record) for id_, record in rows if record}
    return [decode(record) for _, record in sorted(found.items())]


def _event(one: Event) -> dict[str, Any]:
    return {
        "type": one.type,
        "at": format_instant(one.time),
        "flags": one.flags,
        "values": {name: _value(value) for name, value in one.values.items()},
    }


def _value(value: object) -> object:
    """Numbers as they were sent, to the last digit; `encode` writes them so."""
    if isinstance(value, Decimal):
        return shortest(value)
    if isinstance(value, tuple | list):
        return [_value(item) for item in value]
    if isinstance(value, dict):
        return {name: _value(item) for name, item in value.items()}
    return value
