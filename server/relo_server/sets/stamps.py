"""What is told of a version: its id, what a publisher writes, and what a reader finds."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from relo_dsl.setkeys import SetKeys
from relo_dsl.times import format_instant, parse_instant


def new_version(now: int, after: str | None = None) -> str:
    """The id of a version built at `now` (epoch ms): sorts behind `after`, whatever the clock says.

    The random part keeps two processes apart that build in the same millisecond.
    """
    if after is not None:
        now = max(now, int(after.partition("-")[0]) + 1)
    return f"{now:013d}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a publisher says of a version. Times are epoch milliseconds.

    `size` counts its members, `at` is the instant that was evaluated, `expires_at` when the set
    ends unless it is refreshed, `fingerprint` that of the plan (may be empty), and `mask` the
    consent that every member has given.
    """

    version: str
    size: int
    at: int
    built_at: int
    expires_at: int
    fingerprint: str = ""
    mask: int = 0

    def fields(self) -> dict[str, str | int]:
        """The hash at `:info`."""
        return {
            "version": self.version,
            "size": self.size,
            "at": format_instant(self.at),
            "built_at": format_instant(self.built_at),
            "expires_at": format_instant(self.expires_at),
            "fingerprint": self.fingerprint,
            "mask": self.mask,
        }


@dataclass(frozen=True, slots=True)
class SetInfo:
    """What is published under a name; see `Stamp`.

    `key` is the set's, `whole` whether it has as many members as were published: false means that
    the server evicted or lost it.
    """

    name: str
    client: int
    version: str
    size: int
    at: int
    built_at: int
    expires_at: int
    fingerprint: str
    mask: int
    key: str
    whole: bool = True


def read_info(keys: SetKeys, key: bytes, raw: Mapping[bytes, bytes], members: int) -> SetInfo:
    """The info from what lies at `:info`, in the set named `key`, and the set's size."""
    found = {name.decode(): value.decode() for name, value in raw.items()}
    size = int(found["size"])
    return SetInfo(
        name=keys.name,
        client=keys.client,
        version=found["version"],
        size=size,
        at=parse_instant(found["at"]),
        built_at=parse_instant(found["built_at"]),
        expires_at=parse_instant(found["expires_at"]),
        fingerprint=found.get("fingerprint", ""),
        mask=int(found.get("mask", 0)),
        key=key.decode(),
        whole=members == size,
    )
