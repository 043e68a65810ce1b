"""A look-up with nothing around it: one redis command behind the same ASGI server.

`python -m benchmarks.api_bare SOCKET KEY` listens on a free port of 127.0.0.1 and prints it.
"""

from __future__ import annotations

import sys
from typing import Any

import redis.asyncio
import uvicorn

from relo_server.api.listening import listening


def app_of(socket: str, key: str) -> Any:
    """An ASGI application: `GET /HEX` answers whether these bytes are in the set."""
    client: Any = redis.asyncio.Redis(unix_socket_path=socket)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await receive()
        found = await client.execute_command("SISMEMBER", key, bytes.fromhex(scope["path"][1:]))
        body = b'{"member":true}' if found else b'{"member":false}'
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def main() -> None:
    config = uvicorn.Config(
        app_of(*sys.argv[1:3]), log_config=None, access_log=False, lifespan="off"
    )
    with listening("127.0.0.1", 0) as socket:
        print(socket.getsockname()[1], flush=True)
        uvicorn.Server(config).run([socket])


if __name__ == "__main__":
    main()
