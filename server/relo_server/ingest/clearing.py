"""Consent that is changed in part: some bits go or come, and the others stay as they were.

What the others are is known when such a record is stored (`relo_dsl.engine.staging`), and once more
when an older one is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from relo_dsl.records import Record, RecordError, parse_record

#: The keys of a record that changes consent in part: bits that are withdrawn, bits that are given.
CLEAR, GRANT = "clear", "grant"


def is_partial(raw: Mapping[str, Any]) -> bool:
    """Whether a raw record changes consent in part."""
    return raw.get("t") == "consent" and (CLEAR in raw or GRANT in raw)


def parse_any(raw: Mapping[str, Any], client: int) -> Record:
    """A checked record from a raw one of a client, which may change consent in part. Raises
    RecordError.
    """
    if not is_partial(raw):
        return parse_record(raw, client)
    cleared, granted = _bits(raw, CLEAR), _bits(raw, GRANT)
    if "consent" in raw:
        raise RecordError("a record says all of the consent, or what changes", "consent")
    if cleared & granted:
        raise RecordError("a bit is given and withdrawn at once", GRANT, granted)
    rest = {name: value for name, value in raw.items() if name not in (CLEAR, GRANT)}
    whole = parse_record({**rest, "consent": 0}, client)
    return replace(whole, consent=None, cleared=cleared, granted=granted)


def _bits(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not (name in raw) <= value <= 255:
        raise RecordError("expected bits of consent, from 1 to 255", name, value)
    return value
