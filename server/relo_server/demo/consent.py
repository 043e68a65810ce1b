"""Consent records for the demo shop: the one thing in the demo that is made up.

The real data say nothing of consent. So that "held back by consent" has something to show, a hash
of a household's number decides, the same on every machine, whether it once withdrew something.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from relo_dsl.records import Record
from relo_dsl.times import parse_instant
from relo_server.demo.shift import Shift

#: (share of the households, flags from then on, what they did).
CHOICES = (
    (0.06, 251, "withdrew ads"),
    (0.02, 0, "withdrew everything"),
    (0.03, 239, "withdrew email"),
    (0.02, 223, "withdrew push"),
    (0.03, 255, "granted longer retention"),
)
#: Choices fall between these two days of the original year, at noon UTC.
_FIRST, _DAYS = parse_instant("2017-02-01T12:00:00Z"), 330


def made_up_consent(households: Iterable[str], shift: Shift, client: int) -> Iterator[Record]:
    """At most one consent record for each household; about one in six has one."""
    moved = shift.clock()
    for household in sorted(set(households)):
        digest = hashlib.sha256(f"demo consent {household}".encode()).digest()
        flags = _choice(int.from_bytes(digest[:8], "big") / 2**64)
        if flags is None:
            continue
        day = int.from_bytes(digest[8:12], "big") % _DAYS
        yield Record(
            "consent", "consent", moved(_FIRST + day * 86_400_000), client, household,
            f"consent-{household}", None, {}, flags,
        )  # fmt: skip


def _choice(u: float) -> int | None:
    for share, flags, _ in CHOICES:
        if u < share:
            return flags
        u -= share
    return None
