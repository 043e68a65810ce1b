"""`python -m relo_dsl` is `relo`."""

from __future__ import annotations

from relo_dsl.cli.main import main

main()
