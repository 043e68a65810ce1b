"""What a purchase is worth in the client's currency, by a table of rates in a file.

An event's `revenue` stays as it came, in its `currency`; `revenue_local` is added beside it, at the
rate of the event's day. The table is CSV with the columns `day,from,to,rate`: from that day on (in
UTC) one `from` is `rate` `to`. Nothing is asked of any network.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from relo_dsl.errors import UserError
from relo_dsl.numbers import EXACT, LIMIT, NumberError, cut, exact
from relo_dsl.records import Record
from relo_dsl.times import UNITS, parse_instant
from relo_server.ingest.rereading import Reread

AMOUNT, CURRENCY, LOCAL = "revenue", "currency", "revenue_local"
_COLUMNS = ("day", "from", "to", "rate")
_Pair = tuple[str, str]


class Rates:
    """Rates by pair of currencies, each from a day on."""

    def __init__(self, rows: Iterable[tuple[int, str, str, Decimal]]) -> None:
        """Days are epoch milliseconds of their midnight."""
        self._days: dict[_Pair, list[int]] = {}
        self._rates: dict[_Pair, list[Decimal]] = {}
        for day, source, target, rate in sorted(rows):
            self._days.setdefault((source, target), []).append(day)
            self._rates.setdefault((source, target), []).append(rate)

    def at(self, time: int, source: str, target: str) -> Decimal | None:
        """What one `source` was worth then; None where no rate is that old, or there is none."""
        if source == target:
            return Decimal(1)
        place = bisect_right(self._days.get((source, target), ()), time)
        return self._rates[source, target][place - 1] if place else None


def read_rates(path: Path) -> Rates:
    """The rates of a file. Raises UserError, which names the line, for anything else."""
    found: list[tuple[int, str, str, Decimal]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file, restkey="more", restval=""):
                number = len(found) + 2
                if not set(row) >= set(_COLUMNS) or "more" in row:
                    raise UserError(
                        f"{path}: expected the columns {', '.join(_COLUMNS)}",
                        "such as `2026-01-01,USD,MXN,17.9`",
                    )
                found.append(_rate(path, number, row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read the rates {path}: {error}") from error
    return Rates(found)


def _rate(path: Path, line: int, row: Mapping[str, str]) -> tuple[int, str, str, Decimal]:
    try:
        day = parse_instant(date.fromisoformat(row["day"].strip()).isoformat())
        rate = exact(row["rate"].strip())
    except (ValueError, NumberError) as error:
        raise UserError(
            f"{path}:{line}: this is no rate: {row['day']},{row['rate']}",
            "such as `2026-01-01,USD,MXN,17.9`",
        ) from error
    if rate <= 0:
        raise UserError(f"{path}:{line}: a rate is above zero", "such as 17.9")
    return day, _code(row["from"]), _code(row["to"]), rate


def _code(text: object) -> str:
    return str(text).strip().upper()


class Amounts:
    """Adds amounts in the currencies of clients, `currencies`. Threads may share it."""

    def __init__(self, currencies: Mapping[str, str], path: Path | None) -> None:
        """Raises UserError for a file of rates that cannot be used."""
        self._currencies = {int(client): _code(code) for client, code in currencies.items()}
        self._rates = Rates(()) if path is None else read_rates(path)
        self._file: Reread[Rates] | None = None
        if path is not None:
            self._file = Reread(path, read_rates, "the rates stay as they were")

    def wanted(self, client: int) -> bool:
        """Whether anything is added to that client's events."""
        return client in self._currencies

    def refresh(self) -> None:
        """Reads a file again that has changed; one that is wrong leaves the rates before."""
        if self._file is not None:
            self._rates = self._file() or self._rates

    def add(self, raw: dict[str, Any], record: Record) -> None:
        """Adds the amount to a raw event, if it has one and there is a rate for its day. One that
        was sent is never believed.
        """
        if record.kind != "event" or not isinstance(raw.get("props"), Mapping):
            return
        props = {name: value for name, value in raw["props"].items() if name != LOCAL}
        local = self._local(record)
        if local is not None:
            props[LOCAL] = local
        raw["props"] = props

    def _local(self, record: Record) -> Decimal | None:
        amount, currency = record.values.get(AMOUNT), record.values.get(CURRENCY)
        target = self._currencies[record.client]
        if not isinstance(amount, Decimal):
            return None
        source = _code(currency) if isinstance(currency, str) else target
        day = record.time - record.time % UNITS["d"]
        rate = self._rates.at(day, source, target)
        if rate is None:
            return None
        local = cut(EXACT.multiply(amount, rate))
        return local if abs(local) < LIMIT else None
