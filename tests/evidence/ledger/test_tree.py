from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicepipe.evidence.ledger.tree import (
    EMPTY_ROOT,
    CompactRange,
    consistency_proof,
    full_root,
    inclusion_proof,
    leaf_hash,
    node_hash,
    peaks,
    range_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("merkle_vectors.json").read_text(encoding="utf-8"))

# RFC 6962 hashes of the reference tree of github.com/google/certificate-transparency, by the number of its leaves.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def hashes(numbers: Sequence[int | None]) -> list[bytes]:
    return [b"" if one is None else base64.b64decode(VECTORS["hashes"][one]) for one in numbers]


@pytest.mark.parametrize("vector", VECTORS["inclusion"], ids=lambda vector: vector[0])
def test_published_inclusion(vector: list[Any]) -> None:
    _, accepted, index, size, leaf, root, proof = vector
    (leaf,), (root,) = hashes([leaf]), hashes([root])
    assert verify_inclusion(index, size, leaf, hashes(proof), root) is accepted


@pytest.mark.parametrize("vector", VECTORS["consistency"], ids=lambda vector: vector[0])
def test_published_consistency(vector: list[Any]) -> None:
    _, accepted, old, old_root, new, new_root, proof = vector
    (old_root,), (new_root,) = hashes([old_root]), hashes([new_root])
    assert verify_consistency(old, old_root, new, new_root, hashes(proof)) is accepted


def test_there_are_good_and_bad_vectors() -> None:
    counts = [
        sum(vector[1] is good for vector in VECTORS[kind])
        for kind in ("inclusion", "consistency")
        for good in (True, False)
    ]
    assert counts == [6, 92, 6, 92]


def test_published_roots() -> None:
    leaves = [leaf_hash(bytes.fromhex(text)) for text in LEAVES]
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [root_hash(leaves[:size]).hex() for size in range(1, 9)] == ROOTS


# --- against the definition, word for word -----------------------------------------------------------------------------


def definition(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, from leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    half = 1
    while 2 * half < len(leaves):
        half *= 2
    return node_hash(definition(leaves[:half]), definition(leaves[half:]))


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    half = 1
    while 2 * half < len(leaves):
        half *= 2
    if index < half:
        return [*path(index, leaves[:half]), definition(leaves[half:])]
    return [*path(index - half, leaves[half:]), definition(leaves[:half])]


def subproof(old: int, leaves: Sequence[bytes], *, known: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2."""
    if old == len(leaves):
        return [] if known else [definition(leaves)]
    half = 1
    while 2 * half < len(leaves):
        half *= 2
    if old <= half:
        return [*subproof(old, leaves[:half], known=known), definition(leaves[half:])]
    return [*subproof(old - half, leaves[half:], known=False), definition(leaves[:half])]


def numbered(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


LEAF_HASHES = numbered(300)


def nodes_of(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    return lambda level, index: definition(leaves[index << level : (index + 1) << level])


@given(st.integers(0, 300))
def test_root_and_peaks(size: int) -> None:
    leaves = LEAF_HASHES[:size]
    assert root_hash(leaves) == definition(leaves) == range_hash(0, size, nodes_of(leaves))
    compact = CompactRange(size, [nodes_of(leaves)(*peak) for peak in peaks(0, size)])
    assert compact.root() == definition(leaves)
    compact.append(LEAF_HASHES[0])
    assert compact.root() == definition([*leaves, LEAF_HASHES[0]])


def test_every_proof_of_small_trees() -> None:
    for size in range(1, 34):
        leaves = LEAF_HASHES[:size]
        node, root = nodes_of(leaves), definition(leaves)
        for index in range(size):
            proof = inclusion_proof(index, size, node)
            assert proof == path(index, leaves)
            assert [verify_inclusion(at, size, leaves[index], proof, root) for at in range(size)].count(True) == 1
            assert verify_inclusion(index, size, leaves[index], proof, root)
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, node)
            assert proof == subproof(old, leaves)
            assert verify_consistency(old, definition(leaves[:old]), size, root, proof)
            assert not verify_consistency(old, leaf_hash(b"another"), size, root, proof)


@settings(max_examples=200)
@given(st.data())
def test_nothing_but_the_proof_is_accepted(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    leaves = LEAF_HASHES[:size]
    node, root = nodes_of(leaves), definition(leaves)
    included, consistent = inclusion_proof(index, size, node), consistency_proof(old, size, node)
    altered = [*data.draw(st.sampled_from([included, consistent]))]
    what = data.draw(st.sampled_from(["drop", "flip", "repeat", "swap", "cut", "extend"]))
    at = data.draw(st.integers(0, max(len(altered) - 1, 0)))
    before = [*altered]
    if what == "extend" or not altered:
        altered.insert(at, data.draw(st.binary(max_size=33)))
    elif what == "drop":
        del altered[at]
    elif what == "flip":
        altered[at] = bytes([altered[at][0] ^ 1]) + altered[at][1:]
    elif what == "repeat":
        altered.insert(at, altered[at])
    elif what == "swap":
        altered[at], altered[0] = altered[0], altered[at]
    else:
        altered[at] = altered[at][:-1]
    if altered == before:
        return
    if before == included:
        assert not verify_inclusion(index, size, leaves[index], altered, root)
    if before == consistent:
        assert not verify_consistency(old, definition(leaves[:old]), size, root, altered)


def test_full_root_and_completed_nodes() -> None:
    leaves = LEAF_HASHES[:256]
    compact = CompactRange()
    completed = [compact.append(leaf) for leaf in leaves]
    assert completed[-1][8] == full_root(b"".join(leaves)) == definition(leaves)
    assert completed[4] == [leaves[4]]
    assert completed[5] == [leaves[5], definition(leaves[4:6])]


def test_wrong_questions() -> None:
    for index, size in ((0, 0), (3, 3), (-1, 3), (0, 2**63)):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_proof(index, size, nodes_of([]))
        assert not verify_inclusion(index, size, EMPTY_ROOT, [], EMPTY_ROOT)
    for old, new in ((4, 3), (-1, 3), (1, 2**63)):
        with pytest.raises(ValueError, match="cannot have grown"):
            consistency_proof(old, new, nodes_of([]))
        assert not verify_consistency(old, EMPTY_ROOT, new, EMPTY_ROOT, [])
    with pytest.raises(ValueError, match="2 peaks"):
        CompactRange(3, [EMPTY_ROOT])
