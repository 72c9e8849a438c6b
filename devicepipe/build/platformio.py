"""PlatformIO projects to firmware: one `pio run` per board, as a subprocess, in a copy of the project.

What always holds: the flags that compile the product are the project's own: devicepipe adds none. What could change a
build unseen is kept out: of the user's environment the child sees no DEVICEPIPE_*, no compiler flags or search paths
(CFLAGS, CPATH, …) and no PLATFORMIO_* but where PlatformIO's folders lie and how it logs in. Telemetry and the upgrade
check are off, and SOURCE_DATE_EPOCH is the commit's time; language, time zone and the like are those of `Surroundings` (C and
UTC). The build folder is the default one, `.pio/build`, so that the same commit built by hand with `pio run` gives the same files.

Core folder: a project that brings its platforms and packages along (`platforms_dir` and `packages_dir` in platformio.ini)
needs nothing installed and gets a private core folder inside its copy. Any other project uses the user's own core folder
(PLATFORMIO_CORE_DIR or ~/.platformio), with the platforms and toolchains that are installed there or that PlatformIO installs.

Reproducibility is the project's part too: objects must not hold the folder they were built in. With GCC 8 or later that is
`build_flags = -ffile-prefix-map=$PROJECT_DIR=.` in platformio.ini, and `-Wl,--build-id=none`.
"""

from __future__ import annotations

import configparser
import os
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from devicepipe.build.collect import PathCleaner, Role, clean_log, collect_firmware
from devicepipe.build.compilers import compilers_of
from devicepipe.build.process import run_logged
from devicepipe.build.surroundings import Surroundings
from devicepipe.errors import BenchError, ProductError, UsageError
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.predicates import BuildResult
from devicepipe.project.board import Board

TIMEOUT = 900.0
"""The longest one board's build may take, in seconds."""

_KEPT = (
    "PLATFORMIO_CORE_DIR",
    "PLATFORMIO_PLATFORMS_DIR",
    "PLATFORMIO_PACKAGES_DIR",
    "PLATFORMIO_CACHE_DIR",
    "PLATFORMIO_AUTH_TOKEN",
)
_DROPPED = re.compile(
    r"PLATFORMIO_.*|DEVICEPIPE_.*|SOURCE_DATE_EPOCH|PYTHONDONTWRITEBYTECODE|GIT_.*|"
    r"CPATH|C_INCLUDE_PATH|CPLUS_INCLUDE_PATH|OBJC_INCLUDE_PATH|LIBRARY_PATH|COMPILER_PATH|GCC_.*|"
    r"CFLAGS|CPPFLAGS|CXXFLAGS|LDFLAGS|ASFLAGS|SCONSFLAGS|LC_.*|LANG|LANGUAGE|TZ"
)
_HOOK = Path(__file__).with_name("pio_hook.py")


@dataclass(frozen=True)
class BuildInputs:
    """What a build is told from outside.

    Attributes:
        version: The release's version, semver.
        commit: 40 hexadecimal digits.
        source_date_epoch: Commit time, seconds since 1970-01-01 UTC.
        image_key: PEM file of the public key that the bootloader trusts.
        image_key_sha256: SHA-256 of that key's DER SubjectPublicKeyInfo.
        key_kind: Whether it is a development key.
    """

    version: str
    commit: str
    source_date_epoch: int
    image_key: Path
    image_key_sha256: str
    key_kind: Literal["development", "production"]

    def recorded(self) -> dict[str, str]:
        """The environment variables as evidence records them: the key by its digest instead of its path."""
        return {
            "DEVICEPIPE_VERSION": self.version,
            "DEVICEPIPE_COMMIT": self.commit,
            "DEVICEPIPE_IMAGE_KEY": f"sha256:{self.image_key_sha256}",
            "DEVICEPIPE_KEY_KIND": self.key_kind,
            "SOURCE_DATE_EPOCH": str(self.source_date_epoch),
        }

    def environment(self) -> dict[str, str]:
        """The environment variables as the build gets them."""
        return self.recorded() | {"DEVICEPIPE_IMAGE_KEY": str(self.image_key.resolve())}


