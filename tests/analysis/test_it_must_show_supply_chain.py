"""What the supply chain must show, from a program that a real compiler linked to the gate's decision."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from devicepipe.analysis.cyclonedx_text import schema_problem
from devicepipe.analysis.linked_libraries import LinkedFirmware
from devicepipe.analysis.vulnerability_snapshot import make_store
from devicepipe.evidence.components import Component, components_of
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.vulnerabilities import Assessment
from devicepipe.policy.evidence import GateInput
from devicepipe.policy.gate import decide
from devicepipe.policy.rules import load_rule_set
from devicepipe.policy.supply import SbomEvidence
from devicepipe.project.config import Project, load_project
from devicepipe.project.sections import VulnerabilitySettings
from devicepipe.project.snapshot_lock import PinnedSnapshot
from devicepipe.stages.vulnerability_data import assessment_of
from tests.analysis.test_sbom_document import TINY, make, of_the_compiler, soup
from tests.analysis.vulnerability_samples import ZCBOR, dump, osv, package, statement, vex
from tests.policy.samples import WHEN, checked, failed, with_board

REPOSITORY = Path(__file__).parents[2]
RULES = load_rule_set("release")
AFFECTING = osv("SAMPLE-1", package({"introduced": "0.8"}, {"fixed": "0.9.2"}))
REPAIRED = osv("SAMPLE-1", package({"introduced": "0"}, {"fixed": "0.9.0"}))
FOREIGN = osv("SAMPLE-1", package({"introduced": "0"}, purl="pkg:pypi/other"))
DAY = dt.date.fromisoformat(WHEN[:10])


def broken_by(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    """What the gate has against a bill of materials."""
    evidence = SbomEvidence(tuple(components_of(document, "sbom")), schema_problem(document))
    return failed(decide(with_board(sbom=evidence), RULES))


def test_it_must_show_3_the_sbom_is_valid_and_names_every_soup_item_that_the_link_map_proves(
    linked: LinkedFirmware,
) -> None:
    tiny = soup("tiny", "lib/tiny/tiny.c", support_level="actively-maintained", end_of_support="not announced")
    idle = soup("idle", "lib/idle/idle.c", support_level="actively-maintained", end_of_support="not announced")
    document = make(linked, tiny, idle, linked=(of_the_compiler(),))
    assert schema_problem(document) == ""
    proven = {one.name for one in components_of(document, "sbom") if one.linked}
    assert proven == {"tiny", "libgcc of GCC for Arm"}  # `idle` was given to the linker and is not in the program
    assert broken_by(document) == {}


def test_it_must_show_3_a_library_linked_without_being_declared_stops_the_release_by_name(
    linked: LinkedFirmware,
) -> None:
    message = broken_by(make(linked, linked=(of_the_compiler(),)))["libraries-declared", "small"]
    assert "tiny (lib/tiny/tiny.c: " in message
    message = broken_by(make(linked, TINY))["libraries-declared", "small"]
    assert "libgcc (/" in message
    assert "and the lock file does not name it" in message


def product(folder: Path, record: dict[str, Any], *statements: dict[str, Any], **settings: Any) -> Project:
    """The reference product's settings in a folder with another snapshot and other statements."""
    facts = make_store(dump(folder / "dump", record), None)
    (folder / "vex").mkdir()
    if statements:
        (folder / "vex/a.json").write_text(json.dumps(vex(*statements)), encoding="utf-8")
    pinned = {
        "sha256": facts.sha256,
        "date": DAY - dt.timedelta(days=settings.pop("age", 0)),
        "newest-record": facts.newest,
    }
    pinned |= {"format": facts.format, "records": facts.records, "description": "sample", "path": "dump"}
    text = PinnedSnapshot.model_validate(pinned).text()
    (folder / "snapshot.toml").write_text(text, encoding="utf-8")
    reference = load_project(REPOSITORY / "devicepipe.toml")
    asked = VulnerabilitySettings(snapshot="snapshot.toml", vex="vex", **settings)
    named = reference.product.model_copy(update={"name": "pump"})
    return reference.model_copy(update={"root": folder, "vulnerabilities": asked, "product": named})


def told(project: Project) -> Assessment:
    boards: dict[str, list[Component]] = {"small": [ZCBOR], "large": [ZCBOR]}
    return assessment_of(project, project.root, boards, "1.0.0")[0]


def gate(project: Project, traceability: Traceability | None = None) -> dict[str, str]:
    """The rules that fail, of those of severity error, and their messages."""
    evidence: GateInput = checked(told(project), traceability)
    decisions = decide(evidence, RULES)
    return {one.rule: one.message for one in decisions.decisions if not one.passed and one.severity == "error"}


def records(**changes: Any) -> dict[str, Any]:
    return {"modified": f"{DAY - dt.timedelta(days=300)}T00:00:00Z"} | changes


def test_it_must_show_4_a_component_that_turns_affected_turns_the_gate_and_a_statement_turns_it_back(
    tmp_path: Path,
) -> None:
    folders = [tmp_path / name for name in ("before", "affected", "justified", "investigated")]
    for folder in folders:
        folder.mkdir()
    before = product(folders[0], REPAIRED | records())
    assert gate(before) == {}
    affected = product(folders[1], AFFECTING | records())
    message = gate(affected)
    assert list(message) == ["no-affected-component"]
    assert "zcbor 0.9.1 by SAMPLE-1 (0.9.1 is in the affected range" in message["no-affected-component"]
    justified = product(folders[2], AFFECTING | records(), statement())
    assert gate(justified) == {}
    assert told(justified).components[0].matches[0].justification == "vulnerable_code_not_in_execute_path"
    investigated = statement(status="under_investigation", justification=None, impact_statement=None)
    assert list(gate(product(folders[3], AFFECTING | records(), investigated))) == ["no-affected-component"]


@pytest.mark.parametrize(
    ("policy", "broken"), [("refuse", ["no-data-decided"]), ("reviewed", ["no-data-decided"]), ("accept", [])]
)
def test_it_must_show_4_a_component_without_data_is_shown_as_such_and_decided_by_policy(
    tmp_path: Path, policy: str, broken: list[str]
) -> None:
    project = product(tmp_path, FOREIGN | records(), no_data=policy)
    assert [one.verdict for one in told(project).components] == ["no_data"]
    assert list(gate(project)) == broken


def test_it_must_show_4_a_stale_snapshot_stops(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("just", "stale")]
    for folder in folders:
        folder.mkdir()
    assert gate(product(folders[0], REPAIRED | records(), age=30)) == {}
    message = gate(product(folders[1], REPAIRED | records(), age=31))
    assert list(message) == ["snapshot-fresh"]
    assert "31 days old, 30 days are allowed: 1 records of " in message["snapshot-fresh"]
