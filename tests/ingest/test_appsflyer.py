"""AppsFlyer's postbacks: signed, mapped, and each once."""

from __future__ import annotations

import base64
import hmac
import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from relo_dsl.settings import App, Signature
from relo_dsl.times import UNITS
from relo_server.ingest.appsflyer import Unsigned, record_of, verify
from relo_server.ingest.intake import Unwanted
from tests.api.conftest import NOW, Service
from tests.growth import growth
from tests.ingest.test_batch import stored
from tests.ingest.test_pixel import kinds, rest

APP = "com.shop.app"
OLD_KEY, NEW_KEY = b"the old key", b"the new key"
GAID = "cdda802e-fb9c-47ad-9866-0794d394c912"
WEEK = UNITS["d"] * 7


def at(millis: int) -> str:
    """A time as AppsFlyer writes it."""
    from relo_dsl.times import format_instant

    return format_instant(millis).replace("T", " ").removesuffix("Z")


def message(name: str = "af_purchase", **more: Any) -> dict[str, Any]:
    return {
        "app_id": APP, "event_name": name, "event_time": at(NOW - 60_000),
        "appsflyer_id": "1700000000000-1234567", "platform": "android", **more,
    }  # fmt: skip


def record(**more: Any) -> dict[str, Any]:
    found = record_of(message(**more), NOW, WEEK)
    assert isinstance(found, dict), found
    return found


# ---- the signature -------------------------------------------------------------------------------


def signed(body: bytes, key: bytes, encoding: str = "hex") -> str:
    digest = hmac.digest(key, body, "sha256")
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


@given(body=st.binary(), key=st.binary(min_size=1), encoding=st.sampled_from(["hex", "base64"]))
def test_a_signature_by_a_live_key_fits(body: bytes, key: bytes, encoding: str) -> None:
    verify(body, signed(body, key, encoding), [OLD_KEY, key], encoding)
    verify(body, f"sha256={signed(body, key, encoding)}", [key], encoding)
    with pytest.raises(Unsigned):
        verify(body + b" ", signed(body, key, encoding), [key], encoding)
    with pytest.raises(Unsigned):
        verify(body, signed(body, key + b"x", encoding), [key], encoding)


@given(text=st.none() | st.text(string.printable), encoding=st.sampled_from(["hex", "base64"]))
def test_anything_else_does_not(text: str | None, encoding: str) -> None:
    with pytest.raises(Unsigned):
        verify(b"body", text, [OLD_KEY], encoding)


# ---- what a message becomes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "type_"),
    [
        ({"name": "install"}, "install"),
        ({"name": "install", "conversion_type": "Install"}, "install"),
        ({"name": "install", "conversion_type": "Re-engagement"}, "re_engagement"),
        ({"name": "install", "conversion_type": "Reinstall"}, "reinstall"),
        ({"name": "uninstall"}, "uninstall"),
        ({"name": "af_purchase", "conversion_type": "Re-engagement"}, "af_purchase"),
        ({"name": "", "conversion_type": "Re-engagement"}, "re_engagement"),
        ({"name": "", "retargeting_conversion_type": "re-attribution"}, "re_attribution"),
        ({"name": "install", "blocked_reason": "bots"}, "fraud_install"),
        ({"name": "af_purchase", "fraud_reason": "install_hijacking"}, "fraud_af_purchase"),
    ],
)
def test_what_happened(more: dict[str, Any], type_: str) -> None:
    assert record(**more)["t"] == type_


@pytest.mark.parametrize(
    ("more", "device"),
    [
        ({"advertising_id": GAID.upper()}, GAID),
        ({"idfa": GAID, "advertising_id": None}, GAID),
        ({"advertising_id": "00000000-0000-0000-0000-000000000000"}, "1700000000000-1234567"),
        ({"idfa": "null"}, "1700000000000-1234567"),
        ({"idfa": ""}, "1700000000000-1234567"),
        ({}, "1700000000000-1234567"),
    ],
)
def test_absent_advertising_ids_stay_absent(more: dict[str, Any], device: str) -> None:
    assert record(**more)["did"] == device


def test_values_and_money() -> None:
    found = record(
        event_value='{"af_content_id": "A-1", "af_quantity": 2}', event_revenue="149.90",
        event_revenue_currency="MXN", media_source="meta", customer_user_id="ana@example.com",
    )  # fmt: skip
    props = found["props"]
    assert str(props["revenue"]) == "149.90"
    assert props["af_content_id"] == "A-1"
    assert props["currency"] == "MXN"
    assert len(props["customer_user_id_sha256"]) == 64
    assert "ana@example.com" not in str(found)


