"""Serial lines of one device: bytes in and out, recorded as they pass, each given to whom its line belongs.

What always holds: every received byte is in the raw log, in order and unaltered, before anyone can read it; a lost line is
noticed at once by whoever waits for it; no wait is without a bound. One thread and one selector serve all channels of a
process, and an idle line costs nothing.
"""

from __future__ import annotations

import re
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from devicepipe.bench.faults import UnwantedOutputError
from devicepipe.bench.ports import Port
from devicepipe.bench.routing import Router
from devicepipe.bench.serial_log import SerialLog
from devicepipe.errors import BenchError

Wait = Callable[[Callable[[], bool], float], object]
"""Waits until a condition holds, at most that many seconds."""

_CHUNK = 65536


class NotTakenError(BenchError):
    """The device takes no more bytes. Whether that is its fault knows who has sent them."""


class SerialLoop:
    """The one selector, and the one thread, that receive for all channels of a process."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakee = socket.socketpair()
        self._selector.register(self._wakee, selectors.EVENT_READ, self._woken)
        self._requests: deque[tuple[Callable[[], object], Future[object]]] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="devicepipe-serial", daemon=True)
        self._thread.start()

    def watch(self, fd: int, receive: Callable[[], None]) -> None:
        """Call `receive` in the loop's thread whenever `fd` is readable."""
        self._request(lambda: self._selector.register(fd, selectors.EVENT_READ, receive))

    def forget(self, fd: int) -> None:
        """Stop watching `fd`; when this returns, it may be closed."""
        self._request(lambda: self._forget(fd))

    def close(self) -> None:
        """Stop the thread."""
        self._closing = True
        self._waker.send(b".")
        self._thread.join(timeout=10.0)
        self._selector.close()
        self._waker.close()
        self._wakee.close()

    def _forget(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def _request(self, action: Callable[[], object]) -> None:
        if threading.current_thread() is self._thread:
            action()
            return
        answer: Future[object] = Future()
        self._requests.append((action, answer))
        self._waker.send(b".")
        try:
            answer.result(timeout=10.0)
        except TimeoutError as error:
            raise BenchError(
                "the thread that receives serial data does not respond", remedy="run the session again"
            ) from error

    def _woken(self) -> None:
        self._wakee.recv(_CHUNK)
        while self._requests:
            action, answer = self._requests.popleft()
            try:
                answer.set_result(action())
            except Exception as error:  # noqa: BLE001 - it belongs to who asked, and must not end the thread
                answer.set_exception(error)

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                key.data()


class Stream:
    """What one reader takes from a channel: the console's lines, or those of a link.

    Readers take bytes from one stream, each byte once: `read` takes from its front, `take_line` cuts one line out of it.

    Attributes:
        line_ends: How many carriage returns and line feeds were sent through this stream.
    """

    def __init__(self, channel: Channel) -> None:
        self.line_ends = 0
        self._channel = channel
        self._unread = bytearray()
        self._last = b""

    def write(self, data: bytes, timeout: float = 5.0) -> None:
        """Send bytes to the device, within `timeout` seconds.

        Raises:
            NotTakenError: The device does not take them.
            BenchError: The line was lost.
        """
        self.line_ends += data.count(b"\r") + data.count(b"\n")
        self._channel.send(data, timeout)

    def read(self, size: int, timeout: float) -> bytes:
        """Take at most `size` unread bytes; b"" when none came within `timeout` seconds."""
        channel = self._channel
        channel.wait(lambda: bool(self._unread) or channel.ended, timeout)
        with channel.changed:
            if self._unread:
                data = bytes(self._unread[:size])
                del self._unread[:size]
                return data
            if not channel.ended:
                return b""
        raise channel.lost()

    def take_line(
        self,
        pattern: re.Pattern[bytes],
        timeout: float,
        *,
        ask: bytes = b"",
        not_matching: re.Pattern[bytes] | None = None,
    ) -> bytes | None:
        """Cut the first line that matches out of the unread bytes; all others stay.

        Args:
            pattern: Begins with `^`, ends with the line feed; compiled with re.MULTILINE.
            timeout: The longest wait, in seconds.
            ask: Sent first; then only a line that began to arrive after it can be the answer.
            not_matching: What must not come before that line.

        Returns:
            The line with its line end, or None when none came in time.

        Raises:
            UnwantedOutputError: What must not come came, at once.
            BenchError: The device does not take `ask`; or the line was lost.
        """
        channel = self._channel
        start, whole = 0, True
        if ask:
            channel.receive()
            with channel.changed:
                start, whole = len(self._unread), self._last in (b"", b"\n")
            self.write(ask)

        def find() -> re.Match[bytes] | None:
            nonlocal start, whole
            with channel.changed:
                if not whole and (end := self._unread.find(b"\n", start)) >= 0:
                    start, whole = end + 1, True
                return pattern.search(bytes(self._unread[start:])) if whole else None

        def unwanted() -> re.Match[bytes] | None:
            with channel.changed:
                unread = bytes(self._unread[start:]) if whole and not_matching is not None else b""
            return not_matching.search(unread) if not_matching is not None else None

        channel.wait(lambda: find() is not None or unwanted() is not None or channel.ended, timeout)
        with channel.changed:
            match, seen = find(), unwanted()
            if seen is not None and (match is None or seen.start() < match.start()):
                raise UnwantedOutputError(
                    f"the device sent {seen.group()!r}, which must not come; see {channel.log.path}"
                )
            if match is not None:
                del self._unread[start + match.start() : start + match.end()]
                return match.group()
            if not channel.ended:
                return None
        raise channel.lost()

    def discard(self) -> None:
        """Forget all unread bytes, also those that have arrived at the port but were not yet received. They stay in the log."""
        self._channel.receive()
        with self._channel.changed:
            self._unread.clear()

    @property
    def unread(self) -> bytes:
        """The unread bytes that were received so far."""
        with self._channel.changed:
            return bytes(self._unread)

    def arrived(self, data: bytes) -> None:
        """Take bytes that were received; called by the channel."""
        self._unread += data
        self._last = data[-1:]


class Channel(Stream):
    """A serial line to one device, and the stream of all its lines that belong to no link.

    Args:
        port: The open port; the channel closes it.
        log: Where all bytes are recorded; outlives the channel.
        loop: Receives for the channel; None: bytes are received where somebody calls `receive`.
        lost: Makes the exception that says why the line was lost; called when someone wants bytes and none can come any more.
        leads: The links that share the line: name → what their lines begin with.
        alone: The link that has all other lines, where none belong to the console.

    Attributes:
        log: As given.
        links: The streams of the links.
        wait: How to wait for what is to arrive; it receives where no loop does.
        changed: Held while streams change, and notified then.
        ended: Whether the line was lost.
    """

    def __init__(
        self,
        port: Port,
        log: SerialLog,
        loop: SerialLoop | None,
        lost: Callable[[], Exception],
        leads: Mapping[str, tuple[bytes, ...]] | None = None,
        alone: str = "",
    ) -> None:
        super().__init__(self)
        self.log = log
        self._lost = lost
        self._unrecorded: BenchError | None = None
        self.links = {name: Stream(self) for name in [*(leads or {}), *([alone] if alone else [])]}
        self.wait: Wait = self._wait
        self.changed = threading.Condition()
        self.ended = False
        self._router = Router(leads or {}, alone)
        self._port = port
        self._loop = loop
        self._closed = False
        if loop is not None:
            loop.watch(port.fileno(), self._on_readable)

    def fileno(self) -> int:
        """The file descriptor that becomes readable when bytes, or the end of the line, have arrived."""
        return self._port.fileno()

    def send(self, data: bytes, timeout: float) -> None:
        """Send bytes to the device; see `write`."""
        try:
            self.log.sent(data)
        except OSError as error:
            raise self._not_recorded(error) from error
        try:
            self._port.send(data, timeout)
        except TimeoutError as error:
            raise NotTakenError(
                f"the device did not take {len(data)} bytes within {timeout:g} s", remedy=f"see {self.log.path}"
            ) from error
        except OSError as error:
            raise self.lost() from error

    def receive(self) -> None:
        """Receive what has arrived at the port, without waiting."""
        with self.changed:
            while not self.ended and not self._closed:
                try:
                    data = self._port.receive()
                except (OSError, EOFError):
                    self.ended = True
                    break
                if not data:
                    return
                try:
                    self.log.received(data)
                except OSError as error:
                    # Nobody may read what is not in the log.
                    self._unrecorded = self._not_recorded(error)
                    self.ended = True
                    break
                for owner, part in self._router.route(data):
                    (self.links[owner] if owner else self).arrived(part)
                self.changed.notify_all()
            self.changed.notify_all()

    def lost(self) -> Exception:
        """Why no bytes can come any more."""
        return self._unrecorded or self._lost()

    def _not_recorded(self, error: OSError) -> BenchError:
        return BenchError(
            f"the serial log '{self.log.path.name}' cannot be written: {error.strerror}",
            remedy="make room on the disk; run again",
        )

    def discard(self) -> None:
        """Forget all unread bytes of all streams, and that a line had begun."""
        super().discard()
        with self.changed:
            self._router.restart()
        for link in self.links.values():
            link.discard()

    @property
    def untaken(self) -> int:
        """The number of sent bytes that the device has not taken yet; a reset does not take them back."""
        return self._port.untaken()

    def close(self) -> None:
        """Receive what has arrived and close the port; harmless when it is closed already."""
        if self._closed:
            return
        self.receive()
        with self.changed:
            self._closed = True
        if self._loop is not None:
            self._loop.forget(self._port.fileno())
        self._port.close()

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        with self.changed:
            self.changed.wait_for(condition, timeout)

    def _on_readable(self) -> None:
        self.receive()
        if self.ended and self._loop is not None:
            self._loop.forget(self._port.fileno())
