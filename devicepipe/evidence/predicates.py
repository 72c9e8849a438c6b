"""The model of the evidence: what each attestation says, as typed values.

Of analysis it is in findings.py and memory.py, of device tests in results.py, of traceability in trace.py.

An attestation is an in-toto Statement v1 in a DSSE envelope. The *predicate types* here are the standard ones where one
exists (SLSA provenance v1, in-toto test-result v0.1, CycloneDX BOM, SLSA verification summary v1) and our own URN only where
none does. Fields of ours inside a standard predicate stand under the one key `devicepipe`, which the in-toto
parsing rules let other tools ignore.

What always holds: every model is frozen, refuses unknown keys and serialises to camelCase JSON with `to_json()`;
digests are lower-case hexadecimal SHA-256; times are UTC in RFC 3339 with a trailing "Z"; paths are relative to the bundle
and use "/".

Sources: in-toto attestation framework v1 (spec/v1/statement.md, spec/predicates/test-result.md), SLSA v1.0 provenance and VSA.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from devicepipe.evidence.model import Commit, Model, Sha256, Time
from devicepipe.evidence.words import HOST

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SBOM = "https://cyclonedx.org/bom"
VERIFICATION_SUMMARY = "https://slsa.dev/verification_summary/v1"
SOURCE = "urn:devicepipe:predicate:source:v1"
REPRODUCIBILITY = "urn:devicepipe:predicate:reproducibility:v1"
STATIC_ANALYSIS = "urn:devicepipe:predicate:static-analysis:v1"
MEMORY = "urn:devicepipe:predicate:memory:v1"
IMAGE_SIGNING = "urn:devicepipe:predicate:image-signing:v1"
TRACEABILITY = "urn:devicepipe:predicate:traceability:v1"
RELEASE = "urn:devicepipe:predicate:release:v1"

BUILD_TYPE = "urn:devicepipe:build-type:platformio:v1"


class Digest(Model):
    """A digest set with the one algorithm that devicepipe uses."""

    sha256: Sha256


class Subject(Model):
    """An artifact that a statement is about: bundle-relative path and SHA-256 of its bytes."""

    name: str
    digest: Digest


class Tool(Model):
    """A tool that took part, free of paths: name, version and, where it is one file, the SHA-256 of it."""

    name: str
    version: str
    sha256: Sha256 | None = None


class KeyInfo(Model):
    """A public key: its id (SHA-256 of the DER SubjectPublicKeyInfo), and whether it is a development key."""

    keyid: Sha256
    scheme: str
    development: bool


# --- source ---------------------------------------------------------------------------------------------------------


CampaignKind = Literal["powercut", "bitflip", "fuzz"]


class CampaignWish(Model):
    """A fault-injection campaign that a release must run on each board, with so many points."""

    kind: CampaignKind
    points: int = Field(ge=1)
    seed: int


NoData = Literal["refuse", "reviewed", "accept"]
"""What becomes of a component of which a vulnerability snapshot knows nothing: refused, accepted where a SOUP item says that its
list of anomalies was reviewed, or accepted."""


class VulnerabilityWish(Model):
    """That components are checked against a vulnerability snapshot: which one, of what day, and how old it may be, in days."""

    snapshot: Sha256
    date: str
    max_age: int = Field(ge=0)
    no_data: NoData


class ResultsWish(Model):
    """That results of another test framework are evidence: under what name, in what format, and how they are made and read.

    `command` makes the files in the released sources; `properties` and `items` find the ids of items in them (junit.py).
    """

    name: str
    format: Literal["junit"]
    command: list[str] | None = None
    properties: list[str]
    items: str | None = None


class SourceInfo(Model):
    """Predicate SOURCE: what is being released, from which commit, on which host, with which keys.

    `dirty` is true when the tree differed from the commit (`--allow-dirty`): such a bundle is never releasable. `coverage` are the
    boards whose tests' coverage is recorded, `campaigns` those that each board must have run, `vulnerabilities` the snapshot that
    components are checked against, `history` whether the history of the product is told, `authors` the e-mail addresses of who
    wrote the change since the last version's tag (`checks.authors_of`), `results` those of other test frameworks.
    """

    product: str
    title: str
    manufacturer: str
    safety_class: Literal["A", "B", "C"]
    version: str
    commit: Commit
    commit_time: Time
    dirty: bool
    boards: list[str]
    coverage: list[str] | None = None
    started_on: Time
    tester: str
    tools: list[Tool]
    image_key: KeyInfo
    release_key: KeyInfo
    campaigns: list[CampaignWish] | None = None
    vulnerabilities: VulnerabilityWish | None = None
    history: bool | None = None
    authors: list[str] | None = None
    results: list[ResultsWish] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns of the matrix: the boards, and the host where other frameworks' results are evidence."""
        return [*self.boards, HOST] if self.results else self.boards

    @property
    def wishes(self) -> list[CampaignWish]:
        """The campaigns, none where there are none."""
        return self.campaigns or []


# --- build ----------------------------------------------------------------------------------------------------------


class MemoryUse(Model):
    """Bytes used of a memory and its limit."""

    used: int
    limit: int


class Artifact(Model):
    """One output file of a build."""

    role: str  # elf, bin, hex, map, compile-commands; data/<name> for a file that becomes a data image
    path: str
    sha256: Sha256
    size: int


