"""What somebody would write instead: bodies straight into the embedded engine, behind bare ASGI.

`python -m benchmarks.ingest_bare FOLDER` listens on a free port of 127.0.0.1 and prints it.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import chdb
import uvicorn

from relo_server.api.listening import listening

_TABLE = """
CREATE TABLE events (t LowCardinality(String), ts UInt64, cid UInt32, did String, eid String,
  props JSON(revenue Decimal(38, 9), product_line LowCardinality(String)))
ENGINE = MergeTree ORDER BY (cid, t, did, ts)
"""


def app_of(folder: Path) -> Any:
    """An ASGI application: whatever is posted is inserted, and then answered for."""
    engine: Any = chdb.connect(str(folder / "bare"))  # type: ignore[no-untyped-call]
    engine.query(_TABLE)
    thread = ThreadPoolExecutor(1)

    def insert(body: bytes) -> None:
        engine.query("INSERT INTO events FORMAT JSONEachRow " + body.decode())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        await asyncio.get_running_loop().run_in_executor(thread, insert, b"".join(parts))
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


def main() -> None:
    config = uvicorn.Config(
        app_of(Path(sys.argv[1])), log_config=None, access_log=False, lifespan="off"
    )
    with listening("127.0.0.1", 0) as socket:
        print(socket.getsockname()[1], flush=True)
        uvicorn.Server(config).run([socket])


if __name__ == "__main__":
    main()
