"""The sections of devicepipe.toml, each as a typed table; a section that can be left out has its defaults here."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from devicepipe.project.exchange import TraceMapping, TraceResults, TraceSource
from devicepipe.project.toml_file import Table, matching
from devicepipe.project.trace_schema import SchemaText

CampaignName = Literal["powercut", "bitflip", "fuzz"]

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
DEPENDENCY = re.compile(rf"\(([0-9]+), *(?P<version>{_IMAGE_VERSION})\)")
"""An image's dependency: the number of another image and its least version, as imgtool takes them."""


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
    dependencies: tuple[Annotated[str, StringConstraints(pattern=f"^{DEPENDENCY.pattern}$")], ...] = Field(
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
