from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from relo_dsl.settings import Settings, SettingsError

FULL = """\
# our shop
client = 3
timezone = "America/Mexico_City"
catalog = "defs/catalog.yaml"
events = "http://user:secret@clickhouse:8123/shop"
sets = "redis://cache:6379/1"

[limits]
max_seconds = 5
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    (folder / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def write(project: Path, text: str) -> None:
    (project / "relo.toml").write_text(text, encoding="utf-8")


def refusal(**overrides: object) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(None, **overrides)
    return caught.value.message


def test_defaults_without_a_file(project: Path) -> None:
    settings = Settings.load()
    assert settings.root == project
    assert settings.client is None
    assert settings.timezone == "UTC"
    assert (settings.events, settings.sets, settings.database) == (
        "embedded",
        "embedded",
        "default",
    )
    assert settings.platform == "embedded"
    assert settings.catalog == project / "segments" / "catalog.yaml"
    assert settings.segments == project / "segments"
    assert settings.data == project / ".relo"
    assert settings.limits.max_seconds == 60
    assert settings.publishing.smallest_share == Decimal("0.5")
    assert settings.publishing.largest_share == 3


def test_the_file_is_found_upwards(project: Path) -> None:
    write(project, FULL)
    settings = Settings.load(project / "deep" / "er")
    assert settings.root == project
    assert settings.client == 3
    assert settings.catalog == project / "defs" / "catalog.yaml"
    assert settings.limits.max_seconds == 5


def test_the_nearest_file_wins(project: Path) -> None:
    write(project, "client = 1")
    write(project / "deep", "client = 2")
    assert Settings.load(project / "deep" / "er").client == 2


def test_environment_above_file_and_keywords_above_both(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, FULL)
    monkeypatch.setenv("RELO_CLIENT", "4")
    monkeypatch.setenv("RELO_TIMEZONE", "Europe/Madrid")
    monkeypatch.setenv("RELO_LIMITS__MAX_SECONDS", "6")
    monkeypatch.setenv("RELO_LIMITS__MAX_ROWS_TO_READ", "36")
    monkeypatch.setenv("RELO_PUBLISHING__SMALLEST_SHARE", "0.9")
    settings = Settings.load(timezone="Asia/Tokyo", client=None)
    assert settings.client == 4
    assert settings.timezone == "Asia/Tokyo"
    assert settings.limits.max_seconds == 6
    assert settings.limits.max_rows_to_read == 36
    assert settings.publishing.smallest_share == Decimal("0.9")


def test_relative_paths_start_where_they_were_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, 'data = "store"')
    monkeypatch.chdir(project / "deep")
    monkeypatch.setenv("RELO_SEGMENTS", "defs")
    settings = Settings.load(catalog=Path("../c.yaml"))
    assert settings.data == project / "store"
    assert settings.segments == project / "deep" / "defs"
    assert settings.catalog == project / "c.yaml"


def test_the_constructor_reads_no_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELO_CLIENT", "4")
    write(project, FULL)
    assert Settings(root=project).client is None


def test_an_unknown_key_names_line_and_nearest(project: Path) -> None:
    write(project, 'client = 3\ntimezne = "UTC"\n')
    assert refusal() == "relo.toml, line 2: unknown setting `timezne`; did you mean `timezone`?"


def test_an_unknown_key_in_a_table(project: Path) -> None:
    write(project, "[limits]\nmax_second = 1\n")
    assert refusal() == (
        "relo.toml, line 2: unknown setting `limits.max_second`; did you mean `max_seconds`?"
    )
    write(project, "[publishing]\nsmallest_shar = 1\n")
    assert refusal() == (
        "relo.toml, line 2: unknown setting `publishing.smallest_shar`; did you mean "
        "`smallest_share`?"
    )


def test_a_key_like_no_other_lists_what_there_is(project: Path) -> None:
    write(project, "zzz = 1\n")
    assert "known: `catalog`, `client`" in refusal()


def test_root_is_no_setting(project: Path) -> None:
    write(project, 'root = "/"\n')
    assert "unknown setting `root`" in refusal()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'client = "three"',
            "relo.toml, line 1: `client`: expected a valid integer, unable to parse string as an "
            "integer, found `three`",
        ),
        ("client = true", "relo.toml, line 1: `client`: expected a number, found a boolean"),
        (
            "client = -1",
            "relo.toml, line 1: `client`: expected greater than or equal to 0, found `-1`",
        ),
        (
            '\ntimezone = "America/Mexico"',
            "relo.toml, line 2: `timezone`: no time zone is called `America/Mexico`; did you mean "
            "`America/Mexico_City`?",
        ),
        (
            'timezone = "Mars"',
            "relo.toml, line 1: `timezone`: no time zone is called `Mars`; use a name like "
            "`Europe/Madrid`",
        ),
        (
            'events = "clickhose://host"',
            "relo.toml, line 1: `events`: expected `embedded` or the URL of a ClickHouse server "
            "(`http://`, `https://`, `clickhouse://`, `clickhouses://`), found `clickhose://host`",
        ),
        (
            'platform = "postgresql:///relo"',
            "relo.toml, line 1: `platform`: expected `embedded` or the URL of a PostgreSQL "
            "database (`postgresql://`), found `postgresql:///relo`",
        ),
        (
            'sets = "cache:6379"',
            "relo.toml, line 1: `sets`: expected `embedded` or the URL of a Redis, Valkey or "
            "Dragonfly (`redis://`, `rediss://`, `unix://`), found `cache:6379`",
        ),
        (
            "[limits]\n# no\nmax_seconds = 0",
            "relo.toml, line 3: `limits.max_seconds`: expected greater than or equal to 1, found "
            "`0`",
        ),
        (
            "[publishing]\nsmallest_share = 1.5",
            "relo.toml, line 2: `publishing.smallest_share`: expected less than or equal to 1, "
            "found `1.5`",
        ),
        (
            "[publishing]\nlargest_share = true",
            "relo.toml, line 2: `publishing.largest_share`: expected a number, found a boolean",
        ),
        ("limits = 5", "relo.toml, line 1: `limits`: expected a valid dictionary or instance of "),
        ('database = "a; drop"', "relo.toml, line 1: `database`: expected a name of letters"),
    ],
)
def test_a_wrong_value_names_line_and_reason(project: Path, text: str, message: str) -> None:
    write(project, text)
    assert refusal().startswith(message)


def test_every_mistake_is_reported_at_once(project: Path) -> None:
    write(project, 'client = "x"\ntimezone = "y"\n')
    assert len(refusal().splitlines()) == 2


def test_a_file_that_is_no_toml(project: Path) -> None:
    write(project, "client = 3\ntimezone = UTC\n")
    assert refusal() == "relo.toml, line 2, column 12: not TOML: invalid value"


def test_a_file_elsewhere_is_named_in_full(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, "zzz = 1")
    monkeypatch.chdir(project / "deep")
    assert refusal().startswith(f"{project / 'relo.toml'}, line 1: ")


def test_a_wrong_variable_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, FULL)
    monkeypatch.setenv("RELO_CLIENT", "x")
    monkeypatch.setenv("RELO_LIMITS__MAX_SECONDS", "0")
    first, second = refusal().splitlines()
    assert first.startswith("environment variable `RELO_CLIENT`: expected a valid integer")
    assert second.startswith("environment variable `RELO_LIMITS__MAX_SECONDS`: expected greater")


def test_an_unknown_variable_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELO_DEBUG", "1")
    monkeypatch.setenv("RELO_CLINET", "3")
    monkeypatch.setenv("RELO_LIMITS__MAX_SECOND", "3")
    assert sorted(refusal().splitlines()) == [
        "unknown environment variable `RELO_CLINET`; did you mean `RELO_CLIENT`?",
        "unknown environment variable `RELO_LIMITS__MAX_SECOND`; did you mean "
        "`RELO_LIMITS__MAX_SECONDS`?",
    ]


def test_an_unreadable_variable_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELO_LIMITS", "{")
    assert refusal().startswith("environment variable `RELO_LIMITS`: not JSON: ")


def test_a_wrong_keyword_is_shown_as_the_flag(project: Path) -> None:
    assert refusal(timezone="Nowhere").startswith("`--timezone`: no time zone is called `Nowhere`")


def test_a_password_is_not_repeated(project: Path) -> None:
    write(project, 'sets = "redi://:hunter2@cache"\nevents = "ftp://me:hunter2@host"\n')
    assert "hunter2" not in refusal()


def test_the_key_is_secret(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELO_KEY", "0f" * 31)
    assert refusal() == "environment variable `RELO_KEY`: expected 64 hex digits"
    monkeypatch.setenv("RELO_KEY", "0f" * 32)
    settings = Settings.load()
    assert "0f0f" not in repr(settings)
    assert settings.key is not None
    assert settings.key.get_secret_value() == "0f" * 32
    monkeypatch.delenv("RELO_KEY")
    write(project, "key = 5150")
    assert "5150" not in refusal()


def test_settings_do_not_load_the_engine() -> None:
    heavy = ("chdb", "clickhouse_connect", "redis", "sqlglot", "lark", "rich", "pyarrow", "fastapi")
    code = f"import sys, relo_dsl.settings; print([m for m in {heavy!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_file_of_places_stands_beside_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "relo.toml").write_text('[ingest]\nplaces = "geo/city.mmdb"\n')
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert Settings.load().ingest.places == tmp_path / "geo/city.mmdb"
