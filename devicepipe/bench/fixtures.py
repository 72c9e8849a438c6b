"""The fixtures of a device session: `device`, and what stands in for pytest-embedded's own so that its `dut` reads the channel.

The plugin registers this module after pytest-embedded's, so that its fixtures take the place of those of the same names.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_embedded.plugin import _session_tempdir_key

from devicepipe.bench.case import limits_of
from devicepipe.bench.device import Device
from devicepipe.bench.dut import ChannelDut, ChannelProcess, ChannelSerial, NoQueue
from devicepipe.bench.embedded_options import demand_service
from devicepipe.bench.recorder import RECORDER
from devicepipe.errors import UsageError
from devicepipe.evidence.results import Measurement, within


@pytest.fixture(autouse=True)
def _verified_device(request: pytest.FixtureRequest) -> Iterator[None]:
    """The promise that holds for every test, whatever fixtures it asks for."""
    with request.config.stash[RECORDER].verified_device(request.node):
        yield


@pytest.fixture
def device(request: pytest.FixtureRequest, _verified_device: None) -> Device:
    """The device under test."""
    return request.config.stash[RECORDER].device


_EXAMPLE = 'e.g. measure("flow error", 1.2, "%", -5, 5)'


class Measure:
    """Records values that a test measures. One outside its limits fails the test, once its function has come to its end."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def __call__(
        self,
        name: str,
        value: float,
        unit: str | None = None,
        low: float | None = None,
        high: float | None = None,
        *,
        where: str = "",
    ) -> bool:
        """Record a value.

        Args:
            name: What was measured, e.g. "flow error".
            value: The value, a finite number.
            unit: Its unit, e.g. "%"; "1" for a mere number. Left out with the limits, where a mark `limit` says them.
            low: The least that it may be; None: there is no lower limit.
            high: The most that it may be; None: there is no upper limit. With neither, the value only informs.
            where: Tells the values of a series apart, e.g. "window 5 min".

        Returns:
            Whether it is within its limits.

        Raises:
            UsageError: Something is not as above, or that was measured before.
        """
        if declared := next((limit for limit in limits_of(self._request.node) if limit.name == name), None):
            if (unit, low, high) != (None, None, None):
                raise UsageError(
                    f"'{name}' has its unit and limits from the mark 'limit'", remedy="leave them out of 'measure'"
                )
            unit, low, high = declared.unit, declared.low, declared.high
        if not (isinstance(name, str) and name.strip()):
            raise UsageError(f"{name!r} was measured: a measurement has a name", remedy=_EXAMPLE)
        if not (isinstance(unit, str) and unit.strip()):
            without = "without a unit" if unit is None else f"in {unit!r}, which is no unit"
            raise UsageError(
                f"'{name}' was measured {without}, and no mark 'limit' of the test is about it",
                remedy=f'{_EXAMPLE} ("1" for a mere number); or mark the test @pytest.mark.limit("{name}", UNIT, low=…, high=…)',
            )
        if not isinstance(where, str):
            raise UsageError(f"'{name}' was measured where={where!r}: not a text", remedy='e.g. where="window 5 min"')
        for what, number in (("value", value), ("lower limit", low), ("upper limit", high)):
            if number is None and what != "value":
                continue
            if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number):
                raise UsageError(f"the {what} of '{name}' is {number!r}: not a finite number", remedy=_EXAMPLE)
        if low is not None and high is not None and low > high:
            raise UsageError(
                f"the limits of '{name}' are crossed: at least {low:g}, at most {high:g}",
                remedy="give the lower limit first",
            )
        measurement = Measurement(
            name=name, where=where, value=value, unit=unit, low=low, high=high, within=within(value, low, high)
        )
        self._request.config.stash[RECORDER].measured(self._request.node, measurement)
        return measurement.within


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Measure:
    """Records what the test measures, with its limits."""
    return Measure(request)


# --- pytest-embedded's service "serial", on the device's channel ------------------------------------------------------


@pytest.fixture
def embedded_services(request: pytest.FixtureRequest) -> str:
    """pytest-embedded makes the Dut of its service `serial`; a test that is parametrized for another one is refused."""
    demand_service(getattr(request, "param", "serial"))
    return "serial"


@pytest.fixture
def _fixture_classes_and_options(_fixture_classes_and_options: Any) -> Any:
    """Our Dut in the place of pytest-embedded's."""
    _fixture_classes_and_options.classes["dut"] = ChannelDut
    return _fixture_classes_and_options


@pytest.fixture
def serial(device: Device) -> ChannelSerial:
    """What `dut.write` writes to."""
    return ChannelSerial(device)


@pytest.fixture
def pexpect_proc(device: Device) -> ChannelProcess:
    """What `dut.expect` reads from."""
    return ChannelProcess(device)


@pytest.fixture
def msg_queue() -> NoQueue:
    """No queue: bytes go straight from the channel to who waits for them."""
    return NoQueue()


@pytest.fixture
def _pexpect_logfile(request: pytest.FixtureRequest) -> str:
    """The file that a failed `expect` names: the session's serial log."""
    return str(request.config.stash[RECORDER].serial_log)


@pytest.fixture
def app_path(request: pytest.FixtureRequest) -> str:
    """The folder of the image under test."""
    return str(request.config.stash[RECORDER].spec.signed_image.parent)


@pytest.fixture
def test_case_tempdir(request: pytest.FixtureRequest, session_tempdir: str) -> str:
    """A folder of the test's own, made by who needs it: tests of one name in two modules never share it."""
    return f"{session_tempdir}/cases/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"


@pytest.fixture(scope="session")
def session_tempdir(request: pytest.FixtureRequest) -> str:
    """No folder in the system's temporary folder. pytest-embedded looks there for the reports of the devices' own tests."""
    folder = str(request.config.stash[RECORDER].spec.output)
    request.config.stash[_session_tempdir_key] = folder
    return folder


@pytest.fixture(scope="session")
def port_target_cache() -> dict[str, str]:
    """No cache file in the system's temporary folder."""
    return {}


@pytest.fixture(scope="session", autouse=True)
def _mp_manager() -> None:
    """No manager process."""


@pytest.fixture(scope="session", autouse=True)
def _stdout_lock() -> threading.Lock:
    """No multiprocessing lock, which would start a process to track it."""
    return threading.Lock()
