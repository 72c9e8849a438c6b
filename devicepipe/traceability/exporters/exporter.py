"""What an exporter is: a pure function of items to the files of another tool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from devicepipe.evidence.trace import Item
from devicepipe.evidence.words import EVIDENCE_DIGEST
from devicepipe.project.toml_file import Table
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.reserved import outward


@dataclass(slots=True)
class Exported:
    """What an export writes: relative name → content ("" is the file that the user named), and what it could not carry."""

    files: dict[str, bytes] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)


class Exporter(ABC):
    """Base of exporters.

    Attributes:
        folder: Whether it makes a folder of files, not one file.
        lossless: Whether importing what it wrote gives the same items, but for what it says it lost.
    """

    folder: ClassVar[bool] = False
    lossless: ClassVar[bool] = False

    class Config(Table):
        """The settings; this exporter has none."""

    def __init__(self, config: Table | None = None) -> None:
        self.config = config if config is not None else self.Config()

    @abstractmethod
    def write(self, items: Sequence[Item]) -> Exported:
        """The files of these items."""


def fields_of(item: Item) -> dict[str, str]:
    """The fields that an author wrote, by the names under which they go out; the digest that devicepipe adds is left out."""
    return {outward(key): value for key, value in item.fields.items() if key != EVIDENCE_DIGEST}


def told(item: Item, what: str) -> Loss:
    """A loss of an item."""
    return Loss(Path(item.file), item.line, item.id, what)
