"""Readers see whole versions while these come and go by both ways, and never a false no.

Version n of a set holds: one device for ever (KEYS[0]), and 1,400 that say n modulo 4. So whoever
reads 1,401 answers can tell whether they are of one version.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from relo_dsl.setkeys import SetKeys
from relo_server.sets import Sets, SetsError
from tests.sets.helpers import KEYS, change, publish

GROUPS = [KEYS[1 + i * 1_100 : 1 + (i + 1) * 1_100] for i in range(4)]
WHOLE = [frozenset([KEYS[0], *group]) for group in GROUPS]


def moving(sets: Sets, client: int, turns: int) -> dict[str, frozenset[bytes]]:
    """Versions by drafts and in place, in turn; who was in each."""
    base = publish(sets, client, sorted(WHOLE[0]))
    made = {base: WHOLE[0]}
    for turn in range(1, turns):
        before, after = GROUPS[(turn - 1) % 4], GROUPS[turn % 4]
        if turn % 3:
            base = change(sets, client, base, entered=after, left=before, size=1_101)
        else:
            base = publish(sets, client, sorted(WHOLE[turn % 4]), base=base)
        made[base] = WHOLE[turn % 4]
    return made


def watched(
    sets: Sets, folder: Path, client: int, read: Callable[[Sets], None]
) -> dict[str, frozenset[bytes]]:
    """Reads over and over, on a connection of its own, until 60 versions have come and gone."""
    first = publish(sets, client, sorted(WHOLE[0]))
    stop = threading.Event()
    failed: list[BaseException] = []

    def poll() -> None:
        with Sets.server(f"unix://{folder}/sets.sock") as reader:
            while not stop.is_set():
                try:
                    read(reader)
                except BaseException as error:
                    failed.append(error)
                    return

    thread = threading.Thread(target=poll)
    thread.start()
    made = moving(sets, client, 60)
    stop.set()
    thread.join()
    assert not failed, failed
    return {first: WHOLE[0], **made}


def test_few_and_many_answers_are_of_one_version(sets: Sets, new_client: int, folder: Path) -> None:
    seen: dict[str, frozenset[bytes]] = {}
    hits: dict[str, set[int]] = defaultdict(set)
    few = [KEYS[0], *(group[0] for group in GROUPS)]

    def read(reader: Sets) -> None:
        found = reader.ask(new_client, "vip", few)
        assert found is not None
        assert found.members[0], "a false no"
        assert sum(found.members[1:]) == 1, "two versions in one answer"
        hits[found.info.version].add(found.members[1:].index(True))
        # More than one command takes.
        many = reader.ask(new_client, "vip", KEYS)
        assert many is not None
        members = frozenset(key for key, hit in zip(KEYS, many.members, strict=True) if hit)
        assert members in WHOLE
        seen[many.info.version] = members

    made = watched(sets, folder, new_client, read)
    assert len(seen) > 1
    assert seen.items() <= made.items()
    # Nor is the info that of another version than the answers.
    assert {version: [WHOLE[i] for i in group] for version, group in hits.items()} == {
        version: [made[version]] for version in hits
    }


def test_a_listing_is_of_one_version_or_says_so(sets: Sets, new_client: int, folder: Path) -> None:
    found: dict[str, int] = {"whole": 0, "anew": 0}

    def read(reader: Sets) -> None:
        try:
            members = frozenset(reader.members(new_client, "vip"))
        except SetsError as error:
            found["anew" if "published anew" in error.message else error.message] += 1
            return
        assert members in WHOLE
        found["whole"] += 1

    watched(sets, folder, new_client, read)
    read(sets)
    assert found["whole"]
    assert found["anew"]


def test_a_listing_that_was_changed_under_the_reader(sets: Sets, new_client: int) -> None:
    """As many as before, so only the version tells."""
    base = publish(sets, new_client, KEYS[:3_000])
    listing = sets.listing(new_client, "vip")
    assert listing is not None
    reading = listing.members()
    next(reading)
    change(sets, new_client, base, entered=KEYS[3_000:3_001], left=KEYS[:1], size=3_000)
    with pytest.raises(SetsError, match="published anew"):
        list(reading)
    some = sets.listing(new_client, "vip")
    assert some is not None
    assert len(list(some.members(5))) == 5


def test_what_a_bare_client_reads_in_one_command_is_whole(
    sets: Sets, new_client: int, folder: Path
) -> None:
    """As the guide says: one command is always of one version."""
    bare: Any = redis.Redis(unix_socket_path=str(folder / "sets.sock"))
    pointer = SetKeys(new_client, "vip").pointer
    few = [KEYS[0], *(group[0] for group in GROUPS)]

    def read(_: Sets) -> None:
        found = bare.smismember(bare.get(pointer), few)
        assert found[0] == 1
        assert sum(found[1:]) == 1

    watched(sets, folder, new_client, read)
    bare.close()
