"""What `devicepipe release` says at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.cli.release import _tell
from devicepipe.evidence.decisions import Decisions, PolicyChange
from devicepipe.evidence.predicates import Release, Tool
from devicepipe.pipeline.release import Outcome
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
