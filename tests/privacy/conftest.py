"""The service of the API's tests, and the project of the commands'."""

from tests.api.conftest import service, sets
from tests.cli.conftest import shop, store

__all__ = ["service", "sets", "shop", "store"]
