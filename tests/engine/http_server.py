"""A tiny stand-in for ClickHouse's HTTP interface, over the embedded engine; for tests only.

It keeps what a request looked like, so that tests can see what travels in the URL and what in the
body, it refuses form fields over 128 KiB as ClickHouse does (`http_max_field_value_size`), and it
fails as servers and networks do, where `faults` say so.

`python -m tests.engine.http_server FOLDER` serves a folder from a process of its own: it prints its
URL, takes faults as JSON lines on stdin, answers each with a line, and ends with its stdin.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import chdb

MAX_FIELD = 128 * 1024


@dataclass
class Fault:
    """What goes wrong with the next `times` statements that match, after `skip` of them went well.

    hang up: the connection is closed before anything is done; lost: everything is done, and then
    the connection is closed without an answer; cut: a `part` of the answer comes, of a length that
    was announced or, `chunked`, was not; late: a part of the answer, then an error of ClickHouse in
    the midst of it; slow: the answer comes `seconds` later; held: nothing is done before the test
    sets `Server.go`; goes on: the connection is closed, and when the test sets `Server.go` it is
    done all the same, one of `system.processes` until then; 500, 502: an error of the server, or of
    a proxy before it; read-only: ClickHouse refuses to write.
    """

    kind: Literal[
        "hang up", "lost", "cut", "late", "slow", "held", "goes on", "500", "502", "read-only"
    ]
    statements: str = ""
    skip: int = 0
    times: int = 1
    seconds: float = 5.0
    part: float = 0.5
    chunked: bool = False

    def strikes(self, text: str) -> bool:
        if self.times <= 0 or not re.search(self.statements, text, re.IGNORECASE):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


_REFUSALS = {
    "500": (500, b"Code: 1001. DB::Exception: std::exception. (STD_EXCEPTION)"),
    "502": (502, b"<html><h1>502 Bad Gateway</h1></html>"),
    "read-only": (
        500,
        b"Code: 242. DB::Exception: Table is in readonly mode. (TABLE_IS_READ_ONLY)",
    ),
}


class Server(ThreadingHTTPServer):
    """Answers with what the engine says; `urls` are those that were asked for."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        connect: Any = chdb.connect
        self.connection = connect(str((folder / "clickhouse").resolve()))
        self.lock = threading.Lock()
        self.urls: list[str] = []
        self.faults: list[Fault] = []
        self.go = threading.Event()
        self.running: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def fault(self, text: str) -> Fault | None:
        with self.lock:
            return next((fault for fault in self.faults if fault.strikes(text)), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the midst of its request is no matter."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # Head and body are two packets: the second would wait 40 ms until the first is confirmed.
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

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
        # A query may stand in the URL or in front of the data that it inserts.
        if head := re.match(rb"(?is)\s*(INSERT INTO [^\n]*? FORMAT \w+)[ \r]*\n", body):
            asked["query"], body = head[1].decode(), body[head.end() :]
        text = asked.get("query") or body.decode(errors="replace")
        fault = self.server.fault(text)
        if fault and fault.kind == "held":
            self.server.go.wait(60)
            fault = None
        if asked.get("query_id") in self.server.running:
            self._answer(500, b"Code: 216. DB::Exception: (QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING)")
        elif fault and fault.kind == "hang up":
            self._hang_up()
        elif fault and fault.kind == "goes on":
            self._go_on({**asked, "query": text})
        elif fault and fault.kind in _REFUSALS:
            self._answer(*_REFUSALS[fault.kind])
        else:
            try:
                answer = self._run(asked, body)
            except Exception as error:
                self._answer(500, str(error).encode())
            else:
                self._answer_badly(fault, answer) if fault else self._answer(200, answer)

    def _answer_badly(self, fault: Fault, answer: bytes) -> None:
        some = answer[: int(len(answer) * fault.part)]
        match fault.kind:
            case "slow":
                time.sleep(fault.seconds)
                self._answer(200, answer)
            case "lost":
                self._hang_up()
            case "late":
                error = b"Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"
                self._answer(200, some + b"\r\n" + error + b"\r\n")
            case _ if fault.chunked:
                self._head(200, None)
                if some:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(some), some))
                self._hang_up()
            case _:
                self._head(200, len(answer) + 1)
                self.wfile.write(some)
                self._hang_up()

    def _go_on(self, asked: dict[str, str]) -> None:
        """An INSERT with a SELECT, which has read what it wants and is still writing it."""
        insert = re.match(r"INSERT INTO (\w+)", text := asked["query"])
        assert insert
        table, aside = insert[1], f"{insert[1]}_going_on"
        self._run({**asked, "query": f"CREATE TABLE {aside} AS {table}"}, b"")
        self._run({**asked, "query": text.replace(insert[0], f"INSERT INTO {aside}", 1)}, b"")
        self.server.running.append(asked["query_id"])
        self._hang_up()
        self.server.go.wait(60)
        self._run({**asked, "query": f"INSERT INTO {table} SELECT * FROM {aside}"}, b"")
        self._run({**asked, "query": f"DROP TABLE {aside}"}, b"")
        self.server.running.clear()

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

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
            if self.server.running:
                table = f"(SELECT arrayJoin({self.server.running}) AS initial_query_id)"
                text = text.replace("system.processes", table)
            database = asked.get("database", "default")
            self.server.connection.query(f"USE `{database}`")
            result: Any = self.server.connection.query(text, "TabSeparated", params=params)
            return bytes(result.bytes() or b"")

    def _answer(self, status: int, body: bytes) -> None:
        self._head(status, len(body), body)
        self.wfile.write(body)

    def _head(self, status: int, length: int | None, body: bytes = b"") -> None:
        self.send_response(status)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        if status == 200:
            self.send_header("X-ClickHouse-Format", "Native")
        elif code := re.search(rb"Code: (\d+)", body):
            self.send_header("X-ClickHouse-Exception-Code", code[1].decode())
        self.end_headers()


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
    """Serves the embedded engine of `folder`, which this process has open, if any."""
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


class Elsewhere:
    """A server in a process of its own, at `url`."""

    def __init__(self, folder: Path) -> None:
        import subprocess

        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.http_server", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def fail(self, *faults: Fault) -> None:
        """From now on these faults strike, and none from before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([asdict(fault) for fault in faults]) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "ok\n"

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with serve(folder) as server:
        print(server.url, flush=True)
        for line in sys.stdin:
            server.faults[:] = [Fault(**fault) for fault in json.loads(line)]
            print("ok", flush=True)


if __name__ == "__main__":
    main()
