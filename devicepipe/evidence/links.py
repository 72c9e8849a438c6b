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
from devicepipe.evidence.checks import Link, about, authors_of, file_is, read_small, same
from devicepipe.evidence.checks import artifact as artifact_of
from devicepipe.evidence.coverage import CoverageResult, MergedCoverage
from devicepipe.evidence.coverage_links import check_coverage, check_merged
from devicepipe.evidence.currency_links import check_currency
from devicepipe.evidence.decisions import WAIVERS, VerificationSummary
from devicepipe.evidence.files import size_of
from devicepipe.evidence.findings import StaticAnalysis
from devicepipe.evidence.foreign_links import Foreign, check_foreign, check_foreign_rows
from devicepipe.evidence.foreign_results import ForeignResults, shown_cases
from devicepipe.evidence.history import History
from devicepipe.evidence.history_links import check_history
from devicepipe.evidence.image_links import check_images, check_signing
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
from devicepipe.evidence.result_links import check_result
from devicepipe.evidence.results import TestResult, Verdict
from devicepipe.evidence.review_links import check_reviews
from devicepipe.evidence.sbom_links import check_build_sbom, check_sbom
from devicepipe.evidence.secret_links import check_secrets
from devicepipe.evidence.secrets import Secrets
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.vulnerabilities import Vulnerabilities
from devicepipe.evidence.vulnerability_links import check_vulnerabilities
from devicepipe.evidence.words import HOST
from devicepipe.signing.image import SignedImage, check_release_version
from devicepipe.signing.keys import MAXIMUM_PEM, PublicKey

_MAXIMUM_RULES = 4 * 1024 * 1024


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
        images, held = check_images(
            self.bundle, [self.attestation(ImageSigning, one) for one in source.boards], image_key
        )
        self.links += held
        for board in source.boards:
            build = self.build(board, source)
            self.reports(board, build)
            signing = self.attestation(ImageSigning, board).read(ImageSigning)
            self.links += check_signing(self.bundle, self.attestation(ImageSigning, board), source, build, images)
            self.memory(board, build, signing)
            self.links.append(check_result(self.bundle, self.attestation(TestResult, board), source, signing))
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
            same(what, here, there, path, RELEASE_STATEMENT)
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
            key = PublicKey.from_pem(read_small(self.bundle, name, MAXIMUM_PEM))
        except UsageError as error:
            raise IntegrityError(error.message, link=name) from error
        if (key.keyid, key.scheme, key.development) != (info.keyid, info.scheme, info.development):
            raise IntegrityError(f"describes another key than {name}", link=path)
        return key

    def build(self, board: str, source: SourceInfo) -> BuildResult:
        attestation = self.attestation(Provenance, board)
        provenance = attestation.read(Provenance)
        build, link = provenance.devicepipe, attestation.path
        same("board", build.board, board, link, "its name")
        definition = provenance.build_definition
        for what, expected in (
            ("board", board),
            ("version", source.version),
            ("commit", source.commit),
            ("dirty", source.dirty),
            ("imageKey", {"sha256": source.image_key.keyid}),
        ):
            same(what, definition.external_parameters.get(what), expected, link, "the source")
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
                file_is(self.bundle, artifact.path, artifact.sha256, link)
                about(attestation, artifact.path)
                same("size", artifact.size, size_of(self.bundle.folder, artifact.path), link, artifact.path)
        artifact_of(build, "application", "bin", link)
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
        same("board", memory.board, board, link, "its name")
        for program in memory.programs:
            elf = artifact_of(build, program.role, "elf", link)
            about(attestation, elf)
            firmware = build.firmware(program.role)
            for what, here, there in (("flash", program.flash, firmware.flash), ("RAM", program.ram, firmware.ram)):
                same(f"{program.role}'s {what}", here, there, link, "the build")
        about(attestation, signing.image)
        same("image's size", memory.slot.used, size_of(self.bundle.folder, signing.image), link, signing.image)
        self.held(link, "is about this build's programs and the signed image")

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
            about(attestation, name)
        expected = [other.as_input() for path, other in sorted(self.by_path.items()) if path != link]
        if sorted(summary.input_attestations, key=lambda entry: str(entry.get("uri"))) != expected:
            raise IntegrityError("did not judge exactly the other attestations of this bundle", link=link)
        rules = str(summary.policy.get("uri"))
        if not self.bundle.exists(rules):
            raise IntegrityError(f"was decided by the rules {rules!r}, which are not in this bundle", link=link)
        same("policy", summary.policy, {"uri": rules, "digest": {"sha256": self.bundle.sha256(rules)}}, link, rules)
        files = {
            name: read_small(self.bundle, name, _MAXIMUM_RULES)
            for name in self.bundle.names()
            if name.startswith(WAIVERS)
        }
        judged = Judged(
            link,
            source.product,
            source.boards,
            read_small(self.bundle, rules, _MAXIMUM_RULES),
            files,
            {name: self.bundle.sha256(name) for name in files},
            self.public_key,
            waiver_policy(self.bundle.read(SOURCE_CONFIG), authors_of(source, link)) if files else WaiverPolicy(),
        )
        self.held(rules, check_policy(summary, judged))
        same(
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
