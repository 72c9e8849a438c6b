"""What a fault is: one small sample, named by its defect, with the verdict that it must get and the words that must say why."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from typing import Any

# The escape of the test firmware's script (tests/bench/firmware/main.c).
ESC = b"\x1e"
END, LOCK_UP, RESET, HANG, AGAIN = (ESC + action for action in (b"E", b"L", b"R", b"H", b"J"))
LONG, NOISE, TAKE_LINE, IDENTIFY = (ESC + action for action in (b"B", b"G", b"T", b"I"))
DRIP, ECHO, SPOOF = (ESC + action for action in (b"D", b"O", b"S"))

STATUS = """
    def test_fault(dut):
        dut.write("status")
        dut.expect_exact("OK status state=idle", timeout=5)
    """
UNITY = """
    def test_fault(dut):
        dut.write("play")
        dut.expect_unity_test_output(timeout=0.5)
    """
NOTHING_TO_POSE = "nothing of the kind in it"


def wait(milliseconds: int) -> bytes:
    """What makes the script wait, in steps of 10 ms."""
    return ESC + b"W" + bytes([milliseconds // 10])


def unity(*results: str, summary: str = "{} Tests 0 Failures 0 Ignored\nOK\n") -> bytes:
    """What Unity prints for tests with these results ("test_alarm:PASS"), and its summary."""
    lines = [f"test/test_pump.c:{12 * (number + 1)}:{result}\n" for number, result in enumerate(results)]
    return ("".join(lines) + "-----------------------\n" + summary.format(len(results))).replace("\n", "\r\n").encode()


@dataclass(frozen=True)
class Fault:
    """A fault, and how it is posed to devicepipe and to its peers.

    Attributes:
        name: The defect.
        what: What happens, in a sentence.
        verdict: What `test_fault` must get: `failed` or `error`; `refused`: the session raises before any test runs.
        says: Words that the reason must contain: the true cause.
        test: The source of the module with `test_fault`. It runs unchanged on stock pytest-embedded, unless `embedded` differs.
        conftest: The source of a conftest.py beside it.
        mood: What kind of device it is (tests/bench/firmware/main.c).
        script: What the device plays.
        identity: What the device says of itself other than the truth.
        changes: Further fields of the session.
        lab: Whether it is posed on a device that the bench takes for real: ports and drivers, under a lease (tests/bench/lab.py).
        shares: Whether it leaves its session in order, so that `make test` poses it in one with others of its kind.
        embedded: Why it is not posed to stock pytest-embedded, or "".
        pio: What a device that `pio test` listens to plays, or why it is not posed to it.
        pio_dies: Whether that device is killed once its first result was seen.
        port: The port that the peers are told, in the place of the device's.
        peers_say: A regular expression: what of a peer's output names the true cause; by default any of the words `says`.
    """

    name: str
    what: str
    verdict: str
    says: tuple[str, ...]
    test: str = STATUS
    conftest: str = ""
    mood: str = "n"
    script: bytes = b""
    identity: dict[str, str] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    lab: bool = False
    shares: bool = False
    embedded: str = ""
    pio: bytes | str = NOTHING_TO_POSE
    pio_dies: bool = False
    port: str = ""
    peers_say: str = ""

    @property
    def cause(self) -> str:
        """The regular expression that the output of a peer must hold to name the true cause."""
        return self.peers_say or "|".join(map(re.escape, self.says))

    @property
    def modules(self) -> dict[str, str]:
        """The product's files: name → source."""
        files = {"conftest.py": _EMULATOR + textwrap.dedent(self.conftest), "test_fault.py": textwrap.dedent(self.test)}
        return {name: f"import os, signal, sys, threading, time\n{source}" for name, source in files.items()}


# The peers' conftest.py has a fixture of that name too, so that the same test runs on both.
_EMULATOR = """
@pytest.fixture
def emulator(device):
    return device.target.emulator.pid
"""
