"""Two machines that both have keys of a repository, and somebody who can write to the store: each machine has its own memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from devicepipe.distribution.releases import Parcel, find_release
from devicepipe.distribution.repository import ONLINE, Repository
from devicepipe.distribution.seen import Seen
from devicepipe.errors import IntegrityError
from tests.distribution.publisher import IMAGE, Clock, Publisher, parcel, signed_root, stock_client


@pytest.fixture
def other(publisher: Publisher, tmp_path: Path) -> Repository:
    """The repository as another machine has it, e.g. one whose timer runs `refresh --unlogged`."""
    return replace(publisher.repository, seen=Seen(tmp_path / "other" / "seen.json"))


@pytest.fixture
def put_back(publisher: Publisher, other: Repository, tmp_path: Path) -> Callable[[Parcel], None]:
    """Publish, put the store back to before that, and have the other machine renew it beyond what was published."""
    folder, older = tmp_path / "repository", tmp_path / "older"

    def act(what: Parcel) -> None:
        publisher.publish(parcel())
        shutil.copytree(folder, older)
        publisher.publish(what)
        shutil.rmtree(folder)
        shutil.copytree(older, folder)
        for _ in range(3):
            other.renew(publisher.root, everything=True)

    return act


def test_a_release_that_another_machine_signed_away_is_missed(
    publisher: Publisher, put_back: Callable[[Parcel], None], tmp_path: Path, url: str
) -> None:
    """All versions were higher than those that were published, and whoever had published it went on without the release."""
    put_back(parcel("1.1.0"))
    for act in (
        lambda: publisher.repository.renew(publisher.root),
        lambda: publisher.publish(parcel("1.2.0")),
        lambda: publisher.repository.check_seen(publisher.repository.state(publisher.root)),
    ):
        with pytest.raises(IntegrityError, match="is not in the repository any more") as caught:
            act()
        assert caught.value.link == "pump 1.1.0"
    assert publisher.publish(parcel("1.1.0"))
    publisher.repository.renew(publisher.root)
    assert stock_client(url, tmp_path / "client", publisher.root).get_targetinfo(f"pump/1.1.0/{IMAGE}") is not None


def test_a_release_that_was_signed_away_is_withdrawn_all_the_same(
    publisher: Publisher, put_back: Callable[[Parcel], None]
) -> None:
    """It was not published, as far as the repository told; and nothing else could be signed without it."""
    put_back(parcel("1.1.0"))
    assert publisher.publish(parcel("1.1.0", "withdrawn"))
    publisher.repository.renew(publisher.root)
    found = find_release(publisher.repository.state(publisher.root).targets.signed, "pump", "1.1.0")
    assert found is not None
    assert found.state.state == "withdrawn"


def test_a_withdrawal_that_another_machine_signed_away_is_told_by_status(
    publisher: Publisher, put_back: Callable[[Parcel], None]
) -> None:
    """`status` showed the release as released, and that all was well."""
    put_back(parcel(state="withdrawn"))
    with pytest.raises(IntegrityError, match="was withdrawn here"):
        publisher.repository.check_seen(publisher.repository.state(publisher.root))


def test_a_machine_that_has_seen_a_withdrawal_renews_no_state_before_it(
    publisher: Publisher, other: Repository, tmp_path: Path
) -> None:
    """It had kept versions only, and those of a third machine were higher."""
    publisher.publish(parcel())
    shutil.copytree(tmp_path / "repository", tmp_path / "older")
    publisher.publish(parcel(state="withdrawn"))
    other.renew(publisher.root)
    shutil.rmtree(tmp_path / "repository")
    shutil.copytree(tmp_path / "older", tmp_path / "repository")
    third = replace(other, seen=Seen(tmp_path / "third" / "seen.json"))
    for _ in range(3):
        third.renew(publisher.root, everything=True)
    with pytest.raises(IntegrityError, match="was withdrawn here"):
        other.renew(publisher.root)


def test_what_a_clock_that_was_ahead_signed_is_signed_anew(publisher: Publisher, other: Repository) -> None:
    """Snapshot and targets held for years: as long could whoever has the timestamp's key show that state as the newest."""
    ahead = Clock(publisher.clock.now + timedelta(days=3650))
    replace(other, now=ahead).renew(publisher.root, everything=True)
    assert publisher.repository.renew(publisher.root) == ("targets", "snapshot", "timestamp")
    state = publisher.repository.state(publisher.root)
    for role in ONLINE:
        assert state.of(role).signed.expires == publisher.clock.now + publisher.setup[role].lasts
    assert publisher.repository.renew(publisher.root) == ("timestamp",)


def test_the_root_is_rotated_whatever_a_thief_of_keys_has_published(publisher: Publisher) -> None:
    with publisher.repository._opened(publisher.root) as state:
        targets = {"pump/1.0.0/x": TargetFile(1, {"sha256": "0" * 64}, "pump/1.0.0/x")}
        publisher.repository._advance(state.root, state, ONLINE, targets)
    with pytest.raises(IntegrityError, match="belongs to no release"):
        publisher.repository.renew(publisher.root)
    publisher.repository.rotate(publisher.root, signed_root(publisher.setup, 2), broken=True)
