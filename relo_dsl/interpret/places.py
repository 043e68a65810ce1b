"""Predicates on values that are points: distances and areas."""

from __future__ import annotations

import math

from relo_dsl.geo import HALF_RADIAN, RADIAN, Circle, edges
from relo_dsl.terms import InArea, Near


def near(predicate: Near, point: tuple[float, float]) -> bool:
    """Whether the point is near enough, by the haversine of the distance."""
    circle = Circle.of(predicate.latitude, predicate.longitude, predicate.metres)
    if circle.limit is None:
        return True
    latitude, longitude = point
    north = math.sin((latitude - circle.latitude) * HALF_RADIAN)
    east = math.sin((longitude - circle.longitude) * HALF_RADIAN)
    along = math.cos(latitude * RADIAN) * circle.cosine * (east * east)
    return north * north + along <= circle.limit


def in_area(predicate: InArea, point: tuple[float, float]) -> bool:
    """Whether a line from the point due east crosses an odd number of edges."""
    latitude, longitude = point
    crossed = [
        edge
        for edge in edges(predicate.corners)
        if edge.low <= latitude < edge.high
        and longitude < edge.start + (latitude - edge.low) * edge.slope
    ]
    return len(crossed) % 2 == 1
