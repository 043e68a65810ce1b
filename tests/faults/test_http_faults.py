"""A server that fails: what the user sees, and that nothing is half-read, half-loaded, doubled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relo_dsl.cli.main import relo
from relo_dsl.engine import Engine, EngineError, StoreError, device_key
from relo_dsl.errors import UserError
from relo_dsl.settings import Limits
from relo_dsl.sql.query import SqlQuery
from tests.conftest import REPOSITORY
from tests.engine.http_server import Fault, Server, serve
from tests.engine.test_load import KEY, T, column, consent, event, load

ANSWERS = (
    Fault("hang up"),
    Fault("lost"),
    Fault("cut"),
    Fault("cut", chunked=True),
    Fault("cut", part=0),
    Fault("cut", part=0, chunked=True),
    Fault("cut", part=1),
    Fault("cut", part=1, chunked=True),
    Fault("late"),
    Fault("slow"),
    Fault("500"),
    Fault("502"),
)
#: Four blocks of 65,409 rows, as the engine cuts them.
BLOCK = 65_409
ROWS = 4 * BLOCK
MANY = SqlQuery("SELECT toFixedString(toString(number), 16) AS device FROM numbers(261636)")


def named(fault: Fault) -> str:
    return f"{fault.kind} {fault.part}{' chunked' * fault.chunked}"


@pytest.fixture(scope="module")
def server(engine: Engine) -> Iterator[Server]:
    with serve(Path(str(engine.client.path)).parent) as running:  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def remote(server: Server) -> Iterator[Engine]:
    """An engine that waits two seconds, and the faults of its server gone when the test ends."""
    limits = Limits(max_seconds=1)
    with Engine.server(server.url, database="default", limits=limits, silence_seconds=1) as opened:
        yield opened
        del server.faults[:]


def fail(server: Server, fault: Fault, statements: str, **changes: Any) -> None:
    # Reads that a server hung up on are asked once more by the client itself.
    times = 10 if fault.kind in ("hang up", "lost", "502") else 1
    values = {"times": times, "part": fault.part, "chunked": fault.chunked, **changes}
    server.faults[:] = [Fault(fault.kind, statements, **values)]


@pytest.mark.parametrize("fault", ANSWERS, ids=named)
def test_a_query_fails_or_is_whole(remote: Engine, server: Server, fault: Fault) -> None:
    fail(server, fault, "numbers")
    with pytest.raises((EngineError, UserError)) as caught:
        remote.query(MANY)
    if fault.kind not in ("late", "500"):
        assert isinstance(caught.value, StoreError)
        assert server.url in caught.value.message
        assert caught.value.hint is not None
        assert "try again" in caught.value.hint
    del server.faults[:]
    assert len(remote.query(MANY).rows) == ROWS


@pytest.mark.parametrize("fault", ANSWERS, ids=named)
def test_a_stream_never_ends_early_and_in_silence(
    remote: Engine, server: Server, fault: Fault
) -> None:
    fail(server, fault, "numbers")
    with pytest.raises((EngineError, UserError)):
        list(remote.members(MANY))
    del server.faults[:]
    members = remote.members(MANY)
    assert sum(map(len, members)) == members.count == ROWS


@pytest.mark.parametrize("chunked", [False, True])
def test_a_stream_cut_anywhere_is_an_error(remote: Engine, server: Server, chunked: bool) -> None:
    """At the end of a block, in the midst of its head, and a byte before the last."""
    whole = server.connection.query(MANY.text, "Native").bytes()
    block = len(whole) // 4
    assert whole[:8] == whole[block : block + 8], "a block begins here"
    cuts = {block * n + by for n in (1, 2, 3) for by in (-1, 0, 1, 9)} | {1, len(whole) - 1}
    for cut in sorted(cuts):
        fail(server, Fault("cut", part=(cut + 0.5) / len(whole), chunked=chunked), "numbers")
        with pytest.raises(StoreError):
            list(remote.members(MANY))


WRITES = (
    Fault("hang up"),
    Fault("lost"),
    Fault("cut", part=0),
    Fault("slow"),
    Fault("500"),
    Fault("502"),
    Fault("read-only"),
)


@pytest.mark.parametrize("fault", WRITES, ids=named)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE staged",
        "INSERT INTO.*staged.*FORMAT",
        "INSERT INTO consent",
        "INSERT INTO events",
    ],
)
def test_a_load_that_failed_is_repeated(
    remote: Engine, server: Server, new_client: int, fault: Fault, statement: str
) -> None:
    raw = [event(T + i, str(i), did=f"d{i}") for i in range(40)]
    raw += [consent(T, "c", 255, did="d1")]
    # Once: whatever writes is not sent again by the client itself.
    fail(server, fault, statement, times=1)
    with pytest.raises(EngineError) as caught:
        load(remote, new_client, raw)
    if fault.kind != "500":
        assert isinstance(caught.value, StoreError)
        assert server.url in caught.value.message
    del server.faults[:]
    stored = len(column(remote, new_client, "tie"))
    # All of the events or none: they go in one insert.
    assert stored in (0, 40)
    again = load(remote, new_client, raw)
    assert again.accepted + again.duplicate == 41
    assert len(column(remote, new_client, "tie")) == 40
    assert not remote.rows(
        "SELECT name FROM system.tables WHERE database = 'default' AND name LIKE 'staged\\_%' "
        "AND total_rows > 0"
    )


def test_a_list_is_replaced_whole_or_not_at_all(
    remote: Engine, server: Server, new_client: int
) -> None:
    from relo_dsl.engine import load_list

    load_list(remote, new_client, "vip", ["a"], key=KEY)
    for kind in ("hang up", "500", "read-only"):
        fail(server, Fault(kind), "INSERT INTO.*lists")
        with pytest.raises(EngineError):
            load_list(remote, new_client, "vip", ["b", "c"], key=KEY)
    del server.faults[:]
    now = (
        "SELECT device FROM lists WHERE client_id = {c:UInt32} AND device != toFixedString('', 16) "
        "AND version = (SELECT max(version) FROM lists WHERE client_id = {c:UInt32})"
    )
    assert remote.rows(now, {"c": new_client}) == [(device_key(KEY, new_client, "a"),)]


def test_a_server_that_answers_nothing_when_it_is_opened(server: Server) -> None:
    server.faults[:] = [Fault("slow", times=100)]
    with pytest.raises(UserError, match="cannot open the event store http://127") as caught:
        Engine.server(
            server.url, database="default", limits=Limits(max_seconds=1), silence_seconds=0
        )
    assert caught.value.hint is not None
    del server.faults[:]


# ---- the commands --------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_client: int) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELO_KEY", KEY.hex())
    monkeypatch.setenv("RELO_CLIENT", str(new_client))
    assert CliRunner().invoke(relo, ["init"]).exit_code == 0
    (tmp_path / "segments" / "mine.seg").write_text("audience mine\n  match purchase\n")
    (tmp_path / "list.txt").write_text("d1\n")
    (tmp_path / "events.jsonl").write_text(
        "".join(f'{{"t":"purchase","ts":{T + i},"did":"d{i}","eid":"e{i}"}}\n' for i in range(50))
    )
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ["load", "events.jsonl"],
        ["list", "add", "vip", "list.txt"],
        ["preview", "mine"],
        ["build", "mine"],
        ["build", "mine", "--json"],
        ["why", "mine", "d1"],
    ],
    ids=" ".join,
)
def test_a_dead_server_is_said_and_is_status_2(
    project: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("RELO_EVENTS", "http://relo:hush@127.0.0.1:1")
    result = CliRunner().invoke(relo, command)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: cannot open the event store http://127.0.0.1:1: ")
    assert "\nhelp: see whether the server runs" in result.stderr
    assert "hush" not in result.output
    assert "internal error" not in result.stderr


def _asked(name: str, device: str) -> dict[str, object]:
    """What `relo has` knows, but for how long ago that was."""
    found = CliRunner().invoke(relo, ["has", name, device, "--json"]).stdout
    return {key: value for key, value in json.loads(found).items() if "seconds" not in key}


def test_a_server_that_dies_in_the_midst_of_a_build_publishes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("RELO_EVENTS", server.url)
    run = CliRunner()
    assert run.invoke(relo, ["load", "events.jsonl"]).exit_code == 0
    first = run.invoke(relo, ["build", "mine"])
    assert first.exit_code == 0, first.output
    before = _asked("mine", "d1")
    more = project / "more.jsonl"
    more.write_text(f'{{"t":"purchase","ts":{T},"did":"new","eid":"new"}}\n')
    assert run.invoke(relo, ["load", "more.jsonl"]).exit_code == 0
    # Every compiled query breaks off.
    server.faults[:] = [Fault("cut", "readonly = 1", times=100)]
    failed = run.invoke(relo, ["build", "mine"])
    assert failed.exit_code != 0
    assert "did not answer" in failed.output
    del server.faults[:]
    assert _asked("mine", "d1") == before
    assert "yes" not in run.invoke(relo, ["has", "mine", "new"]).stdout
    assert run.invoke(relo, ["build", "mine"]).exit_code == 0
    assert "yes" in run.invoke(relo, ["has", "mine", "new"]).stdout


def test_a_server_that_dies_in_the_midst_of_a_command_is_no_mistake_of_ours(
    project: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("RELO_EVENTS", server.url)
    run = CliRunner()
    server.faults[:] = [Fault("hang up", "INSERT INTO events", times=10)]
    result = run.invoke(relo, ["load", "events.jsonl"])
    del server.faults[:]
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: the event store {server.url} did not answer: ")
    assert "internal error" not in result.stderr
    assert '"accepted":50' in run.invoke(relo, ["load", "events.jsonl", "--json"]).stdout


_CUT = """
import sys
from relo_dsl.engine import Engine
from relo_dsl.errors import UserError
from relo_dsl.sql.query import SqlQuery
try:
    with Engine.server(sys.argv[1], database="default") as engine:
        engine.query(SqlQuery("SELECT number FROM numbers(9)"))
except UserError as error:
    print(error.message)
"""


def test_what_the_driver_thinks_of_it_is_not_shown(server: Server) -> None:
    """Its warnings come with tracebacks, which Python prints where nobody listens to them."""
    server.faults[:] = [Fault("cut", "numbers")]
    run = subprocess.run(
        [sys.executable, "-c", _CUT, server.url],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert "did not answer" in run.stdout
    assert run.stderr == ""
