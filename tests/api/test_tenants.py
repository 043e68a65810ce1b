"""Many clients, random requests: nothing of another client is in any answer."""

from __future__ import annotations

import random

from relo_server.security.roles import Role
from tests.api.conftest import Service

_CONDITIONS = (
    "purchase", "no visit", "purchase within 30d", "count(purchase) >= 2", "user.plan = \"gold\"",
    "purchase[product_line = \"MX\"] and no purchase within 10d", "sum(purchase.revenue) > 50",
)  # fmt: skip
_REQUESTS = 80


def test_no_id_of_another_client_in_any_answer(service: Service) -> None:
    """Every client's devices, names and texts carry a word of their own, which is looked for."""
    dice = random.Random(11)
    clients = [service.client + 700_000 + number for number in range(4)]
    words = {client: f"word{client}x" for client in clients}
    tokens = {client: service.token(Role.ADMIN, client) for client in clients}
    keys: dict[int, set[str]] = {}
    for client, word in words.items():
        service.load(
            *({"did": f"{word}{n}", "ago": 5 + n, "props": {"revenue": 40, "product_line": "MX"}}
              for n in range(8)),
            {"t": "identify", "did": f"{word}0", "ago": 50, "traits": {"plan": "gold"}},
            client=client,
        )  # fmt: skip
        for number, condition in enumerate(_CONDITIONS):
            body = {"text": f"audience {word}{number} match {condition}"}
            path = f"/audiences/{word}{number}"
            assert service.call("PUT", path, body, token=tokens[client]).status_code == 201
            service.ok("POST", f"{path}/refresh", token=tokens[client])
        keys[client] = set()
        for number in range(len(_CONDITIONS)):
            for key in service.house.sets.members(client, f"{word}{number}"):
                keys[client].add(key.hex())
        assert keys[client]
    for _ in range(_REQUESTS):
        client, other = dice.sample(clients, 2)
        answer = _any(service, dice, words[client], words[other], tokens[client])
        foreign = [words[one] for one in clients if one != client]
        foreign += [key for one in clients if one != client for key in keys[one]]
        # What was asked may be repeated in an error; nothing else of another client may be told.
        told = answer.replace(words[other], "") if "urn:relo:problem" in answer else answer
        assert not any(word in told for word in foreign), answer[:500]


def _any(service: Service, dice: random.Random, own: str, other: str, token: str) -> str:
    """The answer to some request, about what is the caller's own or another's."""
    number = dice.randrange(len(_CONDITIONS))
    name = f"{dice.choice((own, own, other))}{number}"
    device = f"{dice.choice((own, other))}{number}"
    method, path, body = dice.choice((
        ("GET", "/audiences", None),
        ("GET", f"/audiences/{name}", None),
        ("GET", f"/audiences/{name}/versions", None),
        ("GET", f"/audiences/{name}/history", None),
        ("GET", f"/audiences/{name}/diff?from=1&to=1&limit=100", None),
        ("GET", f"/audiences/{name}/members", None),
        ("GET", f"/audiences/{name}/live?events=1", None),
        ("POST", f"/audiences/{name}/verify", None),
        ("POST", f"/audiences/{name}/refresh", None),
        ("GET", "/schedule", None),
        ("GET", "/catalog", None),
        ("GET", "/tokens", None),
        ("GET", "/users", None),
        ("GET", "/audit?limit=1000", None),
        ("POST", "/segments/preview",
         {"text": f"audience x match {_CONDITIONS[number]}", "sample": 100}),
        ("POST", "/segments/explain", {"text": f"audience x match {_CONDITIONS[number]}"}),
        ("POST", "/sync/plan", {"files": {"a.seg": f"audience y match {_CONDITIONS[number]}"}}),
        ("POST", "/memberships", {"devices": [device], "audiences": [f"{own}{number}"]}),
    ))  # fmt: skip
    answer = service.call(method, path, body, token=token)
    assert answer.status_code < 500, answer.text
    if path.startswith("/audit"):
        # It repeats the addresses that the caller asked for; its lines are the caller's own.
        assert {line["client"] for line in answer.json()["lines"]} == {int(own[4:-1])}
        return ""
    if path == "/memberships" and device.startswith(other):
        assert "true" not in answer.text
        return ""  # it repeats the device that was asked for
    return str(answer.text)
