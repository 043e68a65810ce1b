"""Partners never see revenue, nor anything that tells of it."""

from __future__ import annotations

import pytest

from relo_server.security.roles import Role
from tests.api.conftest import Service, buyers

FROM_REVENUE = {
    "spent": "audience spent match sum(purchase.revenue) > 10",
    "dear": "audience dear match purchase[revenue > 10]",
    "referring": "audience referring match in segment rich",
    "ranked": "audience ranked match purchase keep top 5 by sum(purchase.revenue)",
    "scored": "audience scored match rfm.monetary >= 4",
    "named": "let x = purchase[revenue > 10]\naudience named match count(x) > 1",
}


@pytest.mark.parametrize("name", FROM_REVENUE)
def test_no_draft_that_derives_from_it(service: Service, name: str) -> None:
    rich = service.folder / "segments/rich.seg"
    rich.write_text("segment rich match purchase.revenue > 10")
    text = FROM_REVENUE[name]
    for way in ("compile", "explain", "preview", "estimate"):
        answer = service.call("POST", f"/segments/{way}", {"text": text}, role=Role.PARTNER)
        assert answer.status_code == 403, (way, answer.text)
        assert answer.json()["type"] == "urn:relo:problem:revenue"
        assert service.call("POST", f"/segments/{way}", {"text": text}).status_code == 200


def test_no_audience_that_derives_from_it(service: Service) -> None:
    service.load(*buyers(25))
    text = "audience spent\nmatch sum(purchase.revenue) > 10\n"
    assert service.call("PUT", "/audiences/spent", {"text": text}).status_code == 201
    service.ok("POST", "/audiences/spent/refresh")
    listed = service.ok("GET", "/audiences", role=Role.PARTNER)["audiences"]
    assert [one["name"] for one in listed] == ["quiet"]
    for path in ("", "/versions", "/history", "/diff", "/live"):
        answer = service.call("GET", f"/audiences/spent{path}", role=Role.PARTNER)
        assert answer.status_code == 403, (path, answer.text)
        assert "25" not in answer.text
    lines = service.ok("GET", "/schedule", role=Role.PARTNER)["audiences"]
    assert [line["name"] for line in lines] == ["quiet"]


def test_no_catalog_with_it(service: Service) -> None:
    for role, names in ((Role.ADMIN, {"revenue", "product_line", "gift"}),
                        (Role.PARTNER, {"product_line", "gift"})):  # fmt: skip
        found = service.ok("GET", "/catalog", role=role)
        assert set(found["events"]["purchase"]) == names


def test_no_mistake_names_it(service: Service) -> None:
    text = "audience a match purchase.revenu > 5"
    assert "revenue" in service.call("POST", "/segments/check", {"text": text}).text
    answer = service.call("POST", "/segments/check", {"text": text}, role=Role.PARTNER)
    assert answer.status_code == 200


def test_no_number_under_twenty(service: Service) -> None:
    service.load(*buyers(19))
    service.ok("POST", "/audiences/quiet/refresh")
    (one,) = service.ok("GET", "/audiences", role=Role.PARTNER)["audiences"]
    assert one["device_count"] == "<20"
    (version,) = service.ok("GET", "/audiences/quiet/versions", role=Role.PARTNER)["versions"]
    assert (version["size"], version["entered"], version["left"]) == ("<20", "<20", "<20")
