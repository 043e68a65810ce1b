"""The socket that a service listens on."""

from __future__ import annotations

import socket

from relo_dsl.errors import UserError


def listening(host: str, port: int) -> socket.socket:
    """A TCP socket that listens; port 0 takes one that is free. Raises UserError where it cannot.

    From here on whoever knows the address can connect, and waits for the service.
    """
    # Asked for TCP by name: asyncio sends small answers at once on such sockets alone, and on any
    # other (uvicorn makes such) each of them would wait 40 ms for the peer.
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refused(host, port, error) from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(1_024)
    except OSError as error:
        found.close()
        raise _refused(host, port, error) from error
    return found


def address_of(found: socket.socket) -> str:
    """`http://127.0.0.1:8080`."""
    host, port = found.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _refused(host: str, port: int, error: OSError) -> UserError:
    return UserError(
        f"cannot listen on {host}, port {port}: {error.strerror or error}",
        "`--port 0` takes a port that is free",
    )
