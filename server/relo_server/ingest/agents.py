"""What a browser says it is, and whether it is a person's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

#: What the list of ua-parser does not call a spider: tools, previews, monitors, headless browsers.
#: Cubot makes phones. Viber's own browser is a Mozilla, as all are; what begins with its name looks
#: at links for a preview.
_TOOL = re.compile(
    r"(?<!\bcu)bot\b|^viber\b|imageproxy|crawl|spider|preview|monitor|headless|lighthouse|scan|"
    r"fetch|curl/|wget/|python|java/|go-http|okhttp|axios|node|httpclient|libwww|ruby|perl|phantom|"
    r"selenium|playwright|puppeteer",
    re.IGNORECASE,
)
#: Of a user agent; what is longer is none.
_LONGEST = 1_000


class Agent(NamedTuple):
    """Browser, system and device by their families; None where the text does not tell."""

    browser: str | None
    system: str | None
    device: str | None
    bot: bool


@lru_cache(maxsize=20_000)
def agent_of(text: str) -> Agent:
    """What a `User-Agent` says. Whoever says nothing is a bot."""
    from ua_parser import parse

    found = parse(text[:_LONGEST])
    device = found.device
    spider = device is not None and device.family == "Spider"
    return Agent(
        found.user_agent.family if found.user_agent else None,
        found.os.family if found.os else None,
        None if device is None or spider else device.family,
        not text or len(text) > _LONGEST or spider or _TOOL.search(text) is not None,
    )


def is_look_ahead(headers: Mapping[str, str]) -> bool:
    """Whether a browser loads something that nobody has asked for yet."""
    told = f"{headers.get('sec-purpose', '')} {headers.get('purpose', '')}".lower()
    return "prefetch" in told or "prerender" in told or "preview" in told
