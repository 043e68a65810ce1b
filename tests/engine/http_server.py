"""A tiny stand-in for ClickHouse's HTTP interface, over the embedded engine; for tests only.

It keeps what a request looked like, so that tests can see what travels in the URL and what in the
body, and it refuses form fields over 128 KiB as ClickHouse does (`http_max_field_value_size`).
"""

from __future__ import annotations

import email.parser
import email.policy
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb

MAX_FIELD = 128 * 1024


class Server(ThreadingHTTPServer):
    """Answers with what the engine says; `urls` are those that were asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        connect: Any = chdb.connect
        self.connection = connect(str((folder / "clickhouse").resolve()))
        self.lock = threading.Lock()
        self.urls: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # Head and body are two packets: the second would wait 40 ms until the first is confirmed.
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        return

    def do_POST(self) -> None:
        self.server.urls.append(self.path)
        body = self._body()
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            fields = _fields(kind, body)
            for name, value in fields.items():
                if len(value) > MAX_FIELD:
                    self._answer(500, f"Code: 131. DB::Exception: Field {name} too long".encode())
                    return
            asked |= {name: value.decode() for name, value in fields.items()}
            body = b""
        try:
            self._answer(200, self._run(asked, body))
        except Exception as error:
            self._answer(500, str(error).encode())

    def _body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        parts = []
        while size := int(self.rfile.readline().strip(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _run(self, asked: dict[str, str], body: bytes) -> bytes:
        params = {k.removeprefix("param_"): v for k, v in asked.items() if k.startswith("param_")}
        text = asked.get("query", "")
        insert = re.match(r"(?is)(INSERT INTO .*?)\s*FORMAT\s+(\w+)\s*$", text)
        with self.server.lock, tempfile.NamedTemporaryFile() as file:
            if insert:
                file.write(body)
                file.flush()
                text = f"{insert[1]} FROM INFILE '{file.name}' FORMAT {insert[2]}"
            else:
                text = text or body.decode()
            result: Any = self.server.connection.query(text, "TabSeparated", params=params)
            return bytes(result.bytes() or b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Format", "Native")
        if status != 200:
            code = re.search(rb"Code: (\d+)", body)
            self.send_header("X-ClickHouse-Exception-Code", code[1].decode() if code else "1")
        self.end_headers()
        self.wfile.write(body)


def _fields(kind: str, body: bytes) -> dict[str, bytes]:
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        fields[str(name)] = payload
    return fields


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Serves the embedded engine of `folder`, which this process has open."""
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        server.connection.close()
