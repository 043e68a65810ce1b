"""AppsFlyer's raw-data reports, taken hour by hour from its Pull API: what no postback told of.

Each report of each app has a cursor, the instant up to which it was taken, and is asked for again
from a while before that, because rows come late. A row is the record that its postback would be,
with the same id, so whatever comes twice, by overlap, by repetition or by both ways, counts once.
The cursor moves when everything before it is on disk; whatever ends a pull midway, the next one
begins where it stood. Reports are read as they come and never written: they hold raw ids.

AppsFlyer counts calls, for each report, app and day, so an hour is to cost one. Mostly it reaches
back a little; a few times a day it reaches back as far as rows may be late, from a second cursor:
the instant by which everything before it, the late rows too, had been asked for.

https://support.appsflyer.com/hc/en-us/articles/360007530258 (parameters and columns),
https://support.appsflyer.com/hc/en-us/articles/207034366 (how many calls).
"""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from relo_dsl.errors import UserError
from relo_dsl.records import RecordError
from relo_dsl.settings import App, Ingest
from relo_dsl.times import UNITS, format_instant, parse_instant
from relo_server.ingest.appsflyer import record_of
from relo_server.ingest.intake import Checked, Intake, Raw, Sent

if TYPE_CHECKING:
    from typing_extensions import Buffer

SOURCE = "appsflyer-pull"
#: Records kept at a time.
_TOGETHER = 5_000
#: The longest that is asked for at once, and the shortest that a full answer is cut into.
_LONGEST, _SHORTEST = UNITS["w"], UNITS["min"]
#: How often rows that are very late are looked for, and how late others may be.
_LATE_EVERY, _SHORTLY = 6 * UNITS["h"], 2 * UNITS["h"]
#: How long a row may be late.
_HISTORY = 90 * UNITS["d"]
_NEEDED = {"event_time", "appsflyer_id"}
_log = logging.getLogger("relo.ingest")


class _Full(Exception):
    """The answer has as many rows as it may: there may be more."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one report gave: rows in all, and those that were new or refused."""

    app: str
    report: str
    rows: int
    accepted: int
    refused: int


