"""kill -9 while a release is published, withdrawn and pulled: nothing acknowledged is lost, nothing half-done is accepted.

The whole command, as people run it: signature, repository and log.
"""

from __future__ import annotations

import functools
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyotp
import pytest

from devicepipe.approval.accounts import Accounts
from devicepipe.distribution.pulling import WithdrawnError
from devicepipe.errors import IntegrityError
from tests.approval.conftest import Clock
from tests.cli.calls import entries, run
from tests.killing import how_many, killed_at, points_of
from tests.publication.publishing import APPROVED, WORDS, pull, stock

POINTS = how_many(25)
IMAGE = "pump/1.2.3/images/alpha/factory.hex"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """One-time codes are of the clock that the test sets: each is taken once."""
    made = Clock(datetime.now(UTC))
    monkeypatch.setattr("devicepipe.stages.approval.Accounts", functools.partial(Accounts, now=made))
    return made


def signed(command: str, bundle: Path, who: str, people: dict[str, pyotp.TOTP], clock: Clock) -> None:
    clock.pass_(seconds=31)
    words = (command, bundle, "--as", who, "--meaning", f"I {command} it")
    run(*words, secrets=(WORDS[who], people[who].at(clock.now)))


@pytest.fixture
def approved(root: Path) -> Path:
    run("repository", "init")
    return root / APPROVED


class Kept:
    """The product as it was, to be put back."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        for name in (".devicepipe", "dist"):
            shutil.copytree(root / name, folder / name)

    def put_back(self) -> None:
        for name in (".devicepipe", "dist", "stock", "trust", "pulled"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            if (self.folder / name).exists():
                shutil.copytree(self.folder / name, self.root / name)


def outcome(bundle: Path) -> tuple[str, str]:
    """Where the release stands by its signatures, and by the repository; both hold, and every file is there."""
    try:
        status = run("repository", "status", "--full")[1]["releases"]
        published = status[0]["state"] if status else ""
    except IntegrityError as error:
        if not error.message.startswith(
            "was withdrawn here, and is not withdrawn in the repository: that was interrupted"
        ):
            raise
        published = "released"
    return run("approvals", bundle)[1]["state"], published


@pytest.mark.parametrize("command", ["publish", "unpublish"])
def test_publish_and_unpublish(
    root: Path,
    approved: Path,
    people: dict[str, pyotp.TOTP],
    clock: Clock,
    tmp_path_factory: pytest.TempPathFactory,
    command: str,
) -> None:
    before, after, who = ("approved", "released", "mara")
    if command == "unpublish":
        signed("publish", approved, "mara", people, clock)
        before, after, who = ("released", "withdrawn", "quinn")
    kept = Kept(root, tmp_path_factory.mktemp("kept"))
    action = functools.partial(signed, command, approved, who, people, clock)
    total = points_of(action)
    kept.put_back()
    assert total > 60
    found: set[tuple[str, str]] = set()
    for point in random.Random(11).choices(range(total + 2), k=POINTS):
        acknowledged = killed_at(action, point)
        clock.pass_(seconds=31)
        was = outcome(approved)
        found.add(was)
        published = {"approved": "", "released": "released", "withdrawn": "withdrawn"}
        assert was in {(before, published[before]), (after, published[before]), (after, published[after])}, point
        assert was == (after, after) or not acknowledged, point
        assert (stock(root).get_targetinfo(IMAGE) is not None) == (was[1] == "released"), point
        if was[0] == before:
            signed(command, approved, who, people, clock)
        else:
            run(command, approved)  # it is signed: no secret is asked for
        assert outcome(approved) == (after, after), point
        outcomes = [one["details"]["outcome"] for one in entries("publication")]
        assert outcomes == (["published"] if command == "publish" else ["published", "withdrawn"]), point
        assert run("approvals", approved)[1]["unlogged"] == [], point
        kept.put_back()
    assert len(found) == 3, "some points come before the signature, some after the repository, some between"


def test_pull(root: Path, approved: Path, people: dict[str, pyotp.TOTP], clock: Clock) -> None:
    signed("publish", approved, "mara", people, clock)
    action = functools.partial(pull, root, first=True)
    total = points_of(action)
    final = root / "pulled/pump-1.2.3"
    whole = sorted(path.relative_to(final) for path in final.rglob("*"))
    for point in random.Random(5).choices(range(total + 2), k=POINTS):
        for name in ("pulled", "trust"):
            shutil.rmtree(root / name)
        acknowledged = killed_at(action, point)
        if final.exists():
            assert sorted(path.relative_to(final) for path in final.rglob("*")) == whole, point
        assert final.exists() or not acknowledged, point
        assert pull(root, first=True)["version"] == "1.2.3", point
        left = {path.name for path in (root / "pulled").iterdir()} - {".pump-1.2.3.lock"}
        assert left == {"pump-1.2.3"}, point
    signed("unpublish", approved, "quinn", people, clock)
    with pytest.raises(WithdrawnError):
        pull(root)
