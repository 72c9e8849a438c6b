"""The figures of a release, each with the table behind it: results, requirements, coverage, curves, campaigns, trend."""

from __future__ import annotations

import re
from collections.abc import Mapping

from devicepipe.documents.campaigns import NAMES
from devicepipe.documents.coverage import component_table, folder_of
from devicepipe.documents.measurements import number_text
from devicepipe.documents.model import Bars, Block, Cell, Column, Paragraph, Table, Tone
from devicepipe.documents.plots import Axis, Curve, Tile, curves, tiles
from devicepipe.documents.record import ReleaseRecord, requirements, untested
from devicepipe.documents.specification import topic_of
from devicepipe.documents.summary import results as results_table
from devicepipe.evidence.campaigns import CampaignGroup, CampaignResult
from devicepipe.evidence.history import EarlierRelease
from devicepipe.evidence.results import Measurement, Verdict

_NOT = "not executed"


def results_figure(record: ReleaseRecord) -> tuple[Block, ...]:
    """Results per board, and their table."""
    names = {verdict: verdict.value.replace("_", " ") for verdict in Verdict}
    rows = tuple((run.board, tuple(run.counts()[verdict] for verdict in Verdict)) for run in record.runs if run.cases)
    bad = frozenset(name for verdict, name in names.items() if verdict is not Verdict.PASSED)
    if not rows:
        return (results_table(record),)
    figure = Bars("Results of the tests on each board", tuple(names.values()), rows, "cases", bad=bad)
    return (figure, results_table(record))


def requirement_figure(record: ReleaseRecord) -> tuple[Block, ...]:
    """How many requirements of each topic are verified on all their boards."""
    gaps = {gap.item.id for gap in untested(record)}
    topics: dict[str, list[bool]] = {}
    for item in requirements(record):
        topics.setdefault(topic_of(item), []).append(item.id not in gaps)
    if not topics:
        return (Paragraph.plain("There is no requirement among the items."),)
    rows = tuple((topic, (sum(held), len(held) - sum(held))) for topic, held in topics.items())
    parts = ("verified on all their boards", "not verified")
    columns = (
        Column("Topic", 40),
        Column("Requirements", 20, "right"),
        Column("Verified", 20, "right"),
        Column("Not verified", 20, "right"),
    )
    cells = tuple(
        (
            Cell(topic, strong=True),
            Cell(f"{good + bad:,}"),
            Cell(f"{good:,}"),
            Cell(f"{bad:,}", tone=Tone.BAD if bad else Tone.PLAIN),
        )
        for topic, (good, bad) in rows
    )
    return (
        Bars("Requirements that are verified, by topic", parts, rows, "requirements", bad=frozenset({parts[1]})),
        Table("Requirements by topic", columns, cells),
    )


def coverage_figure(record: ReleaseRecord) -> tuple[Block, ...]:
    """Lines of each component that the tests executed on any board."""
    merged = record.merged_coverage
    if merged is None:
        return (Paragraph.plain("Coverage was not recorded: devicepipe.toml does not ask for it."),)
    lines: dict[str, list[int]] = {}
    for file in merged.files:
        found = lines.setdefault(folder_of(file), [0, 0])
        found[0] += file.lines.any
        found[1] += file.lines.all - file.lines.any
    rows = tuple((folder, tuple(counts)) for folder, counts in sorted(lines.items()))
    return (
        Bars("Lines of each component that the device tests executed", ("executed", _NOT), rows, "lines"),
        component_table(merged),
    )


_SERIES = re.compile(r"^(?P<x>\d+(?:\.\d+)?)\s*(?P<unit>[^\s,\d]*)\s*,?\s*(?P<name>.*)$")
_FEWEST = 3


def measurement_curves(record: ReleaseRecord) -> tuple[Block, ...]:
    """A figure for each series of measurements: values at places that begin with a number, as a flow's deviation over windows."""
    blocks: list[Block] = []
    for (test, name, unit), boards in sorted(_series(record).items()):
        found = _curves(name, unit, boards)
        if found is not None:
            blocks += [*found, Paragraph.plain(f"Measured by {test}.")]
    return tuple(blocks) or (Paragraph.plain("No test measured a series of values, so there is no curve to show."),)


_Series = dict[tuple[str, str, str], dict[str, list[Measurement]]]


def _series(record: ReleaseRecord) -> _Series:
    found: _Series = {}
    for run in record.runs:
        for case in run.cases:
            for one in case.measurements:
                if _SERIES.match(one.where):
                    found.setdefault((case.id, one.name, one.unit), {}).setdefault(run.board, []).append(one)
    return found


