"""devicepipe.toml: what the product is and where things lie, as typed values.

What always holds of a `Project`: every key was known, every path it names exists and lies inside the project's root, and every
board manifest was read. Otherwise reading it raised a UsageError with file, line, key and what was expected.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from devicepipe.errors import UsageError
from devicepipe.project.approval_settings import ApprovalSettings
from devicepipe.project.board import Board, load_board
from devicepipe.project.place import CONFIG_NAME, find_project
from devicepipe.project.policy import PolicySettings, is_path
from devicepipe.project.publication_settings import ROLES, PublicationSettings
from devicepipe.project.sections import (
    DEPENDENCY,
    AnalysisSettings,
    BoardEntry,
    CampaignSettings,
    CoverageSettings,
    DataEntry,
    DocumentSettings,
    Firmware,
    ImageSettings,
    Keys,
    Limits,
    Product,
    SecretSettings,
    TestSettings,
    TraceSettings,
    VulnerabilitySettings,
)
from devicepipe.project.toml_file import Table, TomlFile, Where

__all__ = ["CONFIG_NAME", "find_project"]  # where the rest of the house has them from

_REMEDY = "see docs/reference/configuration.md"


class _File(Table):
    product: Product
    firmware: Firmware
    board: tuple[BoardEntry, ...] = Field(min_length=1, strict=False)
    data: tuple[DataEntry, ...] = Field(default=(), strict=False)
    image: ImageSettings = ImageSettings.model_construct()
    limits: Limits = Limits.model_construct()
    keys: Keys = Keys.model_construct()
    traceability: TraceSettings = TraceSettings.model_construct()
    tests: TestSettings = TestSettings.model_construct()
    coverage: CoverageSettings = CoverageSettings.model_construct()
    campaigns: CampaignSettings = CampaignSettings.model_construct()
    policy: PolicySettings = PolicySettings.model_construct()
    analysis: AnalysisSettings = AnalysisSettings.model_construct()
    secrets: SecretSettings = SecretSettings.model_construct()
    vulnerabilities: VulnerabilitySettings | None = None
    documents: DocumentSettings = DocumentSettings.model_construct()
    approval: ApprovalSettings = ApprovalSettings.model_construct()
    publication: PublicationSettings = PublicationSettings.model_construct()
    output: str = "dist"


class ProjectBoard(BaseModel):
    """A board of the project: its entry in devicepipe.toml and its manifest."""

    model_config = ConfigDict(frozen=True)

    entry: BoardEntry
    board: Board

    @property
    def name(self) -> str:
        """The board's name, as in devicepipe.toml."""
        return self.entry.name


class Project(BaseModel):
    """A product's repository as described by its devicepipe.toml."""

    model_config = ConfigDict(frozen=True)

    root: Path
    product: Product
    firmware: Firmware
    boards: tuple[ProjectBoard, ...]
    data: tuple[DataEntry, ...] = ()
    image: ImageSettings
    limits: Limits = Limits.model_construct()
    keys: Keys
    traceability: TraceSettings
    tests: TestSettings
    coverage: CoverageSettings = CoverageSettings.model_construct()
    campaigns: CampaignSettings = CampaignSettings.model_construct()
    policy: PolicySettings = PolicySettings.model_construct()
    analysis: AnalysisSettings = AnalysisSettings.model_construct()
    secrets: SecretSettings = SecretSettings.model_construct()
    vulnerabilities: VulnerabilitySettings | None = None
    documents: DocumentSettings
    approval: ApprovalSettings = ApprovalSettings.model_construct()
    publication: PublicationSettings = PublicationSettings.model_construct()
    output: str

    @property
    def state(self) -> Path:
        """The folder for caches, development keys and work in progress; ignored by git."""
        return self.root / ".devicepipe"

    @property
    def firmware_path(self) -> Path:
        """The PlatformIO project's folder."""
        return self.root / self.firmware.project

    @property
    def covered_boards(self) -> tuple[str, ...]:
        """The boards whose coverage a release records."""
        chosen = self.coverage.boards
        names = tuple(board.name for board in self.boards if not chosen or board.name in chosen)
        return names if self.coverage.release else ()

    def campaign_module(self) -> Path:
        """The product's module for campaigns.

        Raises:
            UsageError: None is configured.
        """
        if self.campaigns.module is None:
            raise UsageError(
                "names no module for campaigns",
                file=self.root / CONFIG_NAME,
                key="campaigns.module",
                remedy="set module of [campaigns] to the Python file with your SCENARIO (docs/reference/campaigns.md)",
            )
        return self.root / self.campaigns.module

    def board(self, name: str) -> ProjectBoard:
        """The board of that name.

        Raises:
            UsageError: No such board; lists the known ones.
        """
        for board in self.boards:
            if board.name == name:
                return board
        known = ", ".join(board.name for board in self.boards)
        raise UsageError(f"unknown board '{name}'", file=self.root / CONFIG_NAME, remedy=f"known boards: {known}")


