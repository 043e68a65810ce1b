"""How a published audience lies in Redis: its keys, and the commands that move it. Pure; no I/O.

    audience:{3}:winback                  a string: the name of the key whose set holds
    audience:{3}:winback:VERSION          a set: the device keys, 16 bytes each
    audience:{3}:winback:info             a hash: version, size, at, built_at and more
    consent:{3}                           a number that every withdrawal of this client raises
    lease:{3}:refresh                     a string: who refreshes, and by which token
    fence:{3}:refresh                     a number: the last token given away

The braces keep all keys of a client on one shard, so that one MULTI can hold them. An audience with
nobody in it has no set, because Redis keeps no empty sets: its pointer names a key that does not
exist, which every command reads as an empty set. So pointer and info mean that the audience is
published, and no pointer that it is not.

A version comes in one of two ways. A new key is filled, and the pointer moved to it; or, where few
members differ, the set under the pointer is changed: then the key keeps the name of the version
that it was filled for, and `version` in the info is the one that holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from relo_dsl.errors import UserError

Command = tuple[str | int | bytes, ...]

HOLDOUT = ":holdout"
#: Members that one SADD takes: 15 times the speed of one each, and no long pause for other clients.
CHUNK = 1_000
#: Members that may enter and leave in one MULTI: other clients wait for it some milliseconds.
MOST_CHANGES = 10_000
#: While it is being filled a set lives this long after its last piece: a crash leaves nothing.
FILLING_SECONDS = 600
#: How long the version before stays readable for whoever has just read the pointer. The server
#: itself drops it: a process that waits to do so could die before it does.
GRACE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class SetKeys:
    """The keys of one audience of one client. Raises UserError for a name that cannot be a key."""

    client: int
    name: str

    def __post_init__(self) -> None:
        plain = self.name.removesuffix(HOLDOUT)
        if not plain or ":" in plain:
            raise UserError(f"`{self.name}` cannot be published: a name must not hold `:`")

    @property
    def pointer(self) -> str:
        return f"audience:{{{self.client}}}:{self.name}"

    @property
    def info(self) -> str:
        return f"{self.pointer}:info"

    def version(self, version: str) -> str:
        """The key of a version; versions start with a digit, so that none is ever `info`."""
        return f"{self.pointer}:{version}"


def consent_key(client: int) -> str:
    """The number that every withdrawal and erasure of the client raises."""
    return f"consent:{{{client}}}"


def lease_key(client: int, purpose: str) -> str:
    """Who may do something for the client, as `token|holder`; expires with the lease."""
    return f"lease:{{{client}}}:{purpose}"


def fence_key(client: int, purpose: str) -> str:
    """The last token that was given away; it never expires."""
    return f"fence:{{{client}}}:{purpose}"


def pieces(chunks: Iterable[Sequence[bytes]]) -> Iterator[Sequence[bytes]]:
    """The same members in pieces of CHUNK, the last one smaller: what one command each takes."""
    rest: Sequence[bytes] = ()
    for chunk in chunks:
        found = [*rest, *chunk] if rest else chunk
        whole = len(found) - len(found) % CHUNK
        for start in range(0, whole, CHUNK):
            yield found[start : start + CHUNK]
        rest = found[whole:]
    if rest:
        yield rest


def first_commands(key: str, members: Sequence[bytes | str]) -> list[Command]:
    """Starts a version that nobody reads yet. One MULTI, so that it never stays for ever."""
    return [("SADD", key, *members), ("EXPIRE", key, FILLING_SECONDS), ("SCARD", key)]


def fill_commands(key: str, piece: Sequence[Sequence[bytes | str]]) -> list[Command]:
    """Adds pieces to a version that has been started; the first answer is 0 if it has ended."""
    adding: list[Command] = [("SADD", key, *members) for members in piece]
    return [("EXPIRE", key, FILLING_SECONDS), *adding, ("SCARD", key)]


def switch_commands(
    keys: SetKeys, key: str, old_key: str | None, info: Mapping[str, str | int], expires: int
) -> list[Command]:
    """What moves the pointer to a filled key, all in one MULTI; `expires` is epoch milliseconds.

    Set, pointer and info end together, so no reader finds one without the others.
    """
    commands: list[Command] = [
        ("PEXPIREAT", key, expires),
        ("SET", keys.pointer, key),
        *_described(keys, info, expires),
    ]
    if old_key is not None:
        commands.append(("EXPIRE", old_key, GRACE_SECONDS))
    return commands


def change_commands(
    keys: SetKeys,
    key: str,
    entered: Sequence[bytes | str],
    left: Sequence[bytes | str],
    info: Mapping[str, str | int],
    expires: int,
) -> list[Command]:
    """What changes the set under the pointer, all in one MULTI; `expires` is epoch milliseconds."""
    return [
        *(("SADD", key, *entered[i : i + CHUNK]) for i in range(0, len(entered), CHUNK)),
        *(("SREM", key, *left[i : i + CHUNK]) for i in range(0, len(left), CHUNK)),
        ("PEXPIREAT", key, expires),
        *_described(keys, info, expires),
    ]


def _described(keys: SetKeys, info: Mapping[str, str | int], expires: int) -> list[Command]:
    fields = [part for item in info.items() for part in item]
    return [
        ("PEXPIREAT", keys.pointer, expires),
        # Deleted first: a field that this version does not have must not stay from the last one.
        ("DEL", keys.info),
        ("HSET", keys.info, *fields),
        ("PEXPIREAT", keys.info, expires),
    ]


# ---- as text -----------------------------------------------------------------------------------

#: What `:info` tells of a version.
INFO_FIELDS = ("version", "size", "at", "built_at", "expires_at", "fingerprint", "mask")


def publish_commands(client: int, name: str) -> list[str]:
    """The commands that publish an audience anew, as text with placeholders in capitals."""
    keys = SetKeys(client, name)
    key = keys.version("VERSION")
    members = ("MEMBER", "MEMBER", f"… up to {CHUNK}")
    commands: list[Command] = [
        ("EXISTS", key),
        ("MULTI",),
        *first_commands(key, members),
        ("EXEC",),
        *fill_commands(key, [(*members, "repeated")]),
        *_watched(keys, key),
        ("SCARD", key),
        ("MULTI",),
        *switch_commands(keys, key, keys.version("OLD"), _INFO, 0),
        ("EXEC",),
    ]
    return [_text(command) for command in commands]


def edit_commands(client: int, name: str) -> list[str]:
    """The commands that change few members of a published audience, as such text."""
    keys = SetKeys(client, name)
    key = keys.version("OLD")
    commands: list[Command] = [
        *_watched(keys),
        ("WATCH", key),
        ("SCARD", key),
        ("SMISMEMBER", key, "ENTERED", f"… up to {CHUNK}, repeated"),
        ("SMISMEMBER", key, "LEFT", f"… up to {CHUNK}, repeated"),
        ("MULTI",),
        *change_commands(keys, key, ("ENTERED", "…"), ("LEFT", "…"), _INFO, 0),
        ("EXEC",),
    ]
    return [_text(command) for command in commands]


_INFO = {field: field.upper() if field == "fingerprint" else "…" for field in INFO_FIELDS}


def _watched(keys: SetKeys, *more: str) -> list[Command]:
    consent, lease = consent_key(keys.client), lease_key(keys.client, "PURPOSE")
    return [
        ("WATCH", keys.pointer, keys.info, consent, lease, *more),
        ("MGET", keys.pointer, consent, lease),
        ("HMGET", keys.info, "version", "size"),
    ]


def _text(command: Command) -> str:
    parts = ["EXPIRES_MS" if part == 0 else str(part) for part in command]
    return " ".join(parts)
