"""What holds for all tests: no property fails because the machine was busy when it was tried."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "devicepipe",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("devicepipe")
