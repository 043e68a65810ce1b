"""A folder brought to the service as one change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relo_dsl.cli.main import relo
from tests.api.conftest import Service, buyers

A = "audience a\n\nmatch\n  purchase within 90d\n"
TWO = (
    "segment base\n\nmatch\n  purchase\n\n\n"
    "audience b\n\nmatch\n  in segment base and purchase within 90d\n"
)


def plan(service: Service, files: dict[str, str], **more: Any) -> Any:
    return service.ok("POST", "/sync/plan", {"files": files, **more})


def apply(service: Service, files: dict[str, str], **more: Any) -> Any:
    return service.call("POST", "/sync/apply", {"files": files, **more})


def told(found: Any) -> list[tuple[str, str, int | None, int | None]]:
    return [
        (one["change"], one["name"], one["size_before"], one["size_after"])
        for one in found["changes"]
    ]


def names(service: Service) -> set[str]:
    return {one["name"] for one in service.ok("GET", "/audiences")["audiences"]}


def test_new_changed_and_removed_with_sizes(service: Service) -> None:
    service.load(*buyers(30), *buyers(5, ago=2))
    files = {"a.seg": A, "more/two.seg": TWO}
    first = plan(service, files)
    assert told(first) == [
        ("new", "a", None, 30), ("new", "b", None, 30), ("new", "base", None, None),
    ]  # fmt: skip
    assert names(service) == {"quiet"}, "a plan does nothing"
    assert apply(service, files, state=first["state"]).status_code == 200
    assert names(service) == {"quiet", "a", "b"}
    assert told(plan(service, files)) == []
    assert plan(service, {**files, "a.seg": f"# why\n{A}"})["unchanged"] == 3
    service.ok("POST", "/audiences/b/refresh")
    edited = {"a.seg": A.replace("90d", "10d")}
    second = plan(service, edited)
    assert told(second) == [
        ("changed", "a", 30, 5), ("removed", "b", 30, None), ("removed", "base", None, None),
    ]  # fmt: skip
    assert apply(service, edited, state=second["state"]).status_code == 200
    assert names(service) == {"quiet", "a"}
    assert service.house.sets.info(service.client, "b") is None


def test_all_of_it_or_nothing(service: Service) -> None:
    files = {"a.seg": A, "wrong.seg": "audience w\n\nmatch\n  purchas\n"}
    for answer in (apply(service, files), service.call("POST", "/sync/plan", {"files": files})):
        assert answer.status_code == 422
        (one,) = answer.json()["diagnostics"]
        assert (one["file"], one["line"]) == ("wrong.seg", 4)
    assert names(service) == {"quiet"}


def test_what_a_folder_owns_is_changed_there(service: Service) -> None:
    assert apply(service, {"deep/a.seg": A}).status_code == 200
    for answer in (
        service.call("PUT", "/audiences/a", {"text": A}), service.call("DELETE", "/audiences/a"),
    ):  # fmt: skip
        assert answer.status_code == 409
        assert "deep/a.seg" in answer.json()["detail"]
    listed = {one["name"]: one for one in service.ok("GET", "/audiences")["audiences"]}
    assert (listed["a"]["owned_by"], listed["a"]["file"]) == ("git", "deep/a.seg")


def test_what_is_not_the_folders_stays(service: Service) -> None:
    made = "audience mine match purchase"
    assert service.call("PUT", "/audiences/mine", {"text": made}).status_code == 201
    assert apply(service, {"a.seg": A}).status_code == 200
    assert apply(service, {"b.seg": A.replace(" a", " b", 1)}).status_code == 200
    assert names(service) == {"quiet", "mine", "b"}
    for text, there in ((made, "`mine` (mine.seg)"), ("audience quiet match purchase", "`quiet`")):
        answer = apply(service, {"c.seg": text})
        assert answer.status_code == 409
        assert there in answer.json()["detail"]


def test_what_changed_after_the_plan(service: Service) -> None:
    files = {"a.seg": A}
    state = plan(service, files)["state"]
    assert apply(service, {"b.seg": A.replace(" a", " b", 1)}).status_code == 200
    answer = apply(service, files, state=state)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:relo:problem:changed")
    assert names(service) == {"quiet", "b"}


# ---- the command ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Service) -> Path:
    """An analyst's clone, elsewhere than the service."""
    there = tmp_path / "clone"
    (there / "segments").mkdir(parents=True)
    (there / "segments/a.seg").write_text(A)
    monkeypatch.chdir(there)
    monkeypatch.setenv("RELO_TOKEN", service.token())
    return there


def sync(service: Service, *args: str) -> Result:
    url = str(service.http.base_url)
    return CliRunner().invoke(relo, ["sync", "--server", url, *args])


def test_from_the_command_line(service: Service, folder: Path) -> None:
    service.load(*buyers(30))
    shown = sync(service, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "new  a" in shown.stdout
    assert names(service) == {"quiet"}
    refused = sync(service)
    assert (refused.exit_code, "nobody can be asked" in refused.stderr) == (2, True)
    done = json.loads(sync(service, "--yes", "--json").stdout)
    assert (done["done"], told(done)) == (True, [("new", "a", None, 30)])
    assert "nothing to do" in sync(service).stdout
    (folder / "segments/a.seg").write_text("audience a\n\nmatch\n  purchas\n")
    wrong = sync(service, "--yes")
    assert wrong.exit_code == 1
    assert "a.seg:4:3: error: there is no event `purchas`" in wrong.stderr


def test_what_keeps_it_from_the_service(
    service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = CliRunner().invoke(relo, ["sync", "--server", "http://127.0.0.1:1", "--yes"])
    assert (away.exit_code, "does not answer" in away.stderr) == (2, True)
    monkeypatch.setenv("RELO_TOKEN", "relo_1_wrong")
    assert "the credential is not valid" in sync(service, "--yes").stderr
    (folder / "segments/a.seg").unlink()
    assert "would remove everything" in sync(service, "--yes").stderr
