"""Every command that this package sends: all of them known to Redis 7, Valkey 8 and Dragonfly.

A test watches the server with MONITOR and fails when another one is seen. Left out on purpose,
because Dragonfly has none of them: SWAPDB, WAIT, FUNCTION, scripts with undeclared keys, CLIENT
NO-TOUCH, append-only files.
"""

from __future__ import annotations

ALLOWED = frozenset(
    {
        "DEL",
        "EVALSHA",
        "EXEC",
        "EXISTS",
        "EXPIRE",
        "GET",
        "HGET",
        "HGETALL",
        "HMGET",
        "HSET",
        "INCR",
        "MGET",
        "MULTI",
        "PEXPIREAT",
        "PING",
        "SADD",
        "SCAN",
        "SCARD",
        "SCRIPT",
        "SELECT",
        "SISMEMBER",
        "SET",
        "SHUTDOWN",
        "SMISMEMBER",
        "SREM",
        "SSCAN",
        "UNLINK",
        "UNWATCH",
        "WATCH",
    }
)
