# SPDX-License-Identifier: Apache-2.0
"""PlatformIO build script of the `cortexm` platform: what PlatformIO runs for each environment.

The board manifest's `devicepipe` section is the one source of addresses: it becomes --defsym symbols for
link.ld and the generated header build_config.h. Identity and the trusted key come from the DEVICEPIPE_*
environment variables. The outputs depend on none of the paths involved.
"""

import base64
import binascii
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from SCons.Script import Builder, Default, DefaultEnvironment

ED25519_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")  # RFC 8410, section 4
STACK_SIZE = {"application": 2048, "bootloader": 4096}
TOOLS = "arm-none-eabi-"
ERASED = 0xFF

env = DefaultEnvironment()
board = env.BoardConfig()
board_name = env["BOARD"]
program = env.GetProjectOption("custom_program", "")
platform_dir = Path(env.PioPlatform().get_dir())
project_dir = Path(env.subst("$PROJECT_DIR"))
build_dir = Path(env.subst("$BUILD_DIR"))


def stop(message: str) -> NoReturn:
    """Ends the build with one plain sentence instead of a traceback."""
    sys.stderr.write("error: " + message + "\n")
    sys.exit(1)


def number(value: int | str) -> int:
    """A manifest integer: a JSON number or a string such as "0x8000"."""
    return value if isinstance(value, int) else int(value, 0)


def manifest(key: str) -> int:
    """An integer of the manifest's devicepipe section; the build stops if it is missing."""
    value = board.get("devicepipe." + key, None)
    if value is None:
        stop(f"board {board_name}: boards/{board_name}.json has no devicepipe.{key}")
    return number(value)


def image_key() -> bytes:
    """The 32 raw bytes of the Ed25519 key the bootloader trusts, from a PEM SubjectPublicKeyInfo."""
    path = Path(os.environ.get("DEVICEPIPE_IMAGE_KEY") or project_dir.parent / ".devicepipe/keys/image.pub.pem")
    if not path.is_file():
        stop(f"no image key at {path}: run `devicepipe keys`, or set DEVICEPIPE_IMAGE_KEY to a public key (PEM)")
    text = " ".join(path.read_text(encoding="ascii", errors="replace").split())
    begin, end = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
    # RFC 7468 section 2 lets text stand before the block; development keys say there what they are.
    if text.count(begin) != 1 or not text.endswith(end):
        stop(f"image key {path}: expected one PEM block '{begin}'")
    try:
        der = base64.b64decode(text.partition(begin)[2].removesuffix(end).replace(" ", ""), validate=True)
    except binascii.Error as error:
        stop(f"image key {path}: bad base64 ({error})")
    if len(der) != len(ED25519_SPKI_PREFIX) + 32 or not der.startswith(ED25519_SPKI_PREFIX):
        stop(f"image key {path}: expected an Ed25519 public key")
    return der[len(ED25519_SPKI_PREFIX) :]


def identity(variable: str, default: str, allowed: str, shortest: int, longest: int) -> str:
    """An identity string from the environment, limited to characters that are safe in a C string literal."""
    value = os.environ.get(variable) or default
    if not shortest <= len(value) <= longest or not set(value) <= set(allowed):
        length = str(longest) if shortest == longest else f"{shortest} to {longest}"
        stop(f"{variable}={value!r}: expected {length} characters of {allowed}")
    return value


