"""The pytest plugin of device tests: `-p devicepipe.bench.plugin`, with `--device-session FILE` in a session of `devicepipe test`.

Fixtures:
    device: The device as a typed object (`devicepipe.bench.device.Device`): reset, flash, commands, identity.
    dut: pytest-embedded's Dut on the device's serial line: expect, expect_exact, write. It begins empty in each test: what the
        device sent while it started is in `device.boot_output`.
    measure: Records a measured value with its limits, e.g. `measure("flow error", 1.2, "%", -5, 5, where="window 5 min")`, or
        `measure("flow error", 1.2)` with those of the mark `limit`.

Marks:
    verifies(*items): The traceability items that the test verifies, e.g. `@pytest.mark.verifies("SRS-012")`; may be repeated. With
        kind="effectiveness", the risk controls of which it shows that they work, e.g. `verifies("RC-003", kind="effectiveness")`.
    boards(*names): The test applies to these boards only. On others it is deselected: it is no case there and has no verdict.
    requires(*tags): The device must have all of these, by its tags in the inventory, or by what the bench knows of it (`emulated`,
        `debugger`, `read-flash`, `write-flash`, `virtual-time`). Where it lacks one the test is not run, and says so.
    limit(name, unit, low, high): The test measures this value, within these limits. One that does not measure it is an error.
    virtual_time(at, every=100): The device's time passes as fast as it can be emulated, and the device is halted at the function
        `at`, which it calls every so many milliseconds of its time, unless the test waits for it; see devicepipe/bench/lockstep.py.
        at=None: in real time, where a whole module is marked.

Every test, whatever fixtures it uses, begins with the factory image, the device reset, its application ready and its
identity taken and compared. There is no mark for a test of an image that must not start: such a test begins like any other,
then installs its image, resets the device and reads what the bootloader says. Unless a test changed the flash, the identity is
taken again after it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from devicepipe.bench import fixtures
from devicepipe.bench.case import MARKS
from devicepipe.bench.embedded_options import refuse_options
from devicepipe.bench.outcomes import Outcomes, Retrying
from devicepipe.bench.recorder import RECORDER, Recorder
from devicepipe.bench.spec import SessionFile
from devicepipe.errors import DevicepipeError

_OPTION = "--device-session"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that name what is tested."""
    group = parser.getgroup("devicepipe", "device tests")
    group.addoption(_OPTION, metavar="FILE", help="the device session; written by `devicepipe test`")
    group.addoption(
        "--board", metavar="NAME", help="the board whose device tests are run (default: the first of the build)"
    )
    group.addoption("--device", metavar="ID", help="the emulated device of hil/bench.toml (default: the board's)")
    group.addoption(
        "--bundle", metavar="DIR", help="the bundle whose images are tested (default: the last development build)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, and the session's hooks and fixtures."""
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    if config.option.help or config.option.version or config.option.markers:
        return
    if not config.pluginmanager.has_plugin("pytest_embedded"):
        raise pytest.UsageError(
            "device tests need pytest-embedded: pip install pytest-embedded-serial, or add -p pytest_embedded"
        )
    refuse_options(config)
    file = config.getoption(_OPTION)
    session = _plain(config) if file is None else _given(config, file)
    if session is None:
        return
    config.stash[RECORDER] = recorder = Recorder(session)
    config.pluginmanager.register(recorder, "devicepipe-recorder")
    if session.spec.retries.times:
        config.pluginmanager.register(Retrying(session.spec.retries, recorder), "devicepipe-retries")
    # Registered late, its fixtures take the place of pytest-embedded's of the same names.
    config.pluginmanager.register(fixtures, "devicepipe-fixtures")


def _given(config: pytest.Config, file: str) -> SessionFile:
    """The session that `devicepipe test` has written."""
    if config.getoption("numprocesses", None):
        raise pytest.UsageError("a device session has one device: run it without pytest-xdist's -n")
    config.pluginmanager.register(Outcomes(), "devicepipe-outcomes")
    try:
        return SessionFile.model_validate_json(Path(file).read_bytes())
    except (OSError, ValidationError) as error:
        raise pytest.UsageError(
            f"{file} is not a device session ({error}): run the tests with `devicepipe test`"
        ) from error


def _plain(config: pytest.Config) -> SessionFile | None:
    """The session of plain pytest; None in the process that only minds the workers."""
    # It reads a bundle, which would cost a session of `devicepipe test` a quarter of its imports for nothing.
    from devicepipe.bench.plain import PlainSession

    config.pluginmanager.register(Outcomes(), "devicepipe-outcomes")
    try:
        plain = PlainSession(config)
    except DevicepipeError as error:
        raise pytest.UsageError(f"these are device tests, which test a build: {error}") from error
    config.pluginmanager.register(plain, "devicepipe-plain")
    return plain.file()
