"""The engine: one interface to embedded chDB or a ClickHouse server, its tables, and loading.

Importing this package is cheap: clickhouse-connect, chDB and pyarrow are imported on first use.
"""

from __future__ import annotations

from relo_dsl.engine.client import Engine, Result
from relo_dsl.engine.errors import EngineError, StoreError
from relo_dsl.engine.key import device_key, installation_key
from relo_dsl.engine.load import LoadReport, load_list, load_records
from relo_dsl.engine.staging import ClientRules, Staging

__all__ = [
    "ClientRules",
    "Engine",
    "EngineError",
    "LoadReport",
    "Result",
    "Staging",
    "StoreError",
    "device_key",
    "installation_key",
    "load_list",
    "load_records",
]
