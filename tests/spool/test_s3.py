"""The same calls over HTTP, as S3 is spoken, named and keyed as in production."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from relo_server.spool.overflow import Missing, Storage, StorageError


class Bucket(BaseHTTPRequestHandler):
    """PutObject, GetObject, DeleteObjects and ListObjectsV2 of one bucket, two keys a page."""

    def _name(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/events").lstrip("/")

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"ETag": '"1"', "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    @property
    def _objects(self) -> dict[str, bytes]:
        found: dict[str, bytes] = self.server.objects  # type: ignore[attr-defined]
        return found

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=a-key/"):
            self._answer(403)
            return
        self._objects[self._name()] = body
        self._answer(200)

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        gone = re.findall("<Key>(.*?)</Key>", asked)
        for name in gone:
            self._objects.pop(name, None)
        told = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in gone)
        self._answer(200, f"<DeleteResult>{told}</DeleteResult>".encode())

    def do_GET(self) -> None:
        asked = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
        if "list-type" in asked:
            self._list(asked.get("prefix", ""), asked.get("continuation-token", ""))
        elif (name := self._name()) in self._objects:
            self._answer(200, self._objects[name], Last_Modified="Thu, 26 Nov 2026 00:00:00 GMT")
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def _list(self, prefix: str, after: str) -> None:
        names = [one for one in sorted(self._objects) if one.startswith(prefix) and one > after]
        page = names[:2]
        items = "".join(
            f"<Contents><Key>{one}</Key><LastModified>2026-11-26T00:00:00.000Z</LastModified>"
            f'<ETag>"1"</ETag><Size>{len(self._objects[one])}</Size></Contents>'
            for one in page
        )
        more = len(names) > len(page)
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        self._answer(200, (
            f"<ListBucketResult><Name>events</Name><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{items}</ListBucketResult>"
        ).encode())  # fmt: skip

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        found: dict[str, bytes] = {}
        server.objects = found  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "mx-central-1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield found
        server.shutdown()
        thread.join()


def test_a_bucket(objects: dict[str, bytes], tmp_path: Path) -> None:
    storage = Storage.open("s3://events/relo", tmp_path)
    for number in range(5):
        storage.put(f"here/0/{number}", b"x" * number)
    assert sorted(objects) == [f"relo/here/0/{number}" for number in range(5)]
    assert storage.sizes("here") == {f"here/0/{number}": number for number in range(5)}
    assert storage.get("here/0/3") == b"xxx"
    storage.delete("here/0/3")
    with pytest.raises(Missing):
        storage.get("here/0/3")


def test_a_bucket_that_refuses(
    objects: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    storage = Storage.open("s3://events/relo", tmp_path)
    with pytest.raises(StorageError, match="cannot be put into storage"):
        storage.put("here/0/1", b"x")
    assert objects == {}
