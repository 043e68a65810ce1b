"""The installation's key and device keys."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from relo_dsl.engine import device_key, installation_key
from relo_dsl.errors import UserError
from relo_dsl.settings import Settings


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path)
    key = installation_key(settings)
    assert len(key) == 32
    assert installation_key(settings) == key
    path = tmp_path / ".relo" / "key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_a_key_from_the_settings(tmp_path: Path) -> None:
    from pydantic import SecretStr

    settings = Settings(root=tmp_path, key=SecretStr("ab" * 32))
    assert installation_key(settings) == b"\xab" * 32
    assert not (tmp_path / ".relo").exists()


@pytest.mark.parametrize("text", ["", "xyz", "ab" * 31])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / ".relo" / "key"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match="damaged"):
        installation_key(Settings(root=tmp_path))
    assert path.read_text() == text


def test_device_keys() -> None:
    expected = hmac.new(b"k" * 32, "3|dévice".encode(), hashlib.sha256).digest()[:16]
    assert device_key(b"k" * 32, 3, "dévice") == expected
    assert device_key(b"k" * 32, 4, "dévice") != expected
