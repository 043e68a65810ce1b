"""Clicks while events come in and audiences are refreshed, beside a bare redirect meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import httpx

from benchmarks.api import _process
from benchmarks.ingest import _body, _load, _services

_AUDIENCES = ("revenue > 1000", "quantity >= 3", "gift = true")
_PHONE = (
    "Mozilla/5.0 (Linux; Android 14; SM-S921) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Mobile Safari/537.36"
)


def run(
    _store: Path, *, seconds: float = 60, size: int = 1_000, connections: int = 4,
    clicks_a_second: int = 100, warm: float = 5.0,
) -> dict[str, object]:  # fmt: skip
    """How long clicks take, ours and the bare redirect's, in turns, under the same load."""
    bodies = [_body(size, seed) for seed in range(50)]
    bare = [sys.executable, "-m", "benchmarks.click_bare"]
    with (
        tempfile.TemporaryDirectory() as name,
        _services(Path(name)) as (port, token, _),
        _process(bare, Path.cwd(), {}) as listening,
    ):
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
            made = http.post("/links", json={"destination": "https://shop.example/sale"}).json()
            for number, condition in enumerate(_AUDIENCES):
                text = f"audience a{number}\nmatch\n  purchase[{condition}] within 3000d\n"
                http.put(f"/audiences/a{number}", json={"text": text}).raise_for_status()
        sides = {"ours": (port, made["path"]), "bare": (int(listening), "/")}
        found = asyncio.run(
            _measured(port, token, bodies, sides, seconds, warm, connections, 1 / clicks_a_second)
        )
    spent, batches, refreshes = found
    return {
        "benchmark": "click",
        "seconds": seconds,
        "clicks": {side: len(all_) for side, all_ in spent.items()},
        "meanwhile": {
            "events_a_second": round(batches * size / seconds), "refreshes": refreshes,
        },
        "milliseconds": {
            side: {"p50": _ms(median(all_)), "p99": _ms(_at(all_, 0.99)),
                   "p99.9": _ms(_at(all_, 0.999))}
            for side, all_ in spent.items()
        },
        "ratios": {"p99": round(_at(spent["ours"], 0.99) / _at(spent["bare"], 0.99), 3)},
    }  # fmt: skip


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _at(spent: Sequence[float], share: float) -> float:
    """The least that so large a share does not exceed."""
    return sorted(spent)[min(len(spent) - 1, int(len(spent) * share))]


async def _measured(
    port: int, token: str, bodies: list[bytes], sides: dict[str, tuple[int, str]], seconds: float,
    warm: float, connections: int, every: float,
) -> tuple[dict[str, list[float]], int, int]:  # fmt: skip
    """Seconds of each click by side, batches taken and refreshes done meanwhile."""
    head = f"Authorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\n"
    numbers = itertools.count()
    await _load(port, "/ingest/batch", head, bodies, numbers, warm, connections)
    end = time.perf_counter() + seconds
    load = asyncio.create_task(
        _load(port, "/ingest/batch", head, bodies, numbers, seconds, connections)
    )
    refreshing = asyncio.create_task(_refresh(port, token, end))
    clicking = {
        side: asyncio.create_task(_clicks(*where, end, every)) for side, where in sides.items()
    }
    spent = {side: await task for side, task in clicking.items()}
    return spent, len(await load), await refreshing


async def _refresh(port: int, token: str, end: float) -> int:
    """Refreshes one audience after the other."""
    count = 0
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120
    ) as http:
        while time.perf_counter() < end:
            name = f"a{count % len(_AUDIENCES)}"
            answer = await http.post(f"/audiences/{name}/refresh?force=true")
            assert answer.status_code < 300, answer.text
            count += 1
    return count


async def _clicks(port: int, path: str, end: float, every: float) -> list[float]:
    """A click each `every` seconds, each of a visitor without a cookie; never two at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: {_PHONE}\r\n\r\n".encode()
    spent: list[float] = []
    due = time.perf_counter()
    while (now := time.perf_counter()) < end:
        due = max(due + every, now)
        started = time.perf_counter()
        writer.write(asked)
        answer = await reader.readuntil(b"\r\n\r\n")
        spent.append(time.perf_counter() - started)
        assert b" 302 " in answer.partition(b"\r\n")[0], answer
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    writer.close()
    await writer.wait_closed()
    return spent