def _curves(name: str, unit: str, boards: Mapping[str, list[Measurement]]) -> tuple[Block, ...] | None:
    lines: dict[str, list[tuple[float, float]]] = {}
    limits: dict[str, dict[float, float]] = {"upper": {}, "lower": {}}
    rows: dict[tuple[float, str], dict[str, Measurement]] = {}
    units = set()
    for board, values in boards.items():
        for one in values:
            match = _SERIES.match(one.where)
            if match is None:
                continue
            at, series = float(match["x"]), match["name"]
            units.add(match["unit"])
            lines.setdefault(f"{board}, {series}" if series else board, []).append((at, one.value))
            rows.setdefault((at, series), {})[board] = one
            limits["upper"] |= {at: one.high} if one.high is not None else {}
            limits["lower"] |= {at: one.low} if one.low is not None else {}
    places = sorted({at for at, _ in rows})
    if len(places) < _FEWEST or len(units) > 1 or not all(at > 0 for at in places):
        return None
    x_unit = units.pop()
    drawn = [Curve(label, tuple(sorted(points))) for label, points in lines.items()]
    drawn += [Curve(label, tuple(sorted(points.items())), limit=True) for label, points in limits.items() if points]
    caption = f"{name[:1].upper()}{name[1:]}"
    spread = max(places) / min(places) > 10  # noqa: PLR2004 - a decade: on a linear axis the small ones would be one point
    worst = max((abs(one.value), one.value) for found in rows.values() for one in found.values())[1]
    summary = (
        f"{caption} on {len(boards)} boards at {len(places)} places from {number_text(places[0])} to "
        f"{number_text(places[-1])} {x_unit}; the largest is {number_text(worst)} {unit}."
    )
    figure = curves(
        f"{caption}, with its limits", drawn, Axis(x_unit, logarithmic=spread), Axis(unit), summary, height=215.0
    )
    columns = (
        Column(x_unit or "at", 12, "right"),
        Column("Which", 14),
        Column("Limits", 18),
        *(Column(board, 14, "right") for board in boards),
    )
    cells = tuple(
        (Cell(number_text(at)), Cell(series), Cell(_limits(found)), *(_value(found.get(board)) for board in boards))
        for (at, series), found in sorted(rows.items())
    )
    return figure, Table(f"{caption}, {unit}", columns, cells)


def _limits(found: Mapping[str, Measurement]) -> str:
    one = next(iter(found.values()))
    low = number_text(one.low) if one.low is not None else "none"
    high = number_text(one.high) if one.high is not None else "none"
    return f"{low} to {high}"


def _value(one: Measurement | None) -> Cell:
    if one is None:
        return Cell("—", tone=Tone.MUTED)
    return Cell(f"{one.value:.3f}", "" if one.within else "OUTSIDE", tone=Tone.PLAIN if one.within else Tone.BAD)


_HELD = (0xDDE7F0, 0xA9CBE3, 0x6FA3CC, 0x3F77A8)
_BROKEN = 0x9B1C1C


def campaign_maps(record: ReleaseRecord) -> tuple[Block, ...]:
    """For each campaign a map of boards by phases or targets: points of how many there are, and where a promise was broken."""
    blocks: list[Block] = []
    for wish in record.source.wishes:
        results = {
            board: found
            for board in record.source.boards
            if (told := record.campaign(board)) is not None and (found := told.result(wish.kind)) is not None
        }
        if results:
            blocks += [_map(NAMES[wish.kind], results), _map_table(NAMES[wish.kind], results)]
    return tuple(blocks) or (Paragraph.plain("The product asks for no campaign."),)


