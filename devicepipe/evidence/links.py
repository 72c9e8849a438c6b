"""The cross links of a bundle: what the attestations say of each other, of the keys and of the images must be one story.

Checked in this order, the first broken link named:

1. source: product, version and commit are the release's; there is exactly the set of attestations that its boards need;
2. keys: `keys/release.pub.pem` is the caller's key, `keys/image.pub.pem` the source's; both say alike whether they are
   development keys;
3. images: each board's signed images verify under `keys/image.pub.pem` with imgtool; programs are programs and data is data;
4. per board: build (of the source's commit and version, for its image key; its outputs are in the bundle), reproducibility,
   analysis, SBOM (of the factory image, of archives that the build names), signing (the signed payload is the built binary, that
   of the update-test image as well; each data image holds its file of the build, and there is one for each; the factory image is
   bootloader + signed image + data images), test (of that payload and image, with that serial log), coverage where the source says
   that it is recorded (of that image, those programs and that session), and what was merged of it; campaigns where the source asks
   for them (of that image, with as many points); the SBOM of the tools names the compilers of all boards; where the source asks
   for it, every component that is linked in has a verdict that follows from the records and VEX statements in the bundle, and the
   history is that of the released commit;
5. traceability: results of other frameworks are what their files in the bundle say; what the matrix shows as passed did pass,
   and no test is left out; items are what their fingerprints say, and what
   is told of their reviews follows from them;
6. every file below `images/` is an output that a build attestation names, or an image that a signing attestation names;
7. gate: its inputs are exactly the other attestations, its rules are in the bundle and all of them decided, what is waived is
   covered by signed waivers (policy_links.py), and its result is the release statement's;
8. log: where the bundle carries proofs, each attestation and the decision about the release are in the product's log.

Whether a product is good enough is the gate's business, not checked here.
"""

from __future__ import annotations

from collections.abc import Iterable

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.analysis_links import check_analysis
from devicepipe.evidence.build_links import check_provenance, check_reproducibility, source_files
from devicepipe.evidence.bundle import Attestation, Bundle
from devicepipe.evidence.campaign_links import check_campaigns
from devicepipe.evidence.campaigns import Campaigns
from devicepipe.evidence.checks import Link, authors_of
from devicepipe.evidence.checks import artifact as _artifact
from devicepipe.evidence.checks import same as _same
from devicepipe.evidence.coverage import CoverageResult, MergedCoverage
from devicepipe.evidence.coverage_links import check_coverage, check_merged
from devicepipe.evidence.currency_links import check_currency
from devicepipe.evidence.decisions import WAIVERS, VerificationSummary
from devicepipe.evidence.devices import check_device
from devicepipe.evidence.files import size_of
from devicepipe.evidence.findings import StaticAnalysis
from devicepipe.evidence.foreign_links import Foreign, check_foreign, check_foreign_rows
from devicepipe.evidence.foreign_results import ForeignResults, shown_cases
from devicepipe.evidence.history import History
from devicepipe.evidence.history_links import check_history
from devicepipe.evidence.layout import (
    IMAGE_KEY,
    KINDS,
    RELEASE_KEY,
    RELEASE_STATEMENT,
    SOURCE_CONFIG,
    kind_named,
    kind_of_model,
)
from devicepipe.evidence.log_proofs import check_log_proofs
from devicepipe.evidence.marker_links import check_markers
from devicepipe.evidence.memory import Memory
from devicepipe.evidence.model import Model
from devicepipe.evidence.names import is_name
from devicepipe.evidence.personal_waivers import WaiverPolicy, waiver_policy
from devicepipe.evidence.policy_links import Judged, check_policy
from devicepipe.evidence.predicates import (
    BuildResult,
    ImageSigning,
    KeyInfo,
    Provenance,
    Release,
    Reproducibility,
    SourceInfo,
)
from devicepipe.evidence.results import Attempt, Identity, TestCase, TestResult, TestRun, Verdict
from devicepipe.evidence.review_links import check_reviews
from devicepipe.evidence.sbom_links import check_build_sbom, check_sbom
from devicepipe.evidence.secret_links import check_secrets
from devicepipe.evidence.secrets import Secrets
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.vulnerabilities import Vulnerabilities
from devicepipe.evidence.vulnerability_links import check_vulnerabilities
from devicepipe.evidence.words import HOST
from devicepipe.signing.factory import check_factory_image, read_hex
from devicepipe.signing.image import SignedImage, check_release_version, image_version, next_build, verify_images
from devicepipe.signing.keys import MAXIMUM_PEM, PublicKey

