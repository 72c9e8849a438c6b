"""Somebody withdraws a release while another one publishes it: what the repository says is what people signed last."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest

from devicepipe.distribution.repository import Repository
from devicepipe.distribution.store import FolderStore
from devicepipe.errors import UsageError
from tests.cli.calls import run
from tests.publication.publishing import sign

People = dict[str, pyotp.TOTP]


def in_child(work: Callable[[], object]) -> int:
    """Do something in a process of its own, which ends with 0, or 1 where it is refused; returns its number."""
    child = os.fork()
    if child == 0:
        code = 9
        try:
            work()
            code = 0
        except UsageError:
            code = 1
        finally:
            os._exit(code)
    return child


def code_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} has not come"
        time.sleep(0.01)


def test_a_release_that_is_withdrawn_while_publish_waits_for_the_repository_is_not_published(
    root: Path, bundle: Path, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it stood was asked before the wait for the lock, and not again after it."""
    real, held, waits = Repository.publish, root / "held", root / "waits"

    def told(*arguments: object) -> object:
        waits.touch()
        return real(*arguments)  # type: ignore[arg-type]

    def publish() -> None:
        wait_for(held)
        sign("publish", bundle, "mara", people)

    monkeypatch.setattr(Repository, "publish", told)
    child = in_child(publish)  # before the lock is taken: a child would have it, too
    with FolderStore(root / "dist/repository").locked():  # another command has it: one that waits for a PIN
        held.touch()
        wait_for(waits)
        assert sign("withdraw", bundle, "quinn", people, "Alarms without cause")["state"] == "withdrawn"
    assert code_of(child) == 1
    assert run("approvals", bundle)[1]["state"] == "withdrawn"
    assert run("repository", "status")[1]["releases"] == []


def test_whoever_withdraws_while_the_release_is_written_waits_for_it(
    root: Path, bundle: Path, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last look at the signatures and the swap nobody signs: `unpublish` comes after it, and finds it."""
    real, writes, signed = FolderStore.swap, root / "writes", root / "signed"

    def slow(self: FolderStore, name: str, data: bytes, before: bytes | None) -> None:
        writes.touch()
        time.sleep(2)
        assert not signed.exists()
        real(self, name, data, before)

    def withdraw() -> None:
        sign("withdraw", bundle, "quinn", people, "Alarms without cause")
        signed.touch()

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "swap", slow)
        publishing = in_child(lambda: sign("publish", bundle, "mara", people))
        wait_for(writes)
        withdrawing = in_child(withdraw)
        assert (code_of(publishing), code_of(withdrawing)) == (0, 0)
    assert run("repository", "status")[1]["releases"][0]["state"] == "released"
    assert run("unpublish", bundle)[1]["changed"] is True
    assert run("repository", "status")[1]["releases"][0]["state"] == "withdrawn"
