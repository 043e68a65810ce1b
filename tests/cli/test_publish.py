"""build, preview, members and has."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from relo_dsl.catalog import parse_catalog
from relo_dsl.consent import scope
from relo_dsl.engine import Engine
from relo_dsl.engine.key import device_key
from relo_dsl.interpret import History, members
from relo_dsl.records import parse_record
from relo_dsl.times import parse_instant
from relo_dsl.workspace import Workspace
from tests.cli.conftest import AT, Project, masked, purchase, view

RECORDS: list[dict[str, object]] = [
    *(purchase(f"d{i}", revenue=10 * i, ts="2026-05-01T00:00:00Z") for i in range(1, 21)),
    *(purchase(f"d{i}", ts="2026-06-10T00:00:00Z") for i in range(15, 25)),
    *(view(f"d{i}") for i in range(1, 31)),
    {"t": "consent", "did": "d10", "consent": 251, "ts": "2026-06-05"},
    {"t": "consent", "did": "d11", "consent": 0, "ts": "2026-06-05"},
]
MATCH = "sum(purchase.revenue) >= 80 within 90d and no purchase within 30d and product_view"


@pytest.fixture
def loaded(store: Project) -> Project:
    """A shop with thirty devices; eight of them are the audience `w`, if all of them consent."""
    store.load(*RECORDS)
    store.seg("w", f"audience w type winback export meta match {MATCH}\n")
    return store


def expected(project: Project, name: str) -> set[str]:
    """The members by the naive evaluator, over the very same records."""
    catalog = parse_catalog((project.folder / "segments/catalog.yaml").read_text())
    workspace = Workspace(catalog, project.client)
    workspace.add_paths([project.folder / "segments"])
    scoped = scope(workspace.plan(name))
    lines = (project.folder / "events.jsonl").read_text().splitlines()
    records = [parse_record(json.loads(line), project.client) for line in lines]
    return set(members(scoped, History.of(records, client=project.client), parse_instant(AT), {}))


def test_what_is_published_is_what_the_specification_says(loaded: Project) -> None:
    wanted = expected(loaded, "w")
    assert wanted == {"d8", "d9", "d12", "d13", "d14"}
    built = loaded.json("build", "w", "--at", AT)
    assert (built["size"], built["universe"], built["withheld"]) == (5, 30, 2)
    assert built["published"]
    assert built["rows_read"] > 0 < built["bytes_read"]
    everyone = [f"d{i}" for i in range(1, 40)]
    told = loaded.json("has", "w", *everyone)
    assert (told["version"], told["at"][:19]) == (built["version"], AT[:19])
    answers = told["devices"]
    assert {item["device"] for item in answers if item["member"]} == wanted
    found = loaded.json("members", "w")
    assert (found["count"], found["version"]) == (5, built["version"])
    keys = {item["key"] for item in loaded.json("key", *sorted(wanted))["keys"]}
    assert set(found["members"]) == keys
    assert len(loaded.ok("members", "w", "--limit", 2).stdout.splitlines()) == 2


def test_people_see_a_table(loaded: Project, snapshot: SnapshotAssertion) -> None:
    result = loaded.ok("build", "w", "--at", AT)
    assert masked(result.stdout) == snapshot
    asked = loaded.ok("has", "w", "d8", "d1")
    assert asked.stdout == "d8  yes\nd1  no\n"
    assert f"as of {AT[:19]}" in asked.stderr
    assert f"as of {AT[:19]}" in loaded.ok("members", "w").stderr


def test_preview_goes_clause_by_clause(loaded: Project, snapshot: SnapshotAssertion) -> None:
    found = loaded.json("preview", "w", "--at", AT, "--sample", 2)
    assert [step["survive"] for step in found["clauses"]] == [11, 5, 5]
    assert (found["size"], found["universe"], found["consenting"]) == (5, 30, 28)
    assert (found["withheld"], found["share"]) == (2, 0.166667)
    assert found["sample"] == sorted(found["sample"])
    assert len(found["sample"]) == 2
    assert masked(loaded.ok("preview", "w", "--at", AT, "--sample", 0).stdout) == snapshot
    assert loaded.run("has", "w", "d8").exit_code == 2  # nothing was published


def test_preview_a_draft_outside_the_project(loaded: Project) -> None:
    loaded.write("draft.seg", "segment s match purchase\naudience d match in segment s\n")
    lines = loaded.ok("preview", "draft.seg", "--at", AT, "--json").stdout.splitlines()
    assert [(found["name"], found["size"]) for found in map(json.loads, lines)] == [
        ("s", 23), ("d", 23),
    ]  # fmt: skip
    loaded.write("draft.seg", "audience d match purhcase\n")
    result = loaded.run("preview", "draft.seg")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "did you mean `purchase`" in result.stderr


def test_one_that_fails_does_not_stop_the_others(loaded: Project) -> None:
    loaded.seg("a_broken", "audience broken match purhcase\n")
    loaded.seg("b_segment", "segment s match purchase\n")
    result = loaded.run("build", "--all", "--at", AT, "--json")
    assert result.exit_code == 1
    built = {item["name"]: item for item in map(json.loads, result.stdout.splitlines())}
    assert list(built) == ["broken", "w", "winback_customers"]
    assert built["w"]["published"]
    assert not built["broken"]["published"]
    assert built["broken"]["diagnostics"][0]["code"] == "unknown-event"
    people = loaded.run("build", "--all", "--at", AT)
    assert people.exit_code == 1
    assert "error: `broken` was not built: the definition has errors" in people.stderr
    assert "error[unknown-event]" in people.stderr
    assert "\nw " in people.stdout


def test_a_query_over_its_limits_is_one_that_fails(
    loaded: Project, monkeypatch: pytest.MonkeyPatch, engine: object
) -> None:
    from relo_dsl.settings import Limits

    monkeypatch.setattr(engine, "limits", Limits(max_rows_to_read=1))
    result = loaded.run("build", "w", "--at", AT)
    assert result.exit_code == 1
    assert "`w` was not built: the query reached a limit" in result.stderr
    assert "raise `max_rows_to_read`" in result.stderr
    assert loaded.run("has", "w", "d8").exit_code == 2


def test_below_its_minimum_it_is_not_published(loaded: Project) -> None:
    loaded.ok("build", "w", "--at", AT)
    loaded.seg("w", f"audience w type winback export meta minimum 6 match {MATCH}\n")
    result = loaded.ok("build", "w", "--at", AT)
    assert "`w` was not published: 5 devices, and its minimum is 6" in result.stderr
    # Whoever withdrew consent since then must not stay in the version before.
    assert "the version before it was emptied" in result.stderr
    assert loaded.json("members", "w")["members"] == []
    forced = loaded.json("build", "w", "--at", AT, "--force")
    assert (forced["published"], forced["size"]) == (True, 5)


def test_what_is_smaller_than_a_destination_takes_is_published_with_a_warning(
    loaded: Project,
) -> None:
    catalog = loaded.folder / "segments/catalog.yaml"
    text = catalog.read_text()
    assert "destinations:" not in text
    catalog.write_text(text + "\ndestinations: {club: {consent: [dsp], minimum: 6}}\n")
    loaded.seg("w", f"audience w type winback export club match {MATCH}\n")
    result = loaded.ok("build", "w", "--at", AT)
    assert "`w` is published with 5 devices, and `club` takes audiences from 6 on" in result.stderr


def test_only_audiences_are_built(loaded: Project) -> None:
    loaded.seg("s", "segment s match purchase\n")
    for args, message in (
        (["s"], "`s` is a segment"),
        (["ww"], "did you mean `w`"),
        ([], "give the names of audiences, or --all"),
        (["w", "--all"], "give the names of audiences, or --all"),
    ):
        result = loaded.run("build", *args)
        assert result.exit_code == 2
        assert message in result.stderr
    for path in (loaded.folder / "segments").glob("w*.seg"):
        path.unlink()
    assert "there is no audience in segments" in loaded.run("build", "--all").stderr


def test_whose_set_it_is(loaded: Project) -> None:
    other = loaded.client + 500_000
    loaded.seg("o", f"audience o client {other} match purchase\n")
    loaded.write("o.jsonl", json.dumps(purchase("ana", cid=other, ts="2026-06-01")))
    loaded.ok("load", "o.jsonl")
    loaded.ok("build", "o", "--at", AT)
    # The definition says whose it is; no option is needed.
    found = loaded.json("has", "o", "ana")
    assert (found["client"], found["devices"][0]["member"]) == (other, True)
    result = loaded.run("members", "unknown", "--client", other)
    assert result.exit_code == 2
    assert f"nothing is published as `unknown` for client {other}" in result.stderr


# ---- from the shell ----------------------------------------------------------------------------


def relo(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "relo_dsl", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_real_command_and_a_store_in_use(shop: Project) -> None:
    shop.write("events.jsonl", json.dumps(purchase("ana", 500, ts="2026-04-01")))
    assert relo(shop.folder, "load", "events.jsonl").returncode == 0
    hold = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from relo_dsl.engine.lock import FolderLock
        lock = FolderLock(Path(".relo/lock"), "event store", "events")
        print("held", flush=True)
        sys.stdin.read()
    """)
    command = [sys.executable, "-c", hold]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=shop.folder, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        refused = relo(shop.folder, "build", "winback_customers")
        assert refused.returncode == 2
        assert f"in use by process {holder.pid}" in refused.stderr
        assert os.linesep + "help: wait until it ends" in refused.stderr
        holder.stdin.close()
    built = relo(shop.folder, "build", "winback_customers", "--at", AT, "--json")
    assert json.loads(built.stdout)["size"] == 1
    asked = relo(shop.folder, "has", "winback_customers", "ana")
    assert asked.stdout == "ana  yes\n"
    assert asked.stderr.startswith("as of 2026-06-15T12:00:00.000Z, ")


