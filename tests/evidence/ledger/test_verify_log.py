"""A log that holds is found to hold; each way to tamper with it is found, and the file named."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger import parts
from devicepipe.evidence.ledger import writer as writer_module
from devicepipe.evidence.ledger.checkpoint import Checkpoint, Trust, open_checkpoint, sign_checkpoint
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.entry import KINDS, encode_entry
from devicepipe.evidence.ledger.journal import JOURNAL, Record
from devicepipe.evidence.ledger.log import CHECKPOINT, Log
from devicepipe.evidence.ledger.proof import verify_proof
from devicepipe.evidence.ledger.tiles import ENTRIES, Tile, decode_bundle, encode_bundle, parse_path
from devicepipe.evidence.ledger.tree import leaf_hash, root_hash
from devicepipe.evidence.ledger.verify import read_earlier, verify_log
from devicepipe.evidence.ledger.writer import open_writer, recover_log
from tests.evidence.ledger.keys import ORIGIN, ecdsa_signer, log_signer
from tests.evidence.ledger.logs import TRUST, make_log, sample

SIZE = 800  # three full tiles and a partial one


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_log(tmp_path_factory.mktemp("made") / "log", 100, 400, 300)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another log of the same key and size."""
    return make_log(tmp_path_factory.mktemp("other") / "log", 800, of="valve")


@pytest.fixture
def log(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "log"))


def refused(log: Path, link: str, match: str, **more: object) -> None:
    with pytest.raises(IntegrityError, match=match) as caught:
        verify_log(log, TRUST, **more)  # type: ignore[arg-type]
    assert caught.value.link == link
    assert caught.value.exit_code == 4
    assert caught.value.remedy


