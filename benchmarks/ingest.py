"""Events taken in over HTTP until the engine has them, beside bodies that go straight there."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from benchmarks.api import _UNLIMITED, _process
from relo_server.ingest.payloads import decode

CLIENT = 1
_CATALOG = """
events:
  purchase:
    properties:
      revenue: {type: number, unit: MXN}
      product_line: {type: string, enum: [MX, US]}
      sku: string
      quantity: number
      gift: boolean
"""
_MARK = b"@@@@@@@@"


def run(
    _store: Path,
    *,
    seconds: float = 60,
    rounds: int = 3,
    size: int = 1_000,
    connections: int = 4,
    warm: float = 3.0,
) -> dict[str, object]:
    """Events a second of both, in turns, and how slow the slowest acknowledgements are."""
    bodies = [_body(size, seed) for seed in range(50)]
    with tempfile.TemporaryDirectory() as name, _services(Path(name)) as (port, token, bare):
        head = f"Authorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\n"
        numbers = itertools.count()
        sides = {"ours": (port, "/ingest/batch", head), "bare": (bare, "/", "")}
        rates: dict[str, list[float]] = {side: [] for side in sides}
        slow: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(-1, rounds):  # the first one warms up
            for side in sides if turn % 2 == 0 else reversed(sides):
                length = warm if turn < 0 else seconds / rounds
                started = time.perf_counter()
                took = asyncio.run(_load(*sides[side], bodies, numbers, length, connections))
                if side == "ours":
                    _drained(port, token)
                spent = time.perf_counter() - started
                if turn >= 0:
                    rates[side].append(len(took) * size / spent)
                    slow[side] += took
        loop = _loop(bodies, size, Path(name), 5.0)
    ours, theirs = median(rates["ours"]), median(rates["bare"])
    return {
        "benchmark": "ingest",
        "seconds": seconds,
        "batch": size,
        "bytes_an_event": round(sum(map(len, bodies)) / len(bodies) / size),
        "connections": connections,
        "events_a_second": {"ours": round(ours), "bare": round(theirs), "loop": round(loop)},
        "milliseconds": {
            side: {"median": round(median(all_) * 1000, 1),
                   "p99": round(quantiles(all_, n=100)[-1] * 1000, 1)}
            for side, all_ in slow.items()
        },
        "ratios": {"bare": round(ours / theirs, 3), "loop": round(ours / loop, 3)},
    }  # fmt: skip


def _body(size: int, seed: int) -> bytes:
    """A batch whose ids have a mark, which each sending replaces by a number."""
    source = random.Random(seed)
    lines = []
    for number in range(size):
        event = {
            "t": "purchase", "ts": 1_780_000_000_000 + source.randrange(10**9), "cid": CLIENT,
            "did": f"device-{source.randrange(500_000)}", "eid": f"order-{_MARK.decode()}-{number}",
            "props": {
                "revenue": source.randrange(100, 5_000_000) / 100, "product_line": "MX",
                "sku": f"SKU-{source.randrange(40_000)}", "quantity": source.randrange(1, 6),
                "gift": source.random() < 0.1,
            },
        }  # fmt: skip
        lines.append(json.dumps(event))
    return "\n".join(lines).encode() + b"\n"


async def _load(
    port: int, path: str, head: str, bodies: list[bytes], numbers: Iterator[int], seconds: float,
    connections: int,
) -> list[float]:  # fmt: skip
    """Seconds until each batch was acknowledged."""
    end = time.perf_counter() + seconds
    each = [_one(port, path, head, bodies, numbers, end) for _ in range(connections)]
    return [second for part in await asyncio.gather(*each) for second in part]


async def _one(
    port: int, path: str, head: str, bodies: list[bytes], numbers: Iterator[int], end: float
) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    spent = []
    while time.perf_counter() < end:
        number = next(numbers)
        body = bodies[number % len(bodies)].replace(_MARK, b"%08d" % number)
        started = time.perf_counter()
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode()
        )
        writer.write(body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in answer.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )  # fmt: skip
        told = await reader.readexactly(length)
        assert answer.startswith(b"HTTP/1.1 200"), told
        spent.append(time.perf_counter() - started)
    writer.close()
    await writer.wait_closed()
    return spent


def _drained(port: int, token: str) -> None:
    """Until nothing waits for the engine."""
    import httpx

    headers = {"authorization": f"Bearer {token}"}
    while True:
        told = httpx.get(f"http://127.0.0.1:{port}/ingest/health", headers=headers).json()
        assert told["trouble"] is None, told
        if not told["waiting_bytes"]:
            return
        time.sleep(0.02)


def _loop(bodies: list[bytes], size: int, folder: Path, seconds: float) -> float:
    """Events a second of the least that could be done: decode, append, sync."""
    count = 0
    with (folder / "loop").open("wb", buffering=0) as file:
        started = time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds:
            body = bodies[count % len(bodies)]
            for line in body.split(b"\n")[:-1]:
                decode(line)
            file.write(body)
            os.fdatasync(file.fileno())
            count += 1
    return count * size / spent


@contextmanager
def _services(folder: Path) -> Iterator[tuple[int, str, int]]:
    """`relo serve` with an empty store, a token for it, and the bare server."""
    (folder / "segments").mkdir()
    (folder / "segments/catalog.yaml").write_text(_CATALOG, encoding="utf-8")
    (folder / "relo.toml").write_text(f"client = {CLIENT}\n", encoding="utf-8")
    environment = {**os.environ, **_UNLIMITED}
    relo = [sys.executable, "-m", "relo_dsl"]
    serve = [*relo, "serve", "--port", "0", "--workers", "1", "--json"]
    bare = [sys.executable, "-m", "benchmarks.ingest_bare", str(folder)]
    with (
        _process(serve, folder, environment) as ours,
        _process(bare, Path.cwd(), environment) as theirs,
    ):
        made = subprocess.run(
            [*relo, "token", "create", "--role", "admin"], cwd=folder, check=True, text=True,
            capture_output=True,
        )  # fmt: skip
        port = int(json.loads(ours)["url"].rpartition(":")[2])
        yield port, made.stdout.strip(), int(theirs)
