"""The fixtures of a device session: `device`, and what stands in for pytest-embedded's own so that its `dut` reads the channel.

The plugin registers this module after pytest-embedded's, so that its fixtures take the place of those of the same names.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

import pytest

from devicepipe.bench.device import Device
from devicepipe.bench.dut import ChannelProcess, ChannelSerial, NoQueue
from devicepipe.bench.recorder import RECORDER


@pytest.fixture(autouse=True)
def _verified_device(request: pytest.FixtureRequest) -> Iterator[None]:
    """The promise that holds for every test, whatever fixtures it asks for."""
    with request.config.stash[RECORDER].verified_device(request.node):
        yield


@pytest.fixture
def device(request: pytest.FixtureRequest, _verified_device: None) -> Device:
    """The device under test."""
    return request.config.stash[RECORDER].device


# --- pytest-embedded's service "serial", on the device's channel ------------------------------------------------------


@pytest.fixture
def embedded_services() -> str:
    """pytest-embedded makes the Dut of its service `serial`."""
    return "serial"


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
    """No folder in the system's temporary folder."""
    return str(request.config.stash[RECORDER].spec.output)


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
