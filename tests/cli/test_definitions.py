"""init, check, fmt and compile: what needs no data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cli.conftest import AT, Project, masked

FIVE_MISTAKES = """\
audience a
  type     winbck
  export   meta, nowhere
match
  purchase.revnue > 10 within 30d
  and purhcase within 7d
  and in segment ghost
"""
GOOD = "audience good match purchase within 30d\n"


# ---- init --------------------------------------------------------------------------------------


def test_a_new_project_is_right_and_formatted(shop: Project) -> None:
    assert shop.ok("check", "--strict").stdout == "no mistakes in 1 definition\n"
    shop.ok("fmt", "--check")
    assert (shop.folder / ".gitignore").read_text() == ".relo/\n"


def test_init_changes_nothing_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, 1)
    (tmp_path / "relo.toml").write_text("client = 7\n")
    (tmp_path / ".gitignore").write_text("*.pyc")
    files = project.json("init")["files"]
    assert files["relo.toml"] == "kept"
    assert files["segments/catalog.yaml"] == "made"
    assert files[".gitignore"] == "added to"
    assert (tmp_path / "relo.toml").read_text() == "client = 7\n"
    assert (tmp_path / ".gitignore").read_text() == "*.pyc\n.relo/\n"
    assert set(project.json("init")["files"].values()) == {"kept"}


def test_init_elsewhere(shop: Project) -> None:
    shop.ok("init", "deep/er", "--timezone", "America/Mexico_City")
    assert 'timezone = "America/Mexico_City"' in (shop.folder / "deep/er/relo.toml").read_text()
    result = shop.run("init", "other", "--timezone", "America/Mexico_Cty")
    assert result.exit_code == 2
    assert "did you mean `America/Mexico_City`" in result.stderr
    assert not (shop.folder / "other").exists()


# ---- check -------------------------------------------------------------------------------------


def test_every_mistake_in_one_run(shop: Project, snapshot: SnapshotAssertion) -> None:
    shop.seg("a", FIVE_MISTAKES)
    result = shop.run("check")
    assert result.exit_code == 1
    assert result.stdout == snapshot


def test_check_for_machines(shop: Project) -> None:
    shop.seg("a", FIVE_MISTAKES)
    result = shop.run("check", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)["diagnostics"]
    assert {item["severity"] for item in found} == {"error"}
    assert len(found) == 5
    assert found[0]["file"] == "segments/a.seg"
    assert shop.json("check", "segments/winback_customers.seg") == {"diagnostics": []}


def test_warnings_fail_only_when_asked(shop: Project) -> None:
    shop.seg("w", "audience w match purchase within 1d or purchase within 2d and product_view\n")
    assert "1 warning" in shop.ok("check").stdout
    assert shop.run("check", "--strict").exit_code == 1


def test_a_path_is_checked_among_all_definitions(shop: Project) -> None:
    shop.seg("a", FIVE_MISTAKES)
    shop.seg("b", "audience b match in segment good\n")
    shop.seg("c", "segment good match purchase\n")
    assert shop.ok("check", "segments/b.seg").stdout == "no mistakes\n"
    assert shop.run("check", "segments").exit_code == 1


def test_a_file_outside_the_project_sees_what_it_refers_to(shop: Project) -> None:
    shop.seg("c", "segment good match in segment better\nsegment unused match purhcase\n")
    shop.seg("d", "segment better match purchase\n")
    shop.write("draft.seg", "audience draft match in segment good\naudience good match purchase\n")
    assert shop.ok("check", "draft.seg").stdout == "no mistakes\n"
    shop.write("draft.seg", "audience draft match in segment good and in segment nothing\n")
    result = shop.run("check", "draft.seg")
    assert result.exit_code == 1
    assert "there is no segment or audience `nothing`" in result.stdout
    assert "purhcase" not in result.stdout


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda p: (p / "segments/catalog.yaml").unlink(), "there is no catalog segments/catalog"),
        (lambda p: (p / "segments/catalog.yaml").write_text("evnts: {}"), "did you mean `events`"),
        (lambda p: (p / "relo.toml").write_text("clint = 1"), "did you mean `client`"),
        (lambda p: (p / "relo.toml").write_text('segments = "x"'), "there is no folder x"),
    ],
)  # fmt: skip
def test_a_project_that_cannot_be_read_is_status_2(shop: Project, break_it, message) -> None:  # type: ignore[no-untyped-def]
    break_it(shop.folder)
    result = shop.run("check")
    assert result.exit_code == 2
    assert message in result.stderr


# ---- fmt ---------------------------------------------------------------------------------------

UGLY = "audience ugly # mine\n type winback match purchase   within 30d\n"


def test_fmt_writes_the_one_layout(shop: Project) -> None:
    path = shop.seg("ugly", UGLY)
    path.chmod(0o640)
    shop.seg("broken", "audience broken match (\n")
    check = shop.run("fmt", "--check")
    assert check.exit_code == 1
    assert "would be formatted: segments/ugly.seg" in check.stdout
    assert path.read_text() == UGLY
    result = shop.run("fmt")
    assert result.exit_code == 1  # one has errors, and is left alone
    assert "1 file formatted, 1 unchanged, 1 left alone" in result.stdout
    assert "error[syntax]" in result.stderr
    assert "# mine" in path.read_text()
    assert path.read_text() != UGLY
    assert path.stat().st_mode & 0o777 == 0o640
    (shop.folder / "segments/broken.seg").unlink()
    assert shop.json("fmt")["changed"] == []
    assert not list((shop.folder / "segments").glob(".*"))


def test_fmt_shows_what_would_change(shop: Project, snapshot: SnapshotAssertion) -> None:
    path = shop.seg("ugly", UGLY)
    result = shop.run("fmt", "--diff", path)
    assert result.exit_code == 1
    assert result.stdout == snapshot
    assert path.read_text() == UGLY


# ---- compile -----------------------------------------------------------------------------------


def test_the_query_and_what_travels_beside_it(shop: Project) -> None:
    text = shop.ok("compile", "winback_customers", "--at", AT).stdout
    assert "\n  FROM events\n" in text
    assert "{client: UInt32}" in text
    assert f"\n-- client = {shop.client}\n" in text
    assert '\n-- t = "2026-06-15 12:00:00.000"\n' in text
    found = shop.json("compile", "winback_customers", "--at", AT)
    assert found["at"] == "2026-06-15T12:00:00.000Z"
    assert set(re.findall(r"{(\w+): ?[A-Z]", found["sql"])) == set(found["params"])


@pytest.mark.parametrize("stage", ["ast", "bound", "plan", "sets"])
def test_every_stage(shop: Project, stage: str, snapshot: SnapshotAssertion) -> None:
    shop.write("relo.toml", "client = 3\n")
    args = ("compile", "winback_customers", "--emit", stage, "--at", AT)
    assert shop.ok(*args).stdout == snapshot
    found = shop.json(*args)
    assert (found["name"], found["emit"]) == ("winback_customers", stage)


def test_compile_every_definition_of_a_file(shop: Project) -> None:
    path = shop.seg("two", GOOD + "audience other match purchase within 31d\n")
    lines = shop.ok("compile", path, "--emit", "plan", "--json").stdout.splitlines()
    plans = [json.loads(line) for line in lines]
    assert [plan["name"] for plan in plans] == ["good", "other"]
    assert len({plan["fingerprint"] for plan in plans}) == 2


def test_a_neighbours_mistake_stops_nobody_else(shop: Project) -> None:
    path = shop.seg("two", GOOD + "audience bad match purhcase\n")
    shop.ok("compile", "good")
    result = shop.run("compile", "bad", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["diagnostics"][0]["code"] == "unknown-event"
    assert shop.run("compile", path).exit_code == 1
    # The tree is what was written, and there is nothing wrong with that.
    shop.ok("compile", path, "--emit", "ast")


def test_a_name_that_is_defined_twice_is_neither(shop: Project) -> None:
    shop.seg("a", GOOD)
    shop.seg("b", GOOD)
    result = shop.run("compile", "good")
    assert result.exit_code == 1
    assert "duplicate-definition" in result.stderr


def test_a_second_definition_of_a_name_has_its_other_mistakes_told(shop: Project) -> None:
    shop.seg("a", GOOD + "audience good match purhcase\n")
    found = shop.run("check", "segments/a.seg", "--json").stdout
    codes = {item["code"] for item in json.loads(found)["diagnostics"]}
    assert codes >= {"duplicate-definition", "unknown-event"}


def test_what_is_not_there(shop: Project) -> None:
    for what, message in (("winback_custmers", "did you mean"), ("no.seg", "cannot read no.seg")):
        result = shop.run("compile", what)
        assert result.exit_code == 2
        assert message in result.stderr
    shop.seg("s", "segment s match purchase\n")
    result = shop.run("compile", "s", "--emit", "sets")
    assert result.exit_code == 2
    assert "only audiences are published" in result.stderr


@pytest.mark.parametrize("at", ["2026-02-30", "soon", "99999999999999999999"])
def test_an_instant_that_is_none(shop: Project, at: str) -> None:
    assert shop.run("compile", "winback_customers", "--at", at).exit_code == 2


# ---- from the shell ----------------------------------------------------------------------------


def test_the_real_command_has_status_and_no_colours_in_pipes(shop: Project) -> None:
    shop.seg("a", FIVE_MISTAKES)

    def relo(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "relo_dsl", *args]
        return subprocess.run(command, cwd=shop.folder, capture_output=True, text=True, check=False)

    broken = relo("check")
    assert (broken.returncode, broken.stderr) == (1, "")
    assert "5 errors" in broken.stdout
    assert "\x1b" not in broken.stdout
    assert relo("check", "nowhere.seg").returncode == 2
    assert relo("compile", "winback_customers", "--emit", "sets").returncode == 0


def test_masks_hide_what_differs() -> None:
    assert masked(f"{'a' * 32} 2026-01-01T00:00:00.000Z in 12 ms") == "KEY TIME in TOOK"
