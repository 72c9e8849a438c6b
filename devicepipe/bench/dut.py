"""pytest-embedded's `dut` on a channel: its classes and fixtures, without its processes, queues and log folders.

pytest-embedded copies each device's bytes through a spawned process into a file named after the test, and matches on that file.
Tests of one name in two modules then match each other's output, a dead device is not noticed, and every test pays for a Python
start. Here its pexpect process reads the channel itself: it begins empty in each test and raises as soon as the device is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pexpect import TIMEOUT
from pexpect.spawnbase import SpawnBase
from pytest_embedded.log import PexpectProcess
from pytest_embedded.utils import remove_asci_color_code, to_list, to_str
from pytest_embedded_serial.dut import SerialDut

from devicepipe.bench.device import Device
from devicepipe.bench.faults import DeviceFaultError, UnwantedOutputError
from devicepipe.bench.protocol import BEGINS_STARTED, pattern_of
from devicepipe.errors import UsageError

# How much longer than the device's time ours may be, in seconds.
_SLOWEST = 600.0
# How much of what came a failed `expect` shows, in characters.
_SHOWN = 200
# pytest-embedded finds the test's report by this name, in a path and in an XPath expression.
_A_FOLDER = re.compile(r"[^/\"]{1,200}")


class ChannelProcess(PexpectProcess):  # type: ignore[misc]
    """What `dut.expect` reads from: the device's channel."""

    def __init__(self, device: Device) -> None:
        # fdspawn's own constructor wants a file descriptor, and nothing else of it is used.
        SpawnBase.__init__(self)
        self.name = f"<{device.board.name}>"
        self.closed = False
        self._device = device
        self._end: float | None = None
        self._unwanted: list[re.Pattern[bytes]] = []
        device.on_reset = self.forget

    @contextmanager
    def refusing(self, patterns: Any) -> Iterator[None]:
        """Meanwhile, whoever waits ends as soon as one of these comes first."""
        self._unwanted = [pattern_of(pattern) for pattern in to_list(patterns) or ()]
        try:
            yield
        except TIMEOUT:
            self._demand_wanted(self.before)
            raise
        finally:
            self._unwanted = []

    def expect_list(self, pattern_list: Any, timeout: float | None = -1, *arguments: Any, **keywords: Any) -> Any:
        """See pexpect; the time-out counts in the device's time."""
        with self._limit(timeout) as limit:
            return self._matched(super().expect_list(pattern_list, limit, *arguments, **keywords))

    def expect_exact(self, pattern_list: Any, timeout: float | None = -1, *arguments: Any, **keywords: Any) -> Any:
        """See pexpect; the time-out counts in the device's time."""
        with self._limit(timeout) as limit:
            return self._matched(super().expect_exact(pattern_list, limit, *arguments, **keywords))

    def _matched(self, index: Any) -> Any:
        """A test that waited for the device's start has noticed its reset; one that read over it has not."""
        self._demand_wanted(self.before)
        if isinstance(self.after, bytes) and BEGINS_STARTED.search(self.after):
            self._device.guest_resets()
        return index

    @contextmanager
    def _limit(self, timeout: float | None) -> Iterator[float | None]:
        """End the reading by the device's clock; pexpect, which knows ours only, gets a later end."""
        if timeout is None:
            yield timeout
            return
        limit = self.timeout if timeout == -1 else timeout
        self._end = self._device.clock() + limit
        try:
            yield limit + _SLOWEST
        finally:
            self._end = None

    def _demand_wanted(self, text: Any) -> None:
        for pattern in self._unwanted:
            if isinstance(text, bytes) and (found := pattern.search(text)):
                log = self._device.channel.log.path
                raise UnwantedOutputError(f"the device sent {found.group()!r}, which must not come; see {log}")

    def forget(self) -> None:
        """Forget what was read ahead of the last match; pexpect keeps it twice, and makes the one anew from the other."""
        self._buffer, self._before = self.buffer_type(), self.buffer_type()

    @property
    def buffer_debug_str(self) -> str:
        """What a failed `expect` shows of what came: its end, where the cause is (pytest-embedded: its beginning)."""
        text = " ".join(remove_asci_color_code(to_str(self.buffer)).split())
        return text if len(text) <= _SHOWN else f"(total {len(self.buffer)} bytes) ...{text[-_SHOWN:]}"

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> bytes:
        """At most `size` bytes within `timeout` seconds (-1: the default of 30).

        Raises:
            pexpect.TIMEOUT: None came.
            LockupError: The device's processor locked up.
            BenchError: The device was lost in any other way.
            UsageError: `timeout` is None: every wait has a bound.
        """
        if timeout is None:
            raise UsageError("expect(timeout=None) waits for ever", remedy="give it a time-out in seconds")
        if self._unwanted:
            self._demand_wanted(self._before.getvalue())
        limit = self.timeout if timeout == -1 else timeout
        if self._end is not None:
            limit = max(0.0, self._end - self._device.clock())
        data = self._device.channel.read(size, limit)
        if not data:
            self._device.demand_thawed()
            raise TIMEOUT("Timeout exceeded.")
        return data

    def isalive(self) -> bool:
        """Whether bytes can come."""
        return not self.closed

    def close(self) -> None:
        """Nothing to close: the channel belongs to the device."""
        self.closed = True


