"""Running queries: values travel exactly, reading is all a compiled query may do, limits hold."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

import pytest

from relo_dsl.engine import Engine, EngineError
from relo_dsl.errors import UserError
from relo_dsl.settings import Limits
from relo_dsl.sql.query import SqlQuery

STRANGE = [
    "",
    " ",
    "it's",
    'say "no"',
    "\\",
    "a\\nb",
    "\0",
    "a\0b",
    "line\r\nbreak\ttab",
    "{x:String}",
    "{p1:String}",
    "😀 é \ufffd",
    "\\N",
    "NULL",
    "\\'",
    "`",
    "\b\f\x01\x7f",
    "%s %(a)s",
    "$tag$",
    "-- comment",
    "a; DROP TABLE events",
    "x" * 2**20,
    "'\\\n\0😀" * 120_000,
]


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: ascii(text)[:20])
def test_texts_travel_exactly(engine: Engine, text: str) -> None:
    query = SqlQuery(
        "SELECT {p1:String} = unhex({h:String}) AS same, {p1:String} AS back",
        {"p1": text, "h": text.encode().hex()},
    )
    assert engine.query(query).rows == [(1, text)]


def test_arrays_numbers_and_keys_travel_exactly(engine: Engine) -> None:
    keys = [os.urandom(16) for _ in range(1_000)]
    params = {
        "texts": STRANGE,
        "keys": keys,
        "key": keys[0],
        "number": Decimal("-123456789012345.123456789"),
        "numbers": [Decimal("0.1"), Decimal("1E+2")],
        "yes": True,
    }
    query = SqlQuery(
        "SELECT arrayMap(x -> hex(x), {texts:Array(String)}) AS a, "
        "arrayMap(x -> hex(x), {keys:Array(FixedString(16))}) AS b, "
        "hex({key:FixedString(16)}) AS c, {number:Decimal(38, 9)} AS d, "
        "{numbers:Array(Decimal(38, 9))} AS e, {yes:Bool} AS f",
        params,
    )
    (row,) = engine.query(query).rows
    assert [bytes.fromhex(text).decode() for text in row[0]] == STRANGE
    assert [bytes.fromhex(key) for key in row[1]] == keys
    assert bytes.fromhex(row[2]) == keys[0]
    assert row[3] == params["number"]
    assert row[4] == [Decimal("0.1"), Decimal(100)]
    assert row[5] is True


def test_half_a_surrogate_is_refused(engine: Engine) -> None:
    with pytest.raises(UserError, match="Unicode"):
        engine.query(SqlQuery("SELECT {p:String} AS x", {"p": "\ud800"}))


def test_what_a_query_cost_is_told(engine: Engine) -> None:
    result = engine.query(SqlQuery("SELECT count() AS n FROM numbers(1000) WHERE number % 2 = 0"))
    assert result.columns == ("n",)
    assert result.rows == [(500,)]
    assert result.rows_read >= 1_000
    assert result.bytes_read > 0
    assert result.elapsed_s > 0


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM file('{path}', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "INSERT INTO consent SELECT 1, unhex('{zero}'), now64(3), 1, 1",
        "SELECT * FROM (SELECT * FROM file('{path}', 'LineAsString') SETTINGS readonly = 0)",
        "SELECT * FROM (SELECT sum(number) FROM numbers(2e10) SETTINGS max_rows_to_read = 0)",
        "DROP TABLE consent",
    ],
)
def test_a_compiled_query_only_reads(engine: Engine, tmp_path: Path, text: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden\n")
    filled = text.format(path=secret, zero="00" * 16)
    with pytest.raises((EngineError, UserError)):
        engine.query(SqlQuery(filled))
    # It was the query that was bound, not the connection: statements still change things.
    engine.command("CREATE TABLE probe (x UInt8) ENGINE = Memory")
    engine.command("DROP TABLE probe")


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        (Limits(max_rows_to_read=1_000), "max_rows_to_read"),
        (Limits(max_seconds=1, max_rows_to_read=10**12), "max_seconds"),
        (Limits(max_memory_bytes=2**20, max_rows_to_read=10**12), "max_memory_bytes"),
    ],
)
def test_limits_stop_a_query_and_name_their_setting(
    engine: Engine, limits: Limits, setting: str
) -> None:
    heavy = "SELECT uniqExact(cityHash64(number)) AS n FROM numbers(20000000000)"
    with pytest.raises(UserError) as caught:
        engine.query(SqlQuery(heavy), limits=limits)
    assert setting in (caught.value.hint or "")


def test_members_come_in_chunks_and_other_queries_may_run(engine: Engine) -> None:
    query = SqlQuery(
        "SELECT reinterpretAsFixedString(toUInt128(number)) AS device FROM numbers({n:UInt64})",
        {"n": 200_000},
    )
    seen = []
    members = engine.members(query)
    for chunk in members:
        assert engine.rows("SELECT 1") == [(1,)]
        seen.extend(chunk)
    assert members.count == 200_000
    assert 200_000 <= members.rows_read < 200_010
    assert members.bytes_read > 0
    assert len(seen) == 200_000
    assert sorted(int.from_bytes(key, "little") for key in seen) == list(range(200_000))
    assert list(engine.members(SqlQuery("SELECT toFixedString('', 16) AS d WHERE 0"))) == []


def test_others_may_read_while_the_cost_is_taken(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([(0, 0), (7_000, 7_000), (7_100, 7_100)])
    monkeypatch.setattr(engine, "counters", lambda: next(counts))
    members = engine.members(SqlQuery("SELECT toFixedString('', 16) AS d"))
    assert len(list(members)) == 1
    assert (members.rows_read, members.bytes_read) == (0, 0), "a version cannot keep less"


def test_a_stream_left_early_does_not_block_the_next(engine: Engine) -> None:
    query = SqlQuery("SELECT toFixedString(toString(number), 16) AS d FROM numbers(1000000)")
    for _ in range(2):
        stream = iter(engine.members(query))
        assert len(next(stream)) > 0
        del stream


def test_an_error_says_what_clickhouse_said(engine: Engine) -> None:
    with pytest.raises(EngineError, match="no_such_table") as caught:
        engine.query(SqlQuery("SELECT * FROM no_such_table"))
    assert caught.value.code == 60


def test_the_store_is_one_process_s_and_says_whose(engine: Engine, tmp_path: Path) -> None:
    script = f"""
        import time
        from pathlib import Path
        from relo_dsl.engine import Engine
        engine = Engine.embedded(Path({str(tmp_path)!r}))
        print("open", flush=True)
        time.sleep(60)
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(UserError) as caught:
            Engine.embedded(tmp_path)
        assert str(holder.pid) in caught.value.message
        assert "since 20" in caught.value.message
        assert f"kill {holder.pid}" in (caught.value.hint or "")
    finally:
        holder.kill()
        holder.communicate()
    from relo_dsl.engine.lock import FolderLock

    FolderLock(tmp_path / "lock", "event store", "events").release()


def test_an_exit_in_mid_query_does_not_crash(tmp_path: Path) -> None:
    script = f"""
        from pathlib import Path
        from relo_dsl.engine import Engine
        from relo_dsl.sql.query import SqlQuery
        engine = Engine.embedded(Path({str(tmp_path)!r}))
        query = SqlQuery("SELECT toFixedString(toString(number), 16) AS d FROM numbers(10000000)")
        stream = iter(engine.members(query))
        next(stream)
        raise SystemExit(7)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 7, done.stderr
    assert done.stderr == ""


def test_after_close_and_after_fork_it_says_so(engine: Engine, tmp_path: Path) -> None:
    script = f"""
        import os
        from pathlib import Path
        from relo_dsl.engine import Engine, EngineError
        engine = Engine.embedded(Path({str(tmp_path)!r}))
        child = os.fork()
        if child == 0:
            try:
                engine.rows("SELECT 1")
            except EngineError as error:
                os._exit(5 if "fork" in str(error) else 1)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        engine.close()
        engine.close()
        try:
            engine.rows("SELECT 1")
        except EngineError as error:
            assert "closed" in str(error)
        else:
            raise SystemExit("no error")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
