"""The version history: versions, what changed since the last one, what that touches (FDA premarket VI.I; IEC 62304, 8.2.4)."""

from __future__ import annotations

from collections.abc import Mapping

from devicepipe.documents import anchors
from devicepipe.documents.cells import NONE, time_text
from devicepipe.documents.model import Block, Cell, Column, KeyValues, Paragraph, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.specification import tests_of
from devicepipe.evidence.history import EarlierRelease, History
from devicepipe.evidence.trace import Item
from devicepipe.evidence.words import REQUIREMENT

_NO_HISTORY = "The evidence holds no history: the bundle was made by an earlier version of devicepipe."


def versions(record: ReleaseRecord) -> Table:
    """This version and those that git has a tag for."""
    source, history = record.source, record.history
    given = {one.commit: one for one in history.earlier} if history else {}
    rows = [
        (
            Cell(source.version, "this release", strong=True),
            Cell(time_text(source.commit_time)),
            Cell(source.commit),
            Cell(record.status.capitalize(), tone=Tone.GOOD if record.releasable else Tone.BAD),
            Cell(NONE),
        )
    ]
    for version in history.versions if history else ():
        bundle = given.get(version.commit)
        rows.append(
            (
                Cell(version.name, strong=True),
                Cell(time_text(version.time)),
                Cell(version.commit),
                _bundle_cell(bundle),
                Cell(version.note or NONE),
            )
        )
    tagged = {version.commit for version in history.versions} if history else set()
    rows += [
        (
            Cell(one.version, "not tagged", strong=True),
            Cell(time_text(one.started_on)),
            Cell(one.commit),
            _bundle_cell(one),
            Cell(NONE),
        )
        for one in reversed(list(given.values()))
        if one.commit not in tagged
    ]
    columns = (
        Column("Version", 14),
        Column("Time", 17),
        Column("Commit", 30),
        Column("Bundle", 22),
        Column("Note", 17),
    )
    return Table("Versions", columns, tuple(rows))


def _bundle_cell(release: EarlierRelease | None) -> Cell:
    if release is None:
        return Cell("not given", tone=Tone.MUTED)
    return Cell("releasable" if release.releasable else "not releasable", f"release statement {release.statement}")


def change_impact(record: ReleaseRecord) -> tuple[Block, ...]:
    """Items, tests, images and components that differ from the last earlier release that was given."""
    history = record.history
    if history is None:
        return (Paragraph.plain(_NO_HISTORY),)
    previous = history.previous
    if previous is None:
        told = "There is no earlier version: this is the first release."
        if history.versions:
            told = (
                f"Git knows {len(history.versions)} earlier versions, but the bundle of none was given (devicepipe release "
                "--earlier): what changed is told by the commits only."
            )
        return (Paragraph.plain(told),)
    return (
        _compared(record, previous),
        _items(record, previous),
        _tests(record, previous),
        _software(record, previous),
    )


def _compared(record: ReleaseRecord, previous: EarlierRelease) -> KeyValues:
    changed, touched = record.changes, affected(record)
    return KeyValues(
        "Compared with",
        (
            ("Release", Cell(f"{previous.product} {previous.version}", previous.commit, strong=True)),
            ("Release statement", Cell(previous.statement, "SHA-256")),
            ("Items new or changed", Cell(f"{len(changed):,} of {len(record.traceability.items):,}")),
            (
                "Requirements touched",
                Cell(f"{len(touched):,}", "changed themselves, or a parent or a test of theirs is"),
            ),
            (
                "Verified again",
                Cell(
                    "every requirement: each release runs all tests on its own images, and takes no verdict from an earlier one"
                ),
            ),
        ),
    )


def affected(record: ReleaseRecord) -> dict[str, list[str]]:
    """Requirement -> why it is touched: itself changed, an item that it leads up to, or a test of its."""
    history = record.history
    previous = history.previous if history else None
    if previous is None:
        return {}
    changed = record.changes
    tests = tests_of(record)
    digests = {case.id: case.procedure_sha256 for run in record.runs for case in run.cases}
    items = {item.id: item for item in record.traceability.items}
    found: dict[str, list[str]] = {}
    for item in record.traceability.items:
        if item.type != REQUIREMENT:
            continue
        reasons = ["itself"] if item.id in changed else []
        reasons += [one for one in _above(item, items) if one in changed]
        reasons += [f"test {test}" for test in tests.get(item.id, ()) if previous.tests.get(test) != digests.get(test)]
        if reasons:
            found[item.id] = reasons
    return found


