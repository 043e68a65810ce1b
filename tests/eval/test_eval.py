"""`relo eval` from end to end: the corpus, and what the command does with what it is given."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relo_dsl.cli.main import relo

CORPUS = Path(__file__).parent / "corpus"
NAMES = sorted(path.name.removesuffix(".expected.json") for path in CORPUS.glob("*.expected.json"))
AT = "2026-06-15T12:00:00Z"


def run(*args: object) -> Result:
    return CliRunner().invoke(relo, ["eval", *map(str, args)])


def answers(result: Result) -> dict[str, list[str]]:
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return {line["name"]: line["members"] for line in lines}


# ---- the corpus --------------------------------------------------------------------------------


def case(name: str) -> dict[str, Any]:
    expected = json.loads((CORPUS / f"{name}.expected.json").read_text(encoding="utf-8"))
    assert isinstance(expected, dict)
    return expected


def arguments(name: str) -> list[str]:
    return [f"{name}.seg", "--events", f"{name}.jsonl", "--json", *case(name)["args"]]


@pytest.mark.parametrize("name", NAMES)
def test_corpus(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Away from this repository's relo.toml, whose client would count.
    for path in CORPUS.glob(f"{name}.*"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    expected = case(name)
    result = run(*arguments(name))
    assert (result.exit_code, result.stderr) == (expected["exit"], ""), result.stdout
    found = [json.loads(line) for line in result.stdout.splitlines()]
    if expected["exit"] == 0:
        assert found == expected["stdout"]
        return
    (printed,) = found
    (wanted,) = expected["stdout"]
    assert len(printed["diagnostics"]) == len(wanted["diagnostics"])
    for diagnostic, part in zip(printed["diagnostics"], wanted["diagnostics"], strict=True):
        assert diagnostic | part == diagnostic


def test_the_installed_command_prints_the_lines_of_the_specification() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "relo_dsl", "eval", *arguments("winback")],
        cwd=CORPUS, capture_output=True, check=True,
    )  # fmt: skip
    first = finished.stdout.decode().splitlines()[0]
    assert first == (
        '{"name":"winback_mx_highvalue","at":"2026-06-15T12:00:00.000Z","count":3,'
        '"members":["ana","edge","young"]}'
    )
    assert finished.stderr == b""


@pytest.mark.parametrize("name", ["consent", "text", "traits"])
def test_sql_gives_the_same_lines(name: str) -> None:
    """One process each: the embedded engine opens one folder per process."""
    finished = subprocess.run(
        [sys.executable, "-m", "relo_dsl", "eval", *arguments(name), "--engine", "sql"],
        cwd=CORPUS, capture_output=True, check=False,
    )  # fmt: skip
    assert (finished.returncode, finished.stderr) == (0, b"")
    found = [json.loads(line) for line in finished.stdout.splitlines()]
    assert found == case(name)["stdout"]


# ---- the command -------------------------------------------------------------------------------


def segments(folder: Path, text: str, name: str = "a.seg") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def events(folder: Path, *rows: dict[str, Any], name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def purchase(
    device: str, ts: int | str = 1, cid: int | None = None, **props: Any
) -> dict[str, Any]:
    row: dict[str, Any] = {"t": "purchase", "ts": ts, "did": device, "props": props}
    return row if cid is None else row | {"cid": cid}


BUYERS = "audience buyers client 3 match purchase"


def test_people_see_name_instant_size_and_members(tmp_path: Path) -> None:
    seg = segments(tmp_path, BUYERS)
    data = events(tmp_path, *(purchase(f"d{i:02}", i) for i in range(25)))
    lines = run(seg, "--events", data, "--at", AT).stdout.splitlines()
    assert lines[:2] == ["buyers at 2026-06-15T12:00:00.000Z: 25 devices", "  d00"]
    assert (len(lines), lines[-1]) == (22, "  … and 5 more (--limit 0 shows all)")
    assert len(run(seg, "--events", data, "--limit", 0).stdout.splitlines()) == 26
    one = run(seg, "--events", data, "--at", "0").stdout
    assert one == "buyers at 1970-01-01T00:00:00.000Z: 1 device\n  d00\n"


def test_every_definition_in_file_order_with_its_instants(tmp_path: Path) -> None:
    text = "audience b client 3 match purchase\nsegment a client 3 match no purchase"
    seg, data = segments(tmp_path, text), events(tmp_path, purchase("ana", 5))
    lines = run(seg, "-e", data, "--at", "5", "--at", "4", "--json").stdout.splitlines()
    found = [(line["name"], line["at"][-4:], line["count"]) for line in map(json.loads, lines)]
    assert found == [("b", "005Z", 1), ("b", "004Z", 0), ("a", "005Z", 0), ("a", "004Z", 0)]
    assert set(answers(run(seg, "-e", data, "--name", "a", "--json"))) == {"a"}


def test_now_is_the_default(tmp_path: Path) -> None:
    data = events(tmp_path, purchase("past"), purchase("future", "2199-01-01"))
    assert answers(run(segments(tmp_path, BUYERS), "-e", data, "--json")) == {"buyers": ["past"]}


def test_only_what_was_named_must_be_right(tmp_path: Path) -> None:
    seg = segments(tmp_path, BUYERS + "\naudience other client 3 match refund")
    data = events(tmp_path, purchase("ana"))
    assert answers(run(seg, "-e", data, "-n", "buyers", "--json")) == {"buyers": ["ana"]}
    result = run(seg, "-e", data)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "error[unknown-event]: there is no event `refund`" in result.stderr


@pytest.mark.parametrize("text", ["%%%", "audience a match " + "(" * 250 + "purchase" + ")" * 250])
def test_a_file_without_a_definition_that_can_be_read_has_errors(tmp_path: Path, text: str) -> None:
    result = run(segments(tmp_path, text), "--events", events(tmp_path, purchase("x", 1)))
    assert result.exit_code == 1
    assert "error[" in result.output


def test_several_files_are_read_in_their_order(tmp_path: Path) -> None:
    first = events(tmp_path, purchase("ana", n=1) | {"eid": "e"}, name="1.jsonl")
    second = events(tmp_path, purchase("beto", n=2) | {"eid": "e"}, name="2.jsonl")
    seg = segments(tmp_path, BUYERS)
    assert answers(run(seg, "-e", first, "-e", second, "--json")) == {"buyers": ["ana"]}
    assert answers(run(seg, "-e", second, "-e", first, "--json")) == {"buyers": ["beto"]}


def test_hints_go_to_people_and_not_into_json(tmp_path: Path) -> None:
    seg = segments(tmp_path, "audience b client 3 match count(purchase) >= 1")
    data = events(tmp_path, purchase("ana"))
    assert "hint[count-at-least-one]" in run(seg, "-e", data).stderr
    result = run(seg, "-e", data, "--json")
    assert (result.stderr, answers(result)) == ("", {"b": ["ana"]})


# ---- clients -----------------------------------------------------------------------------------

ANYONE = "audience b match purchase"


def test_other_clients_are_ignored_however_they_type_things(tmp_path: Path) -> None:
    seg = segments(tmp_path, "audience b client 3 match purchase.revenue > 1")
    data = events(
        tmp_path,
        purchase("ana", revenue=2),
        purchase("beto", cid=3, revenue=2),
        purchase("carla", cid=4, revenue="two"),
    )
    assert answers(run(seg, "-e", data, "--json")) == {"b": ["ana", "beto"]}
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("events: {purchase: {properties: {revenue: number}}}")
    assert answers(run(seg, "-e", data, "-n", "b", "--catalog", catalog, "--json")) == {
        "b": ["ana", "beto"]
    }


def test_definitions_of_two_clients_in_one_file(tmp_path: Path) -> None:
    text = "audience b client 3 match purchase\naudience c client 4 match purchase"
    data = events(tmp_path, purchase("ana", cid=3), purchase("beto", cid=4), purchase("any"))
    found = answers(run(segments(tmp_path, text), "-e", data, "--json"))
    assert found == {"b": ["ana", "any"], "c": ["any", "beto"]}


def test_the_configured_client_comes_before_the_only_one_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seg = segments(tmp_path, ANYONE)
    data = events(tmp_path, purchase("ana", cid=7), purchase("beto"))
    monkeypatch.chdir(tmp_path)
    assert answers(run(seg, "-e", data, "--json")) == {"b": ["ana", "beto"]}
    (tmp_path / "relo.toml").write_text("client = 3\n")
    assert answers(run(seg, "-e", data, "--json")) == {"b": ["beto"]}
    assert answers(run(seg, "-e", data, "--client", 7, "--json")) == {"b": ["ana", "beto"]}


@pytest.mark.parametrize("clients", [(None,), (3, 4)])
def test_no_client_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clients: tuple[int | None, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = events(tmp_path, *(purchase("ana", cid=cid) for cid in clients))
    result = run(segments(tmp_path, ANYONE), "-e", data)
    assert result.exit_code == 2
    assert "`b` names no client" in result.stderr
    assert "--client 3" in result.stderr


def test_a_client_configured_opt_in(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("consent_default: opt-in\nevents: {purchase: {}}\n")
    granted = {"t": "consent", "ts": 0, "did": "beto", "consent": 255}
    data = events(tmp_path, purchase("ana"), granted, purchase("beto"))
    result = run(segments(tmp_path, BUYERS), "-e", data, "--catalog", catalog, "--json")
    assert answers(result) == {"buyers": ["beto"]}


# ---- references --------------------------------------------------------------------------------


def test_references_to_other_files_of_the_folder(tmp_path: Path) -> None:
    seg = segments(tmp_path, "audience b client 3 match in segment mid and not in segment own\n"
                   "segment own client 3 match refund", "b.seg")  # fmt: skip
    segments(tmp_path, "segment mid client 3 match in segment leaf", "mid.seg")
    # A definition that is not referred to may be wrong, and may even have the same name.
    segments(tmp_path, "segment leaf client 3 match purchase\nsegment b client 3 match nonsense",
             "leaf.seg")  # fmt: skip
    segments(tmp_path, "this is no definition", "broken.seg")
    data = events(tmp_path, purchase("ana"), purchase("beto"), purchase("beto") | {"t": "refund"})
    assert answers(run(seg, "-e", data, "--json")) == {"b": ["ana"], "own": ["beto"]}


def test_a_reference_that_nobody_defines_and_a_circle(tmp_path: Path) -> None:
    data = events(tmp_path, purchase("ana"))
    lost = segments(tmp_path, "audience b client 3 match in segment nowhere")
    assert "error[unknown-segment]" in run(lost, "-e", data).stderr
    segments(tmp_path, "segment c client 3 match in segment a", "c.seg")
    circle = segments(tmp_path, "segment a client 3 match in segment c")
    result = run(circle, "-e", data)
    assert (result.exit_code, "error[reference-cycle]" in result.stderr) == (1, True)


def test_a_ladder_of_references_is_climbed_once(tmp_path: Path) -> None:
    rungs = ["segment s0 client 3 match purchase.ok = 1"]
    rungs += [
        f"segment s{i} client 3 match in segment s{i - 1} "
        f"and not (refund within {i}d and in segment s{i - 1})"
        for i in range(1, 60)
    ]
    data = events(tmp_path, purchase("ana", ok=1, n=1), {**purchase("beto", n="1"), "t": "refund"},
                  purchase("ana", n="1"))  # fmt: skip
    found = run(segments(tmp_path, "\n".join(rungs)), "-e", data, "-n", "s59", "--json")
    assert answers(found) == {"s59": ["ana"]}


def test_a_mistake_in_a_referred_definition_shows_its_file(tmp_path: Path) -> None:
    seg = segments(tmp_path, "audience b client 3 match in segment c")
    other = segments(tmp_path, "segment c client 3 match prchase", "c.seg")
    result = run(seg, "-e", events(tmp_path, purchase("ana")))
    assert result.exit_code == 1
    assert f"{other}:1:26" in result.stderr


# ---- types, catalog, retention -----------------------------------------------------------------


def test_a_property_of_two_types_fails_who_uses_it(tmp_path: Path) -> None:
    data = events(tmp_path, purchase("ana", n=1, ok=1), purchase("beto", n="1"))
    fine = segments(tmp_path, "audience b client 3 match purchase.ok = 1")
    assert answers(run(fine, "-e", data, "--json")) == {"b": ["ana"]}
    bad = segments(tmp_path, "audience b client 3 match purchase[n > 0]")
    result = run(bad, "-e", data)
    assert result.exit_code == 1
    assert "`purchase.n` has no one type in the data: number in" in result.stderr
    assert f"{data}:1 and string in {data}:2" in result.stderr
    assert f"{bad}:1:36" in result.stderr


def test_the_project_catalog_is_not_used_and_a_given_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relo.toml").write_text('catalog = "catalog.yaml"\n')
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("events: {other: {}}\nretention: {months: 24}\n")
    seg = segments(tmp_path, BUYERS)
    data = events(tmp_path, purchase("old", "2016-01-01"))
    assert answers(run(seg, "-e", data, "--at", AT, "--json")) == {"buyers": ["old"]}
    result = run(seg, "-e", data, "--catalog", catalog)
    assert (result.exit_code, "unknown-event" in result.stderr) == (1, True)
    catalog.write_text("events: {purchase: {}}\n")
    given = ("-e", data, "--catalog", catalog, "--at", AT, "--json")
    assert answers(run(seg, *given)) == {"buyers": ["old"]}
    catalog.write_text("events: {purchase: {}}\nretention: {months: 24}\n")
    assert answers(run(seg, *given)) == {"buyers": []}


def test_a_value_that_the_catalog_types_otherwise(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("events: {purchase: {properties: {revenue: number}}}")
    data = events(tmp_path, purchase("ana", revenue=1), purchase("beto", revenue="1"))
    result = run(segments(tmp_path, BUYERS), "-e", data, "--catalog", catalog)
    assert result.exit_code == 2
    assert f"{data}:2: props.revenue: expected number, found string" in result.stderr


# ---- what cannot be used -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--at", "soon"], "`soon` is not a date or time"),
        (["--at", "2026-02-30"], "does not exist"),
        (["--list", "vip"], "expected NAME=FILE"),
        (["--list", "vip=none.txt"], "cannot read the list none.txt: No such file"),
        (["--name", "buyer"], "defines no `buyer`"),
        (["--events", "none.jsonl"], "cannot read none.jsonl: No such file"),
        (["--catalog", "none.yaml"], "cannot read the catalog none.yaml"),
        (["--engine", "magic"], "'magic' is not one of"),
    ],
)
def test_exit_2(tmp_path: Path, options: list[str], message: str) -> None:
    data = events(tmp_path, purchase("ana"))
    result = run(segments(tmp_path, BUYERS), "-e", data, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_exit_2_for_files(tmp_path: Path) -> None:
    data = events(tmp_path, purchase("ana"))
    assert run(tmp_path / "none.seg", "-e", data).exit_code == 2
    assert run(segments(tmp_path, "# nothing\n"), "-e", data).exit_code == 2
    assert run(segments(tmp_path, BUYERS)).exit_code == 2
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"t":"purchase","ts":1,"did":"ana"}\n{"t":\n')
    result = run(segments(tmp_path, BUYERS), "-e", broken)
    assert result.exit_code == 2
    assert f"{broken}:2: not JSON" in result.stderr


def test_lists(tmp_path: Path) -> None:
    seg = segments(tmp_path, "audience b client 3 match in list vip")
    data = events(tmp_path, purchase("ana"), purchase("beto"))
    ids = tmp_path / "vip.txt"
    ids.write_bytes("\ufeffana\r\n\r\nghost".encode())
    assert answers(run(seg, "-e", data, "--list", f"vip={ids}", "--json")) == {"b": ["ana"]}
    result = run(seg, "-e", data, "--list", f"vipp={ids}")
    assert (result.exit_code, "error[unknown-list]" in result.stderr) == (1, True)
