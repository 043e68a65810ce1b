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

from relo_dsl.records import RecordError
from relo_dsl.settings import App, Signature
from relo_dsl.times import UNITS
from relo_server.ingest.appsflyer import Unsigned, record_of, verify
from tests.api.conftest import NOW, Service
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
    assert not isinstance(found, RecordError), found
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


@pytest.mark.parametrize("value", ["", "{", "plain", None, 5, "[1]"])
def test_values_that_are_none(value: Any) -> None:
    assert "revenue" not in record(event_value=value, event_revenue="-")["props"]


def test_the_same_message_is_the_same_record() -> None:
    """Pushed to the millisecond, pulled to the second."""
    second = NOW // 1_000 * 1_000 - 60_000
    pushed, pulled = record(event_time=at(second + 123)), record(event_time=at(second)[:19])
    assert pushed["eid"] == pulled["eid"]
    assert pushed["eid"] != record(event_time=at(second + 1_000))["eid"]


@pytest.mark.parametrize(
    "time", [None, "yesterday", "", at(NOW - WEEK - 1_000)], ids=["none", "word", "empty", "old"]
)
def test_a_time_that_is_none_or_too_old(time: str | None) -> None:
    assert isinstance(record_of(message(event_time=time), NOW, WEEK), RecordError)


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


def test_a_client_may_do_without_signatures() -> None:
    assert App(client=3, unsigned=True).unsigned
    with pytest.raises(ValidationError, match="give `keys`"):
        App(client=3)
    with pytest.raises(ValidationError):
        App(client=3, keys=(SecretStr("a"), SecretStr("b"), SecretStr("c")))