@pytest.mark.parametrize("value", [None, "", "  ", "null"])
def test_a_value_that_is_none_is_no_property(value: str | None) -> None:
    props = record(event_value=value, event_revenue=value, customer_user_id=value)["props"]
    assert set(props) == {"app_id", "platform"}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("{", "{"),
        ("plain", "plain"),
        (5, "5"),
        ("[1]", "[1]"),
        (["a"], '["a"]'),
        ('{"sku": "A-1", "name": "a long na', '{"sku": "A-1", "name": "a long na'),
    ],
)
def test_a_value_that_is_no_object_is_kept_as_text(value: Any, kept: str) -> None:
    assert record(event_value=value)["props"]["event_value"] == kept


def test_an_object_in_a_text_in_json() -> None:
    assert record(event_value=json.dumps('{"sku": "A-1"}'))["props"]["sku"] == "A-1"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ('{"phone":"5512345678","sku":"A', '{"phone":…,"sku":"A'),
        (r'{"sku":"A\"-1","tel\u00e9fono" : 5512345678}, cut',
         r'{"sku":"A\"-1","tel\u00e9fono" : …}, cut'),
        ('{"user":{"phones":["5512345678","55123', '{"user":{"phones":…'),
        ('{"gaid":"' + GAID[:20], '{"gaid":…'),
        (r'"{\"sku\":\"A\",\"phone\":\"5512345678, 5512345678\",\"x\":\"',
         r'"{\"sku\":\"A\",\"phone\":…,\"x\":\"'),
        ('[{"phone":"5512345678"}]', '[{"phone":…}]'),
    ],
)  # fmt: skip
def test_a_value_that_was_cut_is_kept_without_identifiers(value: str, kept: str) -> None:
    """As properties they would be known by their names; in a text nobody would look for them."""
    assert record(event_value=value)["props"]["event_value"] == kept


@pytest.mark.parametrize("piece", ['"', '\\"', '"phone":', '"phone":"', " ", '"phone":[', "\\"])
def test_a_long_value_takes_no_longer_for_its_length(piece: str) -> None:
    long = 200_000 // len(piece) // 8
    assert growth(lambda text: record(event_value=text + "x"), piece, long) < 30


@pytest.mark.parametrize(
    ("told", "kept"),
    [("-", "-"), ("12,50", "12,50"), ("true", "true"), (True, True), (12, 12), ("0", 0)],
)  # fmt: skip
def test_a_revenue_that_is_no_number_is_left_to_the_catalog(told: Any, kept: Any) -> None:
    found = record(event_revenue=told)["props"]["revenue"]
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("pushed", "pulled"),
    [
        ({"event_value": None}, {"event_value": ""}),
        ({"event_value": ""}, {}),
        ({"event_value": "", "conversion_type": None, "blocked_reason": ""}, {"name": "install"}),
        ({"event_value": {"a": 1}}, {"event_value": '{"a":1}'}),
        ({"event_value": 5}, {"event_value": "5"}),
        ({"appsflyer_id": None, "idfa": GAID}, {"appsflyer_id": "", "idfa": GAID}),
    ],
)
def test_what_is_empty_makes_no_other_event(pushed: dict[str, Any], pulled: dict[str, Any]) -> None:
    name = pulled.get("name", "af_purchase")
    first, second = record(**{"name": name, **pushed}), record(**{"name": name, **pulled})
    assert first["eid"] == second["eid"]


def test_the_ids_of_usual_messages_stay() -> None:
    """Whatever was taken before an update comes again after it, from a report."""
    fixed = message(event_time="2026-11-01 10:00:00.123", event_value='{"a": 1}')
    found = record_of(fixed, NOW, 2**50)
    assert isinstance(found, dict)
    assert found["eid"] == "af/b5b5409f1d9678123a473adfd4da1bb23019f72e"
    found = record_of({**fixed, "event_name": "install", "event_value": None}, NOW, 2**50)
    assert isinstance(found, dict)
    assert found["eid"] == "af/d736166e11f8125ce4ea2ed3dee117834ae9ef90"


def test_devices_without_an_appsflyer_id_are_several() -> None:
    other = GAID.replace("c", "d")
    one, two = (record(appsflyer_id=None, idfa=device)["eid"] for device in (GAID, other))
    assert one != two


def test_the_same_message_is_the_same_record() -> None:
    """Pushed to the millisecond, pulled to the second."""
    second = NOW // 1_000 * 1_000 - 60_000
    pushed, pulled = record(event_time=at(second + 123)), record(event_time=at(second)[:19])
    assert pushed["eid"] == pulled["eid"]
    assert pushed["eid"] != record(event_time=at(second + 1_000))["eid"]