class FirmwareBuild(Model):
    """One firmware of a board (the application or the bootloader): PlatformIO environment, outputs and sizes."""

    role: Literal["application", "bootloader"]
    environment: str
    artifacts: list[Artifact]
    flash: MemoryUse
    ram: MemoryUse

    @property
    def data(self) -> dict[str, Artifact]:
        """The files that become data images, by name."""
        found = {artifact.role.partition("/"): artifact for artifact in self.artifacts}
        return {name: artifact for (kind, _, name), artifact in found.items() if kind == "data"}

    def artifact(self, role: str) -> Artifact:
        """The output of that role; KeyError if the build has none."""
        for artifact in self.artifacts:
            if artifact.role == role:
                return artifact
        raise KeyError(role)


class BuildResult(Model):
    """All firmwares of one board with the compilers that made them; goes under `devicepipe` of the SLSA provenance."""

    board: str
    firmwares: list[FirmwareBuild]
    compilers: list[Tool]

    def firmware(self, role: str) -> FirmwareBuild:
        """The application or the bootloader; KeyError if the board has none."""
        for firmware in self.firmwares:
            if firmware.role == role:
                return firmware
        raise KeyError(role)


class Difference(Model):
    """Where two builds of one artifact first differ: byte offset, and what is known of the place in the program.

    `section` and `symbol` name what differs first (or what uses it, where it has no name); `other_symbol` what the second build has
    in its place; `source` is `file:line` of it; `first` and `second` are what the builds have there; `note` says it in words.
    """

    artifact: str
    offset: int
    section: str | None = None
    symbol: str | None = None
    other_symbol: str | None = None
    source: str | None = None
    first: str | None = None
    second: str | None = None
    note: str | None = None

    def told(self) -> str:
        """The difference as a sentence."""
        place = ", ".join(filter(None, (self.section, self.symbol, self.source)))
        shown = f": {self.first!r} and {self.second!r}" if self.first is not None else ""
        words = f": {self.note}{shown}" if self.note else ""
        return f"{self.artifact} from byte {self.offset}{f' ({place})' if place else ''}{words}"


class Variation(Model):
    """Something that two builds differed in besides their outputs: its name, and what it was in each."""

    what: str
    first: str
    second: str


class Reproducibility(Model):
    """Predicate REPRODUCIBILITY: two clean builds in different surroundings, compared bit for bit.

    `varied` is what the surroundings differed in, `same` what two builds on one machine have in common.
    """

    board: str
    builds: int
    compared: list[str]
    identical: bool
    differences: list[Difference]
    varied: list[Variation] | None = None
    same: list[str] | None = None


# --- sign -----------------------------------------------------------------------------------------------------------


class UpdateImage(Model):
    """A second image of the same payload with the next build number: what device tests update the device to. It never ships."""

    image: str
    image_digest: Sha256
    image_version: str


class DataImage(Model):
    """A signed image that is no program: which file of the build it holds, and where the factory image has it.

    `number` is the image number by which a program names it in its dependencies; `address` is that of the region's first byte.
    """

    name: str
    number: int
    image: str
    artifact: str
    payload_digest: Sha256
    image_digest: Sha256
    image_version: str
    security_counter: int
    region: str
    address: int


class ImageSigning(Model):
    """Predicate IMAGE_SIGNING: a MCUboot image made from the built application, data images, and the factory image of them all.

    `payload_digest` is the SHA-256 of the application binary that was signed; `image_digest` is MCUboot's own SHA-256 over
    header, payload and protected TLVs: what the device reports of what it runs. `dependencies` are "(image number, version)".
    """

    board: str
    image: str
    factory_image: str
    payload_digest: Sha256
    image_digest: Sha256
    image_version: str
    security_counter: int
    key: KeyInfo
    tool: Tool
    dependencies: list[str] = Field(default_factory=list)
    data: list[DataImage] = Field(default_factory=list)
    update: UpdateImage | None = None

    @property
    def images(self) -> list[str]:
        """The files of all signed images: the application's first."""
        return [self.image, *([self.update.image] if self.update else []), *(data.image for data in self.data)]


# --- release --------------------------------------------------------------------------------------------------------


class Release(Model):
    """Predicate RELEASE: the release statement. Its subjects are all files of the bundle but release.json and its signature.

    `waived` tells, in a sentence each, what does not hold and is waived, and `weakened` what was made weaker about the rules; None
    where there is nothing.
    """

    product: str
    version: str
    commit: Commit
    releasable: bool
    reasons: list[str]
    development_keys: bool
    sealed_on: Time
    generator: Tool
    waived: list[str] | None = None
    weakened: list[str] | None = None


# --- provenance -----------------------------------------------------------------------------------------------------


class ResourceDescriptor(Model):
    """in-toto ResourceDescriptor: a material or input, by name or URI and digest."""

    name: str | None = None
    uri: str | None = None
    digest: dict[str, str] = Field(default_factory=dict)


class BuildDefinition(Model):
    """SLSA v1 buildDefinition."""

    build_type: str
    external_parameters: dict[str, Any]
    internal_parameters: dict[str, Any]
    resolved_dependencies: list[ResourceDescriptor]


class RunDetails(Model):
    """SLSA v1 runDetails."""

    builder: dict[str, Any]
    metadata: dict[str, Any]


class Provenance(Model):
    """Predicate PROVENANCE (SLSA v1) with the board's build under `devicepipe`."""

    build_definition: BuildDefinition
    run_details: RunDetails
    devicepipe: BuildResult
