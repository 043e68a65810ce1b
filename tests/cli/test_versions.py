"""history, diff, verify, rollback and rebuild; and a load that takes people out of sets."""

from __future__ import annotations

import json

import pytest
import redis
from syrupy.assertion import SnapshotAssertion

from tests.cli.conftest import AT, Project, masked, purchase

W = "audience w match purchase within 90d"


@pytest.fixture
def built(store: Project) -> Project:
    """Two versions of `w`: d1 to d4, then d1 to d6."""
    store.load(*(purchase(f"d{i}", eid=f"e{i}") for i in range(1, 5)))
    store.seg("w", W)
    store.ok("build", "w", "--at", AT)
    store.load(*(purchase(f"d{i}", eid=f"e{i}") for i in range(5, 7)))
    store.ok("build", "w", "--at", AT)
    return store


def key(project: Project, device: str) -> str:
    return str(project.json("key", device)["keys"][0]["key"])


def withdraw(project: Project, *devices: str) -> dict[str, int]:
    lines = [{"t": "consent", "did": d, "consent": 0, "ts": "2026-06-14"} for d in devices]
    project.write("withdrawn.jsonl", "\n".join(map(json.dumps, lines)) + "\n")
    found: dict[str, int] = project.json("load", "withdrawn.jsonl")
    return found


def members(project: Project, name: str = "w") -> set[str]:
    answers = project.json("has", name, *(f"d{i}" for i in range(1, 9)))["devices"]
    return {item["device"] for item in answers if item["member"]}


def test_history_is_newest_first(built: Project, snapshot: SnapshotAssertion) -> None:
    found = built.json("history", "w")
    assert [(v["ordinal"], v["size"], v["entered"], v["left"]) for v in found["versions"]] == [
        (2, 6, 2, 0), (1, 4, 4, 0),
    ]  # fmt: skip
    assert {(v["kind"], v["step"], v["forced"]) for v in found["versions"]} == {
        ("refresh", "published", False)
    }
    assert found["versions"][0]["rows_read"] > 0
    assert not found["blocked"]
    text = built.ok("history", "w").stdout
    by = found["versions"][0]["by"]
    assert masked(text.replace(by, "WHO") if by else text) == snapshot
    assert "`--limit 2` shows more" in built.ok("history", "w", "--limit", 1).stderr
    result = built.run("history", "unknown")
    assert result.exit_code == 2
    assert "was never published" in result.stderr


def test_diff_names_who_entered_and_who_left(built: Project) -> None:
    found = built.json("diff", "w")
    assert (found["entered"], found["left"]) == (2, 0)
    assert set(found["entered_keys"]) == {key(built, "d5"), key(built, "d6")}
    back = built.json("diff", "w", found["to"]["version"], 1)
    assert (back["entered"], set(back["left_keys"])) == (0, set(found["entered_keys"]))
    text = built.ok("diff", "w", "--limit", 1).stdout
    assert text.splitlines() == [
        "w from version 1 (4 devices) to 2 (6 devices): 2 entered, 0 left",
        f"+ {min(found['entered_keys'])}",
        "+ … and 1 more",
    ]
    for args, message in (
        (("w", 1), "give two versions, or none"),
        (("w", 1, 3), "`w` has no version `3`"),
        (("winback_customers",), "was never published"),
    ):
        result = built.run("diff", *args)
        assert result.exit_code == 2
        assert message in result.stderr


def test_verify_finds_what_was_planted_and_what_was_removed(built: Project) -> None:
    assert built.ok("verify", "w").stdout == "w: version 2, 6 devices: right\n"
    socket = built.folder / ".relo" / "sets.sock"
    from relo_dsl.settings import Settings
    from relo_server.sets import Sets

    settings = Settings.load()
    with Sets.open(settings) as sets:
        info = sets.info(built.client, "w")
        assert info is not None
        bare = redis.Redis(unix_socket_path=str(socket))
        bare.sadd(info.key, bytes.fromhex(key(built, "d8")))
        bare.srem(info.key, bytes.fromhex(key(built, "d2")))
        bare.close()
    result = built.run("verify", "w", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["right"], found["blocked"]) == (False, True)
    for part in (found["sql"], found["stored"]):
        assert part["missing_keys"] == [key(built, "d2")]
        assert part["surplus_keys"] == [key(built, "d8")]
    people = built.run("verify")
    assert people.exit_code == 1
    assert "w: version 2, 6 devices: WRONG\n" in people.stdout
    assert f"    surplus {key(built, 'd8')}\n" in people.stdout
    assert "winback_customers: nothing is published" in people.stdout
    assert "a check found members in `w`" in built.ok("history", "w").stderr
    built.ok("build", "w", "--at", AT)
    assert built.json("verify", "w")["right"]
    assert members(built) == {f"d{i}" for i in range(1, 7)}