def _map(name: str, results: Mapping[str, CampaignResult]) -> Block:
    groups = list(dict.fromkeys(group.name for result in results.values() for group in result.groups))
    boards = list(results)
    most = max(group.points for result in results.values() for group in result.groups) or 1

    def tile(row: int, column: int) -> Tile | None:
        group = _group(results[boards[row]], groups[column])
        if group is None or not group.points:
            return None
        broken = group.points - sum(group.outcomes.values())
        size = f"of {group.size:,}" if group.size else ""
        if broken:
            return Tile(f"{broken} broken", f"{group.points} {size}".strip(), _BROKEN, bad=True)
        shade = _HELD[min(len(_HELD) - 1, (len(_HELD) - 1) * group.points // most)]
        return Tile(str(group.points), size, shade)

    points = sum(result.points for result in results.values())
    failures = sum(len(result.failures) for result in results.values())
    kept = "every promise was kept" if not failures else f"promises were broken at {failures:,}"
    return tiles(
        f"{name}: points that were tried in each phase or target, of those that there are",
        boards,
        groups,
        tile,
        f"{points:,} points on {len(boards)} boards; {kept}.",
    )


def _group(result: CampaignResult, name: str) -> CampaignGroup | None:
    return next((group for group in result.groups if group.name == name), None)


def _map_table(name: str, results: Mapping[str, CampaignResult]) -> Table:
    rows = tuple(
        (
            Cell(board, strong=True),
            Cell(group.name),
            Cell(f"{group.points:,}"),
            Cell(f"{group.size:,}" if group.size else "—"),
            Cell("; ".join(f"{what}: {count}" for what, count in group.outcomes.items()) or "—"),
            Cell(f"{broken:,}", tone=Tone.BAD if broken else Tone.PLAIN),
        )
        for board, result in results.items()
        for group in result.groups
        for broken in (group.points - sum(group.outcomes.values()),)
    )
    columns = (
        Column("Board", 15),
        Column("Phase or target", 20),
        Column("Points", 9, "right"),
        Column("Size", 12, "right"),
        Column("What became of the device", 32),
        Column("Broken", 9, "right"),
    )
    return Table(f"{name}: points by phase or target", columns, rows, group_columns=1, row_header=1)


def trend(record: ReleaseRecord) -> tuple[Block, ...]:
    """Figures from release to release, where bundles of earlier ones were given."""
    earlier = record.history.earlier if record.history else []
    if not earlier:
        return (Paragraph.plain("First release: no bundle of an earlier one was given, so there is no trend to show."),)
    names = [*(one.version for one in earlier), record.source.version]
    shares: dict[str, list[float | None]] = {
        "requirements verified": [*(_percent(one.verified, one.requirements) for one in earlier), _verified(record)],
        "cases passed": [*(_passed(one) for one in earlier), _passed_now(record)],
        "lines executed": [*(_lines(one) for one in earlier), _lines_now(record)],
    }
    lines = [
        Curve(name, tuple((float(at), value) for at, value in enumerate(values) if value is not None))
        for name, values in shares.items()
        if any(value is not None for value in values)
    ]
    summary = "; ".join(f"{name} {_shown(values[0])} to {_shown(values[-1])}" for name, values in shares.items())
    axis = Axis("release", names=tuple(names))
    figure = curves("From release to release", lines, axis, Axis("percent"), f"{summary}.", height=170.0)
    columns = (Column("", 28), *(Column(name, 72 / len(names), "right") for name in names))
    rows = [(Cell(name, strong=True), *(Cell(_shown(value)) for value in values)) for name, values in shares.items()]
    for board in record.source.boards:
        before = [next((one.flash for one in release.boards if one.board == board), 0) for release in earlier]
        build = record.build(board)
        now = sum(firmware.flash.used for firmware in build.firmwares) if build else 0
        rows.append(
            (
                Cell(f"flash of {board}, bytes", strong=True),
                *(Cell(f"{value:,}" if value else "—") for value in (*before, now)),
            )
        )
    anomalies = [len(one.open_anomalies) for one in earlier]
    open_now = sum(
        1 for item in record.traceability.items if item.type == "anomaly" and item.fields.get("status") == "open"
    )
    rows.append((Cell("open anomalies", strong=True), *(Cell(str(value)) for value in (*anomalies, open_now))))
    return (figure, Table("From release to release, in figures", columns, tuple(rows)))


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _shown(value: float | None) -> str:
    return "—" if value is None else f"{int(value * 100) / 100:.2f} %"  # rounded down: 99.999 is not all


def _verified(record: ReleaseRecord) -> float | None:
    wanted = requirements(record)
    gaps = {gap.item.id for gap in untested(record)}
    return _percent(len(wanted) - len(gaps), len(wanted))


def _passed(release: EarlierRelease) -> float | None:
    return _percent(sum(one.passed for one in release.boards), sum(one.cases for one in release.boards))


def _passed_now(record: ReleaseRecord) -> float | None:
    cases = [case for run in record.runs for case in run.cases]
    return _percent(sum(case.verdict is Verdict.PASSED for case in cases), len(cases))


def _lines(release: EarlierRelease) -> float | None:
    found = [one.lines for one in release.boards if one.lines is not None]
    return _percent(sum(executed for executed, _ in found), sum(whole for _, whole in found))


def _lines_now(record: ReleaseRecord) -> float | None:
    found = [result.total.lines for result in record.coverages]
    return _percent(sum(share.executed for share in found), sum(share.all for share in found))
