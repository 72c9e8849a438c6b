"""kill -9 while somebody signs and while a bundle is sealed: nothing acknowledged is lost, nothing half-done is accepted.

Appending to the log has its own (tests/evidence/ledger/test_crashes.py), and so has publishing (tests/distribution).
"""

from __future__ import annotations

import functools
import random
import shutil
from pathlib import Path

import pyotp
import pytest

from devicepipe.approval.accounts import Accounts
from devicepipe.evidence.verify import verify_bundle
from tests.approval.conftest import Clock
from tests.cli.calls import WORDS, entries, run
from tests.cli.calls import sign as sign_as
from tests.evidence.synthetic_bundle import development_keys, make_bundle
from tests.killing import how_many, killed_at, points_of

POINTS = how_many(60)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("devicepipe.stages.approval.Accounts", functools.partial(Accounts, now=made))
    return made


def put_back(kept: Path, root: Path) -> None:
    for name in (".devicepipe", "dist"):
        shutil.rmtree(root / name)
        shutil.copytree(kept / name, root / name)


def test_approve(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], clock: Clock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whenever the signer's process ends, the release stands as before or as signed, the log holds, and the next one goes on."""

    def sign(command: str, who: str) -> None:
        clock.pass_(seconds=31)
        sign_as(command, bundle, who, WORDS[who], people[who].at(clock.now))

    sign("submit", "eva")
    kept = tmp_path_factory.mktemp("kept")
    for name in (".devicepipe", "dist"):
        shutil.copytree(root / name, kept / name)
    approve = functools.partial(sign, "approve", "ron")
    total = points_of(approve)
    put_back(kept, root)
    assert total > 20
    for point in random.Random(7).choices(range(total + 2), k=POINTS):
        acknowledged = killed_at(approve, point)
        clock.pass_(seconds=31)
        told = run("approvals", bundle)[1]
        signed = [one["account"] for one in told["signatures"]] == ["eva", "ron"]
        assert signed or not acknowledged, point
        assert told["missing"] == ({"qa": 1} if signed else {"qa": 1, "reviewer": 1}), point
        sign("approve", "quinn")
        told = run("approvals", bundle)[1]
        assert told["unlogged"] == [], point
        assert len(entries("approval")) == len(told["signatures"]) == 2 + signed, point
        put_back(kept, root)


def test_seal(tmp_path: Path) -> None:
    """Whenever the process ends, there is the whole bundle or none, and making it again works."""
    public = development_keys().release.public
    make_bundle(tmp_path, name="warm")
    final = tmp_path / "bundle"
    total = points_of(lambda: make_bundle(tmp_path))
    shutil.rmtree(final)
    assert total > 40
    # The last points are those of seal and of the final name.
    chosen = random.Random(7)
    for point in [
        *chosen.choices(range(total), k=POINTS // 2),
        *chosen.choices(range(total - 20, total + 1), k=POINTS // 2),
    ]:
        acknowledged = killed_at(lambda: make_bundle(tmp_path), point)
        assert final.exists() or not acknowledged, point
        if final.exists():
            verify_bundle(final, public)
            shutil.rmtree(final)
    make_bundle(tmp_path)
    verify_bundle(final, public)
