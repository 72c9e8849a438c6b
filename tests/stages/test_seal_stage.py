"""Seal: what the log says of a release and of the keys that signed it."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from devicepipe.evidence.ledger.checkpoint import Trust
from devicepipe.evidence.ledger.entry import Entry, decode_entry
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.verify import verify_bundle
from devicepipe.stages import ledger
from devicepipe.stages.context import Context, open_keys
from devicepipe.stages.seal import log_evidence, seal
from tests.evidence.synthetic_bundle import Keys, Pair, Spoil, _Maker
from tests.traceability.test_reviews import make_project


def test_attestations_and_uses_of_keys_are_logged_before_the_bundle_is_published(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    keys = open_keys(project)
    pairs = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    maker = _Maker(tmp_path, ("alpha", "beta"), "1.2.3", pairs, Spoil())
    maker.source()
    for board in maker.boards:
        maker.board(board)
    maker.product()
    context = Context(project, tmp_path, tmp_path, "1.2.3", maker.writer, keys, "a tester", threading.Event())
    log_evidence(context, project)
    final = tmp_path / "pump-1.2.3"
    release = seal(context, project, final)
    bundle = verify_bundle(final, keys.trust)
    log = Log.open(ledger.log_folder(project), Trust((keys.release.public,)))
    logged = [decode_entry(data, "the log") for _, data in log.entries()]
    images = dict.fromkeys(final.glob("images/*/*.signed.bin"), keys.image)
    assert len(images) > len(maker.boards)
    uses = [one for one in logged if one.kind == "key-use"]
    assert len(uses) == len(images) + 1
    used = {one.digest: one for one in uses}
    for path, key, purpose in [
        *((path, key, "image") for path, key in images.items()),
        (final / "release.json", keys.release, "release statement"),
    ]:
        entry: Entry = used[hashlib.sha256(path.read_bytes()).hexdigest()]
        assert entry.details == {"keyid": key.public.keyid, "purpose": purpose, "release": "pump 1.2.3"}
    assert logged[-1].at == release.sealed_on
    assert [one.subject for one in logged if one.kind == "attestation"] == [
        name for name in bundle.names() if name.startswith("attestations/")
    ]
