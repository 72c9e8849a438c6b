"""Whether a test's verdict is still about what it is shown for: the item, the test, the image and the board that it was made with.

What always holds: a verdict counts for an item only where the item had the fingerprint that it has now, the test the source that
it has now, the device ran the image that is meant, on the board that is meant, and nobody still has to review a change of the
item or of what it rests on. Where evidence does not say which fingerprint it was made for (bundles of before), that of the items
beside it counts.

A test's source is that of its function, with its decorators (`TestCase.procedure_sha256`): what it calls in its own file is not
in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from devicepipe.evidence.results import TestCase, TestRun

Cause = Literal["item", "test", "image", "board", "review"]

STALE = "stale"
"""What a cell of the matrix shows where a verdict is no longer about what it stands for. It is never `passed`."""

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Expected:
    """What evidence has to be about; None is not compared.

    Attributes:
        fingerprints: Item → its fingerprint.
        recorded: Item → its fingerprint beside the results, for results that do not say it themselves.
        procedures: File → the SHA-256 of each function in it, and of the whole file; a file that is not named is not there.
        changed_files: Files that tests share and that are not what they were, in words.
        images: Board → the digest of the image that is meant.
        other_sources: Board → which of the sources of its image changed since, in words.
        reviews: Item → why somebody has to review it first.
    """

    fingerprints: Mapping[str, str]
    recorded: Mapping[str, str] = field(default_factory=dict)
    procedures: Mapping[str, Collection[str]] | None = None
    changed_files: tuple[str, ...] = ()
    images: Mapping[str, str] | None = None
    other_sources: Mapping[str, str] = field(default_factory=dict)
    reviews: Mapping[str, str] = field(default_factory=dict)

    def stale(self, run: TestRun, case: TestCase, item: str, board: str) -> dict[Cause, str]:
        """Why a verdict does not count for an item on a board, by cause in words; empty: it counts."""
        causes: dict[Cause, str] = {}
        if said := self._item(case, item):
            causes["item"] = said
        if said := self._test(case):
            causes["test"] = said
        if said := self._image(run, board):
            causes["image"] = said
        told = {run.board, run.device.board, *(one.board for one in (run.identity_before, run.identity_after) if one)}
        if told != {board}:
            causes["board"] = f"it was run on {', '.join(sorted(told - {board}))}"
        if item in self.reviews:
            causes["review"] = f"a change is not reviewed: {self.reviews[item]}"
        return causes

    def _item(self, case: TestCase, item: str) -> str:
        now = self.fingerprints.get(item)
        if now is None:
            return ""  # an item that is not there is another finding
        own = case.fingerprints
        then = self.recorded.get(item) if own is None else own.get(item)
        if own is None and not self.recorded:
            return ""  # nothing says which one it was: evidence of before, looked at alone
        if then is None:
            return f"{item} was not there"
        return "" if then == now else f"{item} was another one: {then[:_SHOWN]}…, now {now[:_SHOWN]}…"

    def _image(self, run: TestRun, board: str) -> str:
        meant = run.image_digest if self.images is None else self.images.get(board, "")
        if run.image_digest != meant:
            return f"it was {run.image_digest[:_SHOWN]}…, now {meant[:_SHOWN] + '…' if meant else 'there is none'}"
        return self.other_sources.get(board, "")

    def _test(self, case: TestCase) -> str:
        if self.procedures is None or "/" not in case.procedure_file:
            return ""  # a file's name alone: it lies outside the product, and no commit of the product says what it is
        found = self.procedures.get(case.procedure_file)
        if found is None:
            return f"{case.procedure_file} is gone"
        if case.procedure_sha256 not in found:
            return "its source is another one"
        return self.changed_files[0] if self.changed_files else ""
