from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from relo_dsl import __version__
from relo_dsl.cli import main as cli
from relo_dsl.cli.main import COMMANDS, Entry, relo
from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.output import emit_json, fail
from relo_dsl.settings import Settings

RELO = [sys.executable, "-m", "relo_dsl"]


def use(monkeypatch: pytest.MonkeyPatch, command: click.Command) -> None:
    """Make `command` the one called `try` of this test's `relo`."""
    monkeypatch.setattr(sys.modules[__name__], "command", command, raising=False)
    monkeypatch.setattr(
        relo, "table", {**COMMANDS, "try": Entry("Look", f"{__name__}:command", "Try it.")}
    )


def test_help_lists_every_command_in_sections() -> None:
    result = CliRunner().invoke(relo, ["--help"])
    assert result.exit_code == 0
    width = max(map(len, COMMANDS))
    for name, entry in COMMANDS.items():
        assert f"  {name.ljust(width)}  {entry.help}" in result.output
        assert f"\n{entry.section}:\n" in result.output
    assert "Example:\n" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_help_imports_only_click() -> None:
    code = (
        "import sys\n"
        "import click\n"
        "before = {m.partition('.')[0] for m in sys.modules}\n"
        "from relo_dsl.cli.main import relo\n"
        "try: relo.main(['--help'])\n"
        "except SystemExit: pass\n"
        "after = {m.partition('.')[0] for m in sys.modules}\n"
        "print('NEW', *sorted(after - before - set(sys.stdlib_module_names)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "NEW relo_dsl"


def test_help_takes_less_than_three_times_what_click_takes() -> None:
    def seconds(command: list[str]) -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    bare, ours = [], []
    for _ in range(7):
        bare.append(seconds([sys.executable, "-c", "import click"]))
        ours.append(seconds([*RELO, "--help"]))
    assert statistics.median(ours) < 3 * statistics.median(bare)


def test_version() -> None:
    result = CliRunner().invoke(relo, ["--version"])
    assert result.output == f"relo {__version__}\n"


def test_without_a_command_it_teaches() -> None:
    result = CliRunner().invoke(relo, [])
    assert result.exit_code == 2
    assert "Example:" in result.output


def test_an_unknown_command_names_the_nearest() -> None:
    result = CliRunner().invoke(relo, ["bild"])
    assert result.exit_code == 2
    assert "'build'" in result.stderr
    assert result.stdout == ""


def test_a_missing_module_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relo, "table", {"ghost": Entry("Look", "relo_dsl.cli.ghost:x", "Boo.")})
    result = CliRunner().invoke(relo, ["ghost"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: this installation has no `relo ghost`\nhelp: ")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text("import surely_not_installed\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(relo, "table", {"needy": Entry("Look", "needy:x", "Need.")})
    result = CliRunner().invoke(relo, ["needy"])
    assert result.exit_code == 2
    assert "`relo needy` needs the package `surely_not_installed`" in result.stderr


def test_a_user_error_is_a_message_a_hint_and_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> None:
        fail("no such file `x`", "look again")

    use(monkeypatch, command)
    result = CliRunner().invoke(relo, ["try"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: no such file `x`\nhelp: look again\n"


def test_a_mistake_of_ours_shows_a_traceback_only_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def command() -> None:
        raise ZeroDivisionError("oops")

    use(monkeypatch, command)
    result = CliRunner().invoke(relo, ["try"])
    assert result.exit_code == 2
    assert result.stderr.startswith("internal error: ZeroDivisionError: oops\nhelp: ")
    assert "Traceback" not in result.stderr
    for args, env in ((["--debug", "try"], None), (["try"], {"RELO_DEBUG": "1"})):
        result = CliRunner(env=env).invoke(relo, args)
        assert result.exit_code == 2
        assert "Traceback" in result.stderr


def test_an_exit_status_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @click.pass_context
    def command(context: click.Context) -> None:
        context.exit(1)

    use(monkeypatch, command)
    assert CliRunner().invoke(relo, ["try"]).exit_code == 1


@pytest.mark.parametrize("args", [["--nope"], ["--number", "x"]])
def test_wrong_usage_is_status_2(monkeypatch: pytest.MonkeyPatch, args: list[str]) -> None:
    @click.command()
    @click.option("--number", type=int)
    def command(number: int) -> None: ...

    use(monkeypatch, command)
    result = CliRunner().invoke(relo, ["try", *args])
    assert result.exit_code == 2
    assert "Usage: relo try" in result.stderr


def test_an_interrupt_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> None:
        raise KeyboardInterrupt

    use(monkeypatch, command)
    result = CliRunner().invoke(relo, ["try"])
    assert result.exit_code == cli.EXIT_INTERRUPTED
    assert "Traceback" not in result.stderr


def test_shared_options_stand_above_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @click.command()
    @with_settings("client", "catalog")
    @json_option
    def command(settings: Settings, as_json: bool) -> None:
        assert as_json
        emit_json({"client": settings.client, "catalog": settings.catalog, "zone": "ñ"})

    use(monkeypatch, command)
    (tmp_path / "relo.toml").write_text("client = 3\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(relo, ["try", "--json", "--catalog", "c.yaml"])
    path = os.fspath(tmp_path / "c.yaml")
    assert result.output == f'{{"client":3,"catalog":"{path}","zone":"ñ"}}\n'
    result = CliRunner().invoke(relo, ["try", "--json", "--client", "4"])
    assert '"client":4' in result.output
    (tmp_path / "relo.toml").write_text("cleint = 3\n", encoding="utf-8")
    result = CliRunner().invoke(relo, ["try", "--json"])
    assert result.exit_code == 2
    assert "relo.toml, line 1: unknown setting `cleint`; did you mean `client`?" in result.stderr


def test_the_installed_command_and_the_module_are_the_same() -> None:
    installed = Path(sys.executable).with_name("relo")
    if not installed.exists():
        pytest.skip("no `relo` beside this Python: make install")
    for command in ([os.fspath(installed)], RELO):
        run = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert run.stdout == f"relo {__version__}\n"