@dataclass(frozen=True)
class Build:
    """A finished build.

    Attributes:
        result: What evidence says of it; artifact paths are relative to `output`.
        output: The folder that holds the artifacts.
        project: The copy of the PlatformIO project that it was built in.
        root: The folder that stands for "." in path-free evidence.
        databases: Per role, the compilation database with real paths, for analysers.
        log: PlatformIO's output, path-free.
        started_on: UTC, RFC 3339.
        finished_on: UTC, RFC 3339.
        surroundings: What it was built in.
    """

    result: BuildResult
    output: Path
    project: Path
    root: Path
    databases: Mapping[Role, Path]
    log: Path
    started_on: str
    finished_on: str
    surroundings: Surroundings = field(default_factory=Surroundings)


class BuildSystemFailedError(BenchError):
    """PlatformIO failed in itself, as its threads sometimes do: the same again with one compiler at a time may succeed."""


def build_board(
    *,
    project: Path,
    board: Board,
    environments: Mapping[Role, str],
    inputs: BuildInputs,
    output: Path,
    log: Path,
    cancel: threading.Event,
    surroundings: Surroundings | None = None,
    build_root: Path | None = None,
    timeout: float = TIMEOUT,
    data: Mapping[str, str] | None = None,
) -> Build:
    """Build a board's firmwares in one call of PlatformIO, and collect them as `output`/images/<board>/<role>.*.

    Args:
        project: The PlatformIO project; for a release a fresh copy. Builds of other environments may run in it at once.
        board: Whose firmware it is.
        environments: PlatformIO environment per role.
        inputs: What the build is told from outside.
        output: Folder of the bundle under construction.
        log: Where PlatformIO's output goes.
        cancel: When set, the build's whole process group is killed.
        surroundings: User, home, time zone and the like; the usual ones if None.
        build_root: The folder that stands for "." in path-free evidence; `project` if None. Give the root of the exported
            tree where the PlatformIO project is a folder in it.
        timeout: The longest it may take, in seconds.
        data: By name, files that the application's environment makes beside the program and that become data images.

    Raises:
        UsageError: No platformio.ini, or no such environment or board; names the known ones.
        ProductError: The sources do not compile or link, or do not fit; names the first error's file and line, and the log.
        BenchError: A platform or compiler is not installed or cannot be fetched; cancelled; not done in time.
    """
    configuration = project / "platformio.ini"
    if not configuration.is_file():
        raise UsageError("no such file", file=configuration, remedy="name a PlatformIO project in firmware.project")
    core_dir = project / ".pio" / "core" if _brings_platforms(configuration) else _user_core_dir()
    # PlatformIO looks for it and then makes it: of two that begin at once, one fails.
    core_dir.mkdir(parents=True, exist_ok=True)
    around = surroundings or Surroundings()
    environment = _environment(project, core_dir, inputs, around)
    command = [sys.executable, "-P", "-m", "platformio", "run", "--project-dir", str(project)]
    for name in environments.values():
        command += ["--environment", name]
    # Automatic cleaning would remove the build folder under another board's build that shares the copy.
    command += ["--target", "compiledb", "--target", "buildprog", "--disable-auto-clean"]
    if around.jobs is not None:
        command += ["--jobs", str(around.jobs)]
    cleaner = PathCleaner(build_root or project, core_dir, around.private)
    log.parent.mkdir(parents=True, exist_ok=True)
    started = utc_now("microseconds")  # two quick builds must be told apart
    try:
        code = run_logged(
            command,
            cwd=project,
            environment=environment,
            log=log,
            timeout=timeout,
            cancel=cancel,
            umask=around.umask,
        )
    finally:
        if log.is_file():
            clean_log(log, cleaner)
    if code != 0:
        raise _explain(configuration, board, log)
    build_dirs = {role: project / ".pio" / "build" / name for role, name in environments.items()}
    firmwares = [
        collect_firmware(
            role=role,
            environment=name,
            build_dir=build_dirs[role],
            board=board,
            output=output,
            cleaner=cleaner,
            data=data if role == "application" else None,
        )
        for role, name in environments.items()
    ]
    databases = {role: folder / "compile_commands.json" for role, folder in build_dirs.items()}
    return Build(
        result=BuildResult(board=board.name, firmwares=firmwares, compilers=compilers_of(databases.values())),
        output=output,
        project=project,
        root=build_root or project,
        databases=databases,
        log=log,
        started_on=started,
        finished_on=utc_now(),
        surroundings=around,
    )


def _user_core_dir() -> Path:
    return Path(os.environ.get("PLATFORMIO_CORE_DIR") or Path.home() / ".platformio")


