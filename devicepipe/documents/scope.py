"""What a block is built from: the release's record, and the definition of the document it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devicepipe.documents.definition import Definition, DocumentSet
from devicepipe.documents.record import ReleaseRecord


@dataclass(frozen=True, slots=True)
class Scope:
    """A document being made: the record, its definition (number and title filled in), the set, and the placeholders' values."""

    record: ReleaseRecord
    definition: Definition
    documents: DocumentSet
    values: Mapping[str, str]
