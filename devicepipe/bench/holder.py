"""Who holds a device: a user, or a process of theirs, on a machine; and whether that process still lives."""

from __future__ import annotations

import getpass
import os
import socket
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Process(BaseModel):
    """A process, told apart from a later one of the same number: pid, when it started (clock ticks), and its pid namespace."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    started: int
    namespace: int


class Holder(BaseModel):
    """Who has a device.

    Attributes:
        user: The login name.
        host: The machine's name.
        boot: Tells this start of the machine from others.
        purpose: What for, in words.
        process: The process whose end is the lease's end; None for a person, whose lease ends by time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str
    host: str
    boot: str
    purpose: str = ""
    process: Process | None = None

    def __str__(self) -> str:
        process = f", process {self.process.pid}" if self.process else ""
        purpose = f" for {self.purpose}" if self.purpose else ""
        return f"{self.user}@{self.host}{process}{purpose}"

    def same_user(self, other: Holder) -> bool:
        """Whether both are the same user on the same machine."""
        return (self.user, self.host) == (other.user, other.host)

    def leaves_to(self, other: Holder) -> bool:
        """Whether the other may end this one's lease without force: the same user, unless a process has it."""
        return self.same_user(other) and self.process is None


class Host:
    """This machine's clocks and processes."""

    def __init__(self) -> None:
        self.name = socket.gethostname()
        self.boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    def now(self) -> float:
        """UTC, in seconds since 1970."""
        return time.time()

    def uptime(self) -> float:
        """Seconds since the machine was started, sleep included: no change of its time of day changes it."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def lives(self, holder: Holder) -> bool:
        """Whether the holder's process lives; a person does, and so does a process in a namespace that cannot be seen into."""
        process = holder.process
        if process is None or process.namespace != _namespace():
            return True
        return _started(process.pid) == process.started


def this_user(purpose: str = "") -> Holder:
    """The user of this process."""
    host = Host()
    return Holder(user=_user(), host=host.name, boot=host.boot, purpose=purpose)


def this_process(purpose: str = "") -> Holder:
    """This process."""
    pid = os.getpid()
    process = Process(pid=pid, started=_started(pid) or 0, namespace=_namespace())
    return this_user(purpose).model_copy(update={"process": process})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id that has no name
        return f"uid {os.getuid()}"


def _namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since the machine did (proc_pid_stat(5), field 22); None for none, or a dead one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] not in {"Z", "X"} else None
