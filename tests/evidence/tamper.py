"""Everything that can be done to a finished bundle without its private key, one change at a time, each undone afterwards.

For any bundle, synthetic or real: `reject_all(bundle, public_key, aside)`.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from devicepipe.errors import IntegrityError
from devicepipe.evidence.verify import verify_bundle
from devicepipe.signing.keys import PublicKey

CHECKED_FIRST = ("release.json.dsse", "release.json")


@dataclass(frozen=True)
class Tampering:
    """A change of a bundle: what it is, the file that the verifier must name, the paths it touches, and how it is done."""

    title: str
    link: str
    touched: tuple[Path, ...]
    change: Callable[[], object]


def reject_all(bundle: Path, public_key: PublicKey, aside: Path, *, flips: int = 5) -> int:
    """Every tampering is rejected, naming the file; the bundle verifies before and afterwards.

    Args:
        bundle: The bundle; changed and restored.
        public_key: The key it verifies with.
        aside: An empty folder outside the bundle.
        flips: Bytes to flip in each file, beside the first, middle and last one.

    Returns:
        How many tamperings there were.
    """
    verify_bundle(bundle, public_key)
    done = 0
    for tampering in tamperings(bundle, aside / "copy", flips):
        with _undone(tampering.touched, aside):
            tampering.change()
            with pytest.raises(IntegrityError) as caught:
                verify_bundle(bundle, public_key)
            assert caught.value.link == tampering.link, f"{tampering.title}: {caught.value}"
        done += 1
    verify_bundle(bundle, public_key)
    return done


def tamperings(bundle: Path, copy: Path, flips: int) -> Iterator[Tampering]:
    names = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    for name in names:
        yield from _spoil(bundle, name, copy, flips)
    yield from _swap(bundle, names)
    yield from _add(bundle)
    for folder in sorted({name.split("/")[0] for name in names if "/" in name}):
        first = min(name for name in names if name.startswith(f"{folder}/"))
        path = bundle / folder
        change = partial(_link_to_copy, path, copy)
        yield Tampering(f"{folder}/ becomes a link to its own copy", first, (path, copy), change)


def _spoil(bundle: Path, name: str, copy: Path, flips: int) -> Iterator[Tampering]:
    path = bundle / name
    data = path.read_bytes()
    some = random.Random(name).sample(range(len(data)), min(flips, len(data)))
    for place in sorted({0, len(data) // 2, len(data) - 1, *some}):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        yield Tampering(
            f"flip a bit of byte {place} of {name}", name, (path,), partial(path.write_bytes, bytes(flipped))
        )
    for title, change in (
        ("drop", path.unlink),
        ("empty", partial(path.write_bytes, b"")),
        ("append a line break to", partial(path.write_bytes, data + b"\n")),
        ("cut the last byte of", partial(path.write_bytes, data[:-1])),
        ("make a link to its own copy of", partial(_link_to_copy, path, copy)),
        ("make a folder of", partial(_replace, path, Path.mkdir)),
        ("make a FIFO of", partial(_replace, path, os.mkfifo)),
    ):
        yield Tampering(f"{title} {name}", name, (path, copy), change)


def _swap(bundle: Path, names: list[str]) -> Iterator[Tampering]:
    order = [*CHECKED_FIRST, *(name for name in names if name not in CHECKED_FIRST)]
    for one, other in zip(order, order[1:] + order[:1], strict=True):
        here, there = bundle / one, bundle / other
        if here.read_bytes() != there.read_bytes():
            first = min(one, other, key=order.index)
            yield Tampering(f"swap {one} and {other}", first, (here, there), partial(_exchange, here, there))


def _add(bundle: Path) -> Iterator[Tampering]:
    for name in (
        "extra.bin",
        ".hidden",
        "keys/second.pub.pem",
        "attestations/extra.dsse.json",
        "images/Z.bin",
        "RELEASE.JSON",
    ):
        path = bundle / name
        yield Tampering(f"add {name}", name, (path,), partial(path.write_bytes, b"x"))
    for name in ("empty", "keys/empty", ".git"):
        yield Tampering(f"add the empty folder {name}", name, (bundle / name,), (bundle / name).mkdir)
    for target in ("release.json", "/nowhere", "."):
        path = bundle / "keys" / "link"
        yield Tampering(f"add a link to {target}", "keys/link", (path,), partial(path.symlink_to, target))
    yield Tampering("add a FIFO", "pipe", (bundle / "pipe",), partial(os.mkfifo, bundle / "pipe"))
    for name, shown in (("line\nbreak", r"line\nbreak"), ("\udcff", r"\udcff"), ("\x1b[2J", r"\x1b[2J")):
        yield Tampering(f"add a file with the name {shown}", shown, (bundle / name,), (bundle / name).touch)


def _exchange(here: Path, there: Path) -> None:
    data = here.read_bytes()
    here.write_bytes(there.read_bytes())
    there.write_bytes(data)


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _link_to_copy(path: Path, copy: Path) -> None:
    path.rename(copy)
    path.symlink_to(copy)


@contextmanager
def _undone(touched: tuple[Path, ...], aside: Path) -> Iterator[None]:
    saved = {path: aside / f"saved-{index}" for index, path in enumerate(touched) if path.exists()}
    for path, kept in saved.items():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, kept)
    yield
    for path in touched:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path, kept in saved.items():
        kept.rename(path)
