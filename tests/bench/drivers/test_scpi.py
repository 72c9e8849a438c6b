"""Driver `scpi` with instruments that PyVISA-sim simulates."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devicepipe.errors import BenchError, UsageError
from tests.bench.drivers.conftest import MakeDriver

# Two supplies: one output; and two outputs, of which the second one stays on and the third is none.
INSTRUMENTS = r"""
spec: "1.1"
resources:
  TCPIP::one::5025::SOCKET: {device: one}
  TCPIP::two::5025::SOCKET: {device: two}
devices:
  one: &one
    eom:
      TCPIP SOCKET: {q: "\n", r: "\n"}
    error:
      error_queue:
        - {q: "SYST:ERR?", default: "0,\"No error\"", command_error: "-113,\"Undefined header\""}
    dialogues:
      - {q: "*IDN?", r: "ACME,PS1,7,1.0"}
    properties:
      output:
        default: "ON"
        getter: {q: "OUTP?", r: "{:s}"}
        setter: {q: "OUTP {:s}"}
        specs: {type: str, valid: ["ON", "OFF"]}
  two:
    delimiter: "|"
    eom:
      TCPIP SOCKET: {q: "\n", r: "\n"}
    error:
      error_queue:
        - {q: "SYST:ERR?", default: "+0,\"No error\"", command_error: "-113,\"Undefined header\""}
    dialogues:
      - {q: "INST:NSEL 1;:OUTP ON"}
      - {q: "INST:NSEL 1;:OUTP?", r: "ON"}
      - {q: "INST:NSEL 2;:OUTP OFF"}
      - {q: "INST:NSEL 2;:OUTP?", r: "1"}
"""


class Supply(socketserver.ThreadingTCPServer):
    """A supply on a TCP port, for PyVISA's own backend; a silent one answers nothing."""

    daemon_threads = True

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.silent, self.on, self.errors = silent, True, ['-222,"Data out of range"']
        self.resource = f"TCPIP::127.0.0.1::{self.server_address[1]}::SOCKET"


class _Session(socketserver.StreamRequestHandler):
    server: Supply

    def handle(self) -> None:
        for line in self.rfile:
            match line.decode().strip():
                case "OUTP ON" | "OUTP OFF" as command:
                    self.server.on = command == "OUTP ON"
                    continue
                case "*IDN?":
                    answer = "ACME,PS1,7,1.0"
                case "OUTP?":
                    answer = str(int(self.server.on))
                case _:
                    answer = self.server.errors.pop() if self.server.errors else '0,"No error"'
            if not self.server.silent:
                self.wfile.write(f"{answer}\n".encode())


@pytest.fixture
def supply() -> Iterator[Callable[..., Supply]]:
    made: list[Supply] = []

    def make(**options: bool) -> Supply:
        made.append(Supply(**options))
        threading.Thread(target=made[-1].serve_forever, args=(0.01,), daemon=True).start()
        return made[-1]

    yield make
    for each in made:
        each.shutdown()
        each.server_close()


@pytest.fixture
def lines(tmp_path: Path) -> str:
    (tmp_path / "instruments.yaml").write_text(INSTRUMENTS)
    return (
        f'driver = "scpi"\nresource = "TCPIP::two::5025::SOCKET"\nlibrary = "{tmp_path}/instruments.yaml@sim"\n'
        "off-time = 0\n"
    )


def test_an_output_is_switched_and_read_back(driver: MakeDriver, lines: str, root: Path) -> None:
    power = driver("power", lines.replace("two", "one"))
    assert power.check().startswith("ACME,PS1,7,1.0 (PyVISA 1.")
    power.cycle()
    said = [
        line for line in (root / "out/drivers.log").read_text().splitlines() if "SYST" not in line and "No" not in line
    ]
    assert said == ["> *IDN?", "< ACME,PS1,7,1.0", "> OUTP OFF", "> OUTP?", "< OFF", "> OUTP ON", "> OUTP?", "< ON"]


