"""Writes the tables of docs/guides/roles.md: `python -m tests.security.roles_page`."""

from __future__ import annotations

import re

from relo_server.security.roles import OPERATIONS, ROLES, Role
from tests.docs.guides import GUIDES

PAGE = GUIDES / "roles.md"
_PART = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def roles() -> str:
    """What each role is, and what it sees."""
    rows = ["| role | who that is | sees members | sees revenue |", "|---|---|---|---|"]
    for role, sight in ROLES.items():
        seen = " | ".join("yes" if one else "no" for one in (sight.members, sight.revenue))
        rows.append(f"| `{role.value}` | {sight.what} | {seen} |")
    return "\n".join(rows) + "\n"


def operations() -> str:
    """Who may do what."""
    heads = " | ".join(role.value.replace("_", " ") for role in Role)
    rows = [
        f"| operation | request | what it does | {heads} |",
        "|---|---|---|" + "---|" * len(Role),
    ]
    for one in OPERATIONS.values():
        if not one.public:
            may = " | ".join("yes" if role in one.roles else "–" for role in Role)
            rows.append(f"| `{one.name}` | `{one.method} {one.path}` | {one.what} | {may} |")
    return "\n".join(rows) + "\n"


def public() -> str:
    """What needs no credential."""
    found = [one for one in OPERATIONS.values() if one.public]
    rows = [f"| `{one.name}` | `{one.method} {one.path}` | {one.what} |" for one in found]
    return "\n".join(["| operation | request | what it does |", "|---|---|---|", *rows]) + "\n"


def updated(text: str) -> str:
    """The page as it should be."""
    parts = {"roles": roles, "operations": operations, "public": public}
    return _PART.sub(lambda found: found[1] + "\n" + parts[found[2]]() + "\n" + found[3], text)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
