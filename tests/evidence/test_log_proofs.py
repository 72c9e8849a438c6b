"""The proofs that a bundle carries of its log entries: all of them, each about what the bundle says, or it is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from devicepipe.errors import IntegrityError
from devicepipe.evidence.ledger.entry import Entry
from devicepipe.evidence.log_proofs import DECISION, LOG
from devicepipe.evidence.verify import verify_bundle
from tests.evidence.logged import add_proofs
from tests.evidence.reseal import reseal
from tests.evidence.synthetic_bundle import Made, development_keys, make_bundle
from tests.evidence.tamper import reject_all

BUILD = f"{LOG}attestations/alpha/build.tlog-proof"
TEST = f"{LOG}attestations/alpha/test.tlog-proof"

Entries = dict[str, Entry]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_bundle(tmp_path)


def told(made: Made) -> str:
    (link,) = (one for one in verify_bundle(made.path, made.keys.release.public).links if one.link == LOG)
    return link.check


def refused(made: Made) -> IntegrityError:
    with pytest.raises(IntegrityError) as caught:
        verify_bundle(made.path, made.keys.release.public)
    return caught.value


def test_every_attestation_and_the_decision_are_proven_with_no_log(made: Made, tmp_path: Path) -> None:
    names = add_proofs(made, tmp_path / "log")
    assert len(names) == len(made.attestations) + 1
    assert told(made) == f"{len(names)} proofs: every attestation and the decision about the release are in the log"


def test_a_bundle_of_a_devicepipe_without_a_log_is_told_as_that(made: Made) -> None:
    assert told(made) == "has no proofs: the devicepipe that made the bundle kept no log"


def test_nothing_can_be_changed_about_a_bundle_with_proofs(made: Made, tmp_path: Path) -> None:
    add_proofs(made, tmp_path / "log")
    aside = tmp_path / "aside"
    aside.mkdir()
    assert reject_all(made.path, made.keys.release.public, aside, flips=0) > 0


def _drop(bundle: Path) -> None:
    (bundle / TEST).unlink()


def _add(bundle: Path) -> None:
    (bundle / f"{LOG}more.tlog-proof").write_bytes((bundle / TEST).read_bytes())


def _flip(bundle: Path) -> None:
    data = bytearray((bundle / TEST).read_bytes())
    data[-20] ^= 1
    (bundle / TEST).write_bytes(data)


def _exchange(bundle: Path) -> None:
    build, test = (bundle / BUILD).read_bytes(), (bundle / TEST).read_bytes()
    (bundle / BUILD).write_bytes(test)
    (bundle / TEST).write_bytes(build)


def _repeat(bundle: Path) -> None:
    (bundle / TEST).write_bytes((bundle / BUILD).read_bytes())


@pytest.mark.parametrize(
    ("change", "link", "why"),
    [
        (_drop, TEST, "is missing, though there are other proofs"),
        (_add, f"{LOG}more.tlog-proof", "proves nothing of this bundle"),
        (_flip, TEST, "signature|proof"),
        (_exchange, BUILD, "its entry is"),
        (_repeat, TEST, "its entry is"),
    ],
)
def test_proofs_that_the_holder_of_the_release_key_changed_are_refused(
    made: Made, tmp_path: Path, change: Callable[[Path], None], link: str, why: str
) -> None:
    add_proofs(made, tmp_path / "log")
    change(made.path)
    reseal(made.path, made.keys.release)
    error = refused(made)
    assert error.link == link
    assert any(word in error.message for word in why.split("|"))


def test_proofs_of_another_release_are_refused(made: Made, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, version="1.2.4", name="other")
    names = add_proofs(other, tmp_path / "other-log")
    add_proofs(made, tmp_path / "log")
    for name in names:
        (made.path / name).write_bytes((other.path / name).read_bytes())
    reseal(made.path, made.keys.release)
    assert refused(made).link == BUILD.replace("alpha/build", "alpha/analysis")


def test_proofs_of_a_log_by_another_key_are_refused(made: Made, tmp_path: Path) -> None:
    add_proofs(made, tmp_path / "log", pair=development_keys(1).release)
    assert refused(made).link == BUILD.replace("alpha/build", "alpha/analysis")


def _otherwise(field: str, value: object) -> Callable[[Entries], Mapping[str, Entry]]:
    return lambda entries: entries | {DECISION: entries[DECISION].model_copy(update={field: value})}


@pytest.mark.parametrize(
    "change",
    [
        _otherwise("details", {"outcome": "not releasable"}),
        _otherwise("digest", "ab" * 32),
        _otherwise("at", "2026-03-01T08:00:01Z"),
        _otherwise("by", "somebody"),
    ],
    ids=["outcome", "digest", "time", "who"],
)
def test_a_decision_that_was_logged_otherwise_is_refused(
    made: Made, tmp_path: Path, change: Callable[[Entries], Mapping[str, Entry]]
) -> None:
    add_proofs(made, tmp_path / "log", change=change)
    error = refused(made)
    assert (error.link, "its entry is" in error.message) == (DECISION, True)


@pytest.mark.parametrize("at", ["2026-03-01T07:59:59Z", "2026-03-01T08:00:01Z"])
def test_evidence_that_was_logged_before_or_after_the_release_was_made_is_refused(
    made: Made, tmp_path: Path, at: str
) -> None:
    add_proofs(made, tmp_path / "log", at=at)
    assert "when the release was not being made" in refused(made).message


def test_evidence_that_was_logged_in_another_order_is_refused(made: Made, tmp_path: Path) -> None:
    add_proofs(made, tmp_path / "log", change=lambda entries: dict(reversed(entries.items())))
    assert "stands in the log before an entry that it follows" in refused(made).message
