"""What came in any currency is also told in the client's, at the rate of the event's day."""

from __future__ import annotations

import logging
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relo_dsl.errors import UserError
from relo_dsl.numbers import EXACT, cut
from relo_dsl.settings import Settings
from relo_dsl.times import UNITS, parse_instant
from relo_server.ingest.amounts import Amounts, Rates, read_rates
from tests.api.conftest import NOW, Service
from tests.ingest.test_batch import purchase, send, stored

DAY = UNITS["d"]
TABLE = "day,from,to,rate\n2020-01-01,USD,MXN,18.5\n2020-01-01,eur,mxn,20\n2024-01-01,USD,MXN,17\n"


def midnight(day: str) -> int:
    return parse_instant(day)


@given(
    rows=st.dictionaries(st.integers(0, 20), st.decimals("0.01", 100, places=4), max_size=6),
    day=st.integers(-2, 24),
)
def test_a_rate_holds_from_its_day_until_the_next(rows: dict[int, Decimal], day: int) -> None:
    rates = Rates((at * DAY, "USD", "MXN", rate) for at, rate in rows.items())
    before = [at for at in rows if at <= day]
    wanted = rows[max(before)] if before else None
    assert rates.at(day * DAY, "USD", "MXN") == wanted
    assert rates.at(day * DAY, "MXN", "USD") is None
    assert rates.at(day * DAY, "MXN", "MXN") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("day,from,to\n2020-01-01,USD,MXN\n", "expected the columns day, from, to, rate"),
        (TABLE + "2024-01-02,USD,MXN,17,9\n", "expected the columns"),
        (TABLE + "yesterday,USD,MXN,17\n", ":5: this is no rate: yesterday,17"),
        (TABLE + "2024-01-02,USD,MXN,much\n", ":5: this is no rate"),
        (TABLE + "2024-01-02,USD,MXN,0\n", ":5: a rate is above zero"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(text)
    with pytest.raises(UserError) as wrong:
        read_rates(path)
    assert said in wrong.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the rates"):
        Amounts({"1": "MXN"}, tmp_path / "none.csv")


def with_rates(service: Service, table: str = TABLE) -> Path:
    path = service.folder / "rates.csv"
    path.write_text(table)
    service.house.intake._amounts = Amounts({str(service.client): "MXN"}, path)
    return path


def rest(service: Service) -> list[str]:
    rows = service.engine.rows(
        "SELECT rest FROM events WHERE client_id = {c:UInt32} ORDER BY device, time",
        {"c": service.client},
    )
    return sorted(str(row[0]) for row in rows)


def test_events_are_told_in_both(service: Service) -> None:
    with_rates(service)
    old = purchase("f", currency="USD") | {"ts": midnight("2021-05-01")}
    answer = send(
        service, purchase("a", currency="USD", revenue=10), purchase("b", currency="MXN"),
        purchase("c"), purchase("d", currency="JPY"), purchase("e", currency="usd", revenue=0.1),
        old,
        {"t": "visit", "ts": NOW, "did": "g"}, {"t": "visit", "ts": NOW, "did": "h", "props": {}},
    )  # fmt: skip
    assert answer["accepted"] == 8
    stored(service, 8)
    assert rest(service) == sorted([
        '{"currency":"USD","revenue_local":170}', '{"currency":"MXN","revenue_local":100}',
        '{"revenue_local":100}', '{"currency":"JPY"}', '{"currency":"usd","revenue_local":1.7}',
        '{"currency":"USD","revenue_local":1850}', "", "",
    ])  # fmt: skip


def test_what_a_sender_claims_is_not_believed(service: Service) -> None:
    with_rates(service)
    send(service, purchase("a", currency="JPY", revenue_local=1_000_000))
    stored(service, 1)
    assert rest(service) == ['{"currency":"JPY"}']


def test_the_same_event_is_the_same_whatever_the_rate(service: Service) -> None:
    path = with_rates(service)
    event = purchase("a", currency="USD")
    assert send(service, event)["accepted"] == 1
    path.write_text(TABLE.replace(",17", ",30"))
    os.utime(path, (1, 1))
    assert send(service, event)["duplicate"] == 1
    assert send(service, purchase("b", currency="USD"))["accepted"] == 1
    stored(service, 2)
    assert rest(service) == [
        '{"currency":"USD","revenue_local":1700}',
        '{"currency":"USD","revenue_local":3000}',
    ]


def test_a_file_that_became_wrong(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    path = with_rates(service)
    path.write_text("nonsense\n\n")
    path.write_text("nonsense\nmore\n")
    os.utime(path, (1, 1))
    with caplog.at_level(logging.ERROR, "relo.ingest"):
        send(service, purchase("a", currency="USD", revenue=10))
    assert "the rates stay as they were" in caplog.text
    stored(service, 1)
    assert rest(service) == ['{"currency":"USD","revenue_local":170}']


def test_other_clients_get_nothing(service: Service) -> None:
    with_rates(service)
    service.house.intake._amounts = Amounts({"999999": "MXN"}, service.folder / "rates.csv")
    send(service, purchase("a", currency="USD"))
    stored(service, 1)
    assert rest(service) == ['{"currency":"USD"}']


def test_amounts_are_cut_and_stay_numbers() -> None:
    assert cut(EXACT.multiply(Decimal("0.000000001"), Decimal("0.5"))) == 0


def test_the_settings(tmp_path: Path) -> None:
    (tmp_path / "relo.toml").write_text(
        '[ingest]\nrates = "rates.csv"\n[ingest.currencies]\n3 = "MXN"\n'
    )
    settings: Any = Settings.load(tmp_path)
    assert settings.ingest.rates == tmp_path / "rates.csv"
    assert settings.ingest.currencies == {"3": "MXN"}
