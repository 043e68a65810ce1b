"""Dead letters sent again: as they were, after the catalog was put right, or corrected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from relo_dsl.catalog import Catalog
from relo_dsl.engine import Engine, load_records
from relo_dsl.records import Record, RecordError, check_types
from relo_server.ingest.amounts import Amounts
from relo_server.ingest.clearing import parse_any
from relo_server.ingest.dead_letters import DeadLetter, forget
from relo_server.ingest.pixel.visits import SOURCE as PAGE
from relo_server.ingest.pixel.visits import refusal
from relo_server.ingest.protect import protect


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of letters: stored, there already, and those that are refused still, by id."""

    accepted: int
    duplicate: int
    refused: Mapping[str, RecordError]


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


class Again:
    """Sends letters again as they would come in now."""

    def __init__(
        self, engine: Engine, catalog: Catalog, key: bytes, withdraw: Callable[[int], object],
        clock: Callable[[], int], *, calling_code: str | None = None,
        amounts: Amounts | None = None,
    ) -> None:  # fmt: skip
        """`key` is the installation's; `withdraw` takes whom a client must not publish any more out
        of its sets.
        """
        self._engine = engine
        self._catalog = catalog
        self._key = key
        self._withdraw = withdraw
        self._clock = clock
        self._calling_code = calling_code
        self._amounts = amounts

    def replay(
        self, letters: Sequence[DeadLetter], corrected: Mapping[str, dict[str, Any]] | None = None
    ) -> Replayed:
        """Stores the records of a client's letters, or what stands for one in `corrected`, by its
        id.

        Letters whose records are stored go. Of records without an `eid`, that of the letter counts,
        so that sending a letter twice stores it once. Raises EngineError or UserError as engine and
        sets do; then call it again.
        """
        good: list[Record] = []
        done: list[str] = []
        refused: dict[str, RecordError] = {}
        for letter in letters:
            try:
                good.append(self._record(letter, (corrected or {}).get(letter.id)))
                done.append(letter.id)
            except RecordError as error:
                refused[letter.id] = error
        report = load_records(
            self._engine, good, catalog=self._catalog, key=b"",
            device_of=lambda _, key: bytes.fromhex(key), now=self._clock(),
        )  # fmt: skip
        # While the letters are there, it can be done once more.
        if any(record.kind == "consent" for record in good):
            self._withdraw(letters[0].client)
        if done:
            forget(self._engine, letters[0].client, done)
        return Replayed(report.accepted, report.duplicate, refused)

    def _record(self, letter: DeadLetter, corrected: dict[str, Any] | None) -> Record:
        raw = letter.record if corrected is None else corrected
        if raw is None:
            raise RecordError("there is no record in it: it was no JSON")
        device = raw.get("did")
        if not isinstance(device, str) or not _is_key(device):
            raise RecordError("expected the key of a device, 32 hex digits", "did")
        # What a page may not say does not become true by being sent again; what somebody with a
        # credential has written in its place is theirs to say.
        if corrected is None and letter.source == PAGE:
            error = refusal(raw, proven=False)
            if error is not None:
                raise error
        rest = {name: value for name, value in raw.items() if name != "did"}
        clean = dict(protect(rest, self._key, self._calling_code))
        whole = {"eid": letter.id, **clean, "did": device}
        record = parse_any(whole, letter.client)
        if record.client != letter.client:
            raise RecordError("the record is of another client", "cid", record.client)
        check_types(record, self._catalog)
        if self._amounts is not None and self._amounts.wanted(letter.client):
            self._amounts.refresh()
            self._amounts.add(whole, record)
            record = parse_any(whole, letter.client)
        return replace(record, time=letter.received) if record.kind == "consent" else record


def _is_key(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 16 and text == text.lower()
    except ValueError:
        return False
