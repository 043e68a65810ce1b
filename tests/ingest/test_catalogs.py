"""The catalog as it is now, for many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relo_dsl.engine import StoreError
from relo_server.ingest.catalogs import CatalogFile

TEXT = "events: {purchase: {properties: {revenue: number}}}"


def test_many_threads_that_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(TEXT)
    for _ in range(20):
        catalog = CatalogFile(path)
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _, catalog=catalog: catalog(), range(8)))
        assert {tuple(one.events) for one in found} == {("purchase",)}


def test_it_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    catalog = CatalogFile(path)
    with pytest.raises(StoreError):
        catalog()
    path.write_text(TEXT)
    assert list(catalog().events) == ["purchase"]
    path.write_text(TEXT.replace("purchase", "refund_of_it"))
    assert list(catalog().events) == ["refund_of_it"]
    path.write_text("events: [")
    assert list(catalog().events) == ["refund_of_it"], "the one before stays in force"