def load_project(path: Path) -> Project:
    """Read devicepipe.toml and the board manifests it names.

    Raises:
        UsageError: Wrong syntax, key, type or path, with file, line, key and what was expected.
    """
    source = TomlFile.read(path, advice=_REMEDY)
    file = source.parse(_File)
    source.refuse_passwords()
    root = path.parent.resolve()
    _check_paths(source, root, file)
    names = [entry.name for entry in file.board]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise source.error(
                f"board '{name}' stands twice", ("board", index, "name"), remedy="give each a name of its own"
            )
    for index, name in enumerate(file.coverage.boards):
        if name not in names:
            raise source.error(
                f"there is no board '{name}'", ("coverage", "boards", index), remedy=f"boards: {', '.join(names)}"
            )
    _check_results(source, file)
    boards = tuple(
        ProjectBoard(entry=entry, board=load_board(root / entry.manifest, entry.name)) for entry in file.board
    )
    _check_data(source, file, boards)
    for kind in file.campaigns.runs:
        if file.campaigns.module is None:
            raise source.error(
                "needs 'module' of [campaigns]: what must hold is the product's to say", ("campaigns", kind)
            )
    return Project(
        root=root,
        product=file.product,
        firmware=file.firmware,
        boards=boards,
        data=file.data,
        image=file.image,
        limits=file.limits,
        keys=file.keys,
        traceability=file.traceability,
        tests=file.tests,
        coverage=file.coverage,
        campaigns=file.campaigns,
        policy=file.policy,
        analysis=file.analysis,
        secrets=file.secrets,
        vulnerabilities=file.vulnerabilities,
        documents=file.documents,
        approval=file.approval,
        publication=file.publication,
        output=file.output,
    )


def _check_results(source: TomlFile, file: _File) -> None:
    """Results of other frameworks have names of their own, and no board is called as their column of the matrix."""
    names = [entry.name for entry in file.traceability.results]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise source.error("stands twice", ("traceability", "results", index, "name"))
    for index, board in enumerate(file.board):
        if names and board.name == "host":
            raise source.error("'host' is the column of [[traceability.results]]", ("board", index, "name"))


_TAKEN_NAMES = ("application", "bootloader", "factory")


def _check_data(source: TomlFile, file: _File, boards: tuple[ProjectBoard, ...]) -> None:
    """Data images have names, numbers and regions of their own, and what the application depends on is among them."""
    for index, entry in enumerate(file.data):
        if entry.name in _TAKEN_NAMES:
            raise source.error(f"'{entry.name}' is the name of another file of a release", ("data", index, "name"))
        for key in ("name", "image", "region", "artifact"):
            if getattr(entry, key) in [getattr(other, key) for other in file.data[:index]]:
                raise source.error(f"another [[data]] has {getattr(entry, key)!r}", ("data", index, key))
        if entry.region in ("bootloader", "slot0", "slot1"):
            raise source.error(f"region '{entry.region}' holds programs", ("data", index, "region"))
        for board in boards:
            if entry.region not in board.board.regions:
                known = ", ".join(board.board.regions)
                raise source.error(
                    f"board '{board.name}' has no region '{entry.region}'; its regions: {known}",
                    ("data", index, "region"),
                )
    _check_dependencies(source, file)


