# SPDX-License-Identifier: Apache-2.0
"""PlatformIO build script of the `baremetal` platform: what PlatformIO runs for each environment of a board.

The board manifest's `devicepipe` section is the one source of addresses: it becomes --defsym symbols for link.ld and the
generated header build_config.h (../../build_config.py). The outputs depend on none of the paths involved.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from SCons.Script import Builder, Default, DefaultEnvironment

env = DefaultEnvironment()
platform_dir = Path(env.PioPlatform().get_dir())
project_dir = Path(env.subst("$PROJECT_DIR"))
build_dir = Path(env.subst("$BUILD_DIR"))
sys.path.insert(0, str(platform_dir.parent))

from build_config import STACK_SIZE, ConfigError, Manifest, build_config, image_key, write_if_changed  # noqa: E402
from defect import DefectError, source_folder  # noqa: E402

# Per architecture: the tools' prefix, where to get them, what the compiler is told, and what the linker is told.
TOOLCHAINS = {
    "cortex-m": (
        "arm-none-eabi-",
        "the Arm GNU toolchain (Debian: gcc-arm-none-eabi)",
        ["-mcpu={cpu}", "-mthumb", "-masm-syntax-unified"],
        ["-mcpu={cpu}", "-mthumb"],
    ),
    "rv32imac": (
        "riscv64-unknown-elf-",
        "the RISC-V GNU toolchain (Debian: gcc-riscv64-unknown-elf)",
        ["-march=rv32imac_zicsr_zifencei", "-mabi=ilp32", "-msmall-data-limit=0"],
        ["-march=rv32imac", "-mabi=ilp32"],  # without these extensions, else GCC takes libgcc of another architecture
    ),
}


def stop(message: str) -> NoReturn:
    """Ends the build with one plain sentence instead of a traceback."""
    sys.stderr.write("error: " + message + "\n")
    sys.exit(1)


board = env.BoardConfig()
board_name = env["BOARD"]
manifest = Manifest(board_name, {key: board.get(key) for key in ("build", "devicepipe")})
program = env.GetProjectOption("custom_program", "")
if program not in STACK_SIZE:
    stop(f"[env:{env['PIOENV']}] custom_program: expected one of {', '.join(sorted(STACK_SIZE))}")
cpu = str(manifest.get("build.cpu"))
toolchain = next((value for key, value in TOOLCHAINS.items() if cpu.startswith(key)), None)
if toolchain is None:
    stop(f"board {board_name}: build.cpu: expected one that begins with {' or '.join(TOOLCHAINS)}, found {cpu}")
TOOLS, package, compiler_flags, linker_flags = toolchain
if shutil.which(TOOLS + "gcc") is None:
    stop(f"{TOOLS}gcc is not on PATH: install {package}")
if not (project_dir / "lib/monocypher/monocypher.c").is_file():
    stop(f"lib/monocypher is missing from {project_dir}: run `devicepipe build`, or lay it down as soup.toml says")

try:
    env.Replace(
        PROJECT_SRC_DIR=source_folder(
            project=project_dir,
            build=build_dir,
            name=env.GetProjectOption("custom_defect", ""),
            key_kind=os.environ.get("DEVICEPIPE_KEY_KIND") or "development",
        )
    )
    key_path = Path(os.environ.get("DEVICEPIPE_IMAGE_KEY") or project_dir.parent / ".devicepipe/keys/image.pub.pem")
    # An application is built without a key, so that the same one is signed for the bench and for the field.
    key = image_key(key_path) if program == "bootloader" else None
    config_text = build_config(manifest, stack_size=STACK_SIZE[program], key=key, environment=os.environ)
    region, header_size = (
        ("bootloader", 0) if program == "bootloader" else ("slot0", manifest.number("image.header-size"))
    )
    length = manifest.number(f"regions.{region}.size") - header_size
    symbols = {
        "__flash_origin": manifest.number("flash.base") + manifest.number(f"regions.{region}.offset") + header_size,
        "__flash_length": length,
        "__ram_origin": manifest.number("ram.base"),
        "__ram_length": manifest.number("ram.size"),
        "__stack_size": STACK_SIZE[program],
    }
except (ConfigError, DefectError) as error:
    stop(str(error))
board.update("upload.maximum_size", length)
generated = build_dir / "generated" / "build_config.h"
write_if_changed(generated, config_text)

link_script = platform_dir / "link.ld"
env.Replace(
    AR=TOOLS + "ar",
    AS=TOOLS + "gcc",
    CC=TOOLS + "gcc",
    LINK=TOOLS + "gcc",
    OBJCOPY=TOOLS + "objcopy",
    RANLIB=TOOLS + "ranlib",
    SIZETOOL=TOOLS + "size",
    ARFLAGS=["rcD"],
    RANLIBFLAGS=["-D"],
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPROGREGEXP=r"^(?:\.vectors|\.text|\.ramcode|\.data)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.stack|\.ramcode|\.data|\.bss|\.handover)\s+(\d+).*",
    COMPILATIONDB_PATH=str(build_dir / "compile_commands.json"),
)
env.Append(
    # The declarations of the C library that this firmware has.
    CPPPATH=[str(generated.parent), str(platform_dir / "include")],
    CFLAGS=["-std=c11"],
    CCFLAGS=[
        *(flag.format(cpu=cpu) for flag in compiler_flags),
        "-Os",
        "-g",
        "-ffreestanding",
        "-fno-common",
        "-fno-tree-loop-distribute-patterns",  # else GCC turns memset's own loop into a call of memset
        "-ffunction-sections",
        "-fdata-sections",
        # Beside each object: its functions' stack use (.su), and who calls whom with it (.ci, VCG format).
        "-fstack-usage",
        "-fcallgraph-info=su",
        f"-ffile-prefix-map={project_dir}=.",
        f"-ffile-prefix-map={build_dir}=build",
    ],
    LINKFLAGS=[
        *(flag.format(cpu=cpu) for flag in linker_flags),
        "-nostdlib",
        "-Wl,--gc-sections,--build-id=none,--fatal-warnings",
        f"-Wl,-T,{link_script}",
        f"-Wl,-Map,{build_dir / 'firmware.map'}",
        *[f"-Wl,--defsym={name}={value:#x}" for name, value in symbols.items()],
    ],
    LIBS=["gcc"],
    BUILDERS={
        output: Builder(
            suffix=suffix, action=env.VerboseAction(f"$OBJCOPY -O {output} $SOURCES $TARGET", "Building $TARGET")
        )
        for output, suffix in (("binary", ".bin"), ("ihex", ".hex"))
    },
)
env.Tool("compilation_db")

elf = env.BuildProgram()
env.Depends(elf, str(link_script))
stem = str(build_dir / "firmware")
outputs = [env.binary(stem, elf), env.ihex(stem, elf), env.CompilationDatabase("$COMPILATIONDB_PATH")]
library_compiler, library_source = project_dir / "library/compile.py", project_dir / "library/drug-library.toml"
if program == "application" and library_compiler.is_file():
    # The application's drug library is data of its own, signed and updated by itself; it is not linked in.
    library = env.Command(
        str(build_dir / "library.bin"),
        [str(library_source), str(library_compiler)],
        env.VerboseAction("$PYTHONEXE -B ${SOURCES[1]} ${SOURCES[0]} $TARGET", "Building $TARGET"),
    )
    outputs.append(library)
env.AddPlatformTarget("size", elf, "$SIZETOOL -A -d $SOURCES", "Program size")
Default([env.Alias("buildprog", outputs), "checkprogsize"])
