"""The file of a product that pins a snapshot of vulnerability records: digest, day, what it is (`devicepipe vuln update`)."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from devicepipe.errors import UsageError
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.project.sections import VulnerabilitySettings
from devicepipe.project.toml_file import Table, Text, TomlFile

_REMEDY = "run `devicepipe vuln update PATH` with a snapshot (docs/reference/supply-chain.md)"


class PinnedSnapshot(Table):
    """[snapshot]: a snapshot by its digest (over the ids and SHA-256 of all records), and the day that it is of.

    `path` is where the product itself has it; without one it is kept on the machine, under .devicepipe/vulnerabilities.
    """

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    date: dt.date
    newest_record: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    format: Literal["osv", "cve", "osv+cve", "osv+kev", "kev+cve", "osv+kev+cve"]
    records: int = Field(ge=1)
    description: Text
    path: str | None = None

    def text(self) -> str:
        """The file's content."""
        lines = [
            "# Written by `devicepipe vuln update`: the snapshot that components are checked against, by digest.",
            "[snapshot]",
            f'sha256 = "{self.sha256}"',
            f"date = {self.date.isoformat()}",
            f'newest-record = "{self.newest_record}"',
            f'format = "{self.format}"',
            f"records = {self.records}",
            f"description = {json.dumps(self.description, ensure_ascii=False)}",
            *([f"path = {json.dumps(self.path, ensure_ascii=False)}"] if self.path is not None else []),
        ]
        return "\n".join(lines) + "\n"


class _File(Table):
    snapshot: PinnedSnapshot


def settings_of(project: Project) -> VulnerabilitySettings:
    """The table [vulnerabilities]. Raises UsageError where there is none."""
    if project.vulnerabilities is None:
        raise UsageError(
            "has no table [vulnerabilities]",
            file=project.root / CONFIG_NAME,
            key="vulnerabilities",
            remedy='add [vulnerabilities] with snapshot = "security/snapshot.toml" (docs/reference/supply-chain.md)',
        )
    return project.vulnerabilities


def lock_file(project: Project) -> Path:
    """The file that pins the snapshot. Raises UsageError where the project asks for none."""
    return project.root / settings_of(project).snapshot


def load_pinned(project: Project) -> PinnedSnapshot:
    """What is pinned.

    Raises:
        UsageError: Nothing is, or the file is wrong: names file, line and key.
    """
    source = TomlFile.read(lock_file(project), remedy=_REMEDY)
    pinned = source.parse(_File, remedy=_REMEDY).snapshot
    if pinned.date.isoformat() < pinned.newest_record[:10]:
        raise source.error(
            f"the newest record is of {pinned.newest_record[:10]}, after {pinned.date.isoformat()}",
            ("snapshot", "date"),
        )
    if pinned.path is not None:
        place = (project.root / pinned.path).resolve()
        if not place.is_relative_to(project.root) or not place.exists():
            raise source.error(f"there is no '{pinned.path}' in the project", ("snapshot", "path"), remedy=_REMEDY)
    return pinned
