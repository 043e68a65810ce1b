"""`publish`: filling and publishing a set, beside a bare pipelined loader on the same server.

Both add the same 16-byte members, 1,000 a command; theirs does nothing else. A reader in a process
of its own asks all the while (benchmarks/publish_reader.py): it would see a version that is not
whole, and a false no. Then a hundredth of the members is changed in place.
"""

from __future__ import annotations

import gc
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import redis

from benchmarks.publish_reader import Reader, polled
from benchmarks.timing import Times
from relo_dsl.setkeys import MOST_CHANGES
from relo_server.sets import Sets, Stamp, new_version

SIZES = (12_000, 1_000_000, 10_000_000)
CLIENT = 3
NAME = "winback"
#: Members of all rounds together: few rounds where one takes long, many where milliseconds count.
_MEMBERS_A_RUN = 10_000_000
#: Members in a chunk from the engine.
_CHUNK = 65_536
#: SADDs of the raw loader before it reads the answers. More or fewer were no faster.
_PIPELINED = 20
_DAY = 86_400_000


def run(
    _store: Path, *, members: Sequence[int] = SIZES, rounds: int | None = None
) -> dict[str, object]:
    """Ratios of ours over the raw loader by number of members, and what the reader saw.

    Raises AssertionError if it saw a version that was not whole, or a false no.
    """
    found = {f"{size:_}": _measured(size, rounds) for size in members}
    return {
        "benchmark": "publish",
        **found,
        "ratios": {size: figures.pop("ratio") for size, figures in found.items()},
    }


