"""A bundle that was changed and sealed again by someone: with the trusted key (a dishonest insider) or with another one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from devicepipe.evidence.dsse import sign_envelope
from tests.evidence.synthetic_bundle import Pair


def reseal(bundle: Path, pair: Pair) -> None:
    """Write release.json and its envelope anew, over the files as they are now."""
    statement = json.loads((bundle / "release.json").read_bytes())
    own = ("release.json", "release.json.dsse")
    names = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    statement["subject"] = [
        {"digest": {"sha256": hashlib.sha256((bundle / name).read_bytes()).hexdigest()}, "name": name}
        for name in names
        if name not in own
    ]
    seal_text(bundle, pretty(statement), pair)


def seal_text(bundle: Path, text: bytes, pair: Pair) -> None:
    """Make any text the release statement, properly signed."""
    (bundle / "release.json").write_bytes(text)
    (bundle / "release.json.dsse").write_bytes(sign_envelope(text, pair.signer, pair.public))


def pretty(data: Any) -> bytes:
    """JSON as a release statement is printed."""
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
