"""`relo privacy`: what it tells, and what stands in the audit afterwards."""

from __future__ import annotations

import json
from decimal import Decimal

from tests.cli.conftest import Project, purchase


def noted(store: Project) -> list[str]:
    lines = store.json("audit", "list")["lines"]
    return [f"{one['action']} {one['outcome']}" for one in lines]


def test_every_digit_is_told(store: Project) -> None:
    store.write(
        "events.jsonl",
        '{"t": "purchase", "ts": "2026-06-01T00:00:00Z", "did": "ana", '
        '"props": {"revenue": 123456789012345.123456789}}\n',
    )
    store.ok("load", "events.jsonl")
    told = store.ok("privacy", "export", "--device", "ana").stdout
    (device,) = json.loads(told, parse_float=Decimal)["devices"]
    assert device["events"][0]["values"]["revenue"] == Decimal("123456789012345.123456789")


def test_an_erasure_is_in_the_audit_before_it_is_done(store: Project) -> None:
    store.load(purchase("ana"))
    store.ok("privacy", "erase", "--device", "ana", "--yes")
    assert noted(store) == ["privacy.erase begun", "privacy.erase done"]


def test_an_erasure_that_fails_is_in_the_audit(store: Project) -> None:
    store.load(purchase("ana"))
    broken = store.folder / ".relo/spool/another/damaged/no file"
    broken.mkdir(parents=True)
    assert store.run("privacy", "erase", "--device", "ana", "--yes").exit_code != 0
    assert noted(store) == ["privacy.erase begun", "privacy.erase failed"]
    broken.rmdir()
    store.ok("privacy", "erase", "--device", "ana", "--yes")
    assert noted(store)[2:] == ["privacy.erase begun", "privacy.erase done"]


def test_what_else_is_done_is_in_the_audit(store: Project) -> None:
    store.load(purchase("ana"))
    store.ok("privacy", "rectify", "--device", "ana", "plan=gold")
    store.ok("privacy", "object", "--device", "ana")
    store.ok("privacy", "export", "--device", "ana")
    assert noted(store) == [f"privacy.{name} done" for name in ("rectify", "object", "export")]


def test_the_erased_are_on_no_list(store: Project) -> None:
    store.load(purchase("ana"))
    store.ok("privacy", "erase", "--device", "ana", "--yes")
    store.write("vip.txt", "ana\nbeto\nana\n")
    assert "1 device; 1 left out" in store.ok("list", "add", "vip", "vip.txt").stdout
    told = store.json("list", "add", "vip", "vip.txt")
    assert (told["devices"], told["erased"]) == (1, 1)
    assert store.json("privacy", "export", "--device", "ana")["devices"] == []