def _brings_platforms(configuration: Path) -> bool:
    """Whether the project holds its own platforms and packages, so that nothing needs to be installed for it."""
    parser = configparser.ConfigParser(inline_comment_prefixes=("#", ";"), interpolation=None, strict=False)
    try:
        parser.read_string(configuration.read_text(encoding="utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", file=configuration) from error
    return all(parser.get("platformio", key, fallback="") for key in ("platforms_dir", "packages_dir"))


def _environment(project: Path, core_dir: Path, inputs: BuildInputs, around: Surroundings) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key in _KEPT or not _DROPPED.fullmatch(key)}
    # Python's bytecode cache is allowed: without it PlatformIO takes twice as long.
    return {
        **kept,
        "PLATFORMIO_CORE_DIR": str(core_dir),
        "PLATFORMIO_BUILD_DIR": str(project / ".pio" / "build"),
        "PLATFORMIO_EXTRA_SCRIPTS": f"post:{_HOOK}",
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_DISABLE_PROGRESSBAR": "true",
        "PLATFORMIO_NO_ANSI": "true",
        "PYTHONUNBUFFERED": "1",
        **around.environment(),
        **inputs.environment(),
    }


# --- explaining a failure -------------------------------------------------------------------------------------------

_TAIL_LINES = 15
_USAGE = (
    (
        r"Unknown environment names '(?P<unknown>[^']*)'\. Valid names are '(?P<known>[^']*)'",
        "board {board} names the environment '{unknown}', which does not exist; known environments: {known}",
    ),
    (r"Unknown board ID '(?P<id>[^']*)'", "board {board}: PlatformIO knows no board '{id}'"),
    (r"^.*?(?:InvalidProjectConf\w*|ProjectOptionValueError|UndefinedEnvPlatformError): (?P<text>.*)$", "{text}"),
)
_PRODUCT = (
    (r"^(?P<file>[^\s:][^:\n]*):(?P<line>\d+):(?:\d+:)? (?:fatal )?error: (?P<text>.*)$", "{file}:{line}: {text}"),
    (
        r"^.*?region `(?P<region>\w+)' overflowed by (?P<bytes>\d+) bytes.*$",
        "the program does not fit: {bytes} bytes too many for {region}",
    ),
    (
        r"^.*?section `(?P<section>[^']+)' will not fit in region `(?P<region>\w+)'.*$",
        "the program does not fit: section {section} is too large for {region}",
    ),
    (
        r"^(?P<text>.*?(?:undefined reference to|multiple definition of|cannot find -l).*)$",
        "it does not link: {text}",
    ),
)
_BENCH = re.compile(
    r"^.*?(?:UnknownPackage|UnknownPlatform|HTTPClientError|InternetConnectionError"
    r"|command not found|: not found$|not on PATH).*$",
    re.MULTILINE,
)
_OTHER = r"^\**\s*[Ee]rror: (?P<text>.*)$"


def _explain(configuration: Path, board: Board, log: Path) -> UsageError | ProductError | BenchError:
    """The error that PlatformIO's output tells of: the first of the known kinds, else its last lines."""
    output = log.read_text(encoding="utf-8", errors="replace")
    where = f"the whole output is in {log}"
    if "RecursionError" in output:
        return BuildSystemFailedError(
            f"{board.name}: PlatformIO failed in itself (RecursionError)", remedy=f"run it again; {where}"
        )
    for pattern, message in _USAGE:
        if found := re.search(pattern, output, re.MULTILINE):
            parts = {name: ", ".join(sorted(value.split(", "))) for name, value in found.groupdict().items()}
            return UsageError(message.format(board=board.name, **parts), file=configuration, remedy=where)
    for pattern, message in _PRODUCT:
        if found := re.search(pattern, output, re.MULTILINE):
            return ProductError(f"{board.name}: {message.format(**found.groupdict())}", remedy=where)
    if found := _BENCH.search(output):
        return BenchError(
            f"{board.name}: a platform, package or compiler is missing: {found[0].strip()}",
            remedy=f"install what is named (`pio pkg install` fetches a project's platforms and packages); {where}",
        )
    other = re.search(_OTHER, output, re.MULTILINE)
    tail = "PlatformIO failed:\n" + "\n".join(output.rstrip().splitlines()[-_TAIL_LINES:])
    return ProductError(f"{board.name}: {other['text'] if other else tail}", remedy=where)
