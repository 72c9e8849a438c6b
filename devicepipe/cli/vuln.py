"""`devicepipe vuln`: pin a snapshot of vulnerability records, and check components against it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import json_option, note, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.components import Component
    from devicepipe.evidence.vulnerabilities import Assessment
    from devicepipe.project.config import Project

_COLORS = {"affected": "red", "not_affected": "green", "fixed": "green", "no_data": "yellow"}


@click.group()
def vuln() -> None:
    """Pin a snapshot of vulnerability records, and check components against it. No network is used."""


@vuln.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--date", type=click.DateTime(["%Y-%m-%d"]), help="The day of the snapshot (default: of its newest record)."
)
@click.option("--description", default="", help="What it is and where it comes from, for reports.")
@project_option
@json_option
def update(path: Path, date: dt.datetime | None, description: str, folder: Path, as_json: bool) -> None:
    """Take PATH as the snapshot, and pin it by digest and day.

    PATH is an OSV dump or the CVE list (JSON 5), best with CISA's KEV catalogue beside the records, as a folder or zip.

    One that lies in the product's repository is read from there; any other is kept under .devicepipe/vulnerabilities.
    """
    from devicepipe.analysis.vulnerability_snapshot import make_store
    from devicepipe.project.snapshot_lock import PinnedSnapshot, lock_file
    from devicepipe.stages.vulnerability_data import store_folder

    project = open_project(folder)
    lock = lock_file(project)
    inside = _inside(project, path.resolve())
    if not as_json:
        note(f"reading {path} …")
    facts = make_store(path, None if inside else store_folder(project.root))
    if not facts.newest:
        raise UsageError("no record says when it was changed", file=path, remedy="give an OSV dump or the CVE list")
    day = date.date() if date is not None else dt.date.fromisoformat(facts.newest[:10])
    if day.isoformat() < facts.newest[:10] or day > dt.datetime.now(dt.UTC).date():
        raise UsageError(
            f"--date {day.isoformat()}: the newest record is of {facts.newest[:10]}, and a snapshot is not of a day to come"
        )
    pinned = PinnedSnapshot.model_validate(
        {
            "sha256": facts.sha256,
            "date": day,
            "newest-record": facts.newest,
            "format": facts.format,
            "records": facts.records,
            "description": description or path.name,
            "path": inside,
        }
    )
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(pinned.text(), encoding="utf-8")
    if as_json:
        print_json(pinned.model_dump(mode="json", by_alias=True) | {"lock": str(lock), "skipped": facts.skipped})
        return
    tell(f"{facts.records} records ({facts.format}), newest of {facts.newest[:10]}, sha256 {facts.sha256}")
    if facts.skipped:
        tell(f"{facts.skipped} JSON files are no records and were passed over", fg="yellow")
    tell(f"pinned in {lock}: commit it")


def _inside(project: Project, path: Path) -> str | None:
    """The path from the product's root on, where it lies in the repository and is not a thing of this machine."""
    if not path.is_relative_to(project.root) or path.is_relative_to(project.state):
        return None
    return path.relative_to(project.root).as_posix()


@vuln.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@project_option
@json_option
def check(bundle: Path | None, folder: Path, as_json: bool) -> int:
    """Check what the lock file declares, or what is linked into the images of BUNDLE, against the pinned snapshot.

    Use BUNDLE to see what became known since a release. Exit codes: 0 nothing is affected and the snapshot will do, 1 a component
    is affected, has no data that policy accepts, or the snapshot is stale.
    """
    from devicepipe.evidence.facts import utc_now
    from devicepipe.policy.supply import vulnerability_data
    from devicepipe.stages.items import read_product_items
    from devicepipe.stages.vulnerability_data import assessment_of

    project = open_project(folder)
    boards, version = _of_bundle(bundle) if bundle is not None else (_declared(project), "")
    assessment, _ = assessment_of(project, project.root, boards, version)
    found = vulnerability_data(assessment, utc_now(), read_product_items(project)[0])
    problems = [
        *(f"affected: {one}" for one in found["affected"]),
        *(f"known to be exploited: {one}" for one in found["exploited"]),
        *(f"no data: {one}" for one in found["noData"]),
        *([f"stale: {found['age']} days old, {found['maxAge']} are allowed"] if found["age"] > found["maxAge"] else []),
        *([f"the snapshot is of a day to come, {assessment.snapshot.date}"] if found["age"] < 0 else []),
    ]
    if as_json:
        print_json({"assessment": assessment.to_json(), "ageInDays": found["age"], "problems": problems})
    else:
        _show(assessment, problems, found["unused"])
    return EXIT_PRODUCT_FAILED if problems else EXIT_OK


def _show(assessment: Assessment, problems: list[str], unused: list[str]) -> None:
    from devicepipe.policy.supply import in_words

    tell(in_words(assessment.snapshot))
    for one in assessment.components:
        tell(f"{one.verdict.replace('_', ' '):13} {one.name} {one.version}", fg=_COLORS[one.verdict])
        for match in one.matches:
            why = f"{match.justification}: {match.reason}" if match.justification else match.reason
            if match.exploited is not None:
                tell(f"              {match.id} is known to be exploited since {match.exploited.since}", fg="red")
            tell(f"              {match.id} {match.status.replace('_', ' ')}: {why}")
    for sentence in unused:
        tell(f"left over: {sentence}", fg="yellow")
    for problem in problems:
        tell(problem, fg="red")


def _declared(project: Project) -> dict[str, list[Component]]:
    from devicepipe.evidence.components import Component
    from devicepipe.stages.sbom import locked_libraries

    lock = locked_libraries(project)
    declared: list[Any] = [*lock.components, *lock.linked] if lock else []
    components = [
        Component(name=one.name, version=one.version, purl=one.purl, cpe=one.cpe, commit=one.upstream_commit or "")
        for one in declared
    ]
    return {board.name: components for board in project.boards}


def _of_bundle(folder: Path) -> tuple[dict[str, list[Component]], str]:
    from devicepipe.evidence.bundle import Bundle
    from devicepipe.evidence.components import components_of
    from devicepipe.evidence.layout import kind_named
    from devicepipe.evidence.predicates import SourceInfo

    bundle = Bundle(folder)
    source = bundle.predicate(SourceInfo)
    sboms = {board: bundle.attestation(kind_named("sbom").path_for(board)) for board in source.boards}
    return {board: components_of(one.statement.predicate, one.path) for board, one in sboms.items()}, source.version
