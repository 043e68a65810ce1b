"""Points: how data write them, distances and areas, corners and edges included."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relo_dsl.catalog import PropertyType
from relo_dsl.interpret import read
from relo_dsl.interpret import test as passes
from relo_dsl.terms import InArea, Near, OrMissing, Property

HOME = Property("home", PropertyType.POINT)
#: A degree of a great circle, in metres.
DEGREE = Decimal("111195.080233533")
SQUARE = ((0, 0), (1, 0), (1, 1), (0, 1))


def pair(latitude: Any, longitude: Any) -> tuple[Decimal, Decimal]:
    return Decimal(str(latitude)), Decimal(str(longitude))


def is_near(point: tuple[Any, Any], centre: tuple[Any, Any], metres: Any) -> bool:
    predicate = Near(HOME, *pair(*centre), Decimal(str(metres)))
    return passes(predicate, {"home": pair(*point)}, 0)


def is_inside(point: tuple[Any, Any], corners: Any = SQUARE) -> bool:
    area = InArea(HOME, tuple(pair(*corner) for corner in corners))
    return passes(area, {"home": pair(*point)}, 0)


# ---- spellings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"home": pair(19.5, -99.25)},
        {"home": "19.5,-99.25"},
        {"home": "19.5, -99.25"},
        {"home.lat": Decimal("19.5"), "home.lon": Decimal("-99.25")},
        {"home.lat": Decimal("19.5"), "home.lng": Decimal("-99.25"), "home.city": "x"},
        {"home.latitude": Decimal("19.5"), "home.longitude": Decimal("-99.25")},
    ],
)
def test_every_spelling_is_one_point(values: dict[str, Any]) -> None:
    assert read(HOME, values) == (19.5, -99.25)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"home": pair("90.000000001", 0)},
        {"home": pair(0, "-180.000000001")},
        {"home": (Decimal(1),)},
        {"home": (Decimal(1), Decimal(2), Decimal(3))},
        {"home": ("1", "2")},
        {"home": "19.5"},
        {"home": "19.5;-99"},
        {"home": "1e1,2"},
        {"home.lat": Decimal("19.5")},
        {"home.lat": Decimal("19.5"), "home.longitude": Decimal(1)},
        {"home.lat": "19.5", "home.lon": "1"},
    ],
)
def test_what_is_no_point_is_absent(values: dict[str, Any]) -> None:
    assert read(HOME, values) is None
    near = Near(HOME, *pair(0, 0), Decimal(10**9))
    assert not passes(near, values, 0)
    assert passes(OrMissing(near), values, 0)


# ---- distances ---------------------------------------------------------------------------------


def test_a_degree_of_a_meridian_and_of_the_equator() -> None:
    for point in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        assert is_near(point, (0, 0), DEGREE + Decimal("0.001"))
        assert not is_near(point, (0, 0), DEGREE - Decimal("0.001"))


def test_the_shorter_way_round() -> None:
    assert is_near((0, "179.9999"), (0, "-179.9999"), 23)
    assert not is_near((0, "179.9999"), (0, "-179.9999"), 22)
    assert is_near((90, 0), (90, 123), "0.001")  # a pole has every longitude
    assert is_near(("89.9999", 0), ("89.9999", 180), 23)


def test_half_the_earth_is_all_of_it() -> None:
    assert is_near((0, 180), (0, 0), 20_015_115)
    assert not is_near((0, 180), (0, 0), 20_015_114)
    assert is_near((-90, 0), (90, 0), 10**9)


def test_a_point_is_near_itself() -> None:
    assert is_near((19.4326, -99.1332), (19.4326, -99.1332), "0.000000001")


# ---- areas -------------------------------------------------------------------------------------


def test_edges_and_corners_belong_to_the_area_north_and_east_of_them() -> None:
    assert is_inside((0.5, 0.5))
    assert is_inside((0, 0.5))  # the southern edge
    assert is_inside((0.5, 0))  # the western edge
    assert not is_inside((1, 0.5))
    assert not is_inside((0.5, 1))
    assert is_inside((0, 0))
    for corner in ((1, 0), (1, 1), (0, 1)):
        assert not is_inside(corner)


def test_the_least_step_over_an_edge() -> None:
    step = Decimal("0.000000001")
    assert not is_inside((-step, 0.5))
    assert is_inside((1 - step, 0.5))
    assert not is_inside((0.5, -step))
    assert is_inside((0.5, 1 - step))


def test_areas_that_share_an_edge_share_no_point_and_leave_none_out() -> None:
    slanted = ((0, 0), (1, 0.3), (1, 2), (0, 2))
    west = ((0, -1), (1, -1), (1, 0.3), (0, 0))
    for tenth in range(10):
        latitude = Decimal(tenth) / 10
        for longitude in (latitude * Decimal("0.3"), Decimal("0.1"), Decimal(0)):
            point = (latitude, longitude)
            assert is_inside(point, slanted) != is_inside(point, west)


def test_direction_and_start_do_not_matter() -> None:
    for corners in (SQUARE, SQUARE[::-1], SQUARE[2:] + SQUARE[:2]):
        assert is_inside((0.5, 0.5), corners)
        assert not is_inside((1, 0.5), corners)


def test_where_an_area_crosses_itself_it_is_outside_of_what_it_runs_round_twice() -> None:
    twice = (*SQUARE, (0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5))
    assert not is_inside((0.25, 0.25), twice)
    assert is_inside((0.75, 0.75), twice)


def test_an_area_without_height_is_empty() -> None:
    assert not is_inside((10, 12), ((10, 10), (10, 20), (10, 15)))
