"""Raw e-mails, phones, advertising ids and addresses never come out of `protect`."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relo_dsl.records import RecordError, parse_record
from relo_server.ingest.identifiers import sha256_hex
from relo_server.ingest.protect import kind_of_key, protect, redact
from tests.growth import growth

EMAIL = "Ana.Perez@Gmail.com"
PHONE = "+52 55 1234 5678"
GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"
PLAIN = sha256_hex("ana.perez@gmail.com")
GOOGLE = sha256_hex("anaperez@gmail.com")
E164 = sha256_hex("+525512345678")
META = sha256_hex("525512345678")


def props(**values: Any) -> dict[str, Any]:
    raw = {"t": "purchase", "ts": 1, "cid": 3, "did": "d", "eid": "e", "props": values}
    out = protect(raw)
    parse_record(out)
    assert protect(out) == out
    return dict(out["props"])


def test_a_known_key_becomes_what_every_platform_compares() -> None:
    assert props(email=EMAIL, telefono=PHONE, gaid=GAID.upper(), ip="203.0.113.9", total=5) == {
        "email_sha256": PLAIN,
        "email_sha256_google": GOOGLE,
        "email_sha256_uid2": GOOGLE,
        "telefono_sha256": E164,
        "telefono_sha256_meta": META,
        "gaid_sha256": sha256_hex(GAID),
        "total": 5,
    }


def test_texts_keep_everything_but_the_identifier() -> None:
    assert props(note=f"call {PHONE}, or write to {EMAIL}!") == {
        "note": f"call sha256:{E164}, or write to sha256:{PLAIN}!"
    }
    assert props(url="https://s.mx/?e=ana.perez%40gmail.com&p=%2B525512345678") == {
        "url": f"https://s.mx/?e=sha256:{PLAIN}&p=sha256:{E164}"
    }


def test_nested_values_and_arrays() -> None:
    assert props(contact={"email": EMAIL, "n": 1}, emails=[EMAIL], who=["x", EMAIL]) == {
        "contact": {
            "email_sha256": PLAIN, "email_sha256_google": GOOGLE, "email_sha256_uid2": GOOGLE,
            "n": 1,
        },
        "emails_sha256": [PLAIN], "emails_sha256_google": [GOOGLE], "emails_sha256_uid2": [GOOGLE],
        "who": ["x", f"sha256:{PLAIN}"],
    }  # fmt: skip
    assert props(phone={"home": PHONE}) == {
        "phone": {"home_sha256": E164, "home_sha256_meta": META}
    }
    assert props(phone=[{"number": PHONE, "kind": "home"}]) == {
        "phone": [{"number_sha256": E164, "number_sha256_meta": META, "kind": "home"}]
    }


def test_arrays_in_arrays() -> None:
    raw = {"props": {"phone": [["5512345678"], ["x", ["+52 55 1234 5678"]]], "email": [["a@b.mx"]]}}
    for again in (raw, protect(raw, calling_code="52")):
        clean = json.dumps(protect(again, calling_code="52"))
        assert "5512345678" not in clean
        assert "1234 5678" not in clean
        assert "a@b.mx" not in clean
        assert clean.count(E164) == 2


def test_a_trait_can_be_unset() -> None:
    raw = {"t": "identify", "ts": 1, "cid": 3, "did": "d", "traits": {"email": None, "plan": None}}
    assert protect(raw)["traits"] == {
        "email_sha256": None, "email_sha256_google": None, "email_sha256_uid2": None, "plan": None,
    }  # fmt: skip


def test_device_ids_event_ids_and_names_are_seen_too() -> None:
    out = protect({"t": f"hi {EMAIL}", "did": EMAIL, "eid": PHONE, "props": {EMAIL: 1}})
    token = f"sha256:{PLAIN}"
    assert out == {"t": f"hi {token}", "did": token, "eid": f"sha256:{E164}", "props": {token: 1}}
    assert redact(EMAIL) == token  # how to find such a device again


def test_hashes_stay_and_false_hashes_do_not() -> None:
    assert props(email_sha256=PLAIN, phone_sha256=None, idfa=PLAIN) == {
        "email_sha256": PLAIN, "idfa_sha256": PLAIN,
    } | {"phone_sha256": None}  # fmt: skip
    assert props(email=PLAIN.upper()) == {"email_sha256": PLAIN}
    assert props(phone_sha256="5215512345678")["phone_sha256"] == sha256_hex("+5215512345678")
    assert props(email_hash=EMAIL)["email_sha256"] == PLAIN


def test_what_only_sounds_like_an_identifier_stays() -> None:
    kept = {
        "email_opt_in": True, "email": True, "mobile": "yes", "phone": "iPhone 15", "tip": 20,
        "zip": "06600", "strip": "a@", "offset": "2026-01-01T10:00:00+05:30", "cid": "+52",
        "sum": "1+23456789012", "equal": "x=@", "ship": "DHL", "sku": "A-5512345678",
    }  # fmt: skip
    raw = {"t": "x", "props": kept}
    assert protect(raw) is raw


def test_absent_advertising_ids_go() -> None:
    assert props(idfa="00000000-0000-0000-0000-000000000000", gaid="", n=1) == {"n": 1}


def test_a_phone_without_a_code_is_the_clients() -> None:
    raw = {"t": "x", "props": {"phone": 5512345678}}
    assert protect(raw, calling_code="52")["props"]["phone_sha256"] == E164


def test_a_key_makes_hashes_in_texts_unguessable() -> None:
    raw = {"t": "x", "did": EMAIL, "props": {"note": EMAIL, "email": EMAIL}}
    out = protect(raw, key=b"secret")
    assert out["did"] == out["props"]["note"] == redact(EMAIL, b"secret")
    assert out["did"] != f"sha256:{PLAIN}"
    assert out["props"]["email_sha256"] == PLAIN


def test_a_device_under_a_name_is_hashed_with_the_key() -> None:
    raw = {"t": "x", "props": {"device_id": "raw-dev-1", "visitorId": 5, "device": "SM-S921"}}
    out = protect(raw, key=b"secret")["props"]
    assert out.keys() == {"device_id_sha256", "visitorId_sha256", "device"}
    assert out["device_id_sha256"] not in (sha256_hex("raw-dev-1"), "raw-dev-1")
    assert protect({"t": "x", "props": out}, key=b"secret")["props"] == out


def test_the_name_of_a_key_decides_by_its_last_words() -> None:
    kinds = {
        "email": "email", "userEmail": "email", "E-Mail Address": "email", "correo": "email",
        "correo_electrónico": "email", "USER_EMAIL": "email", "email2": "email",
        "Teléfono": "phone",
        "phone_number": "phone", "msisdn": "phone", "customer.phone": "phone", "GAID": "ad",
        "advertising_id": "ad", "advertisingId": "ad", "ip": "address", "clientIp": "address",
        "ip_address": "address", "X-Forwarded-For": "address", "ipv4": "address",
        "phone_no": "phone", "whatsapp_number": "phone", "telefonoCasa": "phone",
        "celular_cliente": "phone", "contact_number": "phone", "email_work": "email",
        "correo_personal": "email", "device_id": "device", "deviceId": "device",
        "visitor_id": "device", "device": None, "gaid_no": None, "order_number": None,
        "no": None, "home": None, "phone_price": None, "mobile_sales": None,
        "email_opt_in": None, "zip": None, "shipment": None, "ipad": None, "phone_model": None,
        "adidas": None, "": None, "日本": None,
    }  # fmt: skip
    assert {name: kind_of_key(name) for name in kinds} == kinds


def test_depth_is_refused_not_passed() -> None:
    for wrap in (lambda x: {"a": x}, lambda x: [x], lambda x: {"email": x}, lambda x: [{"b": x}]):
        for inside in (EMAIL, 5):
            deep: Any = inside
            for _ in range(900):
                deep = wrap(deep)
            with pytest.raises(RecordError, match="nested deeper"):
                protect({"props": deep})
            with pytest.raises(RecordError, match="nested deeper"):
                protect({"note": EMAIL, "props": deep})


NAMES = st.sampled_from(
    ["email", "e_mail", "correo", "phone", "telefono", "gaid", "ip", "note", "x", "userEmail"]
)
FILL = st.text(alphabet=" ,;:.()<>\"'abc¡ñ\n=&?/", max_size=12)
LOCAL = st.from_regex(r"[a-z0-9]([a-z0-9._+-]{0,20}[a-z0-9])?", fullmatch=True)
DOMAIN = st.from_regex(
    r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?\.(com|mx|co\.uk|müller\.de)", fullmatch=True
)


@st.composite
def planted(draw: st.DrawFn) -> tuple[Any, str, list[str]]:
    """A text with an identifier in it, where it may stand, and what must not be found again."""
    what = draw(st.sampled_from(["email", "phone", "gaid", "ip"]))
    if what == "email":
        local, domain = draw(LOCAL), draw(DOMAIN)
        return f"{draw(FILL)} {local}@{domain} {draw(FILL)}", "any", [f"{local}@{domain}"]
    if what == "phone":
        digits = draw(st.from_regex(r"[1-9][0-9]{9,13}", fullmatch=True))
        cut = draw(st.integers(1, 8))
        spaced = f"+{digits[:cut]} {digits[cut:]}"
        return f"{draw(FILL)} {spaced} {draw(FILL)}", "any", [digits, spaced]
    if what == "gaid":
        gaid = str(draw(st.uuids()))
        return draw(st.sampled_from([gaid, gaid.upper()])), "gaid", [gaid]
    address = draw(st.ip_addresses())
    return str(address), "ip", [str(address)]


@st.composite
def records(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    secrets: list[str] = []

    def tree(depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for _ in range(draw(st.integers(1, 3))):
            text, where, forbidden = draw(planted())
            name = draw(NAMES) if where == "any" else where
            if name == "ip" and where != "ip":
                name = "note"
            shape = draw(st.sampled_from(["plain", "list", "object"]))
            if shape == "object" and depth and where == "any":
                out[name] = tree(depth - 1)
                continue
            out[name] = [text] if shape == "list" else text
            secrets.extend(forbidden)
        return out

    kind, place = draw(st.sampled_from([("identify", "traits"), ("purchase", "props")]))
    return {"t": kind, "ts": 1, "cid": 1, "did": "d", place: tree(2)}, secrets


@settings(max_examples=60)
@given(records())
def test_nothing_planted_is_found_again(case: tuple[dict[str, Any], list[str]]) -> None:
    raw, secrets = case
    before = json.dumps(raw)
    out = protect(raw)
    assert json.dumps(raw) == before, "the caller's record was changed"
    written = re.sub(r"[0-9a-f]{64}", "#", json.dumps(out, ensure_ascii=False)).lower()
    for secret in secrets:
        assert secret.lower() not in written
    assert protect(out) == out


KEYS = NAMES | st.text(max_size=5)
LEAVES = st.none() | st.booleans() | st.integers() | st.text("a@.+1 -%40b", max_size=30)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(TREES)
def test_any_json_is_taken_and_twice_is_once(tree: Any) -> None:
    once = protect({"t": "x", "props": tree})
    assert protect(once) == once


@pytest.mark.parametrize(
    ("before", "piece", "after"),
    [("", "a", "@"), ("+", "1 ", ""), ("", "@", ""), ("", "a@b.", "")],
)
def test_hostile_texts_take_linear_time(before: str, piece: str, after: str) -> None:
    assert growth(lambda text: redact(before + text + after), piece, 25_000) < 30
