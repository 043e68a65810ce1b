"""The project of the commands, for those of the schedule."""

from tests.cli.conftest import shop, store

__all__ = ["shop", "store"]