def test_an_output_of_several_is_named_in_each_message(driver: MakeDriver, lines: str) -> None:
    driver("power", f"{lines}channel = 1").switch(True)


@pytest.mark.parametrize(
    ("settings", "on", "message"),
    [
        ("channel = 2", False, "its power was switched off, and 'OUTP\\?' says '1'"),
        ("channel = 3", True, 'the instrument refused to switch on: -113,"Undefined header"'),
        ('channel = 1\nstate = "OUTP:NONE?"\ntimeout = 0.2', True, "SOCKET' cannot be used: VI_ERROR_TMO"),
        ('errors = "SYSTEM?"\ntimeout = 0.2', True, "SOCKET' cannot be used: VI_ERROR_TMO"),
        ('errors = "*IDN?"', True, "SOCKET' cannot be used: invalid literal"),
    ],
    ids=["stays on", "refuses", "says no state", "says no errors", "says something else"],
)
def test_an_instrument_that_does_not_do_it(
    driver: MakeDriver, lines: str, settings: str, on: bool, message: str
) -> None:
    resource = lines if "channel" in settings else lines.replace("two", "one")
    with pytest.raises(BenchError, match=message):
        driver("power", resource + settings).switch(on)


def test_an_instrument_that_is_not_there(driver: MakeDriver, lines: str) -> None:
    with pytest.raises(
        BenchError, match="the instrument 'TCPIP::three::5025::SOCKET' cannot be used: it answers nothing to"
    ):
        driver("power", lines.replace("two", "three")).check()


def test_a_library_that_is_not_there(driver: MakeDriver, lines: str) -> None:
    with pytest.raises(BenchError, match="cannot be used: "):
        driver("power", lines.replace("@sim", "@nosuch")).check()


def test_pyvisa_that_is_not_installed(driver: MakeDriver, lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvisa", None)
    with pytest.raises(BenchError, match="PyVISA is not installed") as raised:
        driver("power", lines).check()
    assert raised.value.remedy == "pip install 'devicepipe[scpi]'"


def test_a_channel_that_is_missing(driver: MakeDriver, lines: str) -> None:
    with pytest.raises(UsageError, match=r"device\.0\.power\.channel: missing, and a command names it"):
        driver("power", lines + 'on = "OUTP CH{channel},ON"')


def test_the_real_backend_switches_and_old_errors_are_nobodys(
    driver: MakeDriver, supply: Callable[..., Supply]
) -> None:
    instrument = supply()
    power = driver("power", f'driver = "scpi"\nresource = "{instrument.resource}"\noff-time = 0')
    assert power.check().startswith("ACME,PS1,7,1.0 (PyVISA 1.")
    power.switch(False)
    assert not instrument.on
    power.cycle()
    assert instrument.on


def test_the_real_backend_and_an_instrument_that_is_silent(driver: MakeDriver, supply: Callable[..., Supply]) -> None:
    resource = supply(silent=True).resource
    with pytest.raises(BenchError, match="SOCKET' cannot be used: VI_ERROR_TMO"):
        driver("power", f'driver = "scpi"\nresource = "{resource}"\ntimeout = 0.2').switch(True)


def test_the_real_backend_and_nobody_there(driver: MakeDriver) -> None:
    # Bound, so that nobody else can listen there.
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        resource = f"TCPIP::127.0.0.1::{nobody.getsockname()[1]}::SOCKET"
        power = driver("power", f'driver = "scpi"\nresource = "{resource}"\ntimeout = 1')
        with pytest.raises(BenchError, match="SOCKET' cannot be used: "):
            power.check()


def test_a_backend_that_raises_what_it_likes(driver: MakeDriver, lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pyvisa-py does where it cannot connect in time; really done, it leaves its socket open."""

    def open_resource(*_: object, **__: object) -> None:
        raise Exception("could not connect")  # noqa: TRY002

    monkeypatch.setattr("pyvisa.ResourceManager.open_resource", open_resource)
    with pytest.raises(BenchError, match="SOCKET' cannot be used: could not connect"):
        driver("power", lines).switch(True)
