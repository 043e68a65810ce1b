"""Look-ups over HTTP, beside a bare redis client behind the same ASGI server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from relo_dsl.engine.key import device_key, installation_key
from relo_dsl.settings import Settings
from relo_server.sets import Sets

CLIENT = 1
_NAME = "quiet"
_CATALOG = "events: {purchase: {properties: {revenue: number}}}\n"
_TEXT = f"audience {_NAME}\n\nmatch\n  purchase within 180d\n"
_UNLIMITED = {
    "RELO_SERVICE__REQUESTS_PER_MINUTE": "100000000",
    "RELO_SERVICE__CLIENT_REQUESTS_PER_MINUTE": "100000000",
}


def run(
    _store: Path, *, members: int = 100_000, requests: int = 2_000, rounds: int = 5,
    connections: int = 8, streams: int = 50,
) -> dict[str, object]:  # fmt: skip
    """Requests a second and the slowest hundredth of both, while streams of sizes go on."""
    with tempfile.TemporaryDirectory() as folder, _service(Path(folder), members) as service:
        url, token, bare, keys = service
        ours = [f"/audiences/{_NAME}/members/d{i}" for i in range(0, members, 7)]
        theirs = [f"/{key.hex()}" for key in keys[::7]]
        figures = asyncio.run(
            _measured(url, token, bare, ours, theirs, requests, rounds, connections, streams)
        )
    return {"benchmark": "api", "members": members, "connections": connections, **figures}


async def _measured(
    url: int, token: str, bare: int, ours: Sequence[str], theirs: Sequence[str], requests: int,
    rounds: int, connections: int, streams: int,
) -> dict[str, object]:  # fmt: skip
    head = f"Authorization: Bearer {token}\r\n"
    watching = [
        asyncio.create_task(_watch(url, f"/audiences/{_NAME}/live?every=5", head))
        for _ in range(streams)
    ]
    sides = {"ours": (url, ours, head), "bare": (bare, theirs, "")}
    spent: dict[str, list[float]] = {side: [] for side in sides}
    rates: dict[str, list[float]] = {side: [] for side in sides}
    slow: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(-1, rounds):  # the first one warms up
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for side in order:
            took, all_ = await _load(*sides[side], requests, connections)
            if number >= 0:
                spent[side] += took
                rates[side].append(len(took) / all_)
                slow[side].append(quantiles(took, n=100)[-1])
    told = sum(task.done() for task in watching)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    return {
        "live_streams": streams,
        "live_streams_that_broke_off": told,
        "requests_a_second": {side: round(median(rates[side])) for side in sides},
        "milliseconds": {
            side: {
                "median": round(median(spent[side]) * 1000, 3),
                "p99": round(median(slow[side]) * 1000, 3),
            }
            for side in sides
        },
        "ratios": {
            "p99": round(median(a / b for a, b in zip(slow["ours"], slow["bare"], strict=True)), 3),
            "requests": round(
                median(b / a for a, b in zip(rates["ours"], rates["bare"], strict=True)), 3
            ),
        },
    }


async def _load(
    port: int, paths: Sequence[str], head: str, requests: int, connections: int
) -> tuple[list[float], float]:
    """Seconds of each request, and of all, over connections that are kept."""
    started = time.perf_counter()
    each = [_one(port, paths[n::connections], head, requests // connections)
            for n in range(connections)]  # fmt: skip
    found = await asyncio.gather(*each)
    return [second for part in found for second in part], time.perf_counter() - started


async def _one(port: int, paths: Sequence[str], head: str, requests: int) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    spent = []
    for number in range(requests):
        started = time.perf_counter()
        path = paths[number % len(paths)]
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = next(
            int(line.split(b":")[1]) for line in answer.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )  # fmt: skip
        body = json.loads(await reader.readexactly(length))
        spent.append(time.perf_counter() - started)
        assert body["member"] is True
    writer.close()
    await writer.wait_closed()
    return spent


async def _watch(port: int, path: str, head: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    try:
        while await reader.readline():
            pass
    finally:
        writer.close()


# ---- processes -----------------------------------------------------------------------------------


@contextmanager
def _service(folder: Path, members: int) -> Iterator[tuple[int, str, int, list[bytes]]]:
    """`relo serve` with a published set, a token for it, and the bare server over the same set."""
    (folder / "segments").mkdir()
    (folder / "segments/catalog.yaml").write_text(_CATALOG, encoding="utf-8")
    (folder / f"segments/{_NAME}.seg").write_text(_TEXT, encoding="utf-8")
    (folder / "relo.toml").write_text(f"client = {CLIENT}\n", encoding="utf-8")
    settings = Settings.load(folder)
    secret = installation_key(settings)
    keys = [device_key(secret, CLIENT, f"d{number}") for number in range(members)]
    with Sets.open(settings) as sets:
        sets.publish(_NAME, CLIENT, [keys], at=time.time_ns() // 1_000_000)
        info = sets.info(CLIENT, _NAME)
    assert info is not None
    relo = [sys.executable, "-m", "relo_dsl"]
    made = subprocess.run(
        [*relo, "token", "create", "--role", "admin"], cwd=folder, check=True, text=True,
        capture_output=True,
    )  # fmt: skip
    environment = {**os.environ, **_UNLIMITED}
    socket = str(settings.data / "sets.sock")
    with _process(
        [*relo, "serve", "--port", "0", "--workers", "1", "--json"], folder, environment
    ) as ours:
        port = int(json.loads(ours)["url"].rpartition(":")[2])
        bare = [sys.executable, "-m", "benchmarks.api_bare", socket, info.key]
        with _process(bare, Path.cwd(), environment) as theirs:
            yield port, made.stdout.strip(), int(theirs), keys


@contextmanager
def _process(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """A process until the end of the block; its first line."""
    with subprocess.Popen(
        command, cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        try:
            assert running.stdout is not None
            yield running.stdout.readline()
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(timeout=60)
