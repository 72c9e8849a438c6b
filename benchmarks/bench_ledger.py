"""What the transparency log costs: 1,000,000 entries appended, verified cold, and one proven.

- append: batches of 256, each acknowledged after one fsync, published on the way; entries are made, checked and encoded in the
  measured time, and the checkpoint of each batch is signed. Entries per second.
- verify: the whole log in a new process, its files dropped from the page cache: every entry parsed and compared with its one
  spelling, every tile, the signature. Seconds.
- prove: one entry of the log, opened anew each time, and its proof checked. Milliseconds, the median of 200.

Beside them, in the same run: SHA-256 over the same tree (every leaf and every inner node) and nothing else, by one process.

    .venv/bin/python benchmarks/bench_ledger.py [--entries N] [--folder FOLDER]

Prints for each one JSON line: {"measure", "value", "unit", "target", "ok", ...}; beside each value the processor time that it took,
all processes together, which other programs on the machine change less than the clock's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner

from devicepipe.evidence.ledger.checkpoint import Trust
from devicepipe.evidence.ledger.entry import Entry, encode_entry, make_entry
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.ledger.note import NoteKey, NoteSigner
from devicepipe.evidence.ledger.proof import verify_proof
from devicepipe.evidence.ledger.verify import verify_log
from devicepipe.evidence.ledger.writer import create_log, open_writer
from devicepipe.signing.keys import PublicKey

ENTRIES = 1_000_000
BATCH = 256
APPEND_TARGET = 10_000
VERIFY_TARGET = 20.0
PROVE_TARGET = 5.0
PROOFS = 200


def key() -> NoteSigner:
    """A key for the log."""
    private = Ed25519PrivateKey.generate()
    public = PublicKey.from_pem(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return NoteSigner(
        NoteKey.of_log("example.com/bench/log", public), CryptoSigner(private, public.to_securesystemslib())
    )


def entry(number: int) -> Entry:
    """An entry as a release makes them."""
    return make_entry(
        "attestation",
        at="2026-11-29T10:00:00Z",
        by="release-pipeline",
        subject=f"attestations/microbit/{number:07}.json.dsse",
        digest=f"{number:064x}",
        details={"predicateType": "https://in-toto.io/attestation/test-result/v0.1", "release": "pump 1.2.0"},
    )


def batches(count: int) -> Iterator[list[Entry]]:
    """Entries, a batch at a time."""
    for start in range(0, count, BATCH):
        yield [entry(number) for number in range(start, min(start + BATCH, count))]


def bare(count: int) -> float:
    """Seconds that SHA-256 takes over a tree of such entries: as many hashes of as many bytes, and nothing else."""
    leaf, node, sha256 = b"\x00" + encode_entry(entry(count // 2)), bytes(65), hashlib.sha256
    start = time.perf_counter()
    for _ in range(count):
        sha256(leaf).digest()
    for _ in range(count - 1):
        sha256(node).digest()
    return time.perf_counter() - start


def append(folder: Path, signer: NoteSigner, count: int) -> tuple[float, float]:
    """Seconds that appending takes, from the first entry to the published checkpoint; by the clock, and of the processor."""
    create_log(folder, signer)
    start, worked = time.perf_counter(), time.process_time()
    with open_writer(folder, signer) as writer:
        for batch in batches(count):
            writer.append(batch)
    return time.perf_counter() - start, time.process_time() - worked


def forget_pages(folder: Path) -> None:
    """Drop a log's files from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def verify(folder: Path, vkey: str, processes: int) -> tuple[float, float]:
    """Seconds that a new process takes to verify a log; by the clock, and of the processor."""
    command = [sys.executable, __file__, "--verify", str(folder), "--vkey", vkey, "--processes", str(processes)]
    start = time.perf_counter()
    subprocess.run(command, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, used.ru_utime + used.ru_stime


def prove(folder: Path, trust: Trust, count: int) -> tuple[float, float]:
    """Milliseconds that one proof takes, the log opened anew; by the clock, and of the processor."""
    taken, worked = [], []
    for number in range(PROOFS):
        index = (number * 7919 * 997) % count
        start, before = time.perf_counter(), time.process_time()
        data = Log.open(folder, trust).prove(index).to_bytes()
        taken.append(time.perf_counter() - start)
        worked.append(time.process_time() - before)
        assert verify_proof(data, trust, "proof").index == index
    return statistics.median(taken) * 1000, statistics.median(worked) * 1000


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument(
        "--folder", type=Path, help="where the log is made for the time (default: the temporary folder)"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--verify", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--vkey", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.verify:
        named = NoteKey.from_text(arguments.vkey)
        verify_log(arguments.verify, Trust((named.public,), named.name), processes=arguments.processes)
        return 0
    count, signer = arguments.entries, key()
    with tempfile.TemporaryDirectory(prefix="bench-ledger-", dir=arguments.folder) as name:
        folder = Path(name) / "log"
        hashing = bare(count)
        appended, appending = append(folder, signer, count)
        rate = count / appended
        forget_pages(folder)
        verified, verifying = verify(folder, signer.key.text(), arguments.processes)
        proven, proving = prove(folder, Trust((signer.key.public,), signer.key.name), count)
    results = [
        (
            (
                "log: append in batches of 256 with fsync",
                round(rate),
                "entries/s",
                APPEND_TARGET,
                rate >= APPEND_TARGET,
            ),
            {"seconds": round(appended, 2), "processor, s": round(appending, 2)},
        ),
        (
            ("log: cold verification of all", round(verified, 2), "s", VERIFY_TARGET, verified <= VERIFY_TARGET),
            {"processor, s": round(verifying, 2)},
        ),
        (
            ("log: one inclusion proof", round(proven, 2), "ms", PROVE_TARGET, proven <= PROVE_TARGET),
            {"processor, ms": round(proving, 2)},
        ),
    ]
    for (measure, value, unit, target, ok), used in results:
        more = {**used, "entries": count, "bare SHA-256 of the tree, s": round(hashing, 2)}
        print(json.dumps({"measure": measure, "value": value, "unit": unit, "target": target, "ok": ok, **more}))
    return 0 if all(result[-1] for result, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
