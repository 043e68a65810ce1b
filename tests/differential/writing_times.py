"""Conditions on values that are times and on points."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.differential.definitions import Writer

_AGES = ("7d", "1d", "30d", "1ms", "1h", "365d", "366d", "2d", "12h", "1s", "60d", "400d")
_LENGTHS = (
    "1km", "800m", "1m", "5km", "111.195km", "0.5m", "20015.114km", "20015.115km", "10007.557km",
    "30000km", "157.2km", "0.000000001m",
)  # fmt: skip
_CENTRES = ("(0, 0)", "(90, 0)", "(0, 180)", "(19.4326, -99.1332)", "(-90, 12.5)", "(0.5, -180)")
_PLACES = ("polanco", "north_pole", "Null Island", "dateline")
_ZONES = ("square", "diamond", "bow", "centro", "thin")
_TIMES = ("purchase.at", "purchase.due", "view.at", "(purchase | view).at", "any event.at")
_TRAITS = ("user.born", "user.seen")
_POINTS = ("purchase.location", "view.location", "any event.location", "user.home")


def time_test(writer: Writer, path: str) -> str:
    """A window or an anniversary of a time."""
    pen = writer.pen
    window = f"within next {pen.pick(_AGES)}" if pen.chance(40) else writer.window()
    return f"{path} anniversary {window}" if pen.chance(30) else f"{path} {window}"


def point_test(writer: Writer, path: str) -> str:
    """A distance or a zone of a point."""
    pen = writer.pen
    if pen.chance(40):
        return f'{path} in zone("{pen.pick(_ZONES)}")'
    centre = f'place("{pen.pick(_PLACES)}")' if pen.chance(40) else pen.pick(_CENTRES)
    return f"{path} within {pen.pick(_LENGTHS)} of {centre}"


def leaf(writer: Writer, depth: int) -> tuple[str, bool]:
    """A condition, and whether a window after it would repeat something."""
    pen = writer.pen
    missing = " or missing" if pen.chance(15) else ""
    if pen.chance(40):
        if pen.chance(50):
            return point_test(writer, "user.home") + missing, False
        return time_test(writer, pen.pick(_TRAITS)) + missing, not missing
    if pen.chance(50):
        test = point_test(writer, pen.pick(_POINTS[:-1])) + missing
        return f"{test} {writer.window()}" if pen.chance(40) else test, True
    test = time_test(writer, pen.pick(_TIMES)) + missing
    if pen.chance(30):
        test = f"{test} {writer.window()}"
    elif pen.chance(20) and not missing:
        test = f"count({test}) >= {pen.pick(('1', '2', '0'))}"
    return ("no " if pen.chance(20) and not test.startswith("count") else "") + test, True