def _check_dependencies(source: TomlFile, file: _File) -> None:
    entry_of = {entry.image: entry for entry in file.data}
    for index, dependency in enumerate(file.image.dependencies):
        found = DEPENDENCY.fullmatch(dependency)
        number, version = (int(found[1]), found["version"]) if found else (0, "")
        if number not in entry_of:
            raise source.error(
                f"no [[data]] has the image number {number}: no device would start the application",
                ("image", "dependencies", index),
            )
        if _order(version) > _order(entry_of[number].version):
            raise source.error(
                f"'{entry_of[number].name}' is version {entry_of[number].version} only: no device would start the application",
                ("image", "dependencies", index),
            )


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.split(r"[.+]", version if "+" in version else f"{version}+0"))


def _check_paths(source: TomlFile, root: Path, file: _File) -> None:
    """Every path must exist below the root, so that a bundle never depends on what lies outside the commit."""
    named: list[tuple[Where, str | None, str]] = [
        (("firmware", "project"), file.firmware.project, "folder"),
        (("firmware", "soup"), file.firmware.soup, "file"),
        (("firmware", "deviations"), file.firmware.deviations, "file"),
        (("firmware", "stack"), file.firmware.stack, "file"),
        *((("board", index, "manifest"), entry.manifest, "file") for index, entry in enumerate(file.board)),
        (("traceability", "schema"), file.traceability.schema_, "file"),
        *((("traceability", "code", index), name, "folder") for index, name in enumerate(file.traceability.code)),
        # Items may all lie in another tool's files.
        (("traceability", "path"), file.traceability.path, "place" if file.traceability.source else "folder"),
        *(
            named
            for index, entry in enumerate(file.traceability.source)
            for named in (
                (("traceability", "source", index, "path"), entry.path, "file or folder"),
                (("traceability", "source", index, "mapping"), entry.mapping, "file"),
            )
        ),
        *(
            (("traceability", "results", index, "path"), entry.path, "place")
            for index, entry in enumerate(file.traceability.results)
        ),
        (("tests", "path"), file.tests.path, "folder"),
        (("analysis", "baseline"), file.analysis.baseline, "place"),  # `devicepipe analyse --write-baseline` makes it
        (("coverage", "never-executed"), file.coverage.never_executed, "file"),
        (("campaigns", "module"), file.campaigns.module, "file"),
        *(
            (("policy", "rule-sets", index), name, "file")
            for index, name in enumerate(file.policy.rule_sets)
            if is_path(name)
        ),
        (("documents", "path"), file.documents.path, "folder"),
        (
            ("publication", "trusted-root"),
            file.publication.trusted_root,
            "place",
        ),  # `devicepipe repository init` makes it
        *(
            (("publication", role, "keys", index, "public"), key.public, "file")
            for role in ROLES
            for index, key in enumerate(file.publication.role(role).keys)
        ),
    ]
    if file.vulnerabilities is not None:
        named.append((("vulnerabilities", "vex"), file.vulnerabilities.vex, "folder"))
        if not (root / file.vulnerabilities.snapshot).resolve().is_relative_to(root):
            raise source.error(
                f"'{file.vulnerabilities.snapshot}' lies outside the project", ("vulnerabilities", "snapshot")
            )
    output = (root / file.output).resolve()
    if output == root or not output.is_relative_to(root):
        raise source.error(f"'{file.output}' is no folder of its own inside the project", ("output",))
    if not (root / file.policy.waivers).resolve().is_relative_to(root):
        raise source.error(f"'{file.policy.waivers}' lies outside the project", ("policy", "waivers"))
    for where, value, kind in named:
        if value is None:
            continue
        target = (root / value).resolve()
        if not target.is_relative_to(root):
            raise source.error(f"'{value}' lies outside the project", where, remedy="name one of the project's own")
        there = {
            "folder": target.is_dir(),
            "file": target.is_file(),
            "file or folder": target.exists(),
            "place": True,
        }
        if not there[kind]:
            remedy = f"make it, or correct the path, which is relative to {root}"
            raise source.error(f"expected a {kind}, but there is none at '{value}'", where, remedy=remedy)
