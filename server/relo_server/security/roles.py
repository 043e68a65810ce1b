"""Who may do what: four roles and every operation of the service, as data.

The routes of the API, the page docs/guides/roles.md and the scopes of tokens are all read from
here. An operation that is not in the table is allowed to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

#: A role that may not see members does not see how many there are below this number either.
SMALLEST_COUNT = 20


class Role(StrEnum):
    """What somebody is to a client."""

    ADMIN = "admin"
    CLIENT_MANAGER = "client_manager"
    PARTNER = "partner"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a role may see in the answers it gets."""

    what: str
    members: bool
    revenue: bool


ROLES: dict[Role, Sight] = {
    Role.ADMIN: Sight("runs the installation for a client: people, tokens, the audit", True, True),
    Role.CLIENT_MANAGER: Sight("writes and publishes the client's audiences", True, True),
    Role.PARTNER: Sight("works with audiences from outside, and never sees revenue", False, False),
    Role.VIEWER: Sight("looks at audiences and their sizes", False, True),
}

_ALL = frozenset(Role)
_MANAGE = frozenset({Role.ADMIN, Role.CLIENT_MANAGER})
_ADMIN = frozenset({Role.ADMIN})


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the service does, and who may have it done. `public` asks for no credential."""

    name: str
    method: str
    path: str
    what: str
    roles: frozenset[Role]
    public: bool = False


def _public(name: str, method: str, path: str, what: str) -> Operation:
    return Operation(name, method, path, what, _ALL, public=True)


_TABLE = (
    Operation("segments.check", "POST", "/segments/check", "find mistakes", _ALL),
    Operation("segments.compile", "POST", "/segments/compile", "show plan and SQL", _ALL),
    Operation("segments.format", "POST", "/segments/format", "lay out", _ALL),
    Operation("segments.explain", "POST", "/segments/explain", "say in words", _ALL),
    Operation("segments.preview", "POST", "/segments/preview", "size, clause by clause", _ALL),
    Operation("segments.estimate", "POST", "/segments/estimate", "size, as one types", _ALL),
    Operation("audiences.build", "POST", "/audiences/build", "make one from a form", _MANAGE),
    Operation("builds.read", "GET", "/builds/{id}", "see how a build goes", _MANAGE),
    Operation("audiences.list", "GET", "/audiences", "see which there are", _ALL),
    Operation("audiences.read", "GET", "/audiences/{name}", "read one", _ALL),
    Operation("audiences.write", "PUT", "/audiences/{name}", "write one", _MANAGE),
    Operation("audiences.delete", "DELETE", "/audiences/{name}", "take one away", _MANAGE),
    Operation("audiences.refresh", "POST", "/audiences/{name}/refresh", "compute now", _MANAGE),
    Operation("audiences.rollback", "POST", "/audiences/{name}/rollback", "go back", _MANAGE),
    Operation("audiences.verify", "POST", "/audiences/{name}/verify", "compute again", _MANAGE),
    Operation("audiences.versions", "GET", "/audiences/{name}/versions", "see versions", _ALL),
    Operation("audiences.history", "GET", "/audiences/{name}/history", "see sizes so far", _ALL),
    Operation("audiences.diff", "GET", "/audiences/{name}/diff", "count who came, who left", _ALL),
    Operation("audiences.live", "GET", "/audiences/{name}/live", "watch the size", _ALL),
    Operation("audiences.members", "GET", "/audiences/{name}/members", "list members", _MANAGE),
    Operation(
        "audiences.member", "GET", "/audiences/{name}/members/{device}", "ask for one", _MANAGE
    ),
    Operation("memberships.read", "POST", "/memberships", "ask for many devices", _MANAGE),
    Operation("ingest.batch", "POST", "/ingest/batch", "send events", _MANAGE),
    Operation("ingest.health", "GET", "/ingest/health", "see what sources send", _MANAGE),
    Operation("ingest.letters", "GET", "/ingest/dead-letters", "see what was refused", _MANAGE),
    Operation(
        "ingest.replay", "POST", "/ingest/dead-letters/replay", "send refused events again", _MANAGE
    ),
    Operation("links.list", "GET", "/links", "see click links", _MANAGE),
    Operation("links.create", "POST", "/links", "make a click link", _MANAGE),
    Operation("links.end", "DELETE", "/links/{code}", "end a click link", _MANAGE),
    Operation("privacy.erase", "POST", "/privacy/erase", "forget somebody", _ADMIN),
    Operation("privacy.export", "POST", "/privacy/export", "tell all of somebody", _ADMIN),
    Operation("privacy.rectify", "POST", "/privacy/rectify", "correct traits", _ADMIN),
    Operation("privacy.object", "POST", "/privacy/object", "withdraw for somebody", _ADMIN),
    Operation("sync.plan", "POST", "/sync/plan", "see what a folder changes", _MANAGE),
    Operation("sync.apply", "POST", "/sync/apply", "take a folder over", _MANAGE),
    Operation("catalog.read", "GET", "/catalog", "see what can be named", _ALL),
    Operation("schedule.read", "GET", "/schedule", "see what runs when", _ALL),
    Operation("tokens.list", "GET", "/tokens", "see tokens", _ADMIN),
    Operation("tokens.create", "POST", "/tokens", "make a token", _ADMIN),
    Operation("tokens.revoke", "DELETE", "/tokens/{id}", "end a token", _ADMIN),
    Operation("users.list", "GET", "/users", "see people", _ADMIN),
    Operation("users.create", "POST", "/users", "add a person", _ADMIN),
    Operation("users.change", "PATCH", "/users/{id}", "role, password, disable", _ADMIN),
    Operation("audit.read", "GET", "/audit", "read who did what", _ADMIN),
    Operation("audit.verify", "POST", "/audit/verify", "prove the audit whole", _ADMIN),
    Operation("service.metrics", "GET", "/metrics", "what Prometheus reads", _ADMIN),
    _public("session.login", "POST", "/session", "log in"),
    _public("session.refresh", "POST", "/session/refresh", "stay logged in"),
    _public("session.logout", "DELETE", "/session", "log out"),
    _public("links.follow", "GET", "/c/{code}", "click"),
    _public("pixel.script", "GET", "/r.js", "load the pixel"),
    _public("pixel.send", "POST", "/p", "what the pixel sends"),
    _public("pixel.device", "POST", "/p/device", "the id of a new visitor"),
    _public("postbacks.appsflyer", "POST", "/postback/appsflyer", "what AppsFlyer sends"),
    _public("service.health", "GET", "/healthz", "is it alive"),
    _public("service.ready", "GET", "/readyz", "can it work"),
    _public("service.schema", "GET", "/openapi.json", "the API, described"),
    _public("service.docs", "GET", "/docs", "the API, to read and try"),
)
OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _TABLE}


def allowed(role: Role | None, operation: str) -> bool:
    """Whether a role may do an operation; None is somebody without a credential.

    An unknown operation is allowed to nobody.
    """
    found = OPERATIONS.get(operation)
    return found is not None and (found.public or role in found.roles)


def in_scope(scopes: frozenset[str] | None, operation: str) -> bool:
    """Whether scopes such as `audiences.read` or `segments.*` leave an operation; None all."""
    return scopes is None or any(fnmatchcase(operation, scope) for scope in scopes)


def known_scope(scope: str) -> bool:
    """Whether a scope is an operation, or a group of some, `segments.*`."""
    group, dot, name = scope.partition(".")
    if name == "*":
        return any(operation.startswith(f"{group}.") for operation in OPERATIONS)
    return bool(dot) and scope in OPERATIONS


def shown_count(role: Role, count: int) -> int | str:
    """A number of devices as a role may see it: `<20` where single people could be told apart."""
    if ROLES[role].members or count >= SMALLEST_COUNT:
        return count
    return f"<{SMALLEST_COUNT}"
