"""Tests, hooks and machines that stand in the way of a true verdict: what happens in and to the harness itself."""

from __future__ import annotations

from tests.bench_faults.fault import Fault

# An honest failure, which nothing that happens around it may turn green or hide.
ALARM = 'assert False, "the alarm did not sound"'
SAYS = ("the alarm did not sound",)

HARNESS = [
    Fault(
        "two-tests-with-one-name",
        "A module has two tests of one name, so that the first never runs.",
        "refused",
        ("'test_fault' never runs",),
        test=f"""
            def test_fault(dut):
                {ALARM}

            def test_fault(dut):
                pass
            """,
    ),
    Fault(
        "test-that-never-ends",
        "The test never returns.",
        "error",
        ("the session exceeded 2 s",),
        test="""
            def test_fault(dut):
                while True:
                    time.sleep(60)
            """,
        changes={"timeout": 2.0},
    ),
    Fault(
        "test-that-ignores-the-interrupt",
        "The test never returns, and does not let itself be interrupted.",
        "error",
        ("the session exceeded 2 s",),
        test="""
            def test_fault(dut):
                signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
                while True:
                    time.sleep(60)
            """,
        changes={"timeout": 2.0},
    ),
    Fault(
        "crash-in-teardown",
        "The test passes, and what tidies up after it fails.",
        "error",
        ("teardown: RuntimeError: the plant could not be stopped",),
        conftest="""
            @pytest.fixture
            def plant():
                yield
                raise RuntimeError("the plant could not be stopped")
            """,
        test="""
            def test_fault(dut, plant):
                pass
            """,
        shares=True,
    ),
    Fault(
        "exception-swallowed-by-a-conftest",
        "A hook of the conftest.py swallows whatever the test raises.",
        "error",
        ("did not run once to its end",),
        conftest="""
            @pytest.hookimpl(wrapper=True)
            def pytest_runtest_call(item):
                try:
                    return (yield)
                except BaseException:
                    pass
            """,
        test=f"""
            def test_fault(dut):
                {ALARM}
            """,
        shares=True,
    ),
    Fault(
        "report-turned-green-by-a-conftest",
        "A hook of the conftest.py reports every test as passed.",
        "failed",
        SAYS,
        conftest="""
            @pytest.hookimpl(wrapper=True)
            def pytest_runtest_makereport(item, call):
                report = yield
                report.outcome = "passed"
                return report
            """,
        test=f"""
            def test_fault(dut):
                {ALARM}
            """,
        shares=True,
    ),
    Fault(
        "exit-in-the-test",
        "The test ends pytest's process with the status of success.",
        "error",
        ("pytest ended with exit status 0 without an end mark",),
        test="""
            def test_fault(dut):
                os._exit(0)
            """,
    ),
    Fault(
        "killed-harness",
        "pytest is killed (SIGKILL) in the middle of the test.",
        "error",
        ("pytest was killed by signal 9",),
        test="""
            def test_fault(dut):
                os.kill(os.getpid(), signal.SIGKILL)
            """,
    ),
    Fault(
        "stopped-harness",
        "pytest is stopped (SIGSTOP) in the middle of the test.",
        "error",
        ("pytest was stopped by SIGSTOP",),
        test="""
            def test_fault(dut):
                os.kill(os.getpid(), signal.SIGSTOP)
            """,
    ),
    Fault(
        "closed-file-descriptors",
        "The test closes all file descriptors of the process.",
        "error",
        ("Bad file descriptor",),
        test="""
            def test_fault(dut):
                os.closerange(3, 4096)
            """,
    ),
    Fault(
        "child-that-holds-the-pipe",
        "A child in a session of its own outlives the test, with all that it inherited open.",
        "error",
        ("left running",),
        test="""
            def test_fault(dut):
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(600)
                    os._exit(0)
            """,
    ),
    Fault(
        "zombie-children",
        "The test leaves dead children that nobody waits for.",
        "failed",
        SAYS,
        test=f"""
            def test_fault(dut):
                for _ in range(20):
                    if os.fork() == 0:
                        os._exit(0)
                {ALARM}
            """,
        shares=True,
    ),
    Fault(
        "thread-that-never-ends",
        "The test leaves a thread that keeps the process from ending.",
        "error",
        ("the session exceeded 3 s",),
        test="""
            def test_fault(dut):
                threading.Thread(target=time.sleep, args=(600,)).start()
            """,
        changes={"timeout": 3.0},
    ),
    Fault(
        "flood-of-standard-output",
        "The test prints 8 MB, and fails.",
        "failed",
        SAYS,
        test=f"""
            def test_fault(dut):
                for _ in range(80):
                    print("x" * 100_000)
                {ALARM}
            """,
        shares=True,
    ),
    Fault(
        "changed-working-directory",
        "The test changes the working directory, and fails.",
        "failed",
        SAYS,
        test=f"""
            def test_fault(dut):
                os.chdir("/")
                {ALARM}
            """,
        shares=True,
    ),
    Fault(
        "clock-that-stands-still",
        "The test stops Python's clocks while something is waited for that never comes.",
        "failed",
        ("Not found", "alarm: sounds"),
        test="""
            def test_fault(dut, monkeypatch):
                for name in ("monotonic", "time", "perf_counter"):
                    monkeypatch.setattr(time, name, lambda: 0.0)
                dut.expect_exact("alarm: sounds", timeout=0.5)
            """,
        shares=True,
    ),
    Fault(
        "record-deleted-mid-run",
        "The session's record is deleted while it runs.",
        "refused",
        ("record", "is gone"),
        test="""
            def test_fault(dut, request):
                os.unlink(request.config.rootpath.parent / "out" / "record.jsonl")
            """,
        embedded="it keeps no record",
    ),
    Fault(
        "record-rewritten-mid-run",
        "A failed test takes its line out of the record.",
        "refused",
        ("record", "is not what the session wrote"),
        conftest="""
            def pytest_runtest_logfinish(nodeid, location):
                path = pytest.session_root.parent / "out" / "record.jsonl"
                path.write_text(path.read_text().replace('"verdict":"failed"', '"verdict":"passed"'))

            def pytest_sessionstart(session):
                pytest.session_root = session.config.rootpath
            """,
        test=f"""
            def test_fault(dut):
                {ALARM}
            """,
        embedded="it keeps no record",
    ),
    Fault(
        "serial-log-deleted-mid-run",
        "The raw serial log is deleted while it is written.",
        "refused",
        ("serial.log", "is gone"),
        test="""
            def test_fault(dut, request):
                os.unlink(request.config.rootpath.parent / "out" / "serial.log")
            """,
        embedded="its log is no evidence",
    ),
    Fault(
        "serial-log-truncated-mid-run",
        "The raw serial log loses bytes that were received.",
        "refused",
        ("serial.log", "is not what the device sent"),
        test="""
            def test_fault(dut, request):
                os.truncate(request.config.rootpath.parent / "out" / "serial.log", 10)
            """,
        embedded="its log is no evidence",
    ),
    Fault(
        "output-folder-deleted-mid-run",
        "The whole output folder is deleted while the session runs.",
        "refused",
        ("is gone",),
        test="""
            def test_fault(dut, request):
                import shutil
                shutil.rmtree(request.config.rootpath.parent / "out")
            """,
        embedded="its logs are no evidence",
    ),
    Fault(
        "disk-full",
        "The disk is full as soon as the test begins (a limit on the size of files).",
        "error",
        ("File too large",),
        test="""
            def test_fault(dut):
                import resource
                resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
                dut.write("status")
                dut.expect_exact("OK status state=idle", timeout=2)
            """,
    ),
    Fault(
        "measured-outside-and-caught",
        "A test measures a value outside its limits and does not look at the answer.",
        "failed",
        ("outside its limits: flow 12 ml/h, not at least 9 and at most 11",),
        test="""
            def test_fault(measure):
                measure("flow", 12, "ml/h", 9, 11)
            """,
        embedded="measurements with limits are none of its business",
        shares=True,
    ),
    Fault(
        "comparison-that-is-returned",
        "The test returns what it should assert.",
        "error",
        ("it has to assert what it expects",),
        test="""
            def test_fault(dut):
                return 1 == 2
            """,
        shares=True,
    ),
    Fault(
        "found-in-what-the-test-prints",
        "The test finds what it has printed itself.",
        "error",
        ("only the device's own output can be matched",),
        test="""
            def test_fault(dut, redirect):
                with redirect():
                    print("alarm: sounds")
                dut.expect_exact("alarm: sounds", timeout=1)
            """,
        shares=True,
    ),
    Fault(
        "lease-lost-mid-test",
        "Somebody takes the device by force in the middle of the test.",
        "error",
        ("the lease of device 'lab-1' (token 1) was lost: it was taken by force by",),
        test="""
            import pathlib

            def test_fault(device):
                from devicepipe.bench.holder import this_user
                from devicepipe.bench.lease import LeaseStore

                leases = LeaseStore(pathlib.Path(__file__).parents[2] / "out" / "leases")
                leases.release_by("lab-1", this_user("an urgent look"), force=True)
            """,
        lab=True,
        embedded="a device is anybody's: it knows no leases",
    ),
]
