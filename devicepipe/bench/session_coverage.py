"""A session's coverage: what its emulators count, parted into the tests that were there at the time."""

from __future__ import annotations

from devicepipe.bench.coverage_map import CoverageMap
from devicepipe.bench.coverage_record import CoverageWriter, When
from devicepipe.bench.spec import SessionFile
from devicepipe.errors import UsageError


class SessionCoverage:
    """Counts and records where the session asks for it, and does nothing elsewhere.

    Args:
        file: The session.

    Raises:
        UsageError: Coverage is asked for without an ELF file to tell the application's instructions by.
        BenchError: The plugin cannot be compiled.

    Attributes:
        counts: What each emulator of the session must be given; None: there is no coverage.
    """

    def __init__(self, file: SessionFile) -> None:
        self.counts: CoverageMap | None = None
        self._writer: CoverageWriter | None = None
        if file.coverage is None:
            return
        named = {"application": file.spec.elf, "bootloader": file.spec.bootloader_elf}
        programs = {name: path for name, path in named.items() if path is not None}
        if "application" not in programs:
            raise UsageError("coverage needs the application's ELF file", remedy="give the session its 'elf'")
        self.counts = CoverageMap(programs, file.spec.board.flash)
        self._writer = CoverageWriter(file.coverage, self.counts)

    def drop(self) -> None:
        """What was executed so far since the last time belongs to no test. It may be nothing: no emulator has to run yet."""
        if self.counts is not None:
            self.counts.drop()

    def take(self, test: str, when: When) -> None:
        """What was executed since the last time belongs to a test.

        Raises:
            BenchError: Coverage was lost, see `CoverageMap.take`.
        """
        if self._writer is not None:
            self._writer.take(test, when)

    def close(self) -> None:
        """Give everything back; the emulators have ended."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self.counts is not None:
            self.counts.close()