def _measured(size: int, wanted: int | None) -> dict[str, Any]:
    rounds = wanted or max(3, min(100, _MEMBERS_A_RUN // size))
    with (
        tempfile.TemporaryDirectory(prefix="relo-publish-") as folder,
        Sets.embedded(Path(folder)) as sets,
        _bare(folder) as bare,
    ):
        duel = Duel(sets, bare, size)
        duel.publish(0)
        with polled(f"unix://{folder}/sets.sock", CLIENT, NAME, duel.markers) as reader:
            figures = duel.rounds(reader, rounds)
            figures["changed"] = duel.changes(reader, max(rounds, 10))
    seen = figures["reader"] = reader.seen
    assert seen["reads"] > 0
    assert (seen["false_no"], seen["mixed"]) == (0, 0), "a reader saw what no version holds"
    return figures


@contextmanager
def _bare(folder: str) -> Iterator[redis.Redis]:
    client = redis.Redis(unix_socket_path=f"{folder}/sets.sock", protocol=2)
    # The slowest of each command stands in INFO then, at no cost.
    client.config_set("latency-tracking-info-percentiles", "100")
    # It would start in the round of one or of the other.
    client.config_set("auto-aof-rewrite-percentage", "0")
    yield client
    client.close()


class Duel:
    """Both contenders, with the members of two versions that differ by a few devices."""

    def __init__(self, sets: Sets, bare: redis.Redis, size: int) -> None:
        self.sets, self.bare, self.size = sets, bare, size
        half = min(size // 100, MOST_CHANGES) // 2
        own = max(1, half // 2)
        keys = _keys(size + half)
        common, first, second, extra = _cut(keys, size - own, own, own)
        self.versions = (common + first, common + second)
        self.chunks = [
            [members[i : i + _CHUNK] for i in range(0, size, _CHUNK)] for members in self.versions
        ]
        #: What a reader asks for: what both have, what only the first has, and only the second.
        self.markers = ([common[0], common[-1]], first[:50], second[:50])
        #: Who enters and leaves from the first version to one like the second, and back.
        self.there, self.back = second + extra, first + common[1 : 1 + len(extra)]
        self.base = ""

    # ---- the contenders ------------------------------------------------------------------------

    def publish(self, number: int) -> None:
        """Ours: a draft filled and published."""
        now = int(time.time() * 1000)
        epoch = self.sets.epoch(CLIENT)
        version = new_version(now, self.base or None)
        draft = self.sets.draft(CLIENT, NAME, version)
        draft.add(self.chunks[number])
        stamp = Stamp(version, draft.size(), now, now, now + _DAY)
        draft.publish(stamp, base=self.base or None, epoch=epoch)
        self.base = version

    def load(self) -> None:
        """Theirs: the members into a set that nobody reads."""
        pipeline = self.bare.pipeline(transaction=False)
        members = self.versions[0]
        for start in range(0, self.size, 1_000):
            pipeline.sadd("raw", *members[start : start + 1_000])
            if len(pipeline) == _PIPELINED:
                pipeline.execute()
        pipeline.execute()

    # ---- the rounds ----------------------------------------------------------------------------

    def rounds(self, reader: Reader, rounds: int) -> dict[str, Any]:
        """The figures of both, who take turns."""
        seconds: dict[str, list[float]] = {"ours": [], "raw": []}
        processor: dict[str, list[float]] = {"ours": [], "raw": []}
        slowest: dict[str, list[float]] = {"ours": [], "raw": []}
        for number in range(-1, rounds):  # the first one is to warm up
            turns: dict[str, Callable[[], None]] = {
                "ours": lambda number=number: self.publish(number % 2),  # type: ignore[misc]
                "raw": self.load,
            }
            for name in list(turns) if number % 2 == 0 else list(reversed(turns)):
                self._clear()
                took, used, worst = self._timed(reader, name, turns[name])
                if number >= 0:
                    seconds[name].append(took)
                    processor[name].append(used)
                    slowest[name].append(worst)
        key: Any = self.bare.get(f"audience:{{{CLIENT}}}:{NAME}")
        return {
            "members": self.size,
            "rounds": rounds,
            "ratio": Times(seconds).ratio("ours", "raw"),
            "seconds": _medians(seconds),
            "processor_seconds": _medians(processor),
            "processor_ratio": Times(processor).ratio("ours", "raw"),
            "slowest_ms": _medians(slowest),
            "slowest_ratio": Times(slowest).ratio("ours", "raw"),
            "bytes_per_member": round(self._memory(key) / self.size, 1),
        }

    def changes(self, reader: Reader, rounds: int) -> dict[str, Any]:
        """The figures of changes in place, there and back."""
        self.publish(0)
        entered, left = self.there, self.back
        seconds, slowest = [], []
        for _ in range(rounds):
            now = int(time.time() * 1000)
            stamp = Stamp(new_version(now, self.base), self.size, now, now, now + _DAY)

            def act(
                stamp: Stamp = stamp,
                entered: Sequence[bytes] = entered,
                left: Sequence[bytes] = left,
            ) -> None:
                self.sets.change(
                    CLIENT, NAME, stamp, entered=entered, left=left, base=self.base, epoch=0
                )

            took, _, worst = self._timed(reader, "change", act)
            seconds.append(took)
            slowest.append(worst)
            self.base = stamp.version
            entered, left = left, entered
        return {
            "members": len(entered) + len(left),
            "rounds": rounds,
            "seconds": round(median(seconds), 4),
            "slowest_ms": round(median(slowest), 2),
        }

    def _timed(
        self, reader: Reader, name: str, act: Callable[[], None]
    ) -> tuple[float, float, float]:
        """Seconds by the clock and of the processors, and milliseconds of the slowest command."""
        self.bare.config_resetstat()
        gc.collect()
        gc.disable()
        used = self._processor()
        reader.phase(name)
        started = time.perf_counter()
        act()
        took = time.perf_counter() - started
        reader.phase("")
        used = self._processor() - used
        gc.enable()
        found: Any = self.bare.info("latencystats")
        worst = max(each["p100"] for name, each in found.items() if "info" not in name)
        return took, used, worst / 1_000

    def _clear(self) -> None:
        """Drops what the turns before left, and waits until the server has done so."""
        current = self.bare.get(f"audience:{{{CLIENT}}}:{NAME}")
        old = [key for key in self.bare.scan_iter(match="audience:*:[0-9]*") if key != current]
        self.bare.unlink("raw", *old)
        while self._info("lazyfree_pending_objects"):
            time.sleep(0.01)

    def _processor(self) -> float:
        """Processor seconds that we and the server have used: no other process is in them."""
        found: Any = self.bare.info("cpu")
        server = sum(found[f"used_cpu_{kind}_main_thread"] for kind in ("user", "sys"))
        return float(server) + time.process_time()

    def _info(self, name: str) -> int:
        found: Any = self.bare.info("memory")
        return int(found[name])

    def _memory(self, key: bytes) -> int:
        found: Any = self.bare.memory_usage(key, samples=100)
        return int(found)


def _keys(number: int) -> list[bytes]:
    raw = random.Random(number).randbytes(16 * number)
    return [raw[i : i + 16] for i in range(0, len(raw), 16)]


def _cut(items: list[bytes], *sizes: int) -> list[list[bytes]]:
    """Pieces of these sizes, and the rest."""
    cut, start = [], 0
    for size in sizes:
        cut.append(items[start : start + size])
        start += size
    return [*cut, items[start:]]


def _medians(values: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(median(found), 4) for name, found in values.items()}