# --- what holds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(), (1,), (255,), (256,), (257,), (100, 156), (512, 3), (1, 1, 1)])
def test_logs_of_all_shapes_hold(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    log = make_log(tmp_path / "log", *sizes)
    verified = verify_log(log, TRUST)
    assert verified.signed.size == sum(sizes)
    assert (verified.pending, verified.torn) == (0, 0)
    opened = Log.open(log, TRUST)
    entries = [encode_entry(sample(number)) for number in range(sum(sizes))]
    assert [data for _, data in opened.entries()] == entries
    assert opened.signed.root == root_hash(map(leaf_hash, entries))
    for index in {*range(0, sum(sizes), 50), *range(max(0, sum(sizes) - 2), sum(sizes))}:
        assert verify_proof(opened.prove(index).to_bytes(), TRUST, "proof").entry == entries[index]


def test_a_large_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one tile of level 1, and several processes."""
    monkeypatch.setattr(parts, "_WORTH_A_PROCESS", 100)
    log = make_log(tmp_path / "log")
    texts = [encode_entry(sample(number)) for number in range(100)]
    with open_writer(log, log_signer()) as writer:
        writer.append_raw([texts[number % 97] for number in range(70_000)])
    assert verify_log(log, TRUST, processes=2).signed.size == 70_000
    assert sorted(path.name for path in (log / "tile").iterdir()) == ["0", "1", "2", "entries"]
    opened = Log.open(log, TRUST)
    for index in (0, 65_535, 65_536, 69_999):
        assert verify_proof(opened.prove(index).to_bytes(), TRUST, "proof").index == index
    flip(log / "tile/1/000", 7 * 32)
    flip(log / "tile/2/000.p/1", 0)
    refused(log, "tile/1/000", r"hash 7 is not that of tile/0/007 \(and 1 more faults\)")
    flip(log / "tile/1/000", 7 * 32)
    flip(log / "tile/2/000.p/1", 0)
    flip(log / "tile/entries/200", 500)
    with pytest.raises(IntegrityError, match="its entry 51201 is not the one that was logged") as caught:
        verify_log(log, TRUST, processes=2)
    assert caught.value.link == "tile/entries/200"


def test_earlier_checkpoints(log: Path, made: Path, other: Path, tmp_path: Path) -> None:
    before = (log / CHECKPOINT).read_bytes()
    with open_writer(log, log_signer()) as writer:
        writer.append([sample(number) for number in range(SIZE, SIZE + 300)])
    verified = verify_log(log, TRUST, earlier={"before": before})
    assert verified.earlier["before"].size == SIZE
    (tmp_path / "before").write_bytes(before)
    assert read_earlier([tmp_path / "before"]) == {str(tmp_path / "before"): before}
    with pytest.raises(UsageError, match="cannot be read"):
        read_earlier([tmp_path / "none"])
    after = (log / CHECKPOINT).read_bytes()
    refused(
        made,
        "after",
        "is a checkpoint of 1100 entries, and the log has 800: entries are gone",
        earlier={"after": after},
    )
    refused(log, "other", "not the first 800 of the log", earlier={"other": (other / CHECKPOINT).read_bytes()})
    refused(log, "x", "no signed note", earlier={"x": before + b"more\n"})


def test_a_fork_is_told_from_the_proofs_that_somebody_has(log: Path, made: Path, other: Path) -> None:
    """Whoever had a bundle had checkpoints in its proofs, and nothing that held them against the log."""
    before = Log.open(log, TRUST).prove(7).to_bytes()
    with open_writer(log, log_signer()) as writer:
        writer.append([sample(number) for number in range(SIZE, SIZE + 300)])
    assert verify_log(log, TRUST, earlier={"before": before}).earlier["before"].size == SIZE
    after = Log.open(log, TRUST).prove(1000).to_bytes()
    refused(made, "after", "of 1100 entries, and the log has 800: entries are gone", earlier={"after": after})
    forked = Log.open(other, TRUST).prove(7).to_bytes()
    refused(log, "forked", "not the first 800 of the log", earlier={"forked": forked})
    moved = before.replace(b"\nindex 7\n", b"\nindex 6\n")
    refused(log, "moved", "does not show that the entry is number 6", earlier={"moved": moved})


def test_a_rotated_key(log: Path) -> None:
    new = log_signer(5)
    with open_writer(log, new, former=[log_signer().key.public]) as writer:
        writer.append([sample(SIZE)])
    refused(log, CHECKPOINT, "not signed by a trusted key")
    assert verify_log(log, Trust((new.key.public,), ORIGIN)).signed.size == SIZE + 1
    with pytest.raises(IntegrityError, match="not signed by a trusted key"), open_writer(log, log_signer()):
        pass


def test_a_key_on_p256(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 3, signer=ecdsa_signer())
    assert verify_log(log, Trust((ecdsa_signer().key.public,), ORIGIN)).signed.size == 3


# --- tampering matrix: tile, bundle, checkpoint, journal x flip, drop, reorder, replay, re-sign -----------------------------


def flip(path: Path, at: int = 40) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


TILES = ["tile/0/000", "tile/0/002", "tile/0/003.p/32", "tile/1/000.p/3"]
BUNDLES = ["tile/entries/000", "tile/entries/001", "tile/entries/003.p/32"]


@pytest.mark.parametrize("path", [*TILES, *BUNDLES])
def test_flip(log: Path, path: str) -> None:
    flip(log / path)
    entry = {"tile/0/000": 1, "tile/0/002": 513, "tile/0/003.p/32": 769}.get(path)
    match = (
        f"hash of entry {entry}"
        if entry
        else "hash 1 is not that of tile/0/001"
        if path in TILES
        else "entry [0-9]+ is not"
    )
    refused(log, path, match)


@pytest.mark.parametrize("path", [*TILES, *BUNDLES])
def test_drop(log: Path, path: str) -> None:
    (log / path).unlink()
    refused(log, path, "is missing")


@pytest.mark.parametrize("path", [*TILES, *BUNDLES])
def test_cut_and_lengthen(log: Path, path: str) -> None:
    data = (log / path).read_bytes()
    for other in (data[:-1], data[:-32], data + b"\0", b""):
        (log / path).write_bytes(other)
        refused(log, path, "bytes|ends within")


@pytest.mark.parametrize("path", [*TILES, *BUNDLES])
def test_replay_from_another_log(log: Path, other: Path, path: str) -> None:
    shutil.copy(other / path, log / path)
    refused(log, path, "hash|entry")


def test_reorder_hashes(log: Path) -> None:
    for path in TILES:
        data = (log / path).read_bytes()
        (log / path).write_bytes(data[32:64] + data[:32] + data[64:])
        refused(log, path, "hash")
        (log / path).write_bytes(data)


def test_reorder_drop_and_repeat_entries(log: Path) -> None:
    for path, count in zip(BUNDLES, (256, 256, 32), strict=True):
        data = (log / path).read_bytes()
        entries = decode_bundle(data, count)
        for altered in (
            [entries[1], entries[0], *entries[2:]],
            [entries[0], entries[0], *entries[2:]],
            [entries[0], b"", *entries[2:]],
        ):
            (log / path).write_bytes(encode_bundle(altered))
            refused(log, path, r"entry [0-9]+ is not the one that was logged")
        for altered in (entries[1:], [*entries, entries[0]]):
            (log / path).write_bytes(encode_bundle(altered))
            refused(log, path, "ends within|bytes after")
        (log / path).write_bytes(data)


def test_reorder_files(log: Path) -> None:
    for one, two in (("tile/0/000", "tile/0/001"), ("tile/entries/000", "tile/entries/001")):
        first, second = (log / one).read_bytes(), (log / two).read_bytes()
        (log / one).write_bytes(second)
        (log / two).write_bytes(first)
        refused(log, one, "and 1 more faults")
        (log / one).write_bytes(first)
        (log / two).write_bytes(second)


def rewrite(log: Path, index: int) -> None:
    """Alter an entry, and make all hashes above it anew, as whoever has the disk and not the key can."""
    folder = log.parent / "rewritten"
    make_log(folder, SIZE, signer=log_signer(9))
    disk = Disk(folder)
    tile = Log.open(folder, Trust((log_signer(9).key.public,))).tile_at(ENTRIES, index // 256)
    entries = decode_bundle(disk.read(tile.path), tile.width)
    entries[index % 256] = encode_entry(sample(index, of="forged"))
    (folder / tile.path).write_bytes(encode_bundle(entries))
    hashes = b"".join(map(leaf_hash, entries))
    (folder / Tile(0, tile.number, tile.width).path).write_bytes(hashes)
    if tile.width == 256:
        above = bytearray(disk.read("tile/1/000.p/3"))
        above[tile.number * 32 : tile.number * 32 + 32] = root_hash(map(leaf_hash, entries))
        (folder / "tile/1/000.p/3").write_bytes(above)
    shutil.rmtree(log / "tile")
    shutil.copytree(folder / "tile", log / "tile")


@pytest.mark.parametrize("index", [3, 791])
def test_a_log_that_was_made_anew(log: Path, index: int) -> None:
    rewrite(log, index)
    refused(log, CHECKPOINT, "signs another root for 800 entries")


def test_entry_and_tile_altered_together(log: Path) -> None:
    entries = decode_bundle((log / "tile/entries/001").read_bytes(), 256)
    entries[9] = encode_entry(sample(9, of="forged"))
    (log / "tile/entries/001").write_bytes(encode_bundle(entries))
    (log / "tile/0/001").write_bytes(b"".join(map(leaf_hash, entries)))
    refused(log, "tile/entries/001", "the entries 256 to 511 and their tile are not what tile/1/000.p/3 holds")


def test_several_things_at_once(log: Path) -> None:
    flip(log / "tile/entries/000")
    flip(log / "tile/0/001")
    refused(log, "tile/entries/000", r"its entry 0 is not .* \(and 1 more faults\)")


def test_checkpoint_flipped(log: Path) -> None:
    for at in (0, 21, 40, 120, 180):
        data = (log / CHECKPOINT).read_bytes()
        flip(log / CHECKPOINT, at)
        refused(log, CHECKPOINT, "checkpoint")
        (log / CHECKPOINT).write_bytes(data)


def test_checkpoint_dropped(log: Path) -> None:
    (log / CHECKPOINT).unlink()
    refused(log, CHECKPOINT, "is missing, though the log has tiles")


def test_checkpoint_replayed_from_another_log(log: Path, other: Path) -> None:
    shutil.copy(other / CHECKPOINT, log / CHECKPOINT)
    refused(log, CHECKPOINT, "signs another root for 800 entries")


def test_checkpoint_of_another_origin(log: Path, tmp_path: Path) -> None:
    elsewhere = make_log(tmp_path / "x", 800, signer=log_signer(0, "example.com/elsewhere"))
    shutil.copy(elsewhere / CHECKPOINT, log / CHECKPOINT)
    refused(log, CHECKPOINT, "is of the log 'example.com/elsewhere'")


def test_checkpoint_rolled_back(log: Path, tmp_path: Path) -> None:
    earlier = (log / CHECKPOINT).read_bytes()
    with open_writer(log, log_signer()) as writer:
        writer.append([sample(number) for number in range(SIZE, SIZE + 20)])
    (log / CHECKPOINT).write_bytes(earlier)
    refused(log, CHECKPOINT, "is older than tile/entries/003.p/52")


def test_checkpoint_signed_again_by_a_stranger(log: Path) -> None:
    signed = Log.open(log, TRUST).signed
    (log / CHECKPOINT).write_bytes(sign_checkpoint(signed.checkpoint, log_signer(7)).data)
    refused(log, CHECKPOINT, "not signed by a trusted key")


def test_a_rewritten_log_signed_by_a_stranger(log: Path) -> None:
    rewrite(log, 3)
    (log / CHECKPOINT).write_bytes((log.parent / "rewritten" / CHECKPOINT).read_bytes())
    refused(log, CHECKPOINT, "not signed by a trusted key")


def test_a_fork_by_the_log_itself(log: Path, other: Path) -> None:
    seen = (other / CHECKPOINT).read_bytes()  # the same key, origin and size, and other entries
    refused(log, "seen", "fork|not the first", earlier={"seen": seen})


def test_strange_files(log: Path) -> None:
    for path in ("tile/0/999.tmp", "tile/README", "tile/0/00\x1b"):
        (log / path).write_bytes(b"")
        with pytest.raises(IntegrityError, match="is no file of a log"):
            verify_log(log, TRUST)
        (log / path).unlink()
    (log / "tile/0/000").rename(log / "kept")
    (log / "tile/0/000").symlink_to(log / "kept")
    with pytest.raises(IntegrityError, match=r"tile/0/000: is no file of a log"):
        verify_log(log, TRUST)


def test_stale_partial_tiles(log: Path) -> None:
    for path, size in (("tile/0/001.p/3", 96), ("tile/entries/001.p/2", 0)):
        (log / path).parent.mkdir()
        whole = (log / path.partition(".p")[0]).read_bytes()
        part = whole[:size] if size else encode_bundle(decode_bundle(whole, 256)[:2])
        (log / path).write_bytes(part)
        assert verify_log(log, TRUST)
        for bad in (part[:-1], bytes([part[0] ^ 1]) + part[1:], whole):
            (log / path).write_bytes(bad)
            refused(log, path, "is not what the tile began with")
        (log / path).unlink()


def test_entries_that_are_none(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 2)
    with open_writer(log, log_signer()) as writer:
        writer.append_raw([b"not an entry"])
    refused(log, "tile/entries/000.p/3", "entry 2 is no entry of ours")


# --- the journal ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def interrupted(log: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log whose last batches are acknowledged, and not yet published."""
    with monkeypatch.context() as patched:
        patched.setattr(writer_module.LogWriter, "publish", lambda self: self.checkpoint)
        with open_writer(log, log_signer()) as writer:
            writer.append([sample(SIZE), sample(SIZE + 1)])
            writer.append([sample(SIZE + 2)])
    return log


def test_what_waits_in_the_journal(interrupted: Path) -> None:
    verified = verify_log(interrupted, TRUST)
    assert (verified.signed.size, verified.pending) == (SIZE, 3)
    assert recover_log(interrupted, TRUST).published == 3  # without the key
    assert verify_log(interrupted, TRUST).signed.size == SIZE + 3


JOURNAL_TAMPERING: dict[str, Callable[[list[bytes], bytes], bytes]] = {
    "flip": lambda records, _: records[0][:200] + bytes([records[0][200] ^ 1]) + records[0][201:] + records[1],
    "drop": lambda records, _: records[1],
    "reorder": lambda records, _: records[1] + records[0],
    "replay": lambda records, _: records[0] + records[0],
    "re-sign": lambda _, forged: forged,
}


@pytest.mark.parametrize("how", JOURNAL_TAMPERING)
def test_journal_tampered_with(interrupted: Path, how: str) -> None:
    data = (interrupted / JOURNAL).read_bytes()
    second = data.index(b"dpj1", 1)
    entry = encode_entry(sample(1, of="forged"))
    forged = Record(SIZE, (entry,), sign_checkpoint(Checkpoint(ORIGIN, SIZE + 1, bytes(32)), log_signer(3)).data)
    (interrupted / JOURNAL).write_bytes(JOURNAL_TAMPERING[how]([data[:second], data[second:]], forged.to_bytes()))
    refused(interrupted, JOURNAL, "journal")
    with pytest.raises(IntegrityError, match="journal"):
        recover_log(interrupted, TRUST)


# --- without us -----------------------------------------------------------------------------------------------------------


def test_a_shell_and_openssl_read_it(log: Path) -> None:
    """The commands of docs/reference/ledger.md, as they stand there."""
    text = (Path(__file__).parents[3] / "docs/reference/ledger.md").read_text(encoding="utf-8")
    script = text.partition("```sh\n")[2].partition("```")[0]
    (log / "log.pub.pem").write_bytes(log_signer().key.public.pem)
    done = subprocess.run(["sh", "-ec", script], cwd=log, capture_output=True, text=True, check=True)
    said, hashed, stored = done.stdout.splitlines()
    assert said == "Signature Verified Successfully"
    assert hashed.split()[0] == stored == leaf_hash(encode_entry(sample(0))).hex()
    flip(log / CHECKPOINT, 30)
    assert subprocess.run(["sh", "-ec", script], cwd=log, capture_output=True, check=False).returncode != 0


def test_the_reference_lists_every_kind() -> None:
    text = (Path(__file__).parents[3] / "docs/reference/ledger.md").read_text(encoding="utf-8")
    for kind, rule in KINDS.items():
        required = ", ".join(f"`{name}`" for name in rule.required)
        optional = ", ".join(f"`{name}`" for name in sorted(rule.optional))
        line = f"| `{kind}` | {rule.means} | {rule.digest or '(may have one)'} | {required} [{optional}] |"
        assert line in text


def test_a_process_that_dies(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(parts, "_work", None)  # nothing that a process could be started with
    flip(log / "tile/entries/002")
    refused(log, "tile/entries/002", "its entry 512 is not")


# --- all of it, at random -------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_found_and_its_file_named(made: Path, data: st.DataObject) -> None:
    names = sorted(
        str(path.relative_to(made))
        for path in made.rglob("*")
        if path.is_file() and parse_path(str(path.relative_to(made)))
    )
    name = data.draw(st.sampled_from([*names, CHECKPOINT]))
    path = made / name
    whole = path.read_bytes()
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    try:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        with pytest.raises(IntegrityError) as caught:
            verify_log(made, TRUST)
        assert caught.value.link == name
    finally:
        path.write_bytes(whole)


def test_verifying_while_another_appends(log: Path) -> None:
    """What a reader finds moved by an append in between is no fault."""
    opened = Log.open(log, TRUST)
    with open_writer(log, log_signer()) as writer:
        writer.append([sample(number) for number in range(SIZE, SIZE + 300)])
    assert not (log / "tile/0/003.p").exists()
    assert [data for _, data in opened.entries()][-1] == encode_entry(sample(SIZE - 1))  # from the full tile now
    assert open_checkpoint(opened.prove(799).checkpoint, TRUST, "x").size == SIZE
    assert verify_log(log, TRUST, earlier={"x": opened.signed.data}).signed.size == SIZE + 300