def test_who_withdraws_leaves_every_set_with_the_load(built: Project) -> None:
    built.seg("h", "audience h match purchase holdout 40%")
    built.ok("build", "h", "--at", AT)
    done = withdraw(built, "d1")
    assert done["withdrawn"] == 2
    assert members(built) == {f"d{i}" for i in range(2, 7)}
    assert members(built, "h") | members(built, "h:holdout") == {f"d{i}" for i in range(2, 7)}
    version = built.json("history", "w")["versions"][0]
    assert (version["kind"], version["left"]) == ("withdrawal", 1)
    assert withdraw(built, "d1")["withdrawn"] == 0
    built.ok("build", "w", "--at", "2026-06-10T00:00:00Z")  # before it
    assert members(built) == {f"d{i}" for i in range(2, 7)}
    text = built.write("w.jsonl", json.dumps({"t": "consent", "did": "d2", "consent": 0, "ts": 0}))
    result = built.ok("load", text)
    assert "withdrawn             2   times a device left a published set" in result.stdout


def test_a_load_that_fails_half_way_has_taken_out_who_withdrew(built: Project) -> None:
    built.write("a.jsonl", json.dumps({"t": "consent", "did": "d1", "consent": 0, "ts": 0}))
    built.write("b.parquet", "this is no Parquet")
    assert built.run("load", "a.jsonl", "b.parquet").exit_code == 2
    stored = built.json("history", "w")["versions"][0]["kind"] == "withdrawal"
    assert ("d1" in members(built)) is not stored


def test_rollback_resurrects_nobody(built: Project) -> None:
    withdraw(built, "d1")
    result = built.ok("rollback", "w", 1)
    assert result.stdout.splitlines() == [
        "`w` has the members of version 1 again, as version 4: 3 devices, 0 entered, 2 left",
        "1 device of that version may not be used any more and stay out",
    ]
    assert members(built) == {"d2", "d3", "d4"}
    newest = built.json("history", "w")["versions"][0]
    assert (newest["kind"], newest["reason"]) == ("rollback", "to version 1")
    found = built.json("verify", "w")
    assert (found["right"], found["not_computed"]) == (True, "it went back to version 1")
    assert "goes back together with its audience" in built.run("rollback", "w:holdout", 1).stderr


def test_a_lost_set_server_is_rebuilt(built: Project) -> None:
    withdraw(built, "d1")
    before = members(built)
    alone = built.ok("rebuild", "w").stdout
    assert alone == "w: left alone, it is there and right\n"
    for path in (built.folder / ".relo" / "sets").rglob("*"):
        if path.is_file():
            path.unlink()
    assert built.run("has", "w", "d2").exit_code == 2
    (line,) = built.ok("rebuild", "--all", "--json").stdout.splitlines()
    found = json.loads(line)
    version = found["version"]
    assert (found["name"], version["kind"], version["size"]) == ("w", "rebuild", 5)
    assert members(built) == before
    assert built.json("verify", "w")["right"]
    for args, message in (
        ((), "give the names of audiences, or --all"),
        (("winback_customers",), "was never published"),
    ):
        result = built.run("rebuild", *args)
        assert result.exit_code == 2
        assert message in result.stderr


def test_what_is_far_smaller_is_held_back_and_force_publishes_it(built: Project) -> None:
    with (built.folder / "relo.toml").open("a") as file:
        file.write("\n[publishing]\ncompared_from = 2\nsmallest_share = 0.9\n")
    built.seg("w", W + " and not in list gone")
    built.write("gone.txt", "d1\nd2\n")
    built.ok("list", "add", "gone", "gone.txt")
    result = built.ok("build", "w", "--at", AT)
    assert "`w` was held back: 4 members are less than 0.9 of the last version's 6" in result.stderr
    assert len(members(built)) == 6
    held = built.json("history", "w")["versions"][0]
    assert (held["step"], held["size"]) == ("held", 4)
    assert "held" in built.ok("history", "w").stdout
    built.ok("build", "w", "--at", AT, "--force")
    assert len(members(built)) == 4
    assert built.json("history", "w")["versions"][0]["forced"]
