"""A bundle that carries the proofs of its attestations and decisions, as a release does: for any that `make_bundle` makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.ledger.checkpoint import Trust
from devicepipe.evidence.ledger.entry import Entry
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.ledger.note import NoteKey, NoteSigner
from devicepipe.evidence.ledger.writer import append_entries, create_log
from devicepipe.evidence.log_proofs import proven_entries
from devicepipe.evidence.predicates import SourceInfo
from tests.evidence.reseal import reseal
from tests.evidence.synthetic_bundle import Made, Pair
from tests.evidence.synthetic_records import TIME

Change = Callable[[dict[str, Entry]], Mapping[str, Entry]]


def add_proofs(
    made: Made, log: Path, *, change: Change = lambda entries: entries, pair: Pair | None = None, at: str = TIME
) -> list[str]:
    """Log a bundle's evidence in a new log, put the proofs in and seal it again; returns their names, in the log's order.

    `change` changes what is logged, `pair` is the log's key where that is not the release key.
    """
    bundle = Bundle(made.path)
    entries = change(proven_entries(bundle.attestations(), bundle.predicate(SourceInfo), at))
    key = pair or made.keys.release
    signer = NoteSigner(NoteKey.of_log("pump/log", key.public), key.signer)
    create_log(log, signer)
    append_entries(log, signer, [*entries.values()])
    opened = Log.open(log, Trust((key.public,)))
    for index, name in enumerate(entries):
        path = made.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(opened.prove(index).to_bytes())
    reseal(made.path, made.keys.release)
    return [*entries]
