"""`relo serve` as a process, spoken to over HTTP, with every request that the docs show."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import REPOSITORY

_RELO = [sys.executable, "-m", "relo_dsl"]
_PAGES = ("README.md", "docs/guides/serve.md")


@dataclass
class Process:
    """The service, running over the demo's definitions."""

    running: subprocess.Popen[str]
    folder: Path
    url: str
    token: str

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return httpx.request(
            method, self.url + path, headers=headers, timeout=60, trust_env=False, **more
        )


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    shutil.copytree(REPOSITORY / "segments", tmp_path / "segments")
    (tmp_path / "relo.toml").write_text("client = 1\n")
    events = [
        {"t": "purchase", "ts": "2026-11-01T10:00:00Z", "did": "2", "props": {"revenue": 50}},
        {"t": "purchase", "ts": "2026-11-01T10:00:00Z", "did": "4", "props": {"revenue": 70}},
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n")
    subprocess.run([*_RELO, "load", "events.jsonl"], cwd=tmp_path, check=True, capture_output=True)
    running = subprocess.Popen(
        [*_RELO, "serve", "--port", "0", "--json"], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        url = json.loads(running.stdout.readline())["url"]
        made = subprocess.run(
            [*_RELO, "token", "create", "--role", "admin"], cwd=tmp_path, check=True, text=True,
            capture_output=True,
        )  # fmt: skip
        yield Process(running, tmp_path, url, made.stdout.strip())
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def requests() -> Iterator[tuple[str, str, dict[str, str], Any]]:
    """Every `curl` of the pages: method, path, headers, body."""
    for page in _PAGES:
        text = (REPOSITORY / page).read_text(encoding="utf-8")
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            for command in re.findall(r"^curl .*?(?=^\S|\Z)", block, re.DOTALL | re.MULTILINE):
                yield _read(shlex.split(command.replace("\\\n", " ")))


def _read(words: list[str]) -> tuple[str, str, dict[str, str], Any]:
    method, path, headers, body = "GET", "", {}, None
    rest = iter(words[1:])
    for word in rest:
        match word:
            case "-s":
                continue
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(": ")
                headers[name.lower()] = value
            case "--json":
                body = json.loads(next(rest))
                method = "POST" if method == "GET" else method
            case _:
                assert word.startswith("localhost:8080/"), word
                path = word.removeprefix("localhost:8080")
    assert headers.pop("authorization") == "Bearer $TOKEN"
    return method, path, headers, body


def test_every_request_of_the_docs(process: Process) -> None:
    asked = list(requests())
    assert len(asked) >= 15
    for method, path, headers, body in asked:
        answer = process.call(method, path, headers=headers, json=body)
        assert answer.status_code < 300, (method, path, answer.text)
    # The demo's audiences are served.
    page = process.call("GET", "/audiences?prefix=winback_").json()
    names = {one["name"] for one in page["audiences"]}
    assert {"winback_big_spenders", "winback_coupons"} <= names
    assert process.call("GET", "/docs").text.count("http") == 0


def test_it_ends_in_order_and_keeps_what_it_has(process: Process) -> None:
    built = {"name": "mine", "audience_type": "retargeting", "min_revenue": 60}
    assert process.call("POST", "/audiences/build", json=built).json()["device_count"] == 1
    process.running.send_signal(signal.SIGTERM)
    _, errors = process.running.communicate(timeout=60)
    assert process.running.returncode == 0, errors
    lines = [json.loads(line) for line in errors.splitlines()]
    assert {"audiences.build"} <= {line.get("operation") for line in lines}
    assert all(line["at"].endswith("Z") for line in lines)
    has = subprocess.run(
        [*_RELO, "has", "mine", "2", "4"], cwd=process.folder, text=True, capture_output=True,
        check=True,
    )  # fmt: skip
    assert has.stdout.split() == ["2", "no", "4", "yes"]


def test_a_stream_does_not_hold_it_up(process: Process) -> None:
    head = {"authorization": f"Bearer {process.token}"}
    url = f"{process.url}/audiences/winback_big_spenders/live"
    with httpx.stream("GET", url, headers=head, timeout=60, trust_env=False) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: size"
        assert json.loads(next(lines).removeprefix("data: "))["name"] == "winback_big_spenders"
        process.running.send_signal(signal.SIGTERM)
        assert process.running.wait(timeout=20) == 0
