"""Click links: where they lead, whose click it is, and what is told of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relo_dsl.errors import UserError
from relo_server.ingest.agents import agent_of
from relo_server.ingest.links import checked_destination, client_of, new_code, with_click
from relo_server.ingest.places import NOWHERE, Place, Places
from relo_server.security.roles import Role
from tests.api.conftest import Service
from tests.ingest.test_batch import stored

PHONE = (
    "Mozilla/5.0 (Linux; Android 14; SM-S921) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/125.0.0.0 Mobile Safari/537.36"
)
CLICK = "01K0CLICK0000000000000000A"


@pytest.mark.parametrize(
    ("destination", "led"),
    [
        ("https://shop.example", f"https://shop.example?relo_cid={CLICK}"),
        ("https://shop.example/a?", f"https://shop.example/a?relo_cid={CLICK}"),
        ("https://shop.example/a?b=1", f"https://shop.example/a?b=1&relo_cid={CLICK}"),
        ("https://shop.example/a?b=1&", f"https://shop.example/a?b=1&relo_cid={CLICK}"),
        ("https://shop.example/#c?d", f"https://shop.example/?relo_cid={CLICK}#c?d"),
        ("https://s.example/%20a?b=%26&b=+#%c", f"https://s.example/%20a?b=%26&b=+&relo_cid={CLICK}#%c"),
        ("https://s.example/ñ?q=café#é",
         f"https://s.example/%C3%B1?q=caf%C3%A9&relo_cid={CLICK}#%C3%A9"),
        ("shopapp://product/7?x=1#y", f"shopapp://product/7?x=1&relo_cid={CLICK}#y"),
    ],
)  # fmt: skip
def test_query_and_fragment_stay(destination: str, led: str) -> None:
    assert with_click(checked_destination(destination, ["shopapp"]), CLICK) == led


@pytest.mark.parametrize(
    "destination",
    [
        "http://shop.example", "javascript:alert(1)", "//evil.example", "/path", "", "data:,x",
        "https://", "https://user:pass@shop.example", "otherapp://x", "https://a.example/ b",
        "https://a.example/\r\nSet-Cookie: x=1", "https://[::1", "https://a.example/" + "x" * 2_000,
    ],
)  # fmt: skip
def test_nowhere_else(destination: str) -> None:
    with pytest.raises(UserError) as told:
        checked_destination(destination, ["shopapp"])
    assert told.value.hint


@given(st.text())
def test_what_is_taken_is_a_header(text: str) -> None:
    try:
        destination = checked_destination("https://shop.example/" + text, [])
    except UserError:
        return
    with_click(destination, CLICK).encode("ascii")


@given(st.integers(0, 2**32 - 1))
def test_a_code_says_whose_it_is(client: int) -> None:
    assert client_of(new_code(client)) == client


@pytest.mark.parametrize(
    "code", ["", "3", "3-", "3-short", "03-23456789a", "3-23456789A", "x" * 99]
)
def test_no_code(code: str) -> None:
    assert client_of(code) is None


@pytest.mark.parametrize(
    ("text", "bot"),
    [
        (PHONE, False),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0", False),
        ("", True),
        ("curl/8.5.0", True),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", True),
        ("facebookexternalhit/1.1", True),
        ("WhatsApp/2.23.20.0 A", True),
        ("Mozilla/5.0 (X11) HeadlessChrome/125.0.0.0 Safari/537.36", True),
        ("python-requests/2.32", True),
        ("x" * 5_000, True),
        ("Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20 PRO) AppleWebKit/537.36 "
         "(KHTML, like Gecko) Chrome/114.0.0.0 Mobile Safari/537.36", False),
        ("Mozilla/5.0 (Linux; Android 9; Cubot X19) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/80.0.3987.99 Mobile Safari/537.36", False),
        ("Mozilla/5.0 (Linux; Android 10; SM-A505F; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Version/4.0 Chrome/91.0.4472.120 Mobile Safari/537.36 Viber/15.3.0.5", False),
        ("Viber/1.0", True),
        ("Viber/13.3.0.20 CFNetwork/1128.0.1 Darwin/19.6.0", True),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 "
         "(via ggpht.com GoogleImageProxy)", True),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", True),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; "
         "+http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36", True),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", True),
        ("Twitterbot/1.0", True),
        ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", True),
        ("TelegramBot (like TwitterBot)", True),
        ("SomeNewBot", True),
    ],
)  # fmt: skip
def test_bots(text: str, bot: bool) -> None:
    assert agent_of(text).bot is bot


def test_places() -> None:
    places = Places(None)
    assert places.of("189.203.1.1") == Place("MX", None)
    assert places.of("127.0.0.1") == NOWHERE
    assert places.of("no address") == NOWHERE
    assert places.of("::ffff:189.203.1.1") == Place("MX", None), "of a socket for both families"
    places.close()
    with pytest.raises(UserError, match="cannot read the places"):
        Places(Path(__file__))


def database(path: Path, record: dict[str, Any]) -> Path:
    """A file in MaxMind's format in which every address has one record."""

    def coded(value: Any, name: str = "") -> bytes:
        if isinstance(value, str):
            return bytes([2 << 5 | len(value.encode())]) + value.encode()
        if name == "node_count":
            return bytes([6 << 5 | 4]) + int(value).to_bytes(4)
        if name == "build_epoch":
            return bytes([8, 9 - 7]) + int(value).to_bytes(8)
        if isinstance(value, int):
            return bytes([5 << 5 | 2]) + value.to_bytes(2)
        if isinstance(value, list):
            return bytes([len(value), 11 - 7]) + b"".join(map(coded, value))
        parts = b"".join(coded(name) + coded(part, name) for name, part in value.items())
        return bytes([7 << 5 | len(value)]) + parts

    about = {
        "node_count": 1, "record_size": 24, "ip_version": 6, "database_type": "test",
        "languages": ["en"], "binary_format_major_version": 2, "binary_format_minor_version": 0,
        "build_epoch": 1, "description": {"en": "test"},
    }  # fmt: skip
    node = (1 + 16).to_bytes(3) * 2
    path.write_bytes(node + bytes(16) + coded(record) + b"\xab\xcd\xefMaxMind.com" + coded(about))
    return path


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({"country": {"iso_code": "MX"}, "city": {"names": {"en": "León"}}}, Place("MX", "León")),
        ({"country": "US", "city": "Austin", "region": "Texas"}, Place("US", "Austin")),
        ({"country": "United States", "city": ""}, NOWHERE),
        ({"country": 7, "city": {"names": "Puebla"}}, NOWHERE),
        ({"country": {"iso_code": 52}, "city": ["Puebla"]}, NOWHERE),
        ({}, NOWHERE),
    ],
)  # fmt: skip
def test_files_of_places_differ(tmp_path: Path, record: dict[str, Any], place: Place) -> None:
    places = Places(database(tmp_path / "a.mmdb", record))
    assert places.of("8.8.8.8") == places.of("::ffff:8.8.8.8") == places.of("2001::1") == place
    places.close()


