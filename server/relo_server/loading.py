"""Loading files: every record is counted as accepted, duplicate or refused, and none is lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from relo_dsl.catalog import Catalog, Retention
from relo_dsl.engine import Engine, EngineError, load_records
from relo_dsl.errors import UserError
from relo_dsl.inputs import Progress, Row, read_rows
from relo_dsl.mapping import Mapped, TableMapping, read_mapped
from relo_dsl.records import Record, RecordError, parse_record
from relo_dsl.settings import Settings
from relo_dsl.times import subtract_months
from relo_server.sets import Sets
from relo_server.versions.publisher import Publisher
from relo_server.versions.withdrawal import withdraw

#: How many refusals a report shows; `refused_file` gets all of them.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that was not loaded: where it stands, why, and the value that was in the way."""

    file: str
    line: int
    reason: str
    field: str | None
    value: str
    rows: int = 1

    def to_json(self) -> dict[str, object]:
        """One line of the file of refusals, without the record itself."""
        return {
            "file": self.file,
            "line": self.line,
            "rows": self.rows,
            "reason": self.reason,
            "field": self.field,
            "value": self.value,
        }


@dataclass
class Loaded:
    """What became of the records of some files.

    `reasons` and `reason_rows` count refused records, and the rows they were made of, by mistake;
    `expired` counts accepted events that are older than the retention, which the store drops (all
    but those for which flag 64 was granted); `repeated_rows` rows left out by a mapping.
    `withdrawn` counts how often a device left a published set, because of consent records.
    """

    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    expired: int = 0
    repeated_rows: int = 0
    withdrawn: int = 0
    seconds: float = 0.0
    kinds: Mapping[str, int] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    reason_rows: Counter[str] = field(default_factory=Counter)
    first: list[Refusal] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """What `relo load --json` prints."""
        return {
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "refused": self.refused,
            "expired": self.expired,
            "repeated_rows": self.repeated_rows,
            "withdrawn": self.withdrawn,
            "kinds": dict(self.kinds),
            "reasons": [
                {"reason": reason, "records": count, "rows": self.reason_rows[reason]}
                for reason, count in self.reasons.most_common()
            ],
            "first": [refusal.to_json() for refusal in self.first],
            "seconds": round(self.seconds, 3),
        }


def load_files(
    engine: Engine,
    paths: Sequence[str],
    *,
    catalog: Catalog,
    key: bytes,
    client: int | None,
    mapping: TableMapping | None = None,
    refused_file: Path | None = None,
    progress: Progress | None = None,
    now: int | None = None,
    consent_of: Callable[[int], object] = lambda _: None,
) -> Loaded:
    """Loads files into the engine, one after the other.

    `client` is that of records that name none; `now`, in epoch milliseconds, is what their age is
    told from (None: `expired` is not counted). `refused_file` gets every refused record as a JSON
    line, with its reason and what stood in the file; `consent_of` the client of every consent
    record, before it is stored. Raises UserError for a file that cannot be read; what was stored
    before that stays, and loading all again changes nothing about it.
    """
    with _opened(refused_file) as output:
        source = _Source(paths, catalog, client, mapping, output, progress)
        source.consent_of = consent_of
        if now is not None:
            source.oldest = subtract_months(now, (catalog.retention or Retention()).months)
        report = load_records(
            engine, source.records(), catalog=catalog, key=key, refused=source.refuse_typed
        )
    done = source.loaded
    done.accepted, done.duplicate, done.kinds = report.accepted, report.duplicate, report.kinds
    done.seconds = report.seconds
    return done


def withdraw_everywhere(
    settings: Settings, engine: Engine, catalog: Catalog, clients: Collection[int], by: str
) -> int:
    """Takes out of the published sets of these clients whoever must not be in them by now.

    Returns how often a device left a set. Raises UserError where that could not be done.
    """
    if settings.sets == "embedded" and not (settings.data / "sets").exists():
        return 0  # nothing was ever published
    left = 0
    try:
        with Sets.open(settings) as sets:
            publisher = Publisher(engine, sets, catalog.flags_of, by)
            for client in sorted(clients):
                left += sum(version.left for version in withdraw(publisher, client))
    except (UserError, EngineError) as error:
        message = error.message if isinstance(error, UserError) else str(error)
        raise UserError(
            "the records are stored, and who withdrew by them may still be in published sets: "
            f"{message}",
            "load the same files again, or build: either takes them out",
        ) from error
    return left


def _opened(path: Path | None) -> AbstractContextManager[TextIO | None]:
    return nullcontext() if path is None else path.open("w", encoding="utf-8")


class _Source:
    """Reads records and remembers where the last one came from, to say so if it is refused."""

    def __init__(
        self,
        paths: Sequence[str],
        catalog: Catalog,
        client: int | None,
        mapping: TableMapping | None,
        output: TextIO | None,
        progress: Progress | None,
    ) -> None:
        self._client = client
        self._output = output
        self._read: Callable[[str], Iterator[Row] | Iterator[Mapped]]
        if mapping is None:
            self._read = lambda path: read_rows(path, catalog, progress)
        else:
            self._read = lambda path: read_mapped(path, mapping, catalog, progress)
        self._paths = paths
        self._item: Row | Mapped | None = None
        self.oldest: int | None = None
        self.consent_of: Callable[[int], object] = lambda _: None
        self.loaded = Loaded()

    def records(self) -> Iterator[Record]:
        """Every record that can be read; the others are noted."""
        for path in self._paths:
            for item in self._read(path):
                self._item = item
                if isinstance(item, Mapped):
                    self.loaded.repeated_rows += item.repeated
                try:
                    if isinstance(item.content, RecordError):
                        raise item.content
                    record = parse_record(item.content, self._client)
                except RecordError as error:
                    self._note(item, error)
                else:
                    self.loaded.expired += self._is_expired(record)
                    if record.kind == "consent":
                        self.consent_of(record.client)
                    yield record

    def _is_expired(self, record: Record) -> bool:
        return record.kind == "event" and self.oldest is not None and record.time < self.oldest

    def refuse_typed(self, _record: Record, error: RecordError) -> None:
        """Notes the record that was taken last: its values have other types than the catalog's."""
        assert self._item is not None
        self._note(self._item, error)

    def _note(self, item: Row | Mapped, error: RecordError) -> None:
        sources = item.sources if isinstance(item, Mapped) else (_original(item),)
        refusal = Refusal(
            item.file, item.line, error.reason, error.field, error.value, len(sources)
        )
        reason = f"{error.field}: {error.reason}" if error.field else error.reason
        done = self.loaded
        done.refused += 1
        done.reasons[reason] += 1
        done.reason_rows[reason] += refusal.rows
        if len(done.first) < SHOWN:
            done.first.append(refusal)
        if self._output is not None:
            line = {**refusal.to_json(), "source": list(sources)}
            self._output.write(exact_json(line) + "\n")


def _original(row: Row) -> Any:
    return row.text if isinstance(row.content, RecordError) else row.content


def exact_json(value: Any) -> str:
    """JSON in which decimals stay numbers, digit for digit; one line."""
    match value:
        case Decimal():
            return str(value)
        case Mapping():
            parts = (f"{_quoted(str(k))}:{exact_json(v)}" for k, v in value.items())
            return "{" + ",".join(parts) + "}"
        case list() | tuple():
            return "[" + ",".join(map(exact_json, value)) + "]"
        case str():
            return _quoted(value)
        case _:
            return json.dumps(value)


def _quoted(text: str) -> str:
    """A JSON string; half a surrogate pair, which UTF-8 cannot write, is escaped."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False)
