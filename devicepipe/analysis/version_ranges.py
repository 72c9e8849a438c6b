"""Whether a version lies in what a vulnerability record says of versions. Versions are compared by `univers`, never by us.

What always holds: what cannot be compared (a version that its scheme does not know, a range of commits without history) is
"undecided", never "outside".

Sources: OSV schema 1.7, "Evaluation"; CVE record format 5.1, `versions`; PURL types name the schemes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

Position = Literal["affected", "fixed", "outside", "undecided"]
"""In a range; after one; before or beside all; or nobody can say."""

_NUMERIC = re.compile(r"\d+(\.\d+)*([-+._~]?[0-9A-Za-z][0-9A-Za-z.+~_-]*)?")


@dataclass(frozen=True, slots=True)
class Range:
    """Versions from `start` ("" = the first) to `end` ("" = without end), of a scheme (a PURL type; "semver" for others)."""

    scheme: str
    start: str = ""
    end: str = ""
    start_included: bool = True
    end_included: bool = False


COMMITS = Range("semver", "(commits)")
"""A range of commits: no version can be compared with it."""
UNREADABLE = Range("semver", "(not to be read)")
"""A range that is not of its scheme."""


@dataclass(frozen=True, slots=True)
class Versions:
    """What a record says of the versions of one package.

    Attributes:
        affected: Ranges of affected versions.
        exempt: Ranges that are not affected.
        listed: Affected versions one by one.
        introduced: Commits that are affected.
        repaired: Commits that are not any more.
        otherwise: What holds for a version of which nothing else is said.
    """

    affected: tuple[Range, ...] = ()
    exempt: tuple[Range, ...] = ()
    listed: tuple[str, ...] = ()
    introduced: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    otherwise: Position = "outside"

    @property
    def only_commits(self) -> bool:
        """Whether nothing but commits is told."""
        return set(self.affected) == {COMMITS} and not self.listed

    def position(self, version: str, commit: str = "") -> tuple[Position, str]:
        """Where a version (and the commit that it was made from) lies, and why, in words."""
        commits: tuple[tuple[Position, tuple[str, ...], str], ...] = (
            ("affected", self.introduced, "its commit {} is affected"),
            ("fixed", self.repaired, "its commit {} is the one that fixes it"),
        )
        for position, known, words in commits:
            if commit and commit in known:
                return position, words.format(commit[:12])
        if _bare(version) in map(_bare, self.listed):
            return "affected", f"{version} is among the affected versions"
        found = [(_within(version, one), one) for one in self.affected]
        exempt = [one for one in self.exempt if _within(version, one) == "affected"]
        for wanted, words in _WORDS:
            # What is said to be affected and not affected is affected.
            if wanted == "undecided" and exempt:
                return ("fixed" if exempt[0].start else "outside"), f"{version} is not affected: {_told(exempt[0])}"
            for position, one in found:
                if position == wanted:
                    return wanted, words.format(version=version, range=_told(one))
        return self.otherwise, _OTHERWISE[self.otherwise].format(version=version)


_OTHERWISE: dict[Position, str] = {
    "affected": "{version} is not among the versions that are not affected",
    "undecided": "the record does not say whether {version} is affected",
    "fixed": "{version} is after the affected versions",
    "outside": "{version} is not among the affected versions",
}

_WORDS: tuple[tuple[Position, str], ...] = (
    ("affected", "{version} is in the affected range {range}"),
    ("undecided", "{version} cannot be compared with the range {range}"),
    ("fixed", "{version} is after the affected range {range}"),
    ("outside", "{version} is before the affected range {range}"),
)


def ranges_of_events(scheme: str, events: Iterable[dict[str, Any]]) -> list[Range]:
    """OSV's events (introduced, fixed, last_affected, limit) as ranges.

    Raises:
        ValueError: A version that the scheme does not know.
    """
    told = [(key, str(value)) for event in events for key, value in event.items() if key != "limit"]
    told.sort(key=lambda one: (one[1] != "0", _Key(scheme, one[1]), one[0] != "introduced"))
    ranges: list[Range] = []
    start: str | None = None
    for key, value in told:
        if key == "introduced":
            start = start if start is not None else ("" if value == "0" else value)
        elif start is not None:
            ranges.append(Range(scheme, start, value, end_included=key == "last_affected"))
            start = None
    return [*ranges, Range(scheme, start)] if start is not None else ranges


class _Key:
    """Orders versions of a scheme; "0" stands before all."""

    def __init__(self, scheme: str, text: str) -> None:
        self.value = None if text == "0" else _parse(scheme, text)

    def __lt__(self, other: _Key) -> bool:
        if self.value is None or other.value is None:
            return self.value is None and other.value is not None
        return bool(self.value < other.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


def _within(version: str, one: Range) -> Position:
    try:
        here = _parse(one.scheme, version)
        if one.start:
            start = _parse(one.scheme, one.start)
            if here < start or (here == start and not one.start_included):
                return "outside"
        if one.end:
            end = _parse(one.scheme, one.end)
            if here > end or (here == end and not one.end_included):
                return "fixed"
    except ValueError:
        return "undecided"
    return "affected"


def _told(one: Range) -> str:
    start = f"{'from' if one.start_included else 'after'} {one.start}" if one.start else ""
    end = f"{'to' if one.end_included else 'to before'} {one.end}" if one.end else ""
    return f"{start} {end}".strip().removeprefix("to ") if start or end else "of all versions"


def _bare(version: str) -> str:
    """A tag as the version that it names: "v1.2", "release-1.2" and "1.2" are one."""
    found = re.search(r"\d.*$", version.strip())
    return (found[0] if found else version.strip()).replace("_", ".").casefold()


@lru_cache(maxsize=4096)
def _parse(scheme: str, text: str) -> Any:
    """A version of a scheme. Raises ValueError where it is none."""
    from univers.version_range import RANGE_CLASS_BY_SCHEMES
    from univers.versions import SemverVersion

    known = RANGE_CLASS_BY_SCHEMES.get(scheme)
    kind = known.version_class if known is not None and known.version_class is not None else SemverVersion
    text = text.strip()
    if kind is SemverVersion:
        text = text.removeprefix("v")
        # univers reads any text as a version of that kind; what does not look like one cannot be compared.
        if not _NUMERIC.fullmatch(text):
            raise ValueError(f"{text!r} is no version")
    try:
        return kind(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{text!r} is no version of {scheme}") from error
