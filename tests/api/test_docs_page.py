"""`/docs` in a real browser, without a network: complete, readable, and asking nobody else."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from relo_server.security.roles import OPERATIONS
from tests.api.conftest import Service
from tests.browser import chromium

#: Where to keep the pictures, to look at: `DOCS_PICTURES=/tmp/pictures`.
_KEPT = os.environ.get("DOCS_PICTURES")


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_the_page_is_complete_and_asks_nobody_else(
    service: Service, width: int, height: int
) -> None:
    base = str(service.http.base_url).rstrip("/")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": height})
        wrong: list[str] = []
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((base, "data:", "blob:"))
            else wrong.append(asked.url),
        )  # fmt: skip
        page.goto(f"{base}/docs")
        expect(page.locator(".opblock").first).to_be_visible()
        shown = page.locator(".opblock").count()
        assert shown == sum(1 for one in OPERATIONS.values() if one.path not in _NOT_SHOWN)
        _picture(page, f"docs-{width}")
        # One operation, opened: its example stands there.
        page.locator("#operations-segments-check .opblock-summary").click()
        expect(page.locator("#operations-segments-check .opblock-body")).to_contain_text(
            "gone_quiet"
        )
        page.locator("#operations-segments-check").scroll_into_view_if_needed()
        _picture(page, f"docs-check-{width}")
        # Nothing stands out at the side.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not wrong


_NOT_SHOWN = ("/docs", "/openapi.json")


def _picture(page: Page, name: str) -> None:
    """The picture has something to see: many colours, and no one of them is nearly all of it."""
    shot = page.screenshot()
    if _KEPT is not None:
        Path(_KEPT, f"{name}.png").write_bytes(shot)
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    colours = picture.getcolors(picture.width * picture.height)
    assert colours is not None
    assert len(colours) > 100
    assert max(count for count, _ in colours) < 0.97 * picture.width * picture.height
