"""How a run shows its progress: a live table on a terminal, plain lines elsewhere. Both write to standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import click

from devicepipe.pipeline.graph import Progress, Step

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

Outcome = Literal["done", "failed", "cancelled"]


def make_progress(*, quiet: bool = False) -> Progress:
    """The progress that suits standard error: live on a terminal, plain lines elsewhere, nothing when `quiet`."""
    if quiet:
        return SilentProgress()
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()


class SilentProgress:
    """Shows nothing."""

    def begin(self, steps: Iterable[Step]) -> None:
        """Nothing to show."""

    def started(self, step: Step) -> None:
        """Nothing to show."""

    def advanced(self, step: Step, text: str) -> None:
        """Nothing to show."""

    def finished(self, step: Step, seconds: float, outcome: Outcome) -> None:
        """Nothing to show."""

    def end(self) -> None:
        """Nothing to show."""


class PlainProgress(SilentProgress):
    """A line when a step ends: for logs and CI."""

    def __init__(self) -> None:
        self._origin = time.monotonic()
        self._last: dict[str, str] = {}

    def advanced(self, step: Step, text: str) -> None:
        """Kept for the step's last line."""
        self._last[step.name] = text

    def finished(self, step: Step, seconds: float, outcome: Outcome) -> None:
        """One line: when, what, how it ended, how long it took."""
        note = self._last.get(step.name, "")
        line = f"{time.monotonic() - self._origin:7.1f} s  {step.name:<28} {outcome:<9} {seconds:6.1f} s  {note}"
        click.echo(line.rstrip(), err=True)


_MARK = {"waiting": "·", "running": "▸", "done": "✓", "failed": "✗", "cancelled": "-"}
_STYLE = {"waiting": "dim", "running": "bold cyan", "done": "green", "failed": "bold red", "cancelled": "yellow"}


class LiveProgress(SilentProgress):
    """A table of all steps that is redrawn while they run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._note: dict[str, str] = {}
        self._live: Live | None = None

    def begin(self, steps: Iterable[Step]) -> None:
        """Draw all steps as waiting."""
        from rich.console import Console
        from rich.live import Live

        self._state = {step.name: "waiting" for step in steps}
        self._live = Live(get_renderable=self._table, console=Console(stderr=True), refresh_per_second=8)
        self._live.start()

    def started(self, step: Step) -> None:
        """The step's clock runs."""
        with self._lock:
            self._state[step.name] = "running"
            self._since[step.name] = time.monotonic()

    def advanced(self, step: Step, text: str) -> None:
        """How far the step has come."""
        with self._lock:
            self._note[step.name] = text

    def finished(self, step: Step, seconds: float, outcome: Outcome) -> None:
        """The step's clock stops."""
        with self._lock:
            self._state[step.name] = outcome
            self._seconds[step.name] = seconds

    def end(self) -> None:
        """Leave the last picture on the screen."""
        if self._live is not None:
            self._live.stop()

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for _ in range(2):
            table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        now = time.monotonic()
        with self._lock:
            for name, state in self._state.items():
                seconds = self._seconds.get(name, now - self._since[name] if name in self._since else None)
                table.add_row(
                    f"[{_STYLE[state]}]{_MARK[state]}[/]",
                    f"[{_STYLE[state]}]{name}[/]",
                    "" if seconds is None else f"{seconds:.1f} s",
                    f"[dim]{self._note.get(name, '')}[/]",
                )
        return table
