"""Moving the demo's year of data to now, by whole weeks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from relo_dsl.times import from_millis, to_millis

#: The shop's clock. The files hold UTC: its last basket, 2018-01-01T04:01Z, is Sunday 23:01 here.
SHOP_ZONE = "America/New_York"
#: Monday of the last week in the data, which ends on Sunday 2017-12-31.
LAST_MONDAY = date(2017, 12, 25)


@dataclass(frozen=True, slots=True)
class Shift:
    """How far every date moves: whole weeks, so that weekdays and hours of the day stay."""

    weeks: int

    @classmethod
    def ending_in_week_of(cls, now: int) -> Shift:
        """The shift after which the data end on the Sunday of the shop's week that holds `now`.

        `now` is epoch milliseconds. Until that Sunday the last days are still to come: an event
        after T does not exist yet, so the demo shop's customers go on buying all week.
        """
        today = datetime.fromtimestamp(now / 1000, ZoneInfo(SHOP_ZONE)).date()
        monday = today - timedelta(days=today.weekday())
        return cls((monday - LAST_MONDAY).days // 7)

    @property
    def last_day(self) -> date:
        """The Sunday that the data end on."""
        return LAST_MONDAY + timedelta(days=6, weeks=self.weeks)

    def clock(self) -> Callable[[int], int]:
        """A function from an original instant to the shifted one, both in epoch milliseconds.

        The wall clock of the shop stays: a basket of Friday 18:05 is one of a Friday 18:05, on
        whichever side of a change of the clocks it falls.
        """
        zone, distance = ZoneInfo(SHOP_ZONE), timedelta(weeks=self.weeks)

        def moved(instant: int) -> int:
            return to_millis(from_millis(instant).astimezone(zone) + distance)

        return moved
