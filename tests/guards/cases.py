"""A few histories in which every guard of the SQL makes a difference to somebody."""

from __future__ import annotations

import json

from relo_dsl.times import UNITS, parse_instant
from tests.differential.cases import Case

NOW = parse_instant("2026-06-15T12:00:00Z")
_DAY = UNITS["d"]


def _event(device: str, ago: int, *, cid: int = 0, flags: int | None = None) -> dict[str, object]:
    record: dict[str, object] = {"t": "purchase", "ts": NOW - ago, "did": device, "cid": cid}
    record |= {"props": {"revenue": 10}, "eid": f"{device}-{ago}-{cid}"}
    return record if flags is None else {**record, "flags": flags}


def _identify(device: str, ago: int, *, flags: int | None = None) -> dict[str, object]:
    record = {"t": "identify", "ts": NOW - ago, "did": device, "cid": 0, "eid": f"i-{device}-{ago}"}
    record |= {"traits": {"age": 7}}
    return record if flags is None else {**record, "flags": flags}


def _consent(device: str, ago: int, flags: int, *, cid: int = 0) -> dict[str, object]:
    return {"t": "consent", "ts": NOW - ago, "did": device, "cid": cid, "consent": flags,
            "eid": f"c-{device}-{ago}-{cid}"}  # fmt: skip


_RECORDS = (
    # bought, seen by everybody who may look; and only asked once more later
    _event("ana", _DAY),
    _identify("ana", _DAY),
    # only another client knows it
    _event("other", _DAY, cid=1),
    # told its age to another client only
    _event("stranger", _DAY),
    {**_identify("stranger", _DAY), "cid": 1},
    # has not happened yet
    _event("future", -1),
    _identify("future", -1),
    # carried no consent
    _event("silent", _DAY, flags=0),
    _identify("silent", _DAY, flags=254),
    # withdrew since; and will withdraw only tomorrow
    _event("gone", _DAY),
    _identify("gone", _DAY),
    _consent("gone", 1, 254),
    _event("going", _DAY),
    _consent("going", -1, 0),
    # withdrew at another client only
    _event("elsewhere", _DAY),
    _consent("elsewhere", 1, 0, cid=1),
    # too old, with and without the grant that lengthens it, one of them no longer granted
    _event("old", 100 * _DAY),
    _identify("old", 100 * _DAY),
    _consent("kept", 120 * _DAY, 255),
    _event("kept", 100 * _DAY),
    _identify("kept", 100 * _DAY),
    _consent("revoked", 120 * _DAY, 255),
    _event("revoked", 100 * _DAY),
    _consent("revoked", 1, 191),
    _consent("ancient", 400 * _DAY, 255),
    _event("ancient", 300 * _DAY),
    _identify("ancient", 300 * _DAY),
)
_TEXTS = (
    "purchase",
    "no view",
    "user.age = 7",
    "not user.age = 8",
    "count(purchase) = 1",
    "in list vip",
    "not in list vip",
)
#: The runner gives the lists of a client to devices `a` (an old version) and `b` (another client).
CASES = tuple(
    Case(
        f"audience main\n  match {text}\n",
        "kept 2 to 5 months",
        tuple(map(json.dumps, (*_RECORDS, *(_event(name, _DAY) for name in "ab")))),
        len(_RECORDS),
        (("vip", frozenset({"ana", "gone"})),),
        (NOW,),
    )
    for text in _TEXTS
)
