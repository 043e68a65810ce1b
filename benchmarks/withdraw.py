"""How soon a withdrawal has left every set that it concerns: alone, while events come in steadily,
and while as many come in as the machine can send and take.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx

from benchmarks.click import _at, _ms
from benchmarks.ingest import _MARK, _body, _drained, _load, _services

_AUDIENCES = ("revenue > 100", "quantity >= 1", "revenue > 100 and quantity >= 1")


def run(
    _store: Path, *, seconds: float = 60, batches: int = 200, size: int = 1_000,
    connections: int = 2, every: float = 0.5, steadily: int = 10_000,
) -> dict[str, object]:  # fmt: skip
    """Milliseconds from the acknowledgement of a withdrawal until no set has the device any more.

    A device each `every` seconds, of three audiences that have nearly all of them; `steadily` is
    events a second.
    """
    bodies = [_body(size, seed) for seed in range(50)]
    with tempfile.TemporaryDirectory() as name, _services(Path(name)) as (port, token, _):
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120
        ) as http:
            events = {"content-type": "application/x-ndjson"}
            for number in range(batches):
                body = _body(size, number).replace(_MARK, b"first-%d" % number)
                http.post("/ingest/batch", content=body, headers=events).raise_for_status()
            _drained(port, token)
            members = []
            for number, condition in enumerate(_AUDIENCES):
                text = f"audience a{number}\nmatch\n  purchase[{condition}] within 3000d\n"
                http.put(f"/audiences/a{number}", json={"text": text}).raise_for_status()
                made = http.post(f"/audiences/a{number}/refresh?force=true").raise_for_status()
                members.append(made.json()["device_count"])
        pause = size / steadily
        found = asyncio.run(_measured(port, token, bodies, seconds, connections, every, pause))
    return {
        "benchmark": "withdraw",
        "seconds": seconds,
        "members": members,
        "withdrawals": {side: len(all_) for side, (all_, _) in found.items()},
        "events_a_second": {
            side: round(taken * size / seconds) for side, (_, taken) in found.items()
        },
        "milliseconds": {
            side: {"p50": _ms(median(all_)), "p99": _ms(_at(all_, 0.99)), "most": _ms(max(all_))}
            for side, (all_, _) in found.items()
        },
        "ratios": {
            "second": round(max(_at(found[side][0], 0.99) for side in ("alone", "steady")), 3)
        },
    }  # fmt: skip


async def _measured(
    port: int, token: str, bodies: list[bytes], seconds: float, connections: int, every: float,
    pause: float,
) -> dict[str, tuple[list[float], int]]:  # fmt: skip
    """Seconds of each withdrawal, and batches taken meanwhile."""
    head = f"Authorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\n"
    devices = iter(random.Random(1).sample(range(500_000), 500_000))
    alone = await _withdrawals(port, token, devices, seconds, every)
    numbers = itertools.count()
    steadily = asyncio.create_task(_steadily(port, token, bodies, numbers, seconds, pause))
    steady = await _withdrawals(port, token, devices, seconds, every)
    taken = await steadily
    load = asyncio.create_task(
        _load(port, "/ingest/batch", head, bodies, numbers, seconds, connections)
    )
    loaded = await _withdrawals(port, token, devices, seconds, every)
    return {"alone": (alone, 0), "steady": (steady, taken), "loaded": (loaded, len(await load))}


async def _steadily(
    port: int, token: str, bodies: list[bytes], numbers: Iterator[int], seconds: float,
    pause: float,
) -> int:  # fmt: skip
    """Sends a batch each `pause` seconds; how many."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/x-ndjson"}
    start = time.perf_counter()
    count = 0
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120
    ) as http:
        while (now := time.perf_counter()) < start + seconds:
            await asyncio.sleep(max(0.0, start + count * pause - now))
            number = next(numbers)
            body = bodies[number % len(bodies)].replace(_MARK, b"%08d" % number)
            (await http.post("/ingest/batch", content=body)).raise_for_status()
            count += 1
    return count


async def _withdrawals(
    port: int, token: str, devices: Iterator[int], seconds: float, every: float
) -> list[float]:
    spent: list[float] = []
    end = time.perf_counter() + seconds
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"},
        timeout=120,
    ) as http:  # fmt: skip

        async def inside(device: str) -> bool:
            answers = [
                await http.get(f"/audiences/a{number}/members/{device}")
                for number in range(len(_AUDIENCES))
            ]
            return any(answer.json()["member"] for answer in answers)

        while time.perf_counter() < end:
            device = f"device-{next(devices)}"
            if not await inside(device):
                continue
            record = {"t": "consent", "ts": int(time.time() * 1000), "did": device, "consent": 0}
            (await http.post("/ingest/batch", json=[record])).raise_for_status()
            started = time.perf_counter()
            while await inside(device):
                assert time.perf_counter() < started + 60
            spent.append(time.perf_counter() - started)
            await asyncio.sleep(max(0.0, every - spent[-1]))
    return spent
