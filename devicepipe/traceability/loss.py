"""What an exchange with another tool cannot carry: told with file and line, never dropped silently."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Loss:
    """Something that stays behind, or is changed on its way: where it stands, whose it is, and what it is.

    Attributes:
        file: The file that it stands in.
        line: Its 1-based line, 0 where none is known.
        item: The item that it belongs to; "" for what is no item's.
        what: What it is and what became of it, in words that are the same for things of one sort, so that they can be counted.
    """

    file: Path
    line: int
    item: str
    what: str

    def to_json(self) -> dict[str, str | int]:
        """The loss as one JSON object."""
        return {"file": self.file.as_posix(), "line": self.line, "item": self.item, "what": self.what}
