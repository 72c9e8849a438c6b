"""devicepipe.toml: what the product is and where things lie, as typed values.

What always holds of a `Project`: every key was known, every path it names exists and lies inside the project's root, and every
board manifest was read. Otherwise reading it raised a UsageError with file, line, key and what was expected.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from devicepipe.errors import UsageError
from devicepipe.project.approval_settings import ApprovalSettings
from devicepipe.project.board import Board, load_board
from devicepipe.project.exchange import TraceMapping, TraceResults, TraceSource
from devicepipe.project.place import CONFIG_NAME, find_project
from devicepipe.project.policy import PolicySettings, is_path
from devicepipe.project.publication_settings import ROLES, PublicationSettings
from devicepipe.project.toml_file import Table, TomlFile, Where, matching
from devicepipe.project.trace_schema import SchemaText

__all__ = ["CONFIG_NAME", "find_project"]  # where the rest of the house has them from

CampaignName = Literal["powercut", "bitflip", "fuzz"]
_REMEDY = "see docs/reference/configuration.md"

Name = Annotated[
    str,
    matching(
        r"^[a-z0-9][a-z0-9._-]*$", "small letters, digits, '.', '_' and '-', a letter or digit first", max_length=64
    ),
]


class Product(Table):
    """[product]: who makes what, and of which software safety class (IEC 62304 4.3)."""

    name: Name
    title: str = Field(min_length=1)
    manufacturer: str = Field(min_length=1)
    safety_class: Literal["A", "B", "C"]
    version_scheme: Literal["semver"] = "semver"


class Firmware(Table):
    """[firmware]: the PlatformIO project, and three files if there are any.

    `soup` is the lock file of the C libraries that devicepipe fetches for it, `deviations` lists its deviations from MISRA C:2012,
    `stack` says what cannot be seen of its use of the stack.
    """

    project: str
    soup: str | None = None
    deviations: str | None = None
    stack: str | None = None


class BoardEntry(Table):
    """[[board]]: a target type: its manifest, and the PlatformIO environments of its application and its bootloader."""

    name: Name
    manifest: str
    application: str
    bootloader: str


_IMAGE_VERSION = r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(\+(0|[1-9][0-9]*))?"
_DEPENDENCY = re.compile(rf"\(([0-9]+), *(?P<version>{_IMAGE_VERSION})\)")


class DataEntry(Table):
    """[[data]]: a file that the application's build makes beside the program, e.g. a table of limits, signed as an own image.

    Every board gets it, in the region of that name of its manifest. Where the firmware keeps several copies in the region (so that
    one can be written while another counts), `copies` is their number: the image must fit into that part, and the factory image
    holds the first.
    """

    name: Name
    artifact: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$")]
    region: str
    image: int = Field(ge=1, le=255)
    version: Annotated[str, StringConstraints(pattern=f"^{_IMAGE_VERSION}$")]
    security_counter: int = Field(default=0, ge=0, lt=2**32)
    copies: int = Field(default=1, ge=1, le=16)


class ImageSettings(Table):
    """[image]: the security counter (downgrade protection) of the next image, and the data images it needs: "(number, version)"."""

    security_counter: int = Field(default=0, ge=0, lt=2**32)
    dependencies: tuple[Annotated[str, StringConstraints(pattern=f"^{_DEPENDENCY.pattern}$")], ...] = Field(
        default=(), strict=False
    )


class Limits(Table):
    """[limits]: what the gate holds the product to: the share of a slot, in percent, that the signed image leaves free."""

    slot_spare: int = Field(default=0, ge=0, lt=100)


class Keys(Table):
    """[keys]: signers by URI. Left out, development keys are made under .devicepipe/keys.

    `production` signs the images that ship; `production_public` is its public half, a file of the commit. They have no default.
    `history` is the folder of the changes of all these keys, once there are any.
    """

    image: str | None = None
    image_public: str | None = None
    release: str | None = None
    release_public: str | None = None
    production: str | None = None
    production_public: str | None = None
    history: str = "keys/history"


Acceptable = Literal["acceptable", "benefit-risk", "unacceptable"]
"""What a risk is: acceptable, only where a benefit-risk analysis justifies it, or not at all."""


class TraceSettings(SchemaText):
    """[traceability]: where the items lie, which id prefix is which item type, and the words that rate hazards, least first.

    `schema` names a file with further types, links and rules; the tables `types`, `links` and `rules` may stand here as well.
    `code` are the folders whose sources are searched for markers: the firmware project's if none is named.
    `reviews` says whether items must be reviewed: "required", or only "when-kept", where there is a file of reviews.
    `acceptability` says for each severity and, in their order, each probability whether a risk is acceptable (risk.md).
    `source`, `results` and `mapping` are about what other tools have (docs/reference/exchange.md).
    """

    path: str = "requirements"
    prefixes: dict[str, str] | None = None
    severities: tuple[str, ...] = Field(default=(), strict=False)
    probabilities: tuple[str, ...] = Field(default=(), strict=False)
    schema_: str | None = Field(default=None, alias="schema")
    code: tuple[str, ...] = Field(default=(), strict=False)
    reviews: Literal["required", "when-kept"] = "when-kept"
    acceptability: dict[str, Annotated[tuple[Acceptable, ...], Field(strict=False)]] | None = None
    source: tuple[TraceSource, ...] = Field(default=(), strict=False)
    results: tuple[TraceResults, ...] = Field(default=(), strict=False)
    mapping: TraceMapping = TraceMapping.model_construct()


class Retries(Table):
    """[tests.retries]: how often a device test is tried again, and after which verdicts; left out: never."""

    times: int = Field(default=0, ge=0, le=5)
    verdicts: tuple[Literal["error", "failed"], ...] = Field(default=("error",), min_length=1, strict=False)


class TestSettings(Table):
    """[tests]: the folder of the device tests, and the longest a board's session may take, in seconds."""

    path: str = "hil"
    timeout: int = Field(default=600, gt=0)
    retries: Retries = Retries.model_construct()


