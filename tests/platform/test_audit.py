"""The audit is one chain whoever writes, and no line of it changes unseen."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from relo_server.platform import Platform
from relo_server.platform.audit import Audit, Entry, line_hash
from relo_server.platform.audit_proof import Finding, Proof, prove
from relo_server.platform.models import AuditLine, Client
from tests.platform.conftest import NOW, Cluster

KEY = bytes(range(32))
ENTRY = Entry(who="user:u1", action="audiences.build", object="winback", outcome="done")
#: Which client wrote each line, from line 1 on; None is the installation.
WRITERS = (3, 4, 3, None, 3, 4, 3, 3, None, 4)


def fill(platform: Platform) -> None:
    audit = Audit(KEY)
    for client in (3, 4):
        with platform.tenant(client) as session:
            session.add(Client(id=client, created_at=NOW))
    for number, writer in enumerate(WRITERS, start=1):
        entry = replace(ENTRY, object=f"object {number}")
        with platform.operator() if writer is None else platform.tenant(writer) as session:
            assert audit.append(session, entry, NOW + number) == number


def proof(
    platform: Platform, client: int | None = None, noted: tuple[int, str] | None = None
) -> Proof:
    if client is None:
        with platform.operator(reading=True) as session:
            return prove(session, KEY, expected=noted)
    with platform.tenant(client, reading=True) as tenant:
        return prove(tenant, KEY, client, noted)


def findings(platform: Platform, client: int | None = None) -> list[tuple[int, str]]:
    return [(found.seq, found.what) for found in proof(platform, client).findings]


@pytest.fixture
def filled(platform: Platform) -> Platform:
    fill(platform)
    return platform


def tamper(platform: Platform, *statements: str) -> None:
    """As somebody who owns the database: no trigger and no policy stops them."""
    with platform.operator() as session:
        if session.connection().dialect.name == "sqlite":
            for what in ("update", "delete"):
                session.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{what}"))
        for statement in statements:
            session.execute(text(statement))


def test_what_was_written_is_whole(filled: Platform) -> None:
    found = proof(filled)
    assert (found.lines, found.findings) == (len(WRITERS), [])
    assert found.last[0] == len(WRITERS)
    for client in (3, 4):
        found = proof(filled, client)
        assert (found.lines, found.findings) == (WRITERS.count(client), [])
        assert found.last[0] == WRITERS.count(client)
    assert proof(filled, 5).findings == []


def test_an_empty_audit_is_whole(platform: Platform) -> None:
    assert proof(platform) == Proof(0, (0, "00" * 32), [])


@pytest.mark.parametrize("column", ["who", "address", "action", "object", "outcome", "request_id"])
def test_an_altered_line_is_named(filled: Platform, column: str) -> None:
    tamper(filled, f"UPDATE audit SET {column} = 'other' WHERE seq = 5")
    assert proof(filled).findings == [Finding(5, "altered", "line 5 was altered")]
    assert findings(filled, 3) == [(3, "altered")]
    assert findings(filled, 4) == []


@pytest.mark.parametrize("change", [
    "at = at + 1", "client_id = 4, client_seq = 9", "client_id = NULL, client_seq = NULL",
    "hash = previous", "previous = hash", "client_previous = hash",
])  # fmt: skip
def test_a_line_can_be_altered_in_no_column(filled: Platform, change: str) -> None:
    tamper(filled, f"UPDATE audit SET {change} WHERE seq = 5")
    assert findings(filled)[0] == (5, "altered")


def test_lines_altered_together_are_one_finding(filled: Platform) -> None:
    tamper(filled, "UPDATE audit SET who = 'me' WHERE seq NOT IN (4, 9)")
    messages = [found.message for found in proof(filled).findings]
    assert messages == [
        "lines 1 to 3 were altered", "lines 5 to 8 were altered", "line 10 was altered",
    ]  # fmt: skip


def test_another_key_fits_no_line(filled: Platform) -> None:
    with filled.operator() as session:
        found = prove(session, bytes(32)).findings
    assert [one.message for one in found] == ["lines 1 to 10 were altered"]


def test_a_removed_line_is_named(filled: Platform) -> None:
    tamper(filled, "DELETE FROM audit WHERE seq = 5")
    assert proof(filled).findings == [Finding(5, "removed", "line 5 was removed")]
    assert findings(filled, 3) == [(3, "removed")]


def test_removed_lines_are_named(filled: Platform) -> None:
    tamper(filled, "DELETE FROM audit WHERE seq IN (1, 2, 6)")
    messages = [found.message for found in proof(filled).findings]
    assert messages == ["lines 1 to 2 were removed", "line 6 was removed"]


def test_a_removed_end_is_named(filled: Platform) -> None:
    tamper(filled, "DELETE FROM audit WHERE seq >= 9")
    assert [found.message for found in proof(filled).findings] == ["lines 9 to 10 were removed"]
    assert findings(filled, 4) == [(3, "removed")]


def test_an_end_put_back_shows_by_a_noted_line(filled: Platform) -> None:
    noted = proof(filled).last
    assert proof(filled, noted=noted).findings == []
    tamper(
        filled,
        "DELETE FROM audit WHERE seq = 10",
        "UPDATE audit_heads SET seq = 9, hash = (SELECT hash FROM audit WHERE seq = 9) "
        "WHERE client_id = -1",
        "UPDATE audit_heads SET seq = 2, hash = (SELECT hash FROM audit WHERE seq = 6) "
        "WHERE client_id = 4",
    )
    assert findings(filled) == []
    expected = [Finding(10, "removed", "line 10, which was noted, is not there")]
    assert proof(filled, noted=noted).findings == expected
    with filled.tenant(4) as session:
        Audit(KEY).append(session, ENTRY, NOW)
    expected = [Finding(10, "altered", "line 10 is not the one that was noted")]
    assert proof(filled, noted=noted).findings == expected


def test_a_line_of_another_past_is_named(filled: Platform) -> None:
    """The store is put back to a copy and goes on; then a line of before is put in."""
    columns = "seq, client_id, client_seq, at, who, address, action, object, outcome, request_id"
    copied = f"{columns}, previous, client_previous, hash"
    tamper(
        filled,
        "CREATE TABLE copied AS SELECT * FROM audit WHERE seq = 10",
        "DELETE FROM audit WHERE seq = 10",
        *(
            f"UPDATE audit_heads SET seq = {seq}, "
            f"hash = (SELECT hash FROM audit WHERE seq = {line}) WHERE client_id = {client}"
            for client, seq, line in ((-1, 9, 9), (4, 2, 6))
        ),
    )
    for _ in range(2):
        with filled.tenant(4) as session:
            Audit(KEY).append(session, ENTRY, NOW)
    assert findings(filled) == []
    tamper(
        filled,
        "DELETE FROM audit WHERE seq = 10",
        f"INSERT INTO audit ({copied}) SELECT {copied} FROM copied",
        "DROP TABLE copied",
    )
    assert [found.message for found in proof(filled).findings] == [
        "line 11 was not written after line 10"
    ]


def test_reordered_lines_are_named(filled: Platform) -> None:
    tamper(
        filled,
        "UPDATE audit SET seq = 99 WHERE seq = 2",
        "UPDATE audit SET seq = 2 WHERE seq = 6",
        "UPDATE audit SET seq = 6 WHERE seq = 99",
    )
    assert [found.message for found in proof(filled).findings] == [
        "line 2 was line 6 when it was written",
        "line 6 was line 2 when it was written",
    ]


def test_lines_renumbered_over_a_gap_are_named(filled: Platform) -> None:
    tamper(filled, "DELETE FROM audit WHERE seq = 7",
           *(f"UPDATE audit SET seq = {n - 1} WHERE seq = {n}" for n in (8, 9, 10)),
           "UPDATE audit_heads SET seq = 9 WHERE client_id = -1")  # fmt: skip
    assert [seq for seq, _ in findings(filled)] == [7, 8, 9]


def test_a_line_that_another_key_wrote_is_named(filled: Platform) -> None:
    with filled.tenant(3) as session:
        Audit(bytes(32)).append(session, ENTRY, NOW)
    assert findings(filled) == [(11, "altered")]


def test_an_altered_head_is_named(filled: Platform) -> None:
    tamper(filled, "UPDATE audit_heads SET seq = 4 WHERE client_id = 4")
    assert [found.message for found in proof(filled).findings] == [
        "what is kept as the last line of client 4 was altered"
    ]
    tamper(filled, "UPDATE audit_heads SET seq = 4 WHERE client_id = -1")
    assert findings(filled) == [(10, "end")]


def test_a_client_sees_its_own_lines(filled: Platform) -> None:
    with filled.tenant(4) as session:
        rows = session.scalars(select(AuditLine.object).order_by(AuditLine.seq)).all()
    assert rows == ["object 2", "object 6", "object 10"]


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'me'", "DELETE FROM audit"])
def test_the_database_refuses_to_change_lines(filled: Platform, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"append-only|permission denied"):
        change(filled, statement)
    assert findings(filled) == []


def change(platform: Platform, statement: str) -> None:
    with platform.tenant(3) as session:
        session.execute(text(statement))


def test_what_can_not_be_stored_is_replaced(platform: Platform) -> None:
    with platform.operator() as session:
        Audit(KEY).append(session, replace(ENTRY, object="a\0b\ud800" + "c" * 600), NOW)
        stored = session.scalar(text("SELECT object FROM audit"))
    assert stored == "a\ufffdb\ufffd" + "c" * 496
    assert findings(platform) == []


def test_what_is_undone_leaves_no_line(filled: Platform) -> None:
    with pytest.raises(DBAPIError):
        undone(filled)
    assert proof(filled).lines == len(WRITERS)
    with filled.tenant(3) as session:
        assert Audit(KEY).append(session, ENTRY, NOW) == len(WRITERS) + 1
    assert findings(filled) == []


def undone(platform: Platform) -> None:
    with platform.tenant(3) as session:
        Audit(KEY).append(session, ENTRY, NOW)
        session.execute(text("SELECT nothing FROM nowhere"))


def test_writers_at_once_make_one_chain(platform: Platform) -> None:
    for client in range(4):
        with platform.tenant(client) as session:
            session.add(Client(id=client, created_at=NOW))
    failed: list[BaseException] = []

    def write(client: int) -> None:
        try:
            for number in range(15):
                with platform.tenant(client) as session:
                    Audit(KEY).append(session, ENTRY, NOW + number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(client,)) for client in (0, 1, 2, 3, 3, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert (proof(platform).lines, findings(platform)) == (90, [])
    assert [proof(platform, client).lines for client in range(4)] == [15, 15, 15, 45]


def test_the_application_writes_and_proves_its_client(cluster: Cluster) -> None:
    database = cluster.store()
    with Platform.at(database) as platform:
        fill(platform)
    with Platform.at(database.set(username="web")) as platform:
        with platform.tenant(3) as session:
            Audit(KEY).append(session, ENTRY, NOW)
        assert findings(platform, 3) == []
    with Platform.at(database) as platform:
        assert (proof(platform).lines, findings(platform)) == (len(WRITERS) + 1, [])


# ---- whatever is done to the lines -------------------------------------------------------------

CHANGES: dict[str, Callable[[Session, int, int], None]] = {
    "alter": lambda s, a, b: run(s, "UPDATE audit SET outcome = :b WHERE seq = :a", a=a, b=str(b)),
    "remove": lambda s, a, _: run(s, "DELETE FROM audit WHERE seq = :a", a=a),
    "swap": lambda s, a, b: swap(s, a, b),
    "copy": lambda s, a, b: copy(s, a, b),
}


def run(session: Session, statement: str, **values: object) -> None:
    session.execute(text(statement), values)


def swap(session: Session, a: int, b: int) -> None:
    if a != b:
        for old, new in ((a, 99), (b, a), (99, b)):
            run(session, "UPDATE audit SET seq = :n WHERE seq = :o", o=old, n=new)


def copy(session: Session, a: int, b: int) -> None:
    columns = "at, who, address, action, object, outcome, request_id, previous, hash"
    parts = ", ".join(f"{c} = (SELECT {c} FROM audit WHERE seq = :a)" for c in columns.split(", "))
    run(session, f"UPDATE audit SET {parts} WHERE seq = :b", a=a, b=b)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    path = tmp_path_factory.mktemp("audit") / "platform.db"
    platform = Platform.at(URL.create("sqlite", database=str(path)))
    fill(platform)
    tamper(platform)
    return platform


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(1, 10), st.integers(1, 10)),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=60)
def test_no_change_stays_unseen(one: Platform, changes: list[tuple[str, int, int]]) -> None:
    with one.operator() as session:
        session.execute(text("SAVEPOINT before"))
        before = session.execute(text("SELECT * FROM audit ORDER BY seq")).all()
        for what, a, b in changes:
            CHANGES[what](session, a, b)
        changed = session.execute(text("SELECT * FROM audit ORDER BY seq")).all() != before
        found = prove(session, KEY)
        session.execute(text("ROLLBACK TO before"))
    assert bool(found.findings) == changed


def test_the_hash_is_what_the_documentation_says() -> None:
    line = {"b": b"\x01", "a": "ñ", "hash": b""}
    other = {**line, "hash": "ignored"}
    assert line_hash(KEY, line) == line_hash(KEY, other)
    assert line_hash(KEY, line).hex() == (
        hmac.digest(KEY, '{"a":"ñ","b":"01"}'.encode(), "sha256").hex()
    )
