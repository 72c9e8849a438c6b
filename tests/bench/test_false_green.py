"""Whole sessions with an emulated device, each an attempt to get a green verdict that was not earned, named by its defect."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.bench.session import SessionCancelledError, run_session
from devicepipe.errors import BenchError, DevicepipeError, IntegrityError, UsageError
from devicepipe.evidence.results import TestCase as Case
from devicepipe.evidence.results import TestRun as Run
from tests.bench.samples import Firmware, SpecMaker, processes_of, reason, spec_for, verdicts, write_hex

pytestmark = pytest.mark.usefixtures("no_process_left")

HONEST = """
    @pytest.mark.verifies("SRS-001", "SRS-002")
    def test_honest(device):
        '''The device is idle after its start.'''
        assert device.command("status") == "OK status state=idle"
    """

# One session for all defects that leave the session itself in order: file → tests, each with the verdict it must get.
MIXED = {
    "conftest.py": """
        @pytest.fixture
        def crash_in_teardown():
            yield
            raise RuntimeError("the plant could not be stopped")

        @pytest.fixture
        def crash_in_setup():
            assert False, "the plant could not be started"

        @pytest.fixture
        def skip_in_teardown():
            yield
            pytest.skip("too late to skip")

        def pytest_collection_modifyitems(items):
            items[:] = [item for item in items if item.name != "test_left_out_by_a_hook"]

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if item.name == "test_turned_green_by_a_hook" and report.when == "call":
                report.outcome = "passed"
            return report

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_call(item):
            try:
                return (yield)
            except AssertionError:
                if item.name != "test_swallowed_by_a_hook":
                    raise

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            if pyfuncitem.name == "test_skipped_by_a_hook":
                return True
            if pyfuncitem.name == "test_retried_by_a_hook":
                for _ in range(3):
                    try:
                        pyfuncitem.obj()
                        break
                    except AssertionError:
                        pass
                return True
        """,
    "test_mixed.py": """
        import os, signal
        from devicepipe.errors import BenchError

        def test_same_name(dut):
            dut.write("event")
            dut.expect_exact("event: something", timeout=2)

        @pytest.mark.skip(reason="no time")
        def test_skipped(): pass

        def test_skips_itself(device):
            pytest.skip("not today")

        @pytest.mark.xfail(reason="known")
        def test_xfail_that_fails(): assert False

        @pytest.mark.xfail(reason="known", strict=False)
        def test_xfail_that_passes(): pass

        @pytest.mark.xfail(reason="known", strict=True)
        def test_strict_xfail_that_passes(): pass

        @pytest.mark.xfail(run=False, reason="known")
        def test_xfail_not_run(): pass

        def test_crash_in_teardown(crash_in_teardown): pass
        def test_crash_in_setup(crash_in_setup): pass
        def test_skip_in_teardown(skip_in_teardown): pass
        def test_turned_green_by_a_hook(): assert False
        def test_bug_in_the_test(): return {}["no such key"]
        def test_exits(): raise SystemExit(0)

        def test_matches_the_harness_own_talk(dut):
            dut.expect("OK id|app: ready", timeout=0.1)

        def test_matches_what_it_prints(dut, redirect):
            with redirect():
                print("state=alarm")
            dut.expect_exact("state=alarm", timeout=0.1)

        def test_hides_a_bench_error(device):
            try:
                raise BenchError("the port is gone")
            except BenchError:
                assert False, "the reply was wrong"

        def test_reply_to_another_command(device): device.command("wrong")
        def test_locks_up(dut):
            dut.write("die")
            dut.expect_exact("never", timeout=10)

        def test_locks_up_unnoticed(device): device.channel.write(b"die\\n")
        def test_swallows_the_lockup(dut):
            dut.write("die")
            try:
                dut.expect_exact("never", timeout=10)
            except AssertionError:
                pass

        def test_reboots_unexpectedly(device, dut):
            dut.write("reset")
            dut.expect_exact("app: ready", timeout=5)
            assert device.guest_resets() == 0

        def test_mute_afterwards(device): device.channel.write(b"mute\\n" + b"lie\\n" * 20)
        def test_half_a_command_afterwards(device): device.channel.write(b"sta")
        def test_bad_image_afterwards(device, dut):
            device.install(b"r" * 0x104)
            device.reset()
            dut.expect_exact("boot: refused bad-digest", timeout=5)
            assert device.boot_output.startswith(b"boot: test firmware")

        def test_loses_its_emulator(device, dut):
            os.kill(device.target.emulator.pid, signal.SIGKILL)
            dut.expect_exact("never", timeout=60)

        def test_waits_for_ever(dut): dut.expect_exact("never", timeout=None)
        def test_left_out_by_a_hook(): assert False
        def test_swallowed_by_a_hook(): assert False
        def test_skipped_by_a_hook(): assert False
        def test_returns_a_comparison(): return 1 == 2

        tries = []
        def test_retried_by_a_hook():
            tries.append(1)
            assert len(tries) == 3

        @pytest.mark.boards("mps2_an385")
        def test_of_another_board(): assert False

        def test_honest(device): assert device.command("status") == "OK status state=idle"
        """,
    "override/conftest.py": """
        @pytest.fixture(autouse=True)
        def _verified_device(): pass
        """,
    "override/test_override.py": """
        def test_without_the_harness(): pass
        """,
    "other/test_mixed.py": """
        def test_same_name(dut):
            dut.expect_exact("event: something", timeout=0.1)
        """,
    "test_module_skip.py": """
        pytest.skip("no analyser here", allow_module_level=True)
        def test_lost(): pass
        """,
}
MIXED_VERDICTS = {
    "test_mixed.py::test_same_name": "passed",
    "other/test_mixed.py::test_same_name": "failed",
    "test_module_skip.py": "not_run",
    "test_mixed.py::test_skipped": "not_run",
    "test_mixed.py::test_skips_itself": "not_run",
    "test_mixed.py::test_xfail_that_fails": "failed",
    "test_mixed.py::test_xfail_that_passes": "error",
    "test_mixed.py::test_strict_xfail_that_passes": "error",
    "test_mixed.py::test_xfail_not_run": "not_run",
    "test_mixed.py::test_crash_in_teardown": "error",
    "test_mixed.py::test_crash_in_setup": "error",
    "test_mixed.py::test_skip_in_teardown": "not_run",
    "test_mixed.py::test_turned_green_by_a_hook": "failed",
    "test_mixed.py::test_bug_in_the_test": "error",
    "test_mixed.py::test_exits": "error",
    "test_mixed.py::test_matches_the_harness_own_talk": "failed",
    "test_mixed.py::test_matches_what_it_prints": "error",
    "test_mixed.py::test_hides_a_bench_error": "error",
    "test_mixed.py::test_reply_to_another_command": "failed",
    "test_mixed.py::test_locks_up": "failed",
    "test_mixed.py::test_locks_up_unnoticed": "failed",
    "test_mixed.py::test_swallows_the_lockup": "failed",
    "test_mixed.py::test_reboots_unexpectedly": "failed",
    "test_mixed.py::test_mute_afterwards": "passed",
    "test_mixed.py::test_half_a_command_afterwards": "passed",
    "test_mixed.py::test_bad_image_afterwards": "passed",
    "test_mixed.py::test_loses_its_emulator": "error",
    "test_mixed.py::test_waits_for_ever": "error",
    "test_mixed.py::test_left_out_by_a_hook": "not_run",
    "test_mixed.py::test_swallowed_by_a_hook": "error",
    "test_mixed.py::test_skipped_by_a_hook": "error",
    "test_mixed.py::test_returns_a_comparison": "error",
    "test_mixed.py::test_retried_by_a_hook": "error",
    "override/test_override.py::test_without_the_harness": "error",
    "test_mixed.py::test_honest": "passed",
}


@pytest.fixture(scope="module")
def mixed(
    firmware_of: Callable[[str], Firmware], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, list[Case], bytes]:
    seen: list[Case] = []
    spec = spec_for(tmp_path_factory.mktemp("mixed"), firmware_of("microbit"), MIXED)
    run = run_session(spec, progress=seen.append)
    return run, seen, (spec.output / "serial.log").read_bytes()


@pytest.mark.parametrize(("name", "verdict"), MIXED_VERDICTS.items(), ids=MIXED_VERDICTS)
def test_verdict_of_defect(mixed: tuple[Run, list[Case], bytes], name: str, verdict: str) -> None:
    assert verdicts(mixed[0])[name] == verdict, reason(mixed[0], name)


def test_mixed_session_leaves_nothing_out(mixed: tuple[Run, list[Case], bytes]) -> None:
    run, seen, log = mixed
    assert set(verdicts(run)) == set(MIXED_VERDICTS)
    assert {case.id: case.verdict for case in seen} == {case.id: case.verdict for case in run.cases if case.started_on}
    assert all(case.reason for case in run.cases if case.verdict != "passed")
    assert run.identity_errors == []
    assert run.identity_before == run.identity_after
    assert b"lie" not in log  # input that a mute device never took must not reach the next test's device
    started = [case for case in run.cases if case.started_on]
    assert started[0].log_start == 0
    assert all(a.log_end == b.log_start for a, b in itertools.pairwise(started))


def test_no_reason_names_a_folder_of_this_machine(mixed: tuple[Run, list[Case], bytes]) -> None:
    assert [case.reason for case in mixed[0].cases if "/pytest-of-" in case.reason] == []


def test_whole_evidence_of_another_board(
    firmware_of: Callable[[str], Firmware], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nosuch")
    firmware = firmware_of("mps2_an385")
    run = run_session(spec_for(tmp_path, firmware, {"test_a.py": HONEST}))
    case = run.cases[0]
    assert (case.id, case.verdict, case.reason) == ("hil/test_a.py::test_honest", "passed", "")
    assert case.verifies == ["SRS-001", "SRS-002"]
    assert case.expected == "The device is idle after its start."
    assert (case.procedure_file, case.procedure_line) == ("hil/test_a.py", 3)
    assert run.identity_before == run.identity_after == firmware.identity()
    assert run.device.emulator is not None
    assert run.device.emulator.version[0].isdigit()
    assert Run.from_json(run.to_json()) == run


# --- the device is not what it should be --------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["commit", "digest"])
def test_wrong_identity_before(make_spec: SpecMaker, field: str) -> None:
    run = run_session(make_spec({"test_a.py": HONEST + "\n    def test_other(): pass"}, says={field: "something-else"}))
    assert set(verdicts(run).values()) == {"error", "not_run"}
    assert "something-else" in run.identity_errors[0]
    assert "something-else" in reason(run, "test_honest")


def test_identity_changed_after(make_spec: SpecMaker) -> None:
    source = HONEST + "\n    def test_makes_it_lie(device): assert device.command('lie') == 'OK lie'"
    run = run_session(make_spec({"test_a.py": source}))
    assert verdicts(run) == {"test_a.py::test_honest": "error", "test_a.py::test_makes_it_lie": "error"}
    assert "digest '000000" in run.identity_errors[0]


@pytest.mark.parametrize(
    ("mood", "said"),
    [("s", "no reply to 'id'"), ("r", "refused bad-digest"), ("l", "locked up")],
)
def test_device_that_is_silent_or_does_not_start(make_spec: SpecMaker, mood: str, said: str) -> None:
    modules = {"test_a.py": "\n    @pytest.mark.parametrize('n', range(3))\n    def test_honest(n): pass"}
    run = run_session(make_spec(modules, mood=mood, boot_timeout=0.5))
    assert list(verdicts(run).values()) == ["error", "error", "not_run"]
    assert said in run.cases[0].reason
    assert run.identity_before is None
    assert run.identity_errors


# --- the session does not end in order ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("os._exit(0)", "exit status 0 without an end mark"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
        ("pytest.exit('enough', returncode=0)", "ended without its end"),
    ],
)
def test_session_broken_off_by_a_test(make_spec: SpecMaker, deed: str, said: str) -> None:
    source = f"\n    import os, signal\n    def test_deed(): {deed}\n    def test_later(): pass"
    run = run_session(make_spec({"test_a.py": HONEST, "test_b.py": source}))
    ended = verdicts(run)
    # The verdicts from before the deed stand only where the device could still be asked after it.
    assert ended["test_a.py::test_honest"] == ("error" if deed.startswith("os.") else "passed")
    assert ended["test_b.py::test_deed"] == "error"
    assert ended["test_b.py::test_later"] in {"error", "not_run"}
    assert said in reason(run, "test_deed")


def test_session_that_takes_too_long(make_spec: SpecMaker) -> None:
    source = "\n    import time\n    def test_endless(): time.sleep(600)\n    def test_later(): pass"
    run = run_session(make_spec({"test_a.py": HONEST, "test_b.py": source}, timeout=8.0))
    assert verdicts(run)["test_b.py::test_endless"] == verdicts(run)["test_b.py::test_later"] == "error"
    assert "exceeded 8 s" in reason(run, "test_endless")
    assert "exceeded 8 s" in reason(run, "test_later")


def test_exit_after_the_last_test(make_spec: SpecMaker) -> None:
    conftest = "\n    import atexit, os\n    atexit.register(os._exit, 3)"
    run = run_session(make_spec({"conftest.py": conftest, "test_a.py": HONEST}))
    assert verdicts(run) == {"test_a.py::test_honest": "error"}
    assert "exit status 0, but pytest's process with 3" in run.cases[0].reason


def test_assertion_that_is_a_tuple(make_spec: SpecMaker) -> None:
    source = '\n    def test_tuple(device): assert (device.command("status") == "no", "never fails")'
    with pytest.raises(BenchError, match="assertion is always true"):
        run_session(make_spec({"test_a.py": source}))


@pytest.mark.parametrize("name", ["device", "dut"])
def test_fixture_that_stands_for_the_device(make_spec: SpecMaker, name: str) -> None:
    conftest = f"\n    @pytest.fixture\n    def {name}(): return 1"
    with pytest.raises(UsageError, match=f"fixture '{name}' .* hides"):
        run_session(make_spec({"conftest.py": conftest, "test_a.py": f"\n    def test_x({name}): assert {name} == 1"}))


def test_internal_error_of_a_hook(make_spec: SpecMaker) -> None:
    conftest = "\n    def pytest_runtest_logfinish(nodeid): raise KeyError(nodeid)"
    run = run_session(make_spec({"conftest.py": conftest, "test_a.py": HONEST + "\n    def test_later(): pass"}))
    assert set(verdicts(run).values()) == {"error"}


def test_test_that_runs_twice(make_spec: SpecMaker) -> None:
    conftest = """
        from _pytest.runner import runtestprotocol
        ran = []
        def pytest_runtest_logfinish(nodeid, location): ran.append(nodeid)
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item, nextitem):
            runtestprotocol(item, nextitem=nextitem, log=False)
        """
    run = run_session(make_spec({"conftest.py": conftest, "test_a.py": HONEST}))
    assert verdicts(run) == {"test_a.py::test_honest": "error"}


def test_cancelled_session_leaves_nothing_running(make_spec: SpecMaker, tmp_path: Path) -> None:
    cancel = threading.Event()
    source = "\n    import time\n    def test_long(device): time.sleep(60)"
    spec = make_spec({"test_a.py": HONEST, "test_b.py": source})
    with pytest.raises(SessionCancelledError):
        run_session(spec, cancel=cancel, progress=lambda _: cancel.set())
    assert processes_of(tmp_path) == []


# --- fewer cases than there are -------------------------------------------------------------------------------------------


WITHOUT_A_CASE: dict[str, tuple[type[DevicepipeError], dict[str, str], tuple[str, ...], str]] = {
    "empty": (UsageError, {"test_a.py": ""}, (), "no test for board 'microbit' was collected"),
    "nothing-chosen": (UsageError, {"test_a.py": HONEST}, ("-k", "nosuch"), "with -k nosuch"),
    "broken-module": (
        BenchError,
        {"test_a.py": "\n    import no_such_module", "test_b.py": HONEST},
        (),
        "cannot be collected",
    ),
    "unknown-mark": (
        BenchError,
        {"test_a.py": "\n    @pytest.mark.verify('SRS-1')\n    def test_x(): pass"},
        (),
        "'verify' not found",
    ),
    "no-item-id": (
        UsageError,
        {"test_a.py": "\n    @pytest.mark.verifies(12)\n    def test_x(): pass"},
        (),
        "wants names",
    ),
    "no-kind-of-verification": (
        UsageError,
        {"test_a.py": "\n    @pytest.mark.verifies('RC-1', kind='effective')\n    def test_x(): pass"},
        (),
        "knows the kinds implementation and effectiveness, not 'effective'",
    ),
    "unknown-board": (
        UsageError,
        {"test_a.py": "\n    @pytest.mark.boards('micro-bit')\n    def test_x(): pass"},
        (),
        "'micro-bit'",
    ),
    "hidden-file": (
        BenchError,
        {"conftest.py": "\n    collect_ignore = ['test_b.py']", "test_a.py": HONEST, "test_b.py": HONEST},
        (),
        "test_b.py is hidden",
    ),
    "hidden-folder": (
        BenchError,
        {"conftest.py": "\n    collect_ignore = ['sub']", "test_a.py": HONEST, "sub/test_b.py": HONEST},
        (),
        "sub/test_b.py is hidden",
    ),
    "test-that-never-runs": (
        UsageError,
        {"test_a.py": HONEST + "\n    def test_x(): assert False\n    def test_x(): pass"},
        (),
        "'test_x' never runs",
    ),
    "wrong-expression": (
        UsageError,
        {"test_a.py": HONEST},
        ("-k", "a and ("),
        r"passed to '-k': a and \(: at column 8",
    ),
    "two-devices": (UsageError, {"test_a.py": HONEST}, ("--count=2",), "one device"),
}


@pytest.mark.parametrize(("error", "modules", "arguments", "said"), WITHOUT_A_CASE.values(), ids=WITHOUT_A_CASE)
def test_session_without_a_case(
    make_spec: SpecMaker,
    error: type[DevicepipeError],
    modules: dict[str, str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        run_session(make_spec(modules, pytest_arguments=arguments, boards=("microbit", "mps2_an385")))


def test_stop_at_first_failure_and_last_failed(make_spec: SpecMaker, tmp_path: Path) -> None:
    modules = {"test_a.py": "\n    def test_bad(): assert False\n    def test_next(): pass"}
    first = run_session(make_spec(modules, pytest_arguments=("-x",), cache=tmp_path / "cache"))
    assert verdicts(first) == {"test_a.py::test_bad": "failed", "test_a.py::test_next": "not_run"}
    assert reason(first, "test_next") == "stopping after 1 failures"
    again = run_session(
        make_spec(modules, pytest_arguments=("--lf",), cache=tmp_path / "cache", output=tmp_path / "again")
    )
    assert verdicts(again) == {"test_a.py::test_bad": "failed"}


# --- refused before anything starts ---------------------------------------------------------------------------------------


def test_factory_image_without_the_signed_image(make_spec: SpecMaker, firmware: Firmware, tmp_path: Path) -> None:
    spec = make_spec({"test_a.py": HONEST})
    write_hex(tmp_path / "factory.hex", {0: firmware.code, 0x2000: firmware.image(commit="0" * 40)})
    with pytest.raises(IntegrityError, match="does not hold"):
        run_session(spec)


def test_output_of_an_earlier_session(make_spec: SpecMaker) -> None:
    spec = make_spec({"test_a.py": HONEST})
    spec.output.mkdir()
    (spec.output / "record.jsonl").write_text("")
    with pytest.raises(UsageError, match="already holds a session"):
        run_session(spec)


def test_tests_without_a_session(make_spec: SpecMaker) -> None:
    spec = make_spec({"test_a.py": HONEST})
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "-p", "devicepipe.bench.plugin", str(spec.tests)]
    command += ["-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=spec.root)
    assert ended.returncode == 4
    assert "these are device tests, which test a build: no devicepipe.toml" in ended.stderr + ended.stdout
