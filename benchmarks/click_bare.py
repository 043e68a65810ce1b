"""The least that a click link could be: a redirect behind bare ASGI, which keeps nothing.

`python -m benchmarks.click_bare` listens on a free port of 127.0.0.1 and prints it.
"""

from __future__ import annotations

from typing import Any

import uvicorn

from relo_server.api.listening import listening

_HEADERS = [(b"location", b"https://shop.example/sale?relo_cid=1"), (b"content-length", b"0")]


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - nothing is read
    """Leads on, whoever asks."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 302, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    with listening("127.0.0.1", 0) as socket:
        print(socket.getsockname()[1], flush=True)
        uvicorn.Server(config).run([socket])


if __name__ == "__main__":
    main()
