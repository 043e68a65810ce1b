"""What a preview would read is told before it runs, and refused where it is too much."""

from __future__ import annotations

from typing import Any

import pytest

from relo_dsl.settings import Service as Limits
from relo_server.cost import stored_rows
from tests.api.conftest import Service, buyers

_TEXT = "audience mine\nmatch\n  purchase within 180d\n  and no visit within 3d\n"


@pytest.fixture
def shop(service: Service) -> Service:
    visits: list[dict[str, Any]] = [{"did": f"v{n}", "t": "visit"} for n in range(5)]
    service.load(*buyers(20), *visits)
    return service


def limited(service: Service, rows: int) -> None:
    chosen = Limits(preview_rows=rows)
    object.__setattr__(service.house.settings, "service", chosen)


def test_a_preview_that_would_read_too_much_is_refused_with_its_cost(shop: Service) -> None:
    assert stored_rows(shop.engine, shop.client) == {"purchase": 20, "visit": 5}
    # The members and who lacks consent (25 each), the first clause (20), and twice everybody.
    rows = 25 + 25 + 20 + 2 * 25
    limited(shop, rows)
    assert shop.ok("POST", "/segments/preview", {"text": _TEXT})["definitions"][0]["size"] == 20
    limited(shop, rows - 1)
    answer = shop.call("POST", "/segments/preview", {"text": _TEXT})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["type"] == "urn:relo:problem:too_expensive"
    assert problem["estimated_rows"] == rows
    assert problem["allowed_rows"] == rows - 1
    assert f"about {rows} events" in problem["detail"]
    # A size as one types still comes.
    assert shop.call("POST", "/segments/estimate", {"text": _TEXT}).status_code == 200


def test_all_definitions_of_a_text_count(shop: Service) -> None:
    limited(shop, 130)
    two = _TEXT + _TEXT.replace("mine", "other")
    assert shop.call("POST", "/segments/preview", {"text": _TEXT}).status_code == 200
    assert shop.call("POST", "/segments/preview", {"text": two}).status_code == 422