def _above(item: Item, items: Mapping[str, Item]) -> list[str]:
    seen: dict[str, None] = {}
    waiting = [one for targets in item.links.values() for one in targets]
    while waiting:
        one = waiting.pop(0)
        if one not in seen:
            seen[one] = None
            waiting += [up for targets in items[one].links.values() for up in targets] if one in items else []
    return list(seen)


def _items(record: ReleaseRecord, previous: EarlierRelease) -> Table:
    now = {item.id: item for item in record.traceability.items}
    touched = affected(record)
    rows: list[tuple[Cell, ...]] = [
        (
            Cell(name, now[name].title, strong=True, links=anchors.to_items([name])),
            Cell(now[name].type.replace("-", " ")),
            Cell(change.partition(" ")[0]),
            Cell(", ".join(one for one, why in touched.items() if name in why or one == name) or NONE),
        )
        for name, change in record.changes.items()
    ]
    rows += [
        (Cell(name, previous.titles.get(name, ""), strong=True), Cell(NONE), Cell("removed"), Cell(NONE))
        for name in previous.items
        if name not in now
    ]
    columns = (Column("Item", 38), Column("Type", 14), Column("Change", 12), Column("Requirements that it touches", 36))
    return Table("Items that changed", columns, tuple(rows), empty="No item changed.")


def _tests(record: ReleaseRecord, previous: EarlierRelease) -> Table:
    now = {case.id: case for run in record.runs for case in run.cases}
    rows = [
        (
            Cell(name, strong=True, links=((name, f"#{anchors.test_procedure(name)}"),)),
            Cell("changed" if name in previous.tests else "new"),
            Cell(", ".join(case.verifies) or NONE, links=anchors.to_items(case.verifies)),
        )
        for name, case in now.items()
        if previous.tests.get(name) != case.procedure_sha256
    ]
    rows += [(Cell(name, strong=True), Cell("removed"), Cell(NONE)) for name in previous.tests if name not in now]
    columns = (Column("Test", 60), Column("Change", 12), Column("Verifies", 28))
    return Table("Tests that changed", columns, tuple(rows), empty="No test changed.")


def _software(record: ReleaseRecord, previous: EarlierRelease) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for signed in record.signing:
        before = previous.images.get(signed.board, "")
        same = before == signed.image_digest
        rows.append(
            (
                Cell(f"image of {signed.board}", strong=True),
                Cell(before or NONE),
                Cell(signed.image_digest),
                Cell("the same" if same else "changed" if before else "new"),
            )
        )
    here = {item.name: item.version for item in record.software_items}
    for name in sorted(here.keys() | previous.components.keys()):
        old, new = previous.components.get(name, ""), here.get(name, "")
        if old != new:
            change = "changed" if old and new else "new" if new else "removed"
            rows.append((Cell(f"component {name}", strong=True), Cell(old or NONE), Cell(new or NONE), Cell(change)))
    columns = (Column("What", 22), Column(f"In {previous.version}", 34), Column("Now", 34), Column("Change", 10))
    return Table("Software that changed", columns, tuple(rows), empty="No image and no component changed.")


def changes(record: ReleaseRecord) -> tuple[Block, ...]:
    """The commits since the last version."""
    history = record.history
    if history is None:
        return (Paragraph.plain(_NO_HISTORY),)
    caption = f"Commits since {history.since}" if history.since else "Commits"
    return (Paragraph.plain(_counted(history)), _commits(history, caption))


def _counted(history: History) -> str:
    whole = len(history.changes) + history.left_out
    named = sum(1 for change in history.changes if change.items)
    left = f"; the {history.left_out:,} oldest are not listed" if history.left_out else ""
    since = f"since {history.since}" if history.since else "since the beginning"
    return f"{whole:,} commits {since}{left}. {named:,} of those listed name an item."


def _commits(history: History, caption: str) -> Table:
    rows = tuple(
        (
            Cell(change.commit[:12], strong=True),
            Cell(time_text(change.time)),
            Cell(change.author),
            Cell(change.subject),
            Cell(f"{change.files:,}"),
            Cell(", ".join(change.items) or NONE, links=anchors.to_items(change.items)),
        )
        for change in history.changes
    )
    columns = (
        Column("Commit", 12),
        Column("Time", 14),
        Column("Author", 16),
        Column("What it says", 38),
        Column("Files", 7, "right"),
        Column("Items", 13),
    )
    return Table(caption, columns, rows, empty="No commit since the last version.")
