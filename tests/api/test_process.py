"""`relo serve` as a process, spoken to over HTTP, with every request that the docs show."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import REPOSITORY

_RELO = [sys.executable, "-m", "relo_dsl"]
_PAGES = ("README.md", "docs/guides/serve.md", "docs/guides/ingest.md")


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


@pytest.fixture(params=[0, 2], ids=["alone", "behind workers"])
def process(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    """One that the test may end."""
    with _serving(tmp_path, request.param) as found:
        yield found


@pytest.fixture(scope="module", params=[0, 2], ids=["alone", "behind workers"])
def shared(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Process]:
    """One that others use after the test."""
    with _serving(tmp_path_factory.mktemp("shared"), request.param) as found:
        yield found


@contextmanager
def _serving(tmp_path: Path, workers: int) -> Iterator[Process]:
    shutil.copytree(REPOSITORY / "segments", tmp_path / "segments")
    (tmp_path / "relo.toml").write_text("client = 1\n")
    events = [
        {"t": "purchase", "ts": "2026-11-01T10:00:00Z", "did": "2", "props": {"revenue": 50}},
        {"t": "purchase", "ts": "2026-11-01T10:00:00Z", "did": "4", "props": {"revenue": 70}},
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n")
    subprocess.run([*_RELO, "load", "events.jsonl"], cwd=tmp_path, check=True, capture_output=True)
    running = subprocess.Popen(
        [*_RELO, "serve", "--port", "0", "--json", "--workers", str(workers)],
        cwd=tmp_path, text=True,
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
                if "$LINK" in command:  # of test_the_link_of_the_readme
                    continue
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


def test_every_request_of_the_docs(shared: Process) -> None:
    process = shared
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


def test_the_link_of_the_readme(shared: Process) -> None:
    """Its lines, in a shell, but for where the service and the command are."""
    process = shared
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```sh\n(LINK=.*?)```", text, re.DOTALL)
    lines = lines.replace("localhost:8080", process.url.removeprefix("http://"))
    lines = lines.replace("relo links", f"{shlex.join(_RELO)} links")
    done = subprocess.run(
        ["bash", "-euc", lines], cwd=process.folder, text=True, capture_output=True, check=True
    )
    head = done.stdout.lower().splitlines()
    assert head[0].startswith("http/1.1 302")
    (location,) = [line for line in head if line.startswith("location: ")]
    assert re.fullmatch(r"location: https://shop\.example/sale\?relo_cid=[0-9a-z]{26}", location)


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


@pytest.mark.parametrize("process", [1], indirect=True)
def test_a_worker_that_dies_is_followed_and_an_owner_is_not(process: Process) -> None:
    owner = process.running.pid
    (first,) = _workers(owner)
    os.kill(first, signal.SIGKILL)
    # Whoever connects meanwhile waits for the next one.
    assert process.call("GET", "/audiences").status_code == 200
    (second,) = _workers(owner)
    assert second != first
    process.running.kill()
    process.running.wait(timeout=20)
    until = time.monotonic() + 20
    while Path(f"/proc/{second}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{second}").exists()


@pytest.mark.parametrize("process", [1], indirect=True)
def test_a_worker_keeps_events_and_the_owner_stores_them(process: Process) -> None:
    """Also those of a worker that was killed after it had acknowledged them."""
    text = "audience seen\nmatch\n  purchase\n"
    sizes = []
    for number in range(2):
        event = {
            "t": "purchase", "ts": "2026-11-02T10:00:00Z", "did": f"new-{number}",
            "props": {"revenue": 5},
        }  # fmt: skip
        answer = process.call("POST", "/ingest/batch", json=[event])
        assert answer.json()["accepted"] == 1
        (worker,) = _workers(process.running.pid)
        os.kill(worker, signal.SIGKILL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            told = process.call("POST", "/segments/preview", json={"text": text}).json()
            sizes.append(told["definitions"][0]["size"])
            if sizes[-1] == 3 + number:
                break
            time.sleep(0.1)
        assert sizes[-1] == 3 + number, sizes
    spools = sorted(path.name for path in (process.folder / ".relo/spool").iterdir())
    assert spools[:2] == ["0", "1"], "the owner's, and the worker's"
    wrong = process.call("POST", "/ingest/batch", content=b"[", headers={"content-type": "x/y"})
    assert wrong.status_code == 415, "the owner says what is wrong"
    refused = process.call("POST", "/ingest/batch", content=b"[")
    assert refused.status_code == 422
    assert "not JSON" in refused.json()["detail"]


def _workers(owner: int) -> list[int]:
    """The processes of this one that are workers."""
    found = []
    lists = Path(f"/proc/{owner}/task").glob("*/children")
    for child in " ".join(one.read_text() for one in lists).split():
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"relo_server.api.worker" in command:
            found.append(int(child))
    return found
