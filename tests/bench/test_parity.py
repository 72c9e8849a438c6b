"""`dut` as pytest-embedded has it: the same calls on the same firmware, here and on stock pytest-embedded's service `serial`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from devicepipe.bench.session import run_session
from tests.bench.samples import Firmware, SpecMaker, reason, spec_for, verdicts
from tests.bench_faults.peers import embedded_conftest

TEXT = b"this would be redirected\r\n"
UNITY = (
    b"pump.c:10:test_dose:PASS\r\n\x1b[0;32mpump.c:11:test_alarm:IGNORE: not\x1b[0m yet\r\n"
    b"-----------------------\r\n2 Tests 0 Failures 1 Ignored\r\nOK\r\nend of play\r\n"
)
CALLS = """
    import json, os, pathlib, re
    import pexpect

    LINE = "this would be redirected"

    def said(value):
        if isinstance(value, re.Match):
            return ["match", value.group().decode(), [group and group.decode() for group in value.groups()]]
        if isinstance(value, list):
            return ["list", *map(said, value)]
        return [type(value).__name__, value.decode() if isinstance(value, bytes) else str(value)]

    def test_calls(dut):
        if os.environ.get("STOCK"):
            dut.expect("app: ready[^\\n]*\\n", timeout=60)
        results = {}

        def call(name, function, before="play"):
            dut.write(before)
            try:
                results[name] = said(function())
            except (pexpect.TIMEOUT, ValueError, TypeError) as error:
                kind = next(one for one in (pexpect.TIMEOUT, ValueError, TypeError) if isinstance(error, one))
                results[name] = ["raises", kind.__name__, str(error).splitlines()[0] if kind is pexpect.TIMEOUT else ""]
            dut.expect_exact("end of play", timeout=60)

        call("text", lambda: dut.expect("wo(ul)d (nothing)?"))
        call("bytes", lambda: dut.expect(b"this"))
        call("compiled bytes", lambda: dut.expect(re.compile(b"^t(?P<name>.)is", re.MULTILINE)))
        call("compiled text", lambda: dut.expect(re.compile("[be]{2}")))
        call("any of a list", lambda: dut.expect(["nosuch", re.compile(b"red(ir)"), b"would"]))
        call("a tuple", lambda: dut.expect(("nosuch", "would")))
        call("all of a list", lambda: dut.expect(["be", b"this", re.compile(b"woul(d)")], expect_all=True, timeout=20))
        call("not all of a list", lambda: dut.expect(["this", "nosuch"], expect_all=True, timeout=0.5))
        call("before the match", lambda: dut.expect("would", return_what_before_match=True))
        call("before the exact match", lambda: dut.expect_exact("be", return_what_before_match=True))
        call("before and all", lambda: dut.expect(["a"], return_what_before_match=True, expect_all=True))
        call("exact text", lambda: dut.expect_exact("would be"))
        call("exact bytes", lambda: dut.expect_exact(b"would be"))
        call("exact is no regex", lambda: dut.expect_exact("w.uld", timeout=0.5))
        call("any exact", lambda: dut.expect_exact(["nosuch", "redirected"]))
        call("all exact", lambda: dut.expect_exact(["be", "would"], expect_all=True, timeout=20))
        call("unwanted before", lambda: dut.expect("redirected", not_matching=[re.compile("wou"), "nosuch"]))
        call("unwanted before exact", lambda: dut.expect_exact("redirected", not_matching="wo.ld"))
        call("unwanted compiled", lambda: dut.expect("redirected", not_matching=re.compile(b"woul[d]")))
        call("unwanted after", lambda: dut.expect("would", not_matching="redirected"))
        call("unwanted never", lambda: dut.expect_exact("would", not_matching=["nosuch"]))
        call("time-out", lambda: dut.expect("nosuch", timeout=0.5))
        call("time-out of a list", lambda: dut.expect(["nosuch", "such"], timeout=0.5))
        call("exact time-out", lambda: dut.expect_exact("nosuch", timeout=0.5))
        call("time-out in a list", lambda: dut.expect([re.compile(b"nosuch"), pexpect.TIMEOUT], timeout=0.5)[:1] and "")
        call("no pattern", lambda: dut.expect(5))
        call("write bytes", lambda: dut.expect_exact(LINE), before=b"play\\n")
        call("write text with its end", lambda: dut.expect_exact(LINE), before="play\\n")

        def unity():
            dut.expect_unity_test_output(timeout=60, extra_before=b"pump.c:9:test_first:PASS\\n" if extra else None)
            return [f"{one.name} {one.result} {one.attrs.get('message', '')}" for one in dut.testsuite.testcases]

        extra = False
        call("unity", unity)
        log = pathlib.Path(dut.logfile)
        results["log"] = [log.is_file(), LINE.encode() in log.read_bytes()]
        pathlib.Path(__file__).with_name("results.json").write_text(json.dumps(results))
    """


@pytest.fixture(scope="module")
def both(
    firmware_of: Callable[[str], Firmware], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Results by call: ours, and stock pytest-embedded's."""
    firmware = firmware_of("microbit")
    spec = spec_for(
        tmp_path_factory.mktemp("ours"), firmware, {"test_calls.py": CALLS}, script=TEXT + UNITY, timeout=300.0
    )
    run = run_session(spec)
    assert [str(case.verdict) for case in run.cases] == ["passed"], run.cases
    folder = tmp_path_factory.mktemp("stock")
    (folder / "conftest.py").write_text(embedded_conftest(firmware, folder, TEXT + UNITY))
    (folder / "test_calls.py").write_text(textwrap.dedent(CALLS))
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_embedded",
        "-c",
        os.devnull,
    ]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "STOCK": "1", "TMPDIR": str(folder)}
    ended = subprocess.run(
        [*command, "--rootdir", str(folder), str(folder)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ours, stock = (json.loads((place / "results.json").read_text()) for place in (spec.tests, folder))
    return ours, stock


def test_calls_give_what_they_give_in_stock_pytest_embedded(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    ours, stock = both
    assert ours == stock
    assert ours["text"] == ["match", "would ", ["ul", None]]
    assert ours["unwanted before"][:2] == ["raises", "ValueError"]
    assert ours["unity"] == ["list", ["str", "test_dose PASS "], ["str", "test_alarm IGNORE  not yet\r"]]
    assert len(ours) == 30


# --- what only ours does ------------------------------------------------------------------------------------------------

SAMPLES = """
    def test_unwanted_at_once(dut):
        dut.write("play")
        dut.expect_exact("never", timeout=3600, not_matching="would")

    def test_unwanted_while_a_reply_is_awaited(device):
        device.command("play", timeout=3600, not_matching=b"redirected")

    def test_unwanted_while_it_starts(device):
        device.reset()
        device.wait_started(timeout=3600, not_matching="boot: test")

    def test_wanted_start(device):
        device.reset()
        assert device.wait_started(not_matching="panic").startswith("app: ready")

    def test_what_was_read_ahead_of_a_reset(device, dut):
        dut.write("play")
        dut.expect_exact("end of play", timeout=20)
        dut.write("play")
        dut.expect_exact("this", timeout=20)
        device.reset()
        device.wait_started()
        dut.expect_exact("would", timeout=0.2)

    def test_timed_out(dut):
        dut.write("play")
        dut.expect_exact("end of play", timeout=20)
        dut.write("play")
        dut.expect("never", timeout=1)
    """


@pytest.mark.usefixtures("no_process_left")
def test_samples_that_must_fail(make_spec: SpecMaker) -> None:
    run = run_session(make_spec({"test_a.py": SAMPLES}, script=TEXT + b"x" * 300 + b"\r\nend of play\r\n"))
    ended = {name.removeprefix("test_a.py::test_"): verdict for name, verdict in verdicts(run).items()}
    assert ended.pop("wanted_start") == "passed"
    assert set(ended.values()) == {"failed"}, [case.reason for case in run.cases]
    assert "UnwantedOutputError: the device sent b'would', which must not come; see serial.log" in reason(
        run, "at_once"
    )
    assert "b'redirected', which must not come" in reason(run, "while_a_reply_is_awaited")
    assert "b'boot: test', which must not come" in reason(run, "while_it_starts")
    assert "TIMEOUT" in reason(run, "read_ahead_of_a_reset")
    assert "xxx end of play" in reason(run, "timed_out")
    assert "serial.log" in reason(run, "timed_out")
