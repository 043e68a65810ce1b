"""Whose store it is, and what becomes of it when the week has changed; without an engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_dsl.times import parse_instant
from relo_server.demo.marker import Marker
from relo_server.demo.project import FOLDER, find_project, make_project, shipped_definitions
from relo_server.demo.store import prepare, wanted

NOW = parse_instant("2026-11-18T12:00:00Z")
WEEK = 7 * 86_400_000


def a_store(root: Path, **changes: str) -> Settings:
    settings = Settings(root=root, client=3, **changes)  # type: ignore[arg-type]
    (settings.data / "clickhouse").mkdir(parents=True)
    (settings.data / "clickhouse" / "part").write_text("rows")
    return settings


def test_the_store_of_this_week_stays(tmp_path: Path) -> None:
    settings = a_store(tmp_path)
    replace(wanted(settings, NOW), complete=True).write(settings.data)
    assert prepare(settings, NOW) is None
    assert (settings.data / "clickhouse" / "part").exists()


def test_the_store_of_another_week_is_set_aside_whole(tmp_path: Path) -> None:
    settings = a_store(tmp_path)
    wanted(settings, NOW).write(settings.data)
    aside = prepare(settings, NOW + WEEK)
    assert aside == settings.data / "clickhouse-2026-11-22"
    assert (aside / "part").read_text() == "rows"
    assert not (settings.data / "clickhouse").exists()
    assert Marker.read(settings.data) is None


def test_a_servers_database_is_never_emptied(tmp_path: Path) -> None:
    settings = a_store(tmp_path, events="http://db.example:8123", database="shop")
    wanted(settings, NOW).write(settings.data)
    assert prepare(settings, NOW) is None
    with pytest.raises(UserError, match="`shop` holds the demo of another week"):
        prepare(settings, NOW + WEEK)


def test_a_store_that_the_demo_did_not_fill_stays(tmp_path: Path) -> None:
    settings = a_store(tmp_path)
    assert prepare(settings, NOW) is None
    assert (settings.data / "clickhouse" / "part").exists()


def test_a_damaged_marker_is_none(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"data": "1"}'):
        Marker.path(tmp_path).write_text(text)
        assert Marker.read(tmp_path) is None


def test_a_project_is_made_once_and_then_left_alone(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    assert root == tmp_path / FOLDER
    (root / "relo.toml").write_text("client = 9\n")
    (root / "segments" / "welcome_back.seg").unlink()
    make_project(tmp_path)
    assert (root / "relo.toml").read_text() == "client = 9\n"
    assert not (root / "segments" / "welcome_back.seg").exists()


def test_the_demos_project_is_the_clone_or_one_that_the_demo_filled(tmp_path: Path) -> None:
    clone = Settings.load(shipped_definitions().parent)
    assert find_project(clone) is clone
    other = Settings.load(tmp_path)
    assert find_project(other) is None
    wanted(other, NOW).write(other.data)
    assert find_project(other) is other
