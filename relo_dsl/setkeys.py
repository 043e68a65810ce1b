"""How a published audience lies in Redis: its keys, and the commands that move it. Pure; no I/O.

    audience:{3}:winback                  a string: the name of the version that holds
    audience:{3}:winback:VERSION          a set: the device keys, 16 bytes each
    audience:{3}:winback:info             a hash: size, version, at, built_at and more

The braces keep all keys of a client on one shard, so that one MULTI can hold them. An audience with
nobody in it has no set, because Redis keeps no empty sets: its pointer names a version whose key
does not exist, which every command reads as an empty set. So a pointer means that the audience is
published, and no pointer that it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relo_dsl.errors import UserError

Command = tuple[str | int | bytes, ...]

HOLDOUT = ":holdout"
#: Members that one SADD takes: 15 times the speed of one each, and no long pause for other clients.
CHUNK = 1_000
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


def fill_commands(key: str, members: tuple[bytes | str, ...]) -> list[Command]:
    """Adds one piece to a version that nobody reads yet."""
    return [("SADD", key, *members), ("EXPIRE", key, FILLING_SECONDS)]


def switch_commands(
    keys: SetKeys, version: str, old_key: str | None, info: Mapping[str, str | int], expires: int
) -> list[Command]:
    """What moves the pointer, all in one MULTI; `expires` is epoch milliseconds.

    Set, pointer and info end together, so no reader finds one without the others.
    """
    key = keys.version(version)
    fields = [part for item in info.items() for part in item]
    commands: list[Command] = [
        ("PEXPIREAT", key, expires),
        ("SET", keys.pointer, key),
        ("PEXPIREAT", keys.pointer, expires),
        # Deleted first: a field that this version does not have must not stay from the last one.
        ("DEL", keys.info),
        ("HSET", keys.info, *fields),
        ("PEXPIREAT", keys.info, expires),
    ]
    if old_key is not None:
        commands.append(("EXPIRE", old_key, GRACE_SECONDS))
    return commands


def publish_commands(client: int, name: str) -> list[str]:
    """The commands that publish an audience, as text with placeholders in capitals."""
    keys = SetKeys(client, name)
    key = keys.version("VERSION")
    info = dict.fromkeys(("version", "size", "at", "built_at", "expires_at"), "…")
    info["fingerprint"] = "FINGERPRINT"
    commands: list[Command] = [
        *fill_commands(key, ("MEMBER", "MEMBER", f"… up to {CHUNK}, repeated")),
        ("WATCH", keys.pointer),
        ("GET", keys.pointer),
        ("MULTI",),
        *switch_commands(keys, "VERSION", keys.version("OLD"), info, 0),
        ("EXEC",),
    ]
    return [_text(command) for command in commands]


def _text(command: Command) -> str:
    parts = ["EXPIRES_MS" if part == 0 else str(part) for part in command]
    return " ".join(parts)
