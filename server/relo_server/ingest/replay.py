"""Dead letters sent again: as they were, after the catalog was put right, or corrected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from relo_dsl.catalog import Catalog
from relo_dsl.engine import Engine, load_records
from relo_dsl.records import Record, RecordError, check_types, parse_record
from relo_server.ingest.dead_letters import DeadLetter, forget


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of letters: stored, there already, and those that are refused still, by id."""

    accepted: int
    duplicate: int
    refused: Mapping[str, RecordError]
    withdrawing: bool


def answer_of(parts: Sequence[Replayed]) -> dict[str, Any]:
    """What whoever sent letters again, in one part or several, is answered."""
    return {
        "accepted": sum(one.accepted for one in parts),
        "duplicate": sum(one.duplicate for one in parts),
        "refused": [
            {"id": id_, "reason": error.reason, "field": error.field, "value": error.value}
            for one in parts
            for id_, error in one.refused.items()
        ],
    }


def replay(
    engine: Engine, catalog: Catalog, letters: Sequence[DeadLetter],
    corrected: Mapping[str, dict[str, Any]] | None = None,
) -> Replayed:  # fmt: skip
    """Stores the records of a client's letters, or what stands for one in `corrected`, by its id.

    Letters whose records are stored go. Of records without an `eid`, that of the letter counts, so
    that sending a letter twice stores it once. Raises EngineError; then call it again.
    """
    good: list[Record] = []
    done: list[str] = []
    refused: dict[str, RecordError] = {}
    for letter in letters:
        raw = (corrected or {}).get(letter.id, letter.record)
        try:
            good.append(_record(letter, raw, catalog))
            done.append(letter.id)
        except RecordError as error:
            refused[letter.id] = error
    report = load_records(
        engine, good, catalog=catalog, key=b"", device_of=lambda _, key: bytes.fromhex(key)
    )
    if done:
        forget(engine, letters[0].client, done)
    withdrawing = any(record.kind == "consent" for record in good)
    return Replayed(report.accepted, report.duplicate, refused, withdrawing)


def _record(letter: DeadLetter, raw: dict[str, Any] | None, catalog: Catalog) -> Record:
    if raw is None:
        raise RecordError("there is no record in it: it was no JSON")
    device = raw.get("did")
    if not isinstance(device, str) or not _is_key(device):
        raise RecordError("expected the key of a device, 32 hex digits", "did")
    record = parse_record({"eid": letter.id, **raw}, letter.client)
    if record.client != letter.client:
        raise RecordError("the record is of another client", "cid", record.client)
    check_types(record, catalog)
    return replace(record, time=letter.received) if record.kind == "consent" else record


def _is_key(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 16 and text == text.lower()
    except ValueError:
        return False
