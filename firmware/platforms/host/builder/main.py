# SPDX-License-Identifier: Apache-2.0
"""PlatformIO build script of the `host` platform: the portable code and its unit tests as one program for this computer.

The program is built from `src` by build_src_filter and from all of the folder `custom_tests`, with one of two sets of flags
(`custom_proof`): `sanitizers` (AddressSanitizer and UndefinedBehaviorSanitizer, each report ends the program) or `coverage`
(gcov, unoptimised, so that a branch of the report is a branch of the source). One program with both would be no proof:
sanitizers add branches that no test can take.

build_config.h is made from the manifest `custom_manifest`, of the same form as a board's.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from SCons.Script import Default, DefaultEnvironment

PROOFS = {
    "sanitizers": [
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
    ],
    "coverage": ["-O0", "--coverage", "-fprofile-abs-path"],
}

env = DefaultEnvironment()
project_dir = Path(env.subst("$PROJECT_DIR"))
build_dir = Path(env.subst("$BUILD_DIR"))
sys.path.insert(0, str(Path(env.PioPlatform().get_dir()).parent))

from build_config import STACK_SIZE, ConfigError, Manifest, build_config, write_if_changed  # noqa: E402


def stop(message: str) -> NoReturn:
    """Ends the build with one plain sentence instead of a traceback."""
    sys.stderr.write("error: " + message + "\n")
    sys.exit(1)


def option(name: str) -> str:
    """An option of this environment in platformio.ini; the build stops if it is missing."""
    value = env.GetProjectOption(name, "")
    if not value:
        stop(f"[env:{env['PIOENV']}] has no {name}")
    return value


proof = option("custom_proof")
tests = project_dir / option("custom_tests")
manifest_file = project_dir / option("custom_manifest")
if proof not in PROOFS:
    stop(f"[env:{env['PIOENV']}] custom_proof: expected one of {', '.join(sorted(PROOFS))}")
if shutil.which("gcc") is None:
    stop("gcc is not on PATH: install it (Debian: gcc)")
for path in (tests, manifest_file):
    if not path.exists():
        stop(f"no such file or folder: {path}")

generated = build_dir / "generated" / "build_config.h"
try:
    manifest = Manifest("host", json.loads(manifest_file.read_text(encoding="utf-8")))
    write_if_changed(
        generated,
        build_config(manifest, stack_size=STACK_SIZE["application"], key=None, environment={}),
    )
except ConfigError as error:
    stop(str(error))

env.Replace(
    AR="gcc-ar",
    AS="gcc",
    CC="gcc",
    LINK="gcc",
    RANLIB="gcc-ranlib",
    PROGNAME="host_tests",
    PROGSUFFIX="",
    COMPILATIONDB_PATH=str(build_dir / "compile_commands.json"),
)
env.Append(
    CPPPATH=[str(generated.parent), str(tests)],
    CFLAGS=["-std=c11"],
    CCFLAGS=[*PROOFS[proof], "-g", "-fno-common"],
    LINKFLAGS=[flag for flag in PROOFS[proof] if not flag.startswith("-O")],
    LIBS=["cmocka"],
)

env.Tool("compilation_db")

Default([env.Alias("buildprog", [env.BuildProgram(), env.CompilationDatabase("$COMPILATIONDB_PATH")])])
