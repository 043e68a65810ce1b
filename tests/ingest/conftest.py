"""The service of the API's tests."""

from tests.api.conftest import service, sets

__all__ = ["service", "sets"]