_MAXIMUM_RULES = 4 * 1024 * 1024
_MAXIMUM_HEX = 16 * 1024 * 1024  # about 6 MiB of flash


def check_links(
    bundle: Bundle, attestations: Iterable[Attestation], release: Release, public_key: PublicKey
) -> list[Link]:
    """Check all cross links of a bundle whose files and signatures were checked before.

    Args:
        bundle: The bundle; its reads must be checked ones.
        attestations: Its attestations, signatures and subjects verified.
        release: The release statement.
        public_key: The caller's release key.

    Returns:
        The checks done, in order.

    Raises:
        IntegrityError: The first link that does not hold.
        BenchError: imgtool cannot be run.
    """
    return _Check(bundle, attestations, release, public_key).run()


class _Check:
    def __init__(
        self, bundle: Bundle, attestations: Iterable[Attestation], release: Release, public_key: PublicKey
    ) -> None:
        self.bundle = bundle
        self.by_path = {attestation.path: attestation for attestation in attestations}
        self.release = release
        self.public_key = public_key
        self.links: list[Link] = []

    def run(self) -> list[Link]:
        source = self.source()
        image_key = self.keys(source)
        images = self.images(source, image_key)
        for board in source.boards:
            build = self.build(board, source)
            self.reports(board, build)
            signing = self.signing(board, source, build, images)
            self.memory(board, build, signing)
            self.test(board, source, signing)
            self.coverage(board, source, build, signing)
            if source.wishes:
                attestation = self.attestation(Campaigns, board)
                self.held(attestation.path, check_campaigns(attestation, source.wishes, signing))
        tools = self.by_path[kind_named("build-sbom").path_for()]
        builds = [self.attestation(Provenance, board) for board in source.boards]
        self.links.append(check_build_sbom(self.bundle, tools, builds))
        self.merged_coverage(source)
        self.vulnerabilities(source)
        if source.history:
            self.links.append(check_history(self.attestation(History), source))
        self.traceability(source)
        self.all_images_attested(source.boards)
        self.links.append(check_secrets(self.bundle, self.attestation(Secrets), source))
        self.gate(source, images)
        self.links.append(check_log_proofs(self.bundle, self.by_path.values(), source, self.release, self.public_key))
        return self.links

    # --- tools of the checks ---

    def held(self, link: str, check: str) -> None:
        self.links.append(Link(link, check))

    def attestation(self, model: type[Model], board: str = "") -> Attestation:
        return self.by_path[kind_of_model(model).path_for(board)]

    def about(self, attestation: Attestation, name: str) -> None:
        """The attestation must have the file among its subjects."""
        if attestation.statement.digest_of(name) is None:
            raise IntegrityError(f"is not about {name}, which it should be", link=attestation.path)

    def file_is(self, name: str, digest: str, link: str) -> None:
        """What `link` says of a file must be true of the bundle's file."""
        if not self.bundle.exists(name):
            raise IntegrityError(f"names {name}, which is not in this bundle", link=link)
        if self.bundle.sha256(name) != digest:
            raise IntegrityError(f"gives another SHA-256 of {name} than the bundle's file has", link=link)

    def small(self, name: str, maximum: int) -> bytes:
        if size_of(self.bundle.folder, name) > maximum:
            raise IntegrityError(f"is larger than {maximum} bytes", link=name)
        return self.bundle.read(name)

    # --- the checks ---

    def source(self) -> SourceInfo:
        path = kind_of_model(SourceInfo).path_for()
        if path not in self.by_path:
            raise IntegrityError("is missing", link=path)
        source = self.by_path[path].read(SourceInfo)
        for what, here, there in (
            ("product", source.product, self.release.product),
            ("version", source.version, self.release.version),
            ("commit", source.commit, self.release.commit),
        ):
            _same(what, here, there, path, RELEASE_STATEMENT)
        authors_of(source, path)
        try:
            check_release_version(source.version)
        except UsageError as error:
            raise IntegrityError(error.message, link=path) from error
        if not source.boards or len(set(source.boards)) != len(source.boards):
            raise IntegrityError("names no board, or one twice", link=path)
        for board in source.boards:
            if not is_name(board) or "/" in board:
                raise IntegrityError(f"{board!r} cannot be a board's name", link=path)
        self.complete(source)
        if not set(source.coverage or []) <= set(source.boards):
            raise IntegrityError("names a board for coverage that is none of its boards", link=path)
        kinds = [wish.kind for wish in source.wishes]
        if len(set(kinds)) != len(kinds):
            raise IntegrityError("asks for one campaign twice", link=path)
        for attestation in self.by_path.values():
            self.only_own_board(attestation, source.boards)
        self.held(
            path, f"product, version and commit are the release's; boards {', '.join(source.boards)} are complete"
        )
        return source

    def complete(self, source: SourceInfo) -> None:
        """There is one attestation of each kind, for each board where the kind is per board, and no other."""
        wanted = [kind for kind in KINDS if not kind.optional]
        wanted += [kind_of_model(Campaigns)] if source.wishes else []
        expected = [kind.path_for(board) for kind in wanted for board in (source.boards if kind.per_board else [""])]
        covered = [board for board in source.boards if board in (source.coverage or [])]
        expected += [kind_of_model(CoverageResult).path_for(board) for board in covered]
        expected += [kind_of_model(MergedCoverage).path_for()] if covered else []
        expected += [kind_of_model(Vulnerabilities).path_for()] if source.vulnerabilities is not None else []
        expected += [kind_of_model(ForeignResults).path_for()] if source.results else []
        expected += [kind_of_model(History).path_for()] if source.history else []
        for name in expected:
            if name not in self.by_path:
                raise IntegrityError("is missing: the source names a board that needs it", link=name)
        for name in self.by_path:
            if name not in expected:
                raise IntegrityError("is of a board that the source does not name", link=name)

    def only_own_board(self, attestation: Attestation, boards: list[str]) -> None:
        if not attestation.board:
            return
        others = tuple(f"images/{board}/" for board in boards if board != attestation.board)
        for subject in attestation.statement.subjects:
            if subject.name.startswith(others):
                raise IntegrityError(f"is about another board's {subject.name}", link=attestation.path)

    def keys(self, source: SourceInfo) -> PublicKey:
        path = kind_of_model(SourceInfo).path_for()
        release_key = self.key(RELEASE_KEY, source.release_key, path)
        if release_key.keyid != self.public_key.keyid:
            raise IntegrityError("is not the key that the bundle was verified with", link=RELEASE_KEY)
        if self.public_key.development and not release_key.development:
            raise IntegrityError("hides that it is a development key", link=RELEASE_KEY)
        image_key = self.key(IMAGE_KEY, source.image_key, path)
        development = release_key.development or image_key.development
        if self.release.development_keys != development:
            raise IntegrityError("does not say truly whether development keys were used", link=RELEASE_STATEMENT)
        kind = "development" if development else "production"
        self.held(IMAGE_KEY, f"is the source's image key ({kind} keys)")
        return image_key

    def key(self, name: str, info: KeyInfo, path: str) -> PublicKey:
        if not self.bundle.exists(name):
            raise IntegrityError("is missing", link=name)
        try:
            key = PublicKey.from_pem(self.small(name, MAXIMUM_PEM))
        except UsageError as error:
            raise IntegrityError(error.message, link=name) from error
        if (key.keyid, key.scheme, key.development) != (info.keyid, info.scheme, info.development):
            raise IntegrityError(f"describes another key than {name}", link=path)
        return key

    def images(self, source: SourceInfo, image_key: PublicKey) -> dict[str, SignedImage]:
        """The signed images by name, of all boards."""
        programs: dict[str, bool] = {}
        for board in source.boards:
            attestation = self.attestation(ImageSigning, board)
            signing = attestation.read(ImageSigning)
            if len(set(signing.images)) != len(signing.images):
                raise IntegrityError("names one file as two images", link=attestation.path)
            for name in signing.images:
                self.about(attestation, name)
            programs |= dict.fromkeys(signing.images, True) | {data.image: False for data in signing.data}
        try:
            verified = verify_images({name: self.bundle.read(name) for name in programs}, image_key)
        except UsageError as error:
            raise IntegrityError(error.message, link=IMAGE_KEY) from error
        for name, program in programs.items():
            if verified[name].bootable != program:
                raise IntegrityError(f"is signed as {'data' if program else 'a program'}, which it is not", link=name)
            self.held(name, f"imgtool verifies it under {IMAGE_KEY}, and it ends where its TLVs end")
        return verified

    def build(self, board: str, source: SourceInfo) -> BuildResult:
        attestation = self.attestation(Provenance, board)
        provenance = attestation.read(Provenance)
        build, link = provenance.devicepipe, attestation.path
        _same("board", build.board, board, link, "its name")
        definition = provenance.build_definition
        for what, expected in (
            ("board", board),
            ("version", source.version),
            ("commit", source.commit),
            ("dirty", source.dirty),
            ("imageKey", {"sha256": source.image_key.keyid}),
        ):
            _same(what, definition.external_parameters.get(what), expected, link, "the source")
        commits = {
            dependency.digest["gitCommit"]
            for dependency in definition.resolved_dependencies
            if "gitCommit" in dependency.digest
        }
        if commits != {source.commit}:
            raise IntegrityError(
                "its resolvedDependencies do not give the source's commit, and only that, as gitCommit", link=link
            )
        check_provenance(self.bundle, attestation, self.attestation(SourceInfo))
        roles = [firmware.role for firmware in build.firmwares]
        if sorted(roles) != ["application", "bootloader"]:
            raise IntegrityError("does not have exactly one application and one bootloader", link=link)
        for firmware in build.firmwares:
            for artifact in firmware.artifacts:
                self.file_is(artifact.path, artifact.sha256, link)
                self.about(attestation, artifact.path)
                _same("size", artifact.size, size_of(self.bundle.folder, artifact.path), link, artifact.path)
        _artifact(build, "application", "bin", link)
        self.held(
            link,
            "built from the source's commit as this version, trusting its image key; its outputs are in the bundle",
        )
        return build

    def reports(self, board: str, build: BuildResult) -> None:
        """Reproducibility, analysis and SBOM: of this board and its build."""
        outputs = {artifact.path for firmware in build.firmwares for artifact in firmware.artifacts}
        image = self.attestation(ImageSigning, board).read(ImageSigning).image
        for kind in KINDS:
            if kind.name not in {"reproducibility", "analysis", "memory", "sbom"}:
                continue
            attestation = self.by_path[kind.path_for(board)]
            if not any(subject.name in outputs | {image} for subject in attestation.statement.subjects):
                raise IntegrityError("is not about any output of the board's build", link=attestation.path)
            self.held(attestation.path, "is about this build")
        built, signed = self.attestation(Provenance, board), self.attestation(ImageSigning, board)
        sbom = self.by_path[kind_named("sbom").path_for(board)]
        self.links.append(check_sbom(self.bundle, sbom, built.read(Provenance), signed.read(ImageSigning)))
        check_analysis(self.attestation(StaticAnalysis, board))
        check_reproducibility(self.attestation(Reproducibility, board), build)

    def memory(self, board: str, build: BuildResult, signing: ImageSigning) -> None:
        """The figures are of this build's programs and this board's image."""
        attestation = self.attestation(Memory, board)
        memory, link = attestation.read(Memory), attestation.path
        _same("board", memory.board, board, link, "its name")
        for program in memory.programs:
            elf = _artifact(build, program.role, "elf", link)
            self.about(attestation, elf)
            firmware = build.firmware(program.role)
            for what, here, there in (("flash", program.flash, firmware.flash), ("RAM", program.ram, firmware.ram)):
                _same(f"{program.role}'s {what}", here, there, link, "the build")
        self.about(attestation, signing.image)
        _same("image's size", memory.slot.used, size_of(self.bundle.folder, signing.image), link, signing.image)
        self.held(link, "is about this build's programs and the signed image")

    def signing(
        self, board: str, source: SourceInfo, build: BuildResult, images: dict[str, SignedImage]
    ) -> ImageSigning:
        attestation = self.attestation(ImageSigning, board)
        signing, link = attestation.read(ImageSigning), attestation.path
        image = images[signing.image]
        _same("board", signing.board, board, link, "its name")
        _same("key", signing.key, source.image_key, link, "the source")
        for what, here, there in (
            ("image digest", signing.image_digest, image.image_digest),
            ("payload digest", signing.payload_digest, image.payload_digest),
            ("version", signing.image_version, image.version),
            ("security counter", signing.security_counter, image.security_counter),
            ("dependencies", tuple(signing.dependencies), image.dependencies),
        ):
            _same(what, here, there, link, signing.image)
        binary = _artifact(build, "application", "bin", link)
        _same("payload digest", signing.payload_digest, self.bundle.sha256(binary), link, binary)
        try:
            _same("version", signing.image_version, image_version(source.version), link, "the source")
        except UsageError as error:
            raise IntegrityError(error.message, link=link) from error
        self.held(link, f"the signed payload is {binary}")
        self.update(signing, images, link)
        self.data(signing, build, images, link)
        self.about(attestation, signing.factory_image)
        self.factory(signing.factory_image, signing, build, image)
        return signing

    def update(self, signing: ImageSigning, images: dict[str, SignedImage], link: str) -> None:
        """The update-test image is the released program under the next build number, and nothing else."""
        if signing.update is None:
            return
        image, released = images[signing.update.image], images[signing.image]
        for what, here, there in (
            ("update's image digest", signing.update.image_digest, image.image_digest),
            ("update's version", signing.update.image_version, image.version),
        ):
            _same(what, here, there, link, signing.update.image)
        same: tuple[tuple[str, object, object], ...] = (
            ("payload digest", image.payload_digest, released.payload_digest),
            ("security counter", image.security_counter, released.security_counter),
            ("dependencies", image.dependencies, released.dependencies),
            ("version", image.version, _next_build(released.version, link)),
        )
        for what, mine, its in same:
            _same(what, mine, its, signing.update.image, signing.image)
        self.held(signing.update.image, f"has the payload of {signing.image} and the next build number: for tests only")

    def data(self, signing: ImageSigning, build: BuildResult, images: dict[str, SignedImage], link: str) -> None:
        made = {name: artifact.path for name, artifact in build.firmware("application").data.items()}
        _same("data images", {data.name: data.artifact for data in signing.data}, made, link, "the build")
        numbers = [data.number for data in signing.data]
        if len(set(numbers)) != len(numbers) or 0 in numbers:
            raise IntegrityError("gives two images one number", link=link)
        for data in signing.data:
            image = images[data.image]
            for what, here, there in (
                ("image digest", data.image_digest, image.image_digest),
                ("payload digest", data.payload_digest, image.payload_digest),
                ("version", data.image_version, image.version),
                ("security counter", data.security_counter, image.security_counter),
            ):
                _same(f"{data.name}'s {what}", here, there, link, data.image)
            _same("payload digest", data.payload_digest, self.bundle.sha256(data.artifact), link, data.artifact)
            self.held(data.image, f"is the data image of {data.artifact}")

    def factory(self, name: str, signing: ImageSigning, build: BuildResult, image: SignedImage) -> None:
        bootloader = _artifact(build, "bootloader", "hex", name)
        start = check_factory_image(
            self.small(name, _MAXIMUM_HEX),
            self.small(bootloader, _MAXIMUM_HEX),
            self.bundle.read(signing.image),
            name,
            {data.name: (data.address, self.bundle.read(data.image)) for data in signing.data},
        )
        application = _artifact(build, "application", "hex", name)
        linked = min(read_hex(self.small(application, _MAXIMUM_HEX), application), default=None)
        _same("address of the application", start + image.header_size, linked, name, application)
        further = f", {len(signing.data)} data images" if signing.data else ""
        self.held(name, f"is the bootloader, the signed image at the address it is linked for{further}, nothing else")

    def test(self, board: str, source: SourceInfo, signing: ImageSigning) -> None:
        attestation = self.attestation(TestResult, board)
        result, link = attestation.read(TestResult), attestation.path
        run = result.devicepipe
        self.about(attestation, signing.image)
        _same("board", run.board, board, link, "its name")
        _same("device's board", run.device.board, board, link, "its name")
        _same("payload digest", run.payload_digest, signing.payload_digest, link, "the signing attestation")
        _same("image digest", run.image_digest, signing.image_digest, link, "the signing attestation")
        self.file_is(run.serial_log, run.serial_log_sha256, link)
        for log in run.uart_logs:
            self.file_is(log.log, log.log_sha256, link)
        for used in result.configuration:
            self.file_is(used.name, used.digest.sha256, link)
        self.cases(result, link)
        check_device(run, link)
        if not run.identity_errors:
            for identity in (run.identity_before, run.identity_after):
                _check_identity(identity, run, source, signing, link)
        self.held(link, f"tested the signed payload in the signed image; its serial log is {run.serial_log}")

    def coverage(self, board: str, source: SourceInfo, build: BuildResult, signing: ImageSigning) -> None:
        if board in (source.coverage or []):
            tested = self.attestation(TestResult, board)
            self.links.append(check_coverage(self.attestation(CoverageResult, board), build, signing, tested))

    def merged_coverage(self, source: SourceInfo) -> None:
        covered = [board for board in source.boards if board in (source.coverage or [])]
        if covered:
            boards = [self.attestation(CoverageResult, board) for board in covered]
            self.links.append(check_merged(self.attestation(MergedCoverage), boards))

    def vulnerabilities(self, source: SourceInfo) -> None:
        if source.vulnerabilities is not None:
            found = self.attestation(Vulnerabilities)
            sboms = {board: self.by_path[kind_named("sbom").path_for(board)] for board in source.boards}
            signing = {board: self.attestation(ImageSigning, board).read(ImageSigning) for board in source.boards}
            self.links.append(check_vulnerabilities(self.bundle, found, source.vulnerabilities, sboms, signing))

    def cases(self, result: TestResult, link: str) -> None:
        run = result.devicepipe
        ids = [case.id for case in run.cases]
        if len(set(ids)) != len(ids):
            raise IntegrityError("has a test case twice", link=link)
        passed = {case.id for case in run.cases if case.verdict is Verdict.PASSED}
        others = {*result.failed_tests, *result.warned_tests}
        failed = {case.id for case in run.cases if case.verdict in (Verdict.FAILED, Verdict.ERROR)}
        if set(result.passed_tests) != passed or others & passed or not others <= set(ids):
            raise IntegrityError("its lists of tests do not agree with the verdicts of its cases", link=link)
        if result.result == "PASSED" and failed:
            raise IntegrityError("says PASSED over cases that did not pass", link=link)
        for case in run.cases:
            if case.verdict is Verdict.PASSED and not all(measured.within for measured in case.measurements):
                raise IntegrityError(f"case {case.id} passed with a value outside its limits", link=link)
            if any(part.verdict not in (Verdict.FAILED, Verdict.ERROR) for part in case.earlier_attempts):
                raise IntegrityError(f"case {case.id} was tried again though it had not failed", link=link)
            if case.quarantine is not None and case.quarantine.expires < run.started_on[:10]:
                raise IntegrityError(f"case {case.id} ran in a quarantine that had ended", link=link)
        length = size_of(self.bundle.folder, run.serial_log)
        for case in run.cases:
            parts: list[Attempt | TestCase] = [*case.earlier_attempts, case]
            places = [0, *(place for part in parts for place in (part.log_start, part.log_end)), length]
            if places != sorted(places):
                raise IntegrityError(f"case {case.id} refers to what is not in the serial log", link=link)

    def traceability(self, source: SourceInfo) -> None:
        attestation = self.attestation(Traceability)
        trace, link = attestation.read(Traceability), attestation.path
        runs = {board: self.attestation(TestResult, board).read(TestResult).devicepipe for board in source.boards}
        passed = {
            (board, case.id)
            for board, run in runs.items()
            for case in run.cases
            if case.verdict is Verdict.PASSED and case.quarantine is None and not run.identity_errors
        }
        foreign = self.foreign(source, trace)
        passed |= {(HOST, name) for name in foreign.passed}
        for row in trace.matrix:
            for board, verdict in row.verdicts.items():
                if verdict == Verdict.PASSED and (board, row.test) not in passed:
                    raise IntegrityError(f"shows {row.test} as passed on {board}, where it did not pass", link=link)
        shown_tests = {row.test for row in trace.matrix}
        for board, run in runs.items():
            for case in run.cases:
                if case.id not in shown_tests:
                    raise IntegrityError(f"leaves out the test {case.id} of {board}", link=link)
        self.held(link, "shows every test, and as passed only what passed")
        self.held(link, check_markers(trace, source_files(self.bundle), link))
        self.held(link, check_reviews(trace, link))
        signing = {board: self.attestation(ImageSigning, board).read(ImageSigning) for board in source.boards}
        self.held(link, check_currency(trace, runs, signing, link))
        check_foreign_rows(trace, foreign, link)

    def foreign(self, source: SourceInfo, trace: Traceability) -> Foreign:
        if not source.results:
            return Foreign()
        attestation = self.attestation(ForeignResults)
        self.held(attestation.path, check_foreign(self.bundle, attestation, source))
        return Foreign(shown_cases(attestation.read(ForeignResults), trace.items))

    def all_images_attested(self, boards: list[str]) -> None:
        """Named by a build or a signing attestation, not merely the subject of some other: an image has to have an origin."""
        known: set[str] = set()
        for board in boards:
            build = self.attestation(Provenance, board).read(Provenance).devicepipe
            known |= {artifact.path for firmware in build.firmwares for artifact in firmware.artifacts}
            signing = self.attestation(ImageSigning, board).read(ImageSigning)
            known |= {*signing.images, signing.factory_image}
        for name in self.bundle.names():
            if name.startswith("images/") and name not in known:
                raise IntegrityError("is no output of a build and no signed image that is attested as such", link=name)
        self.held(RELEASE_STATEMENT, "every file below images/ is an output of a build or a signed image")

    def gate(self, source: SourceInfo, images: dict[str, SignedImage]) -> None:
        attestation = self.attestation(VerificationSummary)
        summary, link = attestation.read(VerificationSummary), attestation.path
        decisions = summary.devicepipe
        for name in images:
            self.about(attestation, name)
        expected = [other.as_input() for path, other in sorted(self.by_path.items()) if path != link]
        if sorted(summary.input_attestations, key=lambda entry: str(entry.get("uri"))) != expected:
            raise IntegrityError("did not judge exactly the other attestations of this bundle", link=link)
        rules = str(summary.policy.get("uri"))
        if not self.bundle.exists(rules):
            raise IntegrityError(f"was decided by the rules {rules!r}, which are not in this bundle", link=link)
        _same("policy", summary.policy, {"uri": rules, "digest": {"sha256": self.bundle.sha256(rules)}}, link, rules)
        files = {name: self.small(name, _MAXIMUM_RULES) for name in self.bundle.names() if name.startswith(WAIVERS)}
        judged = Judged(
            link,
            source.product,
            source.boards,
            self.small(rules, _MAXIMUM_RULES),
            files,
            {name: self.bundle.sha256(name) for name in files},
            self.public_key,
            waiver_policy(self.bundle.read(SOURCE_CONFIG), authors_of(source, link)) if files else WaiverPolicy(),
        )
        self.held(rules, check_policy(summary, judged))
        _same(
            "result", summary.verification_result, "PASSED" if decisions.releasable else "FAILED", link, "its decisions"
        )
        broken = [decision.rule for decision in decisions.decisions if decision.stops]
        if decisions.releasable and (broken or source.dirty):
            raise IntegrityError("says releasable over broken rules or a dirty tree", link=link)
        decided = (decisions.releasable, decisions.reasons, decisions.waived, decisions.weakened)
        told = self.release
        if (told.releasable, told.reasons, told.waived or [], told.weakened or []) != decided:
            raise IntegrityError("does not say what the gate decided, for its reasons", link=RELEASE_STATEMENT)
        waived = f" with {len(decisions.waived)} waived" if decisions.waived else ""
        verdict = f"releasable{waived}" if decisions.releasable else "NOT RELEASABLE"
        self.held(link, f"judged exactly these attestations: {verdict}, as the release statement says")


def _next_build(version: str, link: str) -> str:
    try:
        return next_build(version)
    except UsageError as error:
        raise IntegrityError(error.message, link=link) from error


def _check_identity(
    identity: Identity | None, run: TestRun, source: SourceInfo, signing: ImageSigning, link: str
) -> None:
    """Where the test says that the device's identity was right, it must have been."""
    if identity is None:
        raise IntegrityError("reports no identity error, but the device was not asked before and after", link=link)
    _same("device's image digest", identity.digest, run.image_digest, link, "the image under test")
    _same("device's board", identity.board, run.board, link, "the image under test")
    _same("device's commit", identity.commit, source.commit, link, "the source")
    if identity.version not in (source.version, signing.image_version):
        raise IntegrityError(f"its device's version is {identity.version!r}, not {signing.image_version!r}", link=link)