def test_a_holdout_is_a_set_of_its_own(loaded: Project) -> None:
    loaded.seg("h", "audience h match product_view holdout 40%\n")
    built = loaded.json("build", "h", "--at", AT)
    everyone = [f"d{i}" for i in range(1, 31)]

    def within(name: str) -> set[str]:
        answers = loaded.json("has", name, *everyone)["devices"]
        return {item["device"] for item in answers if item["member"]}

    kept, held_out = within("h"), within("h:holdout")
    assert not kept & held_out
    assert kept | held_out == {f"d{i}" for i in range(1, 31)} - {"d11"}
    assert (built["size"], built["holdout"]) == (len(kept), len(held_out))
    secret = bytes.fromhex((loaded.folder / ".relo/key").read_text())

    def drawn(device: str) -> float:
        key = device_key(secret, loaded.client, device).hex()
        told = hashlib.sha256(f"{loaded.client}|h|{key}".encode()).digest()
        return int.from_bytes(told[:8]) / 2**64

    assert held_out == {device for device in kept | held_out if drawn(device) >= 0.6}
    assert loaded.json("members", "h:holdout")["count"] == len(held_out)
    steps = loaded.json("preview", "h", "--at", AT)["clauses"]
    assert [(s["text"], s["survive"]) for s in steps] == [
        ("product_view", 29), ("holdout 40%", len(kept)),
    ]  # fmt: skip
    # No definition has a holdout for good: whoever was in it must not stay.
    loaded.seg("h", "audience h match product_view keep top 3 by sum(purchase.revenue)\n")
    assert loaded.json("build", "h", "--at", AT)["size"] == 3
    assert within("h") == {"d20", "d19", "d18"}
    assert within("h:holdout") == set()


def test_a_holdout_follows_a_minimum(loaded: Project) -> None:
    loaded.seg("h", "audience h match product_view holdout 40%\n")
    assert loaded.json("build", "h", "--at", AT)["holdout"] > 0
    loaded.seg("h", "audience h minimum 100 match product_view holdout 40%\n")
    assert loaded.json("build", "h", "--at", AT)["holdout"] == 0
    assert loaded.json("members", "h:holdout")["count"] == 0


def test_nobody_erased_is_published_after_a_restore(loaded: Project, engine: Engine) -> None:
    def inside() -> list[bool]:
        told = loaded.json("has", "w", "d8", "d9")
        return [one["member"] for one in told["devices"]]

    loaded.ok("build", "w", "--at", AT)
    assert inside() == [True, True]
    loaded.ok("privacy", "erase", "--device", "d8", "--yes")
    assert inside() == [False, True]
    # The events come from a backup of before: it knows of no erasure.
    engine.delete("erasures", "client_id = {c:UInt32}", {"c": loaded.client})
    loaded.load(*({**record, "eid": f"again {n}"} for n, record in enumerate(RECORDS)))
    loaded.ok("build", "w", "--at", AT, "--force")
    assert inside() == [False, True]
