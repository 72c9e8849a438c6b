"""Devices that lie, fall silent, babble or die: the test firmware with a script, or an emulator that something happens to."""

from __future__ import annotations

from devicepipe.project.inventory import DeviceEntry
from tests.bench_faults.fault import (
    AGAIN,
    DRIP,
    ECHO,
    HANG,
    IDENTIFY,
    LOCK_UP,
    LONG,
    NOISE,
    RESET,
    SPOOF,
    TAKE_LINE,
    UNITY,
    Fault,
    unity,
    wait,
)

# The bench asks a device who it is before each test; these come before anything that `pio test` looks at.
NO_IDENTITY = "a device is not asked who it is"
ONE_SIDED = "the device is not spoken to"
EXPECT_NEVER = """
    def test_fault(dut):
        dut.write("play")
        dut.expect_exact("alarm: sounds", timeout=0.5)
    """
READY = b"boot: test firmware\r\napp: ready board=microbit version=0.1.0+0\r\n"
PASSED = unity("test_alarm:PASS", "test_dose:PASS")

DEVICES = [
    Fault(
        "port-that-cannot-be-opened",
        "The device's port, or what stands for it, is not there.",
        "error",
        ("QEMU ended with exit status 1", "unsupported machine type"),
        changes={"emulator": {"driver": "qemu", "program": "qemu-system-arm", "machine": "no-such-machine"}},
        pio=PASSED,
        port="/dev/ttyNOSUCH0",
        peers_say="could not open port|No such file",
    ),
    Fault(
        "silent-device",
        "The device is there and sends nothing.",
        "error",
        ("printed neither 'app: ready …' nor 'boot: refused …' within 0.3 s", "sent nothing"),
        mood="q",
        changes={"boot_timeout": 0.3},
        pio=HANG,
        peers_say=r"(?m)eliminated\): *$",
    ),
    Fault(
        "deaf-device",
        "The device starts and answers no command.",
        "error",
        ("no reply to 'id' within 0.3 s",),
        mood="s",
        changes={"boot_timeout": 0.3},
        pio=ONE_SIDED,
        peers_say=r'Not found "OK status',
    ),
    Fault(
        "device-that-dies-mid-test",
        "The device is gone while the test waits for it.",
        "error",
        ("QEMU was killed by SIGKILL",),
        test="""
            def test_fault(dut, emulator):
                os.kill(emulator, signal.SIGKILL)
                dut.expect_exact("alarm: sounds", timeout=5)
            """,
        pio=unity("test_alarm:PASS", summary="") + HANG,
        pio_dies=True,
        peers_say="SIGKILL|disconnected|device (was lost|is gone)|Input/output error",
        shares=True,
    ),
    Fault(
        "device-that-dies-after-the-last-assertion",
        "The device is gone before anybody could ask it once more.",
        "error",
        ("QEMU was killed by SIGKILL",),
        test="""
            def test_fault(dut, emulator):
                dut.write("status")
                dut.expect_exact("OK status state=idle", timeout=5)
                os.kill(emulator, signal.SIGKILL)
            """,
        peers_say="SIGKILL|disconnected|Input/output error",
        shares=True,
    ),
    Fault(
        "emulator-that-is-stopped",
        "The emulator's process is stopped (SIGSTOP): the device neither answers nor ends.",
        "error",
        ("QEMU", "was stopped by a signal or a debugger"),
        test="""
            def test_fault(dut, emulator):
                os.kill(emulator, signal.SIGSTOP)
                dut.write("status")
                dut.expect_exact("OK status state=idle", timeout=1)
            """,
        shares=True,
    ),
    Fault(
        "device-that-reboots-mid-run",
        "The device resets itself in the middle of the test, and nobody looks.",
        "failed",
        ("reset itself",),
        test="""
            def test_fault(dut):
                dut.write("status")
                dut.expect_exact("OK status state=idle", timeout=5)
                dut.write("play")
                dut.expect_exact("boot: test firmware", timeout=5)
                dut.write("status")
                dut.expect_exact("OK status state=idle", timeout=5)
            """,
        script=RESET,
        pio=unity("test_alarm:PASS", summary="") + wait(50) + RESET,
    ),
    Fault(
        "watchdog-reset-loop",
        "The device is reset by its watchdog again and again, before it is ready.",
        "error",
        ("printed neither 'app: ready", "reset itself"),
        mood="p",
        script=b"boot: test firmware\r\n" + wait(50) + RESET,
        changes={"boot_timeout": 0.5},
        peers_say="(?s)Bytes in current buffer.*(boot: test firmware.*){2}",
        pio=b"boot: test firmware\r\n" + wait(50) + RESET,
    ),
    Fault(
        "stale-image",
        "The device runs the image of another commit.",
        "error",
        ("not the image under test", "commit 'badbad"),
        identity={"commit": "bad" * 13 + "b"},
        pio=NO_IDENTITY,
    ),
    Fault(
        "right-digest-of-another-board",
        "The device says the right digest, and another board's name.",
        "error",
        ("not the image under test", "board 'minibit'"),
        identity={"board": "minibit"},
        pio=NO_IDENTITY,
    ),
    Fault(
        "another-device-of-the-same-board",
        "The device runs the right image, and is not the one of that serial number.",
        "error",
        ("not the image under test", "device says serial 'DP-18', expected 'DP-17'"),
        identity={"serial": "DP-18"},
        changes={"device": DeviceEntry(id="one", board="microbit", driver="qemu", serial_number="DP-17")},
        pio=NO_IDENTITY,
    ),
    Fault(
        "image-swapped-after-the-identity-check",
        "The device is the right one before the test and another one after it.",
        "error",
        ("not the image under test (after the test)", "digest '0000"),
        test="""
            def test_fault(dut):
                dut.write("lie")
                dut.expect_exact("OK lie", timeout=5)
            """,
        pio=NO_IDENTITY,
    ),
    Fault(
        "log-replayed-from-an-earlier-run",
        "What arrives is the recording of an earlier run; nobody listens at the other end.",
        "error",
        ("none is known to answer what was asked",),
        mood="p",
        script=b"OK status state=idle\r\n" + READY + wait(10) + IDENTIFY + wait(10) + AGAIN,
        changes={"boot_timeout": 0.5},
        pio=PASSED + HANG,
    ),
    Fault(
        "replies-that-nobody-asked-for",
        "The device answers what it was not asked: the reply that is waited for is ahead of the question.",
        "failed",
        ("replies to", "commands"),
        test="""
            def test_fault(dut):
                dut.write("play")
                dut.expect_exact("OK status state=idle", timeout=5)
            """,
        script=b"OK play\r\nOK status state=idle\r\n",
        pio=ONE_SIDED,
    ),
    Fault(
        "device-that-agrees-with-everything",
        "The device answers whatever it is asked with what was right earlier.",
        "failed",
        ("the reply to 'dose' is that of another command",),
        test="""
            def test_fault(device):
                device.channel.write(b"play\\n")
                assert device.command("dose", timeout=5).startswith("OK")
            """,
        script=SPOOF + b"OK status state=idle\r\n",
        embedded="a reply is not compared with its command: the test itself has to",
        pio=ONE_SIDED,
    ),
    Fault(
        "echoing-device",
        "The line comes back as it was sent: what the test finds is its own words.",
        "error",
        ("echoes what it is sent",),
        test="""
            def test_fault(dut):
                dut.write("alarm: sounds")
                dut.expect_exact("alarm: sounds", timeout=5)
            """,
        mood="P",
        script=ECHO,
        pio=ONE_SIDED,
    ),
    Fault(
        "duplicated-pass-line",
        "One PASS line comes twice, that of the other test never; the summary counts two.",
        "failed",
        ("test_alarm", "twice"),
        test=UNITY,
        script=unity("test_alarm:PASS", "test_alarm:PASS"),
        pio=unity("test_alarm:PASS", "test_alarm:PASS"),
    ),
    Fault(
        "summary-of-more-tests-than-were-seen",
        "The summary counts three tests, one of which left no line.",
        "failed",
        ("3 tests", "2"),
        test=UNITY,
        script=unity("test_alarm:PASS", "test_dose:PASS", summary="3 Tests 0 Failures 0 Ignored\nOK\n"),
        pio=unity("test_alarm:PASS", "test_dose:PASS", summary="3 Tests 0 Failures 0 Ignored\nOK\n"),
    ),
    Fault(
        "failure-that-only-the-summary-tells",
        "The line of the failed test is lost; the summary counts it.",
        "failed",
        ("3 tests, 1 failures",),
        test=UNITY,
        script=unity("test_alarm:PASS", "test_dose:PASS", summary="3 Tests 1 Failures 0 Ignored\nFAIL\n"),
        pio=unity("test_alarm:PASS", "test_dose:PASS", summary="3 Tests 1 Failures 0 Ignored\nFAIL\n"),
    ),
    Fault(
        "pass-printed-before-the-work",
        "The device prints its PASS, then does the work, and locks up in it.",
        "failed",
        ("locked up",),
        test=UNITY,
        script=PASSED + wait(50) + LOCK_UP,
        pio=PASSED + wait(50) + LOCK_UP,
    ),
    Fault(
        "truncated-summary",
        "The output ends in the middle of the summary.",
        "failed",
        ("Not found", "2 Tests 0 Fail"),
        test=UNITY,
        script=unity("test_alarm:PASS", "test_dose:PASS", summary="2 Tests 0 Fail") + HANG,
        pio=unity("test_alarm:PASS", "test_dose:PASS", summary="2 Tests 0 Fail") + HANG,
    ),
    Fault(
        "endless-output",
        "The device prints for ever, and never what the test waits for.",
        "failed",
        ("Not found", "alarm: sounds"),
        test=EXPECT_NEVER,
        script=b"log: all is well\r\n" + AGAIN,
        pio=b"log: all is well\r\n" + AGAIN,
    ),
    Fault(
        "endless-output-from-the-start",
        "The device prints for ever as soon as it is ready, and answers nothing.",
        "error",
        ("no reply to 'id'",),
        mood="P",
        script=b"log: all is well\r\n" + AGAIN,
        changes={"boot_timeout": 0.5},
    ),
    Fault(
        "binary-garbage",
        "The device sends noise.",
        "failed",
        ("Not found", "alarm: sounds"),
        test=EXPECT_NEVER,
        script=NOISE + AGAIN,
        pio=NOISE + AGAIN,
    ),
    Fault(
        "megabytes-without-a-line-end",
        "The device sends 4 MiB without a line end.",
        "failed",
        ("Not found", "alarm: sounds"),
        test=EXPECT_NEVER,
        script=LONG * 64,
        pio=LONG * 64 + HANG,
    ),
    Fault(
        "nul-bytes",
        "What the test waits for comes with NUL bytes in it.",
        "failed",
        ("Not found", "alarm: sounds"),
        test=EXPECT_NEVER,
        script=b"alarm:\0 so\0unds\r\n",
        pio=b"test/test_pump.c:12:test_al\0arm:PA\0SS\r\n" + HANG,
    ),
    Fault(
        "broken-utf-8",
        "The reply is cut inside a character of several bytes.",
        "failed",
        ("Not found", "alarm: sounds"),
        test=EXPECT_NEVER,
        script=b"alarm: so\xc3\r\n\xe2\x82\xf0\x9f\x92unds\xff\r\n",
        pio=b"test/test_pump.c:12:test_al\xc3arm:PA\xe2\x82SS\r\n" + HANG,
    ),
    Fault(
        "slow-drip",
        "The ready line comes so slowly that the device does not become ready in time.",
        "error",
        ("printed neither 'app: ready", "it sent 'b"),
        mood="p",
        script=DRIP + READY,
        peers_say=r"(?s)Bytes in current buffer.*boot: test",
        changes={"boot_timeout": 0.5},
        pio=DRIP + PASSED[:40] + HANG,
    ),
    Fault(
        "lockup",
        "The processor locks up, at which QEMU aborts.",
        "failed",
        ("the processor of board 'microbit' locked up",),
        peers_say="[Ll]ock(ed |)up",
        test="""
            def test_fault(dut):
                dut.write("die")
                dut.expect_exact("alarm: sounds", timeout=5)
            """,
        pio=unity("test_alarm:PASS", summary="") + LOCK_UP,
        shares=True,
    ),
    Fault(
        "lockup-that-the-test-swallows",
        "The processor locks up, and the test takes that for nothing.",
        "failed",
        ("the processor of board 'microbit' locked up",),
        peers_say="[Ll]ock(ed |)up",
        test="""
            def test_fault(dut):
                dut.write("die")
                try:
                    dut.expect_exact("alarm: sounds", timeout=1)
                except Exception:
                    pass
            """,
        shares=True,
    ),
    Fault(
        "device-clock-that-goes-backwards",
        "The device's time goes back between two readings of it.",
        "failed",
        ("outside its limits: time since the last reading -5 ms",),
        test="""
            def test_fault(dut, measure):
                dut.write("play")
                first, second = (int(dut.expect(r"time ms=(\\d+)\\r", timeout=5).group(1)) for _ in range(2))
                measure("time since the last reading", second - first, "ms", 0, None)
            """,
        script=b"time ms=1000\r\ntime ms=995\r\n",
        embedded="measurements with limits are none of its business",
    ),
    Fault(
        "reply-that-is-late",
        "The reply comes after the time-out of its command, and in the place of the next one.",
        "failed",
        ("the reply to 'dose' is that of another command",),
        test="""
            def test_fault(device):
                with pytest.raises(AssertionError):
                    device.command("play", timeout=0.1)
                device.command("dose", timeout=5)
            """,
        script=wait(300) + b"OK play\r\n" + TAKE_LINE,
        embedded="a reply is not compared with its command: the test itself has to",
        pio=ONE_SIDED,
    ),
]
