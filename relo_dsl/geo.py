"""Points on the earth: how data write them, and the numbers that distances and areas are made of.

Coordinates are exact decimals of degrees, latitude first. Distances and areas are worked out in
binary floats, in the same operations and the same order wherever they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

Coordinates = tuple[Decimal, Decimal]

#: Metres: the mean radius of WGS-84.
EARTH_RADIUS: Final = 6_371_008.8
#: A degree, and half a degree, in radians.
RADIAN: Final = math.pi / 180
HALF_RADIAN: Final = math.pi / 360
#: What latitude and longitude are called where a point is an object of two numbers.
SPELLINGS: Final = (("lat", "lon"), ("lat", "lng"), ("latitude", "longitude"))

_NUMBER = r"-?(?:0|[1-9][0-9]{0,2})(?:\.[0-9]{1,30})?"
#: A point as text: `19.4326,-99.1332`.
POINT_TEXT: Final = f"{_NUMBER} ?, ?{_NUMBER}"
_POINT = re.compile(POINT_TEXT, re.ASCII)


def is_on_earth(latitude: Decimal, longitude: Decimal) -> bool:
    """Whether degrees are degrees: -90 to 90 and -180 to 180, both ends included."""
    return -90 <= latitude <= 90 and -180 <= longitude <= 180


def coordinates(value: Any) -> Coordinates | None:
    """The point that a value of a record writes, `[lat, lon]` or `"lat,lon"`; None for any other.

    A tuple that is a point already is given back as it is.
    """
    pair = value
    if isinstance(value, str):
        if not _POINT.fullmatch(value):
            return None
        latitude, longitude = value.split(",")
        pair = (Decimal(latitude.strip()), Decimal(longitude.strip()))
    if not isinstance(pair, tuple) or len(pair) != 2:
        return None
    if not all(isinstance(part, Decimal) for part in pair) or not is_on_earth(*pair):
        return None
    return pair


def spelled(name: str, values: Mapping[str, Any]) -> Coordinates | None:
    """The point `name` among flat values, its parts under names of their own: `name.lat`, …"""
    for latitude, longitude in SPELLINGS:
        pair = (values.get(f"{name}.{latitude}"), values.get(f"{name}.{longitude}"))
        found = coordinates(pair)
        if found is not None:
            return found
    return None


def part_names(name: str) -> tuple[str, ...]:
    """Every name that a part of the point `name` can have."""
    return tuple(dict.fromkeys(f"{name}.{part}" for pair in SPELLINGS for part in pair))


@dataclass(frozen=True, slots=True)
class Circle:
    """All that a distance test needs to know of its centre and its radius, in floats.

    A point is within it where the haversine of its distance, `sin²(Δlat/2) + cos(lat) · cosine ·
    sin²(Δlon/2)`, is at most `limit`; None: the whole earth is. No point within it differs by
    more than `reach` degrees of latitude.
    """

    latitude: float
    longitude: float
    cosine: float
    limit: float | None
    reach: float

    @classmethod
    def of(cls, latitude: Decimal, longitude: Decimal, metres: Decimal) -> Circle:
        lat, length = float(latitude), float(metres)
        cosine = math.cos(lat * RADIAN)
        reach = length / EARTH_RADIUS / RADIAN * (1 + 1e-9) + 1e-9
        half = length / (2 * EARTH_RADIUS)
        if half >= math.pi / 2:
            return cls(lat, float(longitude), cosine, None, reach)
        sine = math.sin(half)
        return cls(lat, float(longitude), cosine, sine * sine, reach)


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of a polygon, from its southern end to its northern one, in floats of degrees.

    At a latitude `low <= y < high` it has the longitude `start + (y - low) * slope`.
    """

    low: float
    high: float
    start: float
    slope: float


def edges(corners: Sequence[Coordinates]) -> tuple[Edge, ...]:
    """The edges of a polygon, closed from the last corner to the first; those that run due east
    or west decide nothing and are left out.
    """
    found = []
    for first, second in zip(corners, [*corners[1:], corners[0]], strict=True):
        (low, start), (high, end) = sorted(((float(y), float(x)) for y, x in (first, second)))
        if low < high:
            found.append(Edge(low, high, start, (end - start) / (high - low)))
    return tuple(found)