class UnityOutputError(DeviceFaultError):
    """What a device printed of its own tests contradicts itself."""


class ChannelDut(SerialDut):  # type: ignore[misc]
    """pytest-embedded's Dut, which believes no Unity output that contradicts itself."""

    def expect(self, pattern: Any, *arguments: Any, not_matching: Any = (), **keywords: Any) -> Any:
        """See pytest-embedded. `not_matching` ends the wait as soon as it comes, and not only once `pattern` has come after it.

        Raises:
            UnwantedOutputError: It came, before `pattern`.
        """
        with self.pexpect_proc.refusing(not_matching):
            return super().expect(pattern, *arguments, **keywords)

    def expect_exact(self, pattern: Any, *arguments: Any, not_matching: Any = (), **keywords: Any) -> Any:
        """See `expect`."""
        with self.pexpect_proc.refusing(not_matching):
            return super().expect_exact(pattern, *arguments, **keywords)

    def close(self) -> None:
        """Leave the JUnit report of the device's own tests where pytest-embedded looks for it: in a folder named as the test."""
        if self.testsuite.testcases and _A_FOLDER.fullmatch(self.test_case_name):
            folder = Path(self.logdir, self.test_case_name)
            folder.mkdir(parents=True, exist_ok=True)
            self.testsuite.dump(str(folder / "dut.xml"))

    def expect_unity_test_output(self, *arguments: Any, **keywords: Any) -> None:
        """See pytest-embedded.

        Raises:
            UnityOutputError: A test is reported twice, the summary counts other results than were seen, or no test ran.
        """
        earlier = len(self.testsuite.testcases)
        super().expect_unity_test_output(*arguments, **keywords)
        results = [(case.name, case.result) for case in self.testsuite.testcases[earlier:]]
        summary = self.pexpect_proc.match
        tests, failures, ignored = (int(summary.group(number)) for number in (1, 2, 3))
        names = [name for name, _ in results]
        seen = {result: sum(one == result for _, one in results) for result in ("PASS", "FAIL", "IGNORE")}
        wrong = [f"'{name}' is reported twice" for name in sorted({name for name in names if names.count(name) > 1})]
        if (tests, failures, ignored) != (len(results), seen["FAIL"], seen["IGNORE"]):
            wrong.append(
                f"the summary counts {tests} tests, {failures} failures and {ignored} ignored, but the lines before it say "
                f"{len(results)}, {seen['FAIL']} and {seen['IGNORE']}"
            )
        if (summary.group("result") == b"OK") != (failures == 0):
            wrong.append(f"the summary says {summary.group('result').decode()} to {failures} failures")
        if not wrong and not seen["PASS"] and not seen["FAIL"]:
            wrong.append("no test ran: all are ignored")
        if wrong:
            raise UnityOutputError(f"the device's account of its tests is not to be believed: {'; '.join(wrong)}")


class _Writer:
    """The `proc` of pytest-embedded's Serial: what `dut.write` writes to."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def write(self, data: bytes) -> int:
        """Send bytes to the device."""
        self._device.channel.write(data)
        return len(data)


class ChannelSerial:
    """In the place of pytest-embedded's Serial: no port to open, no thread that polls it."""

    def __init__(self, device: Device) -> None:
        self.proc = _Writer(device)


class NoQueue:
    """In the place of pytest-embedded's message queue: what a test prints must never be matched as if the device had sent it."""

    def put(self, data: object, **_: Any) -> None:
        """Refuse."""
        raise TypeError(f"only the device's own output can be matched; {data!r} did not come from it")

    write = put

    def flush(self) -> None:
        """Nothing to do."""