class Puller:
    """Takes the reports of all apps that have a token. `folder` holds the cursors."""

    def __init__(
        self, settings: Ingest, folder: Path, intake: Intake, clock: Callable[[], int]
    ) -> None:
        self._apps = {name: app for name, app in settings.apps.items() if app.token is not None}
        self._pull = settings.pull
        self._folder = folder
        self._intake = intake
        self._clock = clock

    @property
    def wanted(self) -> bool:
        """Whether there is any app to ask for."""
        return bool(self._apps)

    def pull(self) -> list[Pulled]:
        """Takes what there is since the last time. One report that fails keeps no other back;
        the first failure is raised at the end.
        """
        done, failed = [], None
        timeout = httpx.Timeout(self._pull.timeout)
        with httpx.Client(base_url=self._pull.url, timeout=timeout, trust_env=False) as http:
            for name, app in self._apps.items():
                for report in self._pull.reports:
                    try:
                        done.append(self._report(http, name, app, report))
                    except (UserError, httpx.HTTPError) as error:
                        told = f"{report} of {name}: {_plain(error)}"
                        _log.warning("AppsFlyer's %s", told)
                        failed = failed or UserError(f"AppsFlyer's {told}", "tried again next time")
                    except Exception as error:  # whatever it is, the others go on
                        told = f"{report} of {name}: {type(error).__name__}"
                        _log.exception("AppsFlyer's %s", told)
                        failed = failed or UserError(f"AppsFlyer's {told}", "the log says more")
        if failed is not None:
            raise failed
        return done

    def _report(self, http: httpx.Client, name: str, app: App, report: str) -> Pulled:
        cursor = Cursor(self._folder / name / report)
        late = Cursor(self._folder / name / f"{report}.late")
        now = self._clock()
        taken, looked = cursor.read(), late.read()
        overlap = self._pull.overlap_hours * UNITS["h"]
        cursors = [cursor, late]
        if taken is None:
            start = now - self._pull.first_hours * UNITS["h"]
        elif looked is None or now - looked >= _LATE_EVERY:
            # What was not there when they were looked for came after that, no later than it may.
            start = min(taken, looked or taken) - overlap
        else:
            start = taken - min(overlap, _SHORTLY)
            cursors = [cursor]
        start = max(start, now - _HISTORY)
        rows = accepted = refused = 0
        length = _LONGEST
        while start < now:
            end = min(start + length, now)
            count = 0
            try:
                for found in self._batches(http, name, app, report, start, end):
                    checked = self._kept(Sent(app.client, SOURCE, now), found)
                    count += len(found)
                    accepted += len(checked.records)
                    refused += len(checked.refused)
            except _Full:
                rows += count
                if length <= _SHORTEST:
                    raise UserError(
                        f"more than {self._pull.most_rows:,} rows in a minute",
                        "take them with AppsFlyer's Data Locker",
                    ) from None
                length = max(min(length, end - start) // 2, _SHORTEST)
                continue
            rows += count
            for one in cursors:
                one.advance(end)
            start = end
            if 3 * count < self._pull.most_rows:
                length = min(2 * length, _LONGEST)
        return Pulled(name, report, rows, accepted, refused)

    def _kept(self, sent: Sent, found: list[Raw]) -> Checked:
        """Has rows on disk. One that cannot even be checked is refused; it keeps none back."""
        try:
            checked = self._intake.check(sent, found)
            self._intake.keep(checked).result()
        except (UserError, OSError):
            raise
        except Exception:
            # They count once, so those that are there already may come again.
            checked = self._intake.check(sent, [self._good(sent, raw) for raw in found])
            self._intake.keep(checked).result()
        return checked

    def _good(self, sent: Sent, raw: Raw) -> Raw:
        """A row that can be kept; what is wrong with any other."""
        try:
            _ = self._intake.check(sent, [raw]).payload
        except Exception as error:
            return _unreadable(error)
        return raw

    def _batches(
        self, http: httpx.Client, name: str, app: App, report: str, start: int, end: int
    ) -> Iterator[list[Raw]]:
        assert app.token is not None
        headers = {
            "Authorization": f"Bearer {app.token.get_secret_value()}", "Accept": "text/csv",
        }  # fmt: skip
        asked: dict[str, str | int] = {
            "from": _asked(start), "to": _asked(end), "timezone": "UTC",
            "maximum_rows": self._pull.most_rows,
            "additional_fields": "blocked_reason,blocked_reason_value,campaign_type,"
            "conversion_type,oaid,amazon_aid",
        }  # fmt: skip
        path = f"/api/raw-data/export/app/{name}/{report}/v5"
        with http.stream("GET", path, params=asked, headers=headers) as answer:
            if answer.status_code != 200:
                text = answer.read()[:200].decode("utf-8", "replace")
                raise UserError(f"it answered {answer.status_code}: {text}")
            count = 0
            rows = _rows(answer)
            while batch := list(islice(rows, _TOGETHER)):
                count += len(batch)
                yield [self._record(row, name) for row in batch]
        if count >= self._pull.most_rows:
            raise _Full

    def _record(self, row: dict[str | None, Any], name: str) -> Raw:
        if None in row:
            return RecordError("the row has more cells than the header")
        message = {str(column): value for column, value in row.items()}
        try:
            return record_of({**message, "app_id": name}, self._clock(), _HISTORY + UNITS["d"])
        except Exception as error:
            return _unreadable(error)


def _unreadable(error: Exception) -> RecordError:
    # Not what the error says: that may be of the row, which is no text for a log.
    return RecordError(f"the row cannot be read: {type(error).__name__}")


def _asked(instant: int) -> str:
    """A time as the API takes it; a minute that has begun belongs to it whole."""
    return format_instant(instant)[:16].replace("T", " ")


def _plain(error: Exception) -> str:
    return error.message if isinstance(error, UserError) else str(error) or type(error).__name__


def _rows(answer: httpx.Response) -> Iterator[dict[str | None, Any]]:
    """The rows by the names that Push API calls their columns. Raises UserError for no report."""
    text = io.TextIOWrapper(
        io.BufferedReader(_Body(answer)), encoding="utf-8-sig", errors="replace", newline=""
    )
    lines = csv.reader(text)
    try:
        names = [name.strip().lower().replace(" ", "_") for name in next(lines, [])]
        if not set(names) >= _NEEDED:
            first = ",".join(names)[:100]
            raise UserError(f"its answer is no report, but begins with `{first}`")
        yield from csv.DictReader(text, fieldnames=names)
    except csv.Error as error:
        raise UserError(f"its CSV cannot be read: {error}") from error


class _Body(io.RawIOBase):
    """The body of a response as a file, without holding it."""

    def __init__(self, answer: httpx.Response) -> None:
        self._parts = answer.iter_bytes()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        room = memoryview(buffer)
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = part
        size = min(len(room), len(self._rest))
        room[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


class Cursor:
    """An instant in a file; after a crash it is the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int | None:
        """The instant, or None where there is none yet. Raises UserError for anything else."""
        try:
            return parse_instant(self._path.read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise UserError(
                f"{self._path} is no cursor", "delete it: the report is taken from the beginning"
            ) from error

    def advance(self, instant: int) -> None:
        """Writes a later instant than it has; it never goes back."""
        there = self.read()
        if there is None or instant > there:
            self.write(instant)

    def write(self, instant: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f"{self._path.name}.new")
        with draft.open("w", encoding="utf-8") as file:
            file.write(format_instant(instant) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
