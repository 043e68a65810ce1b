"""What people read comes in the language they ask for; what programs read does not change."""

from __future__ import annotations

import time

import pytest

from tests.api.conftest import Service

WRONG = "audience a\n  type winback\nmatch\n  purchase within 30\n"


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("", "en"),
        ("es", "es"),
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("en;q=0.5, es;q=0.7", "es"),
        ("es;q=0.5, en;q=0.7", "en"),
        ("fr, es;q=0.2", "es"),
        ("fr", "en"),
        ("*", "en"),
        ("es;q=0", "en"),
        ("es;q=much", "en"),
    ],
)
def test_the_language_is_the_one_asked_for(service: Service, wanted: str, given: str) -> None:
    answer = service.call("GET", "/audiences/nobody", accept_language=wanted)
    assert answer.headers["content-language"] == given
    assert "accept-language" in answer.headers["vary"].lower()
    assert answer.json()["title"] == {"en": "Not Found", "es": "No encontrado"}[given]


def test_problems_with_diagnostics(service: Service) -> None:
    english, spanish = (
        service.call("POST", "/segments/compile", {"text": WRONG}, accept_language=name).json()
        for name in ("en", "es-MX")
    )
    assert spanish["title"] == "No procesable"
    assert spanish["detail"] != english["detail"]
    assert [one["message"] for one in spanish["diagnostics"]] == [
        "se esperaba una duración como `30d`, y hay `30`"
    ]
    same = ("code", "line", "column", "severity")
    assert [[one.get(name) for name in same] for one in spanish["diagnostics"]] == [
        [one.get(name) for name in same] for one in english["diagnostics"]
    ]
    assert spanish["type"] == english["type"]


def test_check_and_explain(service: Service) -> None:
    found = service.ok("POST", "/segments/check", {"text": WRONG}, accept_language="es")
    assert found["diagnostics"][0]["message"].startswith("se esperaba")
    right = WRONG.replace("30", "30d")
    told = service.ok("POST", "/segments/explain", {"text": right}, accept_language="es")
    assert "30 días" in str(told)


def test_a_refusal_of_the_shape(service: Service) -> None:
    answer = service.call("POST", "/segments/check", {"txt": WRONG}, accept_language="es").json()
    assert answer["title"] == "No procesable"
    assert "txt" in str(answer)


def test_reasons_of_refusals(service: Service) -> None:
    """In the answer of a batch, and where they are told later."""
    for event in ({"t": "purchase", "ts": "yesterday", "did": "c"}, {"t": "x", "did": 1, "ts": []}):
        answer = service.call("POST", "/ingest/batch", [event], accept_language="es-MX")
        (refused,) = answer.json()["refused"]
        assert refused["reason"].startswith("se esperaba"), refused
    late = time.monotonic() + 20
    while len(letters := service.ok("GET", "/ingest/dead-letters")["letters"]) < 2:
        assert time.monotonic() < late
        time.sleep(0.02)
    assert letters[0]["reason"].startswith("expected")
    spanish = service.ok("GET", "/ingest/dead-letters", accept_language="es")["letters"]
    assert {one["reason"][:11] for one in spanish} == {"se esperaba"}
    (source,) = service.ok("GET", "/ingest/health", accept_language="es")["sources"]
    assert {one["reason"][:11] for one in source["reasons"]} == {"se esperaba"}
