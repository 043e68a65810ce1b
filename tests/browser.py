"""A real browser for tests: Debian's Chromium without a window, which reaches this machine only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

_NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, until the end of the block; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with sync_playwright() as driver:
        # No sandbox: tests may run as root, and these pages are ours.
        browser = driver.chromium.launch(
            executable_path=found, args=[_NO_NETWORK, "--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()
