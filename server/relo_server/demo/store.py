"""Filling the project's store with the demo's data, once a week at the most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from relo_dsl.catalog import load_catalog
from relo_dsl.engine import Engine, installation_key, load_list, load_records
from relo_dsl.errors import UserError
from relo_dsl.records import Record
from relo_dsl.settings import Settings
from relo_server.demo.consent import made_up_consent
from relo_server.demo.data import EXPECTED, data_folder, data_version, records
from relo_server.demo.marker import RECORDS, Marker
from relo_server.demo.project import CLIENT, set_aside
from relo_server.demo.shift import Shift

SURVEY = "survey"
#: Told how many records of how many were read.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is in the store now. `seconds` is 0 where it was there already.

    `aside` is where an earlier week's store went.
    """

    shift: Shift
    households: int
    counts: dict[str, int]
    seconds: float
    aside: Path | None = None

    @property
    def reused(self) -> bool:
        return self.seconds == 0


def wanted(settings: Settings, now: int) -> Marker:
    """The marker of the data as they should be at `now`."""
    store = "embedded" if settings.events == "embedded" else settings.database
    weeks = Shift.ending_in_week_of(now).weeks
    return Marker(data_version(), RECORDS, weeks, store, _client(settings))


def _client(settings: Settings) -> int:
    return CLIENT if settings.client is None else settings.client


def prepare(settings: Settings, now: int) -> Path | None:
    """Makes room where the store holds another week's data. Call before the engine is opened.

    One store holds one shift: ids do not change with it, so a second one would be all duplicates.
    An embedded store is set aside, with whatever else was loaded into it, and its new place
    returned; a server's database is not ours to empty, which raises UserError.
    """
    new, old = wanted(settings, now), Marker.read(settings.data)
    if old is None or old.store != new.store or new.same_load(old):
        return None
    if settings.events != "embedded":
        raise UserError(
            f"the database `{settings.database}` holds the demo of another week or version",
            "empty it, or name another in `database` of relo.toml or in RELO_DATABASE",
        )
    Marker.path(settings.data).unlink()
    if not (settings.data / "clickhouse").exists():
        return None
    return set_aside(settings.data, f"{Shift(old.weeks).last_day:%Y-%m-%d}")


def fill(engine: Engine, settings: Settings, now: int, progress: Progress | None = None) -> Loaded:
    """Loads the demo's data, unless the marker says that they are there.

    A load that was cut short is done again; what it had stored counts as duplicate.
    """
    marker = wanted(settings, now)
    shift = Shift(marker.weeks)
    old = Marker.read(settings.data)
    if old is not None and old.complete and marker.same_load(old):
        found = _counted(engine, marker.client)
        if found[0]:  # else somebody has removed the store and left the marker
            return Loaded(shift, *found, seconds=0)
    marker.write(settings.data)
    folder, catalog = data_folder(), load_catalog(settings.catalog)
    key = installation_key(settings)
    survey: list[str] = []
    everything = _noting(all_records(folder, shift, marker.client), survey)
    report = load_records(
        engine, _counting(everything, progress), catalog=catalog, key=key,
        refused=_no_refusal,
    )  # fmt: skip
    load_list(engine, marker.client, SURVEY, survey, key=key)
    replace(marker, complete=True).write(settings.data)
    return Loaded(shift, *_counted(engine, marker.client), seconds=report.seconds)


def all_records(folder: Path, shift: Shift, client: int) -> Iterator[Record]:
    """The real records, and then the made-up consent of the same households."""
    households: set[str] = set()
    for record in records(folder, shift, client):
        households.add(record.device)
        yield record
    yield from made_up_consent(households, shift, client)


def _noting(everything: Iterable[Record], survey: list[str]) -> Iterator[Record]:
    """The same records; the households that answered the survey are noted on the way."""
    for record in everything:
        if record.kind == "identify":
            survey.append(record.device)
        yield record


def _counting(everything: Iterable[Record], progress: Progress | None) -> Iterator[Record]:
    total = sum(EXPECTED.values())
    for number, record in enumerate(everything, 1):
        if progress and number % 500 == 0:
            progress(min(number, total), total)
        yield record
    if progress:
        progress(total, total)


def _no_refusal(record: Record, error: Exception) -> None:
    raise UserError(
        f"the catalog does not fit the demo's data: {record.id}: {error}",
        "put back the shipped segments/catalog.yaml",
    )


def _counted(engine: Engine, client: int) -> tuple[int, dict[str, int]]:
    """Households that did something, and how many events of each kind there are."""
    rows = engine.rows(
        "SELECT event_type, count(), uniqExact(device) FROM events "
        "WHERE client_id = {c:UInt32} GROUP BY event_type ORDER BY event_type",
        {"c": client},
    )
    households = engine.rows(
        "SELECT uniqExact(device) FROM events WHERE client_id = {c:UInt32}", {"c": client}
    )
    return int(households[0][0]), {str(kind): int(count) for kind, count, _ in rows}
