"""deploy/compose.yaml: what can be known of it without a Docker engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from relo_dsl.settings import Settings
from tests.conftest import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
#: The keys of the compose specification that we use.
KEYS = {
    "build", "command", "configs", "depends_on", "environment", "healthcheck", "image", "networks",
    "restart", "stop_grace_period", "ulimits", "volumes",
}  # fmt: skip
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::([?-])([^}]*))?\}")


def test_everything_asked_for_is_there() -> None:
    assert set(SERVICES) == {"clickhouse", "dragonfly", "postgres", "objects", "relo", "api"}
    assert set(FILE) == {"name", "services", "configs", "volumes", "networks"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_uses_what_is_declared(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= KEYS
    # A tag that stands still: `latest` would change under a running store.
    assert re.fullmatch(r"[\w./-]+:(?!latest)[\w.-]+", service["image"])
    assert set(service["networks"]) <= set(FILE["networks"])
    assert {c["source"] for c in service.get("configs", ())} <= set(FILE["configs"])
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    for volume in service["volumes"]:
        source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
        assert source in FILE["volumes"] or (DEPLOY / source).exists()
    for other, how in service.get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert "test" in SERVICES[other]["healthcheck"]
    if "healthcheck" in service:
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert set(service["healthcheck"]) == {"test", "interval", "timeout", "retries"}
    if "build" in service:
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_nothing_is_open_to_others_and_no_secret_is_written_down() -> None:
    assert FILE["networks"]["stores"] == {"internal": True}
    assert all("ports" not in service for service in SERVICES.values())
    example = (DEPLOY / "env.example").read_text(encoding="utf-8")
    for name, kind, _ in VARIABLE.findall(TEXT):
        assert re.search(rf"^(# )?{name}=", example, re.MULTILINE), name
        # What has no default must be given, or compose refuses to start.
        assert kind in ("?", "-"), name
        if re.search("PASSWORD|KEY", name):
            assert kind == "?"
            assert re.search(rf"^{name}=$", example, re.MULTILINE)
    assert "/deploy/.env" in (REPOSITORY / ".gitignore").read_text(encoding="utf-8")


def test_every_variable_of_relo_is_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SERVICES["relo"]["environment"].items():
        assert name.startswith("RELO_")
        given = VARIABLE.sub(lambda m: m[3] if m[2] == "-" else "ab" * 32, value)
        monkeypatch.setenv(name, given)
    settings = Settings.load(tmp_path)
    assert settings.events == f"http://relo:{'ab' * 32}@clickhouse:8123"
    assert settings.platform == f"postgresql://relo:{'ab' * 32}@postgres/relo"
    assert settings.sets == f"redis://:{'ab' * 32}@dragonfly:6379"
    assert (settings.database, settings.client, settings.timezone) == ("relo", 1, "UTC")
    # The project in the image is where the definitions are mounted.
    assert SERVICES["relo"]["volumes"][0].endswith(":/project/segments:ro")
    assert settings.segments == tmp_path / "segments"


def test_the_image_is_made_of_what_the_repository_has() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for source in re.findall(r"^COPY (?!--)(\S+) ", text, re.MULTILINE):
        assert (REPOSITORY / source).exists()
    assert "--require-hashes" in text
    assert re.search(r"^USER relo$", text, re.MULTILINE)