@pytest.mark.parametrize(
    "more",
    [
        {"event_time": None}, {"event_time": "yesterday"}, {"event_time": ""},
        {"event_time": at(NOW - WEEK - 1_000)}, {"appsflyer_id": None}, {"appsflyer_id": "null"},
    ],
    ids=["none", "word", "empty", "old", "nobody", "null"],
)  # fmt: skip
def test_what_cannot_be_an_event_is_told_with_what_it_would_be(more: dict[str, Any]) -> None:
    found = record_of(message(event_value='{"a": 1}', **more), NOW, WEEK)
    assert isinstance(found, Unwanted)
    assert found.raw["t"] == "af_purchase"
    assert found.raw["props"]["a"] == 1


def test_a_fast_clock() -> None:
    assert record(event_time=at(NOW + 86_400_000))["ts"] == NOW


# ---- over HTTP -----------------------------------------------------------------------------------


@pytest.fixture
def shop(service: Service) -> Service:
    """A service that knows an app and two keys."""
    app = App(client=service.client, keys=(SecretStr("the old key"), SecretStr("the new key")))
    signature = Signature(header="X-AF", encoding="hex")
    ingest = service.house.settings.ingest.model_copy(
        update={"apps": {APP: app}, "signature": signature}
    )
    service.house.settings = service.house.settings.model_copy(update={"ingest": ingest})
    return service


def post(service: Service, body: bytes, signature: str | None) -> Any:
    headers = {} if signature is None else {"x-af": signature}
    return service.http.post("/postback/appsflyer", content=body, headers=headers)


@pytest.mark.parametrize("key", [OLD_KEY, NEW_KEY])
def test_a_signed_message_is_an_event(shop: Service, key: bytes) -> None:
    body = json.dumps(message("install", media_source="meta", advertising_id=GAID)).encode()
    assert post(shop, body, signed(body, key)).json()["accepted"] == 1
    assert post(shop, body, signed(body, key)).json()["duplicate"] == 1
    stored(shop, 1)
    assert kinds(shop) == {"install": 1}
    assert rest(shop)[0]["media_source"] == "meta"
    written = b"".join(
        path.read_bytes() for path in (shop.folder / "data").rglob("*") if path.is_file()
    )
    assert GAID.encode() not in written


def test_what_is_not_signed_is_refused(shop: Service) -> None:
    body = json.dumps(message()).encode()
    for signature in (None, "", "00" * 32, signed(body, b"other")):
        answer = post(shop, body, signature)
        assert answer.status_code == 401
        assert answer.json()["type"] == "urn:relo:problem:signature"
    other = json.dumps({**message(), "app_id": "com.other"}).encode()
    assert post(shop, other, signed(other, OLD_KEY)).status_code == 403
    for nonsense in (b"", b"[]", b"{}", b'{"app_id": 5}'):
        assert post(shop, nonsense, signed(nonsense, OLD_KEY)).status_code == 422


def test_an_old_message_is_kept_as_a_dead_letter(shop: Service) -> None:
    body = json.dumps(message(event_time=at(NOW - WEEK - 1_000))).encode()
    (refused,) = post(shop, body, signed(body, OLD_KEY)).json()["refused"]
    assert refused["reason"] == "the message is older than the replay window"


def test_a_dead_letter_can_be_corrected(shop: Service) -> None:
    body = json.dumps(
        message(
            "install", event_time="yesterday", advertising_id=GAID, customer_user_id="ana",
            event_value='{"phone": "5512345678"}',
        )
    ).encode()  # fmt: skip
    assert len(post(shop, body, signed(body, OLD_KEY)).json()["refused"]) == 1
    stored(shop, 1, "dead_letters")
    (letter,) = shop.ok("GET", "/ingest/dead-letters")["letters"]
    record = letter["record"]
    assert record["t"] == "install"
    assert record["ts"] == "yesterday"
    assert "customer_user_id_sha256" in record["props"]
    for raw in (GAID, "5512345678", "1700000000000-1234567"):
        assert raw not in str(letter)
    right = {"ids": [letter["id"]], "corrected": {letter["id"]: {**record, "ts": NOW - 60_000}}}
    assert shop.ok("POST", "/ingest/dead-letters/replay", right)["accepted"] == 1
    stored(shop, 1)
    assert kinds(shop) == {"install": 1}


def test_a_revenue_of_another_type_is_a_dead_letter(shop: Service) -> None:
    body = json.dumps(message("purchase", event_revenue="12,50")).encode()
    (refused,) = post(shop, body, signed(body, OLD_KEY)).json()["refused"]
    assert refused["reason"] == "expected number, found string"
    assert refused["field"] == "props.revenue"
    assert refused["value"] == "12,50"


def test_a_client_may_do_without_signatures() -> None:
    assert App(client=3, unsigned=True).unsigned
    with pytest.raises(ValidationError, match="give `keys`"):
        App(client=3)
    with pytest.raises(ValidationError):
        App(client=3, keys=(SecretStr("a"), SecretStr("b"), SecretStr("c")))
