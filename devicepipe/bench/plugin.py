"""The pytest plugin of device tests: `-p devicepipe.bench.plugin --device-session FILE`.

Fixtures:
    device: The device as a typed object (`devicepipe.bench.device.Device`): reset, flash, commands, identity.
    dut: pytest-embedded's Dut on the device's serial line: expect, expect_exact, write. It begins empty in each test: what the
        device sent while it started is in `device.boot_output`.

Marks:
    verifies(*items): The traceability items that the test verifies, e.g. `@pytest.mark.verifies("SRS-012")`; may be repeated.
    boards(*names): The test applies to these boards only. On others it is deselected: it is no case there and has no verdict.

Every test, whatever fixtures it uses, begins with the factory image freshly installed, the device reset, its application ready and
its identity taken and compared. There is no mark for a test of an image that must not start: such a test begins like any other,
then installs its image, resets the device and reads what the bootloader says. Unless a test changed the flash, the identity is
taken again after it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from devicepipe.bench import fixtures
from devicepipe.bench.case import MARKS
from devicepipe.bench.recorder import RECORDER, Recorder
from devicepipe.bench.spec import SessionFile

_OPTION = "--device-session"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the session."""
    parser.getgroup("devicepipe").addoption(
        _OPTION, metavar="FILE", help="the device session; written by `devicepipe test`"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, and with a session its hooks and fixtures."""
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    file = config.getoption(_OPTION)
    if file is None:
        return
    if not config.pluginmanager.has_plugin("pytest_embedded"):
        raise pytest.UsageError(
            "device tests need pytest-embedded: pip install pytest-embedded-serial, or add -p pytest_embedded"
        )
    if config.getoption("count", 1) != 1 or config.getoption("numprocesses", None):
        raise pytest.UsageError("a device session has one device: run it without --count and without pytest-xdist's -n")
    try:
        session = SessionFile.model_validate_json(Path(file).read_bytes())
    except (OSError, ValidationError) as error:
        raise pytest.UsageError(
            f"{file} is not a device session ({error}): run the tests with `devicepipe test`"
        ) from error
    config.stash[RECORDER] = Recorder(session)
    config.pluginmanager.register(config.stash[RECORDER], "devicepipe-recorder")
    # Registered late, its fixtures take the place of pytest-embedded's of the same names.
    config.pluginmanager.register(fixtures, "devicepipe-fixtures")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to run without a session: no verdict would be kept, and no device is there."""
    if session.config.getoption(_OPTION) is None:
        raise pytest.UsageError(
            "these are device tests: run them with `devicepipe test` (e.g. `devicepipe test --board BOARD -k NAME`), "
            "which builds the image, starts the device and keeps the evidence"
        )
