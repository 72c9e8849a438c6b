"""The coverage of source files that several boards share, merged as `evidence.coverage` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from devicepipe.analysis.coverage import Coverage
from devicepipe.evidence.coverage import OUTSIDE, CoverageResult, MergedFile, MergedShare, added


def merged_files(results: Sequence[CoverageResult], lines: Mapping[str, Coverage]) -> list[MergedFile]:
    """Each source file over the boards that have it, by name.

    Args:
        results: The boards' coverage.
        lines: Board → its files' lines.
    """
    names = sorted({file.file for result in results for file in result.files} - {OUTSIDE})
    return [_file(name, results, lines) for name in names]


def merged_total(results: Sequence[CoverageResult], files: Sequence[MergedFile]) -> MergedFile:
    """All files together."""
    return MergedFile(
        file="",
        boards=[result.board for result in results],
        lines=_summed(file.lines for file in files),
        functions=_summed(file.functions for file in files),
        instructions=added(file.instructions for file in files),
        outcomes=added(file.outcomes for file in files),
    )


def _file(name: str, results: Sequence[CoverageResult], lines: Mapping[str, Coverage]) -> MergedFile:
    own = [(result, share) for result in results for share in result.files if share.file == name]
    return MergedFile(
        file=name,
        boards=[result.board for result, _ in own],
        lines=_share(lines[result.board][name].lines for result, _ in own),
        functions=_share({one.function: one.hits for one in result.functions if one.file == name} for result, _ in own),
        instructions=added(share.instructions for _, share in own),
        outcomes=added(share.outcomes for _, share in own),
    )


def _share(boards: Iterable[Mapping[int, int] | Mapping[str, int]]) -> MergedShare:
    """Of lines or functions with their hits on each board."""
    seen: dict[int | str, list[int]] = {}
    for hits in boards:
        for key, count in hits.items():
            seen.setdefault(key, []).append(count)
    return MergedShare(any=sum(map(any, seen.values())), every=sum(map(all, seen.values())), all=len(seen))


def _summed(shares: Iterable[MergedShare]) -> MergedShare:
    listed = list(shares)
    return MergedShare(
        any=sum(share.any for share in listed),
        every=sum(share.every for share in listed),
        all=sum(share.all for share in listed),
    )
