"""What `devicepipe release` refuses before anything is built, and what it says at its end."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pyotp
import pytest

from devicepipe.cli.release import _tell
from devicepipe.errors import UsageError
from devicepipe.evidence.decisions import Decisions, PolicyChange
from devicepipe.evidence.predicates import Release, Tool
from devicepipe.evidence.signatures import record_folder
from devicepipe.pipeline.release import Outcome
from tests.cli.calls import WORDS, make_repository, run, sign
from tests.documents.release_records import decisions


def outcome(decided: Decisions) -> Outcome:
    release = Release(
        product="pump",
        version="1.0.0",
        commit="0" * 40,
        releasable=decided.releasable,
        reasons=decided.reasons,
        development_keys=False,
        sealed_on="2026-05-01T00:00:00Z",
        generator=Tool(name="devicepipe", version="0"),
        weakened=decided.weakened or None,
    )
    return Outcome(
        bundle=Path("dist/pump-1.0.0"),
        release=release,
        decisions=decided,
        verdicts={},
        seconds=1.0,
        peak_bytes=2**20,
        steps={},
    )


def test_a_reason_that_is_no_rules_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "rule set development: what it judges is not for release"
    _tell(outcome(decisions().model_copy(update={"releasable": False, "reasons": [reason]})))
    assert f"✗ {reason}" in capsys.readouterr().out


def test_rules_that_were_made_weaker_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    change = PolicyChange(rule="slot-spare", change="left out", reason="One slot.", place="devicepipe.toml:7")
    _tell(outcome(decisions().model_copy(update={"changes": [change]})))
    assert "! rule changed: slot-spare: left out: One slot. (devicepipe.toml:7)" in capsys.readouterr().out


@pytest.mark.parametrize("development", [True, False])
def test_a_release_that_cannot_ship_is_told_at_its_end(capsys: pytest.CaptureFixture[str], development: bool) -> None:
    """Only `production` told it, when everybody had signed. What development keys signed does not ship anyway."""
    made = outcome(decisions())
    release = made.release.model_copy(update={"development_keys": development})
    _tell(replace(made, release=release, unshippable="it names no production key"))
    said = capsys.readouterr().out
    assert ("it names no production key" in said, "DEVELOPMENT keys" in said) == (not development, development)


@pytest.mark.parametrize("options", [("--replace",), ()])
@pytest.mark.parametrize("what", ["signed", "shipping"])
def test_what_people_signed_is_not_replaced(
    bundle: Path, people: dict[str, pyotp.TOTP], what: str, options: tuple[str, ...]
) -> None:
    """It was, and nothing could be signed, published or withdrawn any more."""
    make_repository(bundle.parents[1])
    bundle = bundle.rename(bundle.with_name("pump-1.2.3"))
    before = (bundle / "release.json").read_bytes()
    if what == "signed":
        sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
        assert record_folder(bundle).is_dir()
    else:
        bundle.with_name("pump-1.2.3.production").mkdir()
    with pytest.raises(UsageError, match="not by --replace either") as caught:
        run("release", "1.2.3", "--allow-dirty", *options)
    assert caught.value.remedy == "release a new version"
    assert (bundle / "release.json").read_bytes() == before


@pytest.mark.parametrize("options", [("--replace",), ()])
def test_what_people_signed_is_not_made_anew_once_their_signatures_were_deleted(
    bundle: Path, people: dict[str, pyotp.TOTP], options: tuple[str, ...]
) -> None:
    """Whoever wrote a change that was rejected deleted the record, or bundle and record, and had the version approved anew."""
    make_repository(bundle.parents[1])
    bundle = bundle.rename(bundle.with_name("pump-1.2.3"))
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    sign("reject", bundle, "quinn", WORDS["quinn"], people["quinn"].now())
    shutil.rmtree(record_folder(bundle))
    for _ in range(2):
        with pytest.raises(UsageError, match=r"people signed this version, as the log has it \(entry \d+\)") as caught:
            run("release", "1.2.3", "--allow-dirty", *options)
        assert caught.value.remedy == "release a new version"
        if bundle.exists():
            shutil.rmtree(bundle)
