"""Publishing sets: whole, under a pointer, with commands that every server of the kind has."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from relo_dsl.errors import UserError
from relo_dsl.setkeys import SetKeys
from relo_dsl.settings import Settings
from relo_server.sets import Sets, SetsError
from tests.sets.helpers import AT, KEYS


def test_a_set_is_published_and_replaced(sets: Sets, new_client: int) -> None:
    assert sets.info(new_client, "vip") is None
    assert sets.contains(new_client, "vip", KEYS[:1]) is None
    first = sets.publish("vip", new_client, [KEYS[:3], [], KEYS[2:2_500]], at=AT, fingerprint="f")
    assert first.size == 2_500
    info = sets.info(new_client, "vip")
    assert info is not None
    assert (info.version, info.size, info.at, info.fingerprint) == (first.version, 2_500, AT, "f")
    assert info.expires_at - info.built_at == 90 * 86_400_000
    assert sets.contains(new_client, "vip", KEYS) == [True] * 2_500 + [False] * 2_500
    assert sorted(sets.members(new_client, "vip")) == KEYS[:2_500]
    second = sets.publish("vip", new_client, [KEYS[4_000:]], at=AT + 1)
    assert second.version > first.version
    assert sorted(sets.members(new_client, "vip")) == KEYS[4_000:]
    latest = sets.info(new_client, "vip")
    assert latest is not None
    assert (latest.size, latest.fingerprint) == (1_000, "")


def test_nobody_is_an_answer_too(sets: Sets, new_client: int, bare: redis.Redis) -> None:
    sets.publish("empty", new_client, [], at=AT)
    info = sets.info(new_client, "empty")
    assert info is not None
    assert info.size == 0
    assert sets.contains(new_client, "empty", KEYS[:2]) == [False, False]
    assert sets.contains(new_client, "empty", []) == []
    assert list(sets.members(new_client, "empty")) == []
    version: Any = bare.get(SetKeys(new_client, "empty").pointer)
    assert bare.sismember(version, KEYS[0].decode("latin1")) == 0
    with pytest.raises(SetsError, match="nothing is published"):
        list(sets.members(new_client, "other"))


def test_what_is_published_is_listed(sets: Sets, new_client: int) -> None:
    for name in ("b", "a", "a:holdout"):
        sets.publish(name, new_client, [KEYS[:2]], at=AT)
    sets.publish("elsewhere", new_client + 500_000, [KEYS[:2]], at=AT)
    listed = [info.name for info in sets.published(new_client)]
    assert listed == ["a", "a:holdout", "b"]


def test_a_bare_client_can_use_it(sets: Sets, new_client: int, bare: redis.Redis) -> None:
    """As the guide says: read the pointer, ask the set."""
    sets.publish("vip", new_client, [KEYS[:10]], at=AT, ttl=1_000_000)
    pointer: Any = bare.get(f"audience:{{{new_client}}}:vip")
    assert re.fullmatch(rb"audience:\{\d+\}:vip:\d{13}-[0-9a-f]{8}", pointer)
    assert bare.smismember(pointer, [KEYS[0], KEYS[10]]) == [1, 0]
    info: Any = bare.hgetall(f"audience:{{{new_client}}}:vip:info")
    assert info[b"size"] == b"10"
    assert info[b"at"] == b"2026-09-21T14:13:20.000Z"
    for key in (pointer, f"audience:{{{new_client}}}:vip", f"audience:{{{new_client}}}:vip:info"):
        left: Any = bare.pttl(key)
        assert 990_000 < left <= 1_000_000


def test_the_old_version_stays_a_minute(sets: Sets, new_client: int, bare: redis.Redis) -> None:
    pointer = f"audience:{{{new_client}}}:vip"
    sets.publish("vip", new_client, [KEYS[:10]], at=AT)
    old: Any = bare.get(pointer)
    sets.publish("vip", new_client, [KEYS[10:20]], at=AT)
    assert bare.sismember(old, KEYS[0].decode("latin1")) == 1
    left: Any = bare.ttl(old)
    assert 55 <= left <= 60


def test_a_failure_leaves_things_as_they_were(
    sets: Sets, new_client: int, bare: redis.Redis
) -> None:
    sets.publish("vip", new_client, [KEYS[:10]], at=AT)
    before = set(bare.scan_iter(match=f"audience:{{{new_client}}}*"))

    def failing() -> Iterator[list[bytes]]:
        for _ in range(30):
            yield KEYS
        raise RuntimeError("the engine died")

    with pytest.raises(RuntimeError, match="died"):
        sets.publish("vip", new_client, failing(), at=AT)
    assert set(bare.scan_iter(match=f"audience:{{{new_client}}}*")) == before
    assert sets.contains(new_client, "vip", KEYS[:1]) == [True]


def test_a_version_being_filled_would_expire(
    sets: Sets, new_client: int, bare: redis.Redis
) -> None:
    """So a process that is killed leaves nothing either."""
    seen: list[int] = []

    def watched() -> Iterator[list[bytes]]:
        for _ in range(9):
            yield KEYS
        for key in bare.scan_iter(match=f"audience:{{{new_client}}}:vip:*"):
            left: Any = bare.ttl(key)
            seen.append(left)

    sets.publish("vip", new_client, watched(), at=AT)
    assert len(seen) == 1
    assert 0 < seen[0] <= 600


def test_readers_never_see_half_a_set(sets: Sets, new_client: int, folder: Path) -> None:
    """While versions that all hold one device come and go, it is never missing."""
    sets.publish("vip", new_client, [KEYS[:100]], at=AT)
    stop = threading.Event()
    answers: set[tuple[bool, ...]] = set()

    def read() -> None:
        with Sets.server(f"unix://{folder}/sets.sock") as reader:
            while not stop.is_set():
                found = reader.contains(new_client, "vip", [KEYS[0], KEYS[1], KEYS[2]])
                assert found is not None
                answers.add(tuple(found))

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(60):
        # Either 0 and 1, or 0 and 2: an answer with all three or one only would mix two versions.
        sets.publish("vip", new_client, [[KEYS[0], KEYS[1 + turn % 2]], KEYS[10:3_000]], at=AT)
    stop.set()
    thread.join()
    assert answers <= {(True, True, False), (True, False, True), (True, True, True)}
    assert {(True, True, False), (True, False, True)} <= answers


@pytest.mark.parametrize("name", ["", "a:b", ":holdout", "x:info"])
def test_names_that_would_be_other_keys(sets: Sets, new_client: int, name: str) -> None:
    with pytest.raises(UserError):
        sets.publish(name, new_client, [KEYS[:1]], at=AT)


def test_sets_survive_a_restart_and_a_long_path(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with Sets.embedded(deep) as opened:
        opened.publish("vip", 3, [KEYS[:7]], at=AT)
    with Sets.open(Settings(root=tmp_path, data=deep)) as opened:
        assert opened.contains(3, "vip", KEYS[6:8]) == [True, False]


def test_the_store_is_one_process_s_and_says_whose(folder: Path, sets: Sets) -> None:
    with pytest.raises(UserError, match="in this process"):
        Sets.embedded(folder)


def test_the_server_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    script = f"""
        import time
        from pathlib import Path
        from relo_server.sets import Sets
        sets = Sets.embedded(Path({str(tmp_path)!r}))
        sets.publish("vip", 3, [[bytes(16)]], at={AT})
        time.sleep(1.2)  # the append-only file is synced once a second
        print(sets._server._process.pid, flush=True)
        time.sleep(60)
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    with pytest.raises(UserError, match=str(owner.pid)):
        Sets.embedded(tmp_path)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
    with Sets.embedded(tmp_path) as again:
        assert again.contains(3, "vip", [bytes(16)]) == [True]


def test_a_server_that_is_not_there_and_a_binary_that_fails(tmp_path: Path) -> None:
    from relo_server.sets.embedded import EmbeddedServer

    with pytest.raises(SetsError):
        Sets.server("redis://127.0.0.1:1")
    broken = tmp_path / "valkey-server"
    broken.write_text("#!/bin/sh\necho out of luck\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(UserError, match="out of luck"):
        EmbeddedServer(tmp_path, broken)
    with Sets.embedded(tmp_path) as opened:
        assert opened.info(3, "vip") is None
