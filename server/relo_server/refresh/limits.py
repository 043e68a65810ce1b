"""Sizes that speak against publishing."""

from __future__ import annotations

from relo_dsl.settings import Publishing
from relo_server.versions.ledger import Version


def too_different(size: int, last: Version | None, now: int, limits: Publishing) -> str | None:
    """Why so many members are held back, beside those of the last version; None: they are not.

    A last version that is small, or whose `ttl` is over, says nothing.
    """
    if last is None or last.size < limits.compared_from or last.expires <= now:
        return None
    if size < last.size * limits.smallest_share:
        return (
            f"{size:,} members are less than {limits.smallest_share.normalize():f} of the last "
            f"version's {last.size:,} (`smallest_share`)"
        )
    if size > last.size * limits.largest_share:
        return (
            f"{size:,} members are more than {limits.largest_share.normalize():f} times the last "
            f"version's {last.size:,} (`largest_share`)"
        )
    return None
