"""Markers of items in sources and in the messages of commits: which items they name, and those that do not exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devicepipe.traceability.findings import Found

if TYPE_CHECKING:
    from devicepipe.evidence.trace import CodeMarker, CommitMarker
    from devicepipe.traceability.code_markers import Marker
    from devicepipe.traceability.drafts import Traced
    from devicepipe.traceability.schema import Schema

UNKNOWN_ITEM = "unknown-item"
UNKNOWN_IN_COMMIT = "unknown-item-in-commit"
"""A commit names an item that there is not: told only, because a message cannot be changed any more."""

_SHORT = 12


@dataclass(frozen=True, slots=True)
class Markers:
    """The markers of a product; None where none was looked for."""

    code: Sequence[CodeMarker | Marker] | None = None
    commits: Sequence[CommitMarker] | None = None

    def places(self) -> dict[str, list[str]]:
        """Item → the places in sources that name it ("src/flow.c:12")."""
        found: dict[str, list[str]] = {}
        for marker in self.code or ():
            for name in marker.items:
                found.setdefault(name, []).append(f"{marker.file}:{marker.line}")
        return found

    def findings(self, known: Mapping[str, Traced], schema: Schema) -> Iterator[Found]:
        """The markers that name what is no item: a warning only where the product keeps no items of that type at all."""
        kept = {item.type for item in known.values()}
        for marker in self.code or ():
            who = f"the code of {marker.function}" if marker.function else "the code here"
            for name in marker.items:
                if name in known:
                    continue
                kind = schema.types.get(schema.prefixes.get(name.rpartition("-")[0], ""))
                elsewhere = kind is not None and kind.name not in kept
                what = f"the product keeps no {kind.title}s" if kind and elsewhere else "there is no such item"
                yield Found(
                    kind=UNKNOWN_ITEM,
                    severity="warning" if elsewhere else None,
                    item=name,
                    message=f"{who} realises {name}, but {what}",
                    file=marker.file,
                    line=marker.line,
                )
        for commit in self.commits or ():
            for key, names in commit.trailers.items():
                for name in names:
                    if name not in known:
                        said = f"commit {commit.commit[:_SHORT]} ({commit.subject}) says '{key.capitalize()}: {name}'"
                        yield Found(
                            kind=UNKNOWN_IN_COMMIT,
                            severity="warning",
                            item=name,
                            message=f"{said}, but there is no such item",
                        )
