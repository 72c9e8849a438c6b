"""The Merkle tree of RFC 6962: hashes, proofs, and what checks them. Pure: bytes in, bytes and verdicts out.

What always holds: a hash is 32 bytes; leaves and inner nodes are hashed with different first bytes, so that neither passes for the
other. The verifying functions answer for any input whatever, also for lists that are too long and hashes that are none.

Names: the *node* (level, index) is the hash of the leaves from index * 2**level on, 2**level of them. A tree of any size consists
of such nodes, one for each bit of its size: its *peaks*, from left to right.

Sources: RFC 6962 section 2.1; RFC 9162 sections 2.1.3 and 2.1.4 for the verification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

HASH_SIZE = 32
MAXIMUM_SIZE = 2**63 - 1
"""The largest tree that is dealt with: what a signed 64-bit integer holds."""

EMPTY_ROOT = sha256(b"").digest()

Node = tuple[int, int]
"""Level and index of a node."""

NodeHash = Callable[[int, int], bytes]
"""The hash of a node, by level and index."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of an entry as a leaf."""
    return sha256(b"\x00" + data).digest()


def leaf_hashes(entries: Iterable[bytes]) -> bytes:
    """The hashes of entries as leaves, side by side."""
    return b"".join([sha256(b"\x00" + data).digest() for data in entries])


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def peaks(start: int, end: int) -> list[Node]:
    """The nodes that the leaves [start, end) consist of, from left to right, each the largest that fits.

    `start` must be a multiple of the smallest power of two that is not below `end - start`, as it is in every proof.
    """
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


def fold(hashes: Sequence[bytes]) -> bytes:
    """The hash of peaks, given from left to right; that of the empty tree for none."""
    if not hashes:
        return EMPTY_ROOT
    result = hashes[-1]
    for left in reversed(hashes[:-1]):
        result = node_hash(left, result)
    return result


def range_hash(start: int, end: int, node: NodeHash) -> bytes:
    """The hash of the leaves [start, end); see `peaks` for what `start` must be."""
    return fold([node(level, index) for level, index in peaks(start, end)])


def root_hash(leaves: Iterable[bytes]) -> bytes:
    """The root of a tree, from its leaf hashes."""
    compact = CompactRange()
    for leaf in leaves:
        compact.append(leaf)
    return compact.root()


def full_root(hashes: bytes) -> bytes:
    """The hash of a full subtree, from its 2**n hashes side by side."""
    while len(hashes) > HASH_SIZE:
        # Each pair as it lies there, 64 bytes at a time.
        hashes = b"".join(
            [sha256(b"\x01" + hashes[start : start + 64]).digest() for start in range(0, len(hashes), 2 * HASH_SIZE)]
        )
    return hashes


# --- proofs -----------------------------------------------------------------------------------------------------------


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose hashes prove that a leaf is in a tree, the leaf's sibling first.

    Raises:
        ValueError: There is no such leaf.
    """
    if not 0 <= index < size <= MAXIMUM_SIZE:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    start, end, found = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def inclusion_proof(index: int, size: int, node: NodeHash) -> list[bytes]:
    """The proof that leaf `index` is in the tree of `size` leaves. Raises ValueError where there is no such leaf."""
    return [range_hash(start, end, node) for start, end in inclusion_ranges(index, size)]


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose hashes prove that a tree began as a smaller one; none for equal sizes or the empty tree.

    Raises:
        ValueError: The old tree is the larger one, or a size is none.
    """
    if not 0 <= old <= new <= MAXIMUM_SIZE:
        raise ValueError(f"a tree of {new} leaves cannot have grown from one of {old}")
    if old in (0, new):
        return []
    start, end, found = 0, new, []
    whole = True  # whether the old tree is the left part of all subtrees so far: its verifier then knows its hash
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start, whole = middle, False
    if not whole:
        found.append((start, end))
    return found[::-1]


def consistency_proof(old: int, new: int, node: NodeHash) -> list[bytes]:
    """The proof that the tree of `new` leaves began as that of `old` ones. Raises ValueError as `consistency_ranges`."""
    return [range_hash(start, end, node) for start, end in consistency_ranges(old, new)]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that the leaf hash stands at `index` in the tree of that size and root."""
    if not 0 <= index < size <= MAXIMUM_SIZE or not _are_hashes(leaf, root, *proof):
        return False
    place, last, result = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            result = node_hash(other, result)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            result = node_hash(result, other)
        place, last = place >> 1, last >> 1
    return last == 0 and result == root


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the new tree began as the old one.

    Of the empty tree nothing can be shown: False, except that it equals itself.
    """
    if not 0 <= old <= new <= MAXIMUM_SIZE:
        return False
    if old == new:
        return not proof and old_root == new_root and (old > 0 or old_root == EMPTY_ROOT)
    if old == 0 or not proof or not _are_hashes(old_root, new_root, *proof):
        return False
    first, *rest = [old_root, *proof] if old & (old - 1) == 0 else proof
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    result, grown = first, first
    for other in rest:
        if last == 0:
            return False
        if place & 1 or place == last:
            result, grown = node_hash(other, result), node_hash(other, grown)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            grown = node_hash(grown, other)
        place, last = place >> 1, last >> 1
    return last == 0 and result == old_root and grown == new_root


def _split(count: int) -> int:
    """The largest power of two below a count of two or more."""
    return 1 << (count - 1).bit_length() - 1


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_SIZE for value in values)


# --- growing ----------------------------------------------------------------------------------------------------------


class CompactRange:
    """A tree that grows, as its peaks: all that is needed to append and to tell the root. 64 hashes at most."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """A tree of `size` leaves with these peaks. Raises ValueError where their number does not fit the size."""
        if len(hashes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(hashes)}")
        self.size = size
        self._hashes = [*hashes]

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The peaks, from left to right."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> list[bytes]:
        """Append a leaf hash; the result are the nodes that it completed, by level: itself, its parent if it is a right child."""
        hashes, size, completed = self._hashes, self.size, [leaf]
        while size & 1:
            leaf = sha256(b"\x01" + hashes.pop() + leaf).digest()
            completed.append(leaf)
            size >>= 1
        hashes.append(leaf)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root of the tree as it stands."""
        return fold(self._hashes)
