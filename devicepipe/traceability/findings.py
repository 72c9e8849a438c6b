"""A finding of the trace before it is evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from devicepipe.evidence.trace import TraceFinding


@dataclass(frozen=True, slots=True)
class Found:
    """Something that does not hold: see `TraceFinding`, whose attributes it has."""

    kind: str
    item: str
    message: str
    file: str = ""
    line: int = 0
    board: str = ""
    severity: Literal["error", "warning"] | None = None

    def evidence(self) -> TraceFinding:
        """It as a value of the evidence."""
        from devicepipe.evidence.trace import TraceFinding

        return TraceFinding(**self._attributes())

    def to_json(self) -> dict[str, Any]:
        """It as `TraceFinding` has it in JSON."""
        return {key: value for key, value in self._attributes().items() if value is not None}

    def _attributes(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "severity": self.severity,
            "item": self.item,
            "board": self.board,
            "message": self.message,
            "file": self.file,
            "line": self.line,
        }
