"""What is published: versions, differences, checks, look-ups, streams."""

from __future__ import annotations

import json

from relo_server.security.roles import Role
from tests.api.conftest import Service, buyers


def test_versions_from_the_first_to_a_rollback(service: Service) -> None:
    service.load(*buyers(25))
    first = service.ok("POST", "/audiences/quiet/refresh")
    assert (first["status"], first["device_count"], first["version"]) == ("published", 25, 1)
    service.load({"did": "d3", "ago": 2}, {"did": "new", "ago": 60})
    second = service.ok("POST", "/audiences/quiet/refresh")
    assert (second["device_count"], second["version"]) == (25, 2)
    found = service.ok("GET", "/audiences/quiet/versions")["versions"]
    assert [(one["ordinal"], one["entered"], one["left"]) for one in found] == [
        (2, 1, 1), (1, 25, 0),
    ]  # fmt: skip
    diff = service.ok("GET", "/audiences/quiet/diff?limit=10")
    assert (diff["entered"], diff["left"], len(diff["entered_keys"])) == (1, 1, 1)
    seen = service.ok("GET", "/audiences/quiet/diff?limit=10", role=Role.VIEWER)
    assert seen == {"name": "quiet", "from": 1, "to": 2, "entered": "<20", "left": "<20"}
    back = service.ok("POST", "/audiences/quiet/rollback", {"version": 1})
    assert (back["to"], back["version"]["ordinal"], back["version"]["size"]) == (1, 3, 25)
    sizes = service.ok("GET", "/audiences/quiet/history", role=Role.PARTNER)["sizes"]
    assert [point["size"] for point in sizes] == [25, 25, 25]
    wrong = service.call("POST", "/audiences/quiet/rollback", {"version": 9})
    assert wrong.status_code == 422
    assert "9" in wrong.json()["detail"]


def test_a_rollback_brings_nobody_back_who_withdrew(service: Service) -> None:
    service.load(*buyers(25))
    service.ok("POST", "/audiences/quiet/refresh")
    service.load({"t": "consent", "did": "d7", "ago": 0, "consent": 0})
    service.ok("POST", "/audiences/quiet/refresh")
    assert service.ok("POST", "/audiences/quiet/rollback", {"version": 1})["version"]["size"] == 24
    assert service.ok("GET", "/audiences/quiet/members/d7")["member"] is False


def test_a_check_finds_who_was_planted(service: Service) -> None:
    service.load(*buyers(25))
    service.ok("POST", "/audiences/quiet/refresh")
    assert service.ok("POST", "/audiences/quiet/verify")["right"] is True
    info = service.house.sets.info(service.client, "quiet")
    assert info is not None
    service.house.sets._redis.sadd(info.key, bytes(16))
    found = service.ok("POST", "/audiences/quiet/verify")
    assert (found["right"], found["sql"]["surplus"]) == (False, 1)
    assert service.ok("GET", "/audiences/quiet/versions")["blocked"] is True


def test_who_is_in(service: Service) -> None:
    service.load(*buyers(25))
    assert service.call("GET", "/audiences/quiet/members/d1").status_code == 404
    service.ok("POST", "/audiences/quiet/refresh")
    one = service.ok("GET", "/audiences/quiet/members/d1")
    assert (one["member"], one["audience"], one["age_seconds"]) == (True, "quiet", 0)
    many = service.ok(
        "POST", "/memberships", {"devices": ["d1", "x"], "audiences": ["quiet", "nix"]}
    )["audiences"]
    assert many["nix"] is None
    assert many["quiet"]["members"] == {"d1": True, "x": False}
    assert many["quiet"]["version"] == one["version"]
    answer = service.call("GET", "/audiences/quiet/members")
    assert answer.headers["content-type"] == "application/x-ndjson"
    *keys, end = map(json.loads, answer.text.splitlines())
    assert end == {"end": True, "count": 25, "version": one["version"]}
    assert len({key["device"] for key in keys}) == 25
    few = service.call("GET", "/audiences/quiet/members?limit=3").text.splitlines()
    assert len(few) == 4


def test_a_lost_set_is_no_false_no(service: Service) -> None:
    service.load(*buyers(5))
    service.ok("POST", "/audiences/quiet/refresh")
    info = service.house.sets.info(service.client, "quiet")
    assert info is not None
    service.house.sets._redis.delete(info.key)
    for answer in (
        service.call("GET", "/audiences/quiet/members/d1"),
        service.call("POST", "/memberships", {"devices": ["d1"], "audiences": ["quiet"]}),
    ):
        assert answer.status_code == 503
        assert "not the one that was published" in answer.json()["detail"]


def test_what_is_too_small_or_too_different_is_held(service: Service) -> None:
    text = "audience big\n  minimum 100\nmatch purchase\n"
    assert service.call("PUT", "/audiences/big", {"text": text}).status_code == 201
    service.load(*buyers(25))
    held = service.ok("POST", "/audiences/big/refresh")
    assert (held["status"], held["device_count"]) == ("held", 25)
    forced = service.ok("POST", "/audiences/big/refresh", {"force": True})
    assert forced["status"] == "published"


def test_the_size_as_it_changes(service: Service) -> None:
    service.load(*buyers(25))
    service.ok("POST", "/audiences/quiet/refresh")
    service.load({"did": "new", "ago": 60})
    answer = service.call("GET", "/audiences/quiet/live?events=1")
    assert answer.headers["content-type"].startswith("text/event-stream")
    event, data = answer.text.splitlines()[:2]
    found = json.loads(data.removeprefix("data: "))
    assert event == "event: size"
    assert (found["now"], found["published"]) == (26, 25)


def test_when_it_runs(service: Service) -> None:
    (line,) = service.ok("GET", "/schedule")["audiences"]
    assert (line["name"], line["status"], line["refresh"]) == ("quiet", "never", "daily at 00:00")
    service.ok("POST", "/audiences/quiet/refresh")
    (line,) = service.ok("GET", "/schedule", role=Role.VIEWER)["audiences"]
    assert line["age_seconds"] == 0


def test_the_figures(service: Service) -> None:
    service.ok("POST", "/audiences/quiet/refresh")
    text = service.call("GET", "/metrics").text
    assert 'relo_requests_total{operation="audiences.refresh",status="200"} 1.0' in text
    assert 'relo_refreshes_total{outcome="published"} 1.0' in text
    assert f'relo_version_age_seconds{{audience="quiet",client="{service.client}"}} 0.0' in text
    assert 'relo_queue_depth{lane="building"} 0.0' in text