def test_a_damaged_file_of_places_costs_no_click(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = database(tmp_path / "a.mmdb", {"country": "US"})
    data = path.read_bytes()
    path.write_bytes((2**24 - 1).to_bytes(3) * 2 + data[6:])
    places = Places(path)
    assert places.of("8.8.8.8") == places.of("189.203.1.1") == NOWHERE
    assert caplog.text.count("the file of places is damaged") == 1
    assert "8.8.8.8" not in caplog.text
    places.close()


def link(service: Service, destination: str = "https://shop.example/a?b=1#c", **more: Any) -> Any:
    return service.ok("POST", "/links", {"destination": destination, **more})


def click(service: Service, path: str, agent: str = PHONE, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.http.get(path, headers={"user-agent": agent, **named}, follow_redirects=False)


def test_a_click_leads_on_and_is_an_event(service: Service) -> None:
    made = link(service, name="june")
    answer = click(
        service, made["path"], referer="https://mail.example/read?who=ana@example.com",
        x_forwarded_for="189.203.1.1",
    )  # fmt: skip
    assert answer.status_code == 302
    place = answer.headers["location"]
    id_ = place.partition("relo_cid=")[2].partition("#")[0]
    assert place == f"https://shop.example/a?b=1&relo_cid={id_}#c"
    cookie = answer.headers["set-cookie"]
    visitor = cookie.partition("_relo_cid=")[2][:26]
    assert visitor != id_, "what is stored of a click must not name its device"
    for part in ("Max-Age=2592000", "HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert part in cookie
    again = click(service, made["path"], cookie=f"_relo_cid={visitor}")
    assert f"_relo_cid={visitor}" in again.headers["set-cookie"], "the same device"
    rows = stored(service, 2)
    assert b"189.203" not in repr(rows).encode()
    written = b"".join(
        path.read_bytes() for path in (service.folder / "data").rglob("*") if path.is_file()
    )
    assert visitor.encode() not in written
    told = json.loads(
        service.engine.rows(
            "SELECT rest FROM events WHERE client_id = {c:UInt32} AND rest LIKE {i:String}",
            {"c": service.client, "i": f"%{id_}%"},
        )[0][0]
    )
    assert told == {
        "click_id": id_, "link": made["code"], "name": "june", "country": "MX",
        "device": "SM-S921", "browser": "Chrome Mobile", "system": "Android",
        "referrer": "mail.example/read",
    }  # fmt: skip
    devices = service.engine.rows(
        "SELECT uniqExact(device) FROM events WHERE client_id = {c:UInt32}", {"c": service.client}
    )
    assert devices[0][0] == 1


def test_it_is_found_by_a_definition(service: Service) -> None:
    catalog = service.folder / "segments/catalog.yaml"
    catalog.write_text(catalog.read_text().replace(
        "events:", "events:\n  click: {properties: {name: string}}"))  # fmt: skip
    click(service, link(service, name="june")["path"])
    stored(service, 1)
    text = 'audience clicked\nmatch\n  click[name = "june"] within 1d\n'
    found = service.ok("POST", "/segments/preview", {"text": text, "at": "2100-01-01T00:00:00Z"})
    assert found["definitions"][0]["size"] == 0
    found = service.ok("POST", "/segments/preview", {"text": text.replace("within 1d", "")})
    assert found["definitions"][0]["size"] == 1


def test_bots_are_led_on_and_not_counted(service: Service) -> None:
    path = link(service)["path"]
    for answer in (
        click(service, path, "curl/8.5.0"),
        click(service, path, sec_purpose="prefetch;prerender"),
    ):
        assert answer.status_code == 302
        assert "set-cookie" not in answer.headers
    stored(service, 2)
    kinds = service.engine.rows(
        "SELECT DISTINCT event_type FROM events WHERE client_id = {c:UInt32}", {"c": service.client}
    )
    assert kinds == [("bot_click",)]


def test_unknown_and_ended_links(service: Service) -> None:
    made = link(service)
    for path in (f"/c/{new_code(service.client)}", "/c/nonsense", "/c/9-23456789a"):
        assert click(service, path).status_code == 404
    assert click(service, made["path"]).status_code == 302
    ended = service.ok("DELETE", f"/links/{made['code']}")
    assert ended["ended_at"]
    assert click(service, made["path"]).status_code == 404
    assert service.call("DELETE", "/links/nothing").status_code == 404


def test_links_are_of_their_client(service: Service) -> None:
    made = link(service)
    other = service.client + 1
    assert service.ok("GET", "/links", client=other)["links"] == []
    assert service.call("DELETE", f"/links/{made['code']}", client=other).status_code == 404
    assert service.call("GET", "/links", role=Role.VIEWER).status_code == 403
    assert [one["code"] for one in service.ok("GET", "/links")["links"]] == [made["code"]]


def test_a_full_spool_does_not_keep_anybody(service: Service) -> None:
    path = link(service)["path"]
    service.house.spool._limit = 0
    assert click(service, path).status_code == 302
    answer = service.call("POST", "/ingest/batch", [])
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_visitors_are_not_in_the_audit(service: Service) -> None:
    click(service, link(service)["path"])
    assert [action for _, action, _ in service.actions()] == ["links.create"]