class CoverageMinimum(Table):
    """[coverage] minimum: the shares, in percent, that each board's device tests must execute of its programs."""

    instructions: int = Field(default=0, ge=0, le=100)
    lines: int = Field(default=0, ge=0, le=100)
    functions: int = Field(default=0, ge=0, le=100)
    outcomes: int = Field(default=0, ge=0, le=100)


class CoverageSettings(Table):
    """[coverage]: whether releases record what the device tests execute, on which boards (all), and what is asked of it.

    `never_executed` names the file that lists the functions which no test executes, each with the reason.
    """

    release: bool = False
    boards: tuple[str, ...] = Field(default=(), strict=False)
    minimum: CoverageMinimum = CoverageMinimum.model_construct()
    never_executed: str | None = None


class CampaignRun(Table):
    """[campaigns.powercut], .bitflip, .fuzz: that campaign is part of a release, on each board, with so many points."""

    points: int = Field(ge=1)
    seed: int = 1


class CampaignSettings(Table):
    """[campaigns]: the product's Python module that says what must hold after an injected fault (docs/reference/campaigns.md)."""

    module: str | None = None
    powercut: CampaignRun | None = None
    bitflip: CampaignRun | None = None
    fuzz: CampaignRun | None = None

    @property
    def runs(self) -> dict[CampaignName, CampaignRun]:
        """Those that are part of a release."""
        named: dict[CampaignName, CampaignRun | None] = {
            "powercut": self.powercut,
            "bitflip": self.bitflip,
            "fuzz": self.fuzz,
        }
        return {kind: run for kind, run in named.items() if run is not None}


AnalysisTool = Literal["cppcheck", "misra", "gcc", "gcc-analyzer", "clang-tidy"]


class AnalysisSettings(Table):
    """[analysis]: the tools that a release needs, and the file of known findings (docs/reference/analysis.md).

    `forbidden_symbols` are the functions that must not be linked in, instead of the usual ones.
    """

    tools: tuple[AnalysisTool, ...] = Field(default=("cppcheck", "misra", "gcc", "gcc-analyzer"), strict=False)
    baseline: str | None = None
    forbidden_symbols: tuple[str, ...] | None = Field(default=None, min_length=1, strict=False)


class VulnerabilitySettings(Table):
    """[vulnerabilities]: components are checked against a snapshot of vulnerability records; left out: they are not.

    `snapshot` is the file that pins it (`devicepipe vuln update` writes it), `vex` the folder of VEX statements, `max_age` how old
    the snapshot may be, in days, `no_data` what becomes of a component that it knows nothing of.
    """

    snapshot: str
    vex: str | None = None
    max_age: int = Field(default=30, ge=0)
    no_data: Literal["refuse", "reviewed", "accept"] = "refuse"


class AllowedSecret(Table):
    """[[secrets.allowed]]: a made-up secret that may stand in the sources, e.g. a test's: files by glob, rule and reason."""

    file: str = Field(min_length=1)
    rule: str = Field(min_length=1)
    reason: str = Field(min_length=1)


class SecretSettings(Table):
    """[secrets]: what of the search for secrets is none (docs/reference/analysis.md)."""

    allowed: tuple[AllowedSecret, ...] = Field(default=(), strict=False)


class DocumentSettings(Table):
    """[documents]: paper size and the folder of texts that QA edits."""

    paper: Literal["A4", "Letter"] = "A4"
    path: str | None = None


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
        found = _DEPENDENCY.fullmatch(dependency)
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
