"""The installation's key, and what it makes of device ids: raw ids are never stored."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from functools import lru_cache
from pathlib import Path

from relo_dsl.errors import UserError
from relo_dsl.settings import Settings

KEY_BYTES = 32
DEVICE_KEY_BYTES = 16
_BLOCK = 64
#: SQL: `device` is one of the keys, in hex, of the parameter `k`. As a set that the tables' order
#: leads to; a function of `device` would read all of them.
DEVICE_IN_K = "device IN (SELECT toFixedString(unhex(arrayJoin({k:Array(String)})), 16))"


def installation_key(settings: Settings) -> bytes:
    """The 32-byte key: `settings.key` where it is set, else the file `key` in the data folder.

    The file is made once, readable by its owner only. Raises UserError if it is damaged or cannot
    be read: a new one would make every stored device a stranger.
    """
    if settings.key is not None:
        return bytes.fromhex(settings.key.get_secret_value())
    path = settings.data / "key"
    try:
        if not path.exists():
            _create(path, secrets.token_bytes(KEY_BYTES))
        key = bytes.fromhex(path.read_text().strip())
    except OSError as error:
        raise UserError(f"cannot use the installation's key {path}: {error.strerror}") from error
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise UserError(
            f"the installation's key {path} is damaged: expected 64 hex digits",
            "restore it from a backup; without it no device id can be found again",
        )
    return key


def _create(path: Path, key: bytes) -> None:
    """Writes a key so that a crash leaves none or a whole one, and two processes agree."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"key.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link fails where somebody was faster; whoever was first has made the key.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def device_key(key: bytes, client: int, device: str) -> bytes:
    """The 16 bytes that stand for a device: HMAC-SHA256(key, "CLIENT|ID"), cut."""
    inner, outer = _begun(key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(f"{client}|{device}".encode())
    outer.update(inner.digest())
    return outer.digest()[:DEVICE_KEY_BYTES]


@lru_cache(maxsize=16)
def _begun(key: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The two hashes of an HMAC (RFC 2104), fed with the key: hmac.digest begins anew, and takes
    twice as long for a text as short as an id.
    """
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
    return hashlib.sha256(inner), hashlib.sha256(outer)


def kept_key(settings: Settings) -> bytes:
    """The installation's key, which must be there: none is made.

    Raises UserError where it is not: the devices of a store mean nothing without it.
    """
    if settings.key is None and not (settings.data / "key").exists():
        raise UserError(
            f"the installation's key is neither in RELO_KEY nor in {settings.data / 'key'}",
            "without it no device of the store can be found again: restore it from a backup",
        )
    return installation_key(settings)


def keep_key(key: bytes, folder: Path) -> bool:
    """Writes the key into a data folder that has none; whether the folder now has this key."""
    path = folder / "key"
    if not path.exists():
        _create(path, key)
    return path.read_text().strip() == key.hex()
