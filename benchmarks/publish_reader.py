"""A reader that asks a published set over and over, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from relo_server.sets import Sets

#: What is going on while it reads.
PHASES = ("", "ours", "raw", "change")
#: Between two questions, so that it takes no processor away from what is measured.
_PAUSE_SECONDS = 0.001

Markers = tuple[Sequence[bytes], Sequence[bytes], Sequence[bytes]]


class Reader:
    """The process as its parent sees it; `seen` is filled when it has ended."""

    def __init__(self, phase: Any) -> None:
        self._phase = phase
        self.seen: dict[str, Any] = {}

    def phase(self, name: str) -> None:
        """Says what is going on from now on."""
        self._phase.value = PHASES.index(name)


@contextmanager
def polled(url: str, client: int, name: str, markers: Markers) -> Iterator[Reader]:
    """Reads until the block ends. `markers`: what every version has, and what every other one."""
    context = get_context("spawn")
    phase, stop, started = context.Value("i", 0), context.Event(), context.Event()
    near, far = context.Pipe()
    process = context.Process(
        target=_poll, args=(url, client, name, markers, phase, stop, started, far), daemon=True
    )
    process.start()
    if not started.wait(60):
        raise RuntimeError("the reader did not start")
    reader = Reader(phase)
    try:
        yield reader
    finally:
        stop.set()
        if near.poll(60):
            reader.seen = near.recv()
        process.join(60)


def _poll(
    url: str,
    client: int,
    name: str,
    markers: Markers,
    phase: Any,
    stop: Any,
    started: Any,
    far: Any,
) -> None:
    common, first, second = markers
    asked = [*common, *first, *second]
    one = [True] * len(first) + [False] * len(second)
    other = [not hit for hit in one]
    reads = false_no = mixed = 0
    versions: set[str] = set()
    slowest = [0.0] * len(PHASES)
    with Sets.server(url) as sets:
        while not stop.is_set():
            now, begun = phase.value, time.perf_counter()
            answers = sets.ask(client, name, asked)
            took = time.perf_counter() - begun
            # Only where all of it fell into one phase.
            if phase.value == now:
                slowest[now] = max(slowest[now], took)
            assert answers is not None
            reads += 1
            versions.add(answers.info.version)
            false_no += not all(answers.members[: len(common)])
            mixed += answers.members[len(common) :] not in (one, other)
            started.set()
            time.sleep(_PAUSE_SECONDS)
    far.send(
        {
            "reads": reads,
            "versions": len(versions),
            "false_no": false_no,
            "mixed": mixed,
            "slowest_ms": {
                name: round(slowest[i] * 1_000, 2) for i, name in enumerate(PHASES) if name
            },
        }
    )
