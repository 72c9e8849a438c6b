"""Source: the commit that is released, as clean copies to build from and as evidence of what was in them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from platform import python_version

from devicepipe.build.python_environment import environment_listing
from devicepipe.build.soup import fetch, lay_down, load_lock
from devicepipe.build.source import Commit, authors_since_tag
from devicepipe.errors import IntegrityError
from devicepipe.evidence.facts import sha256_of, utc_now
from devicepipe.evidence.layout import IMAGE_KEY, PYTHON_ENVIRONMENT, RELEASE_KEY, SOURCE_CONFIG, SOURCE_FILES
from devicepipe.evidence.predicates import SOURCE, CampaignWish, SourceInfo, Tool
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.stages.context import Context
from devicepipe.stages.foreign_results import results_wishes
from devicepipe.stages.vulnerability_data import wish_of

MANIFEST = SOURCE_FILES
CONFIG = SOURCE_CONFIG

_PACKAGES = (
    "platformio",
    "scons",
    "imgtool",
    "pytest",
    "pytest-embedded",
    "cppcheck",
    "cel-expr-python",
    "reportlab",
    "font-source-sans-pro",
    "paperang-p2-fonts-cjk",
    "pikepdf",
    "univers",
)


def check_source(context: Context) -> None:
    """Check that the run's copy of the sources is still what was attested: tests and build scripts run code of the product.

    Raises:
        IntegrityError: A source file was changed, removed or added during the run; names it.
    """
    if context.in_place:
        return
    root = context.project.root
    attested = dict(line.split("  ", 1)[::-1] for line in context.bundle.read(MANIFEST).decode().splitlines())
    laid_down = set(_libraries(context.project))
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    for name in sorted(attested.keys() | found.keys() - laid_down):
        if name not in found or name not in attested or sha256_of(found[name]) != attested[name]:
            raise IntegrityError(
                "was changed while the release ran",
                link=name,
                remedy="look for a test, conftest.py or build script that writes into the sources",
            )


def _libraries(project: Project) -> list[str]:
    """The places, relative to the project's root, of the files that the lock file lays down."""
    if project.firmware.soup is None:
        return []
    lock = load_lock(project.root / project.firmware.soup)
    folder = project.firmware_path.relative_to(project.root)
    return [(folder / place).as_posix() for component in lock.components for place in component.files]


def lay_down_libraries(project: Project, cache: Path) -> None:
    """Put the locked C libraries into a copy of the PlatformIO project, fetching what the cache lacks.

    Raises:
        UsageError: The lock file is wrong, or an archive is not the locked one.
        BenchError: An archive cannot be had.
    """
    if project.firmware.soup is None:
        return
    lock = load_lock(project.root / project.firmware.soup)
    fetch(lock, cache)
    lay_down(lock, cache, project.firmware_path)


def attest_source(context: Context, commit: Commit, files: list[str], dirty: bool) -> None:
    """Write the source attestation: product, commit, keys and tools, with the digest of every source file.

    Args:
        context: The run.
        commit: The commit.
        files: The files of the copy that is built, relative to the project's root.
        dirty: Whether the copy differs from the commit.
    """
    project, writer = context.project, context.writer
    lines = [f"{sha256_of(project.root / name)}  {name}\n" for name in sorted(files)]
    writer.add_bytes("".join(lines).encode(), MANIFEST)
    writer.add_file(project.root / CONFIG_NAME, CONFIG)
    writer.add_bytes(environment_listing(), PYTHON_ENVIRONMENT)
    writer.add_bytes(context.keys.image.public.pem, IMAGE_KEY)
    writer.add_bytes(context.keys.release.public.pem, RELEASE_KEY)
    info = SourceInfo(
        product=project.product.name,
        title=project.product.title,
        manufacturer=project.product.manufacturer,
        safety_class=project.product.safety_class,
        version=context.version,
        commit=commit.id,
        commit_time=commit.time,
        dirty=dirty,
        boards=[board.name for board in project.boards],
        coverage=None if context.in_place else list(project.covered_boards) or None,
        started_on=utc_now(),
        tester=context.tester,
        tools=[
            Tool(name="devicepipe", version=version("devicepipe")),
            Tool(name="python", version=python_version()),
            *(Tool(name=name, version=version(name)) for name in _PACKAGES),
        ],
        image_key=context.keys.image.info,
        release_key=context.keys.release.info,
        campaigns=[
            CampaignWish(kind=kind, points=run.points, seed=run.seed) for kind, run in project.campaigns.runs.items()
        ]
        or None,
        vulnerabilities=None if context.in_place else wish_of(project),
        results=None if context.in_place else results_wishes(project),
        history=None if context.in_place else True,
        authors=None if context.in_place else authors_since_tag(context.home, commit.id),
    )
    writer.attest("source", SOURCE, info, [MANIFEST, CONFIG, PYTHON_ENVIRONMENT, IMAGE_KEY, RELEASE_KEY])
