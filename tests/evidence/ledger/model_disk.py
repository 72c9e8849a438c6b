"""A file system in memory that keeps only what POSIX promises, and stops wherever it is told to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devicepipe.evidence.ledger.checkpoint import parse_checkpoint
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.note import parse_note
from devicepipe.evidence.ledger.tiles import parse_path


class PowerLoss(BaseException):
    """The machine stops here."""


@dataclass
class Inode:
    """A file: what it holds, and all that it may hold after a loss of power."""

    data: bytes = b""
    lasting: bytes = b""
    since: list[bytes] = field(default_factory=list)

    def change(self, data: bytes) -> None:
        self.data = data
        self.since.append(data)

    def sync(self) -> None:
        self.lasting, self.since = self.data, []

    def after_loss(self, choose: random.Random) -> bytes:
        whole = choose.choice([self.lasting, *self.since])
        if whole == self.lasting or choose.random() < 0.4:
            return whole
        kept = len(self.lasting) if whole.startswith(self.lasting) else 0  # what was synced, and only appended to
        cut = choose.randrange(kept, len(whole) + 1)  # torn: the rest is missing, or was never written
        return whole[:cut] + bytes(choose.choice([0, len(whole) - cut]))


Name = Inode | str | None
"""What a name in a folder stands for: a file, the path of a folder, or nothing."""


class ModelDisk(Disk):
    """As `Disk`, in memory. Counts its steps; raises `PowerLoss` in the middle of step `stop_at`."""

    def __init__(self, choose: random.Random, stop_at: int | None = None) -> None:
        super().__init__(Path("model"))
        self.choose = choose
        self.stop_at = stop_at
        self.steps = 0
        self.tree: dict[str, dict[str, Name]] = {"": {}}
        self.lasting: dict[str, dict[str, list[Name]]] = {
            "": {}
        }  # name -> all that it may stand for after a loss of power
        self.published: list[bytes] = []

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self, name: str) -> bytes:
        return self._inode(name).data

    def names(self, folder: str) -> list[str]:
        return sorted(self.tree.get(folder, {}))

    def size(self, name: str) -> int:
        return len(self.read(name)) if name in self.tree[""] else 0

    def _inode(self, name: str) -> Inode:
        folder, _, last = name.rpartition("/")
        found = self.tree.get(folder, {}).get(last)
        if not isinstance(found, Inode):
            raise FileNotFoundError(2, "No such file or directory", name)
        return found

    # --- writing ----------------------------------------------------------------------------------------------------

    def truncate(self, name: str, size: int) -> None:
        with self._step():
            pass
        inode = self._inode(name)
        inode.change(inode.data[:size])

    def remove(self, name: str) -> None:
        with self._step():
            pass
        self._inode(name)
        self._point(name, None)

    def remove_folder(self, name: str) -> None:
        with self._step():
            pass
        assert not self.tree[name]
        del self.tree[name]
        self._point(name, None)

    @contextmanager
    def locked(self, name: str = ".lock") -> Iterator[None]:
        yield

    def _is_folder(self, name: str) -> bool:
        return name in self.tree

    def _make_folder(self, name: str) -> None:
        with self._step():
            pass
        self.tree[name] = {}
        self.lasting.setdefault(name, {})
        self._point(name, name)

    def _write(self, name: str, data: bytes) -> None:
        self._check_unpublished(name)
        folder, _, last = name.rpartition("/")
        found = self.tree[folder].get(last)
        inode = found if isinstance(found, Inode) else Inode()
        if inode is not found:
            self._point(name, inode)
        with self._step():
            inode.change(data[: self.choose.randrange(len(data) + 1)])
        inode.change(data)

    def _append(self, name: str, data: bytes) -> None:
        inode = self._inode(name)
        before = inode.data
        with self._step():
            inode.change(before + data[: self.choose.randrange(len(data) + 1)])
        inode.change(before + data)

    def _rename(self, old: str, new: str) -> None:
        with self._step():
            pass
        self._point(new, self._inode(old))
        self._point(old, None)
        if new == "checkpoint":
            self.published.append(self.read(new))

    def _sync_file(self, name: str) -> None:
        with self._step():
            pass
        self._inode(name).sync()

    def _sync_folder(self, name: str) -> None:
        with self._step():
            pass
        for last, one in self.tree[name].items():
            self.lasting[name][last] = [one]
        for last in self.lasting[name].keys() - self.tree[name].keys():
            self.lasting[name][last] = [None]

    def sync(self) -> None:
        # One after another, in any order: the real one does it with threads.
        for names, one in ((self._files, self._sync_file), (self._folders, self._sync_folder)):
            shuffled = sorted(names)
            self.choose.shuffle(shuffled)
            for name in shuffled:
                one(name)
            names.clear()

    def _point(self, name: str, to: Name) -> None:
        folder, _, last = name.rpartition("/")
        if to is None:
            self.tree[folder].pop(last, None)
        else:
            self.tree[folder][last] = to
        self.lasting[folder].setdefault(last, [None]).append(to)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """A step: when it is time to stop, what the body did is half of it."""
        self.steps += 1
        if self.steps == self.stop_at:
            yield
            raise PowerLoss
        yield

    def _check_unpublished(self, name: str) -> None:
        """What a published checkpoint covers is never written again."""
        tile = parse_path(name)
        if tile is not None:
            size = parse_checkpoint(parse_note(self.read("checkpoint"), "x").text, "x").size
            assert tile.size > size, f"{name} is covered by the checkpoint at {size}"

    # --- what is left -----------------------------------------------------------------------------------------------

    def after_kill(self) -> ModelDisk:
        """After the process was killed: all that it did is there."""
        left = ModelDisk(self.choose)
        left.tree, left.lasting, left.published = self.tree, self.lasting, self.published
        return left

    def after_loss(self) -> ModelDisk:
        """After a loss of power: of what was not synced, anything may be there."""
        left = ModelDisk(self.choose)
        left.published = self.published
        pending, chosen = [""], {id(None): Inode()}
        while pending:
            folder = pending.pop()
            left.tree[folder], left.lasting[folder] = {}, {}
            for last, may in self.lasting[folder].items():
                one = self.choose.choice(may)
                if isinstance(one, str):
                    pending.append(one)
                elif one is not None:
                    data = one.after_loss(self.choose)
                    one = chosen.setdefault(id(one), Inode(data, data))
                if one is not None:
                    left.tree[folder][last] = one
                    left.lasting[folder][last] = [one]
        return left
