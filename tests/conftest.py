"""What holds for all tests: no property fails because the machine was busy when it was tried; the longest come first."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "devicepipe",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("devicepipe")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Releases of the whole product first: else one processor waits at the end for the other to make them."""
    items.sort(key=lambda item: item.path.parent.name != "product")