def build_config() -> str:
    """The text of build_config.h for this board and program."""
    letters, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
    version = identity("DEVICEPIPE_VERSION", "0.0.0", letters + letters.upper() + digits + ".-+", 5, 32)
    commit = identity("DEVICEPIPE_COMMIT", "0" * 40, digits + "abcdef", 40, 40)
    kind = os.environ.get("DEVICEPIPE_KEY_KIND") or "development"
    if kind not in ("development", "production"):
        stop(f"DEVICEPIPE_KEY_KIND={kind!r}: expected development or production")
    strings = {"BOARD_NAME": board_name, "BUILD_VERSION": version, "BUILD_COMMIT": commit, "KEY_KIND": kind}
    numbers = {
        "CPU_HZ": number(board.get("build.f_cpu").rstrip("L")),
        "CONSOLE_BAUD": manifest("console.baud"),
        "FLASH_PAGE_SIZE": manifest("flash.page"),
        "SLOT0_ADDRESS": flash_base + manifest("regions.slot0.offset"),
        "SLOT0_SIZE": manifest("regions.slot0.size"),
        "STATE_ADDRESS": flash_base + manifest("regions.state.offset"),
        "STATE_SIZE": manifest("regions.state.size"),
        "IMAGE_HEADER_SIZE": header_size,
        "RAM_BASE": manifest("ram.base"),
        "RAM_SIZE": manifest("ram.size"),
    }
    lines = ["/* Generated from the board manifest and DEVICEPIPE_*; do not edit. */", "#ifndef BUILD_CONFIG_H"]
    lines += ["#define BUILD_CONFIG_H"]
    lines += [f'#define {name} "{value}"' for name, value in strings.items()]
    lines += [f"#define {name} {value:#x}u" for name, value in numbers.items()]
    if program == "bootloader":
        lines.append("#define IMAGE_KEY_BYTES " + ", ".join(f"{byte:#04x}u" for byte in image_key()))
    return "\n".join([*lines, "#endif", ""])


if program not in STACK_SIZE:
    stop(f"[env:{env['PIOENV']}] custom_program: expected one of {', '.join(sorted(STACK_SIZE))}")
if shutil.which(TOOLS + "gcc") is None:
    stop(f"{TOOLS}gcc is not on PATH: install the Arm GNU toolchain (Debian: gcc-arm-none-eabi)")
if program == "bootloader" and not (project_dir / "lib/monocypher/monocypher.c").is_file():
    stop(f"lib/monocypher is missing from {project_dir}: run `devicepipe build`, or lay it down as soup.toml says")
if manifest("flash.erased") != ERASED:
    stop(f"board {board_name}: only flash that erases to 0xff is supported")

flash_base = manifest("flash.base")
header_size = manifest("image.header-size")
if program == "bootloader":
    origin = flash_base + manifest("regions.bootloader.offset")
    length = manifest("regions.bootloader.size")
else:
    origin = flash_base + manifest("regions.slot0.offset") + header_size
    length = manifest("regions.slot0.size") - header_size
symbols = {
    "__flash_origin": origin,
    "__flash_length": length,
    "__ram_origin": manifest("ram.base"),
    "__ram_length": manifest("ram.size"),
    "__stack_size": STACK_SIZE[program],
}
board.update("upload.maximum_size", length)

generated = build_dir / "generated" / "build_config.h"
generated.parent.mkdir(parents=True, exist_ok=True)
config_text = build_config()
if not generated.is_file() or generated.read_text(encoding="ascii") != config_text:
    generated.write_text(config_text, encoding="ascii")

machine = ["-mcpu=" + board.get("build.cpu"), "-mthumb", "-masm-syntax-unified"]
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
    SIZEPROGREGEXP=r"^(?:\.vectors|\.text|\.data)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.stack|\.data|\.bss|\.handover)\s+(\d+).*",
    COMPILATIONDB_PATH=str(build_dir / "compile_commands.json"),
)
env.Append(
    CPPPATH=[str(generated.parent)],
    CFLAGS=["-std=c11"],
    CCFLAGS=[
        *machine,
        "-Os",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-ffreestanding",
        "-fno-common",
        "-fno-tree-loop-distribute-patterns",  # else GCC turns memset's own loop into a call of memset
        "-ffunction-sections",
        "-fdata-sections",
        "-fstack-usage",
        f"-ffile-prefix-map={project_dir}=.",
        f"-ffile-prefix-map={build_dir}=build",
    ],
    LINKFLAGS=[
        *machine,
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
env.AddPlatformTarget("size", elf, "$SIZETOOL -A -d $SOURCES", "Program size")
Default([env.Alias("buildprog", outputs), "checkprogsize"])
