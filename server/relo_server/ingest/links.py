"""Click links: where they lead, and what is told of a click. No I/O.

A code is `CLIENT-RANDOM`: whose link it is can be told without looking at all clients' links.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from relo_dsl.errors import UserError
from relo_server.ingest.agents import Agent
from relo_server.ingest.places import Place

#: The parameter that a destination gets, with the click's id.
PARAMETER = "relo_cid"
COOKIE = "_relo_cid"
COOKIE_SECONDS = 30 * 86_400
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
_CODE = re.compile(r"(0|[1-9][0-9]{0,9})-[2-9a-z]{9}")
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_LONGEST = 2_000


def new_code(client: int) -> str:
    """A code that nobody can guess: 31^9 of them."""
    return f"{client}-{''.join(secrets.choice(_LETTERS) for _ in range(9))}"


def client_of(code: str) -> int | None:
    """Whose link a code is; None for what is no code."""
    found = _CODE.fullmatch(code)
    return int(found[1]) if found and int(found[1]) < 2**32 else None


def checked_destination(text: str, schemes: Collection[str]) -> str:
    """A destination as links keep it: https, or an app's scheme that is registered.

    Raises UserError for any other.
    """
    try:
        parts = urlsplit(text)
        known = parts.scheme == "https" or parts.scheme in schemes
        host = parts.hostname
    except ValueError:
        raise UserError(
            f"`{text[:100]}` is no URL", "such as `https://shop.example/offer`"
        ) from None
    if not known:
        allowed = ", ".join(["https", *sorted(schemes)])
        raise UserError(
            f"a link cannot lead to `{parts.scheme or text[:100]}`",
            f"it may be {allowed}; `app_schemes` under [ingest] registers an app's scheme",
        )
    if (parts.scheme == "https" and not host) or parts.username or parts.password:
        raise UserError(f"`{text[:100]}` is no URL", "such as `https://shop.example/offer`")
    if len(text) > _LONGEST or any(ord(c) <= 32 or ord(c) == 127 for c in text):
        raise UserError(
            "the destination has spaces or control characters, or is longer than 2,000 characters",
            "write spaces as `%20`",
        )
    return text


def with_click(destination: str, click: str) -> str:
    """The destination with the click's id in its query; the rest stays as it is, byte for byte."""
    before, mark, fragment = destination.partition("#")
    joint = "&" if "?" in before else "?"
    if before.endswith(("?", "&")):
        joint = ""
    # A header takes ASCII only.
    address = quote(f"{before}{joint}{PARAMETER}={click}", safe="!#$%&'()*+,/:;=?@[]~-._")
    return address + mark + quote(fragment, safe="!#$%&'()*+,/:;=?@[]~-._")


def known_visitor(cookie: str | None) -> str | None:
    """The id in a cookie of ours; None for anything else."""
    return cookie if cookie and _ULID.fullmatch(cookie) else None


def click_event(
    client: int, click: str, visitor: str, now: int, *, code: str, name: str, agent: Agent,
    place: Place, referrer: str,
) -> dict[str, Any]:  # fmt: skip
    """The record of a click. A bot's is called `bot_click`, so that no definition counts it."""
    about = {
        "click_id": click, "link": code, "name": name or None, "country": place.country,
        "city": place.city, "device": agent.device, "browser": agent.browser,
        "system": agent.system, "referrer": _plain(referrer),
    }  # fmt: skip
    return {
        "t": "bot_click" if agent.bot else "click", "ts": now, "cid": client, "did": visitor,
        "eid": click, "props": {key: value for key, value in about.items() if value is not None},
    }  # fmt: skip


def _plain(referrer: str) -> str | None:
    """Host and path of a referrer: what stands in its query is nobody's business."""
    try:
        parts: SplitResult = urlsplit(referrer[:_LONGEST])
        host = parts.hostname
    except ValueError:
        return None
    return f"{host}{parts.path}" if host else None
